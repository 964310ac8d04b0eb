/**
 * A group over a server: two connections, as two processes have them. One delivers, the other takes over when it is gone.
 * @newest-node-only: a server needs native post-quantum code to be quick
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Chain, defineType, openChain } from '@ate/core'
import { type Served, serve } from '@ate/core/server'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { bus } from '../src/index.ts'
import { alice, codeOf, collect, deferred } from './kit.ts'

interface Topics {
  'a.x': number
  'b.y': number
  'stock.query': { sku: string }
}
const Done = defineType<number>('done')
let folder = ''
let server: Served
let id: string | undefined

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ate-bus-'))
  server = await serve({ listen: 'ws://127.0.0.1:0/db', data: folder })
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

async function connect(): Promise<Chain> {
  const wanted = id === undefined ? { create: true } : { id }
  const chain = await openChain(`${server.url}/shop`, { as: await alice(), serverKey: server.publicKey, ...wanted })
  id = chain.id
  return chain
}

it('one delivers, the other takes over, and effects happen once', async () => {
  const [first, second] = [await connect(), await connect()]
  const [here, there] = [bus<Topics>(first), bus<Topics>(second)]
  const gate = deferred()
  const options = { lease: 300, grace: 0 }
  const stuck = here.subscribe(
    'books',
    'a.*',
    async ({ data, effect }) => {
      if (data === 5) await gate.promise // it holds on to this one, and is gone
      effect((tx) => tx.create(Done, data))
    },
    options,
  )
  await stuck.ready
  for (let n = 0; n < 10; n++) await there.publish('a.x', n, { id: `e${n}` })
  const other = there.subscribe('books', 'a.*', ({ data, effect }) => effect((tx) => tx.create(Done, data)), options)
  await other.ready
  await stuck.close()
  gate.resolve()
  await other.drain()
  await second.refresh()
  expect((await collect(second.children(Done))).map(({ value }) => value)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  await Promise.all([here.close(), there.close()])
  await Promise.all([first.close(), second.close()])
})

it('an event of one id that two connections publish at once is one', async () => {
  const [first, second] = [await connect(), await connect()]
  const both = [bus<Topics>(first), bus<Topics>(second)]
  const wanted = Array.from({ length: 20 }, (_, n) => n)
  await Promise.all(wanted.flatMap((n) => both.map((events) => events.publish('b.y', n, { id: `same${n}` }))))
  await Promise.all([first.refresh(), second.refresh()])
  for (const events of both) {
    const found = (await collect(events.read('b.*'))).map(({ data }) => data)
    expect(found.sort((a, b) => a - b)).toEqual(wanted)
    await events.close()
  }
  await Promise.all([first.close(), second.close()])
})

it('requests of one connection are answered by another', async () => {
  const [first, second] = [await connect(), await connect()]
  const [here, there] = [bus<Topics>(first), bus<Topics>(second)]
  await here.respond('stock.query', ({ data }) => ({ left: data.sku.length })).ready
  expect(await there.request('stock.query', { sku: 'tea' }, { timeout: '20s' })).toEqual({ left: 3 })
  expect(await codeOf(there.request('stock.query', { sku: 'x' }, { timeout: '20s' }))).toBe('nothing was thrown')
  await Promise.all([here.close(), there.close()])
  await Promise.all([first.close(), second.close()])
})

it('a subscription closes while the server is away', async () => {
  const away = await serve({ listen: 'ws://127.0.0.1:0/db', data: join(folder, 'away') })
  const chain = await openChain(`${away.url}/shop`, { as: await alice(), serverKey: away.publicKey, create: true })
  const events = bus<Topics>(chain)
  const begun = deferred()
  const books = events.subscribe(
    'books',
    'a.*',
    () => {
      begun.resolve()
      return new Promise(() => undefined)
    },
    { grace: '100ms' },
  )
  await books.ready
  await events.publish('a.x', 1)
  await begun.promise
  await away.close()
  const start = performance.now()
  await books.close()
  await books.done
  expect(performance.now() - start).toBeLessThan(9000)
  await chain.close()
}, 40_000)
