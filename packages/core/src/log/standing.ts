/**
 * What a copy of a log is for: the one that is written, or one that must not be, so that a chain never goes on in two
 * places. It is kept with the log itself, so that it holds on a machine that remembers nothing.
 *
 *   live        the writer's: read and written
 *   copy        restored or salvaged: read; written once `recover` has said that the original is lost
 *   backup      read; restored elsewhere, never written
 *   moved       `push` has moved the chain to the place in `note`: read
 *   incomplete  a copy that is being made, or was interrupted: neither
 *   destroyed   being destroyed, or interrupted in it: neither
 */
import { AteError } from '../base/errors.ts'

/** In the order of their numbers in files: live is 0. */
export const STANDINGS = ['live', 'copy', 'backup', 'moved', 'incomplete', 'destroyed'] as const
export type StandingState = (typeof STANDINGS)[number]

export interface Standing {
  readonly state: StandingState
  /** Of `moved`: where to, for people; empty otherwise. */
  readonly note: string
}

export const LIVE: Standing = { state: 'live', note: '' }

const READABLE: readonly StandingState[] = ['live', 'copy', 'backup', 'moved']
const WRITABLE: readonly StandingState[] = ['live']

/** @throws AteError CHAIN_COPY | CHAIN_MOVED | CHAIN_INCOMPLETE | CHAIN_DESTROYED unless it may be read, or written */
export function checkStanding(
  { state, note }: Standing,
  purpose: 'read' | 'write',
  allowed: readonly StandingState[] = purpose === 'read' ? READABLE : WRITABLE,
): void {
  if (allowed.includes(state)) return
  if (state === 'moved') throw new AteError('CHAIN_MOVED', { to: note })
  if (state === 'incomplete') throw new AteError('CHAIN_INCOMPLETE')
  if (state === 'destroyed') throw new AteError('CHAIN_DESTROYED')
  if (state === 'live') throw new AteError('CHAIN_EXISTS')
  throw new AteError('CHAIN_COPY', state === 'backup' ? { what: 'a backup: restore it to another place first' } : {})
}
