/** What a durable subscription is told, checked when it is made: later nobody would be there to hear of it. */
import { type Duration, type OptionNames, objectOf } from '@ate/core'
import type { Order } from './bus-records.ts'
import { bad, checkSignal, msOf, type RetryOptions, wholeNumber } from './bus-rules.ts'
import type { From } from './log-reader.ts'

const PREFETCH_MAX = 4096
const CONCURRENCY_MAX = 1024
const ORDERS: readonly string[] = ['topic', 'key', 'none']
const ON_POISON: readonly string[] = ['dead', 'halt']

export interface SubscribeOptions {
  /** Where a subscription of a new name begins: `start` if left out. One that is known goes on where it was. */
  readonly from?: From
  /** Closes the subscription. */
  readonly signal?: AbortSignal
  /**
   * `topic` (the default): events of a topic one after the other. `key`: events of a key, across topics; those without a
   * key in no order. `none`.
   */
  readonly order?: Order
  /** Handlers that run at a time; 1 if left out. */
  readonly concurrency?: number
  /** Events that are read ahead; 1,024 if left out, 4,096 at most. */
  readonly prefetch?: number
  readonly retry?: RetryOptions
  /** What becomes of an event that has failed for good: set aside (the default), or everything stands still. */
  readonly onPoison?: 'dead' | 'halt'
  /** How long a member that does nothing more is waited for; 10 s if left out. */
  readonly lease?: Duration
  /** How long one handler may take; without limit if left out. */
  readonly timeout?: Duration
  /** How long close() waits for handlers that run; 5 s if left out. */
  readonly grace?: Duration
}

const SUBSCRIBE_NAMES: OptionNames<SubscribeOptions> = {
  from: true,
  signal: true,
  order: true,
  concurrency: true,
  prefetch: true,
  retry: true,
  onPoison: true,
  lease: true,
  timeout: true,
  grace: true,
}
const RETRY_NAMES: OptionNames<RetryOptions> = { max: true, backoff: true }

/** @throws AteError BAD_ARGUMENT */
export function checkSubscribeOptions(options: SubscribeOptions): void {
  const { concurrency, prefetch, order, onPoison, signal } = objectOf(
    options,
    'the options of a subscription',
    SUBSCRIBE_NAMES,
  )
  const retry = objectOf(options.retry, 'the members of retry', RETRY_NAMES)
  if (concurrency !== undefined) wholeNumber(concurrency, 'concurrency', { min: 1, max: CONCURRENCY_MAX })
  if (prefetch !== undefined) wholeNumber(prefetch, 'prefetch', { min: 1, max: PREFETCH_MAX })
  if (retry?.max !== undefined) wholeNumber(retry.max, 'retry.max', { min: 1, max: 2 ** 31 })
  if (retry?.backoff !== undefined && typeof retry.backoff !== 'function') msOf(retry.backoff, 'retry.backoff')
  if (order !== undefined && !ORDERS.includes(order)) throw bad(`order is ${ORDERS.join(', ')}`, order)
  if (onPoison !== undefined && !ON_POISON.includes(onPoison))
    throw bad(`onPoison is ${ON_POISON.join(' or ')}`, onPoison)
  for (const name of ['lease', 'timeout', 'grace'] as const) {
    const given = options[name]
    if (given !== undefined) msOf(given, name)
  }
  if (options.timeout !== undefined && msOf(options.timeout, 'timeout') === 0) throw bad('timeout: longer than 0', 0)
  checkSignal(signal)
}
