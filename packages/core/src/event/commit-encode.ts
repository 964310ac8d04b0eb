/**
 * A commit into bytes. Called once for each record that is written; the loops over events make no objects.
 * The layout is drawn in event/format.ts and docs/FORMAT.md; commit-parse.ts reads it back.
 */
import { ByteWriter } from '../codec/writer.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { type EntityWords, writeWords } from './entity-words.ts'
import { BLOCK_MODE, COMMIT, EVENTS_PER_LEAF, FLAG, FORMAT, KIND, OP, SUITE } from './format.ts'
import { encodeRare } from './rare-fields.ts'
import { hashCommit, hashRecord, type RecordHead, writeRecordHead } from './record.ts'
import { RunTree } from './run-tree.ts'
import type { BlockHeader, ParsedTransaction, TransactionEvent } from './transaction-event.ts'

export interface SealedBlock extends BlockHeader {
  readonly ciphertext: Uint8Array
  /** Of a block that is one slice: its SHA-256, if it is known already. */
  readonly sliceHash?: Uint8Array
}

export interface CommitDraft {
  readonly record: Omit<RecordHead, 'kind'>
  readonly writer: Uint8Array
  readonly writerSeq: number
  readonly base: { readonly seq: number; readonly hash: Uint8Array }
  readonly at: number
  readonly certificate: Uint8Array | undefined
  readonly transactions: readonly ParsedTransaction[]
  readonly blocks: readonly SealedBlock[]
}

/** An encoded commit that still lacks its signature: sign `commitHash`, then call finish. */
export interface UnsignedCommit {
  readonly commitHash: Uint8Array
  /** Puts the signature in its place and gives the record's bytes and hash. */
  finish(signature: Uint8Array): { readonly bytes: Uint8Array; readonly hash: Uint8Array }
}

/** Reused between commits: its buffers grow to the size of the largest one. */
export class CommitEncoder {
  readonly #crypto: CryptoProvider
  readonly #tree: RunTree
  readonly #eventTree: RunTree
  readonly #dictionary = new Dictionary()
  readonly #body = new ByteWriter(1 << 16)
  /** Leaves of transactions, one behind the other: the tree takes them after the dictionary, which is known last. */
  readonly #leaves = new ByteWriter(1 << 12)
  readonly #roots: number[] = []

  constructor(crypto: CryptoProvider) {
    this.#crypto = crypto
    this.#tree = new RunTree(crypto)
    this.#eventTree = new RunTree(crypto)
  }

  /** The record is written to the beginning of `out`. */
  encode(
    chainId: Uint8Array,
    draft: CommitDraft,
    out: ByteWriter = new ByteWriter(this.#sizeOf(draft)),
  ): UnsignedCommit {
    out.reset()
    writeRecordHead(out, { ...draft.record, kind: KIND.commit })
    out.u8(FORMAT)
    out.u8(SUITE)
    out.raw(draft.writer)
    out.u64(draft.writerSeq)
    out.u64(draft.base.seq)
    out.raw(draft.base.hash)
    out.u64(draft.at)
    out.need(32 + 64 + 8)
    out.at = COMMIT.certificateLength
    out.u32(draft.certificate?.length ?? 0)
    out.u32(0)
    if (draft.certificate) out.raw(draft.certificate)
    const clearAt = out.at
    this.#writeClear(out, draft)
    new DataView(out.buffer.buffer).setUint32(COMMIT.clearLength, out.at - clearAt)
    for (const block of draft.blocks) out.raw(block.ciphertext)

    const bytes = out.bytes()
    const commitHash = hashCommit(this.#crypto, chainId, bytes, draft.certificate)
    return {
      commitHash,
      finish: (signature) => {
        bytes.set(signature, COMMIT.sig)
        return { bytes, hash: hashRecord(this.#crypto, chainId, bytes, KIND.commit, commitHash) }
      },
    }
  }

  /** An upper guess, so that the buffer of a large commit is made once. */
  #sizeOf(draft: CommitDraft): number {
    let size = 2048 + (draft.certificate?.length ?? 0)
    for (const block of draft.blocks) size += block.ciphertext.length + 1400
    for (let i = 0; i < draft.transactions.length; i++) {
      const { guards, events } = draft.transactions[i]!
      size += 64 + guards.length * 24 + events.length * 72
    }
    return size
  }

  /** Dictionary, block headers, transactions; the dictionary comes first but is known last, so the rest waits in #body. */
  #writeClear(out: ByteWriter, draft: CommitDraft): void {
    const body = this.#body
    body.reset()
    this.#dictionary.reset()
    this.#tree.reset()
    // Leaf order is dictionary, blocks, transactions: spans of #body are kept until the dictionary is known.
    const spans = this.#roots
    spans.length = 0
    body.u8(draft.blocks.length)
    for (const block of draft.blocks) {
      spans.push(body.at)
      this.#writeBlockHeader(body, block)
    }
    spans.push(body.at)
    this.#leaves.reset()
    const leafEnds: number[] = []
    body.varint(draft.transactions.length)
    for (let i = 0; i < draft.transactions.length; i++) {
      this.#writeTransaction(body, draft.transactions[i]!, draft.blocks)
      leafEnds.push(this.#leaves.at)
    }

    const dictionaryAt = out.at
    this.#dictionary.write(out)
    this.#tree.add(0, out.buffer, dictionaryAt, out.at)
    for (let i = 0; i < draft.blocks.length; i++) this.#tree.add(1, body.buffer, spans[i]!, spans[i + 1]!)
    for (let i = 0; i < leafEnds.length; i++) this.#tree.add(2, this.#leaves.buffer, leafEnds[i - 1] ?? 0, leafEnds[i]!)
    const bodyAt = out.at
    out.raw(body.bytes())
    this.#tree.rootInto(out.buffer, COMMIT.root)
    // Hashes were written to #body, which is used again: from here on they stand in the record's own bytes.
    for (let t = 0; t < draft.transactions.length; t++) {
      const { events } = draft.transactions[t]!
      for (let i = 0; i < events.length; i++) {
        const event = events[i]!
        if (!event.body) continue
        event.hashBytes = out.buffer
        event.hashAt += bodyAt
      }
    }
  }

  #writeBlockHeader(out: ByteWriter, block: BlockHeader): void {
    out.varint(this.#dictionary.entity(block.node))
    out.varint(block.epoch)
    out.u8(block.mode)
    if (block.mode === BLOCK_MODE.public) out.raw(block.encapsulated!)
    out.raw(block.salt)
    out.raw(block.commitment)
    out.raw(block.tag)
    out.varint(block.size)
  }

  /** Writes a transaction and its leaf: nonce, guards, root over its events. */
  #writeTransaction(out: ByteWriter, transaction: ParsedTransaction, blocks: readonly SealedBlock[]): void {
    const startAt = out.at
    const { guards } = transaction
    out.raw(transaction.nonce)
    out.varint(guards.length)
    for (let i = 0; i < guards.length; i++) {
      const guard = guards[i]!
      out.u8(guard.kind)
      writeWords(out, guard.entity)
      out.varint(this.#dictionary.name(guard.collection))
      out.varint(guard.count)
    }
    const leaves = this.#leaves
    leaves.part(out.buffer, startAt, out.at)
    out.varint(transaction.events.length)
    this.#writeEvents(out, transaction.events, blocks)
    leaves.need(32)
    this.#eventTree.rootInto(leaves.buffer, leaves.at)
    leaves.at += 32
  }

  #writeEvents(out: ByteWriter, events: readonly TransactionEvent[], blocks: readonly SealedBlock[]): void {
    const tree = this.#eventTree
    tree.reset()
    let runAt = out.at
    for (let i = 0; i < events.length; i++) {
      if (i > 0 && i % EVENTS_PER_LEAF === 0) {
        tree.add(3, out.buffer, runAt, out.at)
        runAt = out.at
      }
      this.#writeEvent(out, events[i]!, blocks)
    }
    if (events.length > 0) tree.add(3, out.buffer, runAt, out.at)
  }

  #writeEvent(out: ByteWriter, event: TransactionEvent, blocks: readonly SealedBlock[]): void {
    out.need(128)
    const buffer = out.buffer
    const rare = event.rare
    buffer[out.at++] = event.op
    buffer[out.at++] = (event.body ? FLAG.body : 0) | (event.key ? FLAG.named : 0) | (rare ? FLAG.rare : 0)
    if (event.op === OP.create) {
      out.varint(this.#dictionary.entity(event.parent))
      out.varint(this.#dictionary.name(event.collection))
      out.varint(this.#dictionary.name(event.type))
      if (event.key) writeWords(out, event.key)
    } else {
      out.u32(event.a)
      out.u32(event.b)
      out.u32(event.c)
      out.u32(event.d)
      if (event.op === OP.move) {
        out.varint(this.#dictionary.entity(event.parent))
        out.varint(this.#dictionary.name(event.collection))
      }
    }
    out.varint(event.version)
    if (rare) out.sized(event.rareBytes ?? encodeRare(rare))
    if (event.body) this.#writeSlice(out, event, blocks[event.block]!)
  }

  #writeSlice(out: ByteWriter, event: TransactionEvent, block: SealedBlock): void {
    out.varint(event.block)
    out.varint(event.size)
    out.need(32)
    if (block.sliceHash) out.buffer.set(block.sliceHash, out.at)
    else this.#crypto.sha256Into(block.ciphertext.subarray(event.offset, event.offset + event.size), out.buffer, out.at)
    event.hashAt = out.at
    out.at += 32
  }
}

/** Entities and names that a commit uses more than once, numbered in the order of their first use. */
class Dictionary {
  readonly #names = new Map<string, number>()
  readonly #entities = new Map<string, number>()
  readonly #words: EntityWords[] = []
  #lastEntity: EntityWords | undefined
  #lastEntityIndex = 0
  #lastName: string | undefined
  #lastNameIndex = 0
  #otherName: string | undefined
  #otherNameIndex = 0

  reset(): void {
    this.#names.clear()
    this.#entities.clear()
    this.#words.length = 0
    this.#lastEntity = undefined
    this.#lastName = undefined
    this.#otherName = undefined
  }

  entity(words: EntityWords): number {
    if (words === this.#lastEntity) return this.#lastEntityIndex
    const key = `${words.a},${words.b},${words.c},${words.d}`
    let index = this.#entities.get(key)
    if (index === undefined) {
      index = this.#words.length
      this.#words.push(words)
      this.#entities.set(key, index)
    }
    this.#lastEntity = words
    this.#lastEntityIndex = index
    return index
  }

  /** Events name a collection and a type in turn: the last two answers are at hand. */
  name(text: string): number {
    if (text === this.#lastName) return this.#lastNameIndex
    if (text === this.#otherName) return this.#otherNameIndex
    let index = this.#names.get(text)
    if (index === undefined) {
      index = this.#names.size
      this.#names.set(text, index)
    }
    this.#otherName = this.#lastName
    this.#otherNameIndex = this.#lastNameIndex
    this.#lastName = text
    this.#lastNameIndex = index
    return index
  }

  write(out: ByteWriter): void {
    out.varint(this.#words.length)
    for (const words of this.#words) writeWords(out, words)
    out.varint(this.#names.size)
    for (const text of this.#names.keys()) out.sizedText(text)
  }
}
