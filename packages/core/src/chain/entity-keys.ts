/**
 * Erasable keys of entities: an entity may have one entry in the key ring beside the log, which is there before the record
 * that makes the entity, and is destroyed behind the record that deletes it. What a crash leaves undone is done at the next
 * opening for writing. The entry's name says whose it is, so nothing has to be looked up: id (16 bytes) || label (16).
 */
import { concatBytes, equalBytes, utf8 } from '../base/bytes.ts'
import { bytesOfWords, type EntityWords, wordsOf } from '../event/entity-words.ts'
import type { KeyRing, RingEntry } from '../log/engine.ts'
import type { View } from '../view/view.ts'
import type { AttachedKey } from './link.ts'
import type { Batch } from './staged.ts'

/** What a transaction does to the ring: in front of its record, and behind it. */
export interface KeyChanges {
  readonly put: RingEntry[]
  readonly erase: Uint8Array[]
}

const LABEL = utf8('ate entity key 1')
const ID_BYTES = 16

export function ringName(entity: EntityWords): Uint8Array {
  return concatBytes(bytesOfWords(entity), LABEL)
}

export function hasKeys({ transactions }: Batch): boolean {
  return transactions.some(({ draft }) => draft.keys !== undefined)
}

/** Those that its transactions attach. */
export function keysOf({ transactions }: Batch): AttachedKey[] {
  return transactions.flatMap(({ draft }) =>
    (draft.keys?.put ?? []).map(({ name, wrapped: bytes }) => ({ entity: name.subarray(0, ID_BYTES), bytes })),
  )
}

/** True if a transaction of the batches destroys a key: its record must be durable before that. */
export function erasesKeys(batches: readonly Batch[]): boolean {
  return batches.some(({ transactions }) => transactions.some(({ draft }) => draft.keys && draft.keys.erase.length > 0))
}

/** Before the append. If it fails, entries that open nothing may be left: their records do not exist. */
export async function putKeys(ring: KeyRing, batches: readonly Batch[]): Promise<void> {
  const entries = batches.flatMap(({ transactions }) => transactions.flatMap(({ draft }) => draft.keys?.put ?? []))
  if (entries.length > 0) await ring.putAll(entries)
}

/** After the append, before anybody is told. */
export async function eraseKeys(ring: KeyRing, batches: readonly Batch[]): Promise<void> {
  for (const { transactions } of batches) {
    for (const { draft } of transactions) if (draft.keys) for (const name of draft.keys.erase) await ring.erase(name)
  }
}

/**
 * Ends what a crash interrupted: keys of entities that are deleted. Entries of entities that this log does not know are left:
 * the log may be an older copy, and the newer one would need them.
 */
export async function eraseLeftKeys(ring: KeyRing, view: View): Promise<void> {
  const left: Uint8Array[] = []
  for await (const name of ring.names()) {
    if (!equalBytes(name.subarray(ID_BYTES), LABEL)) continue
    const { a, b, c, d } = wordsOf(name)
    const row = view.table.find(a, b, c, d)
    if (row >= 0 && view.isDead(row)) left.push(name)
  }
  for (const name of left) await ring.erase(name)
}
