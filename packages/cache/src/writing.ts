/** What a cache writes, as steps of a transaction, and how the view learns of it once it is acknowledged. */
import { AteError, type PlaceOptions, stageIn, type Transaction, type TxTarget } from '@ate/core'
import {
  EntryRecord,
  GenerationRecord,
  IN,
  nameOf,
  PrefixRecord,
  type StoredEntry,
  TagRecord,
} from './cache-records.ts'
import { checkKey, checkTags, endOf, type Lifetime, lifetimeOf, storedEntry } from './cache-rules.ts'
import type { InvalidateOptions, SetOptions, Written } from './cache-types.ts'
import { bytesOf, frozenCopy } from './plain-values.ts'
import { codeOf, type Store, unlessBad } from './store.ts'
import type { EntryEntity } from './view.ts'

/** Entries of one transaction, and their bytes; halved while they do not fit. */
export const CHUNK = 1000
export const CHUNK_BYTES = 400_000

export interface Prepared {
  readonly key: string
  readonly value: unknown
  /** As readers get it. */
  readonly shown: unknown
  readonly bytes: number
  readonly lifetime: Lifetime
  readonly tags: readonly string[]
  readonly expected: 'absent' | number | undefined
}

export interface StagedEntry {
  readonly entity: EntryEntity
  readonly version: number
}

/** Generations that a transaction has begun: what it sets behind that is of the newest. */
const begun = new WeakMap<Transaction, number>()

/** @throws AteError BAD_ARGUMENT | BAD_VALUE */
export function prepare(store: Store, key: string, value: unknown, options: SetOptions, defaults: Lifetime): Prepared {
  checkKey(key)
  if (value === undefined) throw new AteError('BAD_ARGUMENT', { what: 'undefined is not kept; delete the key instead' })
  const lifetime = lifetimeOf(options, defaults)
  const copy = frozenCopy(value)
  const { if: expected } = options
  if (expected !== undefined && expected !== 'absent' && !Number.isSafeInteger(expected))
    throw new AteError('BAD_ARGUMENT', { what: 'if is a version, or absent' })
  return {
    key,
    value: copy.value,
    shown: store.parse(copy.value),
    bytes: copy.bytes,
    lifetime,
    tags: checkTags(options.tags),
    expected,
  }
}

/** Puts the entry. `generation`: what was known when its value was read, if that was before now. */
export function stagePut(store: Store, tx: Transaction, prepared: Prepared, generation?: number): StagedEntry {
  const { key, value, tags, lifetime } = prepared
  const of = generation ?? begun.get(tx) ?? store.view.generation
  return putStored(store, tx, key, storedEntry({ value, tags, generation: of }, lifetime, tx.now))
}

export function putStored(store: Store, tx: Transaction, key: string, stored: StoredEntry): StagedEntry {
  const entity = replaced(store, tx, key, stored) ?? tx.put(EntryRecord, nameOf(key), stored, entriesOf(store))
  return { entity, version: tx.versionOf(entity) }
}

/** An entry that is known is written by its id: to find it by its name takes three hashes, a fifth of a set. */
function replaced(store: Store, tx: Transaction, key: string, stored: StoredEntry): EntryEntity | undefined {
  const known = store.view.entries.get(key)?.entity
  try {
    return known && tx.replace(known, stored)
  } catch (error) {
    // Deleted meanwhile, or before in this transaction.
    if (codeOf(error) === 'NOT_FOUND') return undefined
    throw error
  }
}

function entriesOf(store: Store): PlaceOptions {
  return { parent: store.node!, in: IN.entries }
}

/** @throws AteError CAS_MISMATCH, before anything is written */
async function requireExpected(store: Store, tx: Transaction, { key, expected }: Prepared): Promise<void> {
  const { id, version } = (await findLive(store, tx, key)) ?? { id: undefined, version: undefined }
  if (expected === 'absent' ? id === undefined : version === expected) return
  throw new AteError('CAS_MISMATCH', { cache: store.name, expected, found: version ?? 'absent' })
}

interface Found {
  readonly id: string
  readonly version: number
  readonly stored: StoredEntry
}

/** The entry as the transaction sees it, under guard; undefined if there is none that counts. */
export async function findLive(store: Store, tx: Transaction, key: string): Promise<Found | undefined> {
  const entity = await unlessBad(tx.named(EntryRecord, nameOf(key), entriesOf(store)))
  if (!entity) return undefined
  const { id, value: stored } = entity
  const isVoid = store.view.marks.isVoid(key, stored.t ?? [], stored.g ?? 0)
  return isVoid || tx.now >= endOf(stored) ? undefined : { id, version: tx.versionOf(id), stored }
}

/** What the view is told when the transaction is acknowledged. */
export function seenPut(
  store: Store,
  prepared: Pick<Prepared, 'key' | 'shown' | 'bytes'>,
  staged: StagedEntry,
  seq: number,
): void {
  const { key, shown, bytes } = prepared
  const { entity, version } = staged
  store.loading.changed(key)
  store.applyWritten({ key, value: shown, bytes, seq, entity, version })
}

export async function set(store: Store, prepared: Prepared, target: TxTarget | undefined): Promise<Written> {
  await store.open()
  await store.upkeep.room()
  store.counts.sets++
  if (target === undefined && prepared.expected === undefined) return store.gathering.add(prepared)
  const stage = (tx: Transaction): StagedEntry | Promise<StagedEntry> => {
    store.loading.changing(prepared.key, tx)
    if (prepared.expected === undefined) return stagePut(store, tx, prepared)
    return requireExpected(store, tx, prepared).then(() => stagePut(store, tx, prepared))
  }
  return inTransaction(store, target, stage, (staged, seq) => seenPut(store, prepared, staged, seq))
}

/** Sets that nothing is asked of, in one transaction. */
export async function setTogether(
  store: Store,
  all: readonly Prepared[],
): Promise<{ readonly seq: number; readonly staged: readonly StagedEntry[] }> {
  const { tx, result: staged } = await ownTransaction(store, (own) =>
    all.map((prepared) => {
      store.loading.changing(prepared.key, own)
      return stagePut(store, own, prepared)
    }),
  )
  const { seq } = tx.receipt!
  seeAll(store, all, staged, seq)
  return { seq, staged }
}

/** Of a key that is there twice the last one counts: its version is the newest. */
function seeAll(store: Store, all: readonly Prepared[], staged: readonly StagedEntry[], seq: number): void {
  for (let i = 0; i < all.length; i++) seenPut(store, all[i]!, staged[i]!, seq)
}

interface Versioned {
  readonly version?: number
}

/** In the caller's transaction, or in one of its own; what it did is seen here before anybody can look. */
async function inTransaction<R extends Versioned | undefined>(
  store: Store,
  target: TxTarget | undefined,
  stage: (tx: Transaction) => R | Promise<R>,
  seen: (result: R, seq: number) => void,
): Promise<Written> {
  store.gathering.flush()
  if (target !== undefined) {
    const result = await stageIn(target, (tx) => pended(store, tx, stage(tx), seen), store.chain)
    return { seq: undefined, version: result?.version }
  }
  const { tx, result } = await ownTransaction(store, stage)
  const { seq } = tx.receipt!
  seen(result, seq)
  return { seq, version: result?.version }
}

async function ownTransaction<R>(
  store: Store,
  stage: (tx: Transaction) => R | Promise<R>,
): Promise<{ readonly tx: Transaction; readonly result: R }> {
  let last: Transaction | undefined
  try {
    const result = await store.chain.transact((tx) => {
      store.pending.end(last)
      last = tx
      return stage(tx)
    })
    return { tx: last!, result }
  } finally {
    store.pending.end(last)
  }
}

function pended<R>(
  store: Store,
  tx: Transaction,
  result: R | Promise<R>,
  seen: (result: R, seq: number) => void,
): R | Promise<R> {
  const pend = (known: R): R => {
    store.pending.tell(tx, ({ seq }) => seen(known, seq))
    return known
  }
  return result instanceof Promise ? result.then(pend) : pend(result)
}

export async function setMany(store: Store, all: readonly Prepared[], target: TxTarget | undefined): Promise<Written> {
  await store.open()
  await store.upkeep.room()
  store.counts.sets += all.length
  if (target !== undefined) return setChunk(store, all, target)
  let seq: number | undefined
  const chunks: Prepared[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const prepared of all) {
    if (bytes + prepared.bytes > CHUNK_BYTES || chunks.at(-1)!.length === CHUNK) {
      chunks.push([])
      bytes = 0
    }
    chunks.at(-1)!.push(prepared)
    bytes += prepared.bytes + prepared.key.length
  }
  for (const written of await Promise.all(chunks.map((chunk) => setChunk(store, chunk, undefined))))
    seq = Math.max(seq ?? -1, written.seq!)
  return { seq, version: undefined }
}

async function setChunk(store: Store, chunk: readonly Prepared[], target: TxTarget | undefined): Promise<Written> {
  const stage = async (tx: Transaction): Promise<readonly StagedEntry[] & Versioned> => {
    const staged: StagedEntry[] = []
    for (const prepared of chunk) {
      store.loading.changing(prepared.key, tx)
      if (prepared.expected !== undefined) await requireExpected(store, tx, prepared)
      staged.push(stagePut(store, tx, prepared))
    }
    return staged
  }
  try {
    return await inTransaction(store, target, stage, (staged, seq) => seeAll(store, chunk, staged, seq))
  } catch (error) {
    if (target !== undefined || codeOf(error) !== 'TX_TOO_LARGE' || chunk.length === 1) throw error
    const half = Math.ceil(chunk.length / 2)
    await setChunk(store, chunk.slice(0, half), undefined)
    return setChunk(store, chunk.slice(half), undefined)
  }
}

export async function deleteMany(
  store: Store,
  keys: readonly string[],
  target: TxTarget | undefined,
): Promise<boolean[]> {
  for (const key of keys) checkKey(key)
  await store.open()
  if (target !== undefined) return deleteChunk(store, keys, target)
  const found: boolean[] = []
  for (let at = 0; at < keys.length; at += CHUNK)
    found.push(...(await deleteChunk(store, keys.slice(at, at + CHUNK), undefined)))
  return found
}

async function deleteChunk(store: Store, keys: readonly string[], target: TxTarget | undefined): Promise<boolean[]> {
  let deleted: Deleted[] = []
  const stage = async (tx: Transaction): Promise<undefined> => {
    deleted = []
    for (const key of keys) deleted.push(await stageDelete(store, tx, key))
  }
  await inTransaction(store, target, stage, () => {
    for (const key of keys) store.loading.changed(key)
    for (const { id, version } of deleted) {
      if (id === undefined) continue
      store.view.remove(id, version)
      store.counts.deletes++
    }
  })
  return deleted.length === keys.length ? deleted.map(({ existed }) => existed) : keys.map(() => false)
}

interface Deleted {
  readonly existed: boolean
  /** Undefined if there was nothing to delete. */
  readonly id: string | undefined
  readonly version: number
}

async function stageDelete(store: Store, tx: Transaction, key: string): Promise<Deleted> {
  store.loading.changing(key, tx)
  // Nobody else can be loading on a chain that only this process writes.
  if (!store.chain.isAlone) await store.slots.leases.end(tx, key)
  const live = await findLive(store, tx, key)
  const id = live?.id ?? (await idOfEntry(store, tx, key))
  if (id === undefined) return { existed: false, id, version: 0 }
  tx.delete(id)
  const existed = live !== undefined && live.stored.v !== undefined
  return { existed, id, version: tx.versionOf(id) }
}

/** Also of one that is over or void, or no value of its type; undefined if there is none. */
async function idOfEntry(store: Store, tx: Transaction, key: string): Promise<string | undefined> {
  try {
    return (await tx.named(EntryRecord, nameOf(key), entriesOf(store)))?.id
  } catch (error) {
    if (codeOf(error) !== 'BAD_VALUE') throw error
    return store.chain.idOf(EntryRecord, nameOf(key), entriesOf(store))
  }
}

/** False if there is no entry. @throws AteError BAD_ARGUMENT */
export async function touch(
  store: Store,
  key: string,
  ttlMs: number | undefined,
  target: TxTarget | undefined,
): Promise<boolean> {
  checkKey(key)
  await store.open()
  let isThere = false
  const stage = async (tx: Transaction): Promise<StagedEntry | undefined> => {
    const live = await findLive(store, tx, key)
    isThere = live !== undefined
    if (!live) return undefined
    const length = ttlMs ?? live.stored.s
    if (length === undefined) throw new AteError('BAD_ARGUMENT', { what: 'neither the entry nor the cache has a ttl' })
    return putStored(store, tx, key, {
      ...live.stored,
      x: tx.now + length,
      ...(live.stored.s === undefined ? {} : { s: length }),
    })
  }
  await inTransaction(store, target, stage, (staged, seq) => {
    if (staged) seenPut(store, shownOf(store, key, staged.entity.value), staged, seq)
  })
  return isThere
}

function shownOf(store: Store, key: string, { v }: StoredEntry): Pick<Prepared, 'key' | 'shown' | 'bytes'> {
  return { key, shown: v === undefined ? undefined : store.parse(v), bytes: bytesOf(v) }
}

/** @throws AteError BAD_ARGUMENT */
export async function invalidate(store: Store, what: InvalidateOptions): Promise<Written> {
  const { prefix, tx: target } = what
  const tags = checkTags(what.tags)
  if (prefix !== undefined) checkKey(prefix)
  else if (tags.length === 0) throw new AteError('BAD_ARGUMENT', { what: 'invalidate takes tags or a prefix' })
  await store.open()
  const stage = async (tx: Transaction): Promise<{ readonly generation: number } & Versioned> => {
    store.loading.invalidated(tags, prefix)
    return { generation: await stageInvalidation(store, tx, tags, prefix) }
  }
  return inTransaction(store, target, stage, ({ generation }) => {
    for (const tag of tags) store.view.mark('tag', tag, generation)
    if (prefix !== undefined) store.view.mark('prefix', prefix, generation)
    store.upkeep.voided()
  })
}

/** Where the count is spoilt, what is known of it: one that went back would void nothing. */
async function newestGeneration({ view }: Store, tx: Transaction, parent: string): Promise<number> {
  try {
    return (await tx.child(GenerationRecord, parent, IN.generation))?.value ?? 0
  } catch (error) {
    if (codeOf(error) !== 'BAD_VALUE') throw error
    let newest = view.generation
    for (const { stored } of view.entries.values()) newest = Math.max(newest, stored.g ?? 0)
    return newest
  }
}

async function stageInvalidation(
  store: Store,
  tx: Transaction,
  tags: readonly string[],
  prefix: string | undefined,
): Promise<number> {
  const parent = store.node!
  const generation = (await newestGeneration(store, tx, parent)) + 1
  tx.putChild(GenerationRecord, generation, { parent, in: IN.generation })
  begun.set(tx, generation)
  for (const tag of tags) tx.put(TagRecord, nameOf(tag), { n: generation }, { parent, in: IN.tags })
  if (prefix === undefined) return generation
  const place = { parent, in: IN.prefixes }
  tx.put(PrefixRecord, nameOf(prefix), { n: generation }, place)
  // The shorter one says all that the longer ones did.
  for (const longer of store.view.marks.longerThan(prefix)) {
    const mark = await unlessBad(tx.named(PrefixRecord, nameOf(longer), place))
    if (mark && mark.value.n < generation) tx.delete(mark)
  }
  return generation
}
