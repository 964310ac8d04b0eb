/** An expected refusal is a value: why a transaction, or a whole commit, is void. */
import type { ErrorCode, ErrorFacts } from '../base/errors.ts'

export interface Refusal {
  readonly code: ErrorCode
  readonly facts: ErrorFacts
}

export function refuse(code: ErrorCode, facts: ErrorFacts = {}): Refusal {
  return { code, facts }
}

/** Refusals of a whole commit: its number was not taken, so no attestation covers it. */
export const NUMBER_NOT_TAKEN: ReadonlySet<string> = new Set([
  'CERT_UNKNOWN',
  'CERT_ENDED',
  'SEQ_USED',
  'SEQ_GAP',
  'UNKNOWN_WRITER',
])
