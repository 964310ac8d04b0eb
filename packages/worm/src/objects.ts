/** Objects as they stand: found by reference, with what the chain's rules say of how they are kept. */
import { AteError, type Chain, type EntityRef, HOLDS, isAteError } from '@ate/core'
import type { Context } from './context.ts'
import { dateOf, type Json, type Manifest, type Mode, parseManifest } from './manifest.ts'
import { HoldType, IN, NameType, ObjectType } from './worm-records.ts'
import { checkOptionalText } from './worm-rules.ts'

/** A name stands for its newest version. */
export type Ref = string | { readonly name: string; readonly version: string }

export interface Stored {
  readonly name: string
  readonly version: string
  /** Bytes. */
  readonly size: bigint
  /** SHA-256 of the body, hexadecimal. */
  readonly digest: string
  /** Media type. */
  readonly type: string | undefined
  readonly meta: Json | undefined
  readonly subject: string | undefined
  readonly mode: Mode
  readonly retainUntil: Date | undefined
  /** Matters. */
  readonly holds: readonly string[]
  /** Chain time at which it was written, as its author says. */
  readonly at: Date
  /** Seq of the record that made it. */
  readonly seq: number
}

export interface Found {
  readonly id: string
  readonly manifest: Manifest
  readonly text: string
}

/** @throws AteError NOT_FOUND | NO_READ_KEY | BAD_ARGUMENT */
export async function find(context: Context, ref: Ref, signal?: AbortSignal): Promise<Found> {
  const { chain } = context
  const name = typeof ref === 'string' ? ref : ref?.name
  const version = typeof ref === 'string' ? undefined : ref?.version
  if (typeof name !== 'string' || (version !== undefined && typeof version !== 'string'))
    throw new AteError('BAD_ARGUMENT', { what: 'an object is named by text, or by { name, version }' })
  const archive = await context.archive(signal)
  if (archive !== undefined) {
    const id = version ?? (await newestOf(chain, archive, name))
    const found = id === undefined ? undefined : await readObject(chain, id)
    // Another archive of this chain, or another name, has other objects.
    if (found?.manifest.name === name && (await idsOf(chain, archive, name)).includes(found.id)) return found
  }
  const hint = 'the archive has no object of this name and version that this identity may read'
  throw new AteError('NOT_FOUND', { name, ...(version === undefined ? {} : { version }) }, { hint })
}

/** Ids of all versions of a name, uploads included, in the order in which they were begun. */
export async function idsOf(chain: Chain, archive: string, name: string): Promise<readonly string[]> {
  const node = await chain.named(NameType, name, { parent: archive, in: IN.names })
  return node ? chain.children(ObjectType, node, IN.versions).ids() : []
}

async function newestOf(chain: Chain, archive: string, name: string): Promise<string | undefined> {
  let newest: { readonly id: string; readonly seq: number } | undefined
  for (const id of await idsOf(chain, archive, name)) {
    if (!(await readObject(chain, id))) continue
    // Of one transaction the later one counts.
    const seq = chain.seqOf(id)
    if (newest === undefined || seq >= newest.seq) newest = { id, seq }
  }
  return newest?.id
}

/**
 * Undefined for an upload, for what is gone, and for what a writer has made without a manifest that is one: nobody was told that
 * it is there, and it must not keep others from what is. fsck names it.
 */
export async function readObject(chain: Chain, id: string): Promise<Found | undefined> {
  try {
    return await loadObject(chain, id)
  } catch (error) {
    if (isAteError(error) && error.code === 'BAD_VALUE') return undefined
    throw error
  }
}

/** The same, and says so if it has a manifest that is none. @throws AteError BAD_VALUE */
export async function loadObject(chain: Chain, id: string): Promise<Found | undefined> {
  const object = await chain.get(ObjectType, id)
  const text = object?.value.manifest
  return object && text !== undefined ? { id: object.id, manifest: parseManifest(text), text } : undefined
}

export async function storedOf(chain: Chain, { id, manifest }: Found): Promise<Stored> {
  const { name, size, sha256, type, meta, subject, at } = manifest
  const { until, lock, holds } = chain.retention(id)
  return {
    name,
    version: id,
    size: BigInt(size),
    digest: sha256,
    type,
    meta,
    subject,
    mode: lock ?? manifest.mode,
    retainUntil: until > 0 ? dateOf(until) : undefined,
    holds: [...holds, ...(await mattersOf(chain, id))],
    at: new Date(at),
    seq: chain.seqOf(id),
  }
}

/** Of a hold that this session cannot read it says no more than that. */
export async function mattersOf(chain: Chain, id: EntityRef): Promise<string[]> {
  const matters: string[] = []
  for (const hold of chain.children(HoldType, id, HOLDS).ids()) {
    try {
      const found = await chain.get(HoldType, hold)
      matters.push(found?.value.matter ?? '?')
    } catch (error) {
      if (!isAteError(error) || !['NO_READ_KEY', 'LOCKED', 'WRONG_TYPE'].includes(error.code)) throw error
      matters.push('?')
    }
  }
  return matters
}

export interface ListQuery {
  /** Names that begin with it. */
  readonly prefix?: string
  /** Only what may go: its time is over by then, and nothing holds it. */
  readonly expiredBy?: Date
  /** Only what this matter holds. */
  readonly hold?: string
  /** Only what belongs to this subject. */
  readonly subject?: string
}

/** All versions of all objects, by name in the order in which names came, older versions first. */
export async function* list(
  context: Context,
  query: ListQuery = {},
  signal?: AbortSignal,
): AsyncGenerator<Stored, void, void> {
  const { chain } = context
  const { expiredBy, prefix, hold, subject } = query
  for (const [option, given] of Object.entries({ prefix, hold, subject })) checkOptionalText(option, given)
  if (expiredBy !== undefined && !(expiredBy instanceof Date && !Number.isNaN(expiredBy.getTime())))
    throw new AteError('BAD_ARGUMENT', { option: 'expiredBy', what: 'a Date' })
  const archive = await context.archive(signal)
  if (archive === undefined) return
  for (const node of chain.children(NameType, archive, IN.names).ids()) {
    signal?.throwIfAborted()
    const named = await chain.get(NameType, node)
    if (!named || (prefix !== undefined && !named.value.name.startsWith(prefix))) continue
    const found = await versionsOf(chain, archive, named.value.name)
    yield* found.filter((stored) => suits(stored, query))
  }
}

/** Older versions first. */
export async function versionsOf(chain: Chain, archive: string, name: string): Promise<Stored[]> {
  const found: Stored[] = []
  for (const id of await idsOf(chain, archive, name)) {
    const object = await readObject(chain, id)
    if (object?.manifest.name === name) found.push(await storedOf(chain, object))
  }
  return found.sort((a, b) => a.seq - b.seq)
}

function suits(stored: Stored, { expiredBy, hold, subject }: ListQuery): boolean {
  const isDue =
    expiredBy === undefined ||
    ((stored.retainUntil?.getTime() ?? 0) <= expiredBy.getTime() && stored.holds.length === 0)
  return (
    isDue &&
    (hold === undefined || stored.holds.includes(hold)) &&
    (subject === undefined || stored.subject === subject)
  )
}
