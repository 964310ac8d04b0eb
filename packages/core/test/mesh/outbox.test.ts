/** What was written without a connection is kept on this machine, and sent by whoever opens the chain there next. */
import { describe, expect, test } from 'vitest'
import { AteError } from '../../src/base/errors.ts'
import { LEFT_LOOK_MS, WRITER_PLACES_MAX } from '../../src/base/limits.ts'
import type { Chain } from '../../src/data/chain.ts'
import { defineType } from '../../src/data/entity-type.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import { type Identity, markKept } from '../../src/session/identity.ts'
import { until } from './kit.ts'
import { machine, someone, startServer, type TestServer } from './net-kit.ts'

const Note = defineType<{ text: string }>('note')

interface Setting {
  readonly me: Identity
  readonly here: ReturnType<typeof machine>
  readonly server: TestServer
  open(at?: ReturnType<typeof machine>): Promise<Chain>
  /** The server again, on the same logs and the same port. */
  restart(): Promise<TestServer>
}

async function setting(): Promise<Setting> {
  const me = markKept(someone())
  const here = machine()
  const server = await startServer()
  const { url, identity, stores } = server
  return {
    me,
    here,
    server,
    open: (at = here) => openChain(`${url}/notes`, { as: me, serverKey: identity, create: true }, at),
    restart() {
      for (const store of stores.values()) store.written = false
      return startServer({ identity, stores, url: `ws://127.0.0.1:${new URL(url).port}/db` })
    },
  }
}

async function goOffline(server: TestServer, chain: Chain): Promise<void> {
  await server.close()
  await until(() => true, '')
  for (;;) if ((await chain.refresh().catch((error) => error.code)) === 'OFFLINE') return
}

async function texts(chain: Chain): Promise<string[]> {
  const found: string[] = []
  for await (const note of chain.children(Note)) found.push((note.value as { text: string }).text)
  return found.sort()
}

describe('without a connection', () => {
  test('what is written is kept, and sent by the next process, once', async () => {
    const { server, here, open, restart } = await setting()
    const chain = await open()
    await chain.transact((tx) => tx.create(Note, { text: 'before' }))
    await goOffline(server, chain)
    const local = { wait: 'local' } as const
    for (const text of ['one', 'two', 'three']) await chain.transact((tx) => tx.create(Note, { text }), local)
    expect(await texts(chain)).toEqual(['before'])
    expect((await here.state.list('outbox/')).length).toBeGreaterThan(0)
    await chain.close()

    await using _again = await restart()
    const next = await open()
    await next.transact((tx) => tx.create(Note, { text: 'after' }))
    expect(await texts(next)).toEqual(['after', 'before', 'one', 'three', 'two'])
    await next.close()
    expect(await here.state.list('outbox/')).toEqual([])
  })

  test('also what this device writes first of all', async () => {
    const { server, here, open, restart } = await setting()
    const first = await open(machine())
    const chain = await open(here)
    await first.close()
    await goOffline(server, chain)
    await chain.transact((tx) => tx.create(Note, { text: 'first' }), { wait: 'local' })
    await chain.close()
    await using _again = await restart()
    const next = await open()
    await next.refresh()
    await until(() => next.head.seq > 0, 'the record')
    expect(await texts(next)).toEqual(['first'])
    await next.close()
  })

  test('what others have changed meanwhile is a conflict that is told, not a write', async () => {
    const { server, here, open, restart } = await setting()
    const chain = await open()
    const note = await chain.transact((tx) => tx.create(Note, { text: 'mine' }))
    await goOffline(server, chain)
    await chain.transact((tx) => tx.update(note, () => ({ text: 'offline' })), { wait: 'local' })
    await chain.close()

    await using _again = await restart()
    const other = await open(machine())
    await other.transact((tx) => tx.update(note, () => ({ text: 'theirs' })))
    const next = await open(here)
    for await (const { code, txId } of next.conflicts()) {
      expect(code).toBe('CONFLICT')
      expect(txId).toHaveLength(26)
      break
    }
    expect((await next.load(Note, note.id)).value.text).toBe('theirs')
    await next.transact((tx) => tx.update(note, () => ({ text: 'both' })))
    await other.refresh()
    expect((await other.load(Note, note.id)).value.text).toBe('both')
    await next.close()
    expect(await here.state.list('outbox/')).toEqual([])
    await other.close()
  })

  test('a conflict of a process that is still there is told too, and so is what comes back', async () => {
    const { server, open, restart } = await setting()
    const chain = await open()
    const note = await chain.transact((tx) => tx.create(Note, { text: 'mine' }))
    await goOffline(server, chain)
    await chain.transact((tx) => tx.update(note, () => ({ text: 'offline' })), { wait: 'local' })
    await chain.transact((tx) => tx.create(Note, { text: 'new' }), { wait: 'local' })
    await using _again = await restart()
    const other = await open(machine())
    await other.transact((tx) => tx.update(note, () => ({ text: 'theirs' }))).catch(() => undefined)
    await until(() => chain.head.seq >= 2, 'the connection')
    await chain.transact((tx) => tx.create(Note, { text: 'last' }))
    await other.refresh()
    expect((await texts(other)).slice(0, 2)).toEqual(['last', 'new'])
    await chain.close()
    await other.close()
  })

  test('of several processes each keeps what is its own, and what one has left that died another one sends', async () => {
    const { server, here, open, restart } = await setting()
    const [a, b, c] = [await open(), await open(), await open()]
    await b.transact((tx) => tx.create(Note, { text: 'before' }))
    for (const chain of [b, a, c]) await goOffline(server, chain)
    const local = { wait: 'local' } as const
    await a.transact((tx) => tx.create(Note, { text: 'of a' }), local)
    for (const text of ['of b', 'of b too']) await b.transact((tx) => tx.create(Note, { text }), local)
    await c.transact((tx) => tx.create(Note, { text: 'of c' }), local)
    const kept = await here.state.list('outbox/')
    expect(new Set(kept.map((name) => name.slice(0, name.lastIndexOf('/')))).size).toBe(3)
    expect(kept).toHaveLength(4)
    // What it had signed nobody takes back, and its locks are free: as of a process that was killed.
    await b.close()
    await c.close()

    await using _again = await restart()
    const expected = ['before', 'of a', 'of b', 'of b too', 'of c']
    await until(() => a.head.seq >= 5, 'what was left')
    await a.transact((tx) => tx.create(Note, { text: 'z' }))
    expect(await texts(a)).toEqual([...expected, 'z'])
    await expect.poll(() => here.state.list('outbox/')).toEqual([])
    await a.close()
    // Nothing twice, and each place is taken up again: no certificate more.
    const [d, e] = [await open(), await open()]
    await e.transact((tx) => tx.create(Note, { text: 'zz' }))
    expect(await texts(e)).toEqual([...expected, 'z', 'zz'])
    expect(e.writers()).toHaveLength(3)
    await d.close()
    await e.close()
  })

  test('what one has left that was killed goes on with one that stays connected, also if nothing else happens', async () => {
    const { server, me, here } = await setting()
    const open = { as: me, serverKey: server.identity, create: true }
    const looks: (() => void)[] = []
    const { timers } = here.environment
    const start: typeof timers.start = (ms, run, how) => {
      if (ms !== LEFT_LOOK_MS) return timers.start(ms, run, how)
      looks.push(run)
      return { cancel: () => undefined }
    }
    const watched = { environment: { value: { ...here.environment, timers: { ...timers, start } } } }
    const staying = await openChain(`${server.url}/notes`, open, Object.create(here, watched) as typeof here)
    await staying.transact((tx) => tx.create(Note, { text: 'before' }))
    const look = async (): Promise<void> => {
      await expect.poll(() => looks.length).toBe(1)
      looks.shift()!()
    }
    // One after the other, so that places are given back and left with something in them again.
    for (let round = 1; round <= 3; round++) {
      // Another tab: of the same state, with a connection of its own that breaks and does not come back.
      let isCut = false
      const dial: typeof here.dial = (url, options) =>
        isCut ? Promise.reject(new AteError('SERVER_UNREACHABLE', { url })) : here.dial(url, options)
      const tab = Object.create(here, { dial: { value: dial } }) as typeof here
      const killed = await openChain(`${server.url}/notes`, open, tab)
      isCut = true
      const [, last] = [...server.connections]
      last!.close()
      for (;;) if ((await killed.refresh().catch((error) => error.code)) === 'OFFLINE') break
      for (const text of ['a', 'b'])
        await killed.transact((tx) => tx.create(Note, { text: `${text}${round}` }), { wait: 'local' })
      // Its lock is held still: whoever looks now finds nothing to take, and looks again.
      await look()
      await expect.poll(() => looks.length).toBe(1)
      expect(await here.state.list('outbox/')).toHaveLength(2)
      await killed.close()
      expect(await here.state.list('outbox/')).toHaveLength(2)
      await look()
      await expect.poll(() => here.state.list('outbox/')).toEqual([])
    }
    expect(await texts(staying)).toEqual(['a1', 'a2', 'a3', 'b1', 'b2', 'b3', 'before'])
    await expect.poll(() => looks.length).toBe(1)
    await staying.close()
    // One that is closed looks no more.
    looks.shift()!()
    expect(looks).toEqual([])
    await server.close()
  })

  test('what cannot be kept is known safe when it is in the log', async () => {
    const { me, server, here, open, restart } = await setting()
    const chain = await open()
    await chain.close()
    const locks = await Promise.all(
      Array.from({ length: WRITER_PLACES_MAX }, (_, n) =>
        here.state.lock(`certificates/${chain.id}-${me.fingerprint}${n === 0 ? '' : `.${n}`}`),
      ),
    )
    expect(locks).not.toContain(undefined)
    const next = await open()
    await goOffline(server, next)
    let isKept = false
    const written = next
      .transact((tx) => tx.create(Note, { text: 'a' }), { wait: 'local' })
      .then(() => {
        isKept = true
      })
    await new Promise((resume) => setTimeout(resume, 50))
    expect([isKept, await here.state.list('outbox/')]).toEqual([false, []])
    await using _again = await restart()
    await written
    expect(await texts(next)).toEqual(['a'])
    await next.close()
  })
})
