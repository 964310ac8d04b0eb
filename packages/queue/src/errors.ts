/** What queues refuse, and what to do then: docs/ERRORS.md is made from this table. */
import { type ErrorMaker, errorsOf } from '@ate/core'

export const ADVICE = {
  QUEUE_MISMATCH:
    'the queue is stored with other options than these; give the same ones everywhere, or change them with configure()',
  DEPENDENCY_CYCLE: 'these jobs wait for each other; leave one dependency out',
  BAD_CRON: 'this is no cron pattern or no time zone; it has five or six fields, as in 30 4 * * 1-5',
  JOB_FAILED: 'the job is dead: its attempts are used up, or a handler said so; the facts have the last error',
  NO_RESULT: 'the job has not ended within the time that was given, and goes on; ask again, or give it more',
  JOB_CANCELLED: 'the job was cancelled',
  JOB_TIMEOUT: 'the attempt took longer than the timeout of the queue',
} as const

export type QueueErrorCode = keyof typeof ADVICE

declare module '@ate/core' {
  interface KitErrors extends Record<QueueErrorCode, string> {}
}

export const queueError: ErrorMaker<QueueErrorCode> = errorsOf(ADVICE)
