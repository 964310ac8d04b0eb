/** The identities that have proved themselves on a server's connection, by the numbers that the client gave them. */
import { AteError, isAteError } from '../base/errors.ts'
import { SESSIONS_MAX } from '../base/limits.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import type { PublicIdentity } from '../session/identity.ts'
import type { ServerMessage } from './messages.ts'
import { checkSessionProof, type SessionBinding } from './session-proof.ts'

export interface HostSessionsParts {
  readonly crypto: CryptoProvider
  readonly binding: SessionBinding
  /** Whether it may come in. @throws AteError NOT_AUTHORIZED | RATE_LIMITED */
  readonly admit: (identity: PublicIdentity) => Promise<void>
  /** One has come in. */
  readonly admitted: () => void
  readonly send: (message: ServerMessage) => void
}

export class HostSessions {
  readonly #parts: HostSessionsParts
  readonly #proved = new Map<number, PublicIdentity>()
  readonly #admitted = new Set<number>()

  constructor(parts: HostSessionsParts) {
    this.#parts = parts
  }

  /** The identity that speaks as `ref`; undefined until it was let in. */
  of(ref: number): PublicIdentity | undefined {
    return this.#admitted.has(ref) ? this.#proved.get(ref) : undefined
  }

  /** Answers a proof. @throws AteError, as checkSessionProof: who does not prove himself has no business here */
  take(ref: number, proof: Uint8Array): void {
    const { crypto, binding, send } = this.#parts
    if (this.#proved.size >= SESSIONS_MAX || this.#proved.has(ref)) {
      send({ type: 'refused', ref, code: 'BUSY', facts: { sessions: SESSIONS_MAX } })
      return
    }
    const identity = checkSessionProof(crypto, proof, binding)
    // Taken in any case: its number is used, and what comes for it meanwhile waits in no queue.
    this.#proved.set(ref, identity)
    void this.#admit(ref, identity)
  }

  async #admit(ref: number, identity: PublicIdentity): Promise<void> {
    const { admit, admitted, send } = this.#parts
    try {
      await admit(identity)
      admitted()
      this.#admitted.add(ref)
      send({ type: 'session', ref })
    } catch (error) {
      const { code, facts } = isAteError(error) ? error : new AteError('INTERNAL', { what: 'admit' }, { cause: error })
      send({ type: 'refused', ref, code, facts })
    }
  }
}
