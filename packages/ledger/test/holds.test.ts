/** A hold that is left by `await using`: made, captured, or given up within a transaction of the caller's. */
import type { Chain } from '@ate/core'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type Ledger, ledger } from '../src/index.ts'
import { all, codeOf, GOLD, gold, Shared } from './kit.ts'

const bill = { from: 'a', to: 'shop', amount: gold(40n) }
const day = { expires: '1d' } as const

let platform: Shared['platform']
let chain: Chain
let bank: Ledger
beforeEach(async () => {
  const shared = new Shared()
  platform = shared.platform
  chain = await shared.open('boss')
  bank = ledger(chain)
  await bank.account('world', { currency: GOLD, floor: 'none' })
  for (const name of ['a', 'shop']) await bank.account(name, { currency: GOLD })
  await bank.transfer({ from: 'world', to: 'a', amount: gold(100n) })
})
afterEach(() => chain.close())

const sums = async (): Promise<readonly bigint[]> => {
  const { posted, available } = await bank.balance('a')
  return [posted, available]
}

it('is voided within the transaction that made it', async () => {
  await chain.transact(async (tx) => {
    await using _ = await bank.hold({ id: 'h', ...bill }, { ...day, tx })
  })
  expect(await sums()).toEqual([100n, 100n])
  expect(await codeOf(bank.capture('h'))).toBe('HOLD_RESOLVED')
})

it('stays captured by the transaction that made it', async () => {
  await chain.transact(async (tx) => {
    await using hold = await bank.hold({ id: 'h', ...bill }, { ...day, tx })
    await hold.capture(gold(30n), { tx })
  })
  expect(await sums()).toEqual([70n, 70n])
})

it('is voided when the transaction that captured it has failed', async () => {
  {
    await using hold = await bank.hold({ id: 'h', ...bill }, day)
    const failed = chain.transact(async (tx) => {
      await hold.capture(undefined, { tx })
      throw new Error('given up')
    })
    await expect(failed).rejects.toThrow('given up')
    expect(await sums()).toEqual([100n, 60n])
  }
  expect(await sums()).toEqual([100n, 100n])
})

it('stays captured when that transaction has committed, and is nothing when the one that made it has failed', async () => {
  {
    await using hold = await bank.hold({ id: 'h', ...bill }, day)
    await chain.transact((tx) => hold.capture(undefined, { tx }))
  }
  expect(await sums()).toEqual([60n, 60n])
  {
    await using tx = chain.begin()
    await using _ = await bank.hold({ id: 'i', ...bill }, { ...day, tx })
    tx.rollback()
  }
  expect(await sums()).toEqual([60n, 60n])
})

it('runs out before dates do: what nobody could end is refused, and does not break the books', async () => {
  for (const expires of [8.64e15, Number.MAX_SAFE_INTEGER])
    expect(await codeOf(bank.hold(bill, { expires }))).toBe('BAD_ARGUMENT')
  // Judged later than it was asked for.
  platform.setWallClock(platform.environment.clock.now() + 1000)
  const late = await bank.hold(bill, { expires: 8.64e15 - chain.now - 1 })
  const [entry] = await all(bank.entries({ order: 'desc', limit: 1 }))
  expect(entry!.until!.getTime()).toBe(8.64e15)
  await late.void()
  expect((await bank.verify()).entries).toBe(3)
  expect(await sums()).toEqual([100n, 100n])
})

it('is not free before chain time says so, whatever time is asked for', async () => {
  await bank.hold({ id: 'kept', ...bill }, { expires: '1h' })
  const far = new Date(chain.now + 365 * 86_400_000)
  const now = (await bank.balance('a')).available
  expect((await bank.balance('a', { at: far })).available).toBe(now)
  for await (const { name, available } of bank.accounts({ at: far })) if (name === 'a') expect(available).toBe(now)
})
