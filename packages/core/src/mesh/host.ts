/**
 * The chains of a server: opened when somebody asks, closed when nobody has for a while. It holds no key of any chain, and
 * judges every record before it is stored.
 */
import { equalBytes, toBinaryText } from '../base/bytes.ts'
import { AteError, isAteError } from '../base/errors.ts'
import { chainIdOf, fingerprintOf } from '../base/ids.ts'
import { OPEN_CHAINS_MAX } from '../base/limits.ts'
import { KeptKeys } from '../chain/kept-keys.ts'
import { Replica } from '../chain/replica.ts'
import type { Signer } from '../crypto/provider.ts'
import type { CompactPolicy } from '../data/compact-policy.ts'
import { replay } from '../data/open-chain.ts'
import { parseGenesis } from '../event/genesis.ts'
import { recordOf } from '../event/record.ts'
import type { Durability, LogEngine, LogRecord } from '../log/engine.ts'
import type { Identity, PublicIdentity } from '../session/identity.ts'
import type { Platform } from '../session/platform.ts'
import { fingerprintOfKeys } from '../trust/identity-keys.ts'
import { mayManage } from '../trust/policy.ts'
import type { Dates } from './dates.ts'
import { ChainQuota, type Holdings } from './holdings.ts'
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
  readonly dates: Pick<Dates, 'now'>
  /** What signs acknowledgements and checkpoints, and what says so. */
  readonly signer: Signer
  readonly checkpointSigner: Signer
  readonly delegation: () => Uint8Array
  /** When its chains are compacted; never if left out. */
  readonly compact?: CompactPolicy | undefined
  /** How safe a record is when its writer is answered; what the engines reach, if left out. */
  readonly durability?: Durability | undefined
  /** How long a chain stays open that nobody uses. */
  readonly idleMs: number
  /** Chains that are open at a time; OPEN_CHAINS_MAX if left out. */
  readonly openMax?: number
  readonly created?: (name: string) => void
  /** A chain could not be opened, or its log has failed. */
  readonly failed?: (name: string, error: AteError) => void
  /** A compaction has ended: with `ok`, or the code of what was wrong. */
  readonly compacted?: (outcome: string) => void
  /** What identities have here, and may store; nothing is counted if left out. */
  readonly holdings?: Holdings
  readonly storedBytesMax?: number
}

/** Who asks for a chain. */
export interface Asking {
  readonly identity: PublicIdentity
  /** Before a chain of this name is made for him; from then on it is counted as his. @throws AteError NOT_AUTHORIZED | RATE_LIMITED | QUOTA_EXCEEDED */
  admitCreate(name: string): Promise<void>
}

/** What a connection needs of what is behind it. */
export interface Hosting {
  readonly parts: Pick<HostParts, 'platform' | 'identity' | 'delegation'>
  acquire(name: string, asking: Asking, genesis: Uint8Array | undefined): Promise<HostedChain>
  release(chain: HostedChain): void
  forget(chain: HostedChain): Promise<void>
}

interface Open {
  readonly chain: Promise<HostedChain>
  /** What it has become: a chain that has failed is another one than that which is open under its name. */
  hosted?: HostedChain
  users: number
  idle: { cancel(): void } | undefined
}

type FirstRecord = LogRecord & { readonly chainId: Uint8Array }

export class Host implements Hosting {
  readonly parts: HostParts
  /** The one that was asked for longest ago first. */
  readonly #open = new Map<string, Open>()
  /** Chains that are being closed: who wants one again waits for its lock. */
  readonly #closing = new Map<string, Promise<unknown>>()
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
   * @throws AteError CHAIN_NOT_FOUND | NOT_AUTHORIZED | BAD_GENESIS | CHAIN_CLOSED | BUSY, and as opening an engine
   */
  async acquire(name: string, asking: Asking, genesis: Uint8Array | undefined): Promise<HostedChain> {
    if (this.#closed) throw new AteError('OFFLINE', { what: 'the server is closing' })
    const open = this.#open.get(name) ?? this.#begin(name, asking, genesis)
    open.users++
    open.idle?.cancel()
    open.idle = undefined
    try {
      const chain = await open.chain
      // A server of the same ring takes what it did not order over.
      if (asking.identity.fingerprint !== this.parts.identity.fingerprint) {
        assertMayFollow(chain, asking.identity)
        assertNoCopy(chain, asking.identity)
      }
      return chain
    } catch (error) {
      this.#leave(name, open)
      throw error
    }
  }

  release(chain: HostedChain): void {
    const open = this.#openOf(chain)
    if (open) this.#leave(chain.name, open)
  }

  #openOf(chain: HostedChain): Open | undefined {
    const open = this.#open.get(chain.name)
    return open?.hosted === chain ? open : undefined
  }

  isOpen(name: string): boolean {
    return this.#open.has(name)
  }

  /** It was moved: whoever asks next is told so by what stands in its place. */
  async forget(chain: HostedChain): Promise<void> {
    const { name, engine } = chain
    const open = this.#openOf(chain)
    if (open) this.#open.delete(name)
    open?.idle?.cancel()
    const closing = engine.close()
    this.#whileClosing(name, closing)
    this.parts.holdings?.remove(name)
    await closing
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
    this.#makeRoom()
    const open: Open = { chain: this.#openChain(name, asking, genesis), users: 0, idle: undefined }
    this.#open.set(name, open)
    const drop = (): void => this.#drop(name, open)
    open.chain.then((chain) => {
      open.hosted = chain
      chain.sequencer.failures.add((error) => {
        drop()
        this.#failed(name, error)
      })
    }, drop)
    return open
  }

  /** Each holds files and memory: the one that nobody has used for longest goes first. @throws AteError BUSY */
  #makeRoom(): void {
    const { openMax = OPEN_CHAINS_MAX } = this.parts
    if (this.#open.size < openMax) return
    for (const [name, open] of this.#open) {
      if (open.users > 0) continue
      this.#end(name, open)
      return
    }
    throw new AteError('BUSY', { chains: openMax })
  }

  /** Nobody uses it. */
  #end(name: string, open: Open): void {
    open.idle?.cancel()
    this.#open.delete(name)
    this.#whileClosing(
      name,
      open.chain.then((chain) => chain.close()),
    )
  }

  #whileClosing(name: string, closing: Promise<void>): void {
    const done = closing
      .catch(() => undefined)
      .then(() => {
        if (this.#closing.get(name) === done) this.#closing.delete(name)
      })
    this.#closing.set(name, done)
  }

  /** Whoever asks next reads the log anew. */
  #drop(name: string, open: Open): void {
    if (this.#open.get(name) === open) this.#open.delete(name)
    open.idle?.cancel()
    this.#whileClosing(
      name,
      open.chain.then((chain) => chain.sequencer.engine.close()),
    )
  }

  #failed(name: string, error: unknown): void {
    this.parts.failed?.(name, isAteError(error) ? error : new AteError('INTERNAL', { what: 'open' }, { cause: error }))
  }

  #leave(name: string, open: Open): void {
    open.users--
    if (open.users > 0 || this.#open.get(name) !== open) return
    open.idle = this.parts.platform.environment.timers.start(this.parts.idleMs, () => {
      if (open.users === 0 && this.#open.get(name) === open) this.#end(name, open)
    })
    // The one that was left last is the last to go.
    this.#open.delete(name)
    this.#open.set(name, open)
  }

  async #openChain(name: string, asking: Asking, genesis: Uint8Array | undefined): Promise<HostedChain> {
    const { platform, dates, signer, checkpointSigner, compact, compacted, durability, identity } = this.parts
    await this.#closing.get(name)
    const engine = await this.#engine(name, asking, genesis).catch((error: unknown) => {
      // Others are about what was asked for, which may be anything.
      if (isAteError(error) && OF_THE_DISK.has(error.code)) this.#failed(name, error)
      throw error
    })
    try {
      const replica = await replay(engine, platform, undefined)
      const { fingerprintBytes: fingerprint } = identity
      const { environment } = platform
      const signers = { signer, checkpointSigner }
      return new HostedChain({
        name,
        engine,
        replica,
        keys: await KeptKeys.open(engine.ring, replica.view),
        environment,
        dates,
        fingerprint,
        ...signers,
        compact,
        ...(compacted ? { compacted } : {}),
        durability,
        quota: this.#quota(name, engine, replica),
      })
    } catch (error) {
      this.#failed(name, error)
      await engine.close()
      throw error
    }
  }

  #quota(name: string, engine: LogEngine, replica: Replica): ChainQuota | undefined {
    const { holdings, storedBytesMax = Number.POSITIVE_INFINITY, platform } = this.parts
    if (!holdings) return undefined
    const owner = fingerprintOf(fingerprintOfKeys(platform.crypto, replica.genesis.parameters.roots[0]!))
    return new ChainQuota({ holdings, name, owner, sizeBytes: () => engine.sizeBytes(), storedBytesMax })
  }

  async #engine(name: string, asking: Asking, genesis: Uint8Array | undefined): Promise<LogEngine> {
    const engine = await this.parts.store.open(name, { create: false }).catch((error: unknown) => {
      if (!genesis || !isAteError(error) || error.code !== 'CHAIN_NOT_FOUND') throw error
      return undefined
    })
    if (engine?.head()) return engine
    // An empty log is what a crash has left, or a refusal: nobody's yet.
    try {
      if (!genesis) throw new AteError('CHAIN_NOT_FOUND', { engine: engine?.kind })
      // Before anything is made for it.
      const record = this.#checkGenesis(genesis, asking)
      await asking.admitCreate(name)
      return await this.#create(engine, name, record)
    } catch (error) {
      await engine?.close()
      throw error
    }
  }

  async #create(found: LogEngine | undefined, name: string, record: FirstRecord): Promise<LogEngine> {
    const { store, holdings, created } = this.parts
    let engine = found
    try {
      engine ??= await store.open(name, { create: true })
      engine.setLabel(record.chainId)
      await engine.append([record], { after: undefined, durability: engine.durability, load: 'alone' })
      created?.(name)
      return engine
    } catch (error) {
      holdings?.remove(name)
      if (engine !== found) await engine?.close()
      throw error
    }
  }

  /** That it is a chain of who asks, to be ordered here. @throws AteError BAD_GENESIS | NOT_AUTHORIZED, and as Replica.open */
  #checkGenesis(genesis: Uint8Array, { identity }: Asking): FirstRecord {
    const { crypto } = this.parts.platform
    const bytes = genesis.slice()
    const { chainId } = parseGenesis(crypto, bytes)
    const record = recordOf(crypto, chainId, bytes)
    // As any reader will: what it refuses is no chain.
    const replica = Replica.open({ crypto, seed: 0 }, record)
    const { sequencers, roots } = replica.genesis.parameters
    const me = this.parts.identity.fingerprintBytes
    if (sequencers === 'writers' || !sequencers.some((name) => equalBytes(name, me)))
      throw new AteError('BAD_GENESIS', {
        what: 'it does not name this server to order its records',
        chain: chainIdOf(chainId),
      })
    // The genesis of others, put in under another name; and it is the first root's quota that it counts in.
    if (!equalBytes(roots[0]!, identity.keys))
      throw new AteError('NOT_AUTHORIZED', {
        needs: 'to be the first root of the chain',
        identity: identity.fingerprint,
      })
    return { ...record, chainId }
  }
}

/** Why a log is not opened or made, whoever asks. */
const OF_THE_DISK: ReadonlySet<string> = new Set([
  'CHAIN_LOCKED',
  'DAMAGED',
  'DISK_FULL',
  'IO_ERROR',
  'NOT_A_CHAIN',
  'READ_ONLY',
  'TOO_MANY_FILES',
  'UNSUPPORTED_FORMAT',
  'WRITER_POISONED',
])

/** What who is refused needs, in words that are told over the wire too. */
export const TO_BE_KNOWN = 'to be known to the chain'

/** Records are for those whom the chain knows, and for everybody where everybody reads or writes something. */
export function assertMayFollow({ sequencer }: HostedChain, identity: PublicIdentity): void {
  const { replica } = sequencer
  if (replica.isKnown(toBinaryText(identity.fingerprintBytes))) return
  if (replica.view.policies.some((policy) => policy?.read === 'everyone' || policy?.write === 'everyone')) return
  throw new AteError('NOT_AUTHORIZED', { needs: TO_BE_KNOWN, identity: identity.fingerprint })
}

/** A copy is written by nobody until who manages the root recovers it: he is let in to do that. @throws AteError CHAIN_COPY */
function assertNoCopy({ name, isCopy, replica: { trust, view } }: HostedChain, identity: PublicIdentity): void {
  if (!isCopy) return
  const actor = trust.actorOf(toBinaryText(identity.fingerprintBytes))
  if (actor !== undefined && mayManage(view, 0, actor)) return
  throw new AteError('CHAIN_COPY', { name, needs: 'to be recovered here, by who manages the root' })
}
