/** A batch of staged transactions into a record: bodies grouped by epoch, sealed, encoded, signed once. */

import type { Randomness } from '../base/environment.ts'
import { AteError, assert } from '../base/errors.ts'
import { ByteWriter } from '../codec/writer.ts'
import type { CryptoProvider, Signer } from '../crypto/provider.ts'
import { type SealingAhead, sealBlock, sealBlockTo, sealInfo } from '../crypto/seal.ts'
import { CommitEncoder, type SealedBlock } from '../event/commit-encode.ts'
import { bytesOfWords, type EntityWords } from '../event/entity-words.ts'
import { BLOCK_MODE, SUITE } from '../event/format.ts'
import type { TransactionEvent } from '../event/transaction-event.ts'
import type { SessionKeys } from '../session/epoch-keys.ts'
import type { TrustState } from '../trust/trust-state.ts'
import type { View } from '../view/view.ts'
import type { Batch, TransactionDraft } from './staged.ts'
import type { WholeBlock } from './whole-blocks.ts'

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
      /** What was sealed ahead under the same writer and number, of large batches; and what the record is written to. */
      readonly large?: { readonly block: SealedBlock | undefined; readonly record: ByteWriter } | undefined
    },
  ): BuiltCommit {
    const { writer } = place.session
    const ahead = place.large?.block
    const drafts = batch.transactions.map((staged) => staged.draft)
    const open = ahead ? [] : this.#gather(drafts)
    const sealed = open.map((block) => this.#seal(block, writer, place.writerSeq))
    const blocks = ahead ? [ahead] : sealed
    // A copy: the buffers are used again by the next commit. A body that is large is not kept: a few would displace all others.
    const opened = sealed.map(({ mode, ciphertext }, i) =>
      mode === BLOCK_MODE.epoch ? { ciphertext, plaintext: open[i]!.plaintext.copy() } : undefined,
    )
    const unsigned = this.#encoder.encode(
      this.#chainId,
      {
        record: { seq: batch.seq, prev: place.prev, admittedAt: batch.time, sequencer: place.sequencer },
        writer,
        writerSeq: place.writerSeq,
        base: batch.base,
        at: batch.time,
        certificate: place.certificate,
        transactions: drafts,
        blocks,
      },
      place.large?.record,
    )
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

  #seal({ plaintext, ...place }: OpenBlock, writer: Uint8Array, writerSeq: number): SealedBlock {
    const { node, row, epoch } = place
    const bytes = plaintext.bytes()
    const sealed = this.sealUnderKey(place, { writer, writerSeq }, bytes)
    if (sealed) return sealed
    const publicKey = this.#trust.epochs.get(row)?.[epoch]?.fields.writeKey
    assert(publicKey, 'staging has looked for the sealing keys')
    const info = this.#infoOf(node, epoch, writer, writerSeq)
    const open = sealBlockTo(this.#crypto, this.#random, { publicKey, info, plaintext: bytes })
    if (!open) throw new AteError('BAD_WRAP', { what: 'the write key of the epoch is not valid' })
    return { node, epoch, mode: BLOCK_MODE.public, ...open, size: bytes.length }
  }

  /** Undefined if this session lacks the key. */
  sealUnderKey(
    { node, row, epoch }: Pick<OpenBlock, 'node' | 'row' | 'epoch'>,
    { writer, writerSeq }: { readonly writer: Uint8Array; readonly writerSeq: number },
    plaintext: Uint8Array,
    ahead?: SealingAhead,
  ): SealedBlock | undefined {
    const secrets = this.#keys.secretsOf({ row, id: node }, epoch)
    if (!secrets) return undefined
    const info = this.#infoOf(node, epoch, writer, writerSeq)
    const sealed = sealBlock(this.#crypto, this.#random, { secret: secrets.key, info, plaintext }, ahead)
    return { node, epoch, mode: BLOCK_MODE.epoch, encapsulated: undefined, ...sealed, size: plaintext.length }
  }

  #infoOf(node: EntityWords, epoch: number, writer: Uint8Array, writerSeq: number): Uint8Array {
    return sealInfo({ suite: SUITE, chain: this.#chainId, node: bytesOfWords(node), epoch, writer, writerSeq })
  }
}
