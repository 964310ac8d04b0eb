/** A place as openChain takes it, and the engine behind it. */
import { AteError, isAteError } from '../base/errors.ts'
import type { ChainId } from '../base/ids.ts'
import type { Observing } from '../chain/observing.ts'
import type { LogEngine } from '../log/engine.ts'
import type { FileLogOptions } from '../log/file-engine.ts'
import { memoryEngine } from '../log/memory.ts'
import type { StandingState } from '../log/standing.ts'
import type { Platform } from '../session/platform.ts'

/** A path, a database or `memory:` as it was understood. */
export interface Place {
  readonly kind: 'memory' | 'file' | 'indexeddb' | 'engine'
  /** What known-chains calls it; undefined where a place means nothing. */
  readonly name: string | undefined
  readonly open: (options: { readonly create: boolean; readonly label: Uint8Array | undefined }) => Promise<LogEngine>
  /**
   * Destroys what stands there, which nobody has open for writing; left out where only its owner may.
   * @throws AteError CHAIN_NOT_FOUND | CHAIN_LOCKED | WRONG_CHAIN | CHAIN_EXISTS (its standing is none of `standings`) | DAMAGED |
   * READ_ONLY | IO_ERROR
   */
  readonly destroy?: (options: {
    readonly label?: Uint8Array
    readonly standings?: readonly StandingState[]
  }) => Promise<DestroyedLog>
}

export interface DestroyedLog {
  readonly label: Uint8Array | undefined
  /** What it was before. */
  readonly state: StandingState
}

export type PlaceOptions = Pick<FileLogOptions, 'readOnly' | 'onDamage' | 'standing' | 'standings' | 'segmentBytes'> & {
  readonly observing?: Observing
}

/** What a place names; `onDamage: 'keep'` opens a damaged log for what is good before the damage. */
export function parsePlace(at: string | LogEngine, options: PlaceOptions, platform: Platform): Place {
  if (typeof at !== 'string') {
    if (typeof at !== 'object' || at === null || typeof at.append !== 'function')
      throw new AteError('BAD_URL', { given: typeof at })
    return { kind: 'engine', name: undefined, open: async () => at }
  }
  if (at === 'memory:') return { kind: 'memory', name: undefined, open: async () => memoryEngine() }
  if (at.startsWith('indexeddb:')) return databasePlace(at, options, platform)
  if (!at.startsWith('file:') || at === 'file:') throw badPlace(at)
  return filePlace(platform.pathOf(at), options, platform)
}

/** What opens a folder is loaded when it is asked for: a browser never does. */
function filePlace(path: string, options: PlaceOptions, platform: Platform): Place {
  return {
    kind: 'file',
    name: `file:${path}`,
    async open(wanted) {
      // What came before (an identity, the self-test of the cryptography), the engine's modules and the log: a turn each.
      await platform.environment.timers.pause()
      return (await import('./file-place.ts')).openFilePlace(path, { ...options, ...wanted }, platform)
    },
    async destroy(wanted) {
      const { destroyFileLog } = await import('../log/file-destroy.ts')
      return destroyFileLog({ fs: await platform.openFolder(path), crc: platform.crc32, ...wanted })
    },
  }
}

function databasePlace(at: string, options: PlaceOptions, { databases }: Platform): Place {
  const name = at.slice('indexeddb:'.length)
  if (!databases)
    throw new AteError(
      'BAD_URL',
      { given: at.slice(0, 100) },
      { hint: 'only a browser has databases; here a chain is in a folder: file:PATH' },
    )
  if (name.length > DATABASE_NAME_MAX || !DATABASE_NAME.test(name))
    throw new AteError(
      'BAD_URL',
      { given: at.slice(0, 100) },
      { hint: `a database is given as indexeddb:NAME, of at most ${DATABASE_NAME_MAX} letters, digits and - _ . ~ /` },
    )
  const { readOnly = false, standing, standings } = options
  return {
    kind: 'indexeddb',
    name: at,
    open: ({ create, label }) =>
      databases.open(name, {
        readOnly,
        create,
        ...(standing ? { standing } : {}),
        ...(standings ? { standings } : {}),
        ...(label ? { label } : {}),
      }),
    destroy: (wanted) => databases.destroy(name, wanted),
  }
}

/** Characters: it is a line of the known chains, and stands in messages. */
const DATABASE_NAME_MAX = 100
const DATABASE_NAME = /^[\p{L}\p{N}_.~-][\p{L}\p{N}_.~/-]*$/u

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
