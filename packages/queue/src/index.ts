/// <reference lib="esnext.disposable" preserve="true" />
/** @ate/queue: jobs whose effects are in the same commit as "done". The public names, listed by hand. */
import type { Chain, StandardSchema } from '@ate/core'
import { ownEnvironment, type QueueEnvironment } from './environment.ts'
import { QueueHandle } from './queue.ts'
import type { InputOf, OutputOf, Queue, QueueOptions } from './queue-types.ts'

/**
 * The queue of a name on a chain. It is made when it is first used; options that have to be the same for all who use it
 * are stored there, and the first use of another handle with other ones is QUEUE_MISMATCH.
 * @throws AteError BAD_ARGUMENT
 */
export function queue<S extends StandardSchema, R extends StandardSchema = StandardSchema>(
  chain: Chain,
  name: string,
  options: QueueOptions<OutputOf<S>> & {
    /** Checks the data when it is added and when it is leased. */
    readonly data: S
    /** Checks what handlers return. */
    readonly result?: R
  },
  environment?: QueueEnvironment,
): Queue<InputOf<S>, OutputOf<S>, OutputOf<R>>
export function queue<D, R = unknown>(
  chain: Chain,
  name: string,
  options?: QueueOptions<D>,
  environment?: QueueEnvironment,
): Queue<D, D, R>
export function queue<D, R>(
  chain: Chain,
  name: string,
  options: QueueOptions<D> = {},
  environment: QueueEnvironment = ownEnvironment,
): Queue<D, D, R> {
  return new QueueHandle<D, D, R>(chain, name, options, environment)
}

export {
  AteError,
  type Chain,
  createIdentity,
  type Duration,
  defineType,
  type Identity,
  isAteError,
  openChain,
  openIdentity,
  type StandardSchema,
  type Transaction,
  type TxTarget,
} from '@ate/core'
export type { QueueEnvironment } from './environment.ts'
export type { QueueErrorCode } from './errors.ts'
export type {
  AddOptions,
  Counts,
  Handle,
  Job,
  JobInfo,
  JobState,
  Lease,
  Leases,
  Limit,
  ListOptions,
  Queue,
  QueueEvent,
  QueueObservation,
  QueueObserver,
  QueueOptions,
  RepeatWhen,
  ResultOptions,
  When,
  Worker,
  WorkOptions,
} from './queue-types.ts'
export { queueNames } from './queues.ts'
