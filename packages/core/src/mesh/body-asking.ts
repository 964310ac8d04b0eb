/** What a chain asks its server for of bodies that did not come with their records. Lost with the connection. */
import { AteError } from '../base/errors.ts'
import { BODIES_ASKED_MAX } from '../base/limits.ts'
import type { BodyPlace } from '../chain/link.ts'

export class BodyAsking {
  readonly #send: (place: BodyPlace, id: number) => void
  readonly #asked = new Map<number, { resolve(bytes: Uint8Array): void; reject(error: AteError): void }>()
  #count = 0

  constructor(send: (place: BodyPlace, id: number) => void) {
    this.#send = send
  }

  /** The ciphertext. @throws AteError BUSY | BODY_DROPPED | OFFLINE */
  ask(place: BodyPlace): Promise<Uint8Array> {
    if (this.#asked.size >= BODIES_ASKED_MAX) return Promise.reject(new AteError('BUSY', { bodies: BODIES_ASKED_MAX }))
    const id = ++this.#count
    this.#send(place, id)
    return new Promise((resolve, reject) => this.#asked.set(id, { resolve, reject }))
  }

  /** `bytes` is a view. */
  answered(id: number, bytes: Uint8Array): void {
    const asked = this.#asked.get(id)
    this.#asked.delete(id)
    if (bytes.length > 0) asked?.resolve(bytes.slice())
    else asked?.reject(new AteError('BODY_DROPPED', { what: 'the server does not have it either' }))
  }

  lost(error: AteError): void {
    for (const asked of this.#asked.values()) asked.reject(error)
    this.#asked.clear()
  }
}
