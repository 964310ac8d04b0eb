/**
 * The crypto provider of a browser: noble's, and WebCrypto where the caller can wait. WebCrypto only answers later, and
 * what the fold and the sealing of bodies ask is answered at once; but the signatures of a log that is opened are
 * verified ahead of the fold, ten times as fast and beside this thread.
 *
 * WebCrypto is loaded and tested when it is first asked. Where it has no Ed25519, or one that breaks our rule for it,
 * noble does all of it.
 */
import { nobleBase } from '../crypto/noble-base.ts'
import type { AsyncCryptoProvider, CryptoProvider, Verifier } from '../crypto/provider.ts'

type WebVerifier = Awaited<ReturnType<NonNullable<AsyncCryptoProvider['ed25519Verifier']>>>

/** `undefined` until it is known whether there is one. */
let web: Promise<AsyncCryptoProvider> | undefined
let hasEd25519: boolean | undefined

export const browserProvider: CryptoProvider = {
  ...nobleBase,
  name: 'noble, webcrypto',
  ed25519Verifier,
  async argon2id(password, salt, parameters, size) {
    const { nobleArgon2id } = await import('../crypto/noble-argon2.ts')
    return nobleArgon2id(password, salt, parameters, size)
  },
}

function ed25519Verifier(publicKey: Uint8Array): Verifier {
  const own = nobleBase.ed25519Verifier(publicKey)
  const encoded = publicKey.slice()
  let later: Promise<WebVerifier> | undefined
  return {
    verify: own.verify,
    verifyLater(message, signature) {
      if (hasEd25519 === false || !globalThis.crypto?.subtle) return undefined
      later ??= webVerifier(encoded)
      return later.then((verifier) => verifier.verify(message, signature))
    },
  }
}

async function webVerifier(publicKey: Uint8Array): Promise<WebVerifier> {
  web ??= loadWeb()
  const make = (await web).ed25519Verifier
  if (!make) throw new Error('no Ed25519 here')
  return make(publicKey)
}

async function loadWeb(): Promise<AsyncCryptoProvider> {
  const { webCryptoProvider } = await import('./crypto-web.ts')
  const provider = await webCryptoProvider(globalThis.crypto.subtle)
  hasEd25519 = provider.ed25519Verifier !== undefined
  return provider
}
