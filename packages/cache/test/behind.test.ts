/** A loader that begins while a deletion is on its way to the disk: what it reads is from before. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Chain, defineType, openChain } from '@ate/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Cache, cache, type LoadOptions } from '../src/index.ts'
import { person } from './kit.ts'

const Price = defineType<number>('price')

let folder = ''
let chain: Chain
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ate-cache-'))
  chain = await openChain(`file:${join(folder, 'chain')}`, { as: await person() })
  await chain.transact((tx) => tx.put(Price, 'tea', 1))
})
afterEach(async () => {
  await chain.close()
  rmSync(folder, { recursive: true, force: true })
})

type Change = (
  prices: Cache<number>,
  tx: Parameters<Parameters<Chain['transact']>[0]>[0],
  price: number,
) => Promise<unknown>

const CHANGES: Readonly<Record<string, Change>> = {
  'a set': (prices, tx, price) => prices.set('tea', price, { tx }),
  'a delete': (prices, tx) => prices.delete('tea', { tx }),
  'an invalidation of its tag': (prices, tx) => prices.invalidate({ tags: ['drinks'], tx }),
  'an invalidation of a prefix': (prices, tx) => prices.invalidate({ prefix: 't', tx }),
}

describe.each(Object.keys(CHANGES))('%s in the transaction that makes it necessary', (name) => {
  it.each<[string, LoadOptions]>([
    ['the fleet', { flight: 'fleet' }],
    ['a process', { flight: 'process' }],
  ])('is not undone by a loader of %s that begins before it is acknowledged', async (_, flight) => {
    const prices = cache<number>(chain, 'prices')
    const options = { ...flight, ttl: '1h', tags: ['drinks'] } as const
    await prices.ready
    const load = async (): Promise<number> => (await chain.named(Price, 'tea'))!.value
    let price = 1
    for (let turns = 0; turns < 40; turns++) {
      price++
      await prices.delete('tea')
      const changing = chain.transact(async (tx) => {
        tx.put(Price, 'tea', price)
        await CHANGES[name]!(prices, tx, price)
      })
      for (let i = 0; i < turns; i++) await undefined
      await prices.getOrSet('tea', load, options)
      await changing
      expect(await prices.getOrSet('tea', load, options)).toBe(price)
    }
  })
})
