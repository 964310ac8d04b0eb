/** What the parts of one bus share. */
import { AteError, type Chain, type Creations, type StandardSchema } from '@ate/core'
import type { StoredEvent } from './bus-records.ts'
import { EventType } from './bus-records.ts'
import { matchesTopic, parseTopic } from './bus-rules.ts'
import type { EphemeralCarrier } from './carrier.ts'
import type { BusEnvironment } from './environment.ts'
import { busError } from './errors.ts'
import type { AnyEvent } from './event-types.ts'
import type { StoredPlace } from './log-reader.ts'
import type { BusObserving } from './observing.ts'
import type { TopicTree } from './topic-tree.ts'

export interface BusContext {
  readonly chain: Chain
  readonly name: string
  /** Of its events, as CloudEvents have it: the chain. */
  readonly source: string
  readonly environment: BusEnvironment
  /** Chain time, Unix ms. */
  readonly now: number
  readonly tree: TopicTree
  /** Events without an id: those that are published in one turn go together. */
  readonly creations: Creations
  readonly observing: BusObserving
  /** Undefined if the bus was given none: then every topic is fine. */
  readonly schemas: Readonly<Record<string, StandardSchema>> | undefined
  readonly carrier: EphemeralCarrier
  /** Patterns of topics that are not stored. */
  readonly ephemeral: readonly (readonly string[])[]
  /** Aborts when the bus closes. */
  readonly closing: AbortSignal
}

/** @throws AteError UNKNOWN_TOPIC */
export function schemaOf({ schemas }: BusContext, topic: string): StandardSchema | undefined {
  if (schemas === undefined) return undefined
  if (!Object.hasOwn(schemas, topic)) throw busError('UNKNOWN_TOPIC', { topic })
  return schemas[topic]
}

export function isEphemeral({ ephemeral }: BusContext, topic: string): boolean {
  if (ephemeral.length === 0) return false
  const tokens = parseTopic(topic)
  return ephemeral.some((pattern) => matchesTopic(pattern, tokens))
}

/** The data as the schema gives it: at once, if the schema answers at once. @throws AteError BAD_VALUE */
export function validated(schema: StandardSchema | undefined, topic: string, data: unknown): unknown {
  if (schema === undefined) return data
  const result = schema['~standard'].validate(data)
  return result instanceof Promise ? result.then((late) => settled(late, topic)) : settled(result, topic)
}

function settled(result: Awaited<ReturnType<StandardSchema['~standard']['validate']>>, topic: string): unknown {
  if (!result.issues) return result.value
  const issue = result.issues[0]
  const path = issue?.path?.map((part) => String(typeof part === 'object' ? part.key : part)).join('.')
  throw new AteError('BAD_VALUE', { topic, path, issue: issue?.message, issues: result.issues.length })
}

/**
 * Opens an event: at once where its bytes are at hand and its schema answers at once.
 * @throws AteError BAD_VALUE | NO_READ_KEY | LOCKED | BODY_DROPPED and the errors of altered bytes
 */
export function openEvent(context: BusContext, place: StoredPlace): AnyEvent | Promise<AnyEvent> {
  const stored = place.event.open(EventType)
  return stored instanceof Promise
    ? stored.then((late) => checkEvent(context, place, late))
    : checkEvent(context, place, stored)
}

function checkEvent(context: BusContext, place: StoredPlace, stored: StoredEvent): AnyEvent | Promise<AnyEvent> {
  const schema = context.schemas?.[place.topic]
  if (schema === undefined) return eventOf(context, place, stored, stored.d)
  const data = validated(schema, place.topic, stored.d)
  return data instanceof Promise
    ? data.then((valid) => eventOf(context, place, stored, valid))
    : eventOf(context, place, stored, data)
}

export const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({})

/** Without spreads: this is done for each event that is read. */
function eventOf(context: BusContext, place: StoredPlace, stored: StoredEvent, data: unknown): AnyEvent {
  const { event, topic } = place
  const { seq, index } = event
  const { chain } = context
  const made: Mutable<AnyEvent> = {
    topic,
    data,
    id: stored.i ?? event.entity,
    source: context.source,
    time: new Date(event.at),
    headers: stored.h ?? NO_HEADERS,
    cursor: { chain: chain.id, seq, index },
  }
  if (stored.k !== undefined) made.key = stored.k
  if (stored.u !== undefined) made.until = stored.u
  return made
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }
