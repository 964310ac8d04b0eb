/**
 * This machine's state as files of mode 0600 in a folder of mode 0700: $ATE_HOME, else $XDG_STATE_HOME/ate, else
 * ~/.local/state/ate (macOS: ~/Library/Application Support/ate, Windows: %LOCALAPPDATA%\ate).
 */
import * as fs from 'node:fs'
import { homedir } from 'node:os'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { AteError, isAteError } from '../base/errors.ts'
import { whatToDo } from '../log/file-errors.ts'
import type { FileLock } from '../log/file-system.ts'
import { assertStateName, assertStatePrefix, type StateStore } from '../session/state-store.ts'
import { lockFolder } from './folder-lock.ts'
import { syncFolder } from './folders.ts'
import { codeOf, readSmallFile, replaceFile } from './secret-files.ts'

/** What decides where the state is; taken from the process where it is left out. */
export interface StatePlace {
  readonly variables: Readonly<Record<string, string | undefined>>
  readonly platform: string
  readonly home: string
}

export function stateLocation(place: StatePlace): string {
  const { variables, platform, home } = place
  if (variables['ATE_HOME']) return resolve(variables['ATE_HOME'])
  // The XDG specification says to ignore a relative path.
  const xdg = variables['XDG_STATE_HOME']
  if (xdg && isAbsolute(xdg)) return join(xdg, 'ate')
  if (platform === 'darwin') return join(home, 'Library', 'Application Support', 'ate')
  if (platform === 'win32') return join(variables['LOCALAPPDATA'] || join(home, 'AppData', 'Local'), 'ate')
  return join(home, '.local', 'state', 'ate')
}

/** Nothing is made on disk before the first `put` or `lock`. */
export function nodeState(location: string = stateLocation(ownPlace())): StateStore {
  const pathOf = (name: string): string => join(location, ...name.split('/'))
  return {
    location,
    async get(name) {
      assertStateName(name)
      return readEntry(location, name, pathOf(name))
    },
    async put(name, bytes) {
      assertStateName(name)
      writing(location, () => {
        makeFolders(location, dirname(pathOf(name)))
        replaceFile(pathOf(name), bytes)
      })
    },
    async remove(name) {
      assertStateName(name)
      writing(location, () => {
        fs.rmSync(pathOf(name), { force: true })
        if (fs.existsSync(dirname(pathOf(name)))) syncFolder(dirname(pathOf(name)))
      })
    },
    async list(prefix) {
      assertStatePrefix(prefix)
      return writing(location, () => namesBelow(location, prefix.slice(0, -1))).sort()
    },
    async lock(name, options) {
      assertStateName(name)
      const folder = join(location, 'locks', ...name.split('/'))
      writing(location, () => makeFolders(location, folder))
      try {
        return await waitForLock(folder, options?.waitMs ?? 0)
      } catch (error) {
        throw unwritable(location, error)
      }
    },
  }
}

/** Between two tries for a lock: short beside what holders do (a file written), long beside a try. */
const LOCK_RETRY_MS = 20
const OTHERS = 0o077
const OTHERS_WRITE = 0o022
/** Public facts, which people read and edit with tools of their own; everything else is closed to reading, too. */
const PUBLIC_ENTRIES = /^(known-chains$|heads\/)/

function ownPlace(): StatePlace {
  return { variables: process.env, platform: process.platform, home: homedir() }
}

function readEntry(location: string, name: string, path: string): Uint8Array | undefined {
  const found = reading(location, () => readSmallFile(path))
  if (!found) return undefined
  const refused = PUBLIC_ENTRIES.test(name) ? OTHERS_WRITE : OTHERS
  if (found.mode !== undefined && (found.mode & refused) !== 0) throw insecure(path, found.mode, '0600')
  return found.bytes
}

/** Each level with mode 0700. A folder of ours that others may write to is no place for heads and identities. */
function makeFolders(location: string, folder: string): void {
  fs.mkdirSync(location, { recursive: true, mode: 0o700 })
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 })
  const { mode } = fs.statSync(location)
  if (process.platform !== 'win32' && (mode & OTHERS_WRITE) !== 0) throw insecure(location, mode & 0o777, '0700')
}

function namesBelow(location: string, name: string): string[] {
  let entries: fs.Dirent[]
  try {
    entries = fs.readdirSync(join(location, ...name.split('/')), { withFileTypes: true })
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return []
    throw error
  }
  // Names with a dot first are files that a crash left half written.
  return entries
    .filter((entry) => !entry.name.startsWith('.'))
    .flatMap((entry) => {
      const below = `${name}/${entry.name}`
      return entry.isDirectory() ? namesBelow(location, below) : [below]
    })
}

async function waitForLock(folder: string, waitMs: number): Promise<FileLock | undefined> {
  const end = performance.now() + waitMs
  for (;;) {
    const lock = await lockFolder(folder)
    if (lock || performance.now() >= end) return lock
    await new Promise((resume) => setTimeout(resume, LOCK_RETRY_MS))
  }
}

function writing<T>(location: string, run: () => T): T {
  try {
    return run()
  } catch (error) {
    throw unwritable(location, error)
  }
}

function unwritable(location: string, error: unknown): AteError {
  if (isAteError(error)) return error
  const reason = codeOf(error)
  const what = reason === 'ERR_ACCESS_DENIED' ? { what: whatToDo(reason) } : {}
  return new AteError('STATE_UNWRITABLE', { location, reason, ...what }, { cause: error })
}

function reading<T>(location: string, run: () => T): T {
  try {
    return run()
  } catch (error) {
    const facts = { location, reason: isAteError(error) ? String(error.facts['reason'] ?? error.code) : codeOf(error) }
    throw new AteError('STATE_UNWRITABLE', facts, { cause: error })
  }
}

function insecure(file: string, mode: number, wanted: string): AteError {
  const facts = { file, mode: mode.toString(8).padStart(4, '0') }
  return new AteError('INSECURE_FILE', facts, { hint: `others can read or change it; set its mode to ${wanted}` })
}
