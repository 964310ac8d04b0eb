/** A server in this process, over real sockets of this machine, and clients of it. */

import { AteError } from '../../src/base/errors.ts'
import type { KeyAccess } from '../../src/chain/link.ts'
import type { Signer } from '../../src/crypto/provider.ts'
import type { CompactPolicy } from '../../src/data/compact-policy.ts'
import { makeDelegation } from '../../src/event/acknowledgement.ts'
import type { Durability, LogEngine } from '../../src/log/engine.ts'
import { type MemoryStore, memoryEngine, memoryStore } from '../../src/log/memory.ts'
import { ClientTickets } from '../../src/mesh/client-tickets.ts'
import { Dates } from '../../src/mesh/dates.ts'
import { type ChainStore, Host } from '../../src/mesh/host.ts'
import { HostConnection } from '../../src/mesh/host-connection.ts'
import type { Listen } from '../../src/mesh/transport.ts'
import { listen } from '../../src/node/listen.ts'
import { platform as ownPlatform } from '../../src/node/platform.ts'
import { type Identity, newIdentity } from '../../src/session/identity.ts'
import { memoryState } from '../../src/session/memory-state.ts'
import type { Platform } from '../../src/session/platform.ts'

const makers = { crypto: ownPlatform.crypto, random: ownPlatform.environment.random }

/** A platform with a state of its own: another machine. */
export function machine(): Platform {
  const state = { value: memoryState() }
  const tickets = { value: new ClientTickets(ownPlatform.crypto) }
  return Object.create(ownPlatform, { state, tickets }) as Platform
}

export interface TestServer extends AsyncDisposable {
  readonly url: string
  readonly identity: Identity
  /** What signs its acknowledgements and checkpoints. */
  readonly signer: Signer
  readonly host: Host
  readonly stores: Map<string, MemoryStore>
  readonly connections: Set<HostConnection>
  close(): Promise<void>
}

export async function startServer(
  options: {
    readonly identity?: Identity
    readonly stores?: Map<string, MemoryStore>
    readonly engineOf?: (engine: LogEngine) => LogEngine
    readonly url?: string
    readonly platform?: Platform
    readonly listen?: Listen
    readonly store?: ChainStore
    readonly openMax?: number
    /** What it answers at; what its engines reach, if left out. */
    readonly durability?: Durability
    /** Takes clients that seal nothing. */
    readonly plain?: 'allow'
    /** When it compacts its logs; never, if left out. */
    readonly compact?: CompactPolicy
    /** `none`: as a server that does not know attached keys. */
    readonly keyAccess?: KeyAccess
  } = {},
): Promise<TestServer> {
  const platform = options.platform ?? ownPlatform
  const identity = options.identity ?? newIdentity(makers)
  const stores = options.stores ?? new Map<string, MemoryStore>()
  const seed = new Uint8Array(32)
  platform.environment.random.fill(seed)
  const signer = platform.crypto.ed25519Signer(seed)
  const now = platform.environment.clock.now()
  const delegation = makeDelegation(
    platform.crypto,
    { key: signer.publicKey, checkpointKey: signer.publicKey, from: now - 1000, until: now + 24 * 3_600_000 },
    { fingerprintBytes: identity.fingerprintBytes, sign: (message) => identity.sign(message, 'delegation') },
  )
  const store: ChainStore = options.store ?? {
    async open(name, { create }) {
      let found = stores.get(name)
      if (!found && !create) throw new AteError('CHAIN_NOT_FOUND', { name })
      if (!found) {
        found = memoryStore()
        stores.set(name, found)
      }
      const engine = memoryEngine(found)
      return options.engineOf ? options.engineOf(engine) : engine
    },
  }
  const host = new Host({
    platform,
    identity,
    store,
    dates: new Dates(platform.environment),
    signer,
    checkpointSigner: signer,
    delegation: () => delegation,
    idleMs: 60_000,
    ...(options.openMax === undefined ? {} : { openMax: options.openMax }),
    durability: options.durability,
    compact: options.compact,
  })
  const connections = new Set<HostConnection>()
  const listening = await (options.listen ?? listen)(options.url ?? 'ws://127.0.0.1:0/db', {
    accept(socket, { path }) {
      const connection: HostConnection = new HostConnection({
        host,
        socket,
        path,
        level: 'memory',
        ...(options.keyAccess ? { keyAccess: options.keyAccess } : {}),
        rules: {
          handshake: { limits: {}, ...(options.plain ? { plain: options.plain } : {}) },
          closed: () => void connections.delete(connection),
        },
      })
      connections.add(connection)
    },
  })
  const close = async (): Promise<void> => {
    for (const connection of [...connections]) connection.close()
    await listening.close()
    await host.close()
  }
  return { url: listening.url, identity, signer, host, stores, connections, close, [Symbol.asyncDispose]: close }
}

export function someone(): Identity {
  return newIdentity(makers)
}
