/**
 * The contract suite of crypto providers: what crypto/provider.ts promises, by public vectors, crafted cases, and interop
 * with noble on seeded random inputs, in both directions.
 *
 * It stands on no test runner: `describe`, `it` and `expect` are passed in. A provider that may lack algorithms
 * (WebCrypto) is tested in those that it has; the suite names the others in one line.
 */
import { concatBytes, equalBytes, fromHex, toHex, utf8 } from '../base/bytes.ts'
import type { Randomness } from '../base/environment.ts'
import { randomBytes } from '../base/environment.ts'
import { nobleProvider } from '../crypto/noble.ts'
import type { AsyncCryptoProvider } from '../crypto/provider.ts'
import type { Algorithm } from '../crypto/self-test.ts'
import { ALGORITHM_METHODS, ALGORITHMS, testAlgorithmLater } from '../crypto/self-test.ts'
import { cryptoVectorTests } from './crypto-vectors.ts'
import { ed25519Cases, nonCanonicalKeys } from './ed25519-cases.ts'

/** The part of a test runner that the suite stands on. */
export interface TestApi {
  describe(name: string, run: () => void): void
  it(name: string, run: () => void | Promise<void>): void
  expect(value: unknown): { toBe(expected: unknown): void; toEqual(expected: unknown): void }
}

/** The parsed JSON of a vector file by its name without `.json`, or undefined if it is not there. */
export type VectorLoader = (name: string) => unknown

export interface CryptoSuiteOptions {
  /** Absent: the tests on vectors are not registered. */
  readonly vectors?: VectorLoader
  /** Seeded, so that a failure can be run again. */
  readonly random: Randomness
  /** One line about what is not tested. */
  readonly say: (line: string) => void
}

export type Tested = Required<AsyncCryptoProvider>

const ROUNDS = 8

export function cryptoSuite(test: TestApi, makeProvider: () => AsyncCryptoProvider, options: CryptoSuiteOptions): void {
  const made = makeProvider()
  const missing = ALGORITHMS.filter((algorithm) => ALGORITHM_METHODS[algorithm].some((method) => !made[method]))
  if (missing.length > 0) options.say(`${made.name} lacks ${missing.join(', ')}: not tested`)
  const provider = made as Tested // what is missing is not called
  test.describe(`crypto provider ${made.name}`, () => {
    for (const algorithm of ALGORITHMS) {
      if (missing.includes(algorithm)) continue
      test.it(`${algorithm}: passes the self-test`, async () => {
        test.expect(await testAlgorithmLater(provider, algorithm)).toBe('works')
      })
      test.it(`${algorithm}: agrees with noble on random inputs`, async () => {
        for (let round = 0; round < ROUNDS; round++) await INTEROP[algorithm](test, provider, options.random)
      })
      if (options.vectors) cryptoVectorTests(test, { provider, algorithm, vectors: options.vectors, say: options.say })
    }
    if (!missing.includes('ed25519')) ruleTests(test, provider)
    if (!missing.includes('aes256Gcm')) {
      sliceTests(test, provider, options.random)
      placeTests(test, provider, options.random)
    }
    if (!missing.includes('x25519')) {
      test.it('x25519: gives undefined for keys of low order', async () => {
        const secret = await provider.x25519Secret(new Uint8Array(32).fill(7))
        for (const u of ['00', '01']) test.expect(await secret.agree(padded(u))).toBe(undefined)
      })
    }
    copyTests(test, provider, missing)
  })
}

function ruleTests(test: TestApi, provider: Tested): void {
  for (const { name, publicKey, message, signature, accepted } of ed25519Cases()) {
    test.it(`ed25519: ${accepted ? 'accepts' : 'refuses'} ${name}`, async () => {
      await answers(test, await provider.ed25519Verifier(publicKey), message, signature, accepted)
    })
  }
  test.it('ed25519: a key that is not canonical verifies nothing', async () => {
    for (const key of nonCanonicalKeys()) {
      const verifier = await provider.ed25519Verifier(key)
      await answers(test, verifier, new Uint8Array(0), concatBytes(key, new Uint8Array(32)), false)
    }
  })
  test.it('ed25519: refuses a signature of a wrong length', async () => {
    const signer = await provider.ed25519Signer(new Uint8Array(32))
    const verifier = await provider.ed25519Verifier(signer.publicKey)
    const signature = await signer.sign(utf8('m'))
    await answers(test, verifier, utf8('m'), signature, true)
    for (const wrong of [signature.subarray(0, 63), concatBytes(signature, Uint8Array.of(0)), new Uint8Array(0)])
      await answers(test, verifier, utf8('m'), wrong, false)
  })
}

/** One answer, asked now and, where the provider has that, later. */
async function answers(
  test: TestApi,
  verifier: Awaited<ReturnType<Tested['ed25519Verifier']>>,
  message: Uint8Array,
  signature: Uint8Array,
  expected: boolean,
): Promise<void> {
  test.expect(await verifier.verify(message, signature)).toBe(expected)
  if (verifier.verifyLater) test.expect(await verifier.verifyLater(message, signature)).toBe(expected)
}

function sliceTests(test: TestApi, provider: Tested, random: Randomness): void {
  test.it('aes256Gcm: opens any slice alone, and no altered whole', async () => {
    const key = await provider.aesKey(randomBytes(random, 32))
    const nonce = randomBytes(random, 12)
    const plaintext = randomBytes(random, 200)
    const { ciphertext, tag } = await key.seal(nonce, plaintext)
    for (let from = 0; from < 70; from++) {
      const slice = ciphertext.subarray(from, from + 1 + ((from * 7) % 120))
      const opened = await key.openSlice(nonce, slice, from)
      test.expect(toHex(opened)).toBe(toHex(plaintext.subarray(from, from + slice.length)))
    }
    const altered = ciphertext.slice()
    altered[100]! ^= 1
    test.expect(await key.open(nonce, altered, tag)).toBe(undefined)
    test.expect(await key.open(nonce, ciphertext, tag.subarray(0, 12))).toBe(undefined)
    // Ciphertext and tag joined are the same bytes wherever they are split: only the right split is taken.
    const moved = concatBytes(ciphertext.subarray(196), tag)
    test.expect(await key.open(nonce, ciphertext.subarray(0, 196), moved)).toBe(undefined)
    test.expect(toHex((await key.open(nonce, ciphertext, tag))!)).toBe(toHex(plaintext))
  })
  test.it('aes256Gcm: opens a slice far into a long message', async () => {
    const key = await provider.aesKey(new Uint8Array(32))
    const plaintext = randomBytes(random, 5000)
    const { ciphertext } = await key.seal(new Uint8Array(12), plaintext)
    const opened = await key.openSlice(new Uint8Array(12), ciphertext.subarray(4103), 4103)
    test.expect(toHex(opened)).toBe(toHex(plaintext.subarray(4103)))
  })
}

/** Where an answer may be written to, or worked out, changes no byte of it; a provider may do neither. */
function placeTests(test: TestApi, provider: Tested, random: Randomness): void {
  test.it('aes256Gcm: gives the same bytes whether or not it is told where to write them', async () => {
    const key = await provider.aesKey(randomBytes(random, 32))
    const nonce = randomBytes(random, 12)
    for (const size of [0, 1, 65_536, 70_001]) {
      const plaintext = randomBytes(random, size)
      const room = new Uint8Array(size + 3).fill(9)
      const { ciphertext, tag } = await key.seal(nonce, plaintext)
      const placed = await key.seal(nonce, plaintext, room)
      test.expect(equalBytes(placed.ciphertext, ciphertext) && equalBytes(placed.tag, tag)).toBe(true)
      const from = Math.min(5, size)
      const opened = await key.openSlice(nonce, ciphertext.slice(from), from, room)
      test.expect(equalBytes(opened, plaintext.subarray(from))).toBe(true)
      test.expect(toHex(room.subarray(size))).toBe('090909')
    }
  })
  test.it('sha256: gives the same hash later, if it can', async () => {
    const { sha256Later } = provider as { readonly sha256Later?: (data: Uint8Array) => Promise<Uint8Array> }
    if (!sha256Later) return
    for (const size of [0, 1, 100_000]) {
      const data = randomBytes(random, size)
      const expected = toHex(await provider.sha256(data))
      const shared = new Uint8Array(new SharedArrayBuffer(size))
      shared.set(data)
      for (const bytes of [data, shared]) test.expect(toHex(await sha256Later(bytes))).toBe(expected)
    }
  })
}

/** A handle keeps copies: the caller wipes his secret, or goes on with his buffer. */
function copyTests(test: TestApi, provider: Tested, missing: readonly Algorithm[]): void {
  test.it('handles outlive the bytes that they were made of', async () => {
    const seed = new Uint8Array(32).fill(3)
    const nonce = new Uint8Array(12)
    if (!missing.includes('ed25519')) {
      const signer = await provider.ed25519Signer(seed)
      const publicKey = signer.publicKey.slice()
      const verifier = await provider.ed25519Verifier(publicKey)
      seed.fill(0)
      publicKey.fill(0)
      test.expect(await verifier.verify(utf8('m'), await signer.sign(utf8('m')))).toBe(true)
    }
    if (!missing.includes('x25519')) {
      const bytes = new Uint8Array(32).fill(5)
      const secret = await provider.x25519Secret(bytes)
      bytes.fill(0)
      const noble = nobleProvider.x25519Secret(new Uint8Array(32).fill(5))
      const other = nobleProvider.x25519Secret(new Uint8Array(32).fill(6)).publicKey
      const shared = toHex(noble.agree(other)!)
      test.expect(toHex((await secret.agree(other))!)).toBe(shared)
      await secret.wipe?.()
      if (secret.wipe) test.expect(toHex((await secret.agree(other))!) === shared).toBe(false)
    }
    if (!missing.includes('aes256Gcm')) {
      const bytes = new Uint8Array(32).fill(4)
      const key = await provider.aesKey(bytes)
      bytes.fill(0)
      const { ciphertext, tag } = await key.seal(nonce, utf8('m'))
      const again = await nobleProvider.aesKey(new Uint8Array(32).fill(4)).open(nonce, ciphertext, tag)
      test.expect(again && toHex(again)).toBe(toHex(utf8('m')))
      await key.wipe?.()
      if (key.wipe) test.expect(await key.open(nonce, ciphertext, tag)).toBe(undefined)
    }
  })
}

type Interop = (test: TestApi, provider: Tested, random: Randomness) => Promise<void>

const INTEROP: Readonly<Record<Algorithm, Interop>> = {
  async sha256(test, provider, random) {
    const data = randomBytes(random, sizeUpTo(random, 300))
    same(test, await provider.sha256(data), nobleProvider.sha256(data))
  },
  async sha512(test, provider, random) {
    const data = randomBytes(random, sizeUpTo(random, 300))
    same(test, await provider.sha512(data), nobleProvider.sha512(data))
  },
  async sha3(test, provider, random) {
    const data = randomBytes(random, sizeUpTo(random, 300))
    same(test, await provider.sha3_256(data), nobleProvider.sha3_256(data))
    same(test, await provider.shake256(data, 96), nobleProvider.shake256(data, 96))
  },
  async hmac(test, provider, random) {
    // Keys over a block and data over the scratch buffer of a fast path take other ways.
    for (const [keyBytes, dataBytes] of [
      [32, 50],
      [0, 0],
      [64, 1024],
      [65, 10],
      [20, 1025],
      [200, 3000],
    ] as const) {
      const key = randomBytes(random, keyBytes)
      const data = randomBytes(random, dataBytes)
      same(test, await provider.hmacSha256(key, data), nobleProvider.hmacSha256(key, data))
    }
  },
  async hkdf(test, provider, random) {
    const sizes = [
      [32, 32, 100, 76],
      [32, 0, 0, 32],
      [1, 64, 991, 31],
      [1024, 65, 5, 33],
      [1025, 1, 992, 8160],
      [32, 32, 10, 1],
    ] as const
    for (const [secretBytes, saltBytes, infoBytes, size] of sizes) {
      const input = [secretBytes, saltBytes, infoBytes].map((bytes) => randomBytes(random, bytes))
      const [secret, salt, info] = input as [Uint8Array, Uint8Array, Uint8Array]
      same(
        test,
        await provider.hkdfSha256(secret, salt, info, size),
        nobleProvider.hkdfSha256(secret, salt, info, size),
      )
      same(
        test,
        await provider.hkdfSha512(secret, salt, info, size),
        nobleProvider.hkdfSha512(secret, salt, info, size),
      )
    }
  },
  async ed25519(test, provider, random) {
    const seed = randomBytes(random, 32)
    const message = randomBytes(random, sizeUpTo(random, 200))
    const theirs = nobleProvider.ed25519Signer(seed)
    const ours = await provider.ed25519Signer(seed)
    const signature = await ours.sign(message)
    same(test, ours.publicKey, theirs.publicKey)
    same(test, signature, theirs.sign(message))
    const verifier = await provider.ed25519Verifier(theirs.publicKey)
    await answers(test, verifier, message, theirs.sign(message), true)
    test.expect(nobleProvider.ed25519Verifier(ours.publicKey).verify(message, signature)).toBe(true)
    signature[sizeUpTo(random, 64)]! ^= 4
    await answers(test, verifier, message, signature, false)
  },
  async x25519(test, provider, random) {
    const secret = randomBytes(random, 32)
    const mine = await provider.x25519Secret(secret)
    const theirs = nobleProvider.x25519Secret(randomBytes(random, 32))
    same(test, mine.publicKey, nobleProvider.x25519Secret(secret).publicKey)
    same(test, (await mine.agree(theirs.publicKey))!, theirs.agree(mine.publicKey)!)
  },
  async mlDsa65(test, provider, random) {
    const seed = randomBytes(random, 32)
    const [message, context] = [randomBytes(random, 64), randomBytes(random, sizeUpTo(random, 256))]
    const ours = await provider.mlDsa65Signer(seed)
    const theirs = nobleProvider.mlDsa65Signer(seed)
    same(test, ours.publicKey, theirs.publicKey)
    const verifier = await provider.mlDsa65Verifier(theirs.publicKey)
    const signature = await ours.sign(message, context, random)
    test.expect(nobleProvider.mlDsa65Verifier(ours.publicKey).verify(message, signature, context)).toBe(true)
    test.expect(await verifier.verify(message, theirs.sign(message, context, random), context)).toBe(true)
    test.expect(await verifier.verify(message, signature, utf8('another'))).toBe(false)
    test.expect(await verifier.verify(message, signature.subarray(1), context)).toBe(false)
    test.expect(await verifier.verify(message, signature, new Uint8Array(256))).toBe(false)
    signature[sizeUpTo(random, 3309)]! ^= 1
    test.expect(await verifier.verify(message, signature, context)).toBe(false)
  },
  async mlKem768(test, provider, random) {
    const seed = randomBytes(random, 64)
    const ours = await provider.mlKem768Secret(seed)
    const theirs = nobleProvider.mlKem768Secret(seed)
    same(test, ours.publicKey, theirs.publicKey)
    const made = (await provider.mlKem768Encapsulate(theirs.publicKey, random))!
    same(test, theirs.decapsulate(made.ciphertext), made.shared)
    const given = nobleProvider.mlKem768Encapsulate(ours.publicKey, random)!
    same(test, await ours.decapsulate(given.ciphertext), given.shared)
    given.ciphertext[sizeUpTo(random, 1088)]! ^= 1
    const rejected = await ours.decapsulate(given.ciphertext)
    same(test, rejected, theirs.decapsulate(given.ciphertext)) // implicit rejection is the same everywhere
    test.expect(equalBytes(rejected, given.shared)).toBe(false)
  },
  async aes256Gcm(test, provider, random) {
    const [bytes, nonce] = [randomBytes(random, 32), randomBytes(random, 12)]
    const plaintext = randomBytes(random, sizeUpTo(random, 100))
    const ours = await provider.aesKey(bytes)
    const theirs = nobleProvider.aesKey(bytes)
    const made = await ours.seal(nonce, plaintext)
    const given = theirs.seal(nonce, plaintext)
    same(test, made.ciphertext, given.ciphertext)
    same(test, made.tag, given.tag)
    same(test, (await ours.open(nonce, given.ciphertext, given.tag))!, plaintext)
    same(test, theirs.open(nonce, made.ciphertext, made.tag)!, plaintext)
  },
  async argon2id(test, provider, random) {
    const [password, salt] = [randomBytes(random, sizeUpTo(random, 40)), randomBytes(random, 16)]
    const parameters = {
      memoryKiB: 64 + sizeUpTo(random, 64),
      passes: 1 + sizeUpTo(random, 3),
      lanes: 1 + sizeUpTo(random, 2),
    }
    same(
      test,
      await provider.argon2id(password, salt, parameters, 32),
      await nobleProvider.argon2id(password, salt, parameters, 32),
    )
  },
}

function same(test: TestApi, actual: Uint8Array, expected: Uint8Array): void {
  test.expect(toHex(actual)).toBe(toHex(expected))
}

/** 0 to `end` - 1. */
function sizeUpTo(random: Randomness, end: number): number {
  const [high, low] = randomBytes(random, 2)
  return ((high! << 8) | low!) % end
}

function padded(hex: string): Uint8Array {
  return concatBytes(fromHex(hex)!, new Uint8Array(32 - hex.length / 2))
}
