/** What a list shows of a secret: never its value. */
import { AteError, type Duration, durationMs } from '@ate/core'
import type { Context } from './context.ts'
import type { Kind, SecretRecord } from './vault-records.ts'
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

export function infoOf(context: Context, { path, kind, latest, versions, meta }: SecretRecord): SecretInfo {
  const newest = versions.findLast(({ n }) => n === latest)
  const state = newest ? stateOf(newest, context.chain.has(newest.value), context.now) : 'destroyed'
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
