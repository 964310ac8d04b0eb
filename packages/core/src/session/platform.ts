/**
 * What a platform gives to the rows above it, as one object behind the private import `#platform`: node/platform.ts or
 * browser/platform.ts. Making it has no effect; each part is made when it is first asked for. Only the few functions
 * that users call without arguments read it, and each takes another one in tests.
 */
import type { Environment } from '../base/environment.ts'
import type { JoinTabs, Share } from '../base/sharing.ts'
import type { Dial } from '../base/socket.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import type { Crc32 } from '../log/crc32.ts'
import type { LogDatabases } from '../log/database.ts'
import type { FileSystem } from '../log/file-system.ts'
import type { StateStore } from './state-store.ts'
import type { Tickets } from './tickets.ts'

export interface Platform {
  readonly name: 'node' | 'browser'
  readonly crypto: CryptoProvider
  readonly environment: Environment
  readonly state: StateStore
  readonly files: SecretFiles
  readonly crc32: Crc32
  /** An environment variable; undefined if it is not set or empty. */
  variable(name: string): string | undefined
  /** The absolute path of a `file:` place. @throws AteError BAD_URL where there are no files, or the form is wrong */
  pathOf(place: string): string
  /** The folder of a chain; it is made when something is written. @throws AteError BAD_URL where there are no files */
  openFolder(path: string): Promise<FileSystem>
  /**
   * What opens the folders of many chains below `holder`, which this process has locked: with locks and open files that
   * do not grow with their number. One that has none opens each by openFolder.
   */
  foldersBelow?(holder: string): Pick<Platform, 'openFolder'>
  /** Logs of `indexeddb:` places; undefined where there are no databases. */
  readonly databases: LogDatabases | undefined
  /**
   * The TXT records of a DNS name, each in its parts, as node:dns/promises gives them; errors have `code` ENOTFOUND or
   * ENODATA where there are none. @throws AteError PIN_UNAVAILABLE where there is no DNS
   */
  resolveTxt(name: string): Promise<readonly (readonly string[])[]>
  /** Connects to a server. Importing what does it waits for the first call. */
  readonly dial: Dial
  /** What resumes connections to servers; undefined in pages, which have one to each server and no code to spare. */
  readonly tickets?: Tickets
  /** Joins those on this machine who share a chain; undefined where nobody can. */
  readonly share?: Share
  /** Joins the tabs of this origin that share a connection; undefined where there are none. */
  readonly tabs?: JoinTabs | undefined
  /**
   * Calls `run`, once, when the network of the machine comes back, if the platform hears of that: who waits to connect again
   * need not wait longer.
   */
  whenOnline?(run: () => void): { cancel(): void }
  /** A place where those who diagnose the process listen, by its name; undefined where there is none. */
  channel(name: string): Channel | undefined
  /** Tells whoever runs the process of an error that nobody else hears of. */
  warn(error: unknown): void
}

/** A channel as node:diagnostics_channel has it. */
export interface Channel {
  readonly hasSubscribers: boolean
  publish(message: unknown): void
}

/** Small files of secrets at paths that the user names. */
export interface SecretFiles {
  /** Undefined if there is none. `mode` are the permission bits, undefined where files have none. */
  read(path: string): Promise<{ readonly text: string; readonly mode: number | undefined } | undefined>
  /** A new file of mode 0600, whole and durable, or false if one is there. */
  create(path: string, text: string): Promise<boolean>
}
