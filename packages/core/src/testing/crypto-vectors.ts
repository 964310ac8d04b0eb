/**
 * Public vectors (C2SP Wycheproof, testvectors_v1) against a crypto provider. Those that our contract cannot say
 * (AES-GCM with additional data or other sizes, ML-DSA with a ready mu) are left out and counted.
 */
import { fromHex, toHex } from '../base/bytes.ts'
import type { Randomness } from '../base/environment.ts'
import type { Algorithm } from '../crypto/self-test.ts'
import type { TestApi, Tested, VectorLoader } from './crypto-suite.ts'

type Fields = Readonly<Record<string, unknown>>
interface VectorFile {
  readonly testGroups: readonly (Fields & { readonly tests: readonly Fields[] })[]
}

/** One vector with the fields of its group: 'passes' and 'fails' are outcomes, 'outside' is what the contract cannot say. */
type Check = (provider: Tested, vector: Vector) => Promise<'right' | 'outside' | string>

const FILES: Readonly<Partial<Record<Algorithm, Readonly<Record<string, Check>>>>> = {
  hkdf: {
    wycheproof_hkdf_sha256_test: (provider, vector) => checkHkdf(provider, vector, 'hkdfSha256'),
    wycheproof_hkdf_sha512_test: (provider, vector) => checkHkdf(provider, vector, 'hkdfSha512'),
  },
  ed25519: { wycheproof_ed25519_test: checkEd25519 },
  x25519: { wycheproof_x25519_test: checkX25519 },
  aes256Gcm: { wycheproof_aes_gcm_test: checkAesGcm },
  mlDsa65: {
    wycheproof_mldsa_65_sign_seed_test: checkMlDsaSign,
    wycheproof_mldsa_65_verify_test: checkMlDsaVerify,
  },
  mlKem768: {
    wycheproof_mlkem_768_keygen_seed_test: checkMlKemKey,
    wycheproof_mlkem_768_encaps_test: checkMlKemEncapsulate,
    wycheproof_mlkem_768_test: checkMlKemDecapsulate,
  },
}

export function cryptoVectorTests(
  test: TestApi,
  input: {
    readonly provider: Tested
    readonly algorithm: Algorithm
    readonly vectors: VectorLoader
    readonly say: (line: string) => void
  },
): void {
  for (const [name, check] of Object.entries(FILES[input.algorithm] ?? {})) {
    test.it(`${input.algorithm}: ${name}`, async () => {
      const counts = { right: 0, outside: 0 }
      const wrong: string[] = []
      for (const vector of vectorsOf(input.vectors(name) as VectorFile)) {
        const outcome = await check(input.provider, vector)
        if (outcome === 'right' || outcome === 'outside') counts[outcome] += 1
        else wrong.push(`${vector.number('tcId')}: ${outcome}`)
      }
      test.expect(wrong).toEqual([])
      test.expect(counts.right > 0).toBe(true)
      input.say(`${input.provider.name} ${name}: ${counts.right} right, ${counts.outside} outside the contract`)
    })
  }
}

interface Vector {
  readonly valid: boolean
  has(name: string): boolean
  bytes(name: string): Uint8Array
  number(name: string): number
  flag(name: string): boolean
}

function* vectorsOf(file: VectorFile): Generator<Vector> {
  for (const group of file.testGroups)
    for (const test of group.tests) {
      const fields = { ...group, ...test }
      yield {
        valid: test['result'] !== 'invalid',
        has: (name) => fields[name] !== undefined,
        bytes: (name) => fromHex(String(fields[name] ?? ''))!,
        number: (name) => Number(fields[name]),
        flag: (name) => Array.isArray(fields['flags']) && fields['flags'].includes(name),
      }
    }
}

async function checkHkdf(provider: Tested, vector: Vector, method: 'hkdfSha256' | 'hkdfSha512'): Promise<string> {
  if (!vector.valid) return 'outside' // longer than RFC 5869 allows: sizes are ours
  const size = vector.number('size')
  return equal(
    await provider[method](vector.bytes('ikm'), vector.bytes('salt'), vector.bytes('info'), size),
    vector.bytes('okm'),
  )
}

async function checkEd25519(provider: Tested, vector: Vector): Promise<string> {
  const verifier = await provider.ed25519Verifier(vector.bytes('publicKeyDer').slice(-32))
  const verified = await verifier.verify(vector.bytes('msg'), vector.bytes('sig'))
  return verified === vector.valid ? 'right' : `verified is ${verified}`
}

async function checkX25519(provider: Tested, vector: Vector): Promise<string> {
  const secret = await provider.x25519Secret(vector.bytes('private'))
  const shared = await secret.agree(vector.bytes('public'))
  if (vector.flag('ZeroSharedSecret')) return shared === undefined ? 'right' : 'takes a low-order key'
  return equal(shared, vector.bytes('shared'))
}

async function checkAesGcm(provider: Tested, vector: Vector): Promise<string> {
  const suits = vector.number('keySize') === 256 && vector.number('ivSize') === 96 && vector.number('tagSize') === 128
  if (!suits || vector.bytes('aad').length > 0) return 'outside'
  const key = await provider.aesKey(vector.bytes('key'))
  const opened = await key.open(vector.bytes('iv'), vector.bytes('ct'), vector.bytes('tag'))
  if (!vector.valid) return opened === undefined ? 'right' : 'opens altered bytes'
  const sealed = await key.seal(vector.bytes('iv'), vector.bytes('msg'))
  if (toHex(sealed.tag) !== toHex(vector.bytes('tag'))) return 'another tag'
  if (toHex(sealed.ciphertext) !== toHex(vector.bytes('ct'))) return 'another ciphertext'
  return equal(opened, vector.bytes('msg'))
}

/** Where randomness is not ours to give (native providers), the vector's signature must verify under the made key. */
async function checkMlDsaSign(provider: Tested, vector: Vector): Promise<string> {
  if (!vector.valid || !vector.has('msg')) return 'outside'
  const signer = await provider.mlDsa65Signer(vector.bytes('privateSeed'))
  const [message, context, signature] = [vector.bytes('msg'), vector.bytes('ctx'), vector.bytes('sig')]
  if (toHex(signer.publicKey) !== toHex(vector.bytes('publicKey'))) return 'another public key'
  const verifier = await provider.mlDsa65Verifier(signer.publicKey)
  if (!(await verifier.verify(message, signature, context))) return 'refuses the signature'
  const made = await signer.sign(message, context, given(vector.has('rnd') ? vector.bytes('rnd') : new Uint8Array(32)))
  if (provider.name === 'noble') return equal(made, signature)
  return (await verifier.verify(message, made, context)) ? 'right' : 'refuses its own signature'
}

async function checkMlDsaVerify(provider: Tested, vector: Vector): Promise<string> {
  const publicKey = vector.bytes('publicKey')
  if (publicKey.length !== 1952) return 'outside' // asserted: keys have exact lengths
  const verifier = await provider.mlDsa65Verifier(publicKey)
  const verified = await verifier.verify(vector.bytes('msg'), vector.bytes('sig'), vector.bytes('ctx'))
  return verified === vector.valid ? 'right' : `verified is ${verified}`
}

async function checkMlKemKey(provider: Tested, vector: Vector): Promise<string> {
  return equal((await provider.mlKem768Secret(vector.bytes('seed'))).publicKey, vector.bytes('ek'))
}

async function checkMlKemEncapsulate(provider: Tested, vector: Vector): Promise<string> {
  const publicKey = vector.bytes('ek')
  if (publicKey.length !== 1184) return 'outside'
  const made = await provider.mlKem768Encapsulate(publicKey, given(vector.bytes('m')))
  if (!vector.valid) return made === undefined ? 'right' : 'takes a bad public key'
  if (!made) return 'refuses a public key'
  if (provider.name !== 'noble') return 'right'
  if (toHex(made.shared) !== toHex(vector.bytes('K'))) return 'another shared secret'
  return equal(made.ciphertext, vector.bytes('c'))
}

async function checkMlKemDecapsulate(provider: Tested, vector: Vector): Promise<string> {
  if (vector.bytes('seed').length !== 64 || vector.bytes('c').length !== 1088) return 'outside'
  const secret = await provider.mlKem768Secret(vector.bytes('seed'))
  return equal(await secret.decapsulate(vector.bytes('c')), vector.bytes('K'))
}

function equal(actual: Uint8Array | undefined, expected: Uint8Array): string {
  return actual !== undefined && toHex(actual) === toHex(expected) ? 'right' : 'another answer'
}

/** A random source that gives these bytes. */
function given(bytes: Uint8Array): Randomness {
  return { fill: (out) => out.set(bytes.subarray(0, out.length)) }
}
