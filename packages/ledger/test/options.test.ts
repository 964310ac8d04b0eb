/** A name that is no option is refused: an account without the floor that was meant, or a dry run that posts, would stay. */

import type { Chain } from '@ate/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { rejectionOf } from '../../../scripts/lib/rejection.ts'
import { purse } from '../src/coin.ts'
import { currency, type Ledger, ledger } from '../src/index.ts'
import { all, GOLD, gold, person, Shared } from './kit.ts'

let chain: Chain
let bank: Ledger
beforeEach(async () => {
  chain = await new Shared().open('boss')
  bank = ledger(chain)
  await bank.account('world', { currency: GOLD, floor: 'none' })
  await bank.account('a', { currency: GOLD })
})
afterEach(() => chain.close())

const pay = { from: 'world', to: 'a', amount: gold(1n) }

describe('a name that is no option', () => {
  const calls: readonly (readonly [string, string, () => unknown])[] = [
    ['ledger', 'amount', () => ledger(chain, { amount: 'clear' } as never)],
    ['purse', 'issuer', () => purse(chain, GOLD, { issuer: [] } as never)],
    [
      'mint',
      'durabilty',
      async () => purse(chain, GOLD).mint(gold(1n), await person('boss'), { durabilty: 'os' } as never),
    ],
    ['account', 'flor', () => bank.account('b', { currency: GOLD, flor: -5n } as never)],
    ['account', 'ceiling', () => bank.account('b', { currency: GOLD }, { ceiling: 5n } as never)],
    ['close', 'at', () => bank.close('a', { at: 1 } as never)],
    ['a transfer', 'idd', () => bank.transfer({ ...pay, idd: 'x' } as never)],
    ['transfer', 'dryrun', () => bank.transfer(pay, { dryrun: true } as never)],
    ['atomic', 'dryrun', () => bank.atomic([pay, pay], { dryrun: true } as never)],
    ['load', 'bacth', () => all(bank.load([pay], { bacth: 1 } as never))],
    ['hold', 'expire', () => bank.hold(pay, { expires: '1h', expire: '1d' } as never)],
    ['capture', 'amount', () => bank.capture('h', undefined, { amount: 1 } as never)],
    ['void', 'reason', () => bank.void('h', { reason: '' } as never)],
    ['expire', 'at', () => bank.expire({ at: 1 } as never)],
    ['reverse', 'reson', () => bank.reverse('x', { reson: '' } as never)],
    ['balance', 'when', () => bank.balance('a', { when: 0 } as never)],
    ['accounts', 'when', () => all(bank.accounts({ when: 0 } as never))],
    ['entries', 'acount', () => all(bank.entries({ acount: 'a' } as never))],
    ['watch', 'acount', () => bank.watch({ acount: 'a' } as never)],
    ['statement', 'from', () => bank.statement('a', { from: new Date(0) } as never)],
    ['trial', 'until', () => bank.trial({ until: 0 } as never)],
    ['verify', 'from', () => bank.verify({ from: 0 } as never)],
  ]
  it.each(calls)('of %s: %s', async (_, given, call) => {
    const { seq } = chain.head
    expect(await rejectionOf(call)).toMatchObject({ code: 'BAD_ARGUMENT', facts: { given } })
    expect(chain.head.seq).toBe(seq)
  })
  it('of one transfer of many: that one alone is refused', async () => {
    const outcomes = await all(bank.load([pay, { ...pay, idd: 'x' } as never, pay]))
    expect(outcomes.map(({ ok }) => ok)).toEqual([true, false, true])
  })
})

it('a durability that is none is refused, and answered', async () => {
  for (const durability of [Number.NaN, 'paper', null, Object.create(null)])
    expect(await rejectionOf(() => bank.transfer(pay, { durability } as never))).toMatchObject({ code: 'BAD_ARGUMENT' })
})

it('a code of a currency that has no text is refused', () => {
  expect(() => currency(Object.create(null) as never)).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }))
})
