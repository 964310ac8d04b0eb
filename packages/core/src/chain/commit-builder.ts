/** A batch of staged transactions into a record: bodies grouped by epoch, sealed, encoded, signed once. */

import type { Randomness } from '../base/environment.ts'
import { AteError, assert } from '../base/errors.ts'
import { ByteWriter } from '../codec/writer.ts'
import type { CryptoProvider, Signer } from '../crypto/provider.ts'
import { sealBlock, sealBlockTo, sealInfo } from '../crypto/seal.ts'
import { CommitEncoder, type SealedBlock } from '../event/commit-encode.ts'
import { bytesOfWords, type EntityWords } from '../event/entity-words.ts'
import { BLOCK_MODE, SUITE } from '../event/format.ts'
import type { TransactionEvent } from '../event/transaction-event.ts'
import type { SessionKeys } from '../session/epoch-keys.ts'
import type { TrustState } from '../trust/trust-state.ts'
import type { View } from '../view/view.ts'
import type { WholeBlock } from './own-bodies.ts'
import type { Batch, TransactionDraft } from './staged.ts'

export interface WriterSession {
  /** The certificate's id. */
  readonly writer: Uint8Array
  readonly signer: Signer
}

export interface BuiltCommit {
  readonly bytes: Uint8Array
  readonly hash: Uint8Array
  readonly commitHash: Uint8Array
  readonly writerSeq: number
  /** Its blocks as they were sealed; undefined where this session could not open it. */
  readonly opened: readonly (WholeBlock | undefined)[]
}

/**
 * Blocks above this are sealed into a buffer that is used again, and are not kept to be read again: a few of them would
 * displace all others.
 */
const LARGE_BYTES: number = 64 * 1024

/** Plaintext of one block while it is gathered. */
interface OpenBlock {
  readonly node: EntityWords
  readonly row: number
  readonly epoch: number
  readonly index: number
  readonly plaintext: ByteWriter
}

export class CommitBuilder {
  readonly #crypto: CryptoProvider
  readonly #random: Randomness
  readonly #chainId: Uint8Array
  readonly #view: View
  readonly #trust: TrustState
  readonly #keys: SessionKeys
  readonly #encoder: CommitEncoder
  /** Plaintext buffers, used again by the next commit. */
  readonly #pool: ByteWriter[] = []
  /** Ciphertext of large blocks, the same. */
  readonly #sealed: Uint8Array[] = []

  constructor(parts: {
    readonly crypto: CryptoProvider
    readonly random: Randomness
    readonly chainId: Uint8Array
    readonly view: View
    readonly trust: TrustState
    readonly keys: SessionKeys
  }) {
    this.#crypto = parts.crypto
    this.#random = parts.random
    this.#chainId = parts.chainId
    this.#view = parts.view
    this.#trust = parts.trust
    this.#keys = parts.keys
    this.#encoder = new CommitEncoder(parts.crypto)
  }

  build(
    batch: Batch,
    place: {
      readonly prev: Uint8Array
      readonly sequencer: Uint8Array
      readonly session: WriterSession
      readonly writerSeq: number
      readonly certificate: Uint8Array | undefined
      /** What the record is written to; a new one if left out. */
      readonly out?: ByteWriter | undefined
    },
  ): BuiltCommit {
    const { writer } = place.session
    const drafts = batch.transactions.map((staged) => staged.draft)
    const open = this.#gather(drafts)
    const blocks = open.map((block) => this.#seal(block, writer, place.writerSeq))
    // A copy: the buffers are used again by the next commit.
    const opened = blocks.map(({ mode, ciphertext, size }, i) =>
      mode === BLOCK_MODE.epoch && size <= LARGE_BYTES
        ? { ciphertext, plaintext: open[i]!.plaintext.copy() }
        : undefined,
    )
    const commit = {
      record: { seq: batch.seq, prev: place.prev, admittedAt: batch.time, sequencer: place.sequencer },
      writer,
      writerSeq: place.writerSeq,
      base: batch.base,
      at: batch.time,
      certificate: place.certificate,
      transactions: drafts,
      blocks,
    }
    const unsigned = this.#encoder.encode(this.#chainId, commit, place.out)
    const { bytes, hash } = unsigned.finish(place.session.signer.sign(unsigned.commitHash))
    return { bytes, hash, commitHash: unsigned.commitHash, writerSeq: place.writerSeq, opened }
  }

  /** Copies bodies into their blocks, neighbours in one piece, and tells events where they stand. */
  #gather(drafts: readonly TransactionDraft[]): OpenBlock[] {
    const blocks: OpenBlock[] = []
    let block: OpenBlock | undefined
    for (let d = 0; d < drafts.length; d++) {
      const { events, bodies } = drafts[d]!
      let from = 0
      let to = 0
      for (let i = 0; i < events.length; i++) {
        const event = events[i]!
        if (!event.body) continue
        if (block === undefined || block.row !== event.readNode || block.epoch !== event.epoch) {
          if (block && to > from) block.plaintext.part(bodies.buffer, from, to)
          block = this.#blockFor(blocks, event)
          from = event.stagedAt
        } else if (event.stagedAt !== to) {
          if (to > from) block.plaintext.part(bodies.buffer, from, to)
          from = event.stagedAt
        }
        event.block = block.index
        event.offset = block.plaintext.at + event.stagedAt - from
        to = event.stagedAt + event.size
      }
      if (block && to > from) block.plaintext.part(bodies.buffer, from, to)
    }
    return blocks
  }

  #blockFor(blocks: OpenBlock[], event: TransactionEvent): OpenBlock {
    const known = blocks.find((block) => block.row === event.readNode && block.epoch === event.epoch)
    if (known) return known
    const row = event.readNode
    const node = this.#view.wordsOf(row)
    const plaintext = this.#pool[blocks.length] ?? new ByteWriter(1 << 14)
    this.#pool[blocks.length] = plaintext
    plaintext.reset()
    const block = { node, row, epoch: event.epoch, index: blocks.length, plaintext }
    blocks.push(block)
    return block
  }

  #seal(block: OpenBlock, writer: Uint8Array, writerSeq: number): SealedBlock {
    const { node, row, epoch } = block
    const info = sealInfo({ suite: SUITE, chain: this.#chainId, node: bytesOfWords(node), epoch, writer, writerSeq })
    const plaintext = block.plaintext.bytes()
    const secrets = this.#keys.secretsOf({ row, id: node }, epoch)
    const out = plaintext.length > LARGE_BYTES ? this.#roomFor(block.index, plaintext.length) : undefined
    if (secrets) {
      const sealed = sealBlock(this.#crypto, this.#random, { secret: secrets.key, info, plaintext, out })
      return { node, epoch, mode: BLOCK_MODE.epoch, encapsulated: undefined, ...sealed, size: plaintext.length }
    }
    const publicKey = this.#trust.epochs.get(row)?.[epoch]?.fields.writeKey
    assert(publicKey, 'staging has looked for the sealing keys')
    const sealed = sealBlockTo(this.#crypto, this.#random, { publicKey, info, plaintext, out })
    if (!sealed) throw new AteError('BAD_WRAP', { what: 'the write key of the epoch is not valid' })
    return { node, epoch, mode: BLOCK_MODE.public, ...sealed, size: plaintext.length }
  }

  #roomFor(index: number, size: number): Uint8Array {
    const kept = this.#sealed[index]
    if (kept && kept.length >= size) return kept
    const room = new Uint8Array(size)
    this.#sealed[index] = room
    return room
  }
}
