/** An account that is opened again: the same terms are as good, and others are refused; and one scale of a currency. */
import { defineType, role } from '@ate/core'
import { describe, expect, it } from 'vitest'
import { currency, EUR, ledger, money, USD } from '../src/index.ts'
import { Account, LedgerNode } from '../src/ledger-records.ts'
import { codeOf, openByHand, person, Shared } from './kit.ts'

describe.each(['sealed', 'clear'] as const)('%s', (amounts) => {
  it('an account with other debitors is another one', async () => {
    const [alice, bob] = [await person('alice'), await person('bob')]
    await new Shared().as('boss', async (chain) => {
      const bank = ledger(chain, { amounts })
      const again = (name: string, debitors: Parameters<typeof bank.account>[1]['debitors']): Promise<string> =>
        codeOf(bank.account(name, { currency: USD, ...(debitors ? { debitors } : {}) }))
      await bank.account('both', { currency: USD, debitors: [alice, bob.publicId] })
      for (const same of [
        [alice, bob],
        [bob, alice],
        [alice.publicId, bob, alice],
      ])
        expect(await again('both', same)).toBe('none')
      for (const other of [[alice], [alice, bob, await person('boss')], [], [role('desk')], undefined])
        expect(await again('both', other)).toBe('ID_REUSED')
      await chain.transact((tx) => tx.role('desk').add(alice.publicId))
      await bank.account('desk', { currency: USD, debitors: [role('desk')] })
      expect(await again('desk', [role('desk')])).toBe('none')
      expect(await again('desk', [alice])).toBe('ID_REUSED')
      // Of one transaction, and of two that were begun together.
      const twice = (first: typeof alice, second: typeof alice): Promise<string> =>
        codeOf(
          chain.transact(async (tx) => {
            await bank.account('once', { currency: USD, debitors: [first] }, { tx })
            await bank.account('once', { currency: USD, debitors: [second] }, { tx })
          }),
        )
      expect(await twice(alice, bob)).toBe('ID_REUSED')
      expect(await twice(alice, alice)).toBe('none')
      expect(
        await codeOf(chain.transact((tx) => bank.account('once', { currency: USD, debitors: [bob] }, { tx }))),
      ).toBe('ID_REUSED')
      expect(await Promise.all([again('now', [alice]), again('now', [bob])])).toEqual(['none', 'ID_REUSED'])
    })
  })

  it('a currency has one scale', async () => {
    const shared = new Shared()
    await shared.as('boss', async (chain) => {
      const bank = ledger(chain, { amounts })
      await bank.account('a', { currency: currency('TOKEN', 2), floor: 'none' })
      const other = currency('TOKEN', 3)
      expect(await codeOf(bank.account('b', { currency: other }))).toBe('CURRENCY_MISMATCH')
      await bank.account('b', { currency: currency('TOKEN', 2) })
      await bank.account('c', { currency: EUR })
      const two = (scale: number): Promise<string> =>
        codeOf(bank.account(`x${scale}`, { currency: currency('XTOK', scale) }))
      expect((await Promise.all([two(1), two(2)])).sort()).toEqual(['CURRENCY_MISMATCH', 'none'])
      await bank.verify()
    })
    await shared.as('boss', async (chain) => {
      const bank = ledger(chain)
      expect(await codeOf(bank.account('d', { currency: currency('TOKEN', 3) }))).toBe('CURRENCY_MISMATCH')
      await bank.account('d', { currency: currency('TOKEN', 2) })
    })
  })
})

it('a ledger of before says by its accounts which scale a currency has', async () => {
  await new Shared().as('boss', async (chain) => {
    const bank = ledger(chain)
    await bank.account('eur', { currency: EUR })
    // What is no account keeps nobody from opening one.
    const parent = (await chain.children(LedgerNode).page())[0]!
    await chain.transact((tx) => void tx.create(defineType<unknown>(Account.name), 5, { parent }))
    for (const [name, scale] of [
      ['a', 2],
      ['b', 3],
    ] as const)
      await openByHand(chain, name, currency('TOKEN', scale))
    expect(await codeOf(bank.account('c', { currency: currency('TOKEN', 3) }))).toBe('CURRENCY_MISMATCH')
    await bank.account('c', { currency: currency('TOKEN', 2) })
  })
})

it('units of two scales are not added up', async () => {
  await new Shared().as('boss', async (chain) => {
    const bank = ledger(chain)
    await bank.account('eur', { currency: EUR })
    const [two, three] = [currency('TOKEN', 2), currency('TOKEN', 3)]
    for (const name of ['a', 'b']) await openByHand(chain, name, two)
    for (const name of ['c', 'd']) await openByHand(chain, name, three)
    await bank.transfer({ from: 'a', to: 'b', amount: money(two, 7n) })
    await bank.transfer({ from: 'c', to: 'd', amount: money(three, 5n) })
    expect(await bank.trial()).toEqual(
      new Map([
        ['EUR', { debits: 0n, credits: 0n }],
        ['TOKEN', { debits: 7n, credits: 7n }],
        ['TOKEN:3', { debits: 5n, credits: 5n }],
      ]),
    )
  })
})
