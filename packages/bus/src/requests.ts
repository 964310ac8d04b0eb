/**
 * Requests and replies. On a stored topic the request is an event, and the reply is committed with the cursor of the
 * responders' group: so each request is answered once. On an ephemeral topic neither touches the log.
 */
import {
  AteError,
  type Duration,
  durationMs,
  isAteError,
  type OptionNames,
  objectOf,
  type StandardSchema,
} from '@ate/core'
import { IN, ReplyType, readable, type StoredReply } from './bus-records.ts'
import { checkHeaders, checkSignal, checkText, msOf, parseTopic } from './bus-rules.ts'
import { type BusContext, isEphemeral, NO_HEADERS, schemaOf, validated } from './context.ts'
import { describe } from './describe.ts'
import { busError } from './errors.ts'
import type { AnyDelivery, AnyLiveEvent } from './event-types.ts'
import { outgoing, publishNow } from './publishing.ts'
import type { SubscribeOptions } from './subscribe-options.ts'
import { DurableSubscription, type Subscription } from './subscription.ts'

export interface RequestOptions {
  /** How long a reply is waited for; 30 s if left out. */
  readonly timeout?: Duration
  readonly signal?: AbortSignal
  readonly key?: string
  readonly headers?: Readonly<Record<string, string>>
}

export interface RespondOptions {
  /** Responders of one group share the requests; the topic's name if left out. */
  readonly group?: string
  readonly signal?: AbortSignal
  /** Requests that are answered at a time; 16 if left out. */
  readonly concurrency?: number
  /** How long one answer may take; without limit if left out. */
  readonly timeout?: Duration
}

const REQUEST_NAMES: OptionNames<RequestOptions> = { timeout: true, signal: true, key: true, headers: true }
const RESPOND_NAMES: OptionNames<RespondOptions> = { group: true, signal: true, concurrency: true, timeout: true }

const TIMEOUT_MS = 30_000
const CONCURRENCY = 16
/** Requests of one bus that wait for their replies. */
const PENDING_MAX = 65_536
/** A reply that nobody fetches is dropped by the next sweep, this many ms after its request has run out. */
const REPLY_KEPT_MS = 60_000
/** Replies that were fetched are deleted together, after this many ms. */
const CLEAN_MS = 1000
const CLEAN_MAX = 1000

interface Pending {
  readonly resolve: (reply: StoredReply) => void
  readonly reject: (error: unknown) => void
}

export class Requests {
  readonly #context: BusContext
  readonly #pending = new Map<string, Pending>()
  readonly #fetched: string[] = []
  #following: AbortController | undefined
  #cleaning: (() => void) | undefined

  constructor(context: BusContext) {
    this.#context = context
  }

  /** @throws AteError NO_REPLY | REQUEST_FAILED | BAD_VALUE and what publish throws */
  async request(
    topic: string,
    data: unknown,
    reply: StandardSchema | undefined,
    options: RequestOptions,
  ): Promise<unknown> {
    checkSignal(objectOf(options, 'the options of request', REQUEST_NAMES).signal)
    if (options.timeout !== undefined) msOf(options.timeout, 'timeout')
    options.signal?.throwIfAborted()
    const answer = isEphemeral(this.#context, topic)
      ? await this.#ask(topic, data, options)
      : await this.#send(topic, data, options)
    if (answer.error !== undefined) throw busError('REQUEST_FAILED', { topic, error: answer.error })
    return validated(reply, topic, answer.data)
  }

  async #send(topic: string, data: unknown, options: RequestOptions): Promise<StoredReply> {
    const { now, environment } = this.#context
    const ms = durationMs(options.timeout ?? TIMEOUT_MS, now)
    if (this.#pending.size >= PENDING_MAX) throw busError('OVERFLOW', { requests: PENDING_MAX })
    const id = environment.uniqueId()
    const { key, headers } = options
    const event = await outgoing(this.#context, topic, data, {
      id,
      until: now + ms,
      ...(key === undefined ? {} : { key }),
      ...(headers === undefined ? {} : { headers }),
    })
    return this.#wait({ id, topic, ms, signal: options.signal }, async () => {
      this.#follow()
      await publishNow(this.#context, event)
    })
  }

  async #ask(topic: string, data: unknown, options: RequestOptions): Promise<StoredReply> {
    const { now, carrier, environment } = this.#context
    const ms = durationMs(options.timeout ?? TIMEOUT_MS, now)
    const id = environment.uniqueId()
    const { stored } = await outgoing(this.#context, topic, data, { ...options, id })
    const event = ephemeralEvent(this.#context, { topic, id, data: stored.d, until: now + ms }, options)
    const running = carrier.ask(event)
    if (!running) throw busError('NO_REPLY', { topic, ms: 0 })
    return this.#wait({ id, topic, ms, signal: options.signal }, async () => {
      const reply = await running.then(
        (value) => ({ request: id, data: value }),
        (error) => ({ request: id, error: describe(error) }),
      )
      this.#pending.get(id)?.resolve(reply)
    })
  }

  async #wait(
    request: {
      readonly id: string
      readonly topic: string
      readonly ms: number
      readonly signal: AbortSignal | undefined
    },
    start: () => Promise<void>,
  ): Promise<StoredReply> {
    const { id, topic, ms, signal } = request
    const { environment, closing } = this.#context
    let cancel: (() => void) | undefined
    const onAbort = (): void => this.#pending.get(id)?.reject(signal?.reason)
    const onClose = (): void => this.#pending.get(id)?.reject(busError('BUS_CLOSED'))
    signal?.addEventListener('abort', onAbort, { once: true })
    closing.addEventListener('abort', onClose, { once: true })
    try {
      return await new Promise<StoredReply>((resolve, reject) => {
        this.#pending.set(id, { resolve, reject })
        cancel = environment.timer(ms, () => reject(busError('NO_REPLY', { topic, ms })))
        start().catch(reject)
      })
    } finally {
      cancel?.()
      signal?.removeEventListener('abort', onAbort)
      closing.removeEventListener('abort', onClose)
      this.#pending.delete(id)
      if (this.#pending.size === 0) this.#stopFollowing()
    }
  }

  /** Replies are looked for while somebody waits for one. */
  #follow(): void {
    if (this.#following) return
    const following = new AbortController()
    this.#following = following
    this.#readReplies(following.signal).catch((error) => {
      if (following.signal.aborted) return
      this.#following = undefined
      for (const { reject } of this.#pending.values()) reject(error)
    })
  }

  async #readReplies(signal: AbortSignal): Promise<void> {
    const { chain, tree } = this.#context
    for await (const event of chain.events({ from: chain.head.seq + 1, type: ReplyType, signal })) {
      // Whoever knows of a request may make what is called a reply in a place of his own.
      if (event.op !== 'create' || event.collection !== IN.replies || event.parent !== (await tree.findBus())) continue
      const reply = await readable(event.value(ReplyType))
      const pending = reply && this.#pending.get(reply.request)
      if (!pending) continue
      pending.resolve(reply)
      this.#cleanLater(event.entity)
    }
  }

  #stopFollowing(): void {
    this.#following?.abort()
    this.#following = undefined
  }

  #cleanLater(reply: string): void {
    this.#fetched.push(reply)
    this.#cleaning ??= this.#context.environment.timer(CLEAN_MS, () => {
      this.#cleaning = undefined
      void this.#clean()
    })
  }

  /** A reply that stays has an end of its own: it does not matter if this does not work. */
  async #clean(): Promise<void> {
    const replies = this.#fetched.splice(0, CLEAN_MAX)
    if (replies.length === 0) return
    try {
      await this.#context.chain.transact((tx) => {
        for (const reply of replies) tx.delete(reply)
      })
    } catch (error) {
      if (!isAteError(error)) throw error
      this.#context.observing.tell('drop', { error, count: replies.length })
    }
  }

  async close(): Promise<void> {
    this.#stopFollowing()
    this.#cleaning?.()
    this.#cleaning = undefined
    while (this.#fetched.length > 0) await this.#clean()
  }
}

/** What travels on an ephemeral topic. */
export function ephemeralEvent(
  { source, now }: BusContext,
  parts: { readonly topic: string; readonly id: string; readonly data: unknown; readonly until?: number },
  { key, headers }: { readonly key?: string; readonly headers?: Readonly<Record<string, string>> },
): AnyLiveEvent {
  const { topic, id, data, until } = parts
  if (key !== undefined) checkText(key, 'a key')
  if (headers !== undefined) checkHeaders(headers)
  return {
    topic,
    data,
    id,
    source,
    time: new Date(now),
    ...(key === undefined ? {} : { key }),
    headers: headers ?? NO_HEADERS,
    ...(until === undefined ? {} : { until }),
    cursor: undefined,
  }
}

export type Responder = (event: AnyLiveEvent & { readonly signal: AbortSignal }) => unknown

/** Answers the requests of a topic. */
export function respond(
  context: BusContext,
  topic: string,
  responder: Responder,
  options: RespondOptions,
  ended: () => void,
): Subscription {
  const {
    group = topic,
    concurrency = CONCURRENCY,
    signal,
    timeout,
  } = objectOf(options, 'the options of respond', RESPOND_NAMES)
  checkText(group, 'a group')
  if (typeof responder !== 'function')
    throw new AteError('BAD_ARGUMENT', { what: 'respond takes a function of an event' })
  const wanted: SubscribeOptions = {
    from: 'end',
    order: 'none',
    concurrency,
    ...(signal ? { signal } : {}),
    ...(timeout === undefined ? {} : { timeout }),
  }
  schemaOf(context, topic)
  parseTopic(topic)
  if (isEphemeral(context, topic)) return respondHere(context, topic, responder, { signal, ended })
  const name = `respond:${group}`
  return new DurableSubscription(
    context,
    { name, pattern: topic },
    (event) => answer(context, event, responder),
    wanted,
    ended,
  )
}

/** Those who answer an ephemeral topic take turns, whatever their group. */
function respondHere(
  { carrier }: BusContext,
  topic: string,
  responder: Responder,
  { signal, ended }: { readonly signal: AbortSignal | undefined; readonly ended: () => void },
): Subscription {
  const closing = new AbortController()
  const stop = carrier.answer(topic, async (event) => responder({ ...event, signal: closing.signal }))
  const done = new Promise<void>((resolve) => closing.signal.addEventListener('abort', () => resolve(), { once: true }))
  const close = async (): Promise<void> => {
    stop()
    closing.abort()
    ended()
  }
  signal?.addEventListener('abort', close, { once: true })
  return {
    ready: Promise.resolve(),
    done,
    lag: async () => ({ events: 0, ms: 0 }),
    drain: async () => undefined,
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** An error is an answer too: the one who asks hears of it at once, and the next request is not held up. */
async function answer(context: BusContext, delivery: AnyDelivery, responder: Responder): Promise<void> {
  const { now, tree } = context
  const { until, id } = delivery
  if (until === undefined || until < now) return
  let reply: StoredReply
  try {
    const data = await responder(delivery)
    reply = data === undefined ? { request: id } : { request: id, data }
  } catch (error) {
    if (delivery.signal.aborted) throw error
    reply = { request: id, error: describe(error) }
  }
  const bus = await tree.bus()
  delivery.effect((tx) => {
    tx.create(ReplyType, reply, { parent: bus, in: IN.replies, expires: until + REPLY_KEPT_MS })
  })
}
