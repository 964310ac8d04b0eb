/** A bus over a chain: topics to publish to, and ways to read them. */
import { AteError, type Chain, isChain } from '@ate/core'
import { checkText } from './bus-rules.ts'
import type { BusContext } from './context.ts'
import { type BusEnvironment, ownEnvironment } from './environment.ts'
import type { AnyDelivery, DeliveryFor } from './event-types.ts'
import { type BusObserver, BusObserving } from './observing.ts'
import { outgoing, type Published, type PublishOptions, publishNow, publishWith } from './publishing.ts'
import { DurableSubscription, type SubscribeOptions, type Subscription } from './subscription.ts'
import { TopicTree } from './topic-tree.ts'
import type { InputsOf, OutputsOf, PatternOf, TopicOf, TopicSchemas } from './topic-types.ts'

export interface BusOptions {
  /** Buses of a chain are told apart by name; `bus` if left out. */
  readonly name?: string
  /** Told what happens, under the names of OpenTelemetry. */
  readonly observe?: BusObserver
}

export interface Bus<I, O> extends AsyncDisposable {
  publish<K extends TopicOf<I>>(topic: K, data: I[K], options?: PublishOptions): Promise<Published>
  subscribe<const P extends string>(
    name: string,
    pattern: PatternOf<P, O> & P,
    handler: (event: DeliveryFor<O, P>) => unknown,
    options?: SubscribeOptions,
  ): Subscription
  close(): Promise<void>
}

class OpenBus {
  readonly #context: BusContext
  readonly #closing = new AbortController()
  readonly #open = new Set<Subscription>()

  constructor(chain: Chain, options: BusOptions & { readonly topics?: TopicSchemas }, environment: BusEnvironment) {
    if (!isChain(chain)) throw new AteError('BAD_ARGUMENT', { what: 'a bus stands on a chain' })
    const { name = 'bus', topics, observe } = options
    checkText(name, 'the name of a bus')
    this.#context = {
      chain,
      name,
      environment,
      tree: new TopicTree(chain, name),
      observing: new BusObserving(observe, environment),
      schemas: topics,
      closing: this.#closing.signal,
    }
  }

  async publish(topic: string, data: unknown, options: PublishOptions = {}): Promise<Published> {
    this.#assertOpen()
    const { observing } = this.#context
    const since = observing.start()
    try {
      const checked = outgoing(this.#context, topic, data, options)
      const event = checked instanceof Promise ? await checked : checked
      const published = await (options.tx === undefined
        ? publishNow(this.#context, event)
        : publishWith(this.#context, options.tx, event))
      observing.tell('publish', { topic, id: published.id, since })
      return published
    } catch (error) {
      observing.tell('publish', { topic, error, since })
      throw error
    }
  }

  subscribe(
    name: string,
    pattern: string,
    handler: (event: AnyDelivery) => unknown,
    options: SubscribeOptions = {},
  ): Subscription {
    this.#assertOpen()
    const subscription = new DurableSubscription(this.#context, { name, pattern }, handler, options)
    this.#open.add(subscription)
    const forget = (): unknown => this.#open.delete(subscription)
    subscription.done.then(forget, forget)
    return subscription
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await Promise.all([...this.#open].map((open) => open.close()))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #assertOpen(): void {
    if (this.#closing.signal.aborted) throw new AteError('BUS_CLOSED')
  }
}

/** A bus whose payloads are checked by the schemas of its topics. */
export function bus<const S extends TopicSchemas>(
  chain: Chain,
  options: BusOptions & { readonly topics: S },
  environment?: BusEnvironment,
): Bus<InputsOf<S>, OutputsOf<S>>
/** A bus whose payloads are typed, and not checked. */
export function bus<T extends object = Record<string, unknown>>(
  chain: Chain,
  options?: BusOptions,
  environment?: BusEnvironment,
): Bus<T, T>
export function bus(
  chain: Chain,
  options: BusOptions & { readonly topics?: TopicSchemas } = {},
  environment: BusEnvironment = ownEnvironment,
): Bus<Record<string, unknown>, Record<string, unknown>> {
  return new OpenBus(chain, options, environment) as unknown as Bus<Record<string, unknown>, Record<string, unknown>>
}
