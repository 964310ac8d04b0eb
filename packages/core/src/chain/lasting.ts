/**
 * What a machine has of an identity that outlives its processes: places to write from, each with a certificate and an outbox, and
 * what is left in those of processes and tabs that died. Loaded for such identities alone.
 */
import type { StateStore } from '../session/state-store.ts'
import type { CoreParts } from './chain-core.ts'
import { type Hand, openWriter } from './kept-writing.ts'
import { LeftBehind, type LeftBehindParts } from './left-behind.ts'
import { Outbox } from './outbox.ts'
import { restoreCommits } from './restored-commits.ts'
import { takeWriterPlace, type WriterPlace } from './writer-places.ts'

export interface Lasting {
  /** As WriterPlaceOptions has it. */
  place(which: 'any' | 'left', except?: ReadonlySet<string>): Promise<WriterPlace | undefined>
  /** Takes the place over. Undefined: others have all of them, and nothing is kept. */
  open(place: WriterPlace | undefined): Promise<Hand>
  readonly restore: typeof restoreCommits
  leftBehind(parts: Omit<LeftBehindParts, 'lasting'>): LeftBehind
}

export function lastingOf(parts: CoreParts): Lasting {
  const { identity, replica } = parts
  const state: StateStore = parts.state
  const lasting: Lasting = {
    place: (which, except) =>
      takeWriterPlace(state, {
        chain: replica.chainId,
        identity: identity.fingerprint,
        which,
        ...(except ? { except } : {}),
      }),
    async open(place) {
      const writer = await openWriter(parts, place)
      return { writer, outbox: place && new Outbox(state, place.outbox) }
    },
    restore: restoreCommits,
    leftBehind: (of) => new LeftBehind({ ...of, lasting }),
  }
  return lasting
}
