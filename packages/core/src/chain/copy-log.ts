/**
 * Copies records from one log to another, verified on the way by a replica of its own: what is copied is what anybody
 * else would accept. Steps are small and give way to a service that writes meanwhile; memory holds one step and the
 * replica's state.
 */
import { equalBytes } from '../base/bytes.ts'
import { type Environment, randomBytes } from '../base/environment.ts'
import { AteError, throwIfAborted } from '../base/errors.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { wordAt } from '../event/entity-words.ts'
import type { Head, LogEngine, LogRecord } from '../log/engine.ts'
import { Replica, type ReplicaMakers } from './replica.ts'

/** Bytes of one step: some 15 ms of verification where each commit holds one event. */
const STEP_BYTES: number = 128 * 1024

export interface CopyOptions {
  readonly signal?: AbortSignal | undefined
  /** Called after each step with the records that are done. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined
}

export interface CopyParts {
  readonly crypto: CryptoProvider
  readonly environment: Environment
}

/**
 * Copies the records up to seq `until` to the end of `target`, which is empty or holds the first of them, and waits until
 * they have reached its own level.
 * @throws AteError CHAIN_EXISTS (other records stand there), those of records that were altered, and of both engines
 */
export async function copyLog(
  { crypto, environment }: CopyParts,
  source: AsyncIterable<readonly LogRecord[]>,
  target: LogEngine,
  until: number,
  options: CopyOptions,
): Promise<Replica> {
  const makers = { crypto, seed: wordAt(randomBytes(environment.random, 4), 0) }
  const head = target.head()
  let replica: Replica | undefined
  for await (const chunk of source) {
    throwIfAborted(options.signal)
    const records = chunk.filter(({ seq }) => seq <= until)
    for (const record of records) {
      replica = feed(replica, record, makers)
      if (record.seq === head?.seq) checkPrefix(record, head)
    }
    if (!target.label && replica) target.setLabel(replica.chainId)
    await append(
      target,
      records.filter(({ seq }) => seq > (head?.seq ?? -1)),
    )
    await environment.timers.pause()
    options.onProgress?.((replica?.head.seq ?? -1) + 1, until + 1)
    if (replica && replica.head.seq >= until) break
  }
  // Nothing is called copied that is not all there, whatever the source said of itself.
  if (!replica || replica.head.seq !== until)
    throw new AteError('DAMAGED', {
      what: 'records are missing',
      firstSeq: (replica?.head.seq ?? -1) + 1,
      lastSeq: until,
    })
  if (!isAt(target, replica.head)) throw new AteError('CHAIN_EXISTS', { what: 'another history' })
  return replica
}

/** The records of an engine in steps of the size that copyLog wants. */
export function steps(source: LogEngine, signal?: AbortSignal): AsyncIterable<readonly LogRecord[]> {
  return source.read(0, { chunkBytes: STEP_BYTES, ...(signal ? { signal } : {}) })
}

/** Copies the wrapped keys; their number. */
export async function copyRing(source: LogEngine, target: LogEngine, signal?: AbortSignal): Promise<number> {
  const [bad] = source.residue?.().damagedKeys ?? []
  // Perhaps not even its name is left: it would be missing in the copy, and nobody would be told.
  if (bad !== undefined) throw new AteError('DAMAGED', { segment: bad, offset: 0 })
  let keys = 0
  for await (const name of source.ring.names()) {
    throwIfAborted(signal)
    const wrapped = await source.ring.get(name)
    // A name may be erased between the list and the read: then it is to be gone here too.
    if (!wrapped) continue
    await target.ring.put(name, wrapped)
    keys++
  }
  return keys
}

function feed(replica: Replica | undefined, record: LogRecord, makers: ReplicaMakers): Replica {
  if (!replica) return Replica.open(makers, record)
  replica.accept(record)
  return replica
}

function checkPrefix(record: LogRecord, head: Head): void {
  if (!equalBytes(record.hash, head.hash))
    throw new AteError('CHAIN_EXISTS', { what: 'another history', seq: head.seq })
}

async function append(target: LogEngine, batch: readonly LogRecord[]): Promise<void> {
  await target.append(batch, { after: target.head(), durability: target.durability, load: 'group' })
}

export function isAt(engine: LogEngine, head: Head): boolean {
  const found = engine.head()
  return found !== undefined && found.seq === head.seq && equalBytes(found.hash, head.hash)
}
