/**
 * What the bus decides, without reading or writing: names of topics and what patterns match, positions in the log, when
 * a failed event is tried again, and what retention drops. Time comes in as an argument.
 */
import { AteError, type Duration, durationMs } from '@ate/core'
import { busError } from './errors.ts'

/** Tokens of a topic: each is an entity above its events, and the tree of a chain is at most 32 deep. */
const TOPIC_TOKENS_MAX = 16
/** Characters of one token, and of a topic. */
const TOKEN_LENGTH_MAX = 64
const TOPIC_LENGTH_MAX = 255
/** Events of one record: a position is its seq times this, plus its place in the record. A commit holds no more. */
const POSITION_STEP = 65_536
/** Bytes of an event's headers, as text. Intermediaries of CloudEvents forward at least 64 KiB in all. */
const HEADERS_LENGTH_MAX: number = 16 * 1024
const HEADERS_MAX = 64
/** Characters of a key or an id. */
const KEY_LENGTH_MAX = 255

/** Where an event stands: records, and events in a record, are counted from 0. Positions only grow. */
export type Position = number

const TOKEN = /^[^\s.*>\p{Cc}]+$/u

/** @throws AteError BAD_TOPIC */
export function parseTopic(topic: unknown): string[] {
  const tokens = typeof topic === 'string' && topic.length <= TOPIC_LENGTH_MAX ? topic.split('.') : []
  if (tokens.length === 0 || tokens.length > TOPIC_TOKENS_MAX || !tokens.every(isToken))
    throw busError('BAD_TOPIC', { topic: shown(topic) })
  return tokens
}

/** @throws AteError BAD_PATTERN */
export function parsePattern(pattern: unknown): string[] {
  const tokens = typeof pattern === 'string' && pattern.length <= TOPIC_LENGTH_MAX ? pattern.split('.') : []
  const isGood = (token: string, at: number): boolean =>
    token === '*' || (token === '>' && at === tokens.length - 1) || isToken(token)
  if (tokens.length === 0 || tokens.length > TOPIC_TOKENS_MAX || !tokens.every(isGood))
    throw new AteError('BAD_PATTERN', { pattern: shown(pattern) })
  return tokens
}

/** `*` matches one token, `>` one or more at the end. */
export function matchesTopic(pattern: readonly string[], topic: readonly string[]): boolean {
  for (let i = 0; i < pattern.length; i++) {
    if (pattern[i] === '>') return topic.length > i
    if (i >= topic.length || (pattern[i] !== '*' && pattern[i] !== topic[i])) return false
  }
  return pattern.length === topic.length
}

function isToken(token: string): boolean {
  return token.length <= TOKEN_LENGTH_MAX && TOKEN.test(token)
}

function shown(text: unknown): string {
  return typeof text === 'string' ? text.slice(0, 80) : typeof text
}

export function positionOf(seq: number, index: number): Position {
  return seq * POSITION_STEP + index
}

export function seqOfPosition(position: Position): number {
  return Math.floor(position / POSITION_STEP)
}

export function indexOfPosition(position: Position): number {
  return position % POSITION_STEP
}

/** Behind the last event of a record. */
export function endOfRecord(seq: number): Position {
  return positionOf(seq, POSITION_STEP - 1)
}

/** @throws AteError BAD_ARGUMENT for what is no short text. */
export function checkText(text: unknown, what: string): asserts text is string {
  if (typeof text !== 'string' || text.length === 0 || text.length > KEY_LENGTH_MAX)
    throw new AteError('BAD_ARGUMENT', {
      what: `${what} is text of 1 to ${KEY_LENGTH_MAX} characters`,
      given: typeof text,
    })
}

/** @throws AteError BAD_ARGUMENT */
export function checkHeaders(headers: unknown): asserts headers is Readonly<Record<string, string>> {
  const entries = typeof headers === 'object' && headers !== null ? Object.entries(headers) : undefined
  let length = 0
  for (const [name, value] of entries ?? [])
    length += typeof value === 'string' ? name.length + value.length : Number.NaN
  if (!entries || entries.length > HEADERS_MAX || !(length <= HEADERS_LENGTH_MAX))
    throw new AteError('BAD_ARGUMENT', {
      what: `headers are at most ${HEADERS_MAX} texts of ${HEADERS_LENGTH_MAX} characters in all`,
    })
}

export interface RetryOptions {
  /** Tries of one event before it counts as poison; 5 if left out. */
  readonly max?: number
  /** The pause before the next try, or a function of the tries so far. Left out: 100 ms, doubled each time, 30 s at most. */
  readonly backoff?: Duration | ((tries: number) => Duration)
}

const BACKOFF_FIRST_MS = 100
const BACKOFF_MAX_MS = 30_000
const TRIES_MAX = 5

/** Ms until the next try after `tries` failed ones; undefined if there is none. `random` (0 to 1) spreads the waits. */
export function retryIn(
  options: RetryOptions,
  { tries, random, now }: { readonly tries: number; readonly random: number; readonly now: number },
): number | undefined {
  if (tries >= (options.max ?? TRIES_MAX)) return undefined
  const { backoff } = options
  if (typeof backoff === 'function') return durationMs(backoff(tries), now)
  if (backoff !== undefined) return durationMs(backoff, now)
  const wait = Math.min(BACKOFF_FIRST_MS * 2 ** (tries - 1), BACKOFF_MAX_MS)
  return Math.round(wait * (0.75 + random / 4))
}

export interface Kept {
  readonly events: number
  readonly bytes: number
  /** Time of the oldest kept event, Unix ms. */
  readonly oldestAt: number
}

export interface RetainOptions {
  /** Events older than this are dropped. */
  readonly for?: Duration
  /** Bytes of stored values: beyond, the oldest are dropped. */
  readonly bytes?: number
  /** Events: beyond, the oldest are dropped. */
  readonly count?: number
}

/** Whether the oldest event is to go. */
export function dropsOldest(retain: RetainOptions, kept: Kept, now: number): boolean {
  if (kept.events === 0) return false
  if (retain.count !== undefined && kept.events > retain.count) return true
  if (retain.bytes !== undefined && kept.bytes > retain.bytes) return true
  return retain.for !== undefined && kept.oldestAt < now - durationMs(retain.for, now)
}
