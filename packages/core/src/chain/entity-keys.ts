/**
 * Erasable keys of entities: an entity may have one entry in the key ring beside the log, which is there before the record
 * that makes the entity, and is destroyed behind the record that deletes it, whatever deletes it. What a crash leaves undone is done at the next
 * opening for writing. The entry's name says whose it is, so nothing has to be looked up: id (16 bytes) || label (16).
 */
import { concatBytes, equalBytes, toBinaryText, utf8 } from '../base/bytes.ts'
import { bytesOfWords, type EntityWords, wordsOf } from '../event/entity-words.ts'
import { OP } from '../event/format.ts'
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

/**
 * The entries of a ring whose log this process writes: an entry goes behind whatever deletes its entity, be it `shred`, a plain
 * deletion or a sweep. Some 100 bytes a name.
 */
export class HeldKeys {
  readonly #held: Set<string>

  private constructor(held: Set<string>) {
    this.#held = held
  }

  /** Ends what a crash interrupted. @throws AteError, as the ring */
  static async open(ring: KeyRing, view: View): Promise<HeldKeys> {
    return new HeldKeys(await eraseLeftKeys(ring, view))
  }

  /** In front of the append of the batches, and behind it. If the append fails, entries that open nothing may be left. */
  changesOf(batches: readonly Batch[]): KeyChanges {
    const changes: KeyChanges = { put: [], erase: [] }
    for (const { transactions } of batches) {
      for (const { draft } of transactions) {
        for (const entry of draft.keys?.put ?? []) {
          changes.put.push(entry)
          this.#held.add(toBinaryText(entry.name))
        }
        for (const name of draft.keys?.erase ?? []) this.#drop(name, changes.erase)
        if (this.#held.size === 0) continue
        for (const event of draft.events) if (event.op === OP.delete) this.#dropOf(event, changes.erase)
      }
    }
    return changes
  }

  /** Of entities that are gone without an event of their own. */
  erasedWith(entities: Iterable<EntityWords>): Uint8Array[] {
    const erase: Uint8Array[] = []
    if (this.#held.size > 0) for (const entity of entities) this.#dropOf(entity, erase)
    return erase
  }

  #dropOf(entity: EntityWords, erase: Uint8Array[]): void {
    const name = ringName(entity)
    if (this.#held.has(toBinaryText(name))) this.#drop(name, erase)
  }

  #drop(name: Uint8Array, erase: Uint8Array[]): void {
    this.#held.delete(toBinaryText(name))
    erase.push(name)
  }
}

/**
 * Ends what a crash interrupted: keys of entities that are deleted. Entries of entities that this log does not know are left:
 * the log may be an older copy, and the newer one would need them. The names of all that are left, one byte a character.
 */
export async function eraseLeftKeys(ring: KeyRing, view: View): Promise<Set<string>> {
  const held = new Set<string>()
  const left: Uint8Array[] = []
  for await (const name of ring.names()) {
    if (isOfDead(name, view)) left.push(name)
    else held.add(toBinaryText(name))
  }
  for (const name of left) await ring.erase(name)
  return held
}

function isOfDead(name: Uint8Array, view: View): boolean {
  if (!equalBytes(name.subarray(ID_BYTES), LABEL)) return false
  const { a, b, c, d } = wordsOf(name)
  const row = view.table.find(a, b, c, d)
  return row >= 0 && view.isDead(row)
}
