/**
 * Large bodies, a file part by part: memory for them that is used again, since new memory costs more than the cipher, and commits
 * that are sealed ahead, whose hashes are worked out beside this thread. `#large` of the platforms that have threads; on
 * others it is large-nothing.ts.
 *
 * Of all chains of this process, and bounded: what is lent beyond that is new, and is not kept.
 */
import { isAteError } from '../base/errors.ts'
import { BODY_BYTES_MAX } from '../base/limits.ts'
import type { ByteWriter } from '../codec/writer.ts'
import { largeDigest } from '../crypto/large-digest.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import type { BlockKey } from '../crypto/seal.ts'
import type { HashedBody } from '../event/commit-bodies.ts'
import type { SealedBlock } from '../event/commit-encode.ts'
import { parseBlockPlaces } from '../event/commit-parse.ts'
import type { BlockBytes } from '../event/kept-runs.ts'
import type { CommitBuilder } from './commit-builder.ts'
import { LargeRecord } from './large-record.ts'
import type { Replica } from './replica.ts'
import type { Batch, StagedTransaction } from './staged.ts'
import { badSlice, isHashOf, type StoredBody } from './stored-bodies.ts'

export { holdRecord } from './held-record.ts'
export { keepPrint, notePrint, printOf } from './record-prints.ts'

/** What a batch is sealed and written with; undefined for one that is not large. */
export interface LargeBatch {
  /** Undefined: it is sealed with its commit. */
  readonly block: SealedBlock | undefined
  readonly record: LargeRecord
}

interface Sealing {
  readonly builder: CommitBuilder
  readonly replica: Replica
  readonly crypto: CryptoProvider
}

interface SealPlace {
  readonly writer: Uint8Array
  readonly writerSeq: number
}

/** Below this nothing is large. */
const LARGE_BYTES: number = 64 * 1024
const LATER_BYTES: number = 256 * 1024
/** One large body, and what may come with it: the events of a new key. */
const EVENTS_MAX = 4
/** Room for any body, and for what stands before it. */
const STAGED_BYTES: number = BODY_BYTES_MAX + 16 * 1024
const KEPT_MAX = 4
const records: LargeRecord[] = []
const staged: Uint8Array[] = []
const rooms: Room[] = []
/** By the memory that a body was opened into. */
const lent = new WeakMap<ArrayBufferLike, Room>()

/** For a body that is read: what is sealed, and what is opened of it. */
export interface Room {
  readonly sealed: Uint8Array
  readonly opened: Uint8Array
  /** Whether so much is hashed by another thread while this one opens it: the way there and back takes as long as 100 kB. */
  readonly later: boolean
}

/** Two buffers of at least `size` until `leave` has what was opened; undefined for what is small. */
export function roomFor(size: number): Room | undefined {
  if (size <= LARGE_BYTES) return undefined
  const free = rooms.pop()
  const isEnough = free && free.sealed.length >= size
  const [sealed, opened] = isEnough ? [free.sealed, free.opened] : [sharedBytes(size), new Uint8Array(size)]
  const room = { sealed, opened, later: size > LATER_BYTES }
  lent.set(opened.buffer, room)
  return room
}

/** Large bodies at a time that other threads hash: each needs memory of its own until then. More are hashed in this one. */
const BESIDE_MAX = 4
let beside = 0

/** Opens a body while another thread hashes it; undefined where that does not pay. @throws AteError BAD_BODY */
export function openBeside(
  { sha256Later }: CryptoProvider,
  key: BlockKey,
  body: StoredBody,
  { bytes, room }: { readonly bytes: Uint8Array; readonly room: Room },
): Promise<Uint8Array> | undefined {
  if (!room.later || beside >= BESIDE_MAX || !sha256Later) return undefined
  return openHashed(sha256Later(bytes), body, () => key.openSlice(bytes, body.offset, room.opened))
}

/** Nobody gets a byte before the hash is that of the view. */
async function openHashed(hash: Promise<Uint8Array>, body: StoredBody, open: () => Uint8Array): Promise<Uint8Array> {
  beside++
  try {
    const plaintext = open()
    if (!isHashOf(body, await hash)) throw badSlice(body)
    return plaintext
  } finally {
    beside--
  }
}

/** What is hashed beside this thread stands in memory that another one sees, where there is such. */
function sharedBytes(size: number): Uint8Array {
  return new Uint8Array(typeof SharedArrayBuffer === 'undefined' ? new ArrayBuffer(size) : new SharedArrayBuffer(size))
}

/** Nobody looks at the body any more. What was not opened into lent memory is left alone. */
export function leave({ buffer, length }: Uint8Array): void {
  if (length <= LARGE_BYTES) return
  const room = lent.get(buffer)
  lent.delete(buffer)
  if (room && rooms.length < KEPT_MAX) rooms.push(room)
}

/** Makes room in a buffer of a transaction for a body of about `bytes`. */
export function lend(buffer: ByteWriter, bytes: number): void {
  const wanted = buffer.at + bytes
  if (bytes <= LARGE_BYTES || wanted <= buffer.buffer.length || wanted > STAGED_BYTES) return
  const large = staged.pop() ?? new Uint8Array(STAGED_BYTES)
  large.set(buffer.bytes())
  buffer.buffer = large
}

/** Nobody points into the buffer any more. */
export function takeBack({ buffer }: ByteWriter): void {
  if (buffer.length === STAGED_BYTES && staged.length < KEPT_MAX) staged.push(buffer)
}

/** Undefined if no batch is large. `placeOf`: under which the first one is sealed. */
export function sealAhead(
  batches: readonly Batch[],
  sealing: Sealing,
  placeOf: () => SealPlace,
): Promise<(LargeBatch | undefined)[]> | undefined {
  if (!batches.some(isLarge)) return undefined
  const { writer, writerSeq } = placeOf()
  return Promise.all(
    batches.map((batch, i) => {
      const place = { writer, writerSeq: writerSeq + i }
      return isLarge(batch) ? (takeEarly(batch, place) ?? sealLarge(batch, sealing, place)) : undefined
    }),
  )
}

/**
 * Seals the first of those that wait while others are written, under the numbers that come next: what is large is hashed
 * meanwhile. Whatever changes until their turn, they are sealed anew then; nobody has seen the block, whose salt was its own.
 */
export function sealEarly(batches: readonly Batch[], sealing: Sealing, { writer, writerSeq }: SealPlace): void {
  for (let i = 0; i < Math.min(batches.length, KEPT_MAX); i++) {
    const batch = batches[i]!
    if (!isLarge(batch)) continue
    const place = { writer, writerSeq: writerSeq + i }
    const large = sealLarge(batch, sealing, place)
    // Who takes it hears of an error; whose batch is dropped has heard of another.
    large.catch(() => undefined)
    early.set(batch, { place, staged: batch.transactions[0]!, sealedFor: placeOfBody(batch), large })
  }
}

interface Early {
  readonly place: SealPlace
  readonly staged: StagedTransaction
  /** Node and epoch of the body. */
  readonly sealedFor: string
  readonly large: Promise<LargeBatch>
}

const early = new WeakMap<Batch, Early>()

function takeEarly(batch: Batch, { writer, writerSeq }: SealPlace): Promise<LargeBatch> | undefined {
  const found = early.get(batch)
  early.delete(batch)
  if (!found) return undefined
  const { place, staged, sealedFor, large } = found
  const isSame =
    place.writer === writer &&
    place.writerSeq === writerSeq &&
    staged === batch.transactions[0] &&
    sealedFor === placeOfBody(batch)
  return isSame ? large : undefined
}

/** Other records may have given the node a new key since it was staged. */
function placeOfBody({ transactions }: Batch): string {
  return transactions[0]!.draft.events.map(({ readNode, epoch }) => `${readNode} ${epoch}`).join()
}

async function sealLarge(batch: Batch, sealing: Sealing, place: SealPlace): Promise<LargeBatch> {
  const record = records.pop() ?? new LargeRecord(sharedBytes)
  return { block: await sealOne(batch, sealing, place, record), record }
}

/** When their records are stored, and rows have their hashes: an engine keeps none of the bytes that it was given. */
export function release(large: readonly (LargeBatch | undefined)[]): void {
  for (const one of large) {
    if (!one || records.length >= KEPT_MAX) continue
    one.record.clear()
    records.push(one.record)
  }
}

/**
 * What may be the large bodies of a commit, hashed by other threads: a block of its own for each, as large ones are written.
 * Undefined if there is none. Bytes that are no commit have none: who judges them refuses them.
 */
export function hashBodies(crypto: CryptoProvider, bytes: Uint8Array): Promise<readonly HashedBody[]> | undefined {
  const { sha256Later } = crypto
  if (!sha256Later || bytes.length <= LATER_BYTES) return undefined
  const large = blocksOf(bytes).filter(({ at, size, runs }) => !runs && size > LATER_BYTES && at + size <= bytes.length)
  if (large.length === 0) return undefined
  return Promise.all(
    large.map(async ({ at, size }) => ({ at, size, hash: await sha256Later(bytes.subarray(at, at + size)) })),
  )
}

function blocksOf(bytes: Uint8Array): readonly BlockBytes[] {
  try {
    return parseBlockPlaces(bytes).blocks
  } catch (error) {
    if (!isAteError(error)) throw error
    return []
  }
}

function isLarge({ sizeBytes, transactions, events }: Batch): boolean {
  return sizeBytes > LARGE_BYTES && transactions.length === 1 && events <= EVENTS_MAX
}

async function sealOne(
  { transactions }: Batch,
  { builder, replica, crypto }: Sealing,
  place: SealPlace,
  record: LargeRecord,
): Promise<SealedBlock | undefined> {
  const { events, bodies } = transactions[0]!.draft
  const [event, second] = events.filter(({ body }) => body)
  if (!event || second || !crypto.sha256Later) return undefined
  event.block = 0
  event.offset = 0
  const { readNode: row, epoch } = event
  const plaintext = bodies.buffer.subarray(event.stagedAt, event.stagedAt + event.size)
  const digest = (secret: Uint8Array): Uint8Array | undefined => largeDigest(crypto, secret, plaintext)
  const ahead = { digest, out: record.room() }
  const block = builder.sealUnderKey({ node: replica.view.wordsOf(row), row, epoch }, place, plaintext, ahead)
  if (!block) record.clear()
  return block && { ...block, sliceHash: await crypto.sha256Later(block.ciphertext) }
}
