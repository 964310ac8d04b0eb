/**
 * A commit out of bytes: sizes and counts are checked before memory is spent, and the signed root is recomputed over
 * what was read, so that what the fold sees is what the writer signed. Signatures are checked by chain/verify.ts.
 */

import { fromUtf8 } from '../base/bytes.ts'
import { AteError, isAteError } from '../base/errors.ts'
import {
  COMMIT_BLOCKS_MAX,
  COMMIT_EVENTS_MAX,
  COMMIT_TXS_MAX,
  EVENT_RARE_BYTES_MAX,
  NAME_BYTES_MAX,
  RECORD_BYTES_MAX,
  TX_GUARDS_MAX,
} from '../base/limits.ts'
import { ByteReader } from '../codec/writer.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { type EntityWords, readWords } from './entity-words.ts'
import {
  BLOCK_MODE,
  COMMIT,
  EVENTS_PER_LEAF,
  FLAG,
  FORMAT,
  GUARD,
  type GuardKind,
  KIND,
  OP,
  OP_MAX,
  type Op,
  RECORD_HEAD_BYTES,
  SUITE,
} from './format.ts'
import { type BlockBytes, COMPACTED, checkSlice, readKeptRuns, tableEnd } from './kept-runs.ts'
import { decodeRare } from './rare-fields.ts'
import { hashCommit, parseRecordHead, type RecordHead } from './record.ts'
import { RunTree } from './run-tree.ts'
import { type BlockHeader, type Guard, type ParsedTransaction, TransactionEvent } from './transaction-event.ts'

/** A block's header, and where its ciphertext stands in the record, or what compaction has left of it. */
export interface ParsedBlock extends BlockHeader, BlockBytes {}

export interface ParsedCommit {
  readonly record: RecordHead
  readonly bytes: Uint8Array
  readonly writer: Uint8Array
  readonly writerSeq: number
  readonly base: { readonly seq: number; readonly hash: Uint8Array }
  readonly at: number
  readonly signature: Uint8Array
  readonly commitHash: Uint8Array
  readonly certificate: Uint8Array | undefined
  /** Where the clear part ends in the record. */
  readonly clearEnd: number
  readonly isCompacted: boolean
  readonly blocks: readonly ParsedBlock[]
  readonly transactions: readonly ParsedTransaction[]
}

/** A commit that nobody needs the hash of. */
export type KnownCommit = Omit<ParsedCommit, 'commitHash'>

/** A block's header and place, read without the transactions: what opening a body needs. */
export interface BlockPlaces {
  readonly writer: Uint8Array
  readonly writerSeq: number
  readonly blocks: readonly ParsedBlock[]
}

/** Reused between commits; see RunTree. */
export class CommitParser {
  readonly #crypto: CryptoProvider
  readonly #tree: RunTree
  readonly #eventTree: RunTree
  readonly #leaf = new Uint8Array(1 << 16)

  constructor(crypto: CryptoProvider) {
    this.#crypto = crypto
    this.#tree = new RunTree(crypto)
    this.#eventTree = new RunTree(crypto)
  }

  /** @throws AteError BAD_RECORD | BAD_CBOR | BAD_ROOT | UNSUPPORTED_FORMAT */
  parse(chainId: Uint8Array, bytes: Uint8Array): ParsedCommit {
    const head = parseHead(bytes)
    const input = new ByteReader(bytes, head.clearAt, head.clearEnd)
    const tree = this.#tree
    tree.reset()

    const dictionary = readDictionary(input)
    tree.add(0, bytes, head.clearAt, input.at)
    const blocks = readBlocks(input, dictionary, head, bytes, (from, to) => tree.add(1, bytes, from, to))
    const transactions = this.#readTransactions(input, dictionary, blocks)
    input.done()

    const root = new Uint8Array(32)
    tree.rootInto(root, 0)
    for (let i = 0; i < 32; i++) {
      if (root[i] !== bytes[COMMIT.root + i]) throw new AteError('BAD_ROOT', { seq: head.record.seq })
    }
    const { clearAt: _at, ...fields } = head
    const commitHash = hashCommit(this.#crypto, chainId, bytes, head.certificate)
    return { ...fields, bytes, commitHash, blocks, transactions }
  }

  #readTransactions(input: ByteReader, dictionary: Dictionary, blocks: readonly ParsedBlock[]): ParsedTransaction[] {
    const count = bounded(input, COMMIT_TXS_MAX, 'transactions')
    const transactions: ParsedTransaction[] = []
    const filled: number[] = blocks.map(() => 0)
    let eventsLeft = COMMIT_EVENTS_MAX
    for (let i = 0; i < count; i++) {
      const transaction = this.#readTransaction(input, dictionary, blocks, filled, eventsLeft)
      eventsLeft -= transaction.events.length
      transactions.push(transaction)
    }
    // Bytes of a block that no event owns would be hidden content that no hash in a header covers.
    for (let i = 0; i < blocks.length; i++) {
      if (filled[i] !== blocks[i]!.size)
        throw new AteError('BAD_RECORD', { what: 'a block and its slices differ in size', block: i })
    }
    return transactions
  }

  #readTransaction(
    input: ByteReader,
    dictionary: Dictionary,
    blocks: readonly ParsedBlock[],
    filled: number[],
    eventsMax: number,
  ): ParsedTransaction {
    const startAt = input.at
    const nonce = input.raw(16)
    const guards = readGuards(input, dictionary)
    const guardsEnd = input.at
    const count = bounded(input, eventsMax, 'events')
    const events: TransactionEvent[] = []
    const tree = this.#eventTree
    tree.reset()
    let runAt = input.at
    for (let i = 0; i < count; i++) {
      if (i > 0 && i % EVENTS_PER_LEAF === 0) {
        tree.add(3, input.buffer, runAt, input.at)
        runAt = input.at
      }
      events.push(readEvent(input, dictionary, blocks, filled))
    }
    if (count > 0) tree.add(3, input.buffer, runAt, input.at)
    this.#addLeaf(input.buffer, startAt, guardsEnd)
    return { nonce, guards, events }
  }

  #addLeaf(buffer: Uint8Array, from: number, to: number): void {
    const size = to - from + 32
    const leaf = size <= this.#leaf.length ? this.#leaf : new Uint8Array(size)
    leaf.set(buffer.subarray(from, to), 0)
    this.#eventTree.rootInto(leaf, to - from)
    this.#tree.add(2, leaf, 0, size)
  }
}

const parsers = new WeakMap<CryptoProvider, CommitParser>()

/** One for all chains: it keeps nothing of a commit for the next, and its working memory is more than that of a small chain. */
export function sharedParser(crypto: CryptoProvider): CommitParser {
  let parser = parsers.get(crypto)
  if (!parser) {
    parser = new CommitParser(crypto)
    parsers.set(crypto, parser)
  }
  return parser
}

/**
 * Bytes from the record's beginning that say where its blocks are, as far as `prefix`, at least its first 275, tells:
 * the clear part, and of a compacted record the table behind it, whose size stands there. So it is asked until
 * the answer is no more than what it was given.
 * @throws AteError BAD_RECORD
 */
export function placesEnd(prefix: Uint8Array): number {
  const input = new ByteReader(prefix, COMMIT.certificateLength)
  const certificateSize = input.u32()
  const clearSize = input.u32()
  const end = COMMIT.certificate + certificateSize + (clearSize % COMPACTED)
  if (clearSize < COMPACTED) return end
  return prefix.length < end + 4 ? end + 4 : tableEnd(prefix, end + 4)
}

/**
 * The block headers of a record that was verified before, from its first `placesEnd` bytes.
 * @throws AteError BAD_RECORD | UNSUPPORTED_FORMAT
 */
export function parseBlockPlaces(bytes: Uint8Array): BlockPlaces {
  const head = parseHead(bytes)
  const input = new ByteReader(bytes, head.clearAt, head.clearEnd)
  const dictionary = readDictionary(input)
  const { blocks } = placeBlocks(
    readBlockHeaders(input, dictionary, () => undefined),
    head,
    bytes,
  )
  return { writer: head.writer.slice(), writerSeq: head.writerSeq, blocks: blocks.map(copyOf) }
}

/** Whether a commit that comes from outside brings sealed values. Bytes that are none say no: who judges them refuses them. */
export function commitHoldsValues(payload: Uint8Array): boolean {
  const record = new Uint8Array(RECORD_HEAD_BYTES + payload.length)
  record[RECORD_HEAD_BYTES - 1] = KIND.commit
  record.set(payload, RECORD_HEAD_BYTES)
  try {
    return parseBlockPlaces(record).blocks.length > 0
  } catch (error) {
    if (!isAteError(error)) throw error
    return false
  }
}

/** Without views into the bytes that were read: they outlive them in a cache. */
function copyOf(block: ParsedBlock): ParsedBlock {
  return {
    ...block,
    encapsulated: block.encapsulated?.slice(),
    salt: block.salt.slice(),
    commitment: block.commitment.slice(),
    tag: block.tag.slice(),
  }
}

export interface Dictionary {
  readonly entities: readonly EntityWords[]
  readonly names: readonly string[]
}

export type HeadFields = Omit<ParsedCommit, 'bytes' | 'commitHash' | 'blocks' | 'transactions'> & {
  readonly clearAt: number
}

export function parseHead(bytes: Uint8Array): HeadFields {
  if (bytes.length > RECORD_BYTES_MAX) throw new AteError('BAD_RECORD', { bytes: bytes.length, max: RECORD_BYTES_MAX })
  const record = parseRecordHead(bytes)
  const input = new ByteReader(bytes, COMMIT.format)
  const format = input.u8()
  const suite = input.u8()
  if (format !== FORMAT || suite !== SUITE) throw new AteError('UNSUPPORTED_FORMAT', { seq: record.seq, format, suite })
  const writer = input.raw(32)
  const writerSeq = input.u64()
  const base = { seq: input.u64(), hash: input.raw(32) }
  const at = input.u64()
  input.raw(32)
  const signature = input.raw(64)
  const certificateSize = input.u32()
  const clear = input.u32()
  const certificate = certificateSize > 0 ? input.raw(certificateSize) : undefined
  const clearAt = input.at
  input.raw(clear % COMPACTED)
  const isCompacted = clear >= COMPACTED
  return { record, writer, writerSeq, base, at, signature, certificate, clearAt, clearEnd: input.at, isCompacted }
}

/** A count from outside: at most `max`, and at most one for each byte that is left. */
export function bounded(input: ByteReader, max: number, what: string): number {
  const count = input.varint()
  if (count > max || count > input.left) throw new AteError('BAD_RECORD', { what, count, max })
  return count
}

export function readDictionary(input: ByteReader): Dictionary {
  const entities: EntityWords[] = []
  for (let n = bounded(input, COMMIT_EVENTS_MAX * 2, 'entities'); n > 0; n--) entities.push(readWords(input))
  const names: string[] = []
  for (let n = bounded(input, COMMIT_EVENTS_MAX, 'names'); n > 0; n--) names.push(readName(input))
  return { entities, names }
}

function readName(input: ByteReader): string {
  const bytes = input.sized(NAME_BYTES_MAX)
  try {
    return fromUtf8(bytes)
  } catch (cause) {
    throw new AteError('BAD_RECORD', { what: 'a name is not UTF-8', at: input.at }, { cause })
  }
}

export function readBlocks(
  input: ByteReader,
  dictionary: Dictionary,
  head: HeadFields,
  bytes: Uint8Array,
  onHeader: (from: number, to: number) => void,
): ParsedBlock[] {
  const { blocks, end } = placeBlocks(readBlockHeaders(input, dictionary, onHeader), head, bytes)
  if (end !== bytes.length)
    throw new AteError('BAD_RECORD', { what: 'blocks and record differ in size', size: end, bytes: bytes.length })
  return blocks
}

/** Blocks stand one behind the other, whole or what is kept of each. */
function placeBlocks(
  headers: readonly BlockHeader[],
  { clearEnd, isCompacted }: HeadFields,
  bytes: Uint8Array,
): { readonly blocks: ParsedBlock[]; readonly end: number } {
  const kept = isCompacted
    ? readKeptRuns(
        bytes,
        clearEnd,
        headers.map(({ size }) => size),
      )
    : undefined
  let end = clearEnd
  const blocks = headers.map((header, i) => {
    if (kept) return { ...header, at: clearEnd, runs: kept.runs[i]! }
    const at = end
    end += header.size
    return { ...header, at }
  })
  return { blocks, end: kept?.end ?? end }
}

export function readBlockHeaders(
  input: ByteReader,
  dictionary: Dictionary,
  onHeader: (from: number, to: number) => void,
): BlockHeader[] {
  const count = input.u8()
  if (count > COMMIT_BLOCKS_MAX) throw new AteError('BAD_RECORD', { what: 'blocks', count, max: COMMIT_BLOCKS_MAX })
  const blocks: BlockHeader[] = []
  for (let i = 0; i < count; i++) {
    const from = input.at
    blocks.push(readBlockHeader(input, dictionary))
    onHeader(from, input.at)
  }
  return blocks
}

function readBlockHeader(input: ByteReader, dictionary: Dictionary): BlockHeader {
  const node = entry(dictionary.entities, input.varint())
  const epoch = input.varint()
  const mode = input.u8()
  if (mode !== BLOCK_MODE.epoch && mode !== BLOCK_MODE.public)
    throw new AteError('BAD_RECORD', { what: 'block mode', mode })
  const encapsulated = mode === BLOCK_MODE.public ? input.raw(1120) : undefined
  return {
    node,
    epoch,
    mode,
    encapsulated,
    salt: input.raw(32),
    commitment: input.raw(32),
    tag: input.raw(16),
    size: input.varint(),
  }
}

export function readGuards(input: ByteReader, dictionary: Dictionary): Guard[] {
  const guards: Guard[] = []
  for (let n = bounded(input, TX_GUARDS_MAX, 'guards'); n > 0; n--) {
    const kind = input.u8()
    if (kind < GUARD.version || kind > GUARD.notBefore) throw new AteError('BAD_RECORD', { what: 'guard kind', kind })
    guards.push({
      kind: kind as GuardKind,
      entity: readWords(input),
      collection: entry(dictionary.names, input.varint()),
      count: input.varint(),
    })
  }
  return guards
}

export function readEvent(
  input: ByteReader,
  dictionary: Dictionary,
  blocks: readonly BlockBytes[],
  filled: number[],
): TransactionEvent {
  const op = input.u8()
  if (op < OP.create || op > OP_MAX) throw new AteError('BAD_RECORD', { what: 'operation', op })
  const flags = input.u8()
  const event = new TransactionEvent(op as Op)
  if (op === OP.create) {
    event.parent = entry(dictionary.entities, input.varint())
    event.collection = entry(dictionary.names, input.varint())
    event.type = entry(dictionary.names, input.varint())
    if (flags & FLAG.named) event.key = readWords(input)
  } else {
    const id = readWords(input)
    event.a = id.a
    event.b = id.b
    event.c = id.c
    event.d = id.d
    if (op === OP.move) {
      event.parent = entry(dictionary.entities, input.varint())
      event.collection = entry(dictionary.names, input.varint())
    }
  }
  checkFlags(op, flags)
  event.version = input.varint()
  if (flags & FLAG.rare) event.rare = decodeRare(input.sized(EVENT_RARE_BYTES_MAX))
  if (flags & FLAG.body) readSlice(input, event, blocks, filled)
  return event
}

function checkFlags(op: number, flags: number): void {
  const allowed = op === OP.create ? 7 : op === OP.put ? FLAG.body | FLAG.rare : FLAG.rare
  if ((flags & ~allowed) !== 0) throw new AteError('BAD_RECORD', { what: 'flags of an event', op, flags })
}

function readSlice(input: ByteReader, event: TransactionEvent, blocks: readonly BlockBytes[], filled: number[]): void {
  const index = input.varint()
  const block = blocks[index]
  if (!block) throw new AteError('BAD_RECORD', { what: 'block of an event', index })
  event.body = true
  event.block = index
  event.size = input.varint()
  event.offset = filled[index]!
  filled[index] = event.offset + event.size
  if (filled[index]! > block.size)
    throw new AteError('BAD_RECORD', { what: 'slices are longer than their block', block: index })
  checkSlice(block, event.offset, event.size)
  event.hashBytes = input.buffer
  event.hashAt = input.take(32)
}

function entry<T>(list: readonly T[], index: number): T {
  const found = list[index]
  if (found === undefined)
    throw new AteError('BAD_RECORD', { what: 'index into the dictionary', index, size: list.length })
  return found
}
