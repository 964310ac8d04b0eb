/** A name that is no option is refused: an account without the floor that was meant, or a dry run that posts, would stay. */

import type { Chain } from '@ate/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { rejectionOf } from '../../../scripts/lib/rejection.ts'
import { purse } from '../src/coin.ts'
import { limits } from '../src/history.ts'
import { currency, type Ledger, ledger } from '../src/index.ts'
import { LedgerNode } from '../src/ledger-records.ts'
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

describe('a word that is none of its option', () => {
  const calls: readonly (readonly [string, () => unknown])[] = [
    ['amounts', () => ledger(chain, { amounts: 'Sealed' as never })],
    ['name of a ledger, empty', () => ledger(chain, { name: '' })],
    ['name of a ledger, no text', () => ledger(chain, { name: 5 as never })],
    ['order', () => all(bank.entries({ order: 'newest' as never }))],
    ['kind', () => all(bank.entries({ kind: 'posts' as never }))],
    ['account', () => all(bank.entries({ account: 5 as never }))],
    ['code', () => all(bank.entries({ code: 5 as never }))],
    ['from', () => all(bank.watch({ from: Number.NaN }))],
  ]
  it.each(calls)('%s', async (_, call) => {
    expect(await rejectionOf(async () => call())).toMatchObject({ code: 'BAD_ARGUMENT' })
    expect(chain.children(LedgerNode).count()).toBe(1)
  })
})

it('newest first gives all that were asked for, or says that they are too many', async () => {
  const before = limits.descending
  limits.descending = 3
  try {
    for (let i = 0; i < 5; i++) await bank.transfer({ ...pay, id: `t${i}` })
    const ids = async (limit?: number): Promise<string[]> =>
      (await all(bank.entries({ order: 'desc', ...(limit === undefined ? {} : { limit }) }))).map(({ id }) => id)
    expect(await ids(2)).toEqual(['t4', 't3'])
    expect(await ids(3)).toEqual(['t4', 't3', 't2'])
    for (const limit of [undefined, 4])
      expect(await rejectionOf(() => ids(limit))).toMatchObject({ code: 'BAD_ARGUMENT' })
  } finally {
    limits.descending = before
  }
})
