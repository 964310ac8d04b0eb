/**
 * What a chain whose records are ordered elsewhere sees of the way there. The connection behind it may break and come
 * back: what is told here is told in order, and whoever listens sends again what was not answered.
 */
import type { AteError } from '../base/errors.ts'
import type { Kind } from '../event/format.ts'
import type { Durability, Head, LogRecord } from '../log/engine.ts'
import type { EntryAnswer } from './sequencer.ts'
import type { AcknowledgementPart } from './signed-parts.ts'

/** A sealed body: where it stands in its record as it was written. */
export interface BodyPlace {
  readonly record: number
  readonly block: number
  readonly offset: number
  readonly size: number
}

export interface LinkEntry {
  readonly kind: Kind
  /** The record without its head. */
  readonly payload: Uint8Array
  /** Keys of entities that it creates, kept beside the log of who orders the records. */
  readonly keys?: readonly AttachedKey[]
}

export interface AttachedKey {
  /** 16 bytes. */
  readonly entity: Uint8Array
  readonly bytes: Uint8Array
}

/** Whether who orders the records keeps attached keys, and to whom he gives them: see KeyRing.access. */
export type KeyAccess = 'none' | 'open' | 'recorded'

export interface LinkAlarm {
  readonly kind: 'rollback' | 'fork'
  readonly shown: Head
  readonly known: AcknowledgementPart | undefined
  readonly against: AcknowledgementPart | undefined
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
  /** The server has less than it has shown, or something else: `shown` is what it says now, and `known` what it said. */
  alarm(alarm: LinkAlarm): AteError
  /** The way is closed for good. */
  ended(error: AteError): void
}

export interface Link {
  /** The strongest level that the server's acknowledgements reach. */
  readonly durability: Durability
  /** 32 bytes, while there is a connection: the fingerprint under which the server orders records. */
  readonly orderedBy: Uint8Array | undefined
  /** What the server has said last of the newest record that it has. */
  readonly acknowledgement: AcknowledgementPart | undefined
  /** Brings events from here on. */
  start(events: LinkEvents): void
  /** What the server says of itself, signed in its handshake: of the connection now, or the last one. */
  readonly keyAccess: KeyAccess
  /** Lost if the connection breaks before it is answered. */
  submit(id: number, entries: readonly LinkEntry[]): void
  /** Resolves when every record that the server had at this moment was told. @throws AteError OFFLINE */
  sync(): Promise<void>
  /** The ciphertext of a body that did not come with its record. Not verified yet. @throws AteError OFFLINE | BODY_DROPPED */
  body(place: BodyPlace): Promise<Uint8Array>
  /**
   * The key of an entity (16 bytes); `record` is the seq of the durable record of asking for it, where one is wanted.
   * @throws AteError OFFLINE | BUSY | NOT_AUTHORIZED | KEY_NOT_RECORDED | KEY_NOT_ERASED | KEYS_UNAVAILABLE
   */
  attachedKey(entity: Uint8Array, record: number | undefined): Promise<Uint8Array | undefined>
  /** Entries of the key ring there. @throws AteError OFFLINE */
  countKeys(): Promise<number>
  /** `why`: what who waits for it still is told; CHAIN_CLOSED if left out. */
  close(why?: AteError): Promise<void>
}
