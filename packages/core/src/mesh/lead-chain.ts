/**
 * The leader of those who share a chain: orders what they submit, as a server does, but under its own identity, which the
 * chain knows. It takes their sockets at once, and answers when the log is read. The log is the only thing that outlives it.
 */
import { toBinaryText, wipe } from '../base/bytes.ts'
import { forwardClock, randomBytes } from '../base/environment.ts'
import { AteError, isAteError } from '../base/errors.ts'
import { DELEGATION_MS_MAX, SERVER_KEY_MS } from '../base/limits.ts'
import type { Leadership } from '../base/sharing.ts'
import type { Socket } from '../base/socket.ts'
import { KeptKeys } from '../chain/kept-keys.ts'
import type { Replica } from '../chain/replica.ts'
import { contextBytes } from '../crypto/contexts.ts'
import type { Signer } from '../crypto/provider.ts'
import type { CompactPolicy } from '../data/compact-policy.ts'
import { makeDelegation } from '../event/acknowledgement.ts'
import type { LogEngine } from '../log/engine.ts'
import { type Identity, identityCheckpointSeed } from '../session/identity.ts'
import type { Platform } from '../session/platform.ts'
import { type Asking, assertMayFollow, type Hosting } from './host.ts'
import { HostConnection } from './host-connection.ts'
import { HostedChain } from './hosted-chain.ts'

export interface LeadParts {
  readonly platform: Platform
  /** Under whose name records are ordered. */
  readonly identity: Identity
  /** Of which this process is the writer; closed with the leadership. */
  readonly engine: LogEngine
  readonly load: () => Promise<Replica>
  readonly compact: CompactPolicy | undefined
  /** It cannot go on: the log could not be read, has failed, or is no longer this identity's to order. */
  readonly ended: (error: AteError) => void
}

export function leadChain(parts: LeadParts): Leadership {
  return new Leader(parts)
}

class Leader implements Leadership, Hosting {
  readonly parts: Hosting['parts']
  readonly #lead: LeadParts
  readonly #signer: Signer
  readonly #checkpointSigner: Signer
  /** With the time of their beginning. */
  readonly #connections = new Map<HostConnection, number>()
  readonly #hosted: Promise<HostedChain>
  #delegation: { readonly bytes: Uint8Array; readonly from: number } | undefined
  #renewing: { cancel(): void } | undefined
  #ended = false
  /** What is signed is dated by it. */
  readonly #now: () => number

  constructor(lead: LeadParts) {
    const { platform, identity } = lead
    this.#lead = lead
    this.#now = forwardClock(platform.environment.clock)
    this.#signer = signerOf(platform, randomBytes(platform.environment.random, 32))
    this.#checkpointSigner = signerOf(platform, identityCheckpointSeed(identity, contextBytes('serverCheckpoint')))
    this.parts = { platform, identity, delegation: () => this.#delegationNow() }
    this.#hosted = this.#open()
    this.#hosted.catch((error) => this.#end(error))
    this.#renewLater()
  }

  readonly accept = (socket: Socket): void => {
    if (this.#ended) {
      socket.terminate()
      return
    }
    const connection: HostConnection = new HostConnection({
      host: this,
      socket,
      path: '',
      level: this.#lead.engine.durability,
      rules: {
        // Who can open the folder can read the socket's memory as well: sealing it would keep nothing from anybody.
        handshake: { limits: {}, plain: 'allow' },
        closed: () => void this.#connections.delete(connection),
      },
    })
    this.#connections.set(connection, this.#now())
  }

  readonly close = async (): Promise<void> => {
    this.#ended = true
    this.#renewing?.cancel()
    const hosted = await this.#hosted.catch(() => undefined)
    // What was submitted is stored and answered before the connections go.
    await hosted?.sequencer.settled()
    for (const connection of [...this.#connections.keys()]) connection.close()
    await hosted?.close()
    await this.#lead.engine.close()
  }

  async acquire(_name: string, asking: Asking): Promise<HostedChain> {
    const hosted = await this.#hosted.catch(() => undefined)
    if (this.#ended || !hosted) throw new AteError('OFFLINE', { what: 'the leader leaves' })
    assertMayFollow(hosted, asking.identity)
    return hosted
  }

  release(): void {}

  async forget(): Promise<void> {}

  async #open(): Promise<HostedChain> {
    const { platform, identity, engine, load, compact } = this.#lead
    const replica = await load()
    assertMayOrder(replica, identity)
    const { fingerprintBytes: fingerprint } = identity
    const hosted = new HostedChain({
      name: '',
      engine,
      replica,
      keys: await KeptKeys.open(engine.ring, replica.view),
      environment: platform.environment,
      now: this.#now,
      fingerprint,
      signer: this.#signer,
      checkpointSigner: this.#checkpointSigner,
      compact,
    })
    hosted.sequencer.failures.add((error) => this.#end(error))
    return hosted
  }

  /** Those who are connected find another leader. */
  #end(error: unknown): void {
    if (this.#ended) return
    this.#ended = true
    for (const connection of [...this.#connections.keys()]) connection.close()
    this.#lead.ended(isAteError(error) ? error : new AteError('INTERNAL', { what: 'lead' }, { cause: error }))
  }

  /** Who connected under a delegation that is about to end connects again. */
  #renewLater(): void {
    const { timers } = this.#lead.platform.environment
    this.#renewing = timers.start(SERVER_KEY_MS, () => {
      const oldest = this.#now() - DELEGATION_MS_MAX + 2 * SERVER_KEY_MS
      for (const [connection, since] of this.#connections) if (since < oldest) connection.close()
      this.#renewLater()
    })
  }

  /** Made anew before the one that is given out is old. */
  #delegationNow(): Uint8Array {
    const { platform, identity } = this.#lead
    const now = this.#now()
    if (!this.#delegation || Math.abs(now - this.#delegation.from) > SERVER_KEY_MS) {
      const body = {
        key: this.#signer.publicKey,
        checkpointKey: this.#checkpointSigner.publicKey,
        from: now,
        until: now + DELEGATION_MS_MAX,
      }
      const sign = (message: Uint8Array): Uint8Array => identity.sign(message, 'delegation')
      const { fingerprintBytes } = identity
      this.#delegation = { bytes: makeDelegation(platform.crypto, body, { fingerprintBytes, sign }), from: now }
    }
    return this.#delegation.bytes
  }
}

/** @throws AteError NOT_AUTHORIZED */
function assertMayOrder(replica: Replica, { fingerprint, fingerprintBytes }: Identity): void {
  if (replica.maySequence(toBinaryText(fingerprintBytes), undefined)) return
  throw new AteError('NOT_AUTHORIZED', {
    needs:
      replica.trust.sequencers === 'writers'
        ? 'to be known to the chain, to order what others write'
        : 'to be the server that the chain names',
    identity: fingerprint,
  })
}

function signerOf({ crypto }: Platform, seed: Uint8Array): Signer {
  try {
    return crypto.ed25519Signer(seed)
  } finally {
    wipe(seed)
  }
}
