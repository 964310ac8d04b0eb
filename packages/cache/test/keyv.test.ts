/** Keyv 5 by its published test suite, Keyv 6 by what its own stores promise; and their types. */
import { type Chain, openChain } from '@ate/core'
import keyvTestSuite, { keyvIteratorTests } from '@keyv/test-suite'
import Keyv, { type KeyvStoreAdapter } from 'keyv'
import { Keyv as Keyv6, type KeyvStorageAdapter } from 'keyv6'
import * as vitest from 'vitest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Cache, cache } from '../src/index.ts'
import { keyv6Store, keyvStore } from '../src/keyv.ts'
import { person } from './kit.ts'

let chain: Chain
let c: Cache<unknown>
beforeAll(async () => {
  chain = await openChain('memory:', { as: await person() })
  c = cache(chain, 'c')
})
afterAll(() => chain.close())

describe('Keyv 5: its test suite', () => {
  const store = (): KeyvStoreAdapter => keyvStore(c)
  keyvTestSuite(vitest, Keyv, store)
  keyvIteratorTests(vitest, Keyv, store)
})

describe('Keyv 5', () => {
  it('lets entries expire in the cache too', async () => {
    const keyv = new Keyv({ store: keyvStore(c), namespace: 'ttl' })
    await keyv.set('a', 1, 60_000)
    expect(await keyv.get('a')).toBe(1)
    expect(Math.abs(c.entry('ttl:a')!.expires! - chain.now - 60_000)).toBeLessThan(20_000)
    await keyv.set('a', 1, 1)
    await new Promise((resolve) => setTimeout(resolve, 10))
    expect([c.has('ttl:a'), await keyv.get('a')]).toEqual([false, undefined])
  })
})

describe('Keyv 6', () => {
  const open = (namespace?: string): Keyv6 =>
    new Keyv6({ store: keyv6Store(c), ...(namespace === undefined ? {} : { namespace }) })

  it('uses it directly, without its bridge', () => {
    const store: KeyvStorageAdapter = keyv6Store(c)
    expect(new Keyv6({ store }).store).toBe(store)
  })

  it('gets, sets, deletes, one and many', async () => {
    const keyv = open('six')
    await keyv.clear()
    expect(await keyv.set('a', { n: 1 })).toBe(true)
    expect(await keyv.get('a')).toEqual({ n: 1 })
    await keyv.setMany([
      { key: 'b', value: 2 },
      { key: 'c', value: 3 },
    ])
    expect(await keyv.getMany(['a', 'b', 'x'])).toEqual([{ n: 1 }, 2, undefined])
    expect([await keyv.has('b'), await keyv.has('x')]).toEqual([true, false])
    expect(await keyv.hasMany(['b', 'x'])).toEqual([true, false])
    expect([await keyv.delete('b'), await keyv.delete('b')]).toEqual([true, false])
    expect(await keyv.get('b')).toBeUndefined()
    expect(await keyv.deleteMany(['a', 'x'])).toEqual([true, false])
  })

  it('keeps namespaces apart, also when one is cleared', async () => {
    const [one, two] = [open('n'), open('n:a')]
    await one.set('a', 1)
    await two.set('a', 2)
    expect([await one.get('a'), await two.get('a')]).toEqual([1, 2])
    await one.clear()
    expect([await one.get('a'), await two.get('a')]).toEqual([undefined, 2])
  })

  it('iterates over its own', async () => {
    const keyv = open('iterates')
    await keyv.set('a', 1)
    await keyv.set('b', 2)
    const found: unknown[] = []
    for await (const entry of keyv.iterator() as AsyncIterable<unknown>) found.push(entry)
    expect(found.sort()).toEqual([
      ['a', 1],
      ['b', 2],
    ])
  })

  it('gives a point of time, which holds', async () => {
    const keyv = open('ttl')
    await keyv.set('a', 1, 60_000)
    const { expires } = c.entry('3:ttl:a')!
    expect(Math.abs(expires! - chain.now - 60_000)).toBeLessThan(20_000)
    await keyv.set('b', 1, 1)
    await new Promise((resolve) => setTimeout(resolve, 10))
    expect([await keyv.get('b'), c.has('3:ttl:b'), await keyv.get('a')]).toEqual([undefined, false, 1])
  })
})
