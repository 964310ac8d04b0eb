/**
 * The platform that is a browser: noble's algorithms, no files, and state that lasts as long as the page. Each part is
 * made when it is first asked for; importing this does nothing.
 */
import type { Environment } from '../base/environment.ts'
import { AteError } from '../base/errors.ts'
import { nobleProvider } from '../crypto/noble.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { crc32 } from '../log/crc32.ts'
import type { FileSystem } from '../log/file-system.ts'
import { memoryState } from '../session/memory-state.ts'
import type { Platform } from '../session/platform.ts'
import type { StateStore } from '../session/state-store.ts'
import { browserEnvironment } from './environment.ts'
import { dial } from './sockets.ts'

let environment: Environment | undefined
let state: StateStore | undefined

export const platform: Platform = {
  name: 'browser',
  crc32,
  get crypto(): CryptoProvider {
    return nobleProvider
  },
  get environment(): Environment {
    environment ??= browserEnvironment()
    return environment
  },
  get state(): StateStore {
    state ??= memoryState()
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

function noFiles(path: string): AteError {
  return new AteError('BAD_URL', { path }, { hint: 'a browser has no files here; open memory: or an engine' })
}
