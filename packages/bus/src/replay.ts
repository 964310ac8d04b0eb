/** Reading events again, from any point: a loop over the log that holds nothing up, and nothing in memory. */
import { AteError, durationMs, type OptionNames, objectOf } from '@ate/core'
import { checkSignal, endOfRecord, type Position, parsePattern } from './bus-rules.ts'
import { type BusContext, openEvent } from './context.ts'
import { busError } from './errors.ts'
import type { AnyEvent } from './event-types.ts'
import { Flat } from './flat.ts'
import {
  type From,
  positionBefore,
  positionOfCursor,
  readPlaceBatches,
  type StoredPlace,
  timeOfDate,
} from './log-reader.ts'

export interface ReplayOptions {
  /** `start` if left out. A cursor begins behind its event; one without index with its record. */
  readonly from?: From
  /** The last point that is read; the newest event of the moment of the call if left out. A cursor's event is read. */
  readonly to?: From
  /** Goes on with what comes, until it is left or the bus is closed. Not beside `to`. */
  readonly live?: boolean
  readonly signal?: AbortSignal
}

const READ_NAMES: OptionNames<ReplayOptions> = { from: true, to: true, live: true, signal: true }

/** Checked at the call; what is read is as of the call. */
export function replay(
  context: BusContext,
  pattern: string,
  options: ReplayOptions,
): AsyncGenerator<AnyEvent, void, void> {
  const tokens = parsePattern(pattern)
  checkSignal(objectOf(options, 'the options of read', READ_NAMES).signal)
  if (options.live && options.to !== undefined)
    throw new AteError('BAD_ARGUMENT', { what: 'read takes to or live, not both' })
  const { signal } = options
  const leaving = new AbortController()
  const open = (place: StoredPlace): AnyEvent | Promise<AnyEvent> => {
    signal?.throwIfAborted()
    return openEvent(context, place)
  }
  const reading = { head: context.chain.head.seq, leaving: leaving.signal }
  return new Flat(untilLeft(context, tokens, options, reading), open, () => leaving.abort())
}

interface Reading {
  /** The newest record of the moment of the call. */
  readonly head: number
  /** Whoever reads wants no more. */
  readonly leaving: AbortSignal
}

/** Ends with its reader, its signal and its bus, also while it waits. What was to come to an end of its own says that it did not. */
async function* untilLeft(
  context: BusContext,
  pattern: readonly string[],
  options: ReplayOptions,
  { head, leaving }: Reading,
): AsyncGenerator<readonly StoredPlace[], void, void> {
  const { closing } = context
  const { signal, live } = options
  const ending = new AbortController()
  const end = (): void => ending.abort()
  const ends = [leaving, closing, ...(signal ? [signal] : [])]
  for (const one of ends) {
    if (one.aborted) end()
    else one.addEventListener('abort', end, { once: true })
  }
  try {
    yield* placesOf(context, pattern, { ...options, signal: ending.signal }, head)
  } finally {
    for (const one of ends) one.removeEventListener('abort', end)
  }
  signal?.throwIfAborted()
  if (closing.aborted && !live && !leaving.aborted) throw busError('BUS_CLOSED')
}

/** Where the events stand that are to be read, those of a record at once. */
async function* placesOf(
  context: BusContext,
  pattern: readonly string[],
  { from = 'start', to, live, signal }: ReplayOptions,
  head: number,
): AsyncGenerator<readonly StoredPlace[], void, void> {
  const after = await positionBefore(context, from, { head, pattern })
  const last = live ? Number.POSITIVE_INFINITY : await lastPosition(context, to, { head, pattern })
  const notBefore = timeOf(context, from) ?? Number.NEGATIVE_INFINITY
  const before = (to === undefined ? undefined : timeOf(context, to)) ?? Number.POSITIVE_INFINITY
  const until = live ? undefined : ('end' as const)
  for await (const places of readPlaceBatches(context, { after, pattern, until, signal })) {
    yield places.filter(({ position, event: { at } }) => position <= last && at >= notBefore && at < before)
    if (places.at(-1)!.position > last) return
  }
}

async function lastPosition(
  context: BusContext,
  to: From | undefined,
  parts: { readonly head: number; readonly pattern: readonly string[] },
): Promise<Position> {
  const end = endOfRecord(parts.head)
  if (to === undefined || to === 'end' || to === 'last') return end
  if (to === 'start') return -1
  if (typeof to === 'object' && to !== null && (to instanceof Date || 'ago' in to)) return end
  const position = positionOfCursor(context, to)
  return Math.min(end, to.index === undefined ? endOfRecord(to.seq) : position)
}

function timeOf({ now }: BusContext, point: From): number | undefined {
  if (point instanceof Date) return timeOfDate(point)
  if (typeof point === 'object' && point !== null && 'ago' in point) return now - durationMs(point.ago, now)
  return undefined
}
