/** A place as openChain takes it, and the engine behind it. */
import { AteError, isAteError } from '../base/errors.ts'
import type { ChainId } from '../base/ids.ts'
import type { Observing } from '../chain/observing.ts'
import type { LogEngine } from '../log/engine.ts'
import { type FileLogOptions, openFileLog } from '../log/file-engine.ts'
import { memoryEngine } from '../log/memory.ts'
import type { Platform } from '../session/platform.ts'

/** A path or `memory:` as it was understood. */
export interface Place {
  readonly kind: 'memory' | 'file' | 'engine'
  /** What known-chains calls it; undefined where a place means nothing. */
  readonly name: string | undefined
  readonly open: (options: { readonly create: boolean; readonly label: Uint8Array | undefined }) => Promise<LogEngine>
}

/** What a place names; `onDamage: 'keep'` opens a damaged log for what is good before the damage. */
export function parsePlace(
  at: string | LogEngine,
  options: Pick<FileLogOptions, 'readOnly' | 'onDamage' | 'standing' | 'standings' | 'segmentBytes'> & {
    readonly observing?: Observing
  },
  platform: Platform,
): Place {
  if (typeof at !== 'string') {
    if (typeof at !== 'object' || at === null || typeof at.append !== 'function')
      throw new AteError('BAD_URL', { given: typeof at })
    return { kind: 'engine', name: undefined, open: async () => at }
  }
  if (at === 'memory:') return { kind: 'memory', name: undefined, open: async () => memoryEngine() }
  if (!at.startsWith('file:') || at === 'file:') throw badPlace(at)
  const path = platform.pathOf(at)
  const { readOnly = false, onDamage, standing, standings, segmentBytes, observing } = options
  return {
    kind: 'file',
    name: `file:${path}`,
    open: async ({ create, label }) =>
      openFileLog({
        fs: await platform.openFolder(path),
        random: platform.environment.random,
        clock: platform.environment.clock,
        crc32: platform.crc32,
        pause: () => platform.environment.timers.pause(),
        readOnly,
        ...(observing ? { onSync: (tookMs: number) => observing.tell({ kind: 'sync', ms: tookMs }) } : {}),
        ...(onDamage ? { onDamage } : {}),
        ...(standing ? { standing } : {}),
        ...(standings ? { standings } : {}),
        ...(segmentBytes ? { segmentBytes } : {}),
        create,
        ...(label ? { label } : {}),
      }),
  }
}

/** @throws AteError CHAIN_GONE where this machine knows a chain and there is none */
export async function openEngine(
  place: Place,
  want: { readonly create: boolean; readonly label: Uint8Array | undefined; readonly known: ChainId | undefined },
): Promise<LogEngine> {
  try {
    return await place.open(want)
  } catch (error) {
    if (!isAteError(error) || place.name === undefined) throw error
    if (want.known !== undefined && error.code === 'CHAIN_NOT_FOUND') {
      throw new AteError('CHAIN_GONE', { place: place.name, chain: want.known }, { cause: error })
    }
    // The engine knows a folder; what people typed is the place.
    throw new AteError(error.code, { place: place.name, ...error.facts }, { cause: error })
  }
}

/** A path without a scheme is the likeliest mistake. */
function badPlace(at: string): AteError {
  const given = at.slice(0, 100)
  const isPath = at !== '' && at !== 'file:' && !/^[a-z][a-z0-9+.-]+:/i.test(at)
  return new AteError(
    'BAD_URL',
    { given },
    isPath ? { hint: `a folder is given as file:PATH, here file:${given}` } : {},
  )
}
