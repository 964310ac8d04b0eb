/** The key of an object that belongs to a subject, made and found. */
import { AteError, type Transaction } from '@ate/core'
import type { Context, Makers } from './context.ts'
import { note } from './notes.ts'
import type { Ref } from './objects.ts'
import { HALF_BYTES, type ObjectKey, objectKey } from './sealing.ts'
import { IN, KeyType } from './worm-records.ts'

/** In the transaction that makes the object. @throws AteError KEYS_UNAVAILABLE */
export async function makeKey(makers: Makers, tx: Transaction, object: string): Promise<ObjectKey> {
  const half = makers.random(HALF_BYTES)
  const ring = makers.random(HALF_BYTES)
  const entity = tx.create(KeyType, { half }, { parent: object, in: IN.key })
  tx.attachKey(entity, ring)
  return objectKey(half, ring)
}

/**
 * Undefined for an object without one. Where a server gives keys only to who has recorded that he asks, a note of the read is
 * written first, which needs the rights of a writer. @throws AteError KEY_MISSING | NOT_AUTHORIZED
 */
export async function keyOf(context: Context, object: Exclude<Ref, string>): Promise<ObjectKey | undefined> {
  const { chain } = context
  const [id] = chain.children(KeyType, object.version, IN.key).ids()
  if (id === undefined) return undefined
  const recorded = chain.attachedKeys === 'recorded' ? await recordRead(context, object, id) : undefined
  const entity = await chain.load(KeyType, id)
  const ring = await chain.attachedKey(id, recorded === undefined ? {} : { recorded })
  if (!ring || ring.length !== HALF_BYTES) throw new AteError('KEY_MISSING', { object: object.version })
  return objectKey(entity.value.half, ring)
}

/** Seq of the record. Its guard names the key's entity in clear, so that whoever keeps the keys knows whose is asked for. */
async function recordRead(context: Context, { name, version }: Exclude<Ref, string>, key: string): Promise<number> {
  const archive = await context.ensure()
  let last: Transaction | undefined
  await context.chain.transact(async (tx) => {
    last = tx
    await tx.get(KeyType, key)
    note(tx, archive, { act: 'read', name, version })
  })
  return last!.receipt!.seq
}
