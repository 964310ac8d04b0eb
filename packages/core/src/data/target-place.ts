/**
 * Where a copy of a chain is made: an empty place, or what an interrupted copy left there. Until it is whole, its
 * standing says that it is not, so that no crash leaves half a chain that looks like one.
 */
import { AteError, isAteError } from '../base/errors.ts'
import type { LogEngine } from '../log/engine.ts'
import type { FileLogOptions } from '../log/file-engine.ts'
import type { FileSystem } from '../log/file-system.ts'
import type { StandingState } from '../log/standing.ts'
import type { Platform } from '../session/platform.ts'
import { type Place, parsePlace } from './place.ts'

export interface TargetOptions extends Pick<FileLogOptions, 'segmentBytes'> {
  /** A log of this standing that stands there is gone on with. */
  readonly resume?: 'copy'
  /** Standings of which an earlier try may have left a log: it is destroyed. */
  readonly leftovers?: readonly StandingState[]
}

/**
 * An engine for writing at `to`, empty and `incomplete`, or as `resume` says.
 * @throws AteError CHAIN_EXISTS | NOT_A_CHAIN | CHAIN_LOCKED | BAD_URL (also below another chain's folder) | those of the engine
 */
export async function openTarget(
  to: string | LogEngine,
  options: TargetOptions,
  platform: Platform,
): Promise<LogEngine> {
  const standings: StandingState[] = ['incomplete', ...(options.resume ? [options.resume] : [])]
  const { resume: _, leftovers = ['incomplete', 'destroyed'], ...parts } = options
  const standing = { state: 'incomplete', note: '' } as const
  const place = parsePlace(to, { ...parts, standing, standings }, platform)
  if (place.kind === 'memory')
    throw new AteError(
      'BAD_URL',
      { given: 'memory:' },
      { hint: 'a copy in memory: is gone at once; give a folder, a database or an engine' },
    )
  if (place.kind === 'file') await assertOutside(place.name!.slice('file:'.length), platform)
  if (place.kind === 'engine') return prepareEngine(to as LogEngine, standings)
  await clear(place, leftovers)
  try {
    return await place.open({ create: true, label: undefined })
  } catch (error) {
    // Whatever stands there may not be written over, for whichever reason.
    if (isAteError(error) && OCCUPIED.has(error.code))
      throw new AteError('CHAIN_EXISTS', { place: place.name }, { cause: error })
    throw error
  }
}

const OCCUPIED: ReadonlySet<string> = new Set(['CHAIN_COPY', 'CHAIN_MOVED', 'CHAIN_DESTROYED', 'CHAIN_EXISTS'])

async function prepareEngine(engine: LogEngine, standings: readonly StandingState[]): Promise<LogEngine> {
  const isEmpty = engine.head() === undefined
  if (!isEmpty && !standings.includes(engine.standing.state))
    throw new AteError('CHAIN_EXISTS', { engine: engine.kind })
  if (isEmpty) await engine.setStanding({ state: 'incomplete', note: '' })
  return engine
}

async function clear(place: Place, standings: readonly StandingState[]): Promise<void> {
  try {
    await place.destroy?.({ standings })
  } catch (error) {
    if (!isAteError(error) || (error.code !== 'CHAIN_NOT_FOUND' && error.code !== 'CHAIN_EXISTS')) throw error
  }
}

/** A copy below another chain's folder would be left when that one is destroyed, by whoever takes it for gone. */
async function assertOutside(path: string, platform: Platform): Promise<void> {
  const { MANIFEST } = await import('../log/file-manifest.ts')
  for (let at = path.search(/[/\\][^/\\]*$/); at > 0; at = path.slice(0, at).search(/[/\\][^/\\]*$/)) {
    const holder = path.slice(0, at)
    if (!holds(await platform.openFolder(holder), MANIFEST)) continue
    const hint = `${holder} is the folder of a chain; give a place outside of it`
    throw new AteError('BAD_URL', { given: `file:${path}` }, { hint })
  }
}

function holds(folder: FileSystem, name: string): boolean {
  try {
    folder.open(name, 'read').close()
    return true
  } catch {
    // Not there, or not for us to read: nothing that we could destroy.
    return false
  }
}
