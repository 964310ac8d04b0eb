/** Waits: for the result of a job, for the next change, for nothing to be left. They keep the process alive. */
import { AteError, type Chain } from '@ate/core'
import type { QueueEnvironment } from './environment.ts'
import type { Follower } from './follower.ts'
import { JobRecord, type JobValue } from './queue-records.ts'

/** How often who waits looks again by himself, in ms: a job may be due without a record that says so. */
const LOOK_MS = 200

export interface WaitingParts {
  readonly chain: Chain
  readonly follower: Follower
  readonly environment: QueueEnvironment
  readonly signal: AbortSignal | undefined
}

/** The next change, or a moment later. @throws the signal's reason */
export async function nextChange({ follower, environment, signal }: WaitingParts): Promise<void> {
  signal?.throwIfAborted()
  let timer: { cancel(): void } | undefined
  let abort: (() => void) | undefined
  const later = new Promise<void>((resolve, reject) => {
    timer = environment.start(LOOK_MS, resolve, 'holds')
    abort = () => reject(signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
  })
  try {
    await Promise.race([follower.change(), later])
  } finally {
    timer?.cancel()
    if (abort) signal?.removeEventListener('abort', abort)
  }
}

/**
 * What the handler of a job returned. `find` gives the job's entity, or undefined as long as it is not there.
 * @throws AteError JOB_FAILED | JOB_CANCELLED | NOT_FOUND | CHAIN_CLOSED
 */
export async function resultOf(
  parts: WaitingParts,
  id: string,
  find: () => Promise<string | undefined>,
): Promise<unknown> {
  const { chain, follower } = parts
  let entity: string | undefined
  for (;;) {
    parts.signal?.throwIfAborted()
    if (follower.isEnded) throw new AteError('CHAIN_CLOSED', { chain: chain.id })
    entity ??= await find()
    if (entity === undefined) {
      await nextChange(parts)
      continue
    }
    const next = nextValue(parts, entity)
    try {
      const job = await chain.get(JobRecord, entity)
      if (!job) throw new AteError('NOT_FOUND', { job: id })
      if (job.value.end !== undefined) return endOf(id, job.value)
      await next.value
    } finally {
      next.leave()
    }
  }
}

function endOf(id: string, value: JobValue): unknown {
  if (value.end === 'done') return value.result
  const error = value.errors?.at(-1)
  throw new AteError(value.end === 'cancelled' ? 'JOB_CANCELLED' : 'JOB_FAILED', { job: id, error })
}

/** Waits for the next value of a job, from now on. */
function nextValue(
  { follower, environment, signal }: WaitingParts,
  entity: string,
): { readonly value: Promise<void>; readonly leave: () => void } {
  let leave = (): void => undefined
  const value = new Promise<void>((resolve, reject) => {
    const stop = follower.onJob(entity, () => resolve())
    const abort = (): void => reject(signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    let timer: { cancel(): void } | undefined
    const hold = (): void => {
      timer = environment.start(60_000, hold, 'holds')
    }
    hold()
    leave = () => {
      stop()
      timer?.cancel()
      signal?.removeEventListener('abort', abort)
    }
  })
  // Left before it came: nobody hears of it.
  value.catch(() => undefined)
  return { value, leave: () => leave() }
}
