/**
 * The accounts that a batch posts in, each looked up by its name once: what the batch will take of a record is summed up with
 * them, and then it is judged with them.
 */
import type { LedgerStore, SeenAccount } from './ledger-store.ts'
import { pageOf } from './pages.ts'
import type { Open } from './poster.ts'
import { isPost, type Request } from './requests.ts'

/** Of an entry, and of what is written of an account that is debited or credited, texts apart. */
const ENTRY_BYTES = 128
const ACCOUNT_BYTES = 165
/** Of a page of balances; its accounts cost nothing beside it. */
const PAGE_BYTES = 1200

export interface Side {
  readonly name: string
  readonly seen: SeenAccount | undefined
  isDebited: boolean
  isCredited: boolean
  /** While it is being judged. */
  open: Open | undefined
}

export class Sides {
  readonly #store: LedgerStore
  readonly #byName = new Map<string, Side>()
  readonly #pages = new Set<number>()
  readonly all: Side[] = []
  /** Of each request that posts, in their order: what it debits, and what it credits. */
  readonly pairs: Side[] = []

  constructor(store: LedgerStore) {
    this.#store = store
  }

  of(name: string): Side {
    let side = this.#byName.get(name)
    if (side) return side
    side = { name, seen: this.#store.seen(name), isDebited: false, isCredited: false, open: undefined }
    this.#byName.set(name, side)
    this.all.push(side)
    return side
  }

  /**
   * Takes the accounts of a request in. About what it adds to a transaction: where amounts are clear, a debit and a credit are an
   * event each. The accounts of a resolution are known only later.
   */
  add(request: Request): number {
    if (!isPost(request)) return 2 * (ENTRY_BYTES + ACCOUNT_BYTES + request.id.length)
    const { from, to, code, ref, meta } = request.value
    const [debited, credited] = [this.of(from), this.of(to)]
    this.pairs.push(debited, credited)
    let size = ENTRY_BYTES + request.id.length + from.length + to.length
    if (code !== undefined) size += code.length
    if (ref !== undefined) size += ref.length
    if (meta !== undefined) size += JSON.stringify(meta).length
    if (!debited.isDebited) {
      debited.isDebited = true
      size += this.#written(debited)
    }
    if (!credited.isCredited) {
      credited.isCredited = true
      size += this.#written(credited)
    }
    return size
  }

  /** Takes out what came behind the first `sides` accounts and `pairs`: it goes into another batch. */
  backTo({ sides, pairs }: { readonly sides: number; readonly pairs: number }): void {
    for (const { name } of this.all.splice(sides)) this.#byName.delete(name)
    this.pairs.length = pairs
  }

  #written({ name, seen }: Side): number {
    const place = seen && (seen.terms ? seen.place : seen.entity.value.place)
    if (place === undefined) return ACCOUNT_BYTES + name.length
    const page = pageOf(place)
    if (this.#pages.has(page)) return 0
    this.#pages.add(page)
    return PAGE_BYTES
  }
}
