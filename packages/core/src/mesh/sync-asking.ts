/** Questions to a server that it answers behind all that it had when they came. Lost with the connection. */

import type { Timers } from '../base/environment.ts'
import { AteError } from '../base/errors.ts'
import { SERVER_SILENT_MS } from '../base/limits.ts'

export interface SyncParts {
  readonly timers: Timers
  readonly send: (id: number) => void
  /** Counts what has come from the server. */
  readonly heard: () => number
}

export class SyncAsking {
  readonly #parts: SyncParts
  readonly #asked = new Map<number, { resolve(): void; reject(error: AteError): void }>()
  #count = 0

  constructor(parts: SyncParts) {
    this.#parts = parts
  }

  /** For a question of the caller's own, for whose answer he looks himself. */
  number(): number {
    return ++this.#count
  }

  /** @throws AteError OFFLINE if nothing has come for SERVER_SILENT_MS */
  ask(): Promise<void> {
    const id = this.number()
    this.#parts.send(id)
    return new Promise<void>((resolve, reject) => {
      this.#asked.set(id, { resolve, reject })
      this.#watch(id, this.#parts.heard())
    })
  }

  answered(id: number): void {
    this.#asked.get(id)?.resolve()
    this.#asked.delete(id)
  }

  lost(error: AteError): void {
    for (const asked of this.#asked.values()) asked.reject(error)
    this.#asked.clear()
  }

  /** From one look to the next something must have come, or who waits is told. */
  #watch(id: number, before: number): void {
    this.#parts.timers.start(SERVER_SILENT_MS, () => {
      const asked = this.#asked.get(id)
      if (!asked) return
      const heard = this.#parts.heard()
      if (heard > before) {
        this.#watch(id, heard)
        return
      }
      this.#asked.delete(id)
      asked.reject(new AteError('OFFLINE', { what: 'the server does not answer' }))
    })
  }
}
