/**
 * The bytes of a snapshot: pieces of rows, pieces of the rest of the state, the hash of each piece, and a foot whose tag,
 * under a key of this machine, covers all of it. docs/FORMAT.md, section 13, has it byte by byte.
 *
 * Nothing is believed before the tag: it is checked over the foot and the hashes first, and each piece is compared with
 * its hash when it is read, before a byte of it is looked at. What the tag says of sizes bounds the memory that follows.
 */
import { concatBytes, equalBytes } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { SNAPSHOT_BYTES_MAX } from '../base/limits.ts'
import { givingWay } from '../base/steps.ts'
import { ByteReader, ByteWriter } from '../codec/writer.ts'
import { contextBytes } from '../crypto/contexts.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { HASH_BYTES } from '../crypto/sizes.ts'
import { FOLD_LEVEL } from '../event/format.ts'
import type { StoredSnapshot } from '../log/engine.ts'
import { CHUNK_BYTES, ROW_BYTES } from '../view/entity-table.ts'
import { View } from '../view/view.ts'
import type { FoldedState, Replica } from './replica.ts'
import { readState, writeState } from './snapshot-state.ts'

const MAGIC = 0x41544556
/** Of the bytes, and of what the fold makes: raised when either changes, so that the log is folded anew. */
const FORMAT = 3
const TAG_AT = 112
const FOOT_BYTES: number = TAG_AT + HASH_BYTES
const ROWS_A_PIECE: number = CHUNK_BYTES / ROW_BYTES

/** What the foot says of the state behind it. */
export interface SnapshotFoot {
  /** Level of the rules that the software which made it knew. */
  readonly level: number
  readonly chainId: Uint8Array
  /** The newest record that is folded in: its seq and its hash. */
  readonly seq: number
  readonly hash: Uint8Array
  readonly rows: number
  /** Bytes of the state besides the rows. */
  readonly restBytes: number
  /** Bytes of the log when it was written. */
  readonly logBytes: number
}

export interface SnapshotMakers {
  readonly crypto: CryptoProvider
  /** 32 bytes of this machine. */
  readonly key: Uint8Array
  readonly pause: () => Promise<void>
}

/** Rows stand in the file as in memory: machines of the other byte order do without. */
export function canKeepSnapshots(): boolean {
  return new Uint8Array(Uint32Array.of(1).buffer)[0] === 1
}

/** The bytes of a snapshot of `replica`, which must not change meanwhile; each part is valid until the next is asked for. */
export async function* snapshotParts(
  { crypto, key, pause }: SnapshotMakers,
  replica: Replica,
  logBytes: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { view, chainId, head } = replica
  const hashes = new ByteWriter()
  let restBytes = 0
  for (const piece of view.table.chunkBytes()) {
    hashes.raw(crypto.sha256(piece))
    yield piece
    await pause()
  }
  for (const piece of restPieces(crypto, replica)) {
    hashes.raw(crypto.sha256(piece))
    restBytes += piece.length
    yield piece
    await pause()
  }
  yield hashes.bytes()
  const foot = { level: FOLD_LEVEL, chainId, ...head, rows: view.table.rows, restBytes, logBytes }
  yield encodeFoot({ crypto, key }, foot, hashes.bytes())
}

function* restPieces(crypto: CryptoProvider, replica: Replica): Generator<Uint8Array, void, undefined> {
  const out = new ByteWriter(2 * CHUNK_BYTES)
  for (const _ of writeState(crypto, out, replica)) {
    while (out.at >= CHUNK_BYTES) {
      yield out.buffer.subarray(0, CHUNK_BYTES)
      out.buffer.copyWithin(0, CHUNK_BYTES, out.at)
      out.at -= CHUNK_BYTES
    }
  }
  if (out.at > 0) yield out.bytes()
}

function encodeFoot(
  { crypto, key }: Pick<SnapshotMakers, 'crypto' | 'key'>,
  foot: SnapshotFoot,
  hashes: Uint8Array,
): Uint8Array {
  const out = new ByteWriter(FOOT_BYTES)
  out.u32(MAGIC)
  out.u32(FORMAT)
  out.u64(foot.level)
  out.raw(foot.chainId)
  out.u64(foot.seq)
  out.raw(foot.hash)
  out.u64(foot.rows)
  out.u64(foot.restBytes)
  out.u64(foot.logBytes)
  out.raw(tagOf(crypto, key, out.bytes(), hashes))
  return out.copy()
}

function tagOf(crypto: CryptoProvider, key: Uint8Array, fields: Uint8Array, hashes: Uint8Array): Uint8Array {
  return crypto.hmacSha256(key, concatBytes(contextBytes('snapshot'), fields, hashes))
}

/** A snapshot whose tag is right: what it says of itself can be believed, and each piece has its hash. */
export class SealedSnapshot {
  readonly foot: SnapshotFoot
  readonly #stored: StoredSnapshot
  readonly #hashes: Uint8Array
  readonly #makers: SnapshotMakers
  #pieces = 0
  #at = 0

  private constructor(makers: SnapshotMakers, stored: StoredSnapshot, foot: SnapshotFoot, hashes: Uint8Array) {
    this.foot = foot
    this.#makers = makers
    this.#stored = stored
    this.#hashes = hashes
  }

  /** @throws AteError BAD_SNAPSHOT | IO_ERROR */
  static async open(makers: SnapshotMakers, stored: StoredSnapshot): Promise<SealedSnapshot> {
    const { sizeBytes } = stored
    if (sizeBytes < FOOT_BYTES || sizeBytes > SNAPSHOT_BYTES_MAX) throw bad('size')
    const bytes = await readAt(stored, FOOT_BYTES, sizeBytes - FOOT_BYTES)
    const foot = decodeFoot(bytes)
    const pieces = Math.ceil(foot.rows / ROWS_A_PIECE) + Math.ceil(foot.restBytes / CHUNK_BYTES)
    const hashesAt = foot.rows * ROW_BYTES + foot.restBytes
    if (hashesAt + pieces * HASH_BYTES + FOOT_BYTES !== sizeBytes) throw bad('size')
    const hashes = await readAt(stored, pieces * HASH_BYTES, hashesAt)
    const { crypto, key } = makers
    if (!equalBytes(tagOf(crypto, key, bytes.subarray(0, TAG_AT), hashes), bytes.subarray(TAG_AT))) throw bad('tag')
    return new SealedSnapshot(makers, stored, foot, hashes)
  }

  /** The state; `seed` spreads the ids. Read once. @throws AteError BAD_SNAPSHOT | BAD_RECORD | IO_ERROR */
  async state(seed: number): Promise<FoldedState> {
    const view = await this.#view(seed)
    const rest = new Uint8Array(this.foot.restBytes)
    for (let at = 0; at < rest.length; at += CHUNK_BYTES) await this.#piece(rest.subarray(at, at + CHUNK_BYTES))
    const { crypto, pause } = this.#makers
    return checked(await givingWay(readState(crypto, new ByteReader(rest), view), pause), this.foot)
  }

  async #view(seed: number): Promise<View> {
    const view = new View(seed)
    const { rows } = this.foot
    for (const _ of view.table.reserve(rows)) await this.#makers.pause()
    for (let row = 0; row < rows; row += ROWS_A_PIECE) {
      const chunk = new Int32Array(CHUNK_BYTES / 4)
      const count = Math.min(ROWS_A_PIECE, rows - row)
      await this.#piece(new Uint8Array(chunk.buffer, 0, count * ROW_BYTES))
      view.table.adopt(chunk, count)
    }
    return view
  }

  async #piece(target: Uint8Array): Promise<void> {
    await readInto(this.#stored, target, this.#at)
    const hash = this.#hashes.subarray(this.#pieces * HASH_BYTES, (this.#pieces + 1) * HASH_BYTES)
    if (!equalBytes(this.#makers.crypto.sha256(target), hash)) throw bad('piece')
    this.#pieces++
    this.#at += target.length
    await this.#makers.pause()
  }
}

/** @throws AteError BAD_SNAPSHOT | BAD_RECORD */
function decodeFoot(bytes: Uint8Array): SnapshotFoot {
  const input = new ByteReader(bytes)
  if (input.u32() !== MAGIC || input.u32() !== FORMAT) throw bad('format')
  return {
    level: input.u64(),
    chainId: input.raw(32),
    seq: input.u64(),
    hash: input.raw(32),
    rows: input.u64(),
    restBytes: input.u64(),
    logBytes: input.u64(),
  }
}

/** What is said twice is the same. */
function checked(state: FoldedState, { seq, hash }: SnapshotFoot): FoldedState {
  const { head, hashes, tree } = state
  const fits = head.seq === seq && hashes.size === seq + 1 && tree.size === seq + 1
  if (!fits || !equalBytes(head.hash, hash) || !equalBytes(hashes.at(seq)!, hash)) throw bad('head')
  return state
}

async function readAt(stored: StoredSnapshot, size: number, at: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(size)
  await readInto(stored, bytes, at)
  return bytes
}

async function readInto(stored: StoredSnapshot, target: Uint8Array, at: number): Promise<void> {
  if ((await stored.read(target, at)) !== target.length) throw bad('it ends early')
}

function bad(what: string): AteError {
  return new AteError('BAD_SNAPSHOT', { what })
}
