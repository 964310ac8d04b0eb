/**
 * Where the leaves of a commit's tree stand in its clear part, for paths to them; and events out of single runs. Records
 * that are walked here were verified before; runs come from outside.
 */
import { AteError } from '../base/errors.ts'
import { COMMIT_EVENTS_MAX, COMMIT_TXS_MAX } from '../base/limits.ts'
import { ByteReader } from '../codec/writer.ts'
import { bounded, type Dictionary, readBlockHeaders, readDictionary, readEvent, readGuards } from './commit-parse.ts'
import { COMMIT, EVENTS_PER_LEAF } from './format.ts'
import { type BlockBytes, COMPACTED } from './kept-runs.ts'
import type { Guard, TransactionEvent } from './transaction-event.ts'

/** A part of a record: where it begins and ends. */
export interface Span {
  readonly from: number
  readonly to: number
}

export interface TransactionSpans {
  readonly nonce: Uint8Array
  /** From the nonce to the last guard. */
  readonly head: Span
  /** Sixteen events each, the last one fewer. */
  readonly runs: readonly Span[]
  readonly events: readonly TransactionEvent[]
}

export interface CommitSpans {
  readonly dictionary: Span
  readonly blocks: readonly Span[]
  readonly transactions: readonly TransactionSpans[]
}

/** `bytes` are those of the record up to the end of its clear part, at least. @throws AteError BAD_RECORD */
export function spansOfCommit(bytes: Uint8Array): CommitSpans {
  const sizes = new ByteReader(bytes, COMMIT.certificateLength)
  const start = COMMIT.certificate + sizes.u32()
  const input = new ByteReader(bytes, start, start + (sizes.u32() % COMPACTED))
  const dictionary = readDictionary(input)
  const dictionarySpan = { from: start, to: input.at }
  const blocks: Span[] = []
  // Where their bytes stand does not matter here.
  const headers = readBlockHeaders(input, dictionary, (from, to) => blocks.push({ from, to })).map(whole)
  const filled = headers.map(() => 0)
  const transactions: TransactionSpans[] = []
  for (let n = bounded(input, COMMIT_TXS_MAX, 'transactions'); n > 0; n--)
    transactions.push(readSpans(input, dictionary, headers, filled))
  return { dictionary: dictionarySpan, blocks, transactions }
}

function readSpans(
  input: ByteReader,
  dictionary: Dictionary,
  blocks: readonly BlockBytes[],
  filled: number[],
): TransactionSpans {
  const from = input.at
  const nonce = input.raw(16)
  readGuards(input, dictionary)
  const head = { from, to: input.at }
  const count = bounded(input, COMMIT_EVENTS_MAX, 'events')
  const ends: number[] = []
  const first = input.at
  const events: TransactionEvent[] = []
  for (let i = 1; i <= count; i++) {
    events.push(readEvent(input, dictionary, blocks, filled))
    if (i % EVENTS_PER_LEAF === 0 || i === count) ends.push(input.at)
  }
  const runs = ends.map((to, i) => ({ from: ends[i - 1] ?? first, to }))
  return { nonce, head, runs, events }
}

/** Any block may be named: a run does not say how long they are. */
const ANY_BLOCKS: readonly BlockBytes[] = Array.from({ length: 256 }, () => whole({ size: Number.MAX_SAFE_INTEGER }))

function whole({ size }: { readonly size: number }): BlockBytes {
  return { at: 0, size }
}

/**
 * Reads runs that came alone, and what stands before them in their leaf.
 * @throws AteError BAD_RECORD | BAD_CBOR
 */
export function parseRuns(
  dictionaryBytes: Uint8Array,
  headBytes: Uint8Array,
  runs: readonly Uint8Array[],
): { readonly nonce: Uint8Array; readonly guards: readonly Guard[]; readonly events: readonly TransactionEvent[] } {
  const words = new ByteReader(dictionaryBytes)
  const dictionary = readDictionary(words)
  words.done()
  const head = new ByteReader(headBytes)
  const nonce = head.raw(16)
  const guards = readGuards(head, dictionary)
  head.done()
  const filled = ANY_BLOCKS.map(() => 0)
  return { nonce, guards, events: runs.flatMap((run, i) => parseRun(run, dictionary, filled, i === runs.length - 1)) }
}

function parseRun(run: Uint8Array, dictionary: Dictionary, filled: number[], isLast: boolean): TransactionEvent[] {
  const input = new ByteReader(run)
  const events: TransactionEvent[] = []
  while (input.left > 0 && events.length < EVENTS_PER_LEAF)
    events.push(readEvent(input, dictionary, ANY_BLOCKS, filled))
  input.done()
  if (events.length === 0 || (!isLast && events.length < EVENTS_PER_LEAF))
    throw new AteError('BAD_RECORD', { what: 'a run of events', events: events.length })
  return events
}
