/** Keys beside the log of a server: there before the record of their entity, given to who may read it, destroyed behind its end. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import type { Chain } from '../../src/data/chain.ts'
import { defineType } from '../../src/data/entity-type.ts'
import type { OpenOptions } from '../../src/data/open-chain.ts'
import type { Transaction } from '../../src/data/transaction.ts'
import type { AppendOptions, Durability, KeyRing, LogEngine, LogRecord } from '../../src/log/engine.ts'
import { ForwardingEngine } from '../../src/log/forwarding-engine.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import { type Identity, markKept } from '../../src/session/identity.ts'
import type { Platform } from '../../src/session/platform.ts'
import { GatedEngine } from '../../src/testing/gated-engine.ts'
import { codeOf } from '../data/kit.ts'
import { until } from './kit.ts'
import { machine, someone, startServer, type TestServer } from './net-kit.ts'

const Note = defineType<{ text: string }>('note')
const key = (first: number): Uint8Array => new Uint8Array([first, 2, 3])
let root = ''
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'ate-net-keys-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

/** The entries that the server keeps. */
function ringOf(server: TestServer, name = 'notes'): Uint8Array[] {
  return [...server.stores.get(name)!.keys.values()].map(({ wrapped }) => wrapped)
}

function opener(server: TestServer, me: Identity) {
  return (options: OpenOptions = {}, at: Platform = machine()): Promise<Chain> =>
    openChain(`${server.url}/notes`, { as: me, serverKey: server.identity, create: true, ...options }, at)
}

function keyed(tx: Transaction, first: number, text = 'a'): string {
  const { id } = tx.create(Note, { text })
  tx.attachKey(id, key(first))
  return id
}

/** The same server, after its process has ended. */
async function again(server: TestServer, more: Parameters<typeof startServer>[0] = {}): Promise<TestServer> {
  const { identity, stores, url } = server
  // A process that has ended waits for nothing.
  await Promise.race([server.close(), new Promise((resume) => setTimeout(resume, 200))])
  for (const store of stores.values()) store.written = false
  return startServer({ identity, stores, url: `ws://127.0.0.1:${new URL(url).port}/db`, ...more })
}

/** What a test sees and breaks of the server's log and ring. */
class Watched extends ForwardingEngine {
  readonly log: string[] = []
  /** The level that it says it reaches. */
  level: Durability = 'memory'
  /** Its process has ended before the next append. */
  dies = false
  failErase = false

  override get durability(): Durability {
    return this.level
  }

  override async append(
    records: readonly LogRecord[],
    options: AppendOptions,
  ): Promise<{ readonly durability: Durability }> {
    if (this.dies) return new Promise(() => undefined)
    await super.append(records, { ...options, durability: 'memory' })
    if (records.length > 0) this.log.push(`record ${options.durability}`)
    return { durability: options.durability }
  }

  override get ring(): KeyRing {
    const { ring } = this.inner
    return {
      get: (name) => ring.get(name),
      names: () => ring.names(),
      put: (name, bytes) => ring.put(name, bytes),
      putAll: async (entries) => {
        await ring.putAll(entries)
        if (entries.length > 0) this.log.push('put')
      },
      erase: async (name) => {
        if (this.failErase) throw new Error('the disk is broken')
        await ring.erase(name)
        this.log.push('erased')
      },
    }
  }
}

describe('attached keys of a served chain', () => {
  it('are kept by the server, for who may read, and by no client', async () => {
    await using server = await startServer()
    const [me, reader, member] = [someone(), someone(), someone()]
    const open = opener(server, me)
    const replica = `file:${join(root, 'replica')}`
    const chain = await open({ replica })
    expect(chain.attachedKeys).toBe('open')
    const [mine, shared] = await chain.transact((tx) => {
      const made = tx.create(Note, { text: 'shared' }, { read: [me.publicId, reader.publicId] })
      tx.attachKey(made, key(2))
      tx.create(Note, { text: 'for the member' }, { read: [me.publicId, member.publicId] })
      return [keyed(tx, 1), made.id]
    })
    expect(await chain.attachedKey(mine!)).toEqual(key(1))
    expect(ringOf(server)).toEqual([key(2), key(1)])
    const other = await opener(server, reader)({ id: chain.id })
    expect(await other.attachedKey(shared!)).toEqual(key(2))
    expect(await codeOf(other.attachedKey(mine!))).toBe('NOT_AUTHORIZED')
    // Known to the chain, and a reader of something else.
    const third = await opener(server, member)({ id: chain.id })
    expect(await codeOf(third.attachedKey(shared!))).toBe('NOT_AUTHORIZED')
    expect(await third.attachedKey(`${'0'.repeat(25)}4`)).toBeUndefined()
    // From the next record on he may not.
    await chain.transact((tx) => tx.setPolicy(shared!, { read: [me.publicId] }))
    expect(await codeOf(other.attachedKey(shared!))).toBe('NOT_AUTHORIZED')
    await chain.transact((tx) => tx.shred(shared!))
    expect(await chain.attachedKey(shared!)).toBeUndefined()
    expect(await other.attachedKey(shared!)).toBeUndefined()
    expect(ringOf(server)).toEqual([key(1)])
    for (const one of [chain, other, third]) await one.close()
    expect(readdirSync(join(root, 'replica')).includes('ring')).toBe(false)
  })

  it('leave nothing behind of what conflicted, and nothing of what is not in the transaction', async () => {
    await using server = await startServer()
    const me = someone()
    const open = opener(server, me)
    const chains = [await open(), await open()]
    const counter = await chains[0]!.transact((tx) => tx.create(Note, { text: '0' }))
    await chains[1]!.refresh()
    let runs = 0
    const run = (chain: Chain, i: number): Promise<string> =>
      chain.transact(async (tx) => {
        runs++
        await tx.load(Note, counter)
        const made = keyed(tx, i)
        await tx.update(Note, counter, ({ text }) => ({ text: `${text}+` }))
        return made
      })
    const made = await Promise.all(Array.from({ length: 6 }, (_, i) => run(chains[i % 2]!, i)))
    expect(runs).toBeGreaterThan(6)
    expect(ringOf(server)).toHaveLength(6)
    for (const [i, id] of made.entries()) expect(await chains[0]!.attachedKey(id)).toEqual(key(i))
    for (const chain of chains) await chain.close()
  })

  it('are there before the record, and destroyed behind the deletion at the level of the disk, before anybody is told', async () => {
    let engine: Watched | undefined
    const engineOf = (inner: LogEngine): LogEngine => {
      engine = new Watched(inner)
      engine.level = 'disk'
      return engine
    }
    await using server = await startServer({ engineOf, durability: 'os' })
    const chain = await opener(server, someone())()
    engine!.log.length = 0
    const made = await chain.transact((tx) => keyed(tx, 1))
    expect(engine!.log).toEqual(['put', 'record os'])
    engine!.log.length = 0
    // By whatever means: the server does not have to be told that there was a key.
    await chain.transact((tx) => tx.delete(made))
    expect(engine!.log).toEqual(['record disk', 'erased'])
    await chain.close()
  })

  it('are not kept of a transaction that is void, though another one of its commit is not', async () => {
    await using server = await startServer()
    const open = opener(server, someone())
    const [chain, other] = [await open(), await open()]
    const note = await chain.transact((tx) => tx.create(Note, { text: 'a' }))
    await other.refresh()
    const late = other.begin()
    keyed(late, 1)
    late.delete(note)
    const good = other.begin()
    keyed(good, 2)
    await chain.transact((tx) => tx.delete(note))
    const codes = await Promise.all([codeOf(late.commit()), codeOf(good.commit())])
    expect(codes).toEqual(['NOT_FOUND', 'nothing was thrown'])
    expect(ringOf(server)).toEqual([key(2)])
    for (const one of [chain, other]) await one.close()
  })

  it('are called gone once they are', async () => {
    let engine: GatedEngine | undefined
    const engineOf = (inner: LogEngine): LogEngine => {
      engine = new GatedEngine(inner)
      return engine
    }
    await using server = await startServer({ engineOf })
    const open = opener(server, someone())
    const [chain, other] = [await open(), await open()]
    const made = await chain.transact((tx) => keyed(tx, 1))
    await other.refresh()
    engine!.hold()
    const shredding = chain.transact((tx) => tx.shred(made))
    await until(() => server.host.size > 0 && engine!.appends.length > 1, 'the deletion')
    let answer = 'none yet'
    const asking = other.attachedKey(made).then((found) => {
      answer = String(found)
    })
    await new Promise((resume) => setTimeout(resume, 50))
    expect([answer, ringOf(server).length]).toEqual(['none yet', 1])
    engine!.release()
    await Promise.all([shredding, asking])
    expect([answer, ringOf(server).length]).toEqual(['undefined', 0])
    for (const one of [chain, other]) await one.close()
  })

  it('go with what a sweep drops', async () => {
    await using server = await startServer()
    const chain = await opener(server, someone())()
    const expires = chain.now + 1
    await chain.transact((tx) => {
      const made = tx.create(Note, { text: 'short' }, { expires: new Date(expires) })
      tx.attachKey(made, key(1))
    })
    await chain.transact((tx) => keyed(tx, 2))
    await until(() => chain.now > expires, 'time')
    await chain.transact((tx) => tx.create(Note, { text: 'later' }))
    await chain.sweep()
    expect(ringOf(server)).toEqual([key(2)])
    await chain.close()
  })

  it('that could not be destroyed are said to be there, and are tried again', async () => {
    let engine: Watched | undefined
    const engineOf = (inner: LogEngine): LogEngine => {
      engine = new Watched(inner)
      return engine
    }
    const server = await startServer({ engineOf })
    const chain = await opener(server, someone())()
    const [one, two] = await chain.transact((tx) => [keyed(tx, 1), keyed(tx, 2)])
    engine!.failErase = true
    await chain.transact((tx) => tx.shred(one!))
    await chain.transact((tx) => tx.shred(two!))
    expect(await codeOf(chain.attachedKey(one!))).toBe('KEY_NOT_ERASED')
    engine!.failErase = false
    expect(await chain.attachedKey(one!)).toBeUndefined()
    expect(ringOf(server)).toEqual([key(2)])
    await chain.close()
    // The next opening finishes the other one.
    await using next = await again(server)
    const later = await opener(next, someone())({ id: chain.id }).catch((error) => error.code)
    expect(later).toBe('NOT_AUTHORIZED')
    expect(ringOf(next)).toEqual([])
  })

  it('survive the end of a server between entry and record, once', async () => {
    let engine: Watched | undefined
    const engineOf = (inner: LogEngine): LogEngine => {
      engine ??= new Watched(inner)
      return engine
    }
    const server = await startServer({ engineOf })
    const chain = await opener(server, someone())()
    await chain.transact((tx) => tx.create(Note, { text: 'before' }))
    const { size } = server.stores.get('notes')!.records
    engine!.dies = true
    const writing = chain.transact((tx) => keyed(tx, 7))
    await until(() => engine!.log.includes('put'), 'the entry')
    expect(server.stores.get('notes')!.records.size).toBe(size)
    await using next = await again(server)
    const made = await writing
    expect(await chain.attachedKey(made)).toEqual(key(7))
    expect(ringOf(next)).toEqual([key(7)])
    await chain.close()
  })

  it('come once, with the same bytes, when the connection breaks again and again', async () => {
    await using server = await startServer()
    const chain = await opener(server, someone())()
    const made: Promise<string>[] = []
    for (let i = 0; i < 12; i++) {
      made.push(chain.transact((tx) => keyed(tx, i)))
      if (i % 3 !== 0) continue
      await new Promise((resume) => setTimeout(resume, i))
      for (const connection of [...server.connections]) connection.close()
    }
    const ids = await Promise.all(made)
    await chain.refresh()
    for (const [i, id] of ids.entries()) expect(await chain.attachedKey(id)).toEqual(key(i))
    expect(ringOf(server)).toHaveLength(12)
    await chain.close()
  })

  it('belong to entities without a name, and count among the bytes of their transaction', async () => {
    await using server = await startServer()
    const chain = await opener(server, someone())()
    const named = chain.transact((tx) => {
      const made = tx.create(Note, { text: 'a' }, { name: 'x' })
      tx.attachKey(made, key(1))
    })
    expect(await codeOf(named)).toBe('BAD_ARGUMENT')
    const put = (count: number): Promise<string[]> =>
      chain.transact((tx) =>
        Array.from({ length: count }, (_, i) => {
          const made = tx.create(Note, { text: `${i}` })
          tx.attachKey(made, new Uint8Array(256 * 1024).fill(i))
          return made.id
        }),
      )
    expect(await codeOf(put(4))).toBe('TX_TOO_LARGE')
    const all = (await Promise.all([put(3), put(3), put(3)])).flat()
    expect((await chain.attachedKey(all[8]!))!.every((byte) => byte === 2)).toBe(true)
    // More than are asked for at a time.
    const many = await chain.transact((tx) => Array.from({ length: 300 }, (_, i) => keyed(tx, i % 256)))
    expect(await Promise.all(many.map((id) => chain.attachedKey(id)))).toEqual(many.map((_, i) => key(i % 256)))
    await chain.close()
  })

  it('are refused where the server does not know them, also by one that comes back so', async () => {
    const server = await startServer()
    const chain = await opener(server, someone())()
    await chain.transact((tx) => keyed(tx, 1))
    await using older = await again(server, { keyAccess: 'none' })
    await until(() => older.connections.size > 0, 'the connection')
    await chain.refresh().catch(() => undefined)
    for (let code = ''; code !== 'KEYS_UNAVAILABLE'; ) code = await codeOf(chain.transact((tx) => keyed(tx, 2)))
    expect(ringOf(older)).toEqual([key(1)])
    await chain.close()
  })

  it('are no part of a copy that a client makes', async () => {
    await using server = await startServer()
    const chain = await opener(server, someone())()
    const backup = (name: string, keys?: 'omit'): Promise<unknown> =>
      chain.backup(`file:${join(root, name)}`, keys ? { keys } : {})
    expect(await backup('none')).toMatchObject({ keys: 0 })
    await chain.transact((tx) => keyed(tx, 1))
    expect(await codeOf(backup('with'))).toBe('KEYS_UNAVAILABLE')
    expect(await backup('without', 'omit')).toMatchObject({ keys: 0 })
    await chain.close()
  })
})

describe('without a connection', () => {
  async function offline(server: TestServer, chain: Chain): Promise<void> {
    await server.close()
    for (;;) if ((await chain.refresh().catch((error) => error.code)) === 'OFFLINE') return
  }

  it('a key is never on the disk of who writes: who attaches one waits for the server, and so does who comes behind him', async () => {
    const server = await startServer()
    const me = markKept(someone())
    const here = machine()
    const chain = await opener(server, me)({}, here)
    await chain.transact((tx) => tx.create(Note, { text: 'before' }))
    await offline(server, chain)
    const local = { wait: 'local' } as const
    expect(await codeOf(chain.transact((tx) => keyed(tx, 1), local))).toBe('KEYS_UNAVAILABLE')
    await chain.transact((tx) => tx.create(Note, { text: 'kept' }), local)
    const waiting = chain.transact((tx) => keyed(tx, 2))
    let told = ''
    const behind = chain
      .transact((tx) => tx.create(Note, { text: 'behind' }), local)
      .then(() => {
        told = 'behind'
      })
    await new Promise((resume) => setTimeout(resume, 50))
    expect(told).toBe('')
    expect(await here.state.list('outbox/')).toHaveLength(1)
    await using next = await again(server)
    const made = await waiting
    await behind
    expect(await chain.attachedKey(made)).toEqual(key(2))
    expect(ringOf(next)).toHaveLength(1)
    expect(await codeOf(chain.attachedKey(made))).toBe('nothing was thrown')
    await chain.close()
    expect(await here.state.list('outbox/')).toEqual([])
  })

  it('the outbox has no gaps: what is open in front of what is kept is kept too', async () => {
    const server = await startServer()
    const me = markKept(someone())
    const here = machine()
    const chain = await opener(server, me)({}, here)
    await chain.transact((tx) => tx.create(Note, { text: 'before' }))
    await offline(server, chain)
    const big = 'x'.repeat(700_000)
    // Two records: nobody asked for the first one to be kept.
    chain.transact((tx) => tx.create(Note, { text: `first ${big}` })).catch(() => undefined)
    await chain.transact((tx) => tx.create(Note, { text: `second ${big}` }), { wait: 'local' })
    await chain.close()
    await using _next = await again(server)
    const later = await opener(server, me)({ id: chain.id }, here)
    await later.transact((tx) => tx.create(Note, { text: 'after' }))
    const texts: string[] = []
    for await (const note of later.children(Note)) texts.push(note.value.text.slice(0, 6))
    expect(texts.sort()).toEqual(['after', 'before', 'first ', 'second'])
    await later.close()
  })
})

describe('where reads are recorded', () => {
  async function recorded(): Promise<{
    server: TestServer
    chain: Chain
    id: string
    /** The seq of the record that has made it. */
    made: number
    reader: Chain
  }> {
    const server = await startServer({ keyAccess: 'recorded' })
    const [me, other] = [someone(), someone()]
    const chain = await opener(server, me)()
    const id = await chain.transact((tx) => {
      const members = { read: [me.publicId, other.publicId], write: [me.publicId, other.publicId] }
      const made = tx.create(Note, { text: 'a' }, members)
      tx.attachKey(made, key(1))
      return made.id
    })
    const made = chain.head.seq
    const reader = await opener(server, other)({ id: chain.id })
    return { server, chain, id, made, reader }
  }

  /** The seq of a record of this session. */
  async function write(chain: Chain, run: (tx: Transaction) => unknown): Promise<number> {
    await using tx = chain.begin()
    await run(tx)
    return (await tx.commit()).seq
  }

  test('a key is given against a record of who asks, of this entity, that counts, and is fresh', async () => {
    const { server, chain, id, made, reader } = await recorded()
    await using _ = server
    expect(chain.attachedKeys).toBe('recorded')
    const at = (recorded?: number, by = reader): Promise<string> =>
      codeOf(by.attachedKey(id, recorded === undefined ? {} : { recorded }))
    expect(await at()).toBe('KEY_NOT_RECORDED')
    // Who made it has not said that he reads it.
    expect(await at(made, chain)).toBe('KEY_NOT_RECORDED')
    for (const odd of [0, 1, 1e9]) expect(await at(odd), `${odd}`).toBe('KEY_NOT_RECORDED')
    // His own record of something else.
    expect(await at(await write(reader, (tx) => tx.create(Note, { text: 'x' }, { parent: id })))).toBe(
      'KEY_NOT_RECORDED',
    )
    // A record of somebody else, and the creation by its author.
    const theirs = await write(chain, async (tx) => {
      await tx.get(Note, id)
      tx.create(Note, { text: 'y' })
    })
    expect(await at(theirs)).toBe('KEY_NOT_RECORDED')
    expect(await at(theirs, chain)).toBe('nothing was thrown')
    await reader.refresh()
    const own = await write(reader, async (tx) => {
      await tx.get(Note, id)
      tx.create(Note, { text: 'read' }, { parent: id })
    })
    expect(await reader.attachedKey(id, { recorded: own })).toEqual(key(1))
    // Of another entity no record of this one helps.
    const second = await chain.transact((tx) => keyed(tx, 2))
    expect(await codeOf(chain.attachedKey(second, { recorded: theirs }))).toBe('KEY_NOT_RECORDED')
    await chain.transact((tx) => tx.shred(second))
    expect(await chain.attachedKey(second)).toBeUndefined()
    for (const one of [chain, reader]) await one.close()
  })

  test('no void transaction is a record, though others of its commit are', async () => {
    const { server, chain, id, reader } = await recorded()
    await using _ = server
    // Two transactions of one commit: one conflicts at the server, and lost its guard.
    const note = await chain.transact((tx) => tx.create(Note, { text: '0' }, { parent: id }))
    await reader.refresh()
    const seqs: number[] = []
    const stale = reader.begin()
    await stale.get(Note, id)
    await stale.update(Note, note, () => ({ text: 'mine' }))
    const good = reader.begin()
    good.create(Note, { text: 'good' }, { parent: id })
    await chain.transact((tx) => tx.update(Note, note, () => ({ text: 'theirs' })))
    const results = await Promise.allSettled([stale.commit(), good.commit()])
    for (const result of results) if (result.status === 'fulfilled') seqs.push(result.value.seq)
    expect(results[0]!.status).toBe('rejected')
    expect(seqs).toHaveLength(1)
    expect(await codeOf(reader.attachedKey(id, { recorded: seqs[0]! }))).toBe('KEY_NOT_RECORDED')
    for (const one of [chain, reader]) await one.close()
  })

  test('the record is durable first', async () => {
    let engine: Watched | undefined
    const engineOf = (inner: LogEngine): LogEngine => {
      engine = new Watched(inner)
      engine.level = 'disk'
      let durable = -1
      // As a disk is: what was appended at less than its level is not there yet.
      const append = engine.append.bind(engine)
      engine.append = async (records, options) => {
        const result = await append(records, options)
        if (options.durability === 'disk') durable = inner.head()!.seq
        engine!.log.push(`${options.durability} ${durable}`)
        return result
      }
      engine.durableSeq = () => durable
      const { ring } = engine
      Object.defineProperty(engine, 'ring', {
        value: {
          ...ring,
          get: (name: Uint8Array) => {
            engine!.log.push(`key ${durable}`)
            return ring.get(name)
          },
        },
      })
      return engine
    }
    await using server = await startServer({ engineOf, durability: 'os', keyAccess: 'recorded' })
    const chain = await opener(server, someone())()
    const id = await chain.transact((tx) => keyed(tx, 1))
    const seq = await write(chain, async (tx) => {
      await tx.get(Note, id)
      tx.create(Note, { text: 'read' })
    })
    expect(await chain.attachedKey(id, { recorded: seq })).toEqual(key(1))
    const asked = engine!.log.find((line) => line.startsWith('key'))!
    expect(Number(asked.slice(4))).toBeGreaterThanOrEqual(seq)
    await chain.close()
  })

  test('an old record is none', async () => {
    let movedMs = 0
    const platform = machine()
    const { environment } = platform
    const clock = {
      ...environment.clock,
      now: () => Date.now() + movedMs,
      monotonic: () => environment.clock.monotonic(),
    }
    const later = Object.create(platform, { environment: { value: { ...environment, clock } } }) as Platform
    await using server = await startServer({ keyAccess: 'recorded', platform: later })
    const chain = await opener(server, someone())()
    const id = await chain.transact((tx) => keyed(tx, 1))
    const seq = await write(chain, async (tx) => {
      await tx.get(Note, id)
      tx.create(Note, { text: 'read' })
    })
    movedMs = 4 * 60_000
    expect(await chain.attachedKey(id, { recorded: seq })).toEqual(key(1))
    movedMs = 5 * 60_000 + 1000
    expect(await codeOf(chain.attachedKey(id, { recorded: seq }))).toBe('KEY_NOT_RECORDED')
    await chain.close()
  })
})
