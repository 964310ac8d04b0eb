/** The key of an object that belongs to a subject, made and found. */
import { AteError, type Chain, type Transaction } from '@ate/core'
import type { Makers } from './context.ts'
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

/** Undefined for an object without one. @throws AteError KEY_MISSING */
export async function keyOf(chain: Chain, object: string): Promise<ObjectKey | undefined> {
  const [id] = chain.children(KeyType, object, IN.key).ids()
  if (id === undefined) return undefined
  const entity = await chain.load(KeyType, id)
  const ring = await chain.attachedKey(id)
  if (!ring || ring.length !== HALF_BYTES) throw new AteError('KEY_MISSING', { object })
  return objectKey(entity.value.half, ring)
}
