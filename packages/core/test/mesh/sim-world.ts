/** Machines with clients and a server on a simulated network, in simulated time: a seed replays a run. */
// What is loaded when it is first needed is loaded before: simulated time does not wait for it.
import '../../src/chain/lasting.ts'
import '../../src/chain/local-writing.ts'
import '../../src/chain/recovered.ts'
import '../../src/chain/snapshots.ts'
import '../../src/chain/verify-log.ts'
import '../../src/data/compare-head.ts'
import '../../src/data/cosigning.ts'
import '../../src/data/outcome.ts'
import '../../src/data/sweeping.ts'
import '../../src/mesh/exchanged-copy.ts'
import '../../src/mesh/open-remote.ts'
import '../../src/session/forget-chain.ts'
import type { CryptoProvider } from '../../src/crypto/provider.ts'
import type { MemoryStore } from '../../src/log/memory.ts'
import { nodeProvider } from '../../src/node/crypto-node.ts'
import { platform as ownPlatform } from '../../src/node/platform.ts'
import { type Identity, newIdentity } from '../../src/session/identity.ts'
import { memoryState } from '../../src/session/memory-state.ts'
import type { Platform } from '../../src/session/platform.ts'
import { type SeededRandom, seededRandom } from '../../src/testing/random.ts'
import { type SimLink, type SimNetwork, simNetwork } from '../../src/testing/sim-network.ts'
import { type SimTime, simTime } from '../../src/testing/sim-time.ts'
import { startServer, type TestServer } from './net-kit.ts'

/** Without the threads that would answer at a time of their own. */
export const simCrypto: CryptoProvider = Object.create(nodeProvider(), {
  ed25519Verifier: {
    value(key: Uint8Array) {
      const inner = nodeProvider().ed25519Verifier(key)
      return {
        publicKey: key,
        verify: (message: Uint8Array, signature: Uint8Array) => inner.verify(message, signature),
      }
    },
  },
}) as CryptoProvider

const people = new Map<string, Identity>()
export function simPerson(name: string): Identity {
  let identity = people.get(name)
  if (!identity) {
    identity = newIdentity({ crypto: simCrypto, random: seededRandom(name.length * 97 + name.charCodeAt(0)) })
    people.set(name, identity)
  }
  return identity
}

export class SimWorld {
  readonly random: SeededRandom
  readonly time: SimTime
  readonly network: SimNetwork
  readonly stores: Map<string, MemoryStore> = new Map()
  server: TestServer | undefined

  constructor(seed: number, link: Partial<SimLink> = {}) {
    this.random = seededRandom(seed)
    this.time = simTime()
    this.network = simNetwork({ clock: this.time.clock, timers: this.time.timers, random: this.random, link })
  }

  /** Sets the wall clock of a machine this much off the world's, in ms, also back. */
  setClock(name: string, offsetMs: number): void {
    this.#offsets.set(name, offsetMs)
  }

  readonly #offsets = new Map<string, number>()

  machine(name: string): Platform {
    const { clock: world, timers } = this.time
    const clock = {
      now: () => world.now() + (this.#offsets.get(name) ?? 0),
      monotonic: () => world.monotonic(),
    }
    return Object.create(ownPlatform, {
      crypto: { value: simCrypto },
      state: { value: memoryState() },
      environment: { value: { clock, timers, random: this.random } },
      dial: { value: this.network.dial(name) },
      // What an earlier world of this process has left would take the place of what the seed gives.
      tickets: { value: undefined },
      warn: { value: () => undefined },
    }) as Platform
  }

  get url(): string {
    return 'ws://server:5000/db'
  }

  /** `more` changes how it listens. */
  async startServer(
    more: Pick<NonNullable<Parameters<typeof startServer>[0]>, 'listen' | 'plain' | 'compact' | 'engineOf'> = {},
  ): Promise<TestServer> {
    for (const store of this.stores.values()) store.written = false
    this.network.restart('server')
    this.server = await startServer({
      identity: simPerson('server'),
      stores: this.stores,
      platform: this.machine('server'),
      listen: this.network.listen('server'),
      url: 'ws://0.0.0.0:5000/db',
      ...more,
    })
    return this.server
  }

  killServer(): void {
    this.network.kill('server')
    this.server = undefined
  }

  /** Waits in simulated time. */
  async wait<T>(promise: Promise<T>, maxMs = 600_000): Promise<T> {
    let done: { readonly value: T } | { readonly error: unknown } | undefined
    promise.then(
      (value) => {
        done = { value }
      },
      (error) => {
        done = { error }
      },
    )
    await this.time.runUntil(() => done !== undefined, maxMs)
    if (!done) throw new Error('this did not end')
    if ('error' in done) throw done.error
    return done.value
  }
}
