/** A refusal because an object is kept: until when, and by which matters. */
import { AteError } from '@ate/core'

export class RetentionError extends AteError {
  /** Undefined if only holds keep it. */
  readonly until: Date | undefined
  /** Matters. */
  readonly holds: readonly string[]

  constructor(
    { name, until, holds }: { readonly name: string; readonly until: number; readonly holds: readonly string[] },
    options?: { readonly cause?: unknown },
  ) {
    super('RETAINED', { name, until: until > 0 ? new Date(until).toISOString() : undefined, holds }, options)
    this.name = 'RetentionError'
    this.until = until > 0 ? new Date(until) : undefined
    this.holds = holds
  }
}
