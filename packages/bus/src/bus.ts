/** A bus over a chain: topics to publish to, and ways to hear and read them. */
import {
  AteError,
  type Chain,
  Creations,
  type Entity,
  type EntityId,
  isChain,
  type OptionNames,
  objectOf,
  POLICY_NAMES,
  type PolicyInput,
  type StandardSchema,
} from '@ate/core'
import {
  EventType,
  IN,
  LetterType,
  type Order,
  readable,
  type StoredSubscription,
  SubscriptionType,
} from './bus-records.ts'
import {
  bad,
  checkEntityName,
  checkSubscriptionName,
  matchesTopic,
  parsePattern,
  parseTopic,
  type RetainOptions,
  wholeNumber,
} from './bus-rules.ts'
import { localCarrier } from './carrier.ts'
import { type BusContext, isEphemeral } from './context.ts'
import { type BusEnvironment, ownEnvironment } from './environment.ts'
import { busError } from './errors.ts'
import type { AnyDelivery, AnyLiveEvent, DeadEvent, DeliveryFor, EventFor, LiveEventFor } from './event-types.ts'
import { deadLetters, redriveLetters } from './letters.ts'
import { type Listener, type ListenOptions, LiveListener } from './listener.ts'
import { type From, storedPositionBefore } from './log-reader.ts'
import { type BusObserver, BusObserving } from './observing.ts'
import { outgoing, PUBLISH_NAMES, type Published, type PublishOptions, publishNow, publishWith } from './publishing.ts'
import { type ReplayOptions, replay } from './replay.ts'
import {
  ephemeralEvent,
  type RequestOptions,
  Requests,
  type Responder,
  type RespondOptions,
  respond,
} from './requests.ts'
import { Retention } from './retention.ts'
import type { SubscribeOptions } from './subscribe-options.ts'
import { DurableSubscription, type Lag, lagOf, type Subscription } from './subscription.ts'
import { TopicTree } from './topic-tree.ts'
import type { InputsOf, OutputsOf, PatternOf, TopicOf, TopicSchemas } from './topic-types.ts'

export interface BusOptions {
  /** Buses of a chain are told apart by name; `bus` if left out. */
  readonly name?: string
  /**
   * Who reads and writes a bus that is made by this; who reads and writes the root, if left out. Of one that is there, set
   * the policy of the node that `events.node()` gives.
   */
  readonly access?: PolicyInput
  /** What is dropped, the oldest first, whether or not it was read; nothing if left out. */
  readonly retain?: RetainOptions
  /** Patterns of topics that never touch the log: heard by who listens now, in this process. */
  readonly ephemeral?: readonly string[]
  /** Told what happens, under the names of OpenTelemetry. */
  readonly observe?: BusObserver
}

export interface TopicInfo {
  readonly topic: string
  /** Events that are kept. */
  readonly events: number
}

export interface SubscriptionInfo {
  readonly name: string
  readonly pattern: string
  readonly order: Order
  /** Events that are set aside. */
  readonly dead: number
  /** Why it stands still, if it does. */
  readonly halted: string | undefined
}

type OutputOf<R extends StandardSchema> = NonNullable<R['~standard']['types']>['output']

/** A bus: `I` are the types of what is published, `O` of what arrives, by topic. */
export interface Bus<I, O> extends AsyncDisposable {
  /**
   * Resolves when the event is stored; with `{ tx }`, when it is staged.
   * @throws AteError BAD_TOPIC | UNKNOWN_TOPIC | BAD_VALUE | VALUE_TOO_LARGE | BAD_ARGUMENT | BUS_CLOSED and what transact throws
   */
  publish<K extends TopicOf<I>>(topic: K, data: I[K], options?: PublishOptions): Promise<Published>
  /** Hears events from now on, as long as it is fast enough. @throws AteError BAD_PATTERN | BAD_ARGUMENT */
  on<const P extends string>(
    pattern: P & PatternOf<P, O>,
    handler: (event: LiveEventFor<O, P>) => unknown,
    options?: ListenOptions,
  ): Listener
  /**
   * Delivers every event once to the members of this name: returning is done, throwing is tried again. Effects of the
   * handler are committed with the cursor.
   * @throws AteError BAD_PATTERN | BAD_ARGUMENT | NOT_STORED; `done` rejects with SUBSCRIPTION_MISMATCH | SUBSCRIPTION_HALTED
   */
  subscribe<const P extends string>(
    name: string,
    pattern: P & PatternOf<P, O>,
    handler: (event: DeliveryFor<O, P>) => unknown,
    options?: SubscribeOptions,
  ): Subscription
  /** Reads events again, in the order of the log. @throws AteError BAD_PATTERN | BAD_CURSOR | BAD_VALUE */
  read<const P extends string>(
    pattern: P & PatternOf<P, O>,
    options?: ReplayOptions,
  ): AsyncGenerator<EventFor<O, P>, void, void>
  /** Publishes, and waits for the answer of one responder. @throws AteError NO_REPLY | REQUEST_FAILED | BAD_VALUE */
  request<K extends TopicOf<I>, R extends StandardSchema>(
    topic: K,
    data: I[K],
    reply: R,
    options?: RequestOptions,
  ): Promise<OutputOf<R>>
  request<K extends TopicOf<I>>(topic: K, data: I[K], options?: RequestOptions): Promise<unknown>
  /** Answers requests: what the function returns is the reply, what it throws is REQUEST_FAILED there. */
  respond<K extends TopicOf<O>>(
    topic: K,
    responder: (event: LiveEventFor<O, K> & { readonly signal: AbortSignal }) => unknown,
    options?: RespondOptions,
  ): Subscription
  /** Moves the cursor of a subscription, which goes on from there. @throws AteError NOT_FOUND | BAD_CURSOR */
  seek(subscription: string, to: From): Promise<void>
  /** How far a subscription is behind, whoever delivers it. @throws AteError NOT_FOUND */
  lag(subscription: string): Promise<Lag>
  /** Events that a subscription has set aside. @throws AteError NOT_FOUND */
  dead(subscription: string): AsyncGenerator<DeadEvent<O>, void, void>
  /** Delivers what was set aside once more, and lets a halted subscription go on. The number of events. */
  redrive(subscription: string, options?: { readonly limit?: number }): Promise<number>
  /** Topics that have been published to, and that this session can read. */
  topics(): AsyncGenerator<TopicInfo, void, void>
  subscriptions(): AsyncGenerator<SubscriptionInfo, void, void>
  /** The node of a topic in the chain's tree, for policies: what holds there holds for everything below it. */
  node(topic?: TopicOf<I> | (string & {})): Promise<EntityId>
  /** Closes listeners and subscriptions. The chain stays open. */
  close(): Promise<void>
}

interface Closable {
  close(): Promise<void>
}

const BUS_NAMES: OptionNames<BusOptions & { readonly topics?: TopicSchemas }> = {
  name: true,
  access: true,
  retain: true,
  ephemeral: true,
  observe: true,
  topics: true,
}

class OpenBus {
  readonly #context: BusContext
  readonly #closing = new AbortController()
  readonly #open = new Set<Closable>()
  readonly #requests: Requests
  readonly #retention: Retention | undefined

  constructor(chain: Chain, options: BusOptions & { readonly topics?: TopicSchemas }, environment: BusEnvironment) {
    if (!isChain(chain)) throw new AteError('BAD_ARGUMENT', { what: 'a bus stands on a chain' })
    const {
      name = 'bus',
      topics,
      observe,
      ephemeral = [],
      retain,
      access = {},
    } = objectOf(options, 'the options of a bus', BUS_NAMES)
    checkEntityName(name, 'the name of a bus')
    for (const [topic, schema] of Object.entries(objectOf(topics, 'topics') ?? {})) {
      parseTopic(topic)
      if (typeof (schema as Partial<StandardSchema> | undefined)?.['~standard']?.validate !== 'function')
        throw bad(`topics: ${topic} has a schema (Standard Schema)`, schema)
    }
    if (!Array.isArray(ephemeral)) throw bad('ephemeral is a list of patterns', ephemeral)
    objectOf(access, 'the members of access', POLICY_NAMES)
    if (observe !== undefined && typeof observe !== 'function') throw bad('observe is a function', observe)
    this.#context = {
      chain,
      name,
      source: `ate:${chain.id}`,
      environment,
      get now() {
        return environment.now(chain)
      },
      tree: new TopicTree(chain, name, access),
      creations: new Creations(chain),
      observing: new BusObserving(observe, environment),
      schemas: topics,
      carrier: localCarrier(chain, name),
      ephemeral: ephemeral.map(parsePattern),
      closing: this.#closing.signal,
    }
    this.#requests = new Requests(this.#context)
    this.#retention = retain && new Retention(this.#context, retain)
  }

  async publish(topic: string, data: unknown, options: PublishOptions = {}): Promise<Published> {
    this.#assertOpen()
    const { observing } = this.#context
    const since = observing.start()
    try {
      const published = await this.#publish(topic, data, options)
      observing.tell('publish', { topic, id: published.id, since })
      return published
    } catch (error) {
      observing.tell('publish', { topic, error, since })
      throw error
    }
  }

  async #publish(topic: string, data: unknown, options: PublishOptions): Promise<Published> {
    objectOf(options, 'the options of publish', PUBLISH_NAMES)
    const checked = outgoing(this.#context, topic, data, options)
    const event = checked instanceof Promise ? await checked : checked
    const { tx } = options
    if (isEphemeral(this.#context, topic)) {
      if (tx !== undefined) throw busError('NOT_STORED', { topic, what: 'it cannot be part of a transaction' })
      const id = options.id ?? this.#context.environment.uniqueId()
      this.#context.carrier.send(ephemeralEvent(this.#context, { topic, id, data: event.stored.d }, options))
      return { id }
    }
    return tx === undefined ? publishNow(this.#context, event) : publishWith(this.#context, tx, event)
  }

  on(pattern: string, handler: (event: AnyLiveEvent) => unknown, options: ListenOptions = {}): Listener {
    this.#assertOpen()
    return this.#keep((ended) => new LiveListener(this.#context, pattern, handler, options, ended))
  }

  subscribe(
    name: string,
    pattern: string,
    handler: (event: AnyDelivery) => unknown,
    options: SubscribeOptions = {},
  ): Subscription {
    this.#assertOpen()
    this.#assertStored(pattern)
    return this.#keep((ended) => new DurableSubscription(this.#context, { name, pattern }, handler, options, ended))
  }

  read(pattern: string, options: ReplayOptions = {}): ReturnType<typeof replay> {
    this.#assertOpen()
    this.#assertStored(pattern)
    return replay(this.#context, pattern, options)
  }

  /** A pattern that an ephemeral one covers has nothing in the log, ever. */
  #assertStored(pattern: string): void {
    const tokens = parsePattern(pattern)
    if (this.#context.ephemeral.some((covering) => matchesTopic(covering, tokens)))
      throw busError('NOT_STORED', { pattern })
  }

  async request(
    topic: string,
    data: unknown,
    replyOrOptions?: StandardSchema | RequestOptions,
    more?: RequestOptions,
  ): Promise<unknown> {
    this.#assertOpen()
    objectOf(replyOrOptions, 'the options of request, or the schema of the reply')
    const isSchema = replyOrOptions !== undefined && '~standard' in replyOrOptions
    const reply = isSchema ? (replyOrOptions as StandardSchema) : undefined
    return this.#requests.request(topic, data, reply, (isSchema ? more : (replyOrOptions as RequestOptions)) ?? {})
  }

  respond(topic: string, responder: Responder, options: RespondOptions = {}): Subscription {
    this.#assertOpen()
    return this.#keep((ended) => respond(this.#context, topic, responder, options, ended))
  }

  async seek(subscription: string, to: From): Promise<void> {
    this.#assertOpen()
    const { chain } = this.#context
    const { id, value } = await this.#cursorOf(subscription)
    const pattern = parsePattern(value.pattern)
    const floor = await storedPositionBefore(this.#context, to, { head: chain.head.seq, pattern })
    await chain.transact((tx) =>
      tx.update(SubscriptionType, id, ({ halted: _, ...now }) => ({
        ...now,
        floor,
        done: [],
        tries: [],
        fence: now.fence + 1,
        holder: '',
        until: 0,
      })),
    )
  }

  async lag(subscription: string): Promise<Lag> {
    this.#assertOpen()
    const { value } = await this.#cursorOf(subscription)
    return lagOf(this.#context, value, parsePattern(value.pattern))
  }

  async *dead(subscription: string): ReturnType<typeof deadLetters> {
    this.#assertOpen()
    yield* deadLetters(this.#context, (await this.#cursorOf(subscription)).id)
  }

  async redrive(subscription: string, options: { readonly limit?: number } = {}): Promise<number> {
    const { limit = Number.POSITIVE_INFINITY } = objectOf(options, 'the options of redrive', { limit: true })
    this.#assertOpen()
    if (limit !== Number.POSITIVE_INFINITY) wholeNumber(limit, 'limit', { min: 1, max: Number.MAX_SAFE_INTEGER })
    return redriveLetters(this.#context.chain, (await this.#cursorOf(subscription)).id, limit)
  }

  async #cursorOf(name: string): Promise<Entity<StoredSubscription>> {
    checkSubscriptionName(name)
    const { chain, tree } = this.#context
    const parent = await tree.busToRead()
    const found = parent && (await chain.named(SubscriptionType, name, { parent, in: IN.subscriptions }))
    if (!found) throw new AteError('NOT_FOUND', { subscription: name })
    return found
  }

  async *topics(): AsyncGenerator<TopicInfo, void, void> {
    this.#assertOpen()
    const { chain, tree } = this.#context
    for await (const { topic, node } of tree.topics()) {
      const events = chain.children(EventType, node, IN.events).count()
      if (events > 0) yield { topic, events }
    }
  }

  async *subscriptions(): AsyncGenerator<SubscriptionInfo, void, void> {
    this.#assertOpen()
    const { chain, tree } = this.#context
    const bus = await tree.busToRead()
    if (bus === undefined) return
    for (const id of chain.children(SubscriptionType, bus, IN.subscriptions).ids()) {
      const found = await readable(chain.get(SubscriptionType, id))
      if (found?.name === undefined) continue
      const { pattern, order, halted } = found.value
      const dead = chain.children(LetterType, id, IN.dead).count()
      yield { name: found.name, pattern, order, dead, halted: halted?.error }
    }
  }

  async node(topic?: string): Promise<EntityId> {
    this.#assertOpen()
    const { tree } = this.#context
    if (topic === undefined) return tree.bus()
    parseTopic(topic)
    return tree.node(topic)
  }

  async close(): Promise<void> {
    if (!this.#closing.signal.aborted) this.#closing.abort()
    await Promise.all([...this.#open].map((open) => open.close()))
    await this.#requests.close()
    await this.#retention?.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Until it says that it has ended. Its `done` is its owner's: a look at it here would have nobody hear of a failure. */
  #keep<C extends Closable>(make: (ended: () => void) => C): C {
    let hasEnded = false
    let made: C | undefined
    made = make(() => {
      hasEnded = true
      if (made) this.#open.delete(made)
    })
    if (!hasEnded) this.#open.add(made)
    return made
  }

  #assertOpen(): void {
    if (this.#closing.signal.aborted) throw busError('BUS_CLOSED')
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
