/** One secret: its versions, read and written. */
import { AteError, type Duration, isAteError, isEffects, type StandardSchema, type Transaction } from '@ate/core'
import {
  type CallOptions,
  type Context,
  type Layout,
  required,
  type WriteNowOptions,
  type WriteOptions,
} from './context.ts'
import { noSecret, vaultError } from './errors.ts'
import { checkNames } from './option-names.ts'
import { Revealed } from './revealed.ts'
import { atTime, infoOf, type SecretInfo } from './secret-info.ts'
import { decodeValue, encodeValue } from './value-bytes.ts'
import type { Kind, VersionRecord } from './vault-records.ts'
import { assertReadable, checkCas, checkPath, stateOf, type VersionState, versionAt, versionOf } from './vault-rules.ts'
import { appendVersion, findSecret, openVersion, type Place, placeIn } from './versions.ts'
import { isBelow } from './vouched.ts'

export interface Version {
  readonly n: number
  /** When and by whom it was written, as its author says; `audit` tells what is signed. */
  readonly at: Date
  readonly by: string
  readonly state: VersionState
  readonly expires?: Date
}

export interface PutOptions extends WriteOptions {
  /** The newest version must be this one; 0: there is none yet. @throws AteError CAS_MISMATCH */
  readonly cas?: number
  readonly expires?: Duration | Date
  /** Text about the secret, for who may list it; what is given replaces what was there. */
  readonly meta?: Readonly<Record<string, string>>
}

/** Which version: the newest if neither is given. */
export interface PickOptions extends CallOptions {
  readonly version?: number
  /** The newest of that time. */
  readonly at?: Date
}

export interface Destroyed {
  readonly path: string
  readonly versions: readonly number[]
  /** When the keys were gone; undefined inside of a transaction, which has not committed yet. */
  readonly at: Date | undefined
  /**
   * For each version the time in which a backup with keys, or a copy of the folder, may have been made: whoever has one, and a
   * key of a reader, still opens it.
   */
  readonly backups: readonly { readonly version: number; readonly from: Date; readonly until: Date }[]
}

export class Secret<T> {
  readonly path: string
  readonly #context: Context
  readonly #schema: StandardSchema<unknown, T> | undefined
  readonly #kind: Kind

  /** @internal */
  constructor(context: Context, path: string, schema: StandardSchema<unknown, T> | undefined, kind: Kind = 'secret') {
    checkPath(path)
    this.path = path
    this.#context = context
    this.#schema = schema
    this.#kind = kind
  }

  /**
   * The newest version, or one by its number.
   * @throws AteError NOT_FOUND | NO_VERSION | VERSION_DELETED | VERSION_DESTROYED | VERSION_EXPIRED | NO_READ_KEY |
   * NOT_AUTHORIZED (the grant has ended) | KEY_MISSING | BAD_VALUE (not what the schema says)
   */
  async get(options: PickOptions = {}): Promise<Revealed<T>> {
    checkNames(options, 'pick')
    const { version, plain } = await this.#open(options)
    try {
      return new Revealed(await this.#checked(decodeValue(plain)), version.n, this.path)
    } finally {
      plain.fill(0)
    }
  }

  /**
   * Writes the next version. Needs `write`, not `read`. As an effect of a job it keeps a copy of the value until that is done.
   * @throws AteError CAS_MISMATCH | BAD_VALUE | VALUE_TOO_LARGE | VERSIONS_FULL | NOT_AUTHORIZED | NO_READ_KEY (no right that
   * lets one see names here)
   */
  put(value: T, options?: PutOptions & WriteNowOptions): Promise<Version>
  put(value: T, options: PutOptions): Promise<Version | undefined>
  async put(value: T, options: PutOptions = {}): Promise<Version | undefined> {
    checkNames(options, 'put')
    const plain = encodeValue(await this.#checked(value))
    try {
      return await this.#context.write(options, async (tx) => {
        const place = await placeIn(this.#context, tx, this.path)
        checkCas(place.record, this.path, options.cas)
        return this.#version(await this.#append(tx, place, plain, options), tx)
      })
    } finally {
      // An effect runs later, and again after a conflict: nobody says when it has run for the last time.
      if (!isEffects(options.tx)) plain.fill(0)
    }
  }

  /** Reads, changes and writes, again if somebody else was faster. `change` has no other effects. Needs `read` and `write`. */
  patch(change: (value: T) => T | Promise<T>, options?: Omit<PutOptions, 'cas'> & WriteNowOptions): Promise<Version>
  patch(change: (value: T) => T | Promise<T>, options: Omit<PutOptions, 'cas'>): Promise<Version | undefined>
  async patch(
    change: (value: T) => T | Promise<T>,
    options: Omit<PutOptions, 'cas'> = {},
  ): Promise<Version | undefined> {
    checkNames(options, 'patch')
    return this.#context.write(options, async (tx) => {
      const place = await placeIn(this.#context, tx, this.path)
      if (!place.record) throw noSecret(this.path)
      const newest = versionOf(place.record, undefined)
      assertReadable(this.path, newest, this.#stateIn(newest, tx))
      const before = await openVersion(this.#context, place, newest, tx)
      const value = await this.#checked(decodeValue(before))
      before.fill(0)
      const plain = encodeValue(await this.#checked(await change(value)))
      const made = await this.#append(tx, place, plain, options)
      plain.fill(0)
      return this.#version(made, tx)
    })
  }

  /** Oldest first. Needs `list`. @throws AteError NOT_FOUND */
  async *versions(options: CallOptions = {}): AsyncGenerator<Version, void, void> {
    const { record } = await this.#found(options)
    for (const version of record.versions) yield this.#version(version)
  }

  /** What who may list it sees; undefined if there is no such secret. */
  async info(options: CallOptions = {}): Promise<SecretInfo | undefined> {
    const layout = await this.#context.layout(options.signal)
    const place = layout && (await findSecret(this.#context, layout, this.path))
    return place?.record && infoOf(this.#context, place.record)
  }

  /** Hides versions until they are restored; the newest if none is named. Needs `write`. @throws AteError NOT_FOUND | NO_VERSION */
  async delete(versions?: readonly number[], options: WriteOptions = {}): Promise<void> {
    const deleted = this.#context.now
    await this.#change(versions, options, (version) => ({ ...version, deleted: version.deleted ?? deleted }))
  }

  /** Takes a deletion back; what was destroyed stays so. Needs `write`. @throws AteError NOT_FOUND | NO_VERSION | VERSION_DESTROYED */
  async restore(versions?: readonly number[], options: WriteOptions = {}): Promise<void> {
    await this.#change(versions, options, (version) => {
      if (!this.#context.chain.has(version.value))
        throw vaultError('VERSION_DESTROYED', { path: this.path, version: version.n })
      const { deleted: _, ...rest } = version
      return rest
    })
  }

  /** Metadata, all of it. Needs `write`. */
  async annotate(meta: Readonly<Record<string, string>>, options: WriteOptions = {}): Promise<void> {
    checkNames(options, 'write')
    await this.#context.write(options, async (tx) => {
      const { zone, record } = await placeIn(this.#context, tx, this.path)
      if (!record) throw noSecret(this.path)
      zone.save({ ...record, meta })
    })
  }

  /**
   * Destroys the keys of versions: nobody reads them again, who held every other key included. Needs `destroy`.
   * @throws AteError NOT_FOUND | NO_VERSION | NOT_AUTHORIZED | KEY_NOT_ERASED
   */
  destroy(versions: readonly number[] | 'all', options?: WriteNowOptions): Promise<Destroyed>
  destroy(versions: readonly number[] | 'all', options: WriteOptions): Promise<Destroyed | undefined>
  async destroy(versions: readonly number[] | 'all', options: WriteOptions = {}): Promise<Destroyed | undefined> {
    checkNames(options, 'write')
    if (versions !== 'all' && !Array.isArray(versions))
      throw new AteError('BAD_ARGUMENT', { what: "versions are a list of numbers, or 'all'" })
    const { chain } = this.#context
    const gone = await this.#context.write(options, async (tx) => {
      const { record, zone } = await placeIn(this.#context, tx, this.path)
      if (!record) throw noSecret(this.path)
      const wanted = versions === 'all' ? record.versions : [...new Set(versions)].map((n) => versionOf(record, n))
      // Who writes here, and may destroy nothing elsewhere, could have named the value of another secret.
      const there = wanted.filter(({ value }) => isBelow(chain, value, zone.values))
      for (const { value } of there) tx.shred(value)
      return there
    })
    if (!gone) return undefined
    const until = new Date(this.#context.now)
    if (!options.tx) {
      for (const { n, value } of gone)
        if (await chain.attachedKey(value)) throw new AteError('KEY_NOT_ERASED', { path: this.path, version: n })
    }
    return {
      path: this.path,
      versions: gone.map(({ n }) => n),
      at: options.tx ? undefined : until,
      backups: gone.map(({ n, at }) => ({ version: n, from: new Date(at), until })),
    }
  }

  /** The newest version as it is now, if it can be read, and each one that comes. Ends with the signal or the chain. */
  async *watch(options: CallOptions = {}): AsyncGenerator<Revealed<T>, void, void> {
    const { chain } = this.#context
    const changes = chain.watch({ type: { name: 'vault.secret' }, ...options })
    let last = 0
    try {
      const now = await this.#newest(last)
      if (now) {
        last = now.version
        yield now
      }
      for await (const _ of changes) {
        const next = await this.#newest(last)
        if (!next) continue
        last = next.version
        yield next
      }
    } finally {
      await changes.return()
    }
  }

  /** The newest version if it is newer than `last` and live. */
  async #newest(last: number): Promise<Revealed<T> | undefined> {
    const info = await this.info()
    return info && info.latest > last && info.state === 'live' ? this.get({ version: info.latest }) : undefined
  }

  async #open(options: PickOptions): Promise<{ readonly version: VersionRecord; readonly plain: Uint8Array }> {
    const { place, version } = await this.#pick(options)
    try {
      return { version, plain: await openVersion(this.#context, place, version) }
    } catch (error) {
      if (!isAteError(error) || error.code !== 'VERSION_DESTROYED') throw error
      // Moved to another zone while its key was asked for, it is sealed anew.
      const moved = await this.#pick(options)
      if (moved.version.value === version.value) throw error
      return { version: moved.version, plain: await openVersion(this.#context, moved.place, moved.version) }
    }
  }

  async #pick(options: PickOptions): Promise<{ readonly place: Place; readonly version: VersionRecord }> {
    const { place, record, layout } = await this.#found(options)
    const { at } = options
    if (at !== undefined && !(at instanceof Date && !Number.isNaN(at.getTime())))
      throw new AteError('BAD_ARGUMENT', { option: 'at', what: 'a Date' })
    const version = at ? versionAt(record, at.getTime()) : versionOf(record, options.version)
    if (!version) throw vaultError('NO_VERSION', { path: this.path, at: at?.toISOString(), latest: record.latest })
    assertReadable(this.path, version, this.#stateIn(version))
    this.#context.assertNotLapsed(layout, place.zone.pattern, 'read')
    return { place, version }
  }

  async #found(options: CallOptions): Promise<{ layout: Layout; place: Place; record: NonNullable<Place['record']> }> {
    const layout = required(await this.#context.layout(options.signal), this.path)
    const place = await findSecret(this.#context, layout, this.path)
    if (!place?.record) throw noSecret(this.path)
    return { layout, place, record: place.record }
  }

  async #change(
    versions: readonly number[] | undefined,
    options: WriteOptions,
    change: (version: VersionRecord) => VersionRecord,
  ): Promise<void> {
    checkNames(options, 'write')
    if (versions !== undefined && !Array.isArray(versions))
      throw new AteError('BAD_ARGUMENT', { what: 'versions are a list of numbers' })
    await this.#context.write(options, async (tx) => {
      const { zone, record } = await placeIn(this.#context, tx, this.path)
      if (!record) throw noSecret(this.path)
      const wanted = new Set((versions ?? [record.latest]).map((n) => versionOf(record, n).n))
      zone.save({ ...record, versions: record.versions.map((one) => (wanted.has(one.n) ? change(one) : one)) })
    })
  }

  async #append(tx: Transaction, place: Place, plain: Uint8Array, options: PutOptions): Promise<VersionRecord> {
    const { now } = this.#context
    const expires = options.expires === undefined ? undefined : atTime(options.expires, now)
    return appendVersion(this.#context, tx, place, {
      path: this.path,
      kind: this.#kind,
      plain: plain.slice(),
      ...(expires === undefined ? {} : { expires }),
      ...(options.meta === undefined ? {} : { meta: options.meta }),
    })
  }

  #stateIn(version: VersionRecord, tx?: Transaction): VersionState {
    // One that a transaction makes just now is not on the chain yet, and is live.
    const isThere = this.#context.chain.has(version.value) || this.#context.isMaking(version.value, tx)
    return stateOf(version, isThere, this.#context.now)
  }

  #version(record: VersionRecord, tx?: Transaction): Version {
    const { n, at, by, expires } = record
    const state = this.#stateIn(record, tx)
    return { n, at: new Date(at), by, state, ...(expires === undefined ? {} : { expires: new Date(expires) }) }
  }

  /** What the schema makes of it. Its messages may quote the value, so they go nowhere. @throws AteError BAD_VALUE */
  async #checked(value: unknown): Promise<T> {
    if (!this.#schema) return value as T
    const result = await this.#schema['~standard'].validate(value)
    if (!result.issues) return result.value
    const [issue] = result.issues
    const at = issue?.path?.map((part) => String(typeof part === 'object' ? part.key : part)).join('.')
    throw new AteError('BAD_VALUE', { path: this.path, at, issues: result.issues.length })
  }
}
