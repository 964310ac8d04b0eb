/**
 * The chains of a server: opened when somebody asks, closed when nobody has for a while. It holds no key of any chain, and
 * judges every record before it is stored.
 */
import { equalBytes, toBinaryText } from '../base/bytes.ts'
import { AteError, isAteError } from '../base/errors.ts'
import { chainIdOf } from '../base/ids.ts'
import { Replica } from '../chain/replica.ts'
import type { Signer } from '../crypto/provider.ts'
import type { CompactPolicy } from '../data/compacting.ts'
import { replay } from '../data/open-chain.ts'
import { parseGenesis } from '../event/genesis.ts'
import { recordOf } from '../event/record.ts'
import type { LogEngine } from '../log/engine.ts'
import type { Identity, PublicIdentity } from '../session/identity.ts'
import type { Platform } from '../session/platform.ts'
import { HostedChain } from './hosted-chain.ts'

/** Where a server keeps its chains. */
export interface ChainStore {
  /**
   * The log of the chain of this name; with `create`, an empty one where there is none.
   * @throws AteError CHAIN_NOT_FOUND | BAD_NAME | CHAIN_LOCKED, and as opening an engine
   */
  open(name: string, options: { readonly create: boolean }): Promise<LogEngine>
}

export interface HostParts {
  readonly platform: Platform
  readonly identity: Identity
  readonly store: ChainStore
  /** What signs acknowledgements and checkpoints, and what says so. */
  readonly signer: Signer
  readonly checkpointSigner: Signer
  readonly delegation: () => Uint8Array
  /** When its chains are compacted; never if left out. */
  readonly compact?: CompactPolicy | undefined
  /** How long a chain stays open that nobody uses. */
  readonly idleMs: number
  readonly created?: (name: string) => void
}

/** Who asks for a chain. */
export interface Asking {
  readonly identity: PublicIdentity
  /** Before a chain of this name is made for him. @throws AteError NOT_AUTHORIZED | RATE_LIMITED */
  admitCreate(name: string): Promise<void>
}

interface Open {
  readonly chain: Promise<HostedChain>
  users: number
  idle: { cancel(): void } | undefined
}

export class Host {
  readonly parts: HostParts
  readonly #open = new Map<string, Open>()
  #closed = false

  constructor(parts: HostParts) {
    this.parts = parts
  }

  /** Chains that are open. */
  get size(): number {
    return this.#open.size
  }

  /**
   * The chain of this name, for who may follow it; `genesis` makes it where there is none. Give it back with `release`.
   * @throws AteError CHAIN_NOT_FOUND | NOT_AUTHORIZED | BAD_GENESIS | CHAIN_CLOSED, and as opening an engine
   */
  async acquire(name: string, asking: Asking, genesis: Uint8Array | undefined): Promise<HostedChain> {
    if (this.#closed) throw new AteError('OFFLINE', { what: 'the server is closing' })
    const open = this.#open.get(name) ?? this.#begin(name, asking, genesis)
    open.users++
    open.idle?.cancel()
    open.idle = undefined
    try {
      const chain = await open.chain
      assertMayFollow(chain, asking.identity)
      return chain
    } catch (error) {
      this.#leave(name, open)
      throw error
    }
  }

  release(chain: HostedChain): void {
    const open = this.#open.get(chain.name)
    if (open) this.#leave(chain.name, open)
  }

  /** Resolves when all that was submitted is answered. */
  async settled(): Promise<void> {
    this.#closed = true
    await Promise.allSettled(
      [...this.#open.values()].map(({ chain }) => chain.then((open) => open.sequencer.settled())),
    )
  }

  /** What was submitted is stored first. */
  async close(): Promise<void> {
    this.#closed = true
    for (const { idle } of this.#open.values()) idle?.cancel()
    const all = [...this.#open.values()].map(({ chain }) => chain.then((open) => open.close()))
    this.#open.clear()
    await Promise.allSettled(all)
  }

  #begin(name: string, asking: Asking, genesis: Uint8Array | undefined): Open {
    const open: Open = { chain: this.#openChain(name, asking, genesis), users: 0, idle: undefined }
    this.#open.set(name, open)
    open.chain.then(
      (chain) => chain.sequencer.failures.add(() => this.#drop(name, open)),
      () => this.#drop(name, open),
    )
    return open
  }

  /** Whoever asks next reads the log anew. */
  #drop(name: string, open: Open): void {
    if (this.#open.get(name) === open) this.#open.delete(name)
    open.idle?.cancel()
    open.chain.then((chain) => chain.sequencer.engine.close()).catch(() => undefined)
  }

  #leave(name: string, open: Open): void {
    open.users--
    if (open.users > 0 || this.#open.get(name) !== open) return
    open.idle = this.parts.platform.environment.timers.start(this.parts.idleMs, () => {
      if (open.users > 0 || this.#open.get(name) !== open) return
      this.#open.delete(name)
      open.chain.then((chain) => chain.close()).catch(() => undefined)
    })
  }

  async #openChain(name: string, asking: Asking, genesis: Uint8Array | undefined): Promise<HostedChain> {
    const { platform, signer, checkpointSigner, compact, identity } = this.parts
    const engine = await this.#engine(name, asking, genesis)
    try {
      if (!engine.head()) await this.#create(engine, name, genesis)
      const replica = await replay(engine, platform, undefined)
      const { fingerprintBytes: fingerprint } = identity
      const { environment } = platform
      return new HostedChain({ name, engine, replica, environment, fingerprint, signer, checkpointSigner, compact })
    } catch (error) {
      await engine.close()
      throw error
    }
  }

  async #engine(name: string, asking: Asking, genesis: Uint8Array | undefined): Promise<LogEngine> {
    const { store } = this.parts
    try {
      return await store.open(name, { create: false })
    } catch (error) {
      if (!genesis || !isAteError(error) || error.code !== 'CHAIN_NOT_FOUND') throw error
      await asking.admitCreate(name)
      return store.open(name, { create: true })
    }
  }

  async #create(engine: LogEngine, name: string, genesis: Uint8Array | undefined): Promise<void> {
    if (!genesis) throw new AteError('CHAIN_NOT_FOUND', { engine: engine.kind })
    const { crypto } = this.parts.platform
    const bytes = genesis.slice()
    const { chainId } = parseGenesis(crypto, bytes)
    const record = recordOf(crypto, chainId, bytes)
    // As any reader will: what it refuses is no chain.
    const { parameters } = Replica.open({ crypto, seed: 0 }, record).genesis
    const me = this.parts.identity.fingerprintBytes
    if (parameters.sequencers === 'writers' || !parameters.sequencers.some((name) => equalBytes(name, me)))
      throw new AteError('BAD_GENESIS', {
        what: 'it does not name this server to order its records',
        chain: chainIdOf(chainId),
      })
    engine.setLabel(chainId)
    await engine.append([record], { after: undefined, durability: engine.durability, load: 'alone' })
    this.parts.created?.(name)
  }
}

/** Records are for those whom the chain knows, and for everybody where everybody reads or writes something. */
function assertMayFollow({ sequencer }: HostedChain, identity: PublicIdentity): void {
  const { replica } = sequencer
  if (replica.isKnown(toBinaryText(identity.fingerprintBytes))) return
  if (replica.view.policies.some((policy) => policy?.read === 'everyone' || policy?.write === 'everyone')) return
  throw new AteError('NOT_AUTHORIZED', { needs: 'to be known to the chain', identity: identity.fingerprint })
}
