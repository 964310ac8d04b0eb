/** Waits: for the result of a job, for the next change, for nothing to be left. They keep the process alive. */
import { AteError, type Chain } from '@ate/core'
import type { QueueEnvironment } from './environment.ts'
import { queueError } from './errors.ts'
import { type Follower, valueOfGone } from './follower.ts'
import { checkSignal, msOf } from './queue-options.ts'
import { JobRecord, type JobValue } from './queue-records.ts'
import type { ResultOptions } from './queue-types.ts'

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

/** The entity of a job. */
export interface FoundJob {
  readonly entity: string
  /** A record before which it was not there: the log behind it tells how it ended, if it is not kept until that is asked for. */
  readonly since?: number
}

export interface Wanted extends ResultOptions {
  /** Undefined as long as it is not there. */
  readonly find: () => Promise<FoundJob | undefined>
  /** What it is if it is not there: as an effect it comes with "done" of another job. */
  readonly missing: 'may come' | 'is an error'
}

/**
 * What the handler of a job returned.
 * @throws AteError JOB_FAILED | JOB_CANCELLED | NO_RESULT | NOT_FOUND | CHAIN_CLOSED and the signal's reason
 */
export async function resultOf(
  parts: Omit<WaitingParts, 'signal'>,
  id: string,
  { signal, timeout, ...wanted }: Wanted,
): Promise<unknown> {
  checkSignal(signal)
  const ends = new AbortController()
  const stop = (): void => ends.abort(signal?.reason)
  if (signal?.aborted) stop()
  else signal?.addEventListener('abort', stop, { once: true })
  const late = (): void => ends.abort(queueError('NO_RESULT', { job: id }))
  const timer =
    timeout === undefined
      ? undefined
      : parts.environment.start(msOf(timeout, 'timeout', parts.chain.now), late, 'holds')
  // Also while a server is asked, which may not answer.
  const ended = new Promise<never>((_, reject) => {
    const end = (): void => reject(ends.signal.reason)
    if (ends.signal.aborted) end()
    else ends.signal.addEventListener('abort', end, { once: true })
  })
  try {
    return await Promise.race([waitFor({ ...parts, signal: ends.signal }, id, wanted), ended])
  } finally {
    timer?.cancel()
    signal?.removeEventListener('abort', stop)
  }
}

async function waitFor(
  parts: WaitingParts,
  id: string,
  { find, missing }: Omit<Wanted, keyof ResultOptions>,
): Promise<unknown> {
  const { chain, follower, signal } = parts
  let found: FoundJob | undefined
  let since: number | undefined
  for (let isFirst = true; ; isFirst = false) {
    signal?.throwIfAborted()
    if (follower.isEnded) throw new AteError('CHAIN_CLOSED', { chain: chain.id })
    const { seq } = chain.head
    found ??= await find()
    if (found === undefined && missing === 'is an error') {
      if (!isFirst) throw new AteError('NOT_FOUND', { job: id })
      // Who gave the id may know more of the chain than this process does.
      await chain.refresh()
      continue
    }
    if (found === undefined) {
      await nextChange(parts)
      continue
    }
    since ??= found.since
    const next = nextValue(parts, found.entity)
    try {
      const job = await chain.get(JobRecord, found.entity)
      const gone = job || since === undefined ? undefined : { from: since + 1, signal }
      const value = job?.value ?? (gone && (await valueOfGone(chain, found.entity, gone)))
      if (value?.end !== undefined) return endOf(id, value)
      if (!job) throw new AteError('NOT_FOUND', { job: id })
      // Here it was open: its end comes behind this, however short its queue keeps it.
      since ??= seq
      await next.value
    } finally {
      next.leave()
    }
  }
}

function endOf(id: string, value: JobValue): unknown {
  if (value.end === 'done') return value.result
  const error = value.errors?.at(-1)
  throw queueError(value.end === 'cancelled' ? 'JOB_CANCELLED' : 'JOB_FAILED', { job: id, error })
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
