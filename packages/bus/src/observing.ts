/**
 * What a bus tells its observer, under the names that OpenTelemetry has for messaging: `attributes` go on a span or a
 * metric as they are. Without an observer nothing is made.
 */
import type { BusEnvironment } from './environment.ts'

export type BusOperation = 'publish' | 'receive' | 'process' | 'settle' | 'drop' | 'dead' | 'lease-lost'

export interface BusObservation {
  readonly operation: BusOperation
  /** messaging.system, messaging.operation.name, messaging.operation.type, messaging.destination.name, ... */
  readonly attributes: Readonly<Record<string, string | number>>
  /** How long it took, in seconds, as the metrics of OpenTelemetry have it. */
  readonly seconds?: number
}

export type BusObserver = (observation: BusObservation) => void

export interface ObservedFacts {
  readonly topic?: string | undefined
  readonly subscription?: string | undefined
  readonly id?: string | undefined
  readonly count?: number
  readonly error?: unknown
  /** Of `start`. */
  readonly since?: number
}

/** Their operation types; what has none there is ours alone. */
const TYPES: Readonly<Partial<Record<BusOperation, string>>> = {
  publish: 'send',
  receive: 'receive',
  process: 'process',
  settle: 'settle',
}

export class BusObserving {
  readonly #observer: BusObserver | undefined
  readonly #environment: BusEnvironment
  #failed = false

  constructor(observer: BusObserver | undefined, environment: BusEnvironment) {
    this.#observer = observer
    this.#environment = environment
  }

  get wanted(): boolean {
    return this.#observer !== undefined
  }

  start(): number {
    return this.#observer === undefined ? 0 : this.#environment.monotonicMs()
  }

  tell(operation: BusOperation, facts: ObservedFacts): void {
    if (this.#observer === undefined) return
    const { topic, subscription, id, count, error, since } = facts
    const type = TYPES[operation]
    const attributes: Record<string, string | number> = {
      'messaging.system': 'ate',
      'messaging.operation.name': operation,
      ...(type === undefined ? {} : { 'messaging.operation.type': type }),
      ...(topic === undefined ? {} : { 'messaging.destination.name': topic }),
      ...(subscription === undefined
        ? {}
        : {
            'messaging.destination.subscription.name': subscription,
            'messaging.consumer.group.name': subscription,
          }),
      ...(id === undefined ? {} : { 'messaging.message.id': id }),
      ...(count === undefined ? {} : { 'messaging.batch.message_count': count }),
      ...(error === undefined ? {} : { 'error.type': errorType(error) }),
    }
    const seconds = since === undefined ? {} : { seconds: (this.#environment.monotonicMs() - since) / 1000 }
    // A later turn: the observer may call the bus, and what it throws reaches nobody who publishes.
    queueMicrotask(() => this.#call({ operation, attributes, ...seconds }))
  }

  #call(observation: BusObservation): void {
    try {
      this.#observer?.(observation)
    } catch (error) {
      if (this.#failed) return
      this.#failed = true
      warn(error)
    }
  }
}

/** The first error of an observer is a warning of the process, where there is one; later ones would be the same. */
function warn(error: unknown): void {
  const { process } = globalThis as { process?: { emitWarning?: (warning: Error) => void } }
  process?.emitWarning?.(error instanceof Error ? error : new Error(String(error)))
}

/** A code, or the name of the class: few values, no text of a message. */
function errorType(error: unknown): string {
  if (typeof error !== 'object' || error === null) return '_OTHER'
  const { code, name } = error as { code?: unknown; name?: unknown }
  return typeof code === 'string' ? code : typeof name === 'string' ? name : '_OTHER'
}
