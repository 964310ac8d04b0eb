/** What has come from a server and was not told to the chain yet, in order. It is bounded: no more comes than was asked for. */
import { AteError } from '../base/errors.ts'
import { READ_WINDOW_BYTES, RECORD_BYTES_MAX } from '../base/limits.ts'
import type { EntryAnswer } from '../chain/sequencer.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { recordOf } from '../event/record.ts'
import { type Durability, durabilityRank, type LogRecord } from '../log/engine.ts'

/** Things that have come and were not told yet: records of the smallest size that the window holds, and answers. */
const ITEMS_MAX = 65_536

export interface ArrivedRecord {
  readonly kind: 'record'
  readonly record: LogRecord
  readonly level: Durability
  readonly bytes: number
}

export type Arrived =
  | ArrivedRecord
  | { readonly kind: 'answers'; readonly id: number; readonly answers: readonly EntryAnswer[] }
  | { readonly kind: 'synced'; readonly id: number }

export class LinkInbox {
  readonly #crypto: CryptoProvider
  readonly #items: Arrived[] = []
  #chain: Uint8Array = new Uint8Array(0)
  #least: Durability = 'memory'
  /** Of the records that are here. */
  #recordBytes = 0
  #heard = 0

  constructor(crypto: CryptoProvider) {
    this.#crypto = crypto
  }

  /** What is here stays: it came first. What a chain is opened at is what its records reach from now on. */
  begin(chain: Uint8Array, least: Durability): void {
    this.#chain = chain
    this.#least = least
  }

  get isEmpty(): boolean {
    return this.#items.length === 0
  }

  /** Things that came, ever. */
  get heard(): number {
    return this.#heard
  }

  /** What came first, if it is still here. */
  get first(): Arrived | undefined {
    return this.#items[0]
  }

  /** `bytes` are given away. @throws AteError BAD_MESSAGE | BAD_RECORD */
  putRecord(level: Durability, bytes: Uint8Array): void {
    // One at less would be an acknowledgement of less.
    if (durabilityRank(level) < durabilityRank(this.#least)) throw new AteError('BAD_MESSAGE', { what: 'level', level })
    this.#recordBytes += bytes.length
    if (this.#recordBytes > READ_WINDOW_BYTES + RECORD_BYTES_MAX)
      throw new AteError('BAD_MESSAGE', { what: 'more records than were asked for', bytes: this.#recordBytes })
    this.put({ kind: 'record', record: recordOf(this.#crypto, this.#chain, bytes), level, bytes: bytes.length })
  }

  /** @throws AteError BAD_MESSAGE */
  put(item: Arrived): void {
    this.#items.push(item)
    this.#heard++
    if (this.#items.length > ITEMS_MAX) throw new AteError('BAD_MESSAGE', { what: 'more than was asked for' })
  }

  /** Takes the records that stand in front, of one level. */
  takeRecords(): ArrivedRecord[] {
    const { length } = this.#items
    let count = 0
    while (count < length) {
      const item = this.#items[count]!
      const first = this.#items[0]!
      if (item.kind !== 'record' || first.kind !== 'record' || item.level !== first.level) break
      count++
    }
    const records = this.#items.splice(0, count) as ArrivedRecord[]
    for (const { bytes } of records) this.#recordBytes -= bytes
    return records
  }

  /** Takes what is first; a record is taken by `takeRecords`. */
  take(): Arrived | undefined {
    return this.#items.shift()
  }

  clear(): void {
    this.#items.length = 0
    this.#recordBytes = 0
  }
}
