/**
 * Commits that were signed, and that nobody has ordered yet: kept in this machine's state until their numbers are taken, so
 * that what was written without a connection outlives its process. They are sealed as they will stand in the log.
 *
 * One entry a number below the outbox of a place (writer-places.ts), whose content is the record without its head.
 */
import { RECORD_BYTES_MAX } from '../base/limits.ts'
import { RECORD_HEAD_BYTES } from '../event/format.ts'
import type { StateStore } from '../session/state-store.ts'

const NUMBER_DIGITS = 16

export interface KeptCommit {
  readonly number: number
  readonly payload: Uint8Array
}

export class Outbox {
  readonly #state: StateStore
  readonly #prefix: string

  /** `prefix`: as WriterPlace has it. */
  constructor(state: StateStore, prefix: string) {
    this.#state = state
    this.#prefix = prefix
  }

  /** @throws AteError STATE_UNWRITABLE */
  put({ number, payload }: KeptCommit): Promise<void> {
    return this.#state.put(this.#nameOf(number), payload)
  }

  remove(number: number): Promise<void> {
    return this.#state.remove(this.#nameOf(number))
  }

  /** In the order of their numbers. What is not one of ours is left alone. */
  async load(): Promise<readonly KeptCommit[]> {
    const kept: KeptCommit[] = []
    for (const name of await this.#state.list(this.#prefix)) {
      const digits = name.slice(this.#prefix.length)
      const payload = /^\d{16}$/.test(digits) ? await this.#state.get(name) : undefined
      if (payload && payload.length <= RECORD_BYTES_MAX - RECORD_HEAD_BYTES)
        kept.push({ number: Number(digits), payload })
    }
    return kept.sort((a, b) => a.number - b.number)
  }

  #nameOf(number: number): string {
    return this.#prefix + String(number).padStart(NUMBER_DIGITS, '0')
  }
}
