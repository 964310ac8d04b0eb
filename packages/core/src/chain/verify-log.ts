/**
 * The whole log read again from its medium and judged anew by a fresh replica: links, signatures, roots, bodies against
 * their hashes, attestations, checkpoints. Problems are reported with their places; the first broken record ends the
 * judging, because what follows it hangs on it.
 */
import { equalBytes } from '../base/bytes.ts'
import { type Environment, randomBytes } from '../base/environment.ts'
import { type AteError, type ErrorCode, isAteError, throwIfAborted } from '../base/errors.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { type ParsedWitnesses, parseWitnesses, type Witnesses } from '../event/cosignature.ts'
import { wordAt } from '../event/entity-words.ts'
import type { Head, LogEngine, LogProblem, LogRecord } from '../log/engine.ts'
import { DEAD, DROPPED, ROW } from '../view/entity-table.ts'
import type { ChainCore } from './chain-core.ts'
import { Replica } from './replica.ts'
import { verifyAhead } from './verify-ahead.ts'
import { countVoids } from './voids.ts'
import { type Witnessed, witnessedBy } from './witnessing.ts'

/** Read at a time where an engine gives no records while it scrubs: few new pages are asked for. */
const CHUNK_BYTES: number = 2 * 1024 * 1024

export interface VerifyOptions {
  readonly signal?: AbortSignal
  /** Called now and then with the records that are done. */
  readonly onProgress?: (done: number, total: number) => void
  /** Who must have cosigned a checkpoint; a problem of the report if they have not. */
  readonly witnesses?: Witnesses
}

export interface VerifyProblem {
  readonly code: string
  readonly seq?: number
  readonly segment?: string
  readonly offset?: number
}

export interface VerifyReport {
  readonly ok: boolean
  readonly records: number
  /** Transactions that are stored and void for everybody. */
  readonly voids: number
  readonly checkpoints: number
  /** The newest record up to which every commit is attested by its author's hybrid key. */
  readonly attested: number
  /** Commits that a manager vouched for in the place of their writers. */
  readonly adopted: number
  /** Records that say that a branch in other copies is lost. */
  readonly recoveries: number
  readonly head: { readonly seq: number; readonly hash: Uint8Array } | undefined
  readonly problems: readonly VerifyProblem[]
  /** Of the witnesses that were named: the newest checkpoint that enough of them have cosigned. */
  readonly witnessed?: Witnessed
}

export async function verifyLog(core: ChainCore, options: VerifyOptions): Promise<VerifyReport> {
  const { observing } = core
  const started = observing.start('verify')
  const report = reportOf(await verifyEngine(core, core.replica.head, options))
  const { records, problems } = report
  observing.ended(started, { kind: 'verify', cause: 'verify', records, problems: problems.length })
  for (const { code, ...place } of problems) observing.tell({ kind: 'alarm', code: code as ErrorCode, ...place })
  return report
}

export interface VerifyParts {
  readonly engine: LogEngine
  readonly crypto: CryptoProvider
  readonly environment: Environment
  /** False of a copy whose bodies are fetched when they are read: one that is missing is no loss. */
  readonly holdsBodies?: boolean
}

export interface Verified {
  /** As far as the log could be judged; undefined if not even its genesis could. */
  readonly replica: Replica | undefined
  readonly problems: readonly VerifyProblem[]
  readonly witnessed?: Witnessed | undefined
}

/** Scrubs the log of `engine`, and judges its records up to `until`, which must be the one that stands there. */
export async function verifyEngine(parts: VerifyParts, until: Head, options: VerifyOptions): Promise<Verified> {
  const scrubbed: VerifyProblem[] = []
  const records = scanned(parts.engine, scrubbed, options.signal)
  const judged = await judge(parts, { until, records: goingOn(records) }, options)
  // Whatever the judging has come to, every byte is looked at.
  for await (const _ of records) throwIfAborted(options.signal)
  const { error } = judged
  const isTold = error?.code === 'DAMAGED' && scrubbed.length > 0
  const found = error && !isTold ? [problemOf(parts.engine, error.code, error.facts, judged.seq)] : []
  const unseen = options.witnesses && !judged.witnessed ? [{ code: 'NOT_WITNESSED' }] : []
  return { ...judged, problems: [...scrubbed, ...judged.problems, ...found, ...unseen] }
}

/** All records as far as none is lost, read once where the engine can; what is wrong with the bytes goes to `problems`. */
async function* scanned(
  engine: LogEngine,
  problems: VerifyProblem[],
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly LogRecord[], void, void> {
  const stoppable = signal ? { signal } : {}
  const note = ({ code, segment, offset, firstSeq }: LogProblem): void =>
    void problems.push({ code, segment, offset, seq: firstSeq })
  if (engine.scan) {
    for await (const step of engine.scan(stoppable)) {
      if ('code' in step) note(step)
      else yield step
    }
    return
  }
  for (const problem of await engine.scrub(stoppable)) note(problem)
  yield* engine.read(0, { chunkBytes: CHUNK_BYTES, ...stoppable })
}

/** The same, for one who may stop before the end and leaves the rest to another. */
function goingOn<T>(items: AsyncGenerator<T, void, void>): AsyncIterable<T> {
  return { [Symbol.asyncIterator]: () => ({ next: () => items.next() }) }
}

interface Judged {
  readonly replica: Replica | undefined
  /** The record that was looked at last. */
  readonly seq: number
  readonly problems: readonly VerifyProblem[]
  readonly witnessed: Witnessed | undefined
  /** What ended the judging before `until`. */
  readonly error?: AteError
}

async function judge(
  { engine, crypto, environment, holdsBodies }: VerifyParts,
  { until, records }: { readonly until: Head; readonly records: AsyncIterable<readonly LogRecord[]> },
  options: VerifyOptions,
): Promise<Judged> {
  const { signal } = options
  const witnesses = options.witnesses && parseWitnesses(crypto, options.witnesses)
  const problems: VerifyProblem[] = []
  let witnessed: Witnessed | undefined
  let replica: Replica | undefined
  let seq = 0
  try {
    for await (const chunk of verifyAhead(records, () => replica)) {
      for (const record of chunk) {
        if (record.seq > until.seq) break
        seq = record.seq
        replica = feed(replica, record, { crypto, seed: wordAt(randomBytes(environment.random, 4), 0) })
        if (witnesses) witnessed = judgeWitnesses(crypto, record, witnesses, problems) ?? witnessed
      }
      throwIfAborted(signal)
      options.onProgress?.(seq + 1, until.seq + 1)
      if (seq >= until.seq) break
    }
    if (replica?.head.seq === until.seq && !equalBytes(replica.head.hash, until.hash))
      problems.push({ code: 'FORK', seq: until.seq })
    if (holdsBodies !== false && replica?.head.seq === until.seq)
      for (const at of droppedLive(replica)) problems.push(problemOf(engine, 'BODY_DROPPED', {}, at))
  } catch (error) {
    // A log that was closed meanwhile says nothing of its records.
    if (!isAteError(error) || error === signal?.reason || error.code === 'CHAIN_CLOSED') throw error
    return { replica, seq, problems, witnessed, error }
  }
  return { replica, seq, problems, witnessed }
}

/** A line that does not verify is a problem of its record; what follows does not hang on it. */
function judgeWitnesses(
  crypto: CryptoProvider,
  record: LogRecord,
  witnesses: ParsedWitnesses,
  problems: VerifyProblem[],
): Witnessed | undefined {
  try {
    return witnessedBy(crypto, record, witnesses)
  } catch (error) {
    if (!isAteError(error) || error.code !== 'BAD_COSIGNATURE') throw error
    problems.push({ code: error.code, seq: record.seq })
    return undefined
  }
}

export function reportOf({ replica, problems, witnessed }: Verified): VerifyReport {
  return {
    ok: problems.length === 0,
    records: (replica?.head.seq ?? -1) + 1,
    voids: replica ? countVoids(replica) : 0,
    checkpoints: replica?.checkpoints ?? 0,
    attested: replica?.attestedSeq ?? -1,
    adopted: replica?.adopted ?? 0,
    recoveries: replica?.trust.recoveries.length ?? 0,
    head: replica && { seq: replica.head.seq, hash: replica.head.hash.slice() },
    problems,
    ...(witnessed ? { witnessed } : {}),
  }
}

function feed(
  replica: Replica | undefined,
  record: LogRecord,
  makers: { readonly crypto: Replica['crypto']; readonly seed: number },
): Replica {
  if (!replica) return Replica.open(makers, record)
  replica.accept(record)
  return replica
}

/** Records that lack a body which a living entity points to: compaction drops none of those. */
function droppedLive(replica: Replica | undefined): ReadonlySet<number> {
  const found = new Set<number>()
  const table = replica?.view.table
  for (let row = 0; table && row < table.rows; row++) {
    const flags = table.get(row, ROW.blockAndFlags)
    if ((flags & DROPPED) !== 0 && (flags & DEAD) === 0 && table.get(row, ROW.record) >= 0)
      found.add(table.get(row, ROW.record))
  }
  return found
}

function problemOf(
  engine: LogEngine,
  code: string,
  facts: Readonly<Record<string, unknown>>,
  reading: number,
): VerifyProblem {
  const seq = typeof facts['seq'] === 'number' ? facts['seq'] : reading
  const segment = facts['segment']
  const offset = facts['offset']
  if (typeof segment === 'string' && typeof offset === 'number') return { code, seq, segment, offset }
  return { code, seq, ...engine.place(seq) }
}
