/**
 * Bodies out of records: a slice is read, compared with the hash that the verified view keeps, and opened in counter
 * mode at its offset. A block that is read several times in a row is opened whole, with its tag, and kept for a while. Each
 * slice is compared with its hash either way: who holds the key could forge a tag. Only where a stream holds a record, all of whose
 * bytes were verified, nothing is compared twice (decision 0111). Caches are bounded.
 */
import { openBeside, roomFor } from '#large'
import { AteError } from '../base/errors.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { type BlockKey, blockSecretFrom, openBlockKey, sealInfo } from '../crypto/seal.ts'
import { type BlockPlaces, type ParsedBlock, parseBlockPlaces, placesEnd } from '../event/commit-parse.ts'
import { bytesOfWords, type EntityWords, textOfWords } from '../event/entity-words.ts'
import { BLOCK_MODE, COMMIT, SUITE } from '../event/format.ts'
import { type BlockBytes, sliceAt } from '../event/kept-runs.ts'
import type { LogEngine } from '../log/engine.ts'
import type { SessionKeys } from '../session/epoch-keys.ts'
import type { TrustState } from '../trust/trust-state.ts'
import type { View } from '../view/view.ts'
import type { BlockKeys, HeldRecord } from './held-record.ts'
import type { BodyPlace } from './link.ts'
import type { Observing } from './observing.ts'
import { badSlice, isHashOf, type StoredBody, withOwnHash } from './stored-bodies.ts'
import { blockKeyOf, type WholeBlock, WholeBlocks } from './whole-blocks.ts'

/** Records whose block headers are remembered, and blocks whose keys are. */
const PLACES_MAX = 8192
const KEYS_MAX = 8192
/** Slices of one block, read one after the other, after which it is opened whole. */
const RUN_BEFORE_WHOLE = 4
/** Of bodies that were fetched. */
const FETCHED_BYTES_MAX: number = 16 * 1024 * 1024

/** Whether who reads a body keeps it, or is done with it before he does anything else, and then says so (`leave`). */
export type Life = 'kept' | 'moment'

interface KeyedBlock extends BlockBytes {
  readonly key: BlockKey
  readonly tag: Uint8Array
}

export class BodyReader implements BlockKeys {
  readonly #crypto: CryptoProvider
  readonly #chainId: Uint8Array
  readonly #engine: LogEngine
  readonly #view: View
  readonly #trust: TrustState
  readonly #keys: SessionKeys
  readonly #observing: Observing
  readonly #fetch: ((place: BodyPlace) => Promise<Uint8Array> | undefined) | undefined
  /** Bodies that were fetched: the next read of one asks nobody. */
  readonly #fetched = new Map<string, Uint8Array>()
  #fetchedBytes = 0
  readonly #places = new Map<number, BlockPlaces>()
  readonly #blocks = new Map<number, KeyedBlock>()
  readonly #opened = new WholeBlocks()
  /** Counts how often all of it was forgotten. */
  age = 0
  /** Of what this session wrote itself. */
  readonly own: WholeBlocks = new WholeBlocks()
  /** The block that was read last, and how often in a row. */
  #last: KeyedBlock | undefined
  #run = 0
  /** Of the engine, when the caches were filled: compaction moves bodies within their records. */
  #generation = 0
  readonly #hash = new Uint8Array(32)

  constructor(parts: {
    readonly crypto: CryptoProvider
    readonly chainId: Uint8Array
    readonly engine: LogEngine
    readonly view: View
    readonly trust: TrustState
    readonly keys: SessionKeys
    readonly observing: Observing
    /** Where bodies are asked for that the log does not hold; it gives undefined if nobody is asked. */
    readonly fetch?: ((place: BodyPlace) => Promise<Uint8Array> | undefined) | undefined
  }) {
    this.#fetch = parts.fetch
    this.#crypto = parts.crypto
    this.#chainId = parts.chainId
    this.#engine = parts.engine
    this.#view = parts.view
    this.#trust = parts.trust
    this.#keys = parts.keys
    this.#observing = parts.observing
  }

  /**
   * The plaintext of a body, out of `held` if that is its record and has it; for the `moment`, it is valid until `leave` has it.
   * @throws AteError NO_READ_KEY | LOCKED | BODY_DROPPED | BAD_BODY | BAD_WRAP | DAMAGED | IO_ERROR
   */
  read(body: StoredBody, life: Life = 'kept', held?: HeldRecord): Uint8Array | Promise<Uint8Array> {
    const { record, size } = body
    if (!this.isObserved && !this.#observing.wants('alarm')) return this.#readPlaced(body, life, held)
    return this.#observing.reading(record, size, () => this.#readPlaced(body, life, held))
  }

  /** Whether somebody is told of each body that is read. */
  get isObserved(): boolean {
    return this.#observing.wants('read')
  }

  #readPlaced(body: StoredBody, life: Life, held: HeldRecord | undefined): Uint8Array | Promise<Uint8Array> {
    if (this.#engine.generation !== this.#generation) this.forget()
    const { generation } = this.#engine
    try {
      const bytes = held?.open(body) ?? this.#read(body, life)
      if (!(bytes instanceof Promise)) return bytes
      const own = withOwnHash(body)
      return bytes.catch((error) => this.#readAgain(own, generation, error))
    } catch (error) {
      return this.#readAgain(body, generation, error)
    }
  }

  /** It turned out on the way that the record stands elsewhere now: beside a writer, or a compaction. The hash has kept watch. */
  #readAgain(body: StoredBody, generation: number, error: unknown): Uint8Array | Promise<Uint8Array> {
    if (this.#engine.generation === generation) throw error
    if (this.#engine.generation !== this.#generation) this.forget()
    return this.#read(body)
  }

  /** What was read and written before is read from the log again. */
  forget(): void {
    this.#generation = this.#engine.generation
    this.#places.clear()
    this.#blocks.clear()
    this.#opened.clear()
    // What a compaction has dropped is gone for whoever wrote it too.
    this.own.clear()
    this.#last = undefined
    this.age++
  }

  #read(body: StoredBody, life: Life = 'kept'): Uint8Array | Promise<Uint8Array> {
    const opened = this.#opened.find(body.record, body.block)
    if (opened) return this.#fromOpened(opened, body)
    const written = this.own.find(body.record, body.block)
    if (written && this.#fits(written.ciphertext.subarray(body.offset, body.offset + body.size), body))
      return written.plaintext.subarray(body.offset, body.offset + body.size)
    const block = this.#blocks.get(blockKeyOf(body.record, body.block)) ?? this.#openBlock(body)
    if (!(block instanceof Promise)) return this.#readSlice(block, body, life)
    const own = withOwnHash(body)
    return block.then((opened) => this.#readSlice(opened, own))
  }

  #readSlice(block: KeyedBlock, body: StoredBody, life: Life = 'kept'): Uint8Array | Promise<Uint8Array> {
    this.#run = block === this.#last ? this.#run + 1 : 0
    this.#last = block
    if (this.#run > RUN_BEFORE_WHOLE && block.runs === undefined) return this.#readWhole(block, body)
    const at = sliceAt(block, body.offset, body.size)
    if (at === undefined) return this.#fetchSlice(block, body)
    const room = life === 'moment' ? roomFor(body.size) : undefined
    const bytes = this.#engine.readPart(body.record, at, body.size, room?.sealed)
    if (!(bytes instanceof Promise))
      return (
        (room && openBeside(this.#crypto, block.key, withOwnHash(body), { bytes, room })) ??
        this.#open(block, body, bytes, room?.opened)
      )
    const own = withOwnHash(body)
    return bytes.then((slice) => this.#open(block, own, slice, room?.opened))
  }

  /** Checked against the hash of the verified view, as what is read from a disk. */
  #fetchSlice(block: KeyedBlock, body: StoredBody): Uint8Array | Promise<Uint8Array> {
    const { record, offset, size } = body
    const key = `${record} ${body.block} ${offset}`
    const kept = this.#fetched.get(key)
    if (kept) return this.#open(block, body, kept)
    const asked = this.#fetch?.({ record, block: body.block, offset, size })
    if (!asked) throw new AteError('BODY_DROPPED', { seq: record })
    const own = withOwnHash(body)
    return asked.then((slice) => {
      const plaintext = this.#open(block, own, slice)
      this.#keepFetched(key, slice)
      return plaintext
    })
  }

  #keepFetched(key: string, slice: Uint8Array): void {
    // Asked for twice at the same time.
    if (this.#fetched.has(key)) return
    this.#fetchedBytes += slice.length
    this.#fetched.set(key, slice)
    for (const [oldest, bytes] of this.#fetched) {
      if (this.#fetchedBytes <= FETCHED_BYTES_MAX) break
      this.#fetched.delete(oldest)
      this.#fetchedBytes -= bytes.length
    }
  }

  #open(block: KeyedBlock, body: StoredBody, slice: Uint8Array, out?: Uint8Array): Uint8Array {
    if (!this.#fits(slice, body)) throw badSlice(body)
    return block.key.openSlice(slice, body.offset, out)
  }

  #fromOpened(opened: WholeBlock, body: StoredBody): Uint8Array {
    const end = body.offset + body.size
    if (!this.#fits(opened.ciphertext.subarray(body.offset, end), body)) throw badSlice(body)
    return opened.plaintext.subarray(body.offset, end)
  }

  #fits(slice: Uint8Array, body: StoredBody): boolean {
    const hash = this.#hash
    this.#crypto.sha256Into(slice, hash, 0)
    return isHashOf(body, hash)
  }

  #readWhole(block: KeyedBlock, body: StoredBody): Uint8Array | Promise<Uint8Array> {
    const room = new Uint8Array(block.size)
    const bytes = this.#engine.readPart(body.record, block.at, block.size, room)
    if (!(bytes instanceof Promise)) return this.#fromOpened(this.#openWhole(block, body, bytes, room), body)
    const own = withOwnHash(body)
    return bytes.then((all) => this.#fromOpened(this.#openWhole(block, own, all, room), own))
  }

  #openWhole(block: KeyedBlock, body: StoredBody, bytes: Uint8Array, room: Uint8Array): WholeBlock {
    // The engine's bytes are not ours to keep, if it has not written them to our memory.
    if (bytes.buffer !== room.buffer) room.set(bytes)
    const plaintext = block.key.open(room, block.tag)
    if (!plaintext) throw new AteError('BAD_BODY', { seq: body.record, block: body.block, what: 'tag' })
    const blocks: WholeBlock[] = []
    blocks[body.block] = { ciphertext: room, plaintext }
    this.#opened.keep(body.record, blocks)
    return blocks[body.block]!
  }

  #openBlock(body: StoredBody): KeyedBlock | Promise<KeyedBlock> {
    const generation = this.#generation
    const places = this.placesOf(body.record)
    return places instanceof Promise
      ? places.then((found) => this.#keyOf(found, body, generation))
      : this.#keyOf(places, body, generation)
  }

  #keyOf(places: BlockPlaces, body: StoredBody, generation: number): KeyedBlock {
    const header = places.blocks[body.block]!
    const key = this.keyOf(places, header, body)
    const { at, size, runs, tag } = header
    const block = { key, at, size, tag, ...(runs ? { runs } : {}) }
    if (generation === this.#generation) keep(this.#blocks, blockKeyOf(body.record, body.block), block, KEYS_MAX)
    return block
  }

  keyOf(
    { writer, writerSeq }: Pick<BlockPlaces, 'writer' | 'writerSeq'>,
    header: ParsedBlock,
    body: StoredBody,
  ): BlockKey {
    const { node, epoch, salt, commitment } = header
    const row = this.#view.table.find(node.a, node.b, node.c, node.d)
    const secrets = this.#keys.secretsOf({ row, id: node }, epoch)
    if (!secrets) throw this.#unreadable(row, node, epoch)
    const info = sealInfo({ suite: SUITE, chain: this.#chainId, node: bytesOfWords(node), epoch, writer, writerSeq })
    let secret: Uint8Array | undefined = secrets.key
    if (header.mode === BLOCK_MODE.public) {
      const kem = this.#keys.writeSecret(this.#trust.epochs.get(row)![epoch]!.fields, secrets)
      secret = blockSecretFrom(this.#crypto, kem, header.encapsulated!, info)
    }
    const key = secret && openBlockKey(this.#crypto, { secret, info, salt, commitment })
    if (!key) throw new AteError('BAD_BODY', { seq: body.record, block: body.block, what: 'key commitment' })
    return key
  }

  /** Who reads the node now, but came after this was sealed, waits for it to be sealed again. */
  #unreadable(row: number, node: EntityWords, epoch: number): AteError {
    const newest = this.#trust.newestEpoch(row)
    const reads =
      newest !== undefined &&
      newest.number > epoch &&
      this.#keys.secretsOf({ row, id: node }, newest.number) !== undefined
    return new AteError(reads ? 'LOCKED' : 'NO_READ_KEY', { node: textOfWords(node), epoch })
  }

  /** Who wrote a commit, and where its blocks are. */
  placesOf(record: number): BlockPlaces | Promise<BlockPlaces> {
    return this.#places.get(record) ?? this.#readPlaces(record)
  }

  /** From the first bytes of the record to all that says where its blocks are: two reads, three if it is compacted. */
  #readPlaces(record: number, size: number = COMMIT.certificate): BlockPlaces | Promise<BlockPlaces> {
    const generation = this.#generation
    const bytes = this.#engine.readPart(record, 0, size)
    return bytes instanceof Promise
      ? bytes.then((prefix) => this.#parsePlaces(record, prefix, generation))
      : this.#parsePlaces(record, bytes, generation)
  }

  /** Places that were read before the record moved are not kept for those who read it since. */
  #parsePlaces(record: number, prefix: Uint8Array, generation: number): BlockPlaces | Promise<BlockPlaces> {
    const end = placesEnd(prefix)
    if (end > prefix.length) return this.#readPlaces(record, end)
    const places = parseBlockPlaces(prefix)
    if (generation === this.#generation) keep(this.#places, record, places, PLACES_MAX)
    return places
  }
}

/** Bounded: the oldest entry makes room. */
function keep<K, V>(cache: Map<K, V>, key: K, value: V, max: number): void {
  if (cache.size >= max) cache.delete(cache.keys().next().value!)
  cache.set(key, value)
}
