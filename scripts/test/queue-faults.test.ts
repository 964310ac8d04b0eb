/**
 * The faults of a queue (packages/queue/test/fault-cases.ts) over a server: each process on a machine of its own, with a
 * connection of its own, on a simulated network and in simulated time.
 * @newest-node-only: a server needs native post-quantum code to be quick
 */
import { type Chain, openChain } from '@ate/core'
import type { SimTime } from '@ate/core/testing'
import { SimWorld, simPerson } from '../../packages/core/test/mesh/sim-world.ts'
import { faultCases } from '../../packages/queue/test/fault-cases.ts'
import { Process, turns, type World } from '../../packages/queue/test/kit.ts'

const MINUTES = 600_000

/** Waits, and lets little time pass: what needs none, and some turns of the loop, must not find a lease over. */
async function slowly<T>(time: SimTime, promise: Promise<T>): Promise<T> {
  let isOver = false
  const over = (): void => {
    isOver = true
  }
  promise.then(over, over)
  for (await turns(2); !isOver; await turns(2)) await time.run(5)
  return promise
}

/** A world of a queue on machines around a server. */
async function openServed(seed: number, processes = 3): Promise<World> {
  const sim = new SimWorld(seed)
  const serverKey = (await sim.startServer()).identity.fingerprint
  const machines = new Map<string, Chain>()
  const first = await connect('m0', { create: true })

  async function connect(name: string, how: { readonly create: true } | { readonly id: string }): Promise<Chain> {
    const options = { as: simPerson('me'), serverKey, ...how }
    const chain = await sim.wait(openChain(`${sim.url}/jobs`, options, sim.machine(name)))
    machines.set(name, chain)
    return chain
  }

  /** Machines `from` to `to`; what looks on stands on the first. */
  async function worldOf(from: number, to: number): Promise<World> {
    for (let n = from; n < to; n++) if (!machines.has(`m${n}`)) await connect(`m${n}`, { id: first.id })
    const names = Array.from({ length: to - from }, (_, n) => `m${from + n}`)
    const free = names.slice(1)
    const processes: Process[] = []
    const { clock, timers } = sim.time
    const world: World = {
      chain: machines.get(names[0]!)!,
      platform: {
        environment: { clock, timers, random: sim.random },
        advance: (ms) => sim.time.advance(ms),
        setWallClock(ms) {
          for (const name of ['server', ...machines.keys()]) sim.setClock(name, ms - clock.now())
        },
      },
      wait: (promise) => slowly(sim.time, promise),
      async pass(ms, step = 50) {
        for (let left = ms; left > 0; left -= step) {
          await sim.time.run(Math.min(step, left))
          await turns(4)
        }
      },
      process(name = free.shift()!) {
        const made = new Process(
          name,
          machines.get(name)!,
          { environment: world.platform.environment },
          seed * 100 + processes.length,
        )
        processes.push(made)
        return made
      },
      async restart() {
        sim.killServer()
        for (const one of processes) one.kill()
        await sim.time.run(MINUTES)
        await sim.startServer({ compact: { bytes: 1 } })
        const store = sim.stores.get('jobs')!
        const { generation } = store.records
        // It is compacted behind the next record. Who comes then has never seen it otherwise.
        const writer = await worldOf(to, to + 2)
        await writer.wait(writer.process().queue({}, 'other').add(1))
        while (store.records.generation === generation) await writer.pass(50)
        return worldOf(to + 2, to + 4)
      },
      async close() {
        for (const one of processes) one.thaw()
        sim.killServer()
      },
    }
    return world
  }
  return worldOf(0, processes + 1)
}

faultCases(openServed)
