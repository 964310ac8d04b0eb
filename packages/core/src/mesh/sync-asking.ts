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

interface Asked {
  resolve(): void
  reject(error: AteError): void
  /** The next one at whether the server is silent: none once it has answered. */
  look: { cancel(): void }
}

export class SyncAsking {
  readonly #parts: SyncParts
  readonly #asked = new Map<number, Asked>()
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
      this.#asked.set(id, { resolve, reject, look: this.#watch(id) })
    })
  }

  answered(id: number): void {
    this.#take(id)?.resolve()
  }

  lost(error: AteError): void {
    for (const id of this.#asked.keys()) this.#take(id)!.reject(error)
  }

  #take(id: number): Asked | undefined {
    const asked = this.#asked.get(id)
    this.#asked.delete(id)
    asked?.look.cancel()
    return asked
  }

  /** From one look to the next something must have come, or who waits is told. */
  #watch(id: number): Asked['look'] {
    const before = this.#parts.heard()
    return this.#parts.timers.start(SERVER_SILENT_MS, () => {
      if (this.#parts.heard() > before) this.#asked.get(id)!.look = this.#watch(id)
      else this.#take(id)!.reject(new AteError('OFFLINE', { what: 'the server does not answer' }))
    })
  }
}
