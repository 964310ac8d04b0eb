/**
 * One change of one entity, as the fold sees it: parsed from a commit, or staged and not yet written.
 * One class with one shape, so that the loops that carry millions of them stay fast.
 */
import { type EntityWords, ROOT_ENTITY } from './entity-words.ts'
import type { GuardKind, Op } from './format.ts'
import type { RareFields } from './rare-fields.ts'

export class TransactionEvent {
  op: Op
  /** The entity's id; of a created one without a name it follows from the transaction's nonce. */
  a = 0
  b = 0
  c = 0
  d = 0
  /** Of create and move. */
  parent: EntityWords = ROOT_ENTITY
  collection = ''
  type = ''
  /** Of a named create: the 16 bytes that its id is made of, clear or blinded, as words: bytes of their own are four times as large. */
  key: EntityWords | null = null
  /** Whether its id was made of the key by who drafted it here. Never of a parsed event: there the fold makes it. */
  named = false
  /** The version after the event; 0 asks for no version (a blind put). */
  version = 0
  rare: RareFields | null = null
  /** Of a drafted event: `rare` as it was encoded when it was drafted. */
  rareBytes: Uint8Array | null = null
  /** Whether a sealed body belongs to it. */
  body = false
  /** Index of the block, and the slice of its plaintext and ciphertext. */
  block = 0
  offset = 0
  size = 0
  /** While it is staged: where the body begins in the bodies of its transaction. */
  stagedAt = 0
  /** Of a drafted event whose type keeps what is written: the handle of the entity with its value. */
  written: unknown = undefined
  /** SHA-256 of the slice's ciphertext: a place in bytes that outlive the fold of this commit. */
  hashBytes: Uint8Array | null = null
  hashAt = 0
  /** Set by the fold: the entity's row, and the row of the node whose epoch must seal it. */
  row = -1
  readNode = -1
  /** The number of the read node's newest epoch at the event's place: the one that must seal it. */
  epoch = 0

  constructor(op: Op) {
    this.op = op
  }
}

export interface Guard {
  readonly kind: GuardKind
  readonly entity: EntityWords
  /** Of `members`. */
  readonly collection: string
  readonly count: number
}

export interface ParsedTransaction {
  readonly nonce: Uint8Array
  /** The first 12 bytes of the ids that it creates, if its author has computed them already. */
  readonly prefix?: EntityWords | undefined
  readonly guards: readonly Guard[]
  readonly events: TransactionEvent[]
}

/** A sealed block's header: which key opens it, and its tag. The ciphertext stands behind the clear part. */
export interface BlockHeader {
  readonly node: EntityWords
  readonly epoch: number
  readonly mode: number
  /** Of mode public: the X-Wing ciphertext. */
  readonly encapsulated: Uint8Array | undefined
  readonly salt: Uint8Array
  readonly commitment: Uint8Array
  readonly tag: Uint8Array
  readonly size: number
}
