/**
 * Tabs that share a connection, as far as they are no browser's: Node has Web Locks and BroadcastChannels too, and what is a
 * tab here is a platform of its own, with the state of one machine.
 */
import { afterEach, describe, expect, test } from 'vitest'
import { joinTabs } from '../../src/browser/tabs.ts'
import type { Chain } from '../../src/data/chain.ts'
import { defineType } from '../../src/data/entity-type.ts'
import { LentNumbers } from '../../src/mesh/lent-numbers.ts'
import type { ClientMessage } from '../../src/mesh/messages.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import { type Identity, markKept } from '../../src/session/identity.ts'
import type { Platform } from '../../src/session/platform.ts'
import { until } from './kit.ts'
import { machine, someone, startServer, type TestServer } from './net-kit.ts'

const NO_HEAD = { seq: 0, hash: new Uint8Array(32) }
const Note = defineType<{ text: string }>('note')
const hasLocks = Reflect.get(globalThis.navigator ?? {}, 'locks') !== undefined

/** Tabs of one machine. */
function tabsOf(): () => Platform {
  const { state } = machine()
  return () =>
    Object.create(machine(), {
      state: { value: state },
      tabs: { value: async (options: Parameters<typeof joinTabs>[0]) => joinTabs(options) },
    }) as Platform
}

interface Setting {
  readonly me: Identity
  readonly server: TestServer
  tab(options?: { readonly name?: string; readonly as?: Identity }): Promise<Chain>
}

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close().catch(() => undefined)
})

async function setting(): Promise<Setting> {
  const me = markKept(someone())
  const server = await startServer()
  closing.push(() => server.close())
  const newTab = tabsOf()
  return {
    me,
    server,
    async tab({ name = 'notes', as = me } = {}) {
      const options = { as, serverKey: server.identity, create: true, share: true } as const
      const chain = await openChain(`${server.url}/${name}`, options, newTab())
      closing.push(() => chain.close())
      return chain
    },
  }
}

async function texts(chain: Chain): Promise<string[]> {
  const found: string[] = []
  for await (const note of chain.children(Note)) found.push((note.value as { text: string }).text)
  return found.sort()
}

const write = (chain: Chain, text: string): Promise<unknown> => chain.transact((tx) => tx.create(Note, { text }))

describe.runIf(hasLocks)('tabs that share', () => {
  test('have one connection, and see what each of them writes', async () => {
    const { server, tab } = await setting()
    const [a, b, c] = [await tab(), await tab(), await tab()]
    expect(server.connections.size).toBe(1)
    for (const chain of [a, b, c])
      for (const n of [1, 2]) await write(chain, `${chain === a ? 'a' : chain === b ? 'b' : 'c'}${n}`)
    for (const chain of [a, b, c]) {
      await chain.refresh()
      expect(await texts(chain)).toEqual(['a1', 'a2', 'b1', 'b2', 'c1', 'c2'])
    }
    // Another chain of the same server, and another identity.
    const d = await tab({ name: 'others', as: markKept(someone()) })
    await write(d, 'd')
    expect(server.connections.size).toBe(1)
    await d.close()
    await c.close()
    await write(b, 'still')
  })

  test('goes on when the leader leaves, with nothing lost or twice', async () => {
    const { server, tab } = await setting()
    const [a, b, c] = [await tab(), await tab(), await tab()]
    const done: Promise<unknown>[] = []
    for (let i = 0; i < 20; i++) done.push(write(b, `b${i}`), write(c, `c${i}`))
    await a.close()
    await Promise.all(done)
    await b.refresh()
    const expected = ['b', 'c'].flatMap((who) => Array.from({ length: 20 }, (_, i) => `${who}${i}`)).sort()
    expect(await texts(b)).toEqual(expected)
    expect(server.connections.size).toBe(1)
    await b.close()
    await write(c, 'last')
    expect(await texts(c)).toEqual([...expected, 'last'])
    expect(server.connections.size).toBe(1)
  })

  test('hears of a server that is not there as if it had dialed itself', async () => {
    const { server, me, tab } = await setting()
    const a = await tab()
    await server.close()
    await until(() => server.connections.size === 0, 'the end of the connection')
    await expect(tab()).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' })
    await expect(a.refresh()).rejects.toMatchObject({ code: 'OFFLINE' })
    const stranger = { as: me, serverKey: someone(), share: true } as const
    await expect(openChain(`${server.url}/notes`, stranger, tabsOf()())).rejects.toMatchObject({
      code: 'SERVER_UNREACHABLE',
    })
  })
})

test('where there are no tabs, a server shares by itself', async () => {
  await expect(openChain('ws://127.0.0.1:1/db/x', { share: true }, machine())).rejects.toMatchObject({
    code: 'BAD_ARGUMENT',
  })
})

test('what a tab had open at the server goes with it, also what is opened only then', () => {
  const sent: ClientMessage[] = []
  const given: number[] = []
  const lent = new LentNumbers((message) => void sent.push(message))
  const borrower = { given: (bytes: Uint8Array) => void given.push(...bytes), lost: () => void given.push(0) }
  const [first, second] = [lent.lend(borrower), lent.lend(borrower)]
  const opened = { type: 'opened', chain: new Uint8Array(32), level: 'os', head: NO_HEAD, resume: undefined } as const
  for (const channel of [first + 1, first + 2, second + 1])
    expect(lent.ownerOf({ ...opened, channel })).toBe(channel < second ? first : second)
  expect(lent.ownerOf({ type: 'session', ref: second + 7 })).toBe(second)
  expect(lent.ownerOf({ ...opened, channel: 1 })).toBeUndefined()
  expect(lent.ownerOf({ type: 'closed', channel: first + 2, code: 'BUSY', facts: {} })).toBe(first)
  lent.give(first, Uint8Array.of(1))
  lent.takeBack(first)
  expect(lent.ownerOf({ ...opened, channel: first + 3 })).toBe(first)
  lent.give(first, Uint8Array.of(2))
  lent.lost()
  expect(sent).toEqual([
    { type: 'leave', channel: first + 1 },
    { type: 'leave', channel: first + 3 },
  ])
  expect(given).toEqual([1, 0])
})
