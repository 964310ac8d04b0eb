/**
 * Who gives the records of a chain their order: this process (local-writing.ts), or a server that many write to
 * (remote-writing.ts). ChainCore stages what is to be written; a Writing makes records of it and tells what became of them.
 */
import type { AteError } from '../base/errors.ts'
import type { EntityWords } from '../event/entity-words.ts'
import type { Kind } from '../event/format.ts'
import type { Durability, LogRecord } from '../log/engine.ts'
import type { KeyAccess } from './link.ts'
import type { AcknowledgementPart } from './signed-parts.ts'

/** How an attached key is asked for. */
export interface AskOptions {
  /** Seq of the record of asking for it. */
  readonly recorded?: number | undefined
}

export interface Writing {
  /** The strongest level that its acknowledgements reach. */
  readonly durability: Durability
  /** `none`: attached keys cannot be kept. Else they are in the ring of the log before the record that they belong to. */
  readonly keyAccess: KeyAccess
  /** The log and its ring are this process's own. */
  readonly hasRing: boolean
  /** Nothing is ever written through this handle. */
  readonly readOnly: boolean
  /** What the server that orders the records has said last of the newest of them. */
  readonly acknowledgement: AcknowledgementPart | undefined
  /** No other process writes to the chain while this handle is open. */
  readonly isAlone: boolean
  /** Why nothing is written any more. */
  readonly failure: AteError | undefined
  /** @throws as Link, and as KeyRing */
  attachedKey(entity: EntityWords, options: AskOptions): Promise<Uint8Array | undefined>
  /** Entries of a ring that is not this process's own: what a copy of the log here does not have. @throws AteError OFFLINE */
  countKeysElsewhere(): Promise<number>
  /** Something was staged, or an attestation is due. */
  schedule(): void
  /** A commit of this author, or a record that is no commit, would be taken now. @throws AteError READ_ONLY | NOT_AUTHORIZED */
  assertTakes(author: string | undefined): void
  /** Resolves when nothing is staged and nothing is being written. */
  settled(): Promise<void>
  /** Resolves when all that is acknowledged now is as durable as it gets. */
  durable(): Promise<void>
  /**
   * Appends a record that is no commit. Waits for what is staged; what is staged meanwhile is judged again on top of it.
   * @throws what `payload` throws, as append of the engine, and the refusals of a server; OFFLINE where none is connected
   */
  appendOther(kind: Kind, payload: () => Uint8Array | Promise<Uint8Array>): Promise<LogRecord>
  /** Takes in what others have written; the number of records. */
  refresh(): Promise<number>
  /** At close: writes what is staged, as far as that is possible, and attests it. */
  finish(signal: AbortSignal): Promise<void>
  /** After that: nothing is waited for any more, and what was held is free. */
  release(): Promise<void>
}
