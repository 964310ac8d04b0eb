/**
 * Entities that callers make one at a time, each for itself: those of one turn share a transaction, which costs less than half
 * of one for each. None fails with another: what is refused together is tried again alone.
 *
 * Values are encoded at the call, as by `tx.create`, unless the chain has no room for a transaction then.
 */
import { isAteError } from '../base/errors.ts'
import type { EntityId } from '../base/ids.ts'
import type { Chain } from './chain.ts'
import type { EntityType } from './entity-type.ts'
import type { Transaction } from './transaction.ts'

/** Entities of one transaction. */
const TOGETHER_MAX = 512

/** Where it is made: it has no name, or two that meet would be in each other's way. */
export interface CreationPlace {
  readonly parent: EntityId
  readonly in: string
}

export interface Created {
  readonly id: EntityId
  /** Seq of the record that made it. */
  readonly seq: number
}

/** What goes with entities that are made, in their transaction. */
export interface Companion {
  /** It is acknowledged, and those who asked for the entities are told. */
  committed(): void
  /** It is not in the chain: what is tried again has no companion, or another one. */
  dropped(): void
}

export interface Making {
  readonly id: EntityId
  readonly value: unknown
}

/** Stages more in the transaction that makes `made`; undefined for nothing. If that fails, the entities are made without it. */
export type Accompany = (tx: Transaction, made: readonly Making[]) => Promise<Companion | undefined> | undefined

interface Item {
  readonly make: (tx: Transaction) => Making
  made: Making | undefined
  readonly resolve: (created: Created) => void
  readonly reject: (error: unknown) => void
}

interface Group {
  readonly items: Item[]
  /** While more may come. */
  tx: Transaction | undefined
  readonly staged: Promise<void>
}

export class Creations {
  readonly #chain: Chain
  readonly #accompany: Accompany | undefined
  #open: Group | undefined
  #newest: Group | undefined
  /** Entities that go together: fewer after each time that they were too much, or one was in the way. */
  #together = TOGETHER_MAX

  constructor(chain: Chain, accompany?: Accompany) {
    this.#chain = chain
    this.#accompany = accompany
  }

  /** Resolves when it is acknowledged. @throws as tx.create and transact */
  create<T>(type: EntityType<T>, value: T, place: CreationPlace): Promise<Created> {
    return this.#add(
      (tx) => ({ id: tx.create(type, value, place).id, value }),
      () => this.#open ?? this.#begin('joined'),
    )
  }

  /** The same in a transaction that nobody joins, for what has a name. */
  alone(make: (tx: Transaction) => Making): Promise<Created> {
    return this.#add(make, () => this.#begin('alone'))
  }

  /** Resolves when what was asked for is staged: what is staged after it comes behind it. Undefined if it is already. */
  get staged(): Promise<void> | undefined {
    return this.#newest?.staged
  }

  #add(make: (tx: Transaction) => Making, groupOf: () => Group): Promise<Created> {
    return new Promise((resolve, reject) => {
      const item: Item = { make, made: undefined, resolve, reject }
      const group = groupOf()
      if (group.tx && !stage(group.tx, item)) return
      group.items.push(item)
      if (this.#open === group && group.items.length >= this.#together) this.#open = undefined
    })
  }

  #begin(how: 'joined' | 'alone'): Group {
    let staged = (): void => undefined
    const group: Group = {
      items: [],
      tx: undefined,
      staged: new Promise((resolve) => {
        staged = resolve
      }),
    }
    if (how === 'joined') {
      this.#open = group
      this.#newest = group
    }
    const end = (): void => {
      if (this.#newest === group) this.#newest = undefined
      staged()
    }
    void this.#commit(group, end).finally(end)
    return group
  }

  async #commit(group: Group, staged: () => void): Promise<void> {
    const { items } = group
    let companion: Companion | undefined
    let isAccompanied = false
    try {
      const tx = await this.#chain.transact(
        async (open) => {
          companion?.dropped()
          companion = undefined
          group.tx = open
          for (const item of items.splice(0)) if (stage(open, item)) items.push(item)
          // Whoever runs in this turn still joins.
          await undefined
          group.tx = undefined
          if (this.#open === group) this.#open = undefined
          const more = this.#accompany?.(
            open,
            items.map(({ made }) => made!),
          )
          isAccompanied = more !== undefined
          if (more) companion = await more
          return open
        },
        { staged },
      )
      this.#together = Math.min(this.#together + 1 + (items.length >>> 3), TOGETHER_MAX)
      const { seq } = tx.receipt!
      for (const { made, resolve } of items) resolve({ id: made!.id, seq })
      companion?.committed()
    } catch (error) {
      companion?.dropped()
      if (this.#open === group) this.#open = undefined
      if ((items.length < 2 && !isAccompanied) || !mayBeOneOf(error)) {
        for (const { reject } of items) reject(error)
        return
      }
      this.#together = Math.max(1, items.length >>> 1)
      for (const item of items) void this.#alone(item)
    }
  }

  async #alone(item: Item): Promise<void> {
    try {
      let made: Making | undefined
      const tx = await this.#chain.transact((open) => {
        made = item.make(open)
        return open
      })
      item.resolve({ id: made!.id, seq: tx.receipt!.seq })
    } catch (error) {
      item.reject(error)
    }
  }
}

/** False if it cannot be made, which is told to who asked. */
function stage(tx: Transaction, item: Item): boolean {
  try {
    item.made = item.make(tx)
    return true
  } catch (error) {
    item.reject(error)
    return false
  }
}

/** Of several that went together, whether it may be the fault of one: false for what would be the same for each alone. */
export function mayBeOneOf(error: unknown): boolean {
  return !isAteError(error) || !ALL.has(error.code)
}

const ALL: ReadonlySet<string> = new Set([
  'CHAIN_CLOSED',
  'DISK_FULL',
  'INDETERMINATE',
  'IO_ERROR',
  'KEY_REMOVED',
  'READ_ONLY',
  'TOO_MANY_FILES',
  'WRITER_FENCED',
  'WRITER_POISONED',
])
