/** What chain.doctor() may find: each code with how bad it is and what to do. docs/ERRORS.md has the same table. */
import type { ErrorFacts } from '../base/errors.ts'

/** `error`: something is wrong now. `warning`: something waits for somebody. `note`: good to know, nothing is wrong. */
export type Severity = 'error' | 'warning' | 'note'

export type FindingCode =
  | 'WRITER_STOPPED'
  | 'DAMAGED_KEYS'
  | 'BAD_WRAP'
  | 'NO_MANAGER'
  | 'STALE_KEYS'
  | 'KEYS_MISSING'
  | 'EMPTY_ROLE'
  | 'UNATTESTED'
  | 'UNADOPTED'
  | 'CLOCK_BEHIND'
  | 'COMPACTION_FAILED'
  | 'OBSERVER_FAILED'
  | 'QUARANTINE'
  | 'LEFTOVERS'
  | 'CERTIFICATE_ENDING'
  | 'EXPIRED'
  | 'RECLAIMABLE'
  | 'CHECKPOINT_DUE'
  | 'SINGLE_MANAGER'
  | 'LEVEL_OLD'

/** Worst first. */
export const FINDINGS: Readonly<Record<FindingCode, readonly [Severity, string]>> = {
  WRITER_STOPPED: [
    'error',
    'this handle writes no more after the error that the facts name; close it, look at the disk, open again',
  ],
  DAMAGED_KEYS: [
    'error',
    'files of the key ring are not whole: what they wrap cannot be opened; restore them from a copy',
  ],
  BAD_WRAP: [
    'error',
    'keys that were wrapped for this identity do not open or do not fit their commitment; somebody else who reads there writes, or sets the policy again, and the next epoch mends it',
  ],
  NO_MANAGER: [
    'error',
    'nobody manages these closed nodes any more; add a member to a role that manages them, if there is one',
  ],
  STALE_KEYS: [
    'warning',
    'readers have left, and the read keys of these nodes are not replaced yet; any write there by who reads it replaces them',
  ],
  KEYS_MISSING: [
    'warning',
    'a policy lets this identity read these nodes, and no key was wrapped for it yet; any write there by who reads it does so',
  ],
  EMPTY_ROLE: [
    'warning',
    'these roles have no members; add one, and set again the read policy of nodes that they alone read',
  ],
  UNATTESTED: [
    'warning',
    'commits of a writer wait for its hybrid signature for longer than a second; see whether it still runs',
  ],
  UNADOPTED: [
    'warning',
    'commits whose certificate is over have no hybrid signature; their identity makes it when it opens the chain for writing, or who manages the root adopts them: chain.adopt(writer)',
  ],
  CLOCK_BEHIND: [
    'warning',
    'the clock of this machine is behind chain time; set it, or find the writer whose clock runs ahead',
  ],
  COMPACTION_FAILED: [
    'warning',
    'the last compaction ended with the error that the facts name; what it had done by then is done. Look at the disk, and compact again',
  ],
  OBSERVER_FAILED: [
    'warning',
    'the observer of this chain has thrown; see the first error in the warnings of the process',
  ],
  QUARANTINE: ['note', 'torn tails were cut off after a crash and kept in quarantine/; look at them or remove them'],
  LEFTOVERS: [
    'note',
    'files of steps that are not finished; a writer that runs is at it, else the next one to open ends them',
  ],
  CERTIFICATE_ENDING: [
    'note',
    'certificates of writers end within the hour; a writer that runs takes a new one by itself',
  ],
  EXPIRED: ['note', 'entities have expired and still stand in the tree; chain.sweep() drops them'],
  RECLAIMABLE: ['note', 'sealed bodies that no entity points to any more; compaction can drop them'],
  CHECKPOINT_DUE: ['note', 'many records came since the newest checkpoint; chain.checkpoint() signs the log as it is'],
  SINGLE_MANAGER: [
    'note',
    'one identity alone manages the root; if it is lost, nobody can change policies. Name a second one, or a role',
  ],
  LEVEL_OLD: [
    'note',
    'this software knows newer rules than the chain follows; once all its writers and readers do, tx.settings({ level })',
  ],
}

export interface Finding {
  readonly code: FindingCode
  readonly severity: Severity
  /** Counts, and ids of the first twenty. */
  readonly facts: ErrorFacts
  /** What to do. */
  readonly advice: string
}

/** Of a list that may be long. */
const SHOWN_MAX = 20

export function finding(code: FindingCode, facts: ErrorFacts): Finding {
  const [severity, advice] = FINDINGS[code]
  return { code, severity, facts, advice }
}

/** One finding about all of `ids`, or none if there is none. */
export function findingAbout(
  code: FindingCode,
  what: string,
  ids: readonly string[],
  facts: ErrorFacts = {},
): Finding[] {
  if (ids.length === 0) return []
  return [finding(code, { [what]: ids.length, first: ids.slice(0, SHOWN_MAX), ...facts })]
}

const ORDER: readonly string[] = Object.keys(FINDINGS)

/** Worst first: the table is in that order. */
export function inOrder(findings: readonly Finding[]): Finding[] {
  return [...findings].sort((a, b) => ORDER.indexOf(a.code) - ORDER.indexOf(b.code))
}
