/**
 * The folder of a server: its identity, and a folder for each chain.
 *
 *   LOCK                one server at a time
 *   server-identity     mode 0600, made at the first start
 *   acknowledged        a time in ms, later than that of all its acknowledgements (mesh/dates.ts); not to be deleted
 *   chains/FOLDER/      one chain; mesh/chain-name.ts says which
 */
import { statfsSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { AteError, isAteError } from '../base/errors.ts'
import { type Fingerprint, fingerprintOf } from '../base/ids.ts'
import { firstRootIn } from '../event/genesis.ts'
import { diskError } from '../log/file-errors.ts'
import { glanceAtLog } from '../log/file-glance.ts'
import { MANIFEST } from '../log/file-manifest.ts'
import { listFolder } from '../log/file-recovery.ts'
import type { FileLock, FileSystem } from '../log/file-system.ts'
import type { StandingState } from '../log/standing.ts'
import { type ChainName, chainOfFolder, folderOfChain } from '../mesh/chain-name.ts'
import { dateBytes, dateIn, type KeptDate } from '../mesh/dates.ts'
import { Holdings } from '../mesh/holdings.ts'
import type { Identity } from '../session/identity.ts'
import type { Passphrase } from '../session/identity-text.ts'
import { openIdentity } from '../session/local-identity.ts'
import type { Platform } from '../session/platform.ts'
import { fingerprintOfKeys } from '../trust/identity-keys.ts'
import { nodeFileSystem } from './file-system.ts'
import { codeOf, readSmallFile, replaceFile } from './secret-files.ts'

const IDENTITY = 'server-identity'
const ACKNOWLEDGED = 'acknowledged'
const CHAINS = 'chains'

export interface ServerFolder {
  /** Absolute. */
  readonly path: string
  readonly identity: Identity
  /** @throws AteError DAMAGED | READ_ONLY | DISK_FULL | IO_ERROR */
  readonly acknowledged: KeptDate
  /** The folder of a chain, whether it is there or not. */
  chainPath(name: ChainName): string
  hasChain(name: ChainName): Promise<boolean>
  /** Names of all chains that have a folder, sorted. Folders that the server did not make are left out. */
  chains(): Promise<readonly ChainName[]>
  /** Opens the folders of its chains, by the platform; on the disk of the system, with locks and open files that do not grow with their number. */
  readonly chainFiles: Pick<Platform, 'openFolder'>
  /** Whose each chain is that is served here, and how long its log is. One that cannot be read is nobody's. */
  holdings(): Promise<Holdings>
  /** What one of them has, which came here by itself. */
  count(name: ChainName, holdings: Holdings): Promise<void>
  /** Bytes that the disk has left for this user; undefined where it does not tell. */
  freeBytes(): number | undefined
  close(): Promise<void>
}

export interface ServerFolderOptions {
  readonly passphrase?: Passphrase
}

/**
 * Opens, or makes, the folder, and holds it.
 * @throws AteError CHAIN_LOCKED | BAD_ARGUMENT | READ_ONLY | DISK_FULL | IO_ERROR; as openIdentity
 */
export async function openServerFolder(
  folder: string,
  options: ServerFolderOptions,
  platform: Platform,
): Promise<ServerFolder> {
  const path = resolve(folder)
  const lock = await held(path)
  try {
    const sealing = options.passphrase === undefined ? {} : { passphrase: options.passphrase }
    const identity = await openIdentity(join(path, IDENTITY), { create: true, ...sealing }, platform)
    return serverFolder(path, { identity, lock, platform })
  } catch (error) {
    await lock.release()
    throw error
  }
}

async function held(path: string): Promise<FileLock> {
  const fs = nodeFileSystem(path)
  const hint = 'another server has this folder; stop it, or give another folder'
  try {
    fs.makeFolder('')
    if (isThere(join(path, MANIFEST))) {
      const what = 'this is the folder of one chain; give a folder for the server, which will hold many'
      throw new AteError('BAD_ARGUMENT', { option: 'data', path }, { hint: what })
    }
    const lock = await fs.lock()
    if (!lock) throw new AteError('CHAIN_LOCKED', { path }, { hint })
    if (!isThere(join(path, CHAINS))) fs.makeFolder(CHAINS)
    fs.syncFolder('')
    return lock
  } catch (cause) {
    if (codeOf(cause) === 'EEXIST' || codeOf(cause) === 'ENOTDIR')
      throw new AteError('BAD_ARGUMENT', { option: 'data', path, wanted: 'a folder' }, { cause })
    throw diskError(cause, { path })
  }
}

function serverFolder(
  path: string,
  { identity, lock, platform }: { readonly identity: Identity; readonly lock: FileLock; readonly platform: Platform },
): ServerFolder {
  const chains = join(path, CHAINS)
  const folders = platform.foldersBelow?.(path) ?? platform
  const count = (name: ChainName, holdings: Holdings): Promise<void> =>
    countChain(name, holdings, join(chains, folderOfChain(name)), { folders, platform })
  return {
    path,
    identity,
    acknowledged: keptDate(join(path, ACKNOWLEDGED)),
    chainPath: (name) => join(chains, folderOfChain(name)),
    hasChain: async (name) => isChain(await folders.openFolder(join(chains, folderOfChain(name)))),
    chains: () => chainsIn(chains, folders),
    chainFiles: folders,
    async holdings() {
      const holdings = new Holdings()
      for (const name of await chainsIn(chains, folders)) await count(name, holdings)
      return holdings
    },
    count,
    freeBytes: () => freeBytesOf(path),
    close: () => lock.release(),
  }
}

function keptDate(file: string): KeptDate {
  return {
    async read() {
      const found = readSmallFile(file)
      return found && dateIn(found.bytes, { path: file })
    },
    async keep(bound) {
      try {
        replaceFile(file, dateBytes(bound))
      } catch (cause) {
        throw isAteError(cause) ? cause : diskError(cause, { path: file })
      }
    },
  }
}

type Folders = Pick<Platform, 'openFolder'>

/** @throws AteError NOT_A_CHAIN if it is a file */
function isChain(fs: FileSystem): boolean {
  return listFolder(fs)?.includes(MANIFEST) ?? false
}

async function chainsIn(path: string, folders: Folders): Promise<readonly ChainName[]> {
  try {
    return (listFolder(await folders.openFolder(path)) ?? [])
      .map(chainOfFolder)
      .filter((name) => name !== undefined)
      .sort()
  } catch (cause) {
    throw new AteError('IO_ERROR', { path, reason: codeOf(cause) }, { cause })
  }
}

/** What was moved away, destroyed, or put here as a backup is no chain of this server. */
const SERVED: ReadonlySet<StandingState> = new Set(['live', 'copy', 'incomplete'])

async function countChain(
  name: ChainName,
  holdings: Holdings,
  path: string,
  { folders, platform: { crypto, crc32 } }: { readonly folders: Folders; readonly platform: Platform },
): Promise<void> {
  const fs = await folders.openFolder(path)
  try {
    const { standing, bytes, firstRecord } = glanceAtLog(fs, crc32)
    if (SERVED.has(standing)) holdings.set(name, ownerIn(firstRecord, crypto), bytes)
  } catch (error) {
    if (!isAteError(error)) throw error
    if (error.code === 'CHAIN_NOT_FOUND') return
    // Whoever asks for it is told what is wrong with it.
    holdings.set(name, undefined, 0)
  }
}

function ownerIn(genesis: Uint8Array | undefined, crypto: Platform['crypto']): Fingerprint | undefined {
  return genesis && fingerprintOf(fingerprintOfKeys(crypto, firstRootIn(genesis)))
}

function freeBytesOf(path: string): number | undefined {
  try {
    const { bavail, bsize } = statfsSync(path)
    return bavail * bsize
  } catch {
    return undefined
  }
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined
}
