/**
 * Sets of one turn of the event loop share a transaction: what a transaction costs is more than what an entry does. Each has its
 * own answer, and one that the chain refuses is none of the others' business. What else writes calls `flush` before it stages, so
 * that it does not overtake what waits.
 */
import type { Written } from './cache-types.ts'
import { codeOf, type Store } from './store.ts'
import { CHUNK, CHUNK_BYTES, type Prepared, type StagedEntry, setTogether } from './writing.ts'

/** What one of several may have caused, or their number: then they are written in halves. */
const BLAMED: ReadonlySet<string> = new Set([
  'VALUE_TOO_LARGE',
  'TX_TOO_LARGE',
  'BAD_VALUE',
  'TX_RETRIES',
  'NAME_TAKEN',
])

interface Waiting {
  readonly prepared: Prepared
  readonly resolve: (written: Written) => void
  readonly reject: (error: unknown) => void
}

export class Gathering {
  readonly #store: Store
  #waiting: Waiting[] = []
  #bytes = 0

  constructor(store: Store) {
    this.#store = store
  }

  /** Resolves when it is acknowledged. */
  add(prepared: Prepared): Promise<Written> {
    return new Promise((resolve, reject) => {
      const bytes = prepared.bytes + prepared.key.length
      if (this.#waiting.length === CHUNK || this.#bytes + bytes > CHUNK_BYTES) this.flush()
      if (this.#waiting.length === 0) queueMicrotask(() => this.flush())
      this.#waiting.push({ prepared, resolve, reject })
      this.#bytes += bytes
    })
  }

  /** Stages what waits, now. */
  flush(): void {
    const waiting = this.#waiting
    if (waiting.length === 0) return
    this.#waiting = []
    this.#bytes = 0
    void this.#write(waiting)
  }

  async #write(waiting: readonly Waiting[]): Promise<void> {
    try {
      const { seq, staged } = await setTogether(this.#store, preparedOf(waiting))
      answer(waiting, staged, seq)
    } catch (error) {
      if (waiting.length === 1 || !BLAMED.has(codeOf(error))) {
        for (const { reject } of waiting) reject(error)
        return
      }
      const half = Math.ceil(waiting.length / 2)
      await this.#write(waiting.slice(0, half))
      await this.#write(waiting.slice(half))
    }
  }
}

function preparedOf(waiting: readonly Waiting[]): Prepared[] {
  return waiting.map(({ prepared }) => prepared)
}

function answer(waiting: readonly Waiting[], staged: readonly StagedEntry[], seq: number): void {
  for (let i = 0; i < waiting.length; i++) waiting[i]!.resolve({ seq, version: staged[i]!.version })
}
