/** The self-test finds what is missing, wrong or of another rule, and its long answers are what noble gives. */
import { expect, it } from 'vitest'
import { toHex, utf8 } from '../../src/base/bytes.ts'
import { isAteError } from '../../src/base/errors.ts'
import { webCryptoProvider } from '../../src/browser/crypto-web.ts'
import * as answers from '../../src/crypto/known-answers.ts'
import { nobleProvider } from '../../src/crypto/noble.ts'
import type { CryptoProvider } from '../../src/crypto/provider.ts'
import type { Algorithm } from '../../src/crypto/self-test.ts'
import {
  ALGORITHM_METHODS,
  ALGORITHMS,
  chooseProvider,
  selfTest,
  testAlgorithm,
  testAlgorithmLater,
} from '../../src/crypto/self-test.ts'
import { bareNodeProvider, nativeAlgorithms, nodeProvider } from '../../src/node/crypto-node.ts'

const counting = { fill: (bytes: Uint8Array) => void bytes.set(counted(bytes.length)) }

const x25519 = nobleProvider.x25519Secret

it('passes noble and the provider of this Node whole', () => {
  selfTest(nobleProvider)
  selfTest(nodeProvider())
})

it('names what a provider lacks', async () => {
  for (const algorithm of ALGORITHMS) {
    expect(testAlgorithm({}, algorithm)).toBe('missing')
    expect(await testAlgorithmLater({ name: 'nothing' }, algorithm)).toBe('missing')
  }
})

it('finds one flipped bit in any answer', () => {
  const broken: readonly (readonly [Algorithm, Partial<CryptoProvider>])[] = [
    ['sha256', { sha256: (data) => flip(nobleProvider.sha256(data)) }],
    ['sha512', { sha512: (data) => flip(nobleProvider.sha512(data)) }],
    ['sha3', { sha3_256: (data) => flip(nobleProvider.sha3_256(data)) }],
    ['sha3', { shake256: (data, size) => flip(nobleProvider.shake256(data, size)) }],
    ['hmac', { hmacSha256: (key, data) => flip(nobleProvider.hmacSha256(key, data)) }],
    ['hkdf', { hkdfSha256: (...input) => flip(nobleProvider.hkdfSha256(...input)) }],
    ['hkdf', { hkdfSha512: (...input) => flip(nobleProvider.hkdfSha512(...input)) }],
    ['ed25519', { ed25519Verifier: () => ({ verify: () => false }) }],
    ['x25519', { x25519Secret: (secret) => ({ ...x25519(secret), publicKey: flip(x25519(secret).publicKey) }) }],
    [
      'x25519',
      {
        x25519Secret: (secret) => ({
          ...x25519(secret),
          agree: (key) => x25519(secret).agree(key) ?? new Uint8Array(32),
        }),
      },
    ],
    ['mlDsa65', { mlDsa65Verifier: () => ({ verify: () => true }) }],
    ['mlDsa65', { mlDsa65Signer: () => nobleProvider.mlDsa65Signer(new Uint8Array(32)) }],
    ['mlKem768', { mlKem768Secret: () => nobleProvider.mlKem768Secret(new Uint8Array(64)) }],
    [
      'mlKem768',
      {
        mlKem768Encapsulate: (key, random) =>
          nobleProvider.mlKem768Encapsulate(
            key.map((b) => b & 7),
            random,
          ),
      },
    ],
    ['aes256Gcm', { aesKey: (key) => ({ ...nobleProvider.aesKey(key), open: (_nonce, ciphertext) => ciphertext }) }],
    ['aes256Gcm', { aesKey: (key) => ({ ...nobleProvider.aesKey(key), openSlice: (_nonce, slice) => slice }) }],
    ['argon2id', { argon2id: (...input) => flip(nobleProvider.argon2id(...input)) }],
  ]
  for (const [algorithm, part] of broken)
    expect([algorithm, testAlgorithm({ ...nobleProvider, ...part }, algorithm)]).toEqual([algorithm, 'wrong'])
  expect(new Set(broken.map(([algorithm]) => algorithm)).size).toBe(ALGORITHMS.length)
})

it('tells another rule of Ed25519 from a broken one', () => {
  const lax: CryptoProvider = {
    ...nobleProvider,
    ed25519Verifier: (key) => ({
      verify: (message, signature) =>
        nobleProvider.ed25519Verifier(key).verify(message, signature) ||
        toHex(signature) === answers.ED25519_REFUSED[0],
    }),
  }
  expect(testAlgorithm(lax, 'ed25519')).toBe('other-rule')
})

it('throws CRYPTO_SELF_TEST with the algorithm, and no secret', () => {
  const broken: CryptoProvider = {
    ...nobleProvider,
    name: 'broken',
    sha256: (data) => flip(nobleProvider.sha256(data)),
  }
  try {
    selfTest(broken)
    expect.unreachable()
  } catch (error) {
    expect(isAteError(error) && error.code).toBe('CRYPTO_SELF_TEST')
    expect(isAteError(error) && error.facts).toEqual({ provider: 'broken', algorithm: 'sha256', result: 'wrong' })
  }
})

it('chooses native if it works, the fallback if it is missing, and neither if an answer is wrong', () => {
  const native: CryptoProvider = { ...nobleProvider, name: 'native' }
  const wrong: CryptoProvider = { ...native, sha256: (data) => flip(nobleProvider.sha256(data)) }
  expect(chooseProvider(native, wrong, 'sha256')).toBe('native')
  expect(chooseProvider({ name: 'empty' }, nobleProvider, 'sha256')).toBe('fallback')
  expect(() => chooseProvider(wrong, nobleProvider, 'sha256')).toThrow('CRYPTO_SELF_TEST')
  expect(() => chooseProvider({ name: 'empty' }, wrong, 'sha256')).toThrow('CRYPTO_SELF_TEST')
})

it('a WebCrypto that answers wrongly is refused, and one without algorithms gives none', async () => {
  const { subtle } = globalThis.crypto
  const wrong = new Proxy(subtle, {
    get: (target, name) =>
      name === 'digest' ? async () => new ArrayBuffer(32) : Reflect.get(target, name).bind(target),
  })
  await expect(webCryptoProvider(wrong)).rejects.toThrow('CRYPTO_SELF_TEST')
  const empty = {} as SubtleCrypto // all of its methods are missing
  expect(Object.keys(await webCryptoProvider(empty))).toEqual(['name'])
})

it('what is native is what passes alone', () => {
  const alone = ALGORITHMS.filter((algorithm) => testAlgorithm(bareNodeProvider(), algorithm) === 'works')
  expect(nativeAlgorithms()).toEqual(alone)
  expect(alone).toEqual(expect.arrayContaining(['sha256', 'hkdf', 'ed25519', 'x25519', 'aes256Gcm']))
})

it('every method of the contract belongs to one algorithm', () => {
  const methods = Object.values(ALGORITHM_METHODS).flat()
  const contract = Object.keys(nobleProvider).filter((name) => name !== 'name' && name !== 'sha256Into')
  expect([...methods].sort()).toEqual(contract.sort())
})

it('the long known answers are what noble gives for counting bytes', () => {
  const signer = nobleProvider.mlDsa65Signer(counted(32))
  const signature = signer.sign(utf8('abc'), utf8('self-test'), counting)
  expect(Buffer.from(signature).toString('base64')).toBe(answers.MLDSA65_SIGNATURE_BASE64)
  const secret = nobleProvider.mlKem768Secret(counted(64))
  const made = nobleProvider.mlKem768Encapsulate(secret.publicKey, counting)!
  expect(Buffer.from(made.ciphertext).toString('base64')).toBe(answers.MLKEM768_CIPHERTEXT_BASE64)
  expect(toHex(made.shared)).toBe(answers.MLKEM768_SHARED)
})

function counted(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => i & 255)
}

function flip(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice()
  copy[0]! ^= 1
  return copy
}
