/**
 * What the bus decides, without reading or writing: names of topics and what patterns match, positions in the log, when
 * a failed event is tried again, and what retention drops. Time comes in as an argument.
 */
import { AteError, type Duration, durationMs, errorText, isWellFormed } from '@ate/core'
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
/** Of a group: `respond:` and a topic are one too. */
const SUBSCRIPTION_NAME_MAX: number = TOPIC_LENGTH_MAX + 'respond:'.length
/** Bytes of what names an entity. */
const NAME_BYTES_MAX = 512

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

export function bad(what: string, given: unknown): AteError {
  return new AteError('BAD_ARGUMENT', { what, given: errorText(given, 60) })
}

/** @throws AteError BAD_ARGUMENT for what is no short text. */
export function checkText(text: unknown, what: string, lengthMax: number = KEY_LENGTH_MAX): asserts text is string {
  if (typeof text !== 'string' || text.length === 0 || text.length > lengthMax)
    throw bad(`${what} is text of 1 to ${lengthMax} characters`, typeof text)
  if (!isWellFormed(text)) throw bad(`${what} is well-formed text: it has half a surrogate pair`, typeof text)
}

/** Of what names an entity. @throws AteError BAD_ARGUMENT | RESERVED_NAME */
export function checkEntityName(text: unknown, what: string, lengthMax?: number): asserts text is string {
  checkText(text, what, lengthMax)
  if (new TextEncoder().encode(text).length > NAME_BYTES_MAX)
    throw bad(`${what} is at most ${NAME_BYTES_MAX} bytes`, text)
  if (text.startsWith('ate:')) throw new AteError('RESERVED_NAME', { what, name: text })
}

/** Responders' group are a prefix and a topic. @throws AteError BAD_ARGUMENT | RESERVED_NAME */
export function checkSubscriptionName(name: unknown): asserts name is string {
  checkEntityName(name, 'the name of a subscription', SUBSCRIPTION_NAME_MAX)
}

/** A duration, and how it is called where it is wrong. @throws AteError BAD_ARGUMENT */
export function msOf(duration: Duration, what: string): number {
  try {
    return durationMs(duration, 0)
  } catch {
    throw bad(`${what} is a duration, as 1500, 90s, 15m, 24h`, duration)
  }
}

/** @throws AteError BAD_ARGUMENT */
export function wholeNumber(value: unknown, what: string, { min, max }: { min: number; max: number }): void {
  if (!Number.isSafeInteger(value) || (value as number) < min || (value as number) > max)
    throw bad(`${what} is a whole number from ${min} to ${max}`, value)
}

/** @throws AteError BAD_ARGUMENT */
export function checkSignal(signal: unknown): void {
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw bad('signal is an AbortSignal', signal)
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
  /**
   * The pause before the next try, or a function of the tries so far. Left out, or if the function gives no duration:
   * 100 ms, doubled each time, 30 s at most.
   */
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
  if (typeof backoff === 'function') return givenMs(() => backoff(tries), now) ?? doubledMs(tries, random)
  return backoff === undefined ? doubledMs(tries, random) : durationMs(backoff, now)
}

/** Factors such as 1.5 give parts of a millisecond. What throws, or gives no duration, must not lose the event. */
function givenMs(given: () => Duration, now: number): number | undefined {
  try {
    const wait = given()
    return durationMs(typeof wait === 'number' ? Math.ceil(wait) : wait, now)
  } catch {
    return undefined
  }
}

function doubledMs(tries: number, random: number): number {
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
