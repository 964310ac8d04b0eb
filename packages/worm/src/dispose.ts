/**
 * Disposal: the chunks, the key and the object go, and a note stays that says who, when, why, and what it was. Whether it may
 * is decided by the chain's rules, at every part of it and by every replica; what is said here first is for people.
 */
import { AteError, isAteError, type Transaction } from '@ate/core'
import type { CallOptions, Context, WriteOptions } from './context.ts'
import { sha256Of, toHex } from './hashing.ts'
import { note } from './notes.ts'
import { type Found, find, type Ref, readObject, type Stored, storedOf } from './objects.ts'
import { assertNotKept, checkReason } from './retention.ts'
import { RetentionError } from './retention-error.ts'
import { dropUpload, limits, uploads } from './uploads.ts'
import { ChunkType, IN, KeyType, type NoteAct, ObjectType } from './worm-records.ts'

export interface DisposeOptions extends WriteOptions {
  readonly reason: string
  /** Before its time: for who manages the archive, under governance, and on the record. */
  readonly bypassGovernance?: true
}

export interface Tombstone {
  readonly name: string
  readonly version: string
  /** SHA-256 of the manifest, hexadecimal: what stood in clear beside its lock, and what old proofs show. */
  readonly leaf: string
  /** Undefined within a transaction. */
  readonly seq: number | undefined
}

/**
 * @throws RetentionError; AteError TIME_UNPROVEN | NOT_FOUND | NOT_AUTHORIZED | BAD_ARGUMENT | KEY_NOT_ERASED | TX_TOO_LARGE (of
 * more than 20,000 chunks within a transaction of the caller's)
 */
export async function dispose(context: Context, ref: Ref, options: DisposeOptions): Promise<Tombstone> {
  const reason = checkReason(options?.reason)
  const found = await find(context, ref, options.signal)
  return disposeOf(context, found, { ...options, reason, act: 'dispose' })
}

async function disposeOf(
  context: Context,
  found: Found,
  options: DisposeOptions & { readonly act: NoteAct },
): Promise<Tombstone> {
  const { chain } = context
  const { id, manifest } = found
  const archive = await context.ensure(options.signal)
  const bypass = options.bypassGovernance === true
  const leaf = sha256Of(new TextEncoder().encode(found.text))
  const keys = chain.children(KeyType, id, IN.key).ids()
  let receipt: Transaction | undefined
  await refusedAs(manifest.name, async () => {
    await context.write(options, async (tx) => {
      receipt = tx
      // What the chain will say, in words: by the time at which it is judged, which a chain at rest does not know before.
      await assertNotKept(chain, { id, name: manifest.name }, { now: tx.now, bypass })
      await tx.load(ObjectType, id)
      const chunks = chain.children(ChunkType, id, IN.chunks).ids()
      const how = bypass ? ({ bypass: 'governance' } as const) : {}
      if (options.tx !== undefined && chunks.length > limits.deletions)
        throw new AteError('TX_TOO_LARGE', { chunks: chunks.length, max: limits.deletions })
      for (const chunk of chunks.slice(0, limits.deletions)) tx.delete(chunk, how)
      for (const key of keys) tx.shred(key, how)
      // Of a very large object the note comes first; what is left of it goes in further steps.
      if (chunks.length <= limits.deletions) tx.delete(id, how)
      note(tx, archive, {
        act: options.act,
        name: manifest.name,
        version: id,
        reason: options.reason,
        leaf,
        sha256: manifest.sha256,
        size: manifest.size,
        ...(bypass ? { bypass } : {}),
      })
    })
    if (options.tx === undefined) await removeRest(context, id, bypass, options.signal)
  })
  if (options.tx === undefined)
    for (const key of keys) if (await chain.attachedKey(key)) throw new AteError('KEY_NOT_ERASED', { version: id })
  return { name: manifest.name, version: id, leaf: toHex(leaf), seq: receipt?.receipt?.seq }
}

/** Also of one whose disposal was interrupted: its note is there, and its first chunks are gone. */
async function removeRest(context: Context, id: string, bypass: boolean, signal?: AbortSignal): Promise<void> {
  const { chain } = context
  const how = bypass ? ({ bypass: 'governance' } as const) : {}
  while (chain.has(id)) {
    const chunks = chain.children(ChunkType, id, IN.chunks).ids()
    await chain.transact(
      (tx) => {
        for (const chunk of chunks.slice(0, limits.deletions)) tx.delete(chunk, how)
        if (chunks.length <= limits.deletions) tx.delete(id, how)
      },
      signal ? { signal } : {},
    )
  }
}

/** The chain's own refusal, in the words of the kit. */
async function refusedAs(name: string, run: () => Promise<void>): Promise<void> {
  try {
    await run()
  } catch (error) {
    if (error instanceof RetentionError || !isAteError(error) || error.code !== 'RETAINED') throw error
    const { until, holds } = error.facts
    throw new RetentionError(
      { name, until: typeof until === 'number' ? until : 0, holds: Array.isArray(holds) ? holds : [] },
      { cause: error },
    )
  }
}

export interface Erased {
  /** Objects whose keys were destroyed. */
  readonly shredded: number
  /** Puts that were not ended, dropped with their keys. */
  readonly uploads: number
  /** What is kept by law: by its time, or by a matter. */
  readonly blocked: readonly Stored[]
}

/**
 * Destroys the keys of all objects of a subject where nothing forbids it, and says what is kept. @throws AteError BAD_ARGUMENT |
 * KEYS_UNAVAILABLE | KEY_NOT_ERASED | NOT_AUTHORIZED
 */
export async function erase(context: Context, subject: string, options: CallOptions): Promise<Erased> {
  const { chain } = context
  if (typeof subject !== 'string' || subject === '') throw new AteError('BAD_ARGUMENT', { what: 'a subject is text' })
  const blocked: Stored[] = []
  let shredded = 0
  const unfinished = new Set<string>()
  for (const object of await chain.find(ObjectType, 'subject', subject, options)) {
    options.signal?.throwIfAborted()
    if (object.value.manifest === undefined) unfinished.add(object.id)
    const found = await readObject(chain, object.id)
    if (!found || !(await isOurs(context, found))) continue
    try {
      await disposeOf(context, found, { ...options, reason: 'erased', act: 'erase' })
      shredded++
    } catch (error) {
      if (!isAteError(error) || (error.code !== 'RETAINED' && error.code !== 'TIME_UNPROVEN')) throw error
      blocked.push(await storedOf(chain, found))
    }
  }
  return { shredded, uploads: unfinished.size === 0 ? 0 : await dropAll(context, unfinished, options), blocked }
}

/** Of this archive: the number of them. */
async function dropAll(context: Context, versions: ReadonlySet<string>, options: CallOptions): Promise<number> {
  let dropped = 0
  for await (const { version } of uploads(context, options)) {
    if (!versions.has(version)) continue
    await dropUpload(context, version)
    dropped++
  }
  return dropped
}

/** A chain may have several archives. */
async function isOurs(context: Context, { id, manifest }: Found): Promise<boolean> {
  try {
    await find(context, { name: manifest.name, version: id })
    return true
  } catch (error) {
    if (isAteError(error) && error.code === 'NOT_FOUND') return false
    throw error
  }
}
