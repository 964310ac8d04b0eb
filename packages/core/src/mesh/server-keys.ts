/**
 * The keys that a server, or a leader, signs acknowledgements and checkpoints with, and what says so: a delegation of its
 * identity, which is made anew each day, so that one that is given out lasts for days still.
 */
import { wipe } from '../base/bytes.ts'
import { randomBytes } from '../base/environment.ts'
import { DATED_AHEAD_MS_MAX, DELEGATION_MS_MAX, SERVER_KEY_MS } from '../base/limits.ts'
import { contextBytes } from '../crypto/contexts.ts'
import type { Signer } from '../crypto/provider.ts'
import { makeDelegation } from '../event/acknowledgement.ts'
import { type Identity, identityCheckpointSeed } from '../session/identity.ts'
import type { Platform } from '../session/platform.ts'

/** What a connection may have lasted when it is looked at, so that until the next time all that is dated is within its delegation. */
const CONNECTION_MS_MAX: number = DELEGATION_MS_MAX - 2 * SERVER_KEY_MS - DATED_AHEAD_MS_MAX

export class ServerKeys {
  /** Of this process alone. */
  readonly signer: Signer
  /** The same at each start: chains name it. */
  readonly checkpointSigner: Signer
  readonly #platform: Platform
  readonly #identity: Identity
  /** When a delegation begins that counts now. */
  readonly #begin: () => number
  #delegation: { readonly bytes: Uint8Array; readonly from: number } | undefined

  constructor(platform: Platform, identity: Identity, begin: () => number) {
    this.#platform = platform
    this.#identity = identity
    this.#begin = begin
    this.signer = signerOf(platform, randomBytes(platform.environment.random, 32))
    this.checkpointSigner = signerOf(platform, identityCheckpointSeed(identity, contextBytes('serverCheckpoint')))
  }

  delegation(): Uint8Array {
    const from = this.#begin()
    if (!this.#delegation || Math.abs(from - this.#delegation.from) > SERVER_KEY_MS) {
      const body = {
        key: this.signer.publicKey,
        checkpointKey: this.checkpointSigner.publicKey,
        from,
        until: from + DELEGATION_MS_MAX,
      }
      const { fingerprintBytes } = this.#identity
      const sign = (message: Uint8Array): Uint8Array => this.#identity.sign(message, 'delegation')
      this.#delegation = { bytes: makeDelegation(this.#platform.crypto, body, { fingerprintBytes, sign }), from }
    }
    return this.#delegation.bytes
  }

  /** Once a day: closes what began under a delegation that is about to end. Its client connects again. */
  renewLater(connections: ReadonlyMap<{ close(): void }, number>): { cancel(): void } {
    const { clock, timers } = this.#platform.environment
    let timer: { cancel(): void }
    const start = (): void => {
      timer = timers.start(SERVER_KEY_MS, () => {
        const oldest = clock.now() - CONNECTION_MS_MAX
        for (const [connection, since] of connections) if (since < oldest) connection.close()
        start()
      })
    }
    start()
    return { cancel: () => timer.cancel() }
  }
}

function signerOf({ crypto }: Platform, seed: Uint8Array): Signer {
  try {
    return crypto.ed25519Signer(seed)
  } finally {
    wipe(seed)
  }
}
