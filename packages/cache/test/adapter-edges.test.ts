/** What libraries may hand to the adapters that no cache takes as it is: times of any size, bytes that readers change, calls that fail. */
import { type Chain, openChain } from '@ate/core'
import session from 'express-session'
import Keyv from 'keyv'
import { Keyv as Keyv6 } from 'keyv6'
import { createStorage, type Driver } from 'unstorage'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cacheManagerStore } from '../src/cache-manager.ts'
import { sessionStore } from '../src/express-session.ts'
import { type Cache, cache } from '../src/index.ts'
import { keyv6Store, keyvStore } from '../src/keyv.ts'
import { type NextCacheEntry, nextCacheHandler } from '../src/next.ts'
import { unstorageDriver } from '../src/unstorage.ts'
import { person } from './kit.ts'

let chain: Chain
beforeAll(async () => {
  chain = await openChain('memory:', { as: await person() })
})
afterAll(() => chain.close())
let count = 0
/** Reads that come close together share a look at the clock, which may be that of the moment before. */
const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5))
const fresh = (): Cache<unknown> => cache<unknown>(chain, `e${count++}`)

/** As the stores of the libraries do: none, or none that ends; and what is over when it is set is not there, nor what was there before. */
const endless = [undefined, 0, Number.POSITIVE_INFINITY, Number.MAX_VALUE, Number.NaN]
const over = [-1, -0.5, -1e12, Number.NEGATIVE_INFINITY]

describe('times of any size', () => {
  it.each(endless)('Keyv 5: %s', async (ttl) => {
    const [c, errors] = [fresh(), [] as unknown[]]
    const keyv = new Keyv({ store: keyvStore(c) })
    keyv.on('error', (error) => errors.push(error))
    expect(await keyv.set('k', 1, ttl)).toBe(true)
    expect([await keyv.get('k'), c.entry('keyv:k')!.expires, errors]).toEqual([1, undefined, []])
  })
  it.each(over)('Keyv 5: %s', async (ttl) => {
    const [c, errors] = [fresh(), [] as unknown[]]
    const keyv = new Keyv({ store: keyvStore(c) })
    keyv.on('error', (error) => errors.push(error))
    await keyv.set('k', 'before')
    await keyv.set('k', 'after', ttl)
    await keyv.setMany([{ key: 'l', value: 1, ttl }])
    await soon()
    expect([await keyv.get('k'), await keyv.get('l'), c.has('keyv:k'), errors]).toEqual([
      undefined,
      undefined,
      false,
      [],
    ])
  })
  it('Keyv 6: points of time', async () => {
    const c = fresh()
    const store = keyv6Store(c)
    for (const expires of [undefined, null, Number.NaN, Number.POSITIVE_INFINITY, 1e300]) {
      await store.set('k', 1, expires as number)
      expect([expires, await store.get('k'), c.entry('k')!.expires]).toEqual([expires, 1, undefined])
    }
    for (const expires of [0, -5, 1, Date.now(), Number.NEGATIVE_INFINITY]) {
      await store.set('k', 1, expires)
      await soon()
      expect([expires, await store.get('k')]).toEqual([expires, undefined])
    }
    const keyv = new Keyv6({ store })
    for (const ttl of endless) {
      await keyv.set('k', 1, ttl)
      expect([ttl, await keyv.get('k')]).toEqual([ttl, 1])
    }
  })
  it('cache-manager', async () => {
    const c = fresh()
    const store = cacheManagerStore(c)
    for (const ttl of endless) {
      await store.set('k', 1, ttl)
      expect([ttl, await store.ttl('k', ttl)]).toEqual([ttl, -1])
    }
    await store.mset({ k: 2, l: 2 }, -1)
    await soon()
    expect(await store.mget('k', 'l')).toEqual([undefined, undefined])
    await store.set('k', 1)
    expect(await store.ttl('k', -1)).toBe(-2)
  })
  it('unstorage', async () => {
    const c = fresh()
    const storage = createStorage({ driver: unstorageDriver(c) as Driver })
    for (const ttl of [...endless, null]) {
      await storage.setItem('k', 'x', { ttl })
      expect([ttl, await storage.getItem('k')]).toEqual([ttl, 'x'])
    }
    await storage.setItem('k', 'x', { ttl: -1 })
    await soon()
    expect(await storage.getItem('k')).toBeNull()
  })
  it('Next.js: what never expires', async () => {
    const handler = nextCacheHandler(chain, { name: 'edges' })
    const entry: NextCacheEntry = {
      value: new Response('page').body!,
      tags: [],
      stale: 1,
      timestamp: Date.now(),
      expire: Number.MAX_SAFE_INTEGER,
      revalidate: 1,
    }
    await handler.set('k', Promise.resolve(entry))
    expect(await new Response((await handler.get('k', []))!.value).text()).toBe('page')
  })
  it('express-session: cookies without an end of their own, and with one that is over', async () => {
    const c = fresh()
    const store = sessionStore(session, c, { ttl: '1h' })
    const put = (expires: unknown): Promise<unknown> =>
      new Promise((resolve) => store.set('s', { cookie: { expires } } as never, resolve))
    for (const expires of [undefined, null, false, '']) {
      expect(await put(expires)).toBeNull()
      expect(Math.abs(c.entry('s')!.expires! - chain.now - 3_600_000)).toBeLessThan(60_000)
    }
    for (const expires of [new Date(0), '1999-12-31T23:59:59Z']) {
      expect(await put(expires)).toBeNull()
      expect(c.has('s')).toBe(false)
    }
    expect(await put('no date')).toMatchObject({ code: 'BAD_ARGUMENT' })
  })
})

it('unstorage: who changes bytes that he read changes them for nobody else', async () => {
  const storage = createStorage({ driver: unstorageDriver(fresh()) as Driver })
  await storage.setItemRaw('k', Uint8Array.of(1, 2))
  const mine = await storage.getItemRaw<Uint8Array>('k')
  mine!.fill(9)
  expect(await storage.getItemRaw('k')).toEqual(Uint8Array.of(1, 2))
})

it('express-session hears of a touch that failed', async () => {
  const c = fresh()
  const store: session.Store = sessionStore(session, c)
  await c.close()
  const data = { cookie: { originalMaxAge: null } } as unknown as session.SessionData
  const error = await new Promise((resolve) => store.touch!('a', data, resolve as () => void))
  expect(error).toMatchObject({ code: 'CHAIN_CLOSED' })
})
