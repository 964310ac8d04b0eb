/** Shared by the tests of data/: types, identities, opening with the core at hand, and the comparison with a fresh fold. */
import { expect } from 'vitest'
import { AteError, isAteError } from '../../src/base/errors.ts'
import { ChainCore } from '../../src/chain/chain-core.ts'
import { Replica } from '../../src/chain/replica.ts'
import type { CryptoProvider } from '../../src/crypto/provider.ts'
import type { Chain } from '../../src/data/chain.ts'
import { defineType, type EntityType } from '../../src/data/entity-type.ts'
import { type OpenOptions, openChain } from '../../src/data/open-chain.ts'
import type { StandardSchema } from '../../src/data/standard-schema.ts'
import type { LogEngine } from '../../src/log/engine.ts'
import { type MemoryStore, memoryEngine, memoryStore } from '../../src/log/memory.ts'
import { nodeProvider } from '../../src/node/crypto-node.ts'
import { type Identity, newIdentity } from '../../src/session/identity.ts'
import { GatedEngine } from '../../src/testing/gated-engine.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { type TestPlatform, type TestPlatformOptions, testPlatform } from '../../src/testing/test-platform.ts'
import { replicaDigest, visibleDigest } from '../../src/testing/view-digest.ts'
import { ROW } from '../../src/view/entity-table.ts'

export const crypto: CryptoProvider = nodeProvider()

/** Identities are costly to make in pure JavaScript: a few, shared by all tests of a file. */
const people = new Map<string, Identity>()
export function person(name: string): Identity {
  let identity = people.get(name)
  if (!identity) {
    let seed = 7
    for (const letter of name) seed = seed * 31 + letter.charCodeAt(0)
    identity = newIdentity({ crypto, random: seededRandom(seed) })
    people.set(name, identity)
  }
  return identity
}

export interface Note {
  readonly text: string
}
export interface Count {
  readonly n: number
}
export const Note: EntityType<Note> = defineType('note', shape<Note>({ text: 'string' }))
export const Count: EntityType<Count> = defineType('count', shape<Count>({ n: 'number' }))
/** Anything. */
export const Thing: EntityType<unknown> = defineType('thing')

/** A Standard Schema of an object whose fields have these types. */
export function shape<T>(fields: Readonly<Record<string, string>>): StandardSchema<unknown, T> {
  return {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate(value) {
        if (typeof value !== 'object' || value === null) return { issues: [{ message: 'no object' }] }
        for (const [name, type] of Object.entries(fields)) {
          const found = typeof (value as Record<string, unknown>)[name]
          if (found !== type) return { issues: [{ message: `is no ${type}`, path: [name] }] }
        }
        return { value: value as T }
      },
    },
  }
}

const cores = new WeakMap<Chain, ChainCore>()
const openCore = ChainCore.open
let newest: ChainCore | undefined
ChainCore.open = async (...parts) => {
  newest = await openCore.apply(ChainCore, parts)
  return newest
}

/** As openChain; coreOf() knows what is behind it. One at a time. */
export async function open(at: string | LogEngine, options: OpenOptions = {}, platform?: TestPlatform): Promise<Chain> {
  const chain = await openChain(at, options, platform ?? quickPlatform())
  cores.set(chain, newest!)
  return chain
}

export function coreOf(chain: Chain): ChainCore {
  return cores.get(chain)!
}

/** With native algorithms where there are some: fast, but not the same bytes each time. */
export function quickPlatform(seed = 1, options: TestPlatformOptions = {}): TestPlatform {
  return testPlatform(seed, { crypto, ...options })
}

export interface Kit extends AsyncDisposable {
  readonly chain: Chain
  readonly engine: GatedEngine
  readonly store: MemoryStore
  readonly platform: TestPlatform
  readonly core: ChainCore
}

/** A chain of alice in memory behind a gate. At its end the view must be what a fresh fold of the log gives. */
export async function memoryChain(options: OpenOptions = {}, platform: TestPlatform = quickPlatform()): Promise<Kit> {
  const store = memoryStore()
  const engine = new GatedEngine(memoryEngine(store))
  const chain = await open(engine, { as: person('alice'), ...options }, platform)
  engine.takeAppends()
  const core = coreOf(chain)
  return {
    chain,
    engine,
    store,
    platform,
    core,
    async [Symbol.asyncDispose]() {
      engine.release()
      if (!core.isClosed) {
        await core.settled()
        await assertSameAsLog(chain)
      }
      await chain.close()
    },
  }
}

/** Another handle on the same store, once the first is closed. */
export async function reopen(kit: Pick<Kit, 'store' | 'platform' | 'chain'>, options: OpenOptions = {}): Promise<Kit> {
  await kit.chain.close()
  const engine = new GatedEngine(memoryEngine(kit.store))
  const chain = await open(engine, { as: person('alice'), id: kit.chain.id, ...options }, kit.platform)
  engine.takeAppends()
  const core = coreOf(chain)
  return { ...kit, chain, engine, core, [Symbol.asyncDispose]: () => chain.close() }
}

/** A fresh fold of what the engine holds. */
export async function freshReplica(engine: LogEngine, seed = 99): Promise<Replica> {
  let replica: Replica | undefined
  for await (const chunk of engine.read(0)) {
    for (const record of chunk) {
      if (replica) replica.accept(record)
      else replica = Replica.open({ crypto, seed }, record)
    }
  }
  return replica!
}

/**
 * The most important property: what was staged and acknowledged here is what everyone else folds from the log.
 * At rest the whole replica is compared; while something is staged, what readers outside see.
 */
export async function assertSameAsLog(chain: Chain): Promise<void> {
  const core = coreOf(chain)
  const { replica, engine, staging } = core
  const isPending = staging.size > 0
  // An attestation that is on its way stands in the log before the replica hears of it.
  if (!isPending) await core.settled()
  const fresh = await freshReplica(engine)
  if (isPending) expect(visibleDigest(replica.view)).toBe(visibleDigest(fresh.view))
  else {
    expect(replicaDigest(replica)).toBe(replicaDigest(fresh))
    expect(visibleDigest(replica.view)).toBe(visibleDigest(fresh.view))
    expect(replica.view.images.size).toBe(0)
  }
  expect(fresh.voids.size).toBe(0)
}

/** Every value that this session has a key for opens: nothing that lives was dropped. The number of them. */
export async function assertReadable(chain: Chain): Promise<number> {
  const { replica, bodies } = coreOf(chain)
  const { view } = replica
  let read = 0
  for (let row = 0; row < view.table.rows; row++) {
    const record = view.acknowledged(row, ROW.record)
    if (record < 0 || !view.isVisible(row)) continue
    const block = view.acknowledged(row, ROW.blockAndFlags) & 0xff
    const hash = Int32Array.from({ length: 8 }, (_, i) => view.acknowledged(row, ROW.hash + i))
    const place = { record, block, offset: view.acknowledged(row, ROW.offset), size: view.acknowledged(row, ROW.size) }
    try {
      await bodies.read({ ...place, hash, hashAt: 0 })
      read++
    } catch (error) {
      if (!isAteError(error) || (error.code !== 'NO_READ_KEY' && error.code !== 'LOCKED')) throw error
    }
  }
  return read
}

export async function codeOf(run: (() => unknown) | Promise<unknown>): Promise<string> {
  try {
    await (typeof run === 'function' ? run() : run)
  } catch (error) {
    if (isAteError(error)) return error.code
    throw error
  }
  return 'nothing was thrown'
}

export async function errorOf(run: (() => unknown) | Promise<unknown>): Promise<AteError> {
  try {
    await (typeof run === 'function' ? run() : run)
  } catch (error) {
    if (error instanceof AteError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

/** Lets everything that is ready run. */
export async function turns(count = 20): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}
