/** The platform that is Node. Each part is made when it is first asked for; importing this does nothing. */
import { channel as diagnosticsChannel } from 'node:diagnostics_channel'
import { resolveTxt } from 'node:dns/promises'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Environment } from '../base/environment.ts'
import { AteError } from '../base/errors.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { type Crc32, crc32 } from '../log/crc32.ts'
import type { FileSystem } from '../log/file-system.ts'
import { ClientTickets } from '../mesh/client-tickets.ts'
import type { Channel, Platform } from '../session/platform.ts'
import type { StateStore } from '../session/state-store.ts'
import type { Tickets } from '../session/tickets.ts'
import { nativeCrc32 } from './crc32.ts'
import { nodeProvider } from './crypto-node.ts'
import { nodeEnvironment } from './environment.ts'
import { pooledFolders } from './file-pool.ts'
import { nodeFileSystem } from './file-system.ts'
import { nodeSecretFiles } from './secret-files.ts'
import { nodeState } from './state.ts'

let environment: Environment | undefined
let state: StateStore | undefined
let tickets: Tickets | undefined
let dialer: Promise<typeof import('./dial.ts')> | undefined

export const platform: Platform = {
  name: 'node',
  files: nodeSecretFiles,
  get crypto(): CryptoProvider {
    return nodeProvider()
  },
  get environment(): Environment {
    environment ??= nodeEnvironment()
    return environment
  },
  get state(): StateStore {
    state ??= nodeState()
    return state
  },
  get tickets(): Tickets {
    tickets ??= new ClientTickets(nodeProvider())
    return tickets
  },
  get crc32(): Crc32 {
    return nativeCrc32 ?? crc32
  },
  variable(name: string): string | undefined {
    return process.env[name] || undefined
  },
  pathOf(place: string): string {
    // What a shell makes of it nobody makes of it here: it would be a folder of that name, below the one of the process.
    if (/^file:~(\/|$)/.test(place))
      throw new AteError('BAD_URL', { given: place.slice(0, 100) }, { hint: '~ is not expanded: give the whole path' })
    // file:./garage and file:/srv/garage are plain paths; file:///srv/garage is a URL.
    if (!place.startsWith('file://')) return resolve(place.slice('file:'.length))
    try {
      return fileURLToPath(place)
    } catch (cause) {
      throw new AteError('BAD_URL', { given: place.slice(0, 100) }, { cause })
    }
  },
  async openFolder(path: string): Promise<FileSystem> {
    return nodeFileSystem(path)
  },
  foldersBelow: pooledFolders,
  databases: undefined,
  channel(name: string): Channel {
    return diagnosticsChannel(name)
  },
  warn(error: unknown): void {
    process.emitWarning(error instanceof Error ? error : String(error))
  },
  resolveTxt: (name) => resolveTxt(name),
  // Most programs open no socket, and loading what does takes longer than opening a chain.
  async dial(url, options) {
    // Asking for what is loaded takes as long as two of the keys of a handshake.
    dialer ??= import('./dial.ts')
    return (await dialer).dial(url, options)
  },
  share: async (options) => (await import('./sharing.ts')).joinProcesses(options),
}
