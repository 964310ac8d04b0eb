/** What was written without a connection is kept on this machine, and sent by whoever opens the chain there next. */
import { describe, expect, test } from 'vitest'
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
})
