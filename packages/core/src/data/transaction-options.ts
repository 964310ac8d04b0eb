/** What transactions take besides values: places, expiry, retention, settings; and their fields in an event. */
import { type Duration, durationMs } from '../base/duration.ts'
import { AteError } from '../base/errors.ts'
import type { RareFields } from '../event/rare-fields.ts'
import type { EntityRef } from './entity.ts'
import { checkName } from './entity-type.ts'
import type { CounterInput, PolicyInput } from './policy-input.ts'

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
  /** Names of holds: as long as it has one, nothing changes or deletes the entity. */
  readonly holds?: readonly string[]
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
  /** Who orders records from the next one on: the writers themselves, or servers by their fingerprints (32 bytes). */
  readonly sequencers?: 'writers' | readonly Uint8Array[]
  /** Level of the rules; it only rises. */
  readonly level?: number
}

export const NO_OPTIONS: CreateOptions = {}
/** The name of a collection's single child. */
export const ONLY_CHILD = '.'

export function placeOf(parent: EntityRef | undefined, collection: string | undefined): PlaceOptions {
  return { ...(parent === undefined ? {} : { parent }), ...(collection === undefined ? {} : { in: collection }) }
}

export function checkedName(name: string): string {
  checkName(name, 'name')
  return name
}

/** True if an option needs a rare field of the event. */
export function hasRare({ expires, ttl, retain, holds, counters }: CreateOptions): boolean {
  return (expires ?? ttl ?? retain ?? holds ?? counters) !== undefined
}

export function keyBytes(key: Uint8Array): Uint8Array {
  if (!(key instanceof Uint8Array) || key.length !== 32)
    throw new AteError('BAD_ARGUMENT', { what: 'a key is 32 bytes' })
  return key
}

function timeOf(time: number | Date): number {
  const ms = typeof time === 'number' ? time : time.getTime()
  if (!Number.isSafeInteger(ms) || ms < 0) throw new AteError('BAD_ARGUMENT', { what: 'a time is Unix ms or a Date' })
  return ms
}

export function retentionFields({ retain, holds }: RetentionOptions): RareFields {
  return {
    ...(retain === undefined ? {} : { retain: timeOf(retain) }),
    ...(holds === undefined ? {} : { holds: holds.map(checkedName) }),
  }
}

/** `now` is chain time: years of a duration are counted from it. */
export function expiryFields({ expires, ttl }: ExpiryOptions, now: number): RareFields {
  if (expires !== undefined && ttl !== undefined)
    throw new AteError('BAD_ARGUMENT', { what: 'expires or ttl, not both' })
  if (ttl !== undefined) return { ttl: durationMs(ttl, now) }
  return expires === undefined ? {} : { expires: timeOf(expires) }
}
