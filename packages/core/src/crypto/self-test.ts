/**
 * The self-test by which a platform chooses its algorithms, and which every chosen one passes before it is used.
 *
 * Known answers of each algorithm, made by another implementation: the long ones are noble's, so that a native provider
 * that passes agrees with noble on keys, signatures and shared secrets. One that throws is missing; one that answers
 * another way is broken (`wrong`); an Ed25519 that verifies what our rule refuses is of no use to us (`other-rule`).
 */
import { equalBytes, fromHex, toHex, utf8 } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import * as answers from './known-answers.ts'
import type { AsyncCryptoProvider, CryptoProvider } from './provider.ts'

export type Algorithm =
  | 'sha256'
  | 'sha512'
  | 'sha3'
  | 'hmac'
  | 'hkdf'
  | 'ed25519'
  | 'x25519'
  | 'mlDsa65'
  | 'mlKem768'
  | 'aes256Gcm'
  | 'argon2id'

type Method = Exclude<keyof AsyncCryptoProvider, 'name'>

/** What a platform can have or lack, each with the methods that it stands for. */
export const ALGORITHM_METHODS: Readonly<Record<Algorithm, readonly Method[]>> = {
  sha256: ['sha256'],
  sha512: ['sha512'],
  sha3: ['sha3_256', 'shake256'],
  hmac: ['hmacSha256'],
  hkdf: ['hkdfSha256', 'hkdfSha512'],
  ed25519: ['ed25519Signer', 'ed25519Verifier'],
  x25519: ['x25519Secret'],
  mlDsa65: ['mlDsa65Signer', 'mlDsa65Verifier'],
  mlKem768: ['mlKem768Secret', 'mlKem768Encapsulate'],
  aes256Gcm: ['aesKey'],
  argon2id: ['argon2id'],
}

export const ALGORITHMS: readonly Algorithm[] = Object.keys(ALGORITHM_METHODS) as Algorithm[]

export type SelfTestResult = 'works' | 'missing' | 'wrong' | 'other-rule'

type Answer = 'works' | 'wrong' | 'other-rule'
/** A test written once for both kinds of provider: what it yields may come later, and is given back when it is there. */
type Steps<T> = Generator<unknown, T, unknown>
type Tested = Required<AsyncCryptoProvider>

/** Tests one algorithm of a synchronous provider. */
export function testAlgorithm(provider: Partial<CryptoProvider>, algorithm: Algorithm): SelfTestResult {
  try {
    const steps = TESTS[algorithm](provider as Tested)
    let step = steps.next()
    while (!step.done) step = steps.next(step.value)
    return step.value
  } catch {
    return 'missing'
  }
}

/** Tests one algorithm of a provider that may answer later. */
export async function testAlgorithmLater(provider: AsyncCryptoProvider, algorithm: Algorithm): Promise<SelfTestResult> {
  try {
    const steps = TESTS[algorithm](provider as Tested)
    let step = steps.next()
    while (!step.done) step = steps.next(await step.value)
    return step.value
  } catch {
    return 'missing'
  }
}

/**
 * Tests algorithms of a complete provider.
 * @throws AteError CRYPTO_SELF_TEST with the first algorithm that does not work.
 */
export function selfTest(provider: CryptoProvider, algorithms: readonly Algorithm[] = ALGORITHMS): void {
  for (const algorithm of algorithms) {
    const result = testAlgorithm(provider, algorithm)
    if (result !== 'works') throw new AteError('CRYPTO_SELF_TEST', { provider: provider.name, algorithm, result })
  }
}

/**
 * Who does an algorithm: `native` if it works, `fallback` (tested as well) if it is missing or follows another rule.
 * @throws AteError CRYPTO_SELF_TEST for a wrong answer of either: the machine is broken, and the other may be too.
 */
export function chooseProvider(
  native: Partial<CryptoProvider> & { readonly name: string },
  fallback: CryptoProvider,
  algorithm: Algorithm,
): 'native' | 'fallback' {
  const result = testAlgorithm(native, algorithm)
  if (result === 'works') return 'native'
  if (result === 'wrong') throw new AteError('CRYPTO_SELF_TEST', { provider: native.name, algorithm, result })
  selfTest(fallback, [algorithm])
  return 'fallback'
}

const ABC = utf8('abc')
const CONTEXT = utf8('self-test')
const NO_CONTEXT = new Uint8Array(0)
/** Native KEMs and signatures draw their own randomness; what they make is only tested against itself. */
const COUNTING = { fill: (bytes: Uint8Array): void => void bytes.set(counted(bytes.length)) }

const TESTS: { readonly [A in Algorithm]: (p: Tested) => Steps<Answer> } = {
  *sha256(p) {
    return all(is(yield* got(p.sha256(ABC)), answers.SHA256_ABC))
  },
  *sha512(p) {
    return all(is(yield* got(p.sha512(ABC)), answers.SHA512_ABC))
  },
  *sha3(p) {
    const hash = is(yield* got(p.sha3_256(ABC)), answers.SHA3_256_ABC)
    return all(hash, is(yield* got(p.shake256(ABC, 48)), answers.SHAKE256_ABC_48))
  },
  *hmac(p) {
    return all(
      is(yield* got(p.hmacSha256(utf8('Jefe'), utf8('what do ya want for nothing?'))), answers.HMAC_SHA256_JEFE),
    )
  },
  *hkdf(p) {
    const rfcInfo = counted(10).map((byte) => byte + 0xf0)
    const rfc = yield* got(p.hkdfSha256(new Uint8Array(22).fill(11), counted(13), rfcInfo, 42))
    const wide = yield* got(p.hkdfSha512(counted(22), counted(13), ABC, 42))
    return all(is(rfc, answers.HKDF_SHA256_RFC), is(wide, answers.HKDF_SHA512_COUNT))
  },
  *ed25519(p) {
    const signer = yield* got(p.ed25519Signer(counted(32)))
    const signature = yield* got(signer.sign(ABC))
    const verifier = yield* got(p.ed25519Verifier(bytesOf(answers.ED25519_PUBLIC)))
    const works = all(
      is(signer.publicKey, answers.ED25519_PUBLIC),
      is(signature, answers.ED25519_SIGNATURE),
      yield* got(verifier.verify(ABC, signature)),
      !(yield* got(verifier.verify(CONTEXT, signature))),
    )
    for (const refused of answers.ED25519_REFUSED)
      if (yield* got(verifier.verify(ABC, bytesOf(refused)))) return 'other-rule'
    return works
  },
  *x25519(p) {
    const secret = yield* got(p.x25519Secret(bytesOf(answers.X25519_ALICE_SECRET)))
    const shared = yield* got(secret.agree(bytesOf(answers.X25519_BOB_PUBLIC)))
    const lowOrder = yield* got(secret.agree(new Uint8Array(32)))
    return all(
      is(secret.publicKey, answers.X25519_ALICE_PUBLIC),
      is(shared, answers.X25519_SHARED),
      lowOrder === undefined,
    )
  },
  *mlDsa65(p) {
    const signer = yield* got(p.mlDsa65Signer(counted(32)))
    const verifier = yield* got(p.mlDsa65Verifier(signer.publicKey))
    const known = bytesOfBase64(answers.MLDSA65_SIGNATURE_BASE64)
    const made = yield* got(signer.sign(ABC, CONTEXT, COUNTING))
    return all(
      is(yield* got(p.sha256(signer.publicKey)), answers.MLDSA65_PUBLIC_SHA256),
      yield* got(verifier.verify(ABC, known, CONTEXT)),
      yield* got(verifier.verify(ABC, made, CONTEXT)),
      !(yield* got(verifier.verify(ABC, known, NO_CONTEXT))),
      !(yield* got(verifier.verify(CONTEXT, known, CONTEXT))),
    )
  },
  *mlKem768(p) {
    const secret = yield* got(p.mlKem768Secret(counted(64)))
    const known = yield* got(secret.decapsulate(bytesOfBase64(answers.MLKEM768_CIPHERTEXT_BASE64)))
    const made = yield* got(p.mlKem768Encapsulate(secret.publicKey, COUNTING))
    const opened = made ? yield* got(secret.decapsulate(made.ciphertext)) : undefined
    // All coefficients 4095: not reduced, so FIPS 203, 7.2 wants it refused.
    const refused = yield* got(p.mlKem768Encapsulate(new Uint8Array(1184).fill(255), COUNTING))
    return all(
      is(yield* got(p.sha256(secret.publicKey)), answers.MLKEM768_PUBLIC_SHA256),
      is(known, answers.MLKEM768_SHARED),
      made !== undefined && opened !== undefined && equalBytes(made.shared, opened),
      refused === undefined,
    )
  },
  *aes256Gcm(p) {
    const key = yield* got(p.aesKey(new Uint8Array(32)))
    const nonce = new Uint8Array(12)
    const sealed = yield* got(key.seal(nonce, new Uint8Array(16)))
    const opened = yield* got(key.open(nonce, sealed.ciphertext, sealed.tag))
    const slice = yield* got(key.openSlice(nonce, sealed.ciphertext.subarray(5, 9), 5))
    const altered = yield* got(key.open(nonce, sealed.ciphertext, new Uint8Array(16)))
    return all(
      is(sealed.ciphertext, answers.GCM_ZERO_CIPHERTEXT),
      is(sealed.tag, answers.GCM_ZERO_TAG),
      opened !== undefined && equalBytes(opened, new Uint8Array(16)),
      equalBytes(slice, new Uint8Array(4)),
      altered === undefined,
    )
  },
  *argon2id(p) {
    const parameters = { memoryKiB: 64, passes: 2, lanes: 1 }
    return all(is(yield* got(p.argon2id(ABC, counted(16), parameters, 32)), answers.ARGON2ID_COUNT))
  },
}

function* got<T>(later: T | PromiseLike<T>): Steps<Awaited<T>> {
  return (yield later) as Awaited<T>
}

function all(...checks: readonly boolean[]): Answer {
  return checks.every(Boolean) ? 'works' : 'wrong'
}

function is(bytes: Uint8Array | undefined, hex: string): boolean {
  return bytes !== undefined && toHex(bytes) === hex
}

function counted(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => i & 255)
}

function bytesOf(hex: string): Uint8Array {
  return fromHex(hex) ?? new Uint8Array(0)
}

function bytesOfBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
}
