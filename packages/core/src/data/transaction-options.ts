/** What transactions take besides values: places, expiry, retention, settings; and their fields in an event. */
import { type Duration, durationMs } from '../base/duration.ts'
import { AteError } from '../base/errors.ts'
import { type OptionNames, objectOf } from '../base/option-names.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { parseWitnesses, type Witnesses } from '../event/cosignature.ts'
import { FOLD_LEVEL } from '../event/format.ts'
import type { RareFields, RootFields, WitnessFields } from '../event/rare-fields.ts'
import { fingerprintInText } from '../session/identity.ts'
import type { EntityRef } from './entity.ts'
import { checkName } from './entity-type.ts'
import { type CounterInput, POLICY_NAMES, type PolicyInput } from './policy-input.ts'

export interface PlaceOptions {
  /** The entity below which it stands; the root of the chain if left out. */
  readonly parent?: EntityRef
  /** The collection of the parent; the type's name if left out. */
  readonly in?: string
}

export interface ExpiryOptions {
  /** Chain time in Unix ms from which the entity counts as gone. */
  readonly expires?: number | Date
  /** The same, counted from the time of the record. */
  readonly ttl?: Duration
}

export interface RetentionOptions {
  /** Chain time in Unix ms until which nothing changes or deletes the entity; it only grows. */
  readonly retain?: number | Date
  /** Names of holds: as long as it has one, nothing changes or deletes the entity. They never end: see `tx.hold`. */
  readonly holds?: readonly string[]
  /**
   * The entity and all below it are written once: nothing is changed, moved or added, and nothing is deleted before
   * `retain` and while there is a hold. `governance`: who manages the parent may delete it earlier, if he says so.
   * `compliance`: nobody may, and its time must be proven by the witnesses that are named above it when it is locked.
   */
  readonly lock?: 'governance' | 'compliance'
  /** Whose clocks count for what is locked below this entity from now on. */
  readonly witnesses?: Witnesses
  /** 32 bytes that say in clear what was written, for proofs. */
  readonly digest?: Uint8Array
}

export interface DeleteOptions {
  /** Before the time of a lock of mode `governance`. Needs manage at the parent of what is locked. */
  readonly bypass?: 'governance'
}

export interface CreateOptions extends PlaceOptions, PolicyInput, ExpiryOptions, RetentionOptions {
  /** Names the entity: at most one of a name in a collection. Names are blinded: only readers can test a guess. */
  readonly name?: string
  /** Managers of what is above do not manage this entity; give `manage` with it. */
  readonly closed?: boolean
  /** Clear numbers that every replica bounds. */
  readonly counters?: Readonly<Record<string, CounterInput>>
}

export interface ChainSettings {
  /** Ed25519 keys (32 bytes) that sign checkpoints. */
  readonly checkpointKeys?: readonly Uint8Array[]
  /**
   * Who orders records from the next one on: the writers themselves, or servers by their publicId or fingerprint (as text, or
   * its 32 bytes).
   */
  readonly sequencers?: 'writers' | readonly (string | Uint8Array)[]
  /** Level of the rules; it only rises. */
  readonly level?: number
}

export const NO_OPTIONS: CreateOptions = {}
/** Of all that is made, put, moved, kept and let expire: a policy, a time or a place by a misspelt name would not hold. */
const NAMES: OptionNames<CreateOptions> = {
  ...POLICY_NAMES,
  name: true,
  parent: true,
  in: true,
  closed: true,
  counters: true,
  expires: true,
  ttl: true,
  retain: true,
  holds: true,
  lock: true,
  witnesses: true,
  digest: true,
}
/** The name of a collection's single child. */
export const ONLY_CHILD = '.'

/** Refuses a name that no option has, and what is no object. @throws AteError BAD_ARGUMENT */
export function checkOptions(options: CreateOptions): void {
  if (options !== NO_OPTIONS) objectOf(options ?? null, 'options', NAMES)
}

export function placeOf(parent: EntityRef | undefined, collection: string | undefined): PlaceOptions {
  return { ...(parent === undefined ? {} : { parent }), ...(collection === undefined ? {} : { in: collection }) }
}

export function checkedName(name: string): string {
  checkName(name, 'name')
  return name
}

/** True if an option needs a rare field of the event. */
export function hasRare(options: CreateOptions): boolean {
  return (options.expires ?? options.ttl ?? options.counters) !== undefined || hasRetention(options)
}

export function hasRetention({ retain, holds, lock, witnesses, digest }: RetentionOptions): boolean {
  return (retain ?? holds ?? lock ?? witnesses ?? digest) !== undefined
}

/** @throws AteError LEVEL_TOO_HIGH | BAD_ARGUMENT | BAD_PUBLIC_ID */
export function settingsFields(
  crypto: CryptoProvider,
  { level, checkpointKeys, sequencers }: ChainSettings,
): RootFields {
  if (level !== undefined && level > FOLD_LEVEL) throw new AteError('LEVEL_TOO_HIGH', { level, max: FOLD_LEVEL })
  return {
    ...(checkpointKeys === undefined ? {} : { checkpointKeys: checkpointKeys.map(keyBytes) }),
    ...(sequencers === undefined ? {} : { sequencers: sequencersOf(crypto, sequencers) }),
    ...(level === undefined ? {} : { level }),
  }
}

function sequencersOf(
  crypto: CryptoProvider,
  given: NonNullable<ChainSettings['sequencers']>,
): NonNullable<RootFields['sequencers']> {
  if (given === 'writers') return given
  if (!Array.isArray(given) || given.length === 0)
    throw new AteError('BAD_ARGUMENT', { what: "sequencers are 'writers', or a list of servers" })
  return given.map((one) => (typeof one === 'string' ? fingerprintInText(crypto, one) : keyBytes(one)))
}

function keyBytes(key: Uint8Array): Uint8Array {
  if (!(key instanceof Uint8Array) || key.length !== 32)
    throw new AteError('BAD_ARGUMENT', { what: 'a key is 32 bytes' })
  return key
}

function timeOf(time: number | Date): number {
  const ms = typeof time === 'number' ? time : time.getTime()
  if (!Number.isSafeInteger(ms) || ms < 0) throw new AteError('BAD_ARGUMENT', { what: 'a time is Unix ms or a Date' })
  return ms
}

/** @throws AteError BAD_ARGUMENT */
export function retentionFields(crypto: CryptoProvider, options: RetentionOptions): RareFields {
  const { retain, holds, lock, witnesses, digest } = options
  if (lock !== undefined && lock !== 'governance' && lock !== 'compliance')
    throw new AteError('BAD_ARGUMENT', { what: 'a lock is governance or compliance' })
  return {
    ...(retain === undefined ? {} : { retain: timeOf(retain) }),
    ...(holds === undefined ? {} : { holds: holds.map(checkedName) }),
    ...(lock === undefined ? {} : { lock }),
    ...(witnesses === undefined ? {} : { witnesses: witnessFields(crypto, witnesses) }),
    ...(digest === undefined ? {} : { digest: keyBytes(digest).slice() }),
  }
}

function witnessFields(crypto: CryptoProvider, given: Witnesses): WitnessFields {
  const { witnesses, quorum } = parseWitnesses(crypto, given)
  return { keys: witnesses.map(({ name, key }) => ({ name, key })), quorum }
}

export function deletionFields({ bypass }: DeleteOptions): RareFields | undefined {
  if (bypass === undefined) return undefined
  if (bypass !== 'governance') throw new AteError('BAD_ARGUMENT', { what: 'bypass is governance' })
  return { bypass }
}

/** `now` is chain time: years of a duration are counted from it. */
export function expiryFields({ expires, ttl }: ExpiryOptions, now: number): RareFields {
  if (expires !== undefined && ttl !== undefined)
    throw new AteError('BAD_ARGUMENT', { what: 'expires or ttl, not both' })
  if (ttl !== undefined) return { ttl: durationMs(ttl, now) }
  return expires === undefined ? {} : { expires: timeOf(expires) }
}
