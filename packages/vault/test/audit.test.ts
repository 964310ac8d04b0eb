import { createIdentity, type LogEngine, memoryEngine, memoryStore, openChain } from '@ate/core'
import { expect, it } from 'vitest'
import { vault } from '../src/index.ts'
import { all, codeOf, newPlace } from './kit.ts'

it('tells who did what, from what is signed', async () => {
  const place = await newPlace()
  const alice = await createIdentity()
  const own = await place.open()
  const secret = own.secret('prod/db')
  await secret.put('one', { meta: { a: 'b' } })
  await own.role('deploy').allow('prod/**', ['read', 'write'])
  await own.role('deploy').add(alice.publicId)
  await secret.delete([1])
  await secret.restore([1])
  await secret.annotate({ a: 'c' })
  const hers = await place.open(alice)
  await hers.secret('prod/db').put('two')
  const vault = await place.open()
  await vault.secret('prod/db').destroy([1])
  await vault.role('deploy').remove(alice.publicId)
  const events = await all(vault.audit())
  const shown = events.map(({ act, path, version, detail }) => [
    act,
    path,
    version,
    detail?.length === 52 ? 'who' : detail,
  ])
  expect(shown).toEqual([
    ['join', 'owners', undefined, 'who'],
    ['put', 'prod/db', 1, undefined],
    ['join', 'deploy', undefined, 'who'],
    ['grant', 'prod/**', undefined, 'deploy: read, write'],
    ['move', 'prod/db', undefined, undefined],
    ['join', 'deploy', undefined, 'who'],
    ['delete', 'prod/db', 1, undefined],
    ['restore', 'prod/db', 1, undefined],
    ['annotate', 'prod/db', undefined, undefined],
    ['put', 'prod/db', 2, undefined],
    ['destroy', 'prod/db', 1, undefined],
    ['leave', 'deploy', undefined, 'who'],
  ])
  expect(events.find(({ act, version }) => act === 'put' && version === 2)?.by).toBe(alice.fingerprint)
  const { seq } = events[5]!
  expect((await all(vault.audit({ from: seq })))[0]!.seq).toBe(seq)
  expect((await all(vault.audit({ path: 'prod/db' }))).every(({ path }) => path === 'prod/db')).toBe(true)
  // A date is compared like a number: nothing came, as if nothing had been done.
  for (const wrong of [{ from: new Date() }, { from: 'x' }, { from: -1 }, { path: 5 }])
    expect(await codeOf(all(vault.audit(wrong as never)))).toBe('BAD_ARGUMENT')
  // Who sees no names sees that something was written.
  const removed = await place.open(alice)
  expect((await all(removed.audit())).map(({ act }) => act)).toContain('put')
  await place.close()
})

it('reads are not recorded where whoever has the folder has the keys', async () => {
  const chain = await openChain('memory:', { as: await createIdentity() })
  expect(await codeOf((async () => vault(chain, { audit: 'reads' }))())).toBe('AUDIT_UNAVAILABLE')
  expect(await codeOf((async () => vault(chain, { audit: 'all' as 'reads' }))())).toBe('BAD_ARGUMENT')
  expect(await codeOf((async () => vault({} as typeof chain))())).toBe('BAD_ARGUMENT')
  await chain.close()
})

it('where somebody stands between, the record is durable before the key is asked for', async () => {
  const engine = memoryEngine(memoryStore())
  const log: string[] = []
  const kept = engine.ring
  const gated: LogEngine = new Proxy(engine, {
    get(target, name) {
      if (name === 'append')
        return async (...args: Parameters<LogEngine['append']>) => {
          const result = await target.append(...args)
          log.push(`append ${args[0].length > 0 ? 'records' : 'nothing'}`)
          return result
        }
      if (name === 'ring')
        return {
          access: 'recorded',
          put: kept.put.bind(kept),
          putAll: kept.putAll.bind(kept),
          erase: kept.erase.bind(kept),
          names: kept.names.bind(kept),
          get: (key: Uint8Array) => {
            log.push('key')
            return kept.get(key)
          },
        }
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const chain = await openChain(gated, { as: await createIdentity() })
  const secrets = vault(chain, { audit: 'reads' })
  await secrets.secret('prod/db').put('x')
  log.length = 0
  expect((await secrets.secret('prod/db').get()).value).toBe('x')
  expect(log).toEqual(['append records', 'key'])
  const reads = (await all(secrets.audit({ path: 'prod/db' }))).filter(({ act }) => act === 'read')
  expect(reads).toMatchObject([{ path: 'prod/db', version: 1, by: chain.identity }])
  await chain.close()
})
