/**
 * A record whose bytes stand in memory while a stream gives out its events: their bodies are opened where they stand, without a look
 * at the log. It ends before its bytes change: who opens an event later has its body read from the log. Part of `#large`: a page does
 * without.
 *
 * Invariant: nothing is given out of bytes that were not verified: the whole record, by its print, all of its slices, or the one that is
 * wanted. Whatever does not fit is read from the log, which says what is wrong.
 */
import { isAteError } from '../base/errors.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import type { BlockKey } from '../crypto/seal.ts'
import { checkBodies } from '../event/commit-bodies.ts'
import type { BlockPlaces, KnownCommit, ParsedBlock } from '../event/commit-parse.ts'
import { wordAt } from '../event/entity-words.ts'
import { sliceAt } from '../event/kept-runs.ts'
import type { TransactionEvent } from '../event/transaction-event.ts'
import type { LogRecord } from '../log/engine.ts'
import type { ChainCore } from './chain-core.ts'
import { knownCommit } from './record-prints.ts'
import { isHashOf, type StoredBody } from './stored-bodies.ts'

/** Bodies from which on blocks are opened whole: each alone costs as much as 20 kB of a block. */
const WHOLE_MIN = 4
/** Larger bodies go where other threads can help. */
const BODY_BYTES_HELD_MAX: number = 64 * 1024

/** Hashes that are copied in one piece of memory, with what stands between them: who keeps one of them keeps them all. */
const HASHES_TOGETHER = 16
const TOGETHER_BYTES_MAX = 2048
const NO_BYTES = new Uint8Array(0)

/** Of BodyReader. */
export interface BlockKeys {
  /** Counts how often all that was read was to be forgotten. */
  readonly age: number
  /** @throws AteError NO_READ_KEY | LOCKED | BAD_BODY */
  keyOf(places: Pick<BlockPlaces, 'writer' | 'writerSeq'>, header: ParsedBlock, body: StoredBody): BlockKey
}

/** The record stands in memory as it is until `end`. Its commit is there if its very bytes were verified before. */
export function holdRecord(
  { crypto, replica, bodies }: Pick<ChainCore, 'crypto' | 'replica' | 'bodies'>,
  record: LogRecord,
): HeldRecord | undefined {
  return new HeldRecord(crypto, bodies, record.seq, knownCommit(crypto, replica.prints, record))
}

export class HeldRecord {
  /** Undefined until it is known, and when it has ended: events hold this, and so it holds nothing any more. */
  #commit: KnownCommit | undefined
  readonly #seq: number
  readonly #crypto: CryptoProvider
  readonly #keys: BlockKeys
  readonly #age: number
  #isVerified: boolean
  /** Whether most of its bodies are wanted, so that its blocks are opened whole. */
  #isWhole = false
  readonly #blockKeys: (BlockKey | undefined)[] = []
  /** Plaintext of blocks that were verified. */
  readonly #opened: (Uint8Array | undefined)[] = []

  /** Of the record's bytes, from `#hashesFrom` on: those do not outlive the step. */
  #hashes: Uint8Array = NO_BYTES
  #hashesFrom = 0

  constructor(crypto: CryptoProvider, keys: BlockKeys, seq: number, known: KnownCommit | undefined) {
    this.#crypto = crypto
    this.#keys = keys
    this.#age = keys.age
    this.#seq = seq
    this.#commit = known
    this.#isVerified = known !== undefined
  }

  get commit(): KnownCommit | undefined {
    return this.#commit
  }

  /** So many bodies of the record's commit may be read. */
  want(commit: KnownCommit, count: number): void {
    this.#commit = commit
    this.#isWhole = count >= WHOLE_MIN && count * 2 >= countBodies(commit)
  }

  /** The body of `events[at]`, which has one. */
  bodyOf(events: readonly TransactionEvent[], at: number): StoredBody {
    const event = events[at]!
    const { hashAt } = event
    if (hashAt < this.#hashesFrom || hashAt + 32 > this.#hashesFrom + this.#hashes.length) {
      this.#hashesFrom = hashAt
      this.#hashes = event.hashBytes!.slice(hashAt, endOfPiece(events, at))
    }
    return new EventBody(this.#seq, event, this.#hashes, hashAt - this.#hashesFrom)
  }

  end(): void {
    this.#commit = undefined
    this.#opened.length = 0
    this.#blockKeys.length = 0
  }

  /** The plaintext of a block that was verified and opened whole. */
  block(index: number): Uint8Array | undefined {
    return this.#age === this.#keys.age ? this.#opened[index] : undefined
  }

  /** The plaintext of a body, as its own record has it; undefined: the log is to be asked. @throws as BlockKeys.keyOf */
  open(body: StoredBody): Uint8Array | undefined {
    const commit = this.#commit
    const { block, offset, size } = body
    if (!commit || this.#age !== this.#keys.age) return undefined
    const opened = this.#opened[block]
    if (opened) return opened.subarray(offset, offset + size)
    const header = commit.blocks[block]!
    const at = sliceAt(header, offset, size)
    if (at === undefined || size > BODY_BYTES_HELD_MAX) return undefined
    const slice = commit.bytes.subarray(at, at + size)
    if (!this.#verify(commit) && !isHashOf(body, this.#crypto.sha256(slice))) return undefined
    this.#blockKeys[block] ??= this.#keys.keyOf(commit, header, body)
    const key = this.#blockKeys[block]
    if (!this.#isVerified || !this.#isWhole || header.runs) return key.openSlice(slice, offset)
    const plaintext = key.open(commit.bytes.subarray(header.at, header.at + header.size), header.tag)
    this.#opened[block] = plaintext
    return plaintext?.subarray(offset, offset + size)
  }

  /** Whether all of it is what was signed; worked out at once if most is wanted. */
  #verify(commit: KnownCommit): boolean {
    if (this.#isVerified || !this.#isWhole) return this.#isVerified
    try {
      checkBodies(this.#crypto, commit)
      this.#isVerified = true
    } catch (error) {
      if (!isAteError(error)) throw error
      // One by one, then: those that are right are given out.
      this.#isWhole = false
    }
    return this.#isVerified
  }
}

/** Most bodies of a record that is held are opened without their hash: its words are made when they are asked for. */
class EventBody implements StoredBody {
  readonly record: number
  readonly block: number
  readonly offset: number
  readonly size: number
  readonly hashAt = 0
  readonly #bytes: Uint8Array
  readonly #at: number

  constructor(record: number, { block, offset, size }: TransactionEvent, bytes: Uint8Array, at: number) {
    this.record = record
    this.block = block
    this.offset = offset
    this.size = size
    this.#bytes = bytes
    this.#at = at
  }

  get hash(): Int32Array {
    return Int32Array.from({ length: 8 }, (_, i) => wordAt(this.#bytes, this.#at + 4 * i))
  }
}

/** Behind the last hash that is copied together with that of `events[at]`. */
function endOfPiece(events: readonly TransactionEvent[], at: number): number {
  const from = events[at]!.hashAt
  let end = from + 32
  for (let i = at + 1; i < events.length && i < at + HASHES_TOGETHER; i++) {
    const { body, hashAt } = events[i]!
    if (!body) continue
    if (hashAt + 32 - from > TOGETHER_BYTES_MAX) break
    end = hashAt + 32
  }
  return end
}

function countBodies({ transactions }: KnownCommit): number {
  let count = 0
  for (const { events } of transactions) for (const { body } of events) if (body) count++
  return count
}
