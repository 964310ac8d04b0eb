/** Who has no key to a ledger is told so: empty books that agree with themselves would be believed. */
import { role } from '@ate/core'
import { expect, it } from 'vitest'
import { type Ledger, ledger } from '../src/index.ts'
import { all, codeOf, GOLD, gold, person, Shared } from './kit.ts'

const READS: readonly (readonly [string, (bank: Ledger) => Promise<unknown>])[] = [
  ['verify', (bank) => bank.verify()],
  ['trial', (bank) => bank.trial()],
  ['balance', (bank) => bank.balance('a')],
  ['balance at a time', (bank) => bank.balance('a', { at: new Date(2e12) })],
  ['accounts', (bank) => all(bank.accounts())],
  ['accounts at a time', (bank) => all(bank.accounts({ at: new Date(2e12) }))],
  ['entries', (bank) => all(bank.entries())],
  ['statement', (bank) => bank.statement('a')],
]

it('reads of who has no key are NO_READ_KEY, and those of who has one are not', async () => {
  const shared = new Shared()
  await shared.as('boss', async (chain) => {
    const bank = ledger(chain)
    for (const name of ['world', 'a']) await bank.account(name, { currency: GOLD, floor: 'none' })
    await bank.transfer({ from: 'world', to: 'a', amount: gold(7n) })
    for (const [name, read] of READS) expect([name, await codeOf(read(bank))]).toEqual([name, 'none'])
  })
  await shared.as('stranger', async (chain) => {
    for (const [name, read] of READS) expect([name, await codeOf(read(ledger(chain)))]).toEqual([name, 'NO_READ_KEY'])
  })
})

it('who reads one ledger is told of another that he has no key to it', async () => {
  const shared = new Shared()
  const guest = await person('guest')
  await shared.as('boss', async (chain) => {
    await ledger(chain).account('a', { currency: GOLD })
    await chain.transact((tx) => tx.role('guests').add(guest))
    await ledger(chain, { name: 'shop', read: [chain.publicId, role('guests')] }).account('b', { currency: GOLD })
  })
  await shared.as('guest', async (chain) => {
    expect(await codeOf(ledger(chain).verify())).toBe('NO_READ_KEY')
    const shop = ledger(chain, { name: 'shop' })
    expect((await all(shop.accounts())).map(({ name }) => name)).toEqual(['b'])
    expect((await shop.verify()).accounts).toBe(1)
  })
})

it('where there is no ledger the books are empty', async () => {
  const chain = await new Shared().open('boss')
  expect(await all(ledger(chain).accounts())).toEqual([])
  expect((await ledger(chain).verify()).accounts).toBe(0)
  await chain.close()
})
