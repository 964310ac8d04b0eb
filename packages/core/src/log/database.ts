/** The contract of a platform that keeps logs in databases by name: a browser. Files have file-system.ts. */
import type { LogEngine } from './engine.ts'
import type { Standing, StandingState } from './standing.ts'

export interface DatabaseLogOptions {
  /** Opens beside a live writer, without its lock and without changing anything. */
  readonly readOnly?: boolean
  /** Makes the log if there is none; default false. */
  readonly create?: boolean
  /** What a log that is made begins as; `live` if left out. */
  readonly standing?: Standing
  /** The standings in which it is opened; left out: what may be read, or written. */
  readonly standings?: readonly StandingState[]
  /** 32 bytes that name the chain; a log with another label is WRONG_CHAIN. */
  readonly label?: Uint8Array
}

export interface LogDatabases {
  /**
   * @throws AteError CHAIN_NOT_FOUND | CHAIN_LOCKED | WRONG_CHAIN | NOT_A_CHAIN | UNSUPPORTED_FORMAT | DAMAGED | DISK_FULL |
   * IO_ERROR, and those of checkStanding
   */
  open(name: string, options: DatabaseLogOptions): Promise<LogEngine>
  /**
   * Destroys a log of any standing, or of one of `standings`, which nobody has open for writing.
   * @throws AteError CHAIN_NOT_FOUND | CHAIN_LOCKED | WRONG_CHAIN | CHAIN_EXISTS (another standing) | NOT_A_CHAIN | IO_ERROR
   */
  destroy(
    name: string,
    options?: { readonly label?: Uint8Array; readonly standings?: readonly StandingState[] },
  ): Promise<{ readonly label: Uint8Array | undefined; readonly state: StandingState }>
}
