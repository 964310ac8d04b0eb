/**
 * Putting. A small body goes into one transaction with its manifest. A larger one is stored first, chunk by chunk, below an
 * object that nobody sees; the transaction that writes the manifest locks it, and from then on it is there, whole. That
 * transaction is durable at the chain's own level, and a log is durable in order: so is each chunk before it.
 */
import { AteError, isAteError, role, type Transaction } from '@ate/core'
import { type Body, chunksOf, piecesOf } from './body.ts'
import type { CallOptions, Context, WriteOptions } from './context.ts'
import { newHasher, sha256Of, toBase64 } from './hashing.ts'
import { keyOf, makeKey } from './keys.ts'
import { type Json, type Manifest, manifestText } from './manifest.ts'
import { type Found, readObject, type Stored, storedOf } from './objects.ts'
import { newNonce, type ObjectKey, openChunk, SEAL_BYTES, sealChunk } from './sealing.ts'
import { noteStaged, type Staged } from './staged.ts'
import {
  CHUNK_BYTES,
  CHUNKS_MAX,
  ChunkType,
  ClaimType,
  HoldType,
  IN,
  NameType,
  ObjectType,
  SMALL_BYTES,
  WRITERS,
} from './worm-records.ts'
import { checkKeep, checkText, type Keep, untilOf } from './worm-rules.ts'

export interface PutOptions extends WriteOptions, Keep {
  /** Media type. */
  readonly type?: string
  /** What JSON can say, up to 64 KiB of it. */
  readonly meta?: Json
  /** Makes the put one that can be repeated: what was stored is taken up again, and a put that was done is found. */
  readonly key?: string
}

/** Chunks that are on their way at a time: what is kept in memory, and what an error may leave behind. */
const IN_FLIGHT = 4
const META_BYTES_MAX: number = 64 * 1024

/** What goes into the manifest, checked. */
interface Terms extends Keep {
  readonly name: string
  readonly type?: string
  readonly meta?: Json
}

interface Measured {
  readonly size: bigint
  readonly sha256: string
  readonly chunks: number
}

/** @throws AteError BAD_ARGUMENT | ID_REUSED | KEYS_UNAVAILABLE | NOT_AUTHORIZED | DISK_FULL and as transact */
export async function put(
  context: Context,
  name: string,
  body: Body,
  options: PutOptions,
): Promise<Stored | Staged | undefined> {
  const terms = termsOf(name, options, context.defaults)
  const archive = await context.ensure(options.signal)
  const claimed = options.key === undefined ? undefined : await claimOf(context, archive, options.key, terms)
  if (claimed?.done) return sameAgain(context, claimed.done, body, terms, options)
  const spare: Uint8Array[] = []
  const chunks = chunksOf(body, CHUNK_BYTES, { spare, signal: options.signal })
  try {
    const first = await chunks.next()
    const bytes = first.done ? new Uint8Array(0) : first.value
    if (options.key === undefined && bytes.length <= SMALL_BYTES) {
      const staging = (tx: Transaction): Promise<Staged> => putSmall(context, tx, archive, terms, bytes)
      return await finished(context, options, await context.write(options, staging))
    }
    const upload =
      claimed?.open ??
      (await begin(context, archive, terms, options)) ??
      (await joined(context, archive, options.key!, terms))
    const measured = await storeAll(
      context,
      upload,
      { chunks: chained(bytes, first.done === true, chunks), spare },
      options,
    )
    const staging = (tx: Transaction): Promise<Staged> => commit(context, tx, archive, { terms, upload, measured })
    return await finished(context, options, await context.write(options, staging))
  } finally {
    await chunks.return(undefined)
  }
}

function termsOf(name: string, options: PutOptions, defaults: Keep): Terms {
  checkText(name, 'the name of an object')
  if (options.type !== undefined) checkText(options.type, 'a media type')
  if (options.key !== undefined) checkText(options.key, 'a key')
  const keep: Keep = {
    ...pick(defaults),
    ...pick(options),
  }
  checkKeep(keep)
  const { meta } = options
  const text = meta === undefined ? '' : jsonOf(meta)
  if (text === undefined || new TextEncoder().encode(text).length > META_BYTES_MAX)
    throw new AteError('BAD_ARGUMENT', { option: 'meta', what: 'what JSON can say', max: META_BYTES_MAX })
  return {
    ...keep,
    name,
    ...(options.type === undefined ? {} : { type: options.type }),
    ...(meta === undefined ? {} : { meta: JSON.parse(text) as Json }),
  }
}

/** Undefined for what JSON cannot say: a number that is none would be stored as null. */
function jsonOf(value: unknown): string | undefined {
  const finite = (_: string, one: unknown): unknown => {
    if (typeof one === 'number' && !Number.isFinite(one)) throw new TypeError('no number of JSON')
    return one
  }
  try {
    return JSON.stringify(value, finite)
  } catch {
    return undefined
  }
}

function pick({ mode, retain, hold, subject }: Keep): Keep {
  return {
    ...(mode === undefined ? {} : { mode }),
    ...(retain === undefined ? {} : { retain }),
    ...(hold === undefined ? {} : { hold }),
    ...(subject === undefined ? {} : { subject }),
  }
}

async function finished(
  { chain }: Context,
  { tx }: PutOptions,
  staged: Staged | undefined,
): Promise<Stored | Staged | undefined> {
  if (tx !== undefined || staged === undefined) return staged
  const found = await readObject(chain, staged.version)
  if (!found) throw new AteError('INTERNAL', { what: 'an object that was just put', version: staged.version })
  return storedOf(chain, found)
}

/** Of a key that was used before: the object that it made, or the upload that it began. */
async function claimOf(
  context: Context,
  archive: string,
  key: string,
  terms: Terms,
): Promise<{ readonly done?: Found; readonly open?: Upload } | undefined> {
  const { chain } = context
  const claim = await chain.named(ClaimType, key, { parent: archive, in: IN.claims })
  if (!claim) return undefined
  const { object: id, name } = claim.value
  // What was disposed of is over: the key begins anew.
  if (!chain.has(id)) return undefined
  if (name !== terms.name) throw new AteError('ID_REUSED', { key, name, what: 'the key is of another object' })
  const done = await readObject(chain, id)
  if (done) return { done }
  const begun = await chain.load(ObjectType, id)
  if (begun.value.upload?.subject !== terms.subject)
    throw new AteError('ID_REUSED', { key, name, what: 'the upload was begun with another subject, or without one' })
  return { open: { id, sealing: await keyOf(context, { name, version: id }) } }
}

/** What another put with the same key has begun meanwhile, or has ended: both compare, and store what is not there. */
async function joined(context: Context, archive: string, key: string, terms: Terms): Promise<Upload> {
  const { open, done } = (await claimOf(context, archive, key, terms)) ?? {}
  if (open) return open
  if (!done) throw new AteError('CONFLICT', { key, what: 'another put with this key was begun and is gone' })
  return { id: done.id, sealing: await keyOf(context, { name: terms.name, version: done.id }) }
}

/** A put that was done is found if it is the same. */
async function sameAgain(
  context: Context,
  done: Found,
  body: Body,
  terms: Terms,
  { key, signal }: PutOptions,
): Promise<Stored> {
  const hasher = newHasher()
  let size = 0n
  for await (const piece of piecesOf(body)) {
    signal?.throwIfAborted()
    hasher.update(piece)
    size += BigInt(piece.length)
  }
  if (String(size) !== done.manifest.size || hasher.hex() !== done.manifest.sha256)
    throw new AteError('ID_REUSED', { key, name: done.manifest.name, what: 'the key has stored another body' })
  return asAsked(await storedOf(context.chain, done), done.manifest, terms)
}

/** What stands is kept at least as long and as strictly as this put asks for: who asks for more must not believe that he has it. */
function asAsked(stored: Stored, { at }: Manifest, { name, mode, retain, hold, subject, type, meta }: Terms): Stored {
  const isWeaker =
    (mode === 'compliance' && stored.mode !== 'compliance') ||
    (retain !== undefined && (stored.retainUntil?.getTime() ?? 0) < untilOf(retain, at)) ||
    (hold !== undefined && !stored.holds.includes(hold))
  if (isWeaker) {
    const what = 'the key has stored it on weaker terms; extend() and hold() make them stronger'
    throw new AteError('ID_REUSED', { name, version: stored.version, what })
  }
  const isOther =
    subject !== stored.subject ||
    (type !== undefined && type !== stored.type) ||
    (meta !== undefined && JSON.stringify(meta) !== JSON.stringify(stored.meta))
  if (isOther)
    throw new AteError('ID_REUSED', {
      name,
      version: stored.version,
      what: 'the key has stored it with another subject, type or meta',
    })
  return stored
}

async function* chained(
  first: Uint8Array,
  isDone: boolean,
  rest: AsyncGenerator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  if (isDone) return
  yield first
  yield* rest
}

interface Upload {
  readonly id: string
  readonly sealing: ObjectKey | undefined
}

/** The object, without a manifest, and what finds it again; undefined if the key has another one by now. */
async function begin(
  context: Context,
  archive: string,
  terms: Terms,
  options: PutOptions,
): Promise<Upload | undefined> {
  const { chain, makers } = context
  const { key } = options
  const { subject } = terms
  return chain.transact(
    async (tx) => {
      // Somebody else may have begun under the same key meanwhile: then it is his that goes on.
      const claim = key === undefined ? undefined : await tx.named(ClaimType, key, { parent: archive, in: IN.claims })
      if (claim && (await tx.get(ObjectType, claim.value.object))) return undefined
      const parent = await nameIn(tx, archive, terms.name)
      const upload = { chunkBytes: CHUNK_BYTES, ...(subject === undefined ? {} : { subject }) }
      const { id } = tx.create(ObjectType, { upload }, { parent, in: IN.versions })
      const sealing = subject === undefined ? undefined : await makeKey(makers, tx, id)
      if (key !== undefined)
        tx.put(ClaimType, key, { object: id, name: terms.name }, { parent: archive, in: IN.claims })
      return { id, sealing }
    },
    options.signal ? { signal: options.signal } : {},
  )
}

async function nameIn(tx: Transaction, archive: string, name: string): Promise<string> {
  const place = { parent: archive, in: IN.names }
  const found = await tx.named(NameType, name, place)
  // Who may put may lock what he has put: that is asked of the node above it.
  return found?.id ?? tx.create(NameType, { name }, { ...place, name, allow: [role(WRITERS)] }).id
}

async function putSmall(
  context: Context,
  tx: Transaction,
  archive: string,
  terms: Terms,
  bytes: Uint8Array,
): Promise<Staged> {
  const { makers } = context
  const parent = await nameIn(tx, archive, terms.name)
  const hasher = newHasher()
  hasher.update(bytes)
  const measured = { size: BigInt(bytes.length), sha256: hasher.hex(), chunks: bytes.length === 0 ? 0 : 1 }
  const { manifest, text } = manifestOf(context, tx, archive, terms, measured)
  const { id } = tx.create(ObjectType, { manifest: text }, { parent, in: IN.versions })
  const sealing = terms.subject === undefined ? undefined : await makeKey(makers, tx, id)
  if (bytes.length > 0) {
    const stored = sealing ? await sealChunk(sealing, { index: 0, nonce: newNonce(makers.random) }, bytes) : bytes
    tx.create(ChunkType, stored, { parent: id, in: IN.chunks, name: '0' })
  }
  lock(tx, id, terms, manifest, text)
  const staged = stagedOf(id, terms, manifest)
  noteStaged(tx, archive, staged)
  return staged
}

/** Chunks that an earlier try has stored are compared, not stored again. */
async function storeAll(
  context: Context,
  upload: Upload,
  { chunks, spare }: { readonly chunks: AsyncGenerator<Uint8Array>; readonly spare: Uint8Array[] },
  { signal }: CallOptions,
): Promise<Measured> {
  const { chain } = context
  const hasher = newHasher()
  let size = 0n
  let count = 0
  const before = chain.children(ChunkType, upload.id, IN.chunks).count()
  const flights: Promise<void>[] = []
  const boxes: Uint8Array[] = []
  const fly = async (index: number, bytes: Uint8Array): Promise<void> => {
    const box = upload.sealing && (boxes.pop() ?? new Uint8Array(CHUNK_BYTES + SEAL_BYTES))
    if (index < before) await compare(context, upload, index, bytes)
    else await store(context, upload, { index, bytes, box }, signal)
    if (box) boxes.push(box)
    if (bytes.length === CHUNK_BYTES) spare.push(bytes)
  }
  try {
    for await (const bytes of chunks) {
      if (count >= CHUNKS_MAX) throw new AteError('VALUE_TOO_LARGE', { chunks: CHUNKS_MAX, what: 'one object' })
      hasher.update(bytes)
      size += BigInt(bytes.length)
      const index = count++
      if (flights.length >= IN_FLIGHT) await flights.shift()
      flights.push(handled(fly(index, bytes)))
    }
    while (flights.length > 0) await flights.shift()
  } catch (error) {
    // What is on its way lands or fails before the caller hears of it: the next try finds a still log.
    await Promise.allSettled(flights)
    throw error
  }
  if (count < chain.children(ChunkType, upload.id, IN.chunks).count()) throw otherBody(count)
  return { size, sha256: hasher.hex(), chunks: count }
}

/** Others are awaited in order: until its turn an error waits too. */
function handled(flight: Promise<void>): Promise<void> {
  flight.catch(() => undefined)
  return flight
}

async function store(
  context: Context,
  { id, sealing }: Upload,
  { index, bytes, box }: { readonly index: number; readonly bytes: Uint8Array; readonly box: Uint8Array | undefined },
  signal: AbortSignal | undefined,
): Promise<void> {
  const nonce = newNonce(context.makers.random)
  const stored = sealing ? await sealChunk(sealing, { index, nonce }, bytes, box) : bytes
  try {
    await context.chain.transact(
      (tx) => void tx.create(ChunkType, stored, { parent: id, in: IN.chunks, name: String(index) }),
      // The manifest's transaction makes all of them durable.
      { durability: 'memory', ...(signal ? { signal } : {}) },
    )
  } catch (error) {
    // Somebody else puts under the same key.
    if (!isAteError(error) || error.code !== 'NAME_TAKEN') throw error
    await compare(context, { id, sealing }, index, bytes)
  }
}

async function compare({ chain }: Context, { id, sealing }: Upload, index: number, bytes: Uint8Array): Promise<void> {
  const [name, at] = [String(index), { parent: id, in: IN.chunks }]
  // That of another who puts the same may be on its way: a transaction sees it, and ends when it is there.
  const chunk =
    (await chain.named(ChunkType, name, { ...at, use: 'once' })) ??
    (await chain.transact((tx) => tx.named(ChunkType, name, at)))
  if (!chunk) throw new AteError('DAMAGED', { what: 'a chunk of an upload is missing', chunk: index })
  const stored = sealing ? await openChunk(sealing, index, chunk.value) : chunk.value
  if (stored.length !== bytes.length || !isSame(stored, bytes)) throw otherBody(index)
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

function otherBody(chunk: number): AteError {
  return new AteError('ID_REUSED', { chunk, what: 'an earlier put with this key had another body' })
}

async function commit(
  context: Context,
  tx: Transaction,
  archive: string,
  { terms, upload, measured }: { readonly terms: Terms; readonly upload: Upload; readonly measured: Measured },
): Promise<Staged> {
  const object = await tx.load(ObjectType, upload.id)
  if (object.value.manifest !== undefined) {
    const found = await readObject(context.chain, upload.id)
    if (found?.manifest.sha256 === measured.sha256)
      return asAsked(await storedOf(context.chain, found), found.manifest, terms)
    throw otherBody(0)
  }
  const { manifest, text } = manifestOf(context, tx, archive, terms, measured)
  await tx.update(ObjectType, upload.id, () => ({ manifest: text }))
  lock(tx, upload.id, terms, manifest, text)
  const staged = stagedOf(upload.id, terms, manifest)
  noteStaged(tx, archive, staged)
  return staged
}

function manifestOf(
  context: Context,
  tx: Transaction,
  archive: string,
  terms: Terms,
  { size, sha256, chunks }: Measured,
): { readonly manifest: Manifest; readonly text: string } {
  const now = context.now(tx, archive)
  const { name, type, meta, subject, mode = 'governance', retain } = terms
  const manifest: Manifest = {
    format: 'ate-worm/1',
    name,
    size: String(size),
    sha256,
    chunks,
    chunkBytes: CHUNK_BYTES,
    ...(type === undefined ? {} : { type }),
    ...(meta === undefined ? {} : { meta }),
    ...(subject === undefined ? {} : { subject }),
    mode,
    ...(retain === undefined ? {} : { retainUntil: untilOf(retain, now) }),
    at: now,
    by: context.chain.identity,
    salt: toBase64(context.makers.random(32)),
  }
  return { manifest, text: manifestText(manifest) }
}

/** From here on it is written once; the hash of the manifest stands beside the lock for whoever gets a proof. */
function lock(tx: Transaction, id: string, { hold }: Terms, { mode, retainUntil, at }: Manifest, text: string): void {
  const digest = sha256Of(new TextEncoder().encode(text))
  tx.retain(id, { lock: mode, digest, ...(retainUntil === undefined ? {} : { retain: retainUntil }) })
  if (hold !== undefined) tx.hold(id, HoldType, { matter: hold, at }, { name: hold })
}

function stagedOf(id: string, { hold }: Terms, manifest: Manifest): Staged {
  const { name, size, sha256, type, meta, subject, mode, retainUntil } = manifest
  return {
    name,
    version: id,
    size: BigInt(size),
    digest: sha256,
    type,
    meta,
    subject,
    mode,
    retainUntil: retainUntil === undefined ? undefined : new Date(retainUntil),
    holds: hold === undefined ? [] : [hold],
  }
}
