/** Five servers of one ring, clients that ask the wrong one, and a sixth that is added: nothing is lost and nothing is twice. */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Chain } from '../../src/data/chain.ts'
import { defineType } from '../../src/data/entity-type.ts'
import type { OpenOptions } from '../../src/data/open-chain.ts'
import { openTarget } from '../../src/data/target-place.ts'
import type { LogEngine } from '../../src/log/engine.ts'
import type { StandingState } from '../../src/log/standing.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import { ownerOf } from '../../src/mesh/ring.ts'
import type { Served, ServeOptions, ServerAlarm } from '../../src/mesh/serve-options.ts'
import { takeChain } from '../../src/mesh/take-chain.ts'
import { nodeProvider } from '../../src/node/crypto-node.ts'
import { serve } from '../../src/node/serve.ts'
import { openIdentity } from '../../src/session/local-identity.ts'
import { codeOf } from '../data/kit.ts'
import { certificate } from './certificate.ts'
import { machine, someone } from './net-kit.ts'

const crypto = nodeProvider()
const Row = defineType<{ text: string }>('row')
let root = ''
let rings = 0

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'ate-ring-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1')
      await new Promise((resolve) => server.once('listening', resolve))
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

/** Servers with one identity, each with a folder of its own. */
class Ring implements AsyncDisposable {
  readonly servers: (Served | undefined)[] = []
  readonly urls: string[]
  readonly #folder = join(root, `ring-${++rings}`)
  readonly #options: Partial<ServeOptions>

  constructor(ports: readonly number[], options: Partial<ServeOptions> & { readonly scheme?: 'ws' | 'wss' } = {}) {
    const { scheme = 'ws', ...others } = options
    this.urls = ports.map((port) => `${scheme}://${scheme === 'wss' ? 'localhost' : '127.0.0.1'}:${port}/db`)
    this.#options = others
  }

  folder(i: number): string {
    return join(this.#folder, `server-${i}`)
  }

  async start(i: number, count: number): Promise<Served> {
    const data = this.folder(i)
    mkdirSync(data, { recursive: true, mode: 0o700 })
    const identity = join(data, 'server-identity')
    if (i > 0 && !existsSync(identity)) copyFileSync(join(this.folder(0), 'server-identity'), identity)
    const server = await serve({ listen: this.urls[i]!, data, nodes: this.urls.slice(0, count), ...this.#options })
    this.servers[i] = server
    return server
  }

  async startAll(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await this.start(i, count)
  }

  async stop(i: number): Promise<void> {
    await this.servers[i]?.close()
    this.servers[i] = undefined
  }

  ownerOf(name: string, count: number): number {
    return this.urls.indexOf(ownerOf(crypto, this.urls.slice(0, count), name))
  }

  /** A chain of that server: ports differ from run to run, and so do owners. */
  nameOf(owner: number, count: number, nth = 0): string {
    const names = Array.from({ length: 999 }, (_, i) => `chain-${i}`)
    return names.filter((name) => this.ownerOf(name, count) === owner)[nth]!
  }

  /** Where the chain has a folder. */
  places(name: string): number[] {
    return this.urls.flatMap((_, i) => (readChains(this.folder(i)).includes(name) ? [i] : []))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.servers.map((server) => server?.close()))
  }
}

function readChains(folder: string): string[] {
  const chains = join(folder, 'chains')
  return existsSync(chains) ? readdirSync(chains) : []
}

/** As a server says it of itself. */
async function chainsCounted(url: string): Promise<number> {
  const response = await fetch(`http://${new URL(url).host}/metrics`)
  return Number(/^ate_chains (\d+)$/m.exec(await response.text())?.[1])
}

async function texts(chain: Chain): Promise<string[]> {
  const all: string[] = []
  for await (const { value } of chain.children(Row)) all.push(value.text)
  return all.sort()
}

async function fail(): Promise<never> {
  throw new Error('stopped here')
}

/** Stops where that standing is written, instead of writing it or behind. */
function once(
  write: LogEngine['setStanding'],
  state: StandingState,
  where: 'instead' | 'behind',
): LogEngine['setStanding'] {
  return async function (this: LogEngine, standing) {
    if (standing.state !== state || where === 'behind') await write.call(this, standing)
    if (standing.state === state) await fail()
  }
}

const tls = certificate()

describe.each([
  ['plain', { wireEncryption: 'off' } as const, { wire: 'plain' } as const],
  ['sealed', {}, {}],
  ['sealed inside TLS', { scheme: 'wss', tls, nodesCa: tls.cert } as const, { ca: tls.cert }],
])('five servers, %s', (_how, options, client: Partial<OpenOptions>) => {
  it('keep each chain on one of them, whichever is asked', async () => {
    await using ring = new Ring(await freePorts(5), options)
    await ring.startAll(5)
    const serverKey = ring.servers[0]!.publicKey
    const names = [0, 2, 4].map((owner) => ring.nameOf(owner, 5))
    const me = someone()
    await Promise.all(
      names.map(async (name, n) => {
        const a = await openChain(`${ring.urls[n]}/${name}`, { as: me, serverKey, create: true, ...client }, machine())
        const [row1, row2] = await a.transact((tx) => [
          tx.create(Row, { text: 'row1' }),
          tx.create(Row, { text: 'row2' }),
        ])
        const b = await openChain(`${ring.urls[n + 1]}/${name}`, { as: me, serverKey, id: a.id, ...client }, machine())
        await b.transact(async (tx) => void tx.update(await tx.load(Row, row1!.id), () => ({ text: 'test_string1' })))
        await b.transact(async (tx) => void tx.update(await tx.load(Row, row2!.id), () => ({ text: 'test_string2' })))
        await a.refresh()
        expect(await texts(a)).toEqual(['test_string1', 'test_string2'])
        await a.close()
        await b.close()
        expect(ring.places(name)).toEqual([ring.ownerOf(name, 5)])
      }),
    )
  })
})

describe('a ring', () => {
  it('takes in a sixth server: what is its own moves there, with all that was written, and goes on', async () => {
    const ring = new Ring(await freePorts(6))
    await using _ = ring
    await ring.startAll(5)
    const me = someone()
    const serverKey = ring.servers[0]!.publicKey
    const moving = [0, 1, 2].map((nth) => ring.nameOf(5, 6, nth))
    const names = [...moving, ring.nameOf(0, 6), ring.nameOf(3, 6)]
    const chains = new Map<string, Chain>()
    for (const name of names) {
      const chain = await openChain(`${ring.urls[0]}/${name}`, { as: me, serverKey, create: true }, machine())
      await chain.transact((tx) => tx.create(Row, { text: 'before' }))
      chains.set(name, chain)
    }
    // The new list goes to those that are there, one after the other, and then the new one starts.
    for (let i = 0; i < 5; i++) {
      await ring.stop(i)
      await ring.start(i, 6)
    }
    // Served by the old one until it has moved.
    await chains.get(moving[0]!)!.transact((tx) => tx.create(Row, { text: 'between' }))
    const last = await ring.start(5, 6)
    for (const name of names) {
      // An old address, and a client that knows of five servers.
      const fresh = await openChain(
        `${ring.urls[1]}/${name}`,
        { as: me, serverKey, id: chains.get(name)!.id },
        machine(),
      )
      await fresh.transact((tx) => tx.create(Row, { text: 'after' }))
      // One that was open all the time finds its way too.
      const old = chains.get(name)!
      await old.transact((tx) => tx.create(Row, { text: 'still' }))
      await fresh.refresh()
      const expected = [...(name === moving[0] ? ['between'] : []), 'before', 'after', 'still'].sort()
      expect(await texts(fresh), name).toEqual(expected)
      expect(await texts(old), name).toEqual(expected)
      await fresh.close()
      await old.close()
    }
    // Those that nobody asked the new one for are offered to it.
    while (readChains(ring.folder(5)).length < moving.length) await setTimeout(50)
    expect(readChains(ring.folder(5)).sort()).toEqual(moving.sort())
    // Each counts where it is: what has moved away no longer does at the old place.
    await expect
      .poll(async () => Promise.all(ring.urls.map(chainsCounted)), { timeout: 10_000 })
      .toEqual(ring.urls.map((_, i) => names.filter((name) => ring.ownerOf(name, 6) === i).length))
    await last.close()
  })

  it('counts what was offered to it, also if nobody asks for it there', async () => {
    await using ring = new Ring(await freePorts(2))
    const name = ring.nameOf(1, 2)
    const { publicKey: serverKey } = await ring.start(0, 1)
    const chain = await openChain(`${ring.urls[0]}/${name}`, { as: someone(), serverKey, create: true }, machine())
    await chain.transact((tx) => tx.create(Row, { text: 'moves' }))
    await chain.close()
    await ring.stop(0)
    await ring.start(0, 2)
    await ring.start(1, 2)
    await expect.poll(async () => Promise.all(ring.urls.map(chainsCounted)), { timeout: 20_000 }).toEqual([0, 1])
  })

  it.each<[string, (engine: LogEngine) => Partial<LogEngine>]>([
    ['while records are copied', () => ({ append: fail })],
    ['before the copy is whole', ({ setStanding }) => ({ setStanding: once(setStanding, 'copy', 'instead') })],
    ['before the old place lets go', ({ setStanding }) => ({ setStanding: once(setStanding, 'copy', 'behind') })],
    ['when the old place has let go', ({ setStanding }) => ({ setStanding: once(setStanding, 'live', 'instead') })],
  ])('loses nothing where a move is broken off %s', async (when, broken) => {
    await using ring = new Ring(await freePorts(2))
    const name = ring.nameOf(1, 2)
    // Alone at first.
    const alone = await ring.start(0, 1)
    const serverKey = alone.publicKey
    const me = someone()
    const chain = await openChain(`${ring.urls[0]}/${name}`, { as: me, serverKey, create: true }, machine())
    await chain.transact((tx) => tx.create(Row, { text: 'before' }))
    await ring.stop(0)
    await ring.start(0, 2)
    const identity = await openIdentity(join(ring.folder(0), 'server-identity'))
    const place = `file:${join(ring.folder(1), 'chains', name)}`
    const open = async (): Promise<LogEngine> => {
      const engine = await openTarget(place, { resume: 'copy', leftovers: [] }, machine())
      const parts = broken(engine)
      return new Proxy(engine, {
        get(target, key) {
          const value: unknown = Reflect.get(parts, key) ?? Reflect.get(target, key, target)
          return typeof value === 'function' ? value.bind(target) : value
        },
      })
    }
    const sibling = { platform: machine(), identity, url: ring.urls[0]! }
    await expect(takeChain(sibling, name, { held: undefined, open })).rejects.toThrow('stopped here')
    const isGivenAway = when.endsWith('let go')
    // Who writes goes on where the chain is written; where it was given away, as soon as it is there.
    const between = chain.transact((tx) => tx.create(Row, { text: 'between' }))
    if (!isGivenAway) await between
    await ring.start(1, 2)
    await between
    await using fresh = await openChain(`${ring.urls[1]}/${name}`, { as: me, serverKey, id: chain.id }, machine())
    await fresh.transact((tx) => tx.create(Row, { text: 'after' }))
    expect(await texts(fresh)).toEqual(['after', 'before', 'between'])
    await chain.transact((tx) => tx.create(Row, { text: 'still' }))
    expect(await texts(chain)).toEqual(['after', 'before', 'between', 'still'])
    await chain.close()
    // The old place asks nobody, and sends there.
    await using again = await openChain(`${ring.urls[0]}/${name}`, { as: me, serverKey, id: chain.id }, machine())
    expect(await texts(again)).toEqual(['after', 'before', 'between', 'still'])
  })

  it('takes the keys beside a log along, and leaves none of them behind', async () => {
    await using ring = new Ring(await freePorts(2))
    const name = ring.nameOf(1, 2)
    const ringAt = (i: number): string[] => {
      const at = join(ring.folder(i), 'chains', name, 'ring')
      // A file of slots stays; one whose keys are all destroyed is zeros.
      const holds = (file: string): boolean => readFileSync(join(at, file)).some((byte) => byte !== 0)
      return existsSync(at) ? readdirSync(at).filter(holds).sort() : []
    }
    const alone = await ring.start(0, 1)
    const me = someone()
    const open = { as: me, serverKey: alone.publicKey }
    const chain = await openChain(`${ring.urls[0]}/${name}`, { ...open, create: true }, machine())
    // More than one page of them.
    const ids = await chain.transact((tx) =>
      Array.from({ length: 3 }, (_, i) => {
        const { id } = tx.create(Row, { text: `${i}` })
        tx.attachKey(id, new Uint8Array(200_000).fill(i))
        return id
      }),
    )
    await chain.transact((tx) => tx.shred(ids[0]!))
    const before = ringAt(0)
    expect(before).toHaveLength(2)
    await chain.close()
    // As an interruption leaves it: a part of a copy, with a key that was destroyed since.
    await ring.stop(0)
    const place = `file:${join(ring.folder(1), 'chains', name)}`
    const part = await openTarget(place, { resume: 'copy', leftovers: [] }, machine())
    await part.ring.put(new Uint8Array(32).fill(9), new Uint8Array([1]))
    await part.close()
    await ring.start(0, 2)
    await ring.start(1, 2)
    const fresh = await openChain(`${ring.urls[1]}/${name}`, { ...open, id: chain.id }, machine())
    for (const i of [1, 2]) expect(await fresh.attachedKey(ids[i]!)).toEqual(new Uint8Array(200_000).fill(i))
    expect(await fresh.attachedKey(ids[0]!)).toBeUndefined()
    expect(ringAt(1)).toEqual(before)
    expect(ringAt(0)).toEqual([])
    await fresh.transact((tx) => tx.shred(ids[1]!))
    expect(ringAt(1)).toHaveLength(1)
    // And what an interruption has left at the old place goes when that starts again.
    await ring.stop(0)
    mkdirSync(join(ring.folder(0), 'chains', name, 'ring'), { recursive: true })
    for (const file of ringAt(1))
      copyFileSync(
        join(ring.folder(1), 'chains', name, 'ring', file),
        join(ring.folder(0), 'chains', name, 'ring', file),
      )
    expect(ringAt(0)).toHaveLength(1)
    await ring.start(0, 2)
    while (ringAt(0).length > 0) await setTimeout(20)
    expect(await fresh.attachedKey(ids[2]!)).toEqual(new Uint8Array(200_000).fill(2))
    await fresh.close()
  })

  it('makes no chain that one of its servers may have: while that one is silent, nothing is begun anew', async () => {
    await using ring = new Ring(await freePorts(3))
    await ring.startAll(3)
    const me = someone()
    const serverKey = ring.servers[0]!.publicKey
    const name = ring.nameOf(0, 3)
    await ring.stop(2)
    const options = { as: me, serverKey, create: true }
    expect(await codeOf(openChain(`${ring.urls[0]}/${name}`, options, machine()))).toBe('OFFLINE')
    await ring.start(2, 3)
    await using chain = await openChain(`${ring.urls[1]}/${name}`, options, machine())
    await chain.transact((tx) => tx.create(Row, { text: 'one' }))
  })

  it('says so when its servers send from one to another', async () => {
    const ports = await freePorts(2)
    await using ring = new Ring(ports)
    // Each has a list in which the other one is all there is beside a server that nobody runs.
    await ring.start(0, 2)
    const serverKey = ring.servers[0]!.publicKey
    await ring.stop(0)
    const names = Array.from({ length: 999 }, (_, i) => `n${i}`)
    const [a, b] = ring.urls as [string, string]
    const alias = (url: string): string => url.replace('127.0.0.1', 'localhost')
    const name = names.find(
      (one) => ownerOf(crypto, [a, alias(b)], one) === alias(b) && ownerOf(crypto, [b, alias(a)], one) === alias(a),
    )!
    const data = (i: number): string => ring.folder(i)
    mkdirSync(data(1), { recursive: true })
    copyFileSync(join(data(0), 'server-identity'), join(data(1), 'server-identity'))
    await using _first = await serve({ listen: a, data: data(0), nodes: [a, alias(b)] })
    await using _second = await serve({ listen: b, data: data(1), nodes: [b, alias(a)] })
    expect(await codeOf(openChain(`${a}/${name}`, { as: someone(), serverKey, create: true }, machine()))).toBe(
      'CHAIN_ELSEWHERE',
    )
  })

  it('tells who runs it of a server with an identity of its own, which nobody has asked for a chain yet', async () => {
    await using ring = new Ring(await freePorts(3))
    await ring.startAll(2)
    const told: ServerAlarm[] = []
    const nodes = ring.urls
    const data = join(root, 'stranger with a list')
    const listen = nodes[2]!
    await using _other = await serve({ listen, data, nodes, observe: (alarm) => void told.push(alarm) })
    while (told.length < 2) await setTimeout(20)
    expect(told.map(({ chain, error }) => [chain, error.code, error.facts['server']]).sort()).toEqual(
      [nodes[0], nodes[1]].sort().map((url) => [undefined, 'SERVER_CHANGED', url]),
    )
    expect(told[0]!.error.message).toContain('server-identity')
  })

  it('says nothing of one that is silent, and tells of one that chains cannot go to', async () => {
    const told: ServerAlarm[] = []
    await using ring = new Ring(await freePorts(2), { observe: (alarm) => void told.push(alarm) })
    const alone = await ring.start(0, 1)
    const name = ring.nameOf(1, 2)
    const options = { as: someone(), serverKey: alone.publicKey, create: true }
    await (await openChain(`${alone.url}/${name}`, options, machine())).close()
    await ring.stop(0)
    // The other one is not there yet.
    await ring.start(0, 2)
    await setTimeout(300)
    expect(told).toEqual([])
    await using _other = await serve({ listen: ring.urls[1]!, data: join(root, 'stranger without one') })
    while (told.length === 0) await setTimeout(20)
    expect(told[0]).toMatchObject({ chain: name, error: { code: 'SERVER_CHANGED', facts: { server: ring.urls[1] } } })
  })

  it('does not send clients to a server of another identity', async () => {
    const ports = await freePorts(2)
    await using ring = new Ring(ports)
    await ring.start(0, 2)
    const other = await serve({ listen: ring.urls[1]!, data: join(root, 'stranger') })
    const name = ring.nameOf(1, 2)
    const options = { as: someone(), create: true }
    expect(await codeOf(openChain(`${ring.urls[0]}/${name}`, options, machine()))).toBe('SERVER_CHANGED')
    await other.close()
  })
})
