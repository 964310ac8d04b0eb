/**
 * The items as a reader sees them: what the log has, and on top of it what this tab has asked for and has not seen come
 * back. A change is shown at once, stays when there is no connection, and goes again if it can never be in the log.
 */
import { type Chain, isAteError, type Transaction } from '@ate/core'
import { ITEMS, Item, type ItemValue, type Where } from './list.ts'

export interface ShownItem extends ItemValue {
  readonly id: string
  /** Not in the log yet. */
  readonly isWaiting: boolean
}

/** A change that this tab has asked for; `value` is undefined if the item is to go. */
interface Asked {
  txId: string
  id: string
  readonly value: ItemValue | undefined
  /** Kept on this machine: sent later, whatever becomes of the tab. */
  isKept: boolean
}

export interface ItemsEvents {
  /** There is something else to show. */
  readonly changed: () => void
  /** A change of this machine is not in the log, and will not be. */
  readonly lost: (text: string | undefined, code: string) => void
  /** Nothing more will come. */
  readonly ended: (error: unknown) => void
}

export class Items {
  readonly #chain: Chain
  readonly #list: string
  readonly #events: ItemsEvents
  readonly #known = new Map<string, ItemValue>()
  #asked: readonly Asked[] = []

  constructor(chain: Chain, { list }: Where, events: ItemsEvents) {
    this.#chain = chain
    this.#list = list
    this.#events = events
  }

  /** Reads the list, and follows it until the chain is closed. @throws AteError NO_READ_KEY of somebody who is not let in */
  async open(): Promise<void> {
    // From here on, so that nothing falls between what is read now and what is told.
    const from = this.#chain.head.seq + 1
    for await (const item of this.#chain.children(Item, this.#list, ITEMS)) this.#known.set(item.id, item.value)
    this.#follow(from).catch(this.#events.ended)
    this.#tellLost().catch(this.#events.ended)
  }

  get shown(): readonly ShownItem[] {
    const items = new Map<string, ShownItem>()
    for (const [id, value] of this.#known) items.set(id, { id, ...value, isWaiting: false })
    for (const { id, value } of this.#asked) {
      if (value) items.set(id, { id, ...value, isWaiting: true })
      else items.delete(id)
    }
    return [...items.values()]
  }

  /** Changes that are not in the log yet, and those of them that would be lost with this tab. */
  get waiting(): { readonly all: number; readonly unkept: number } {
    return { all: this.#asked.length, unkept: this.#asked.filter(({ isKept }) => !isKept).length }
  }

  add(text: string): Promise<void> {
    const value = { text, done: false }
    return this.#ask('', value, (tx) => tx.create(Item, value, { parent: this.#list, in: ITEMS }).id)
  }

  tick({ id, text }: ShownItem, done: boolean): Promise<void> {
    return this.#ask(id, { text, done }, async (tx) => {
      await tx.update(Item, id, (now) => ({ ...now, done }))
      return id
    })
  }

  remove({ id }: ShownItem): Promise<void> {
    return this.#ask(id, undefined, (tx) => {
      tx.delete(id)
      return id
    })
  }

  async #ask(
    id: string,
    value: ItemValue | undefined,
    write: (tx: Transaction) => string | Promise<string>,
  ): Promise<void> {
    const asked: Asked = { txId: '', id, value, isKept: false }
    const run = async (tx: Transaction): Promise<void> => {
      asked.txId = tx.id
      asked.id = await write(tx)
      this.#asked = [...this.#asked.filter((one) => one !== asked), asked]
      this.#events.changed()
    }
    try {
      await this.#chain.transact(run, { wait: 'local' })
      asked.isKept = true
    } catch (error) {
      this.#drop(asked.txId, isAteError(error) ? error.code : String(error))
    }
    this.#events.changed()
  }

  async #follow(from: number): Promise<void> {
    for await (const { op, type, entity, txId } of this.#chain.events({ from })) {
      if (type !== Item.name) continue
      const now = op === 'delete' ? undefined : await this.#chain.get(Item, entity)
      if (now) this.#known.set(entity, now.value)
      else this.#known.delete(entity)
      this.#asked = this.#asked.filter((one) => one.txId !== txId)
      this.#events.changed()
    }
  }

  async #tellLost(): Promise<void> {
    for await (const { txId, code } of this.#chain.conflicts()) this.#drop(txId, code)
  }

  #drop(txId: string, code: string): void {
    const asked = this.#asked.find((one) => one.txId === txId)
    this.#asked = this.#asked.filter((one) => one !== asked)
    this.#events.lost(asked && (asked.value ?? this.#known.get(asked.id))?.text, code)
    this.#events.changed()
  }
}
