/** An expected refusal is a value: why a transaction, or a whole commit, is void. */
import type { ErrorCode, ErrorFacts } from '../base/errors.ts'

export interface Refusal {
  readonly code: ErrorCode
  readonly facts: ErrorFacts
}

export function refuse(code: ErrorCode, facts: ErrorFacts = {}): Refusal {
  return { code, facts }
}
