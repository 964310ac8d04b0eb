/**
 * A chain moves from one server of a ring to another while a client writes in it, and the power of one of both goes at each
 * of the steps that change its disk. Simulated disks, network and time. Whatever was acknowledged is there exactly once, in
 * the place where the chain is then, and what stands at the old place is the beginning of that: never did both order.
 * ATE_SEEDS_NET sets at how many of the steps.
 */
import { describe, expect, test } from 'vitest'
import { defineType } from '../../src/data/entity-type.ts'
import { openEngine, parsePlace } from '../../src/data/place.ts'
import { makeDelegation } from '../../src/event/acknowledgement.ts'
// What is loaded when it is first needed is loaded before: simulated time does not wait for it.
import '../../src/log/file-destroy.ts'
import { openFileLog } from '../../src/log/file-engine.ts'
import type { FileSystem } from '../../src/log/file-system.ts'
import type { StandingState } from '../../src/log/standing.ts'
import { parseChainName } from '../../src/mesh/chain-name.ts'
import { Dates } from '../../src/mesh/dates.ts'
import { Host } from '../../src/mesh/host.ts'
import { HostConnection } from '../../src/mesh/host-connection.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import { ownerOf } from '../../src/mesh/ring.ts'
import { ServedRing } from '../../src/node/served-ring.ts'
import type { ServerFolder } from '../../src/node/server-folder.ts'
import type { Platform } from '../../src/session/platform.ts'
import { readAll } from '../../src/testing/log-suite.ts'
import { SimFileSystem } from '../../src/testing/sim-file-system.ts'
import { SimWorld, simCrypto, simPerson } from './sim-world.ts'

const SEEDS = Number(process.env['ATE_SEEDS_NET'] ?? 3)
/** Of each side: all there are from ten times that on. */
const CRASHES = SEEDS >= 10 ? Number.POSITIVE_INFINITY : SEEDS + 1
const Row = defineType<{ text: string }>('row')
const STANDINGS: readonly StandingState[] = ['live', 'copy', 'backup', 'moved', 'incomplete', 'destroyed']
const URLS = { old: 'ws://old:5000/db', new: 'ws://new:5000/db' } as const
type Side = keyof typeof URLS

/** A server of the ring: its disk outlives it. */
class Node {
  readonly disks = new Map<string, SimFileSystem>()
  readonly #world: SimWorld
  readonly #side: Side
  #life = 0
  ring: ServedRing | undefined

  constructor(world: SimWorld, side: Side) {
    this.#world = world
    this.#side = side
  }

  disk(name: string): SimFileSystem {
    let disk = this.disks.get(name)
    if (!disk) {
      disk = new SimFileSystem(7, { folder: 'missing' })
      this.disks.set(name, disk)
    }
    return disk
  }

  get operations(): number {
    return [...this.disks.values()].reduce((sum, { counts }) => sum + counts.operations, 0)
  }

  get isCut(): boolean {
    return [...this.disks.values()].some(({ isCut }) => isCut)
  }

  /** Its power goes: the process is dead at once, for the network too. */
  cut(): void {
    this.#life++
    this.#world.network.kill(this.#side)
  }

  async start(nodes: readonly string[]): Promise<void> {
    const { network } = this.#world
    this.cut()
    if (this.isCut) for (const disk of this.disks.values()) disk.crash()
    else for (const disk of this.disks.values()) disk.kill()
    this.#life++
    network.restart(this.#side)
    const platform = this.#platform(this.#life)
    const identity = simPerson('server')
    const signer = simCrypto.ed25519Signer(new Uint8Array(32).fill(this.#life + (this.#side === 'old' ? 100 : 0)))
    const now = platform.environment.clock.now()
    const body = {
      key: signer.publicKey,
      checkpointKey: signer.publicKey,
      from: now - 1000,
      until: now + 8 * 3_600_000,
    }
    const sign = (message: Uint8Array): Uint8Array => identity.sign(message, 'delegation')
    const { fingerprintBytes } = identity
    const delegation = makeDelegation(simCrypto, body, { fingerprintBytes, sign })
    const host = new Host({
      platform,
      identity,
      store: {
        open: (name, { create }) =>
          openEngine(parsePlace(`file:${name}`, {}, platform), { create, label: undefined, known: undefined }),
      },
      dates: new Dates(platform.environment),
      signer,
      checkpointSigner: signer,
      delegation: () => delegation,
      idleMs: 60_000,
    })
    const folder: ServerFolder = {
      path: '/',
      identity,
      acknowledged: { read: async () => undefined, keep: async () => undefined },
      chainPath: (name) => name,
      hasChain: async (name) => this.disk(name).files().includes('MANIFEST'),
      chains: async () => [...this.disks.keys()].map(parseChainName),
      chainFiles: platform,
      async holdings() {
        throw new Error('not asked for')
      },
      count: async () => {},
      freeBytes: () => undefined,
      close: async () => undefined,
    }
    const settings = { nodes, self: URLS[this.#side], ca: undefined }
    const ring = new ServedRing({
      platform,
      folder,
      ring: settings,
      isOpen: (name) => host.isOpen(name),
      adopted: async () => {},
      failed: (_, error) => {
        throw error
      },
    })
    this.ring = ring
    await network.listen(this.#side)('ws://0.0.0.0:5000/db', {
      accept(socket, { path }) {
        const rules = {
          handshake: { limits: {} },
          place: (name: string, who: 'client' | 'sibling') => ring.place(name, who),
          takerOf: (name: string) => ring.takerOf(name),
        }
        new HostConnection({ host, socket, path, level: 'disk', rules })
      },
    })
    ring.start()
  }

  async standing(name: string): Promise<StandingState> {
    const { clock, random } = { clock: this.#world.time.clock, random: this.#world.random }
    const log = await openFileLog({ fs: this.disk(name), clock, random, readOnly: true, standings: STANDINGS })
    const { state } = log.standing
    await log.close()
    return state
  }

  async records(name: string): Promise<readonly Buffer[]> {
    const { clock, random } = { clock: this.#world.time.clock, random: this.#world.random }
    const log = await openFileLog({ fs: this.disk(name), clock, random, readOnly: true, standings: STANDINGS })
    const all = (await readAll(log)).map(({ bytes }) => Buffer.from(bytes))
    await log.close()
    return all
  }

  /** Of one life: when that is over, its timers are too. */
  #platform(life: number): Platform {
    const base = this.#world.machine(this.#side)
    const { clock, random, timers } = base.environment
    const ownTimers: typeof timers = {
      ...timers,
      start: (ms, run, options) => timers.start(ms, () => this.#life === life && run(), options),
    }
    return Object.create(base, {
      environment: { value: { clock, random, timers: ownTimers } },
      pathOf: { value: (place: string) => place.slice('file:'.length) },
      openFolder: { value: async (path: string) => this.#watched(this.disk(path)) },
    }) as Platform
  }

  /** The step that the power goes with is the process's last: not even a message leaves it afterwards. */
  #watched(disk: SimFileSystem): FileSystem {
    const looked = <A extends unknown[], R>(call: (...args: A) => R) => {
      return (...args: A): R => {
        const was = disk.isCut
        const result = call(...args)
        if (disk.isCut && !was) this.cut()
        return result
      }
    }
    return {
      open: looked((path, mode) => {
        const file = disk.open(path, mode)
        return {
          size: () => file.size(),
          read: (target, at) => file.read(target, at),
          write: looked((parts, at) => file.write(parts, at)),
          writeLater: async (parts, at) => looked(() => file.write(parts, at))(),
          truncate: looked((size) => file.truncate(size)),
          syncNow: looked(() => file.syncNow()),
          sync: async () => looked(() => file.syncNow())(),
          close: () => file.close(),
        }
      }),
      list: (path) => disk.list(path),
      makeFolder: looked((path) => disk.makeFolder(path)),
      rename: looked((from, to) => disk.rename(from, to)),
      remove: looked((path) => disk.remove(path)),
      removeFolder: looked((path) => disk.removeFolder(path)),
      syncFolder: looked((path) => disk.syncFolder(path)),
      lock: () => disk.lock(),
    }
  }
}

interface Outcome {
  /** Steps that each side's disk made while the chain moved. */
  readonly steps: Readonly<Record<Side, number>>
  readonly isCut: boolean
}

/** `at` is the step of that side's disk, from the beginning of the move on, behind which its power goes. */
async function oneMove(
  seed: number,
  crash: { readonly side: Side; readonly at: number } | undefined,
): Promise<Outcome> {
  const world = new SimWorld(seed, { delayMs: [1, 10] })
  const { time } = world
  const nodes = { old: new Node(world, 'old'), new: new Node(world, 'new') }
  const both = [URLS.old, URLS.new]
  const name = Array.from({ length: 99 }, (_, i) => `c${i}`).find((one) => ownerOf(simCrypto, both, one) === URLS.new)!
  const [as, serverKey] = [simPerson('me'), simPerson('server')]
  await nodes.old.start([URLS.old])
  const chain = await world.wait(openChain(`${URLS.old}/${name}`, { as, serverKey, create: true }, world.machine('a')))
  const acknowledged: string[] = []
  const tried: string[] = []
  let isWriting = true
  const writing = (async () => {
    while (isWriting) {
      const text = `r${tried.length}`
      tried.push(text)
      await chain.transact((tx) => tx.create(Row, { text }))
      acknowledged.push(text)
      // All the time while the chain moves, and now and then while nothing happens.
      const pause = tried.length < 60 ? 5 : 2000
      await new Promise<void>((resolve) => time.timers.start(pause, resolve))
    }
  })()
  await time.runUntil(() => acknowledged.length >= 3, 60_000)
  const before = { old: nodes.old.operations, new: 0 }
  const fault = (): void => {
    if (crash) nodes[crash.side].disk(name).faults = { cutAfter: before[crash.side] + crash.at }
  }
  // The new list to the one that is there, and then the new one.
  await nodes.old.start(both)
  before.old = nodes.old.operations
  fault()
  await nodes.new.start(both)
  const cut = crash ? nodes[crash.side] : undefined
  const hasMoved = async (): Promise<boolean> => {
    if (!nodes.new.disk(name).files().includes('MANIFEST')) return false
    return (await nodes.new.standing(name).catch(() => 'incomplete')) === 'live'
  }
  let isCut = false
  for (let round = 0; round < 400 && !(await hasMoved()); round++) {
    await time.run(isCut ? 2000 : 250)
    if (!cut?.isCut) continue
    isCut = true
    // It stays away for a moment: the other one and the client notice, or not.
    await time.run(world.random.below(4000))
    await cut.start(both)
  }
  const steps = { old: nodes.old.operations - before.old, new: nodes.new.operations }
  if (cut?.isCut) {
    isCut = true
    await cut.start(both)
  }
  expect(await hasMoved()).toBe(true)
  // It goes on where it is now, and who asks the old place is sent there.
  const count = acknowledged.length
  expect(await time.runUntil(() => acknowledged.length >= count + 3, 300_000)).toBe(true)
  isWriting = false
  await world.wait(writing)
  await world.wait(chain.close())
  for (const [machine, url] of [
    ['b', URLS.new],
    ['c', URLS.old],
  ] as const) {
    const reader = await world.wait(openChain(`${url}/${name}`, { as, serverKey }, world.machine(machine)))
    const found: string[] = []
    const read = async (): Promise<void> => {
      for await (const { value } of reader.children(Row)) found.push(value.text)
    }
    await world.wait(read())
    expect(found.sort()).toEqual([...new Set(found)].sort())
    expect(acknowledged.filter((text) => !found.includes(text))).toEqual([])
    expect(found.filter((text) => !tried.includes(text))).toEqual([])
    await world.wait(reader.close())
  }
  expect(await nodes.old.standing(name)).toBe('moved')
  const [left, here] = [await nodes.old.records(name), await nodes.new.records(name)]
  expect(here.length).toBeGreaterThan(left.length)
  expect(left.filter((bytes, seq) => !bytes.equals(here[seq]!))).toEqual([])
  return { steps, isCut }
}

/** At most so many of 1 to `max`, evenly, and another choice with another seed. */
function someOf(max: number, count: number, seed: number): number[] {
  const every = Math.max(1, max / count)
  return Array.from(
    { length: Math.min(max, count) },
    (_, i) => 1 + Math.floor(i * every + ((seed * 0.37) % 1) * (every - 1)),
  )
}

describe('a move between servers', () => {
  test('is made while a client writes', async () => {
    const { steps, isCut } = await oneMove(1, undefined)
    expect([steps.new > 5, steps.old > 2, isCut]).toEqual([true, true, false])
  })

  test.each<Side>(['new', 'old'])('loses nothing when the power of the %s one goes at a step of it', async (side) => {
    const { steps } = await oneMove(1, undefined)
    const at = someOf(steps[side], CRASHES, Number(process.env['ATE_SEED'] ?? 1))
    let cuts = 0
    for (const step of at) {
      const { isCut } = await oneMove(1, { side, at: step }).catch((error) => {
        throw new Error(`at step ${step} of ${steps[side]}: ${String(error)}`, { cause: error })
      })
      if (isCut) cuts++
    }
    expect(cuts).toBeGreaterThanOrEqual(at.length / 2)
  })
})
