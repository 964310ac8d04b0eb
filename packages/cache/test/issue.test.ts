/** The kits in one chain: a ledger, a queue and a cache in one transaction, and what a restart and a compaction leave. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isAteError } from '@ate/core'
import { ledger, money, openChain, USD } from '@ate/ledger'
import { queue } from '@ate/queue'
import { expect, it } from 'vitest'
import { cache } from '../src/index.ts'
import { person, turns } from './kit.ts'

it('the example, as it stands', async () => {
  const said: unknown[] = []
  const console = { log: (...what: unknown[]) => void said.push(what) }
  const chain = await openChain('memory:', { as: await person() })
  const bank = ledger(chain)
  const rates = cache<number>(chain, 'rates')
  const mails = queue<{ to: string }>(chain, 'mails')
  await bank.account('world:usd', { currency: USD, floor: 'none' })
  await bank.account('alice:usd', { currency: USD })
  await bank.account('shop:usd', { currency: USD })
  await bank.transfer({ from: 'world:usd', to: 'alice:usd', amount: money(USD, '100.00'), id: 'dep-1' })
  await bank.transfer({ from: 'world:usd', to: 'alice:usd', amount: money(USD, '100.00'), id: 'dep-1' })
  await chain.transact(async (tx) => {
    await bank.transfer({ from: 'alice:usd', to: 'shop:usd', amount: money(USD, '25.00') }, { tx })
    await mails.add({ to: 'alice' }, { tx })
  })
  await chain
    .transact(async (tx) => {
      await mails.add({ to: 'nobody' }, { tx })
      await bank.transfer({ from: 'alice:usd', to: 'shop:usd', amount: money(USD, '999.00') }, { tx })
    })
    .catch((e) => console.log(e.code))
  console.log((await bank.balance('alice:usd')).posted, (await mails.counts()).waiting)
  let calls = 0
  const load = async (): Promise<number> => {
    calls++
    return 1.08
  }
  console.log(await Promise.all([1, 2, 3].map(() => rates.getOrSet('eur', load, { ttl: '1m' }))), calls)
  await chain.close()
  expect(said).toEqual([['INSUFFICIENT'], [7500n, 1], [[1.08, 1.08, 1.08], 1]])
})

it('an invalidation lands with the job’s other effects, or not at all', async () => {
  const chain = await openChain('memory:', { as: await person() })
  const prices = cache<number>(chain, 'prices')
  const jobs = queue<string>(chain, 'jobs', { retry: { max: 2, backoff: 1 } })
  await prices.set('tea', 3, { tags: ['shop'] })
  await prices.set('milk', 1, { tags: ['shop'] })
  let tries = 0
  const worker = jobs.work(async (job) => {
    await prices.set('tea', 4, { tags: ['shop'], tx: job.tx })
    await prices.delete('milk', { tx: job.tx })
    if (++tries === 1) throw new Error('the first try fails')
  })
  const job = await jobs.add('raise')
  await job.result()
  await turns()
  expect([tries, prices.get('tea'), prices.get('milk')]).toEqual([2, 4, undefined])
  await worker.stop()
  await chain.close()
})

it('survives a restart on a file, and compaction drops what nobody needs', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ate-cache-file-'))
  const place = `file:${join(folder, 'chain')}`
  const as = await person()
  const first = await openChain(place, { as })
  const before = cache<{ text: string }>(first, 'c')
  for (let round = 0; round < 20; round++) {
    const text = String(round).repeat(200)
    await before.setMany(Array.from({ length: 50 }, (_, i) => [`k${i}`, { text }, { tags: [`t${i % 5}`] }] as const))
  }
  await before.set('short', { text: 'x' }, { ttl: '1h' })
  await before.invalidate({ tags: ['t0'] })
  await before.invalidate({ prefix: 'k1' })
  const { bytesBefore, bytesAfter } = await first.compact()
  expect(bytesAfter).toBeLessThan(bytesBefore / 3)
  await first.close()

  const second = await openChain(place, { as })
  const after = cache<{ text: string }>(second, 'c')
  await after.ready
  expect(after.get('k2')).toEqual({ text: '19'.repeat(200) })
  expect([after.get('k0'), after.get('k5'), after.get('k1'), after.get('k11')]).toEqual(Array(4).fill(undefined))
  expect(after.entry('short')?.expires).toBeDefined()
  expect(after.stats.entries).toBe(50 - 10 - 11 + 2 + 1)
  expect((await second.verify()).ok).toBe(true)
  await second.close()
  await expect(after.set('a', { text: '' }).catch((error) => isAteError(error) && error.code)).resolves.toBe(
    'CHAIN_CLOSED',
  )
  rmSync(folder, { recursive: true, force: true })
})
