/**
 * Clients of one cache at a server, each with a connection and delays of its own: what they read, against the log; and one
 * loader for all of them. A seed that fails is printed. ATE_RUNS sets how many runs there are: one a hundred.
 * @newest-node-only: a server needs native post-quantum code to be quick
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Chain, openChain } from '@ate/core'
import { type Served, serve } from '@ate/core/server'
import { type SeededRandom, seededRandom } from '@ate/core/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Cache, cache } from '../src/index.ts'
import { changesOf, type Observed, problemsOf } from './history.ts'
import { codeOf, person } from './kit.ts'

const RUNS = Math.ceil(Number(process.env['ATE_RUNS'] ?? 1) / 100)
const FIRST = Number(process.env['ATE_CACHE_SEED'] ?? 1)
const STEPS = 40
const CLIENTS = 4
const KEYS = ['a', 'b', 'c']

let folder = ''
let server: Served
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ate-cache-'))
  server = await serve({ listen: 'ws://127.0.0.1:0/db', data: folder })
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

async function connect(name: string, id?: string): Promise<Chain> {
  const wanted = id === undefined ? { create: true } : { id }
  return openChain(`${server.url}/${name}`, { as: await person(), serverKey: server.publicKey, ...wanted })
}

const DELAYED: ReadonlySet<unknown> = new Set(['get', 'named', 'child', 'transact', 'refresh'])

/** What is asked of the chain is answered, and comes back, some time later. */
function delayed(chain: Chain, random: SeededRandom): Chain {
  const moment = (): Promise<void> | undefined =>
    random.oneIn(3) ? new Promise((resolve) => setTimeout(resolve, random.below(6))) : undefined
  return new Proxy(chain, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target)
      if (typeof value !== 'function') return value
      const call = value.bind(target) as (...args: unknown[]) => unknown
      if (!DELAYED.has(property)) return call
      return async (...args: unknown[]) => {
        if (property === 'transact') await moment()
        const result = await call(...args)
        await moment()
        return result
      }
    },
  })
}

class Client {
  readonly chain: Chain
  readonly #number: number
  readonly #cache: Cache<string>
  readonly #random: SeededRandom
  readonly #history: Observed[]
  #writes = 0

  constructor(chain: Chain, parts: { number: number; random: SeededRandom; history: Observed[] }) {
    this.chain = delayed(chain, parts.random)
    this.#number = parts.number
    this.#random = parts.random
    this.#history = parts.history
    this.#cache = cache<string>(this.chain, 'c', { memory: { max: 2 } })
  }

  async run(seqs: number[]): Promise<void> {
    for (let step = 0; step < STEPS; step++) {
      await this.#step(seqs)
      for (const key of KEYS) this.#read(key)
    }
  }

  read(): void {
    for (const key of KEYS) this.#read(key)
  }

  sync(): Promise<void> {
    return this.#cache.sync()
  }

  /** A value that memory has no room for is unknown, not gone. */
  #read(key: string): void {
    if (this.#cache.entry(key)?.state === 'dropped') return
    this.#history.push({ kind: 'read', client: this.#number, key, value: this.#cache.get(key) })
  }

  async #step(seqs: number[]): Promise<void> {
    const random = this.#random
    const key = KEYS[random.below(KEYS.length)]!
    const client = this.#number
    const value = `${client}.${++this.#writes}`
    const how = random.below(10)
    if (how < 4) this.#wrote(key, value, (await this.#cache.set(key, value)).seq!, seqs)
    else if (how < 6) {
      const seq = await this.chain.transact(async (tx) => {
        await this.#cache.set(key, value, { tx })
        return tx
      })
      this.#wrote(key, value, seq.receipt!.seq, seqs)
    } else if (how === 6) {
      // A deletion has no value of its own in the log: what has been waited for covers it.
      const tx = await this.chain.transact(async (inner) => {
        await this.#cache.delete(key, { tx: inner })
        return inner
      })
      await this.#cache.waitFor(tx.receipt!.seq)
      this.#history.push({ kind: 'waited', client, seq: tx.receipt!.seq })
    } else if (how === 7 && seqs.length > 0) {
      const seq = seqs[random.below(seqs.length)]!
      await this.#cache.waitFor(seq)
      this.#history.push({ kind: 'waited', client, seq })
    } else if (how === 8) {
      const found = await this.#cache.fetch(key)
      this.#history.push({ kind: 'read', client, key, value: found })
    } else await new Promise((resolve) => setTimeout(resolve, random.below(8)))
  }

  #wrote(key: string, value: string | undefined, seq: number, seqs: number[]): void {
    seqs.push(seq)
    this.#history.push({ kind: 'wrote', client: this.#number, key, value, seq })
  }
}

describe('what clients read', () => {
  it.each(Array.from({ length: RUNS }, (_, i) => FIRST + i))(
    'is never older than what they wrote, read or waited for: seed %i',
    async (seed) => {
      const name = `history-${seed}`
      const first = await connect(name)
      const chains = [first, ...(await Promise.all(Array.from({ length: CLIENTS - 1 }, () => connect(name, first.id))))]
      const history: Observed[] = []
      const seqs: number[] = []
      await cache(first, 'c').ready
      const clients = chains.map(
        (chain, number) => new Client(chain, { number, random: seededRandom(seed * 100 + number), history }),
      )
      await Promise.all(clients.map((client) => client.run(seqs)))
      const last = cache<string>(first, 'c')
      for (const key of KEYS) await last.set(key, `end of ${key}`)
      for (const [number, client] of clients.entries()) {
        await client.sync()
        history.push({ kind: 'waited', client: number, seq: first.head.seq })
        client.read()
      }
      const problems = problemsOf(history, await changesOf(first, await last.node()))
      if (problems.length > 0) console.error(`seed ${seed}`)
      expect(problems).toEqual([])
      expect(history.length).toBeGreaterThan(STEPS * CLIENTS)
      await Promise.all(chains.map((chain) => chain.close()))
    },
  )
})

it('the checker finds what is wrong', () => {
  const changes = new Map([
    [
      'a',
      [
        { seq: -1, value: undefined },
        { seq: 3, value: '1' },
        { seq: 5, value: '2' },
      ],
    ],
  ])
  const read = (value: string | undefined, client = 0): Observed => ({ kind: 'read', client, key: 'a', value })
  expect(problemsOf([read(undefined), read('1'), read('2'), read(undefined, 1)], changes)).toEqual([])
  expect(problemsOf([read('2'), read('1')], changes)).toHaveLength(1)
  expect(problemsOf([read('1'), read(undefined)], changes)).toHaveLength(1)
  expect(problemsOf([read('3')], changes)).toHaveLength(1)
  expect(
    problemsOf([{ kind: 'wrote', client: 0, key: 'a', value: '1', seq: 3 }, read(undefined)], changes),
  ).toHaveLength(1)
  expect(problemsOf([{ kind: 'waited', client: 0, seq: 5 }, read('1')], changes)).toHaveLength(1)
})

it('one loader for all connections; invalidation and locks reach them', async () => {
  const first = await connect('fleet')
  const chains = [first, ...(await Promise.all(Array.from({ length: 4 }, () => connect('fleet', first.id))))]
  const fleet = chains.map((chain) => cache<number>(chain, 'c'))
  let calls = 0
  const load = async (): Promise<number> => {
    calls++
    await new Promise((resolve) => setTimeout(resolve, 20))
    return calls
  }
  const all = fleet.flatMap((c) => [c.getOrSet('a', load, { tags: ['t'] }), c.getOrSet('a', load, { tags: ['t'] })])
  expect(await Promise.all(all)).toEqual(fleet.flatMap(() => [1, 1]))
  expect(calls).toBe(1)
  const { seq } = await fleet[0]!.invalidate({ tags: ['t'] })
  await Promise.all(fleet.map((c) => c.waitFor(seq!)))
  expect(fleet.map((c) => c.get('a'))).toEqual(fleet.map(() => undefined))
  expect(await fleet[1]!.getOrSet('a', load)).toBe(2)

  const lock = await fleet[0]!.lock('x')
  expect(await codeOf(fleet[1]!.lock('x', { wait: 0 }))).toBe('LOCK_HELD')
  const next = fleet[1]!.lock('x')
  await lock.release()
  expect((await next).fence).toBeGreaterThan(lock.fence)
  const counted = await Promise.all(fleet.flatMap((c) => [c.incr('n'), c.incr('n'), c.incr('n')]))
  expect(Math.max(...counted)).toBe(15)
  await (await next).release()
  await Promise.all(chains.map((chain) => chain.close()))
})
