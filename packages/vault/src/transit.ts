/**
 * Keys that encrypt and sign for others: a transit key NAME is the secret `transit/NAME`, so roles and patterns hold for it as for
 * any other. Who may read it decrypts and signs; who may list it encrypts (with its public half) and verifies.
 */
import { AteError, errorText, isAteError, type Transaction } from '@ate/core'
import { type CallOptions, type Context, required, type WriteNowOptions, type WriteOptions } from './context.ts'
import { vaultError } from './errors.ts'
import { checkNames } from './option-names.ts'
import {
  decryptWithSeed,
  encryptToOpenHalf,
  encryptWithSeed,
  type Naming,
  openHalf,
  parseToken,
  SEED_BYTES,
  signWithSeed,
  verifyWithOpenHalf,
  versionOfSignature,
} from './transit-keys.ts'
import { decodeValue, encodeValue } from './value-bytes.ts'
import { IN, type OpenRecord, OpenType, type SecretRecord, type VersionRecord } from './vault-records.ts'
import { assertReadable, checkPath, stateOf, versionOf } from './vault-rules.ts'
import { appendVersion, findSecret, openVersion, type Place, placeIn } from './versions.ts'

/** Bytes that one call encrypts or signs: larger data is hashed, or sealed by a key that is encrypted here. */
const DATA_BYTES_MAX: number = 16 * 1024 * 1024

export interface TransitOptions extends CallOptions {
  /** What is encrypted under it is decrypted only with the same. */
  readonly context?: string
}

export interface RotateOptions extends WriteOptions {
  /** Older versions are not used any more: what they made is neither decrypted nor verified. */
  readonly minDecrypt?: number
}

export class Transit {
  readonly name: string
  readonly #context: Context
  readonly #path: string

  /** @internal */
  constructor(context: Context, name: string) {
    if (typeof name !== 'string' || name.includes('/')) throw vaultError('BAD_PATH', { path: errorText(name, 80) })
    this.name = name
    this.#path = `transit/${name}`
    checkPath(this.#path)
    this.#context = context
  }

  /** A token under the newest version. The key is made by the first `rotate`. @throws AteError NOT_FOUND | VALUE_TOO_LARGE */
  async encrypt(data: Uint8Array, options: TransitOptions = {}): Promise<string> {
    checkNames(options, 'transit')
    const found = await this.#found(options)
    const version = versionOf(found.record, undefined)
    const naming = this.#naming(version.n, options)
    const seed = await this.#seed(found, version, 'or undefined')
    const { random } = this.#context.makers
    checkData(data)
    if (seed) return wiping(seed, () => encryptWithSeed(seed, naming, data, random))
    return encryptToOpenHalf(await this.#open(version), naming, data, random)
  }

  /** @throws AteError BAD_TOKEN | KEY_RETIRED | NO_READ_KEY | VERSION_DESTROYED */
  async decrypt(token: string, options: TransitOptions = {}): Promise<Uint8Array> {
    checkNames(options, 'transit')
    const parsed = parseToken(token)
    const found = await this.#found(options)
    const version = this.#used(found.record, parsed.version)
    const seed = await this.#seed(found, version, 'required')
    return wiping(seed!, () => decryptWithSeed(seed!, parsed, this.#naming(version.n, options)))
  }

  /** The same data under the newest version. */
  async rewrap(token: string, options: TransitOptions = {}): Promise<string> {
    const data = await this.decrypt(token, options)
    return wiping(data, () => this.encrypt(data, options))
  }

  /** Ed25519 and ML-DSA-65 together. */
  async sign(data: Uint8Array, options: CallOptions = {}): Promise<string> {
    checkData(data)
    const found = await this.#found(options)
    const version = versionOf(found.record, undefined)
    const seed = await this.#seed(found, version, 'required')
    return wiping(seed!, () => signWithSeed(seed!, this.#naming(version.n), data, this.#context.makers.random))
  }

  /** False for what was altered, or was made by a version that is not used any more. */
  async verify(data: Uint8Array, signature: string, options: CallOptions = {}): Promise<boolean> {
    // Text that is copied into bytes is zeros, and somebody may have signed those.
    checkData(data)
    const n = versionOfSignature(signature)
    const { record } = await this.#found(options)
    const version = record.versions.find((one) => one.n === n)
    if (!version || version.n < (record.oldest ?? 1)) return false
    return verifyWithOpenHalf(await this.#open(version), this.name, data, signature)
  }

  /** Makes the next version of the key, or the first; its number. Needs `write`. */
  rotate(options?: RotateOptions & WriteNowOptions): Promise<number>
  rotate(options: RotateOptions): Promise<number | undefined>
  async rotate(options: RotateOptions = {}): Promise<number | undefined> {
    checkNames(options, 'rotate')
    const { minDecrypt } = options
    if (minDecrypt !== undefined && (!Number.isSafeInteger(minDecrypt) || minDecrypt < 1))
      throw new AteError('BAD_ARGUMENT', { option: 'minDecrypt' })
    return this.#context.write(options, async (tx) => {
      const place = await placeIn(this.#context, tx, this.#path)
      const newest = (place.record?.latest ?? 0) + 1
      if (minDecrypt !== undefined && minDecrypt > newest)
        throw new AteError('BAD_ARGUMENT', { option: 'minDecrypt', newest })
      // What is given up is not taken up again.
      const oldest = Math.max(minDecrypt ?? 1, place.record?.oldest ?? 1)
      return (await this.#rotate(tx, place, oldest)).n
    })
  }

  /** The public half of a version, for programs that verify or encrypt without the vault. */
  async publicKey(options: CallOptions & { readonly version?: number } = {}): Promise<OpenRecord> {
    const { record } = await this.#found(options)
    return this.#open(versionOf(record, options.version))
  }

  async #rotate(tx: Transaction, place: Place, oldest: number): Promise<VersionRecord> {
    const seed = this.#context.makers.random(SEED_BYTES)
    const open = tx.create(OpenType, openHalf(seed), { parent: place.zone.names, in: IN.open }).id
    const plain = encodeValue(seed)
    seed.fill(0)
    return appendVersion(this.#context, tx, place, { path: this.#path, kind: 'transit', plain, open, oldest })
  }

  #naming(version: number, { context = '' }: TransitOptions = {}): Naming {
    if (typeof context !== 'string') throw new AteError('BAD_ARGUMENT', { option: 'context' })
    return { name: this.name, version, context }
  }

  #used(record: SecretRecord, n: number): VersionRecord {
    const version = record.versions.find((one) => one.n === n)
    if (!version) throw vaultError('BAD_TOKEN', { what: 'of a version that the key never had', version: n })
    const oldest = record.oldest ?? 1
    if (n < oldest) throw vaultError('KEY_RETIRED', { key: this.name, version: n, oldest })
    return version
  }

  async #found({ signal }: CallOptions): Promise<{ readonly place: Place; readonly record: SecretRecord }> {
    const layout = required(await this.#context.layout(signal), this.#path)
    const place = await findSecret(this.#context, layout, this.#path)
    if (place?.record?.kind !== 'transit')
      throw new AteError(
        'NOT_FOUND',
        { path: this.#path },
        { hint: 'there is no such transit key; rotate() makes its first version' },
      )
    return { place, record: place.record }
  }

  async #seed(
    { place }: { readonly place: Place },
    version: VersionRecord,
    need: 'required' | 'or undefined',
  ): Promise<Uint8Array | undefined> {
    const { chain, now } = this.#context
    assertReadable(this.#path, version, stateOf(version, chain.has(version.value), now))
    this.#context.assertNotLapsed(place.layout, place.zone.pattern, need === 'required' ? 'read' : 'list')
    try {
      const plain = await openVersion(this.#context, place, version)
      const seed = decodeValue(plain)
      plain.fill(0)
      if (!(seed instanceof Uint8Array) || seed.length !== SEED_BYTES)
        throw new AteError('BAD_VALUE', { path: this.#path })
      return seed
    } catch (error) {
      if (need === 'or undefined' && isAteError(error) && error.code === 'NO_READ_KEY') return undefined
      throw error
    }
  }

  async #open({ open, n }: VersionRecord): Promise<OpenRecord> {
    const found = open === undefined ? undefined : await this.#context.chain.get(OpenType, open)
    if (!found) throw new AteError('NOT_FOUND', { path: this.#path, version: n, what: 'the public half of the key' })
    return found.value
  }
}

function checkData(data: unknown): void {
  if (!(data instanceof Uint8Array)) throw new AteError('BAD_ARGUMENT', { what: 'data is bytes' })
  if (data.length > DATA_BYTES_MAX) throw new AteError('VALUE_TOO_LARGE', { bytes: data.length, max: DATA_BYTES_MAX })
}

async function wiping<R>(bytes: Uint8Array, run: () => R | Promise<R>): Promise<R> {
  try {
    return await run()
  } finally {
    bytes.fill(0)
  }
}
