/**
 * The platform that is a browser: noble's algorithms with WebCrypto where it helps, no files, logs and state in IndexedDB.
 * Where a page has no IndexedDB, state lasts as long as the page. Each part is made when it is first asked for; importing
 * this does nothing.
 */
import type { Environment } from '../base/environment.ts'
import { AteError } from '../base/errors.ts'
import type { JoinTabs } from '../base/sharing.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { crc32 } from '../log/crc32.ts'
import type { LogDatabases } from '../log/database.ts'
import type { FileSystem } from '../log/file-system.ts'
import { memoryState } from '../session/memory-state.ts'
import type { Platform } from '../session/platform.ts'
import type { StateStore } from '../session/state-store.ts'
import { browserProvider } from './crypto-browser.ts'
import { browserEnvironment } from './environment.ts'
import { canKeepState, databaseState } from './indexeddb-state.ts'
import { dial } from './sockets.ts'

let environment: Environment | undefined
let state: StateStore | undefined

export const platform: Platform = {
  name: 'browser',
  crc32,
  get crypto(): CryptoProvider {
    return browserProvider
  },
  get environment(): Environment {
    environment ??= browserEnvironment()
    return environment
  },
  get state(): StateStore {
    state ??= canKeepState() ? databaseState() : memoryState()
    return state
  },
  files: {
    async read(path) {
      throw noFiles(path)
    },
    async create(path) {
      throw noFiles(path)
    },
  },
  variable(): undefined {
    return undefined
  },
  pathOf(place: string): string {
    throw noFiles(place)
  },
  async openFolder(path: string): Promise<FileSystem> {
    throw noFiles(path)
  },
  dial,
  whenOnline(run: () => void): { cancel(): void } {
    globalThis.addEventListener('online', run, { once: true })
    return { cancel: () => globalThis.removeEventListener('online', run) }
  },
  get tabs(): JoinTabs | undefined {
    return globalThis.navigator?.locks && globalThis.BroadcastChannel ? tabs : undefined
  },
  get databases(): LogDatabases | undefined {
    return globalThis.indexedDB === undefined ? undefined : databases
  },
  channel(): undefined {
    return undefined
  },
  warn(error: unknown): void {
    console.warn(error)
  },
  async resolveTxt(name: string): Promise<never> {
    throw new AteError('PIN_UNAVAILABLE', { name }, { hint: 'a browser asks no DNS; pass the id of the chain' })
  },
}

/** Loaded with the first chain that tabs share. */
const tabs: JoinTabs = async (options) => (await import('./tabs.ts')).joinTabs(options)

/** The engine is loaded with the first chain in a database: a page whose chains are on a server has none. */
const databases: LogDatabases = {
  async open(name, options) {
    const { logDatabases } = await import('./indexeddb-logs.ts')
    return logDatabases(crc32).open(name, options)
  },
  async destroy(name, options) {
    const { logDatabases } = await import('./indexeddb-logs.ts')
    return logDatabases(crc32).destroy(name, options)
  },
}

function noFiles(path: string): AteError {
  return new AteError('BAD_URL', { path }, { hint: 'a browser has no files; open indexeddb:NAME' })
}
