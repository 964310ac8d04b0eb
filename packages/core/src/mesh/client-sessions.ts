/** The identities that speak on a client's connection: each proves itself once, and has a number from then on. */
import type { AteError } from '../base/errors.ts'
import type { Identity } from '../session/identity.ts'

export interface SessionsParts {
  /** The number before the first one. */
  readonly before: number
  /** Numbers of identities that speak on the connection already, by their fingerprints. */
  readonly known: Readonly<Record<string, number>>
  /** Sends the proof. */
  readonly prove: (ref: number, identity: Identity) => void
}

export class ClientSessions {
  readonly #prove: SessionsParts['prove']
  readonly #sessions = new Map<string, Promise<number>>()
  readonly #proven = new Map<string, number>()
  readonly #proving = new Map<number, { resolve(ref: number): void; reject(error: AteError): void }>()
  #count: number
  #lost: AteError | undefined

  constructor({ before, known, prove }: SessionsParts) {
    this.#count = before
    this.#prove = prove
    for (const [who, ref] of Object.entries(known)) this.#sessions.set(who, Promise.resolve(ref))
  }

  /** Numbers of the identities that have proved on this connection who they are, by their fingerprints. */
  get proven(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#proven)
  }

  /** The number of an identity. @throws AteError, as the server refuses it, or the connection is lost */
  of(identity: Identity): Promise<number> {
    const known = this.#sessions.get(identity.fingerprint)
    if (known) return known
    const ref = ++this.#count
    const proved = new Promise<number>((resolve, reject) => {
      if (this.#lost) reject(this.#lost)
      else this.#proving.set(ref, { resolve, reject })
    })
    this.#sessions.set(identity.fingerprint, proved)
    // Who asks is told; a refusal now is no reason not to ask again.
    proved.then(
      () => this.#proven.set(identity.fingerprint, ref),
      () => this.#sessions.delete(identity.fingerprint),
    )
    this.#prove(ref, identity)
    return proved
  }

  accepted(ref: number): void {
    this.#proving.get(ref)?.resolve(ref)
    this.#proving.delete(ref)
  }

  refused(ref: number, error: AteError): void {
    this.#proving.get(ref)?.reject(error)
    this.#proving.delete(ref)
  }

  lost(error: AteError): void {
    this.#lost = error
    for (const proving of this.#proving.values()) proving.reject(error)
    this.#proving.clear()
  }
}
