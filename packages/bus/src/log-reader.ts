/**
 * Reads the events of a bus in the order of the log, which is the same for everybody. What is read is where events
 * stand; values are opened by who wants them. A slow reader holds nothing in memory.
 */
import { type ChainEvent, type Duration, durationMs, type EntityId } from '@ate/core'
import { BusType, EventType, IN } from './bus-records.ts'
import { endOfRecord, matchesTopic, type Position, parseTopic, positionOf, seqOfPosition } from './bus-rules.ts'
import type { BusContext } from './context.ts'
import { busError } from './errors.ts'
import type { Cursor } from './event-types.ts'

export type From = 'start' | 'end' | 'last' | Cursor | Date | { readonly ago: Duration }

export interface StoredPlace {
  readonly position: Position
  readonly topic: string
  readonly event: ChainEvent
}

export interface ReadPlaces {
  /** Begins behind this position. */
  readonly after: Position
  readonly pattern: readonly string[]
  /** `end` stops at the newest record; else it goes on with what comes. */
  readonly until?: 'end' | undefined
  readonly signal?: AbortSignal | undefined
  /** Up to where retention has dropped, for who keeps to what it once was; as it is now, if left out. */
  readonly dropped?: Position
}

/** Ends when the signal aborts or the chain closes. */
export async function* readPlaces(context: BusContext, options: ReadPlaces): AsyncGenerator<StoredPlace, void, void> {
  for await (const places of readPlaceBatches(context, options)) for (const place of places) yield place
}

/** The same, those of a record at once. */
export async function* readPlaceBatches(
  context: BusContext,
  options: ReadPlaces,
): AsyncGenerator<readonly StoredPlace[], void, void> {
  const { chain, tree } = context
  const { pattern, signal, until } = options
  const after = Math.max(options.after, options.dropped ?? (await droppedUpTo(context)))
  /** Topics of nodes, undefined for those that are not asked for. */
  const wanted = new Map<EntityId, string | undefined>()
  const from = Math.max(0, seqOfPosition(after + 1))
  const how = { from, type: EventType, ...(until ? { until } : {}), ...(signal ? { signal } : {}) }
  try {
    for await (const events of chain.eventBatches(how)) {
      const places: StoredPlace[] = []
      for (const event of events) {
        if (event.op !== 'create' || event.collection !== IN.events) continue
        const position = positionOf(event.seq, event.index)
        if (position <= after) continue
        const node = event.parent!
        let topic = wanted.get(node)
        if (topic === undefined && !wanted.has(node)) {
          const name = await tree.topicOf(node)
          topic = name !== undefined && matchesTopic(pattern, parseTopic(name)) ? name : undefined
          wanted.set(node, topic)
        }
        if (topic !== undefined) places.push({ position, topic, event })
      }
      if (places.length > 0) yield places
    }
  } catch (error) {
    if (!signal?.aborted) throw error
  }
}

/** What retention has dropped is read by nobody. */
export async function droppedUpTo({ chain, tree }: BusContext): Promise<Position> {
  const bus = await tree.findBus()
  return bus === undefined ? -1 : ((await chain.get(BusType, bus))?.value.dropped ?? -1)
}

/**
 * The position that reading begins behind.
 * @throws AteError BAD_CURSOR for what is no point, or one of another chain
 */
export async function positionBefore(
  context: BusContext,
  from: From,
  { head, pattern }: { readonly head: number; readonly pattern: readonly string[] },
): Promise<Position> {
  if (from === 'start') return -1
  if (from === 'end') return endOfRecord(head)
  if (from === 'last') return beforeLast(context, head, pattern)
  if (from instanceof Date) return beforeTime(context, timeOfDate(from), head)
  if (typeof from === 'object' && from !== null && 'ago' in from) {
    const { now } = context
    return beforeTime(context, now - durationMs(from.ago, now), head)
  }
  return positionOfCursor(context, from)
}

/** The same, for what is stored: a record that is not there yet may never come. @throws AteError BAD_CURSOR */
export async function storedPositionBefore(
  context: BusContext,
  from: From,
  parts: { readonly head: number; readonly pattern: readonly string[] },
): Promise<Position> {
  const position = await positionBefore(context, from, parts)
  if (position > endOfRecord(parts.head))
    throw busError('BAD_CURSOR', { what: 'there is no such record yet', newest: parts.head })
  return position
}

/** @throws AteError BAD_CURSOR */
export function positionOfCursor({ chain }: BusContext, cursor: Cursor): Position {
  const { seq, index } = (typeof cursor === 'object' && cursor !== null ? cursor : {}) as Partial<Cursor>
  const isWhole = (n: unknown, max: number): boolean =>
    Number.isSafeInteger(n) && (n as number) >= 0 && (n as number) <= max
  if (!isWhole(seq, 2 ** 36) || (index !== undefined && !isWhole(index, 65_535)))
    throw busError('BAD_CURSOR', { what: 'a point is start, end, last, a cursor, a Date, or { ago }' })
  if (cursor.chain !== chain.id) throw busError('BAD_CURSOR', { what: 'it belongs to another chain', chain: chain.id })
  return index === undefined ? positionOf(cursor.seq, 0) - 1 : positionOf(cursor.seq, index)
}

/** @throws AteError BAD_CURSOR */
export function timeOfDate(date: Date): number {
  const ms = date.getTime()
  if (!Number.isFinite(ms)) throw busError('BAD_CURSOR', { what: 'it is no valid date' })
  return ms
}

/** Looks at ever longer ends of the log, so that the cost is that of the distance. */
async function beforeLast(context: BusContext, head: number, pattern: readonly string[]): Promise<Position> {
  for (let records = 256; ; records *= 4) {
    const from = Math.max(0, head - records)
    let last: Position | undefined
    for await (const { position } of readPlaces(context, { after: positionOf(from, 0) - 1, pattern, until: 'end' })) {
      if (position <= endOfRecord(head)) last = position
    }
    if (last !== undefined) return last - 1
    if (from === 0) return endOfRecord(head)
  }
}

/** Halves the log by the times of its records, which the writers' clocks give: who reads leaves out what is older. */
async function beforeTime(context: BusContext, time: number, head: number): Promise<Position> {
  let low = 0
  let high = head + 1
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const at = await timeOfRecord(context, middle)
    if (at !== undefined && at < time) low = middle + 1
    else high = middle
  }
  return positionOf(low, 0) - 1
}

async function timeOfRecord({ chain }: BusContext, seq: number): Promise<number | undefined> {
  for await (const record of chain.records({ from: seq })) return record.admittedAt
  return undefined
}
