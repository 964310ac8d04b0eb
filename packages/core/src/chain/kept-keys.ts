/**
 * The key ring of a chain that one process orders for many: what others attach, kept and destroyed for them. As for who writes
 * his own log: an entry is there before the record of its entity, only where that record's transaction counts, and it is
 * destroyed behind the record that deletes the entity, whoever deletes it and however (a sweep too).
 *
 * Ids of entities without a name come once, so an entry is never put in the place of another one.
 */
import { fromBinaryText, toBinaryText } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { RING_PAGE_BYTES } from '../base/limits.ts'
import { type EntityWords, entityKey } from '../event/entity-words.ts'
import { OP } from '../event/format.ts'
import type { KeyRing, RingEntry } from '../log/engine.ts'
import type { View } from '../view/view.ts'
import { eraseLeftKeys, type KeyChanges, ringName } from './entity-keys.ts'
import type { Accepted } from './replica.ts'

/** What comes with a commit for an entity that it creates. */
export interface KeyEntry {
  readonly entity: EntityWords
  readonly bytes: Uint8Array
}

export class KeptKeys {
  /** An entry was not destroyed: it is tried again when somebody asks for it, and at the next opening. */
  readonly alarms: Set<(error: unknown) => void> = new Set()
  readonly #ring: KeyRing
  readonly #view: View
  /** Names of entries that nothing has destroyed, one byte a character: few chains have any. */
  readonly #held: Set<string>
  /** Of entities that are deleted, and whose entries could not be destroyed. */
  readonly #failed = new Set<string>()

  private constructor(ring: KeyRing, view: View, held: Set<string>) {
    this.#ring = ring
    this.#view = view
    this.#held = held
  }

  /** Ends what a crash interrupted, as who opens a log for writing does. @throws AteError, as the ring */
  static async open(ring: KeyRing, view: View): Promise<KeptKeys> {
    return new KeptKeys(ring, view, await eraseLeftKeys(ring, view))
  }

  /** Entries that nothing has destroyed. */
  get count(): number {
    return this.#held.size
  }

  /** Adds what a record that was judged just now does to the ring. What was given for anything else is left out. */
  note({ commit, outcomes, swept }: Accepted, given: readonly KeyEntry[], changes: KeyChanges): void {
    if (swept) for (const row of swept) this.#drop(this.#view.wordsOf(row), changes)
    if (!commit || !outcomes || (given.length === 0 && this.#held.size === 0)) return
    const keys = new Map(given.map(({ entity, bytes }) => [entityKey(entity), bytes]))
    commit.transactions.forEach(({ events }, i) => {
      if (outcomes[i]) return
      for (const event of events) {
        if (event.op === OP.create && keys.size > 0 && !event.key) this.#add(event, keys, changes)
        else if (event.op === OP.delete) this.#drop(event, changes)
      }
    })
  }

  #add(entity: EntityWords, given: ReadonlyMap<string, Uint8Array>, changes: KeyChanges): void {
    const wrapped = given.get(entityKey(entity))
    if (!wrapped) return
    const name = ringName(entity)
    this.#held.add(toBinaryText(name))
    changes.put.push({ name, wrapped })
  }

  #drop(entity: EntityWords, changes: KeyChanges): void {
    if (this.#held.size === 0) return
    const name = ringName(entity)
    if (this.#held.delete(toBinaryText(name))) changes.erase.push(name)
  }

  /** Before the append. @throws AteError, as the ring: nothing may be appended then */
  async put({ put }: KeyChanges): Promise<void> {
    await this.#ring.putAll(put)
  }

  /** Behind the append, which is durable. A failure undoes nothing: it is an alarm, and `assertGone` tells of it. */
  async erase({ erase }: KeyChanges): Promise<void> {
    for (const name of erase) {
      try {
        await this.#ring.erase(name)
      } catch (error) {
        this.#failed.add(toBinaryText(name))
        for (const alarm of this.alarms) alarm(error)
      }
    }
  }

  /** The key of a live entity, if it has one. @throws AteError DAMAGED | IO_ERROR */
  async get(entity: EntityWords): Promise<Uint8Array | undefined> {
    const name = ringName(entity)
    return this.#held.has(toBinaryText(name)) ? this.#ring.get(name) : undefined
  }

  /** Of an entity that is deleted: tries once more what could not be done. @throws AteError KEY_NOT_ERASED */
  async assertGone(entity: EntityWords): Promise<void> {
    const name = ringName(entity)
    const text = toBinaryText(name)
    if (!this.#failed.has(text)) return
    try {
      await this.#ring.erase(name)
      this.#failed.delete(text)
    } catch (cause) {
      throw new AteError('KEY_NOT_ERASED', {}, { cause })
    }
  }

  /** Some entries behind the name `after`, in the order of their names: for who takes the chain over. */
  async page(after: Uint8Array | undefined): Promise<RingEntry[]> {
    const from = after && toBinaryText(after)
    const names = [...this.#held].filter((name) => from === undefined || name > from).sort()
    const entries: RingEntry[] = []
    let room = RING_PAGE_BYTES
    for (const text of names) {
      if (room <= 0) break
      const name = fromBinaryText(text)
      const wrapped = await this.#ring.get(name)
      if (!wrapped) continue
      if (entries.length > 0 && wrapped.length > room) break
      entries.push({ name, wrapped })
      room -= wrapped.length + name.length
    }
    return entries
  }

  /** Destroys all of them: the chain is elsewhere, with its keys. @throws AteError, as the ring */
  async destroyAll(): Promise<void> {
    await emptyRing(this.#ring)
    this.#held.clear()
    this.#failed.clear()
  }
}

/** Destroys every entry. @throws AteError, as the ring */
export async function emptyRing(ring: KeyRing): Promise<void> {
  const names: Uint8Array[] = []
  for await (const name of ring.names()) names.push(name)
  for (const name of names) await ring.erase(name)
}
