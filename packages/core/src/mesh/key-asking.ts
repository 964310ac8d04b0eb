/** What a chain asks its server about attached keys: so many at a time, the rest waits in order. Lost with the connection. */
import { AteError } from '../base/errors.ts'
import { KEYS_ASKED_MAX, KEYS_WAITING_MAX } from '../base/limits.ts'
import type { KeyAnswer, KeyClientMessage, RingPage } from './key-messages.ts'

/** A question without its channel and number. */
export type KeyQuestion =
  | { readonly type: 'ask'; readonly entity: Uint8Array; readonly record: number | undefined }
  | { readonly type: 'ring'; readonly after: Uint8Array | undefined }

interface Asked {
  readonly question: KeyQuestion
  resolve(answer: KeyAnswer | RingPage): void
  reject(error: AteError): void
}

export class KeyAsking {
  readonly #send: (message: KeyQuestion & { readonly id: number }) => void
  readonly #asked = new Map<number, Asked>()
  readonly #waiting: Asked[] = []
  #count = 0

  constructor(send: (message: KeyQuestion & { readonly id: number }) => void) {
    this.#send = send
  }

  /** @throws AteError BUSY | OFFLINE, and what the server refuses it for */
  async key(entity: Uint8Array, record: number | undefined): Promise<Uint8Array | undefined> {
    const answer = (await this.#ask({ type: 'ask', entity, record })) as KeyAnswer
    if (answer === undefined || answer instanceof Uint8Array) return answer
    throw new AteError(answer.code, answer.facts)
  }

  /** @throws AteError BUSY | OFFLINE */
  async page(after: Uint8Array | undefined): Promise<RingPage> {
    return (await this.#ask({ type: 'ring', after })) as RingPage
  }

  /** @throws AteError BAD_MESSAGE for an answer to what was not asked */
  answered(id: number, type: KeyClientMessage['type'], answer: KeyAnswer | RingPage): void {
    const asked = this.#asked.get(id)
    if (asked?.question.type !== type) throw new AteError('BAD_MESSAGE', { what: 'a key that was not asked for' })
    this.#asked.delete(id)
    asked.resolve(answer)
    const next = this.#waiting.shift()
    if (next) this.#put(next)
  }

  lost(error: AteError): void {
    const all = [...this.#asked.values(), ...this.#waiting.splice(0)]
    this.#asked.clear()
    for (const asked of all) asked.reject(error)
  }

  #ask(question: KeyQuestion): Promise<KeyAnswer | RingPage> {
    if (this.#waiting.length >= KEYS_WAITING_MAX)
      return Promise.reject(new AteError('BUSY', { keys: KEYS_WAITING_MAX }))
    return new Promise((resolve, reject) => {
      const asked = { question, resolve, reject }
      if (this.#asked.size < KEYS_ASKED_MAX) this.#put(asked)
      else this.#waiting.push(asked)
    })
  }

  #put(asked: Asked): void {
    const id = ++this.#count
    this.#asked.set(id, asked)
    this.#send({ ...asked.question, id })
  }
}
