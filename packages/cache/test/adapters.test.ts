/** cache-manager, unstorage, express-session and Next.js, each with the real package where it can be had. */
import { type Chain, openChain } from '@ate/core'
import { createCache, KeyvAdapter, type CacheManagerStore as RealStore } from 'cache-manager'
import session from 'express-session'
import Keyv from 'keyv'
import { createStorage, type Driver } from 'unstorage'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cacheManagerStore } from '../src/cache-manager.ts'
import { sessionStore } from '../src/express-session.ts'
import { type Cache, cache } from '../src/index.ts'
import { keyvStore } from '../src/keyv.ts'
import { type NextCacheEntry, nextCacheHandler, nextIncrementalHandler } from '../src/next.ts'
import { unstorageDriver } from '../src/unstorage.ts'
import { person } from './kit.ts'

let chain: Chain
beforeAll(async () => {
  chain = await openChain('memory:', { as: await person() })
})
afterAll(() => chain.close())
let count = 0
const fresh = (): Cache<unknown> => cache<unknown>(chain, `c${count++}`)
const later = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

describe('cache-manager 7', () => {
  it.each(['its own store', 'by keyvStore'])('%s', async (how) => {
    const c = fresh()
    const own = (): Keyv => new Keyv({ store: new KeyvAdapter(cacheManagerStore(c) as RealStore) })
    const manager = createCache({ stores: [how === 'by keyvStore' ? new Keyv({ store: keyvStore(c) }) : own()] })
    await manager.set('a', { n: 1 })
    expect(await manager.get('a')).toEqual({ n: 1 })
    await manager.mset([
      { key: 'b', value: 2 },
      { key: 'c', value: 3, ttl: 1 },
    ])
    await later(10)
    expect(await manager.mget(['a', 'b', 'c', 'x'])).toEqual([{ n: 1 }, 2, undefined, undefined])
    expect(c.has('c')).toBe(false)
    let calls = 0
    const load = async (): Promise<number> => ++calls
    expect(await manager.wrap('w', load, 10_000)).toBe(1)
    expect(await manager.wrap('w', load, 10_000)).toBe(1)
    await manager.del('a')
    await manager.mdel(['b'])
    expect(await manager.mget(['a', 'b', 'w'])).toEqual([undefined, undefined, 1])
    await manager.clear()
    expect(await manager.get('w')).toBeUndefined()
  })

  it('the rest of its older interface', async () => {
    const c = fresh()
    const store = cacheManagerStore(c)
    await store.set('a', 1)
    await store.set('b', 1, 10_000)
    expect(await store.ttl('a')).toBe(-1)
    expect(await store.ttl('x')).toBe(-2)
    expect(Math.abs((await store.ttl('b')) - 10_000)).toBeLessThan(9000)
    expect(Math.abs((await store.ttl('b', 60_000)) - 60_000)).toBeLessThan(20_000)
    expect((await store.keys()).sort()).toEqual(['a', 'b'])
    await store.disconnect()
    await expect(store.get('a')).rejects.toMatchObject({ code: 'CHAIN_CLOSED' })
  })
})

describe('unstorage', () => {
  it('stores, lists, clears, tells, and lets expire', async () => {
    const c = fresh()
    const driver: Driver = unstorageDriver(c) as Driver
    const storage = createStorage({ driver })
    const seen: string[] = []
    const stop = await storage.watch((event, key) => void seen.push(`${event} ${key}`))
    await storage.setItem('users:1', { name: 'Ada' })
    await storage.setItem('users:2', 'x', { ttl: 1000 })
    await storage.setItems([{ key: 'other:3', value: 3 }])
    expect(await storage.getItem('users:1')).toEqual({ name: 'Ada' })
    expect(await storage.getItem('nothing')).toBeNull()
    expect([await storage.hasItem('users:1'), await storage.hasItem('users:9')]).toEqual([true, false])
    expect((await storage.getKeys('users')).sort()).toEqual(['users:1', 'users:2'])
    expect((await storage.getKeys('', { maxDepth: 0 })).sort()).toEqual([])
    expect((await storage.getItems(['users:1', 'other:3'])).map(({ value }) => value)).toEqual([{ name: 'Ada' }, 3])
    expect((await storage.getMeta('users:2')).ttl).toBeGreaterThan(900)
    await storage.setItemRaw('raw', Uint8Array.of(1, 2))
    expect(await storage.getItemRaw('raw')).toEqual(Uint8Array.of(1, 2))
    await storage.removeItem('users:1')
    expect(await storage.getItem('users:1')).toBeNull()
    await driver.clear!('users:', {})
    expect((await storage.getKeys()).sort()).toEqual(['other:3', 'raw'])
    await storage.clear()
    expect(await storage.getKeys()).toEqual([])
    await c.sync()
    for (let i = 0; i < 200 && seen.length < 8; i++) await later(5)
    await stop()
    expect(new Set(seen)).toEqual(
      new Set(['users:1', 'users:2', 'other:3', 'raw'].flatMap((key) => [`update ${key}`, `remove ${key}`])),
    )
    await storage.dispose()
  })
})

/** One request through the middleware. */
async function request(
  handle: ReturnType<typeof session>,
  cookie: string | undefined,
  run: (of: session.Session & Record<string, unknown>) => void,
): Promise<string | undefined> {
  const { createServer, request: send } = await import('node:http')
  const server = createServer((incoming, outgoing) => {
    handle(incoming as never, outgoing as never, (error?: unknown) => {
      if (error) outgoing.statusCode = 500
      else run((incoming as unknown as { session: session.Session & Record<string, unknown> }).session)
      outgoing.end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const headers = cookie === undefined ? {} : { cookie }
  const answer = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
    send({ port, host: '127.0.0.1', headers }, resolve).on('error', reject).end()
  })
  answer.resume()
  await new Promise<void>((resolve) => server.close(() => resolve()))
  expect(answer.statusCode).toBe(200)
  return answer.headers['set-cookie']?.[0]?.split(';')[0]
}

describe('express-session', () => {
  it('keeps sessions over requests, and ends them', async () => {
    const c = fresh()
    const store: session.Store = sessionStore(session, c)
    expect(store).toBeInstanceOf(session.Store)
    const handle = session({ store, secret: 's', resave: false, saveUninitialized: false, cookie: { maxAge: 60_000 } })
    const cookie = await request(handle, undefined, (of) => {
      of['views'] = 1
    })
    expect(cookie).toBeDefined()
    let seen: unknown
    await request(handle, cookie, (of) => {
      seen = of['views']
      of['views'] = 2
    })
    expect(seen).toBe(1)
    await request(handle, cookie, (of) => {
      seen = of['views']
    })
    expect(seen).toBe(2)
    const [sid] = [...c.keys()]
    expect(Math.abs(c.entry(sid!)!.expires! - chain.now - 60_000)).toBeLessThan(20_000)
    await new Promise<void>((resolve, reject) => store.destroy(sid!, (error) => (error ? reject(error) : resolve())))
    await request(handle, cookie, (of) => {
      seen = of['views']
    })
    expect(seen).toBeUndefined()
  })

  it('has the optional methods too', async () => {
    const c = fresh()
    const store = sessionStore(session, c, { ttl: '1h' })
    const data = { cookie: { originalMaxAge: null }, views: 1 } as unknown as session.SessionData
    const call = <R>(run: (done: (error: unknown, result?: R) => void) => void): Promise<R | undefined> =>
      new Promise((resolve, reject) => run((error, result) => (error ? reject(error) : resolve(result))))
    await call((done) => store.set('a', data, done))
    expect(await call<number>((done) => store.length(done))).toBe(1)
    expect(await call((done) => store.all(done))).toMatchObject({ a: { views: 1 } })
    expect(Math.abs(c.entry('a')!.expires! - chain.now - 3_600_000)).toBeLessThan(60_000)
    const { version } = c.entry('a')!
    await new Promise<void>((resolve) => store.touch('a', data, resolve))
    expect(c.entry('a')!.version).toBe(version + 1)
    expect(await call((done) => store.get('nothing', done as never))).toBeNull()
    await call((done) => store.clear(done))
    expect(await call<number>((done) => store.length(done))).toBe(0)
    await c.close()
    await expect(call((done) => store.get('a', done as never))).rejects.toMatchObject({ code: 'CHAIN_CLOSED' })
  })
})

describe('Next.js', () => {
  const entry = (text: string, more: Partial<NextCacheEntry> = {}): NextCacheEntry => ({
    value: new Response(text).body!,
    tags: ['t'],
    stale: 10,
    timestamp: Date.now(),
    expire: 100,
    revalidate: 50,
    ...more,
  })
  const text = (found: NextCacheEntry | undefined): Promise<string | undefined> =>
    found ? new Response(found.value).text() : Promise.resolve(undefined)

  it('use cache: entries are streams, made anew for each; a get waits for a set', async () => {
    const handler = nextCacheHandler(Promise.resolve(chain), { name: 'n1' })
    const key = 'k'.repeat(5000)
    expect(await handler.get(key, [])).toBeUndefined()
    let give: (entry: NextCacheEntry) => void = () => undefined
    const setting = handler.set(
      key,
      new Promise((resolve) => {
        give = resolve
      }),
    )
    await later(5)
    const waiting = handler.get(key, [])
    give(entry('hello'))
    await setting
    expect(await text(await waiting)).toBe('hello')
    const [one, two] = [await handler.get(key, []), await handler.get(key, [])]
    expect([await text(one), await text(two)]).toEqual(['hello', 'hello'])
    expect(one).toMatchObject({ tags: ['t'], stale: 10, expire: 100, revalidate: 50 })
  })

  it('use cache: tags expire at once, or become stale first; all handlers know', async () => {
    const handler = nextCacheHandler(chain, { name: 'n2' })
    const other = nextCacheHandler(chain, { name: 'n2' })
    await handler.set('a', Promise.resolve(entry('a', { timestamp: Date.now() - 10 })))
    expect(await other.getExpiration(['t', 'x'])).toBe(0)
    await other.updateTags(['t'], { expire: 1000 })
    await handler.refreshTags()
    expect(await handler.get('a', [])).toMatchObject({ revalidate: -1 })
    await other.updateTags(['t'])
    expect(await handler.get('a', [])).toBeUndefined()
    expect(Math.abs((await handler.getExpiration(['t'])) - Date.now())).toBeLessThan(20_000)
    await handler.set('a', Promise.resolve(entry('b', { timestamp: Date.now() + 5 })))
    expect(await text(await handler.get('a', []))).toBe('b')
  })

  it('use cache: what is dynamic, too large or broken is not kept', async () => {
    const handler = nextCacheHandler(chain, { name: 'n3' })
    await handler.set('a', Promise.resolve(entry('a', { expire: 0 })))
    await handler.set('b', Promise.resolve(entry('x'.repeat(900_000))))
    const broken = new ReadableStream<Uint8Array>({ start: (controller) => controller.error(new Error('broken')) })
    await expect(handler.set('c', Promise.resolve(entry('', { value: broken })))).rejects.toThrow('broken')
    for (const key of ['a', 'b', 'c']) expect(await handler.get(key, [])).toBeUndefined()
  })

  it('pages and fetches: values come back as they were, until a tag is revalidated', async () => {
    const Handler = nextIncrementalHandler(chain, { name: 'n4' })
    const handler = new Handler({})
    const page = {
      kind: 'APP_PAGE',
      html: '<p>',
      rscData: Buffer.from('rsc'),
      headers: { 'x-next-cache-tags': 'a,b' },
      segmentData: new Map([['/x', Buffer.from('seg')]]),
      postponed: undefined,
      status: 200,
    }
    await handler.set('/page', page, { cacheControl: { revalidate: 60, expire: 300 } })
    const found = await handler.get('/page', {})
    expect(found?.cacheControl).toEqual({ revalidate: 60, expire: 300 })
    expect(found?.value).toMatchObject({ kind: 'APP_PAGE', html: '<p>', status: 200 })
    expect(Buffer.isBuffer(found?.value.rscData)).toBe(true)
    expect(found?.value.segmentData.get('/x').toString()).toBe('seg')
    await later(2)
    await new Handler().revalidateTag('b')
    expect(await handler.get('/page', {})).toBeNull()
    await handler.set(
      'f',
      { kind: 'FETCH', data: { headers: {}, body: 'x', url: 'u' }, revalidate: 1 },
      { tags: ['c'] },
    )
    expect((await handler.get('f', { tags: ['c'], softTags: ['soft'] }))?.value.data.body).toBe('x')
    await later(2)
    await handler.revalidateTag(['soft'], { expire: 60 })
    expect((await handler.get('f', { softTags: ['soft'] }))?.lastModified).toBe(1)
    await handler.set('f', null, {})
    expect(await handler.get('f', {})).toBeNull()
    handler.resetRequestCache()
  })
})
