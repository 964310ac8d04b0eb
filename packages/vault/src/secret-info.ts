/** What a list shows of a secret: never its value. */
import { AteError, type Chain, type Duration, durationMs } from '@ate/core'
import type { Context } from './context.ts'
import type { Kind, SecretRecord, VersionRecord } from './vault-records.ts'
import { stateOf, type VersionState } from './vault-rules.ts'

export interface SecretInfo {
  readonly path: string
  readonly kind: Kind
  /** Number of the newest version. */
  readonly latest: number
  readonly updated: Date
  /** Of the newest version. */
  readonly state: VersionState
  readonly expires?: Date
  readonly meta: Readonly<Record<string, string>>
}

export function infoOf({ chain, now }: Context, record: SecretRecord): SecretInfo {
  return infoAt(record, isThere(chain, newestOf(record)), now)
}

/** Of the newest version there ever was; undefined if it is forgotten. */
export function newestOf({ versions, latest }: SecretRecord): VersionRecord | undefined {
  const last = versions.at(-1)
  return last?.n === latest ? last : versions.findLast(({ n }) => n === latest)
}

/** Whether the value of a version stands on the chain. */
export function isThere(chain: Chain, version: VersionRecord | undefined): boolean {
  return version !== undefined && chain.has(version.value)
}

export function infoAt(record: SecretRecord, newestIsThere: boolean, now: number): SecretInfo {
  const { path, kind, latest, meta } = record
  const newest = newestOf(record)
  const state = newest ? stateOf(newest, newestIsThere, now) : 'destroyed'
  const info = { path, kind, latest, updated: new Date(newest?.at ?? 0), state, meta: meta ?? {} }
  return newest?.expires === undefined ? info : { ...info, expires: new Date(newest.expires) }
}

/** Unix ms of a time, or of a duration from now. @throws AteError BAD_ARGUMENT */
export function atTime(time: Duration | Date, now: number): number {
  const ms = time instanceof Date ? time.getTime() : now + durationMs(time, now)
  if (!Number.isSafeInteger(ms) || ms < 0)
    throw new AteError('BAD_ARGUMENT', { what: 'a time is a Date or a duration' })
  return ms
}
