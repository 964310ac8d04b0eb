/**
 * What a chain whose records are ordered elsewhere sees of the way there. The connection behind it may break and come
 * back: what is told here is told in order, and whoever listens sends again what was not answered.
 */
import type { AteError } from '../base/errors.ts'
import type { Kind } from '../event/format.ts'
import type { Durability, Head, LogRecord } from '../log/engine.ts'
import type { EntryAnswer } from './sequencer.ts'

export interface LinkEntry {
  readonly kind: Kind
  /** The record without its head. */
  readonly payload: Uint8Array
}

export interface LinkEvents {
  /** The newest record that was taken: where the stream goes on after a connection has come back. */
  head(): Head
  /** Connected, or again: whatever was submitted before and has no answer may be lost. */
  online(): void
  /** Not connected for now. */
  offline(error: AteError): void
  /** The next records, as durable as `durability`. The link waits for this before it brings many more. */
  records(records: readonly LogRecord[], durability: Durability): Promise<void>
  /** Of the submission with this number. All records that were stored before it have been told. */
  answers(id: number, answers: readonly EntryAnswer[]): void
  /** The way is closed for good. */
  ended(error: AteError): void
}

export interface Link {
  /** The strongest level that the server's acknowledgements reach. */
  readonly durability: Durability
  /** Brings events from here on. Once. */
  start(events: LinkEvents): void
  /** Lost if the connection breaks before it is answered. */
  submit(id: number, entries: readonly LinkEntry[]): void
  /** Resolves when every record that the server had at this moment was told. @throws AteError OFFLINE */
  sync(): Promise<void>
  close(): Promise<void>
}
