/** The copy of a chain that others order: what stands there is verified, and what comes is verified before it is kept. */
import { equalBytes } from '../base/bytes.ts'
import { AteError, isAltered, isAteError, throwIfAborted } from '../base/errors.ts'
import { chainIdOf } from '../base/ids.ts'
import type { Replica } from '../chain/replica.ts'
import { verifyAhead } from '../chain/verify-ahead.ts'
import { feed, makersOf, replay, snapshotsOf } from '../data/open-chain.ts'
import { openEngine, parsePlace } from '../data/place.ts'
import type { LogEngine, LogRecord } from '../log/engine.ts'
import { memoryEngine } from '../log/memory.ts'
import type { Wanted } from './open-ordered.ts'
import type { ServerLink } from './server-link.ts'

/** The copy that this process works on, and what it holds. */
export interface Copy {
  readonly engine: LogEngine
  readonly replica: Replica | undefined
  /** Of one on a disk that cannot be read, or was altered: the engine is another one, in memory, and empty. */
  readonly damage?: AteError
  /** Of one that has what the server does not show: the engine is another one, in memory, and empty. */
  readonly ahead?: Ahead
}

export interface Ahead {
  readonly replica: Replica
  /** What is said of it, unless its rest was declared lost. */
  readonly error: AteError
}

/** The copy, which is written whatever the chain is opened for. */
export async function openCopy({ identity, options, platform }: Wanted): Promise<Copy> {
  const place = parsePlace(options.replica ?? 'memory:', {}, platform)
  let engine: LogEngine | undefined
  try {
    engine = await openEngine(place, { create: true, label: undefined, known: undefined })
    if (!engine.head()) return { engine, replica: undefined }
    const kept = await (await snapshotsOf(engine, identity, options, platform))?.load(
      makersOf(platform),
      options.signal,
    )
    return { engine, replica: await replay(engine, platform, options.signal, { from: kept }) }
  } catch (error) {
    await engine?.close()
    if (options.share && isAteError(error) && error.code === 'CHAIN_LOCKED') {
      const { copyBeside } = await import('./tab-connections.ts')
      return copyBeside({ identity, options, platform })
    }
    if (!place.destroy || !isAteError(error) || !isAltered(error)) throw error
    return { engine: memoryEngine(), replica: undefined, damage: error }
  }
}

/** What is brought up to date: `engine` holds what `replica` has verified. */
interface Filling extends Pick<Wanted, 'options' | 'platform'> {
  readonly engine: LogEngine
}

/** What the server has more than the copy. @throws AteError WRONG_CHAIN, and as ServerLink.catchUp and Replica.accept */
export async function catchUp(filling: Filling, link: ServerLink, replica: Replica | undefined): Promise<Replica> {
  const { engine, options, platform } = filling
  const { signal, onProgress } = options
  if (!engine.head()) engine.setLabel(link.chainId)
  if (replica && !equalBytes(replica.chainId, link.chainId))
    throw new AteError('WRONG_CHAIN', { wanted: chainIdOf(replica.chainId), found: chainIdOf(link.chainId) })
  const { clock } = platform.environment
  const from = (replica?.head.seq ?? -1) + 1
  const began = clock.monotonic()
  const meter =
    onProgress && new (await import('../data/sync-progress.ts')).SyncMeter(link.serverHead.seq + 1 - from, began)
  const told = (chunk: readonly LogRecord[]): void => {
    if (meter) onProgress(meter.add(chunk, clock.monotonic()))
  }
  return take(filling, link.catchUp(from, signal), replica, told)
}

/** Verifies what the server sends, and keeps it in the copy. */
export async function take(
  { engine, platform, options }: Filling,
  records: AsyncIterable<readonly LogRecord[]>,
  behind: Replica | undefined,
  taken: (chunk: readonly LogRecord[]) => void = () => undefined,
): Promise<Replica> {
  const makers = makersOf(platform, options.trust)
  let replica = behind
  for await (const chunk of verifyAhead(records, () => replica)) {
    for (const record of chunk) replica = feed(replica, record, makers, engine)
    const level = engine.durability === 'memory' ? 'memory' : 'os'
    await engine.append(chunk, { after: engine.head(), durability: level, load: 'group' })
    taken(chunk)
    throwIfAborted(options.signal)
  }
  return replica!
}
