/**
 * What the bus stores. Below the root stands the bus; below it a node a token of its topics, named by the token and so
 * blinded; below the last one the events of the topic. Who has no keys sees which node an event belongs to, and nothing
 * that says what it is called.
 *
 *   bus 'bus'                                named
 *   ├── t: topic 'order'                     named, one a token
 *   │   └── t: topic 'placed'
 *   │       └── e: event, event, ...         named by its id if it has one, so that it is there once
 *   ├── s: subscription 'books'              named; the cursor
 *   │   ├── dead: letter                     an event that failed too often
 *   │   └── again: letter                    to be delivered once more
 *   └── r: reply                             named by the id of the request
 */
import { defineType, type EntityType, isAteError } from '@ate/core'
import { type Position, parseTopic } from './bus-rules.ts'

/** Names of collections: in clear, so that a server can tell events from cursors. */
export const IN = {
  buses: 'bus',
  topics: 't',
  events: 'e',
  subscriptions: 's',
  dead: 'dead',
  again: 'again',
  replies: 'r',
} as const

export interface StoredBus {
  /** Events up to here are dropped by retention. */
  readonly dropped: Position
}

export interface StoredTopic {
  readonly bus: string
  /** The whole topic up to this token. */
  readonly topic: string
}

/** One letter a field: there are many of them. */
export interface StoredEvent {
  /** data */
  readonly d: unknown
  /** key */
  readonly k?: string
  /** the id that its publisher gave it */
  readonly i?: string
  /** headers */
  readonly h?: Readonly<Record<string, string>>
  /** of a request: chain time until which somebody waits for the reply, Unix ms */
  readonly u?: number
}

export type Order = 'topic' | 'key' | 'none'

export interface StoredSubscription {
  readonly pattern: string
  readonly order: Order
  /** Everything up to here is done. */
  readonly floor: Position
  /** What is done behind the floor, in order. */
  readonly done: readonly Position[]
  /** Events that have failed, and how often. */
  readonly tries: readonly (readonly [Position, number])[]
  /** Counts holders: what an older one commits is refused. */
  readonly fence: number
  /** Who delivers, until when (chain time, Unix ms); 0 if nobody does. */
  readonly holder: string
  readonly until: number
  /** The event at which it stands still, if it halts on poison, and why. */
  readonly halted?: { readonly at: Position; readonly error: string }
}

export interface StoredLetter {
  readonly at: Position
  readonly topic: string
  readonly error: string
  readonly tries: number
}

export interface StoredReply {
  readonly request: string
  readonly data?: unknown
  readonly error?: string
}

// Who may write in a place may have written anything there: what is not of these shapes is BAD_VALUE.
export const BusType: EntityType<StoredBus> = defineType<StoredBus>('bus', { shape: isBus })
export const TopicType: EntityType<StoredTopic> = defineType<StoredTopic>('bus:topic', { shape: isTopic })
export const EventType: EntityType<StoredEvent> = defineType<StoredEvent>('bus:event', { shape: isEvent })
export const SubscriptionType: EntityType<StoredSubscription> = defineType<StoredSubscription>('bus:subscription', {
  shape: isSubscription,
})
export const LetterType: EntityType<StoredLetter> = defineType<StoredLetter>('bus:letter', { shape: isLetter })
export const ReplyType: EntityType<StoredReply> = defineType<StoredReply>('bus:reply', { shape: isReply })

/** What is no value of its type is as what is not there, for who reads one of many. */
export async function readable<T>(reading: T | Promise<T>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (isAteError(error) && error.code === 'BAD_VALUE') return undefined
    throw error
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isOptionalText(value: unknown): boolean {
  return value === undefined || typeof value === 'string'
}

function isBus(value: unknown): boolean {
  return isRecord(value) && Number.isSafeInteger(value['dropped'])
}

function isTopic(value: unknown): boolean {
  if (!isRecord(value) || typeof value['bus'] !== 'string') return false
  try {
    parseTopic(value['topic'])
    return true
  } catch {
    return false
  }
}

function isEvent(value: unknown): boolean {
  if (!isRecord(value)) return false
  const { k, i, h, u } = value
  if (!isOptionalText(k) || !isOptionalText(i) || (u !== undefined && !Number.isFinite(u))) return false
  return h === undefined || (isRecord(h) && Object.values(h).every((text) => typeof text === 'string'))
}

function isSubscription(value: unknown): boolean {
  if (!isRecord(value)) return false
  const { pattern, order, floor, done, tries, fence, holder, until, halted } = value
  return (
    typeof pattern === 'string' &&
    ['topic', 'key', 'none'].includes(order as string) &&
    Number.isSafeInteger(floor) &&
    Array.isArray(done) &&
    done.every(Number.isSafeInteger) &&
    Array.isArray(tries) &&
    tries.every((one) => Array.isArray(one) && one.length === 2 && one.every(Number.isSafeInteger)) &&
    Number.isSafeInteger(fence) &&
    typeof holder === 'string' &&
    Number.isFinite(until) &&
    (halted === undefined || (isRecord(halted) && typeof halted['error'] === 'string'))
  )
}

function isLetter(value: unknown): boolean {
  if (!isRecord(value)) return false
  const { at, topic, error, tries } = value
  return (
    Number.isSafeInteger(at) && typeof topic === 'string' && typeof error === 'string' && Number.isSafeInteger(tries)
  )
}

function isReply(value: unknown): boolean {
  return isRecord(value) && typeof value['request'] === 'string' && isOptionalText(value['error'])
}
