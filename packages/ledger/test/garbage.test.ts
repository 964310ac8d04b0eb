/**
 * What a key holder writes under the kit's types that is no value of them: others are told so by a code, their other accounts go on,
 * and no process ends of it.
 */
import { type Chain, defineType } from '@ate/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { purse } from '../src/coin.ts'
import { type Ledger, ledger } from '../src/index.ts'
import { Account, CurrencyNode, Entry, Hold, LedgerNode } from '../src/ledger-records.ts'
import { all, codeOf, GOLD, gold, person, Shared } from './kit.ts'

const GARBAGE: readonly unknown[] = [null, 5, 'x', [], {}, { name: 'main', from: 5, kind: 'hold', sums: [1, 2, 3, 4] }]

let shared: Shared
let chain: Chain
let bank: Ledger
let escaped: unknown[]
const onEscaped = (error: unknown): void => void escaped.push(error)

beforeEach(async () => {
  escaped = []
  process.on('unhandledRejection', onEscaped)
  process.on('uncaughtException', onEscaped)
  shared = new Shared()
  chain = await shared.open('boss')
})
afterEach(async () => {
  process.off('unhandledRejection', onEscaped)
  process.off('uncaughtException', onEscaped)
  await chain.close()
})

async function withBooks(amounts: 'sealed' | 'clear' = 'sealed'): Promise<void> {
  bank = ledger(chain, { amounts })
  await bank.account('world', { currency: GOLD, floor: 'none' })
  await bank.account('a', { currency: GOLD })
  await bank.account('b', { currency: GOLD })
  await bank.transfer({ id: 'first', from: 'world', to: 'a', amount: gold(100n) })
  await bank.hold({ id: 'held', from: 'a', to: 'b', amount: gold(1n) }, { expires: '1h' })
  await bank.hold({ id: 'over', from: 'a', to: 'b', amount: gold(1n) }, { expires: 1 })
  shared.platform.advance(2)
}

/** Writes over the entity of a name as somebody does who knows no shapes, and looks with a handle that has seen nothing. */
async function overwrite(type: { readonly name: string }, name: string, parent: string, value: unknown): Promise<void> {
  const any = defineType<unknown>(type.name)
  await chain.transact(async (tx) => void tx.replace((await tx.named(any, name, { parent }))!, value))
  bank = ledger(chain)
}

const nodeId = (): string => chain.children(LedgerNode).ids()[0]!
const pay = (to: string): Promise<unknown> => bank.transfer({ from: 'world', to, amount: gold(1n) })

describe.each(GARBAGE)('%j', (value) => {
  it('in place of an account: who posts there is told, who posts beside it in one batch goes on', async () => {
    await withBooks()
    await overwrite(Account, 'b', nodeId(), value)
    for (let look = 0; look < 2; look++) {
      const [here, there] = await Promise.all([codeOf(pay('b')), codeOf(pay('a'))])
      expect(here).toBe('BAD_VALUE')
      expect(there).toBe('none')
    }
    const loaded = await all(bank.load(['a', 'b'].map((to) => ({ from: 'world', to, amount: gold(1n) }))))
    expect(loaded.map((one) => (one.ok ? 'ok' : one.error.code))).toEqual(['ok', 'BAD_VALUE'])
    expect(await codeOf(bank.balance('b'))).toBe('BAD_VALUE')
    expect(await codeOf(bank.account('b', { currency: GOLD }))).toBe('BAD_VALUE')
    expect(await codeOf(bank.verify())).toBe('RULE_BROKEN')
    expect(escaped).toEqual([])
  })

  it('in place of an entry, or beside the others', async () => {
    await withBooks()
    await overwrite(Entry, 'first', nodeId(), value)
    expect(await codeOf(bank.reverse('first'))).toBe('BAD_VALUE')
    expect(await codeOf(bank.transfer({ id: 'first', from: 'world', to: 'a', amount: gold(100n) }))).toBe('BAD_VALUE')
    await chain.transact(
      (tx) => void tx.create(defineType<unknown>(Entry.name), value, { parent: nodeId(), name: 'x' }),
    )
    expect(await codeOf(bank.verify())).toBe('RULE_BROKEN')
  })

  it('as a hold: others are found, and set free', async () => {
    await withBooks()
    const account = chain.idOf(Account, 'a', { parent: nodeId() })
    const any = defineType<unknown>(Hold.name)
    await chain.transact((tx) => {
      tx.create(any, value, { parent: account, name: 'odd' })
      tx.create(Hold, { from: account, to: account, units: 1n, until: 0 }, { parent: account })
    })
    bank = ledger(chain)
    expect(await bank.expire()).toBe(1)
    expect((await bank.balance('a')).available).toBe(99n)
    await bank.capture('held')
    expect(await codeOf(bank.verify())).toBe('RULE_BROKEN')
  })

  it('as a currency', async () => {
    await withBooks('clear')
    await overwrite(CurrencyNode, 'GOLD', nodeId(), value)
    expect(await codeOf(bank.account('c', { currency: GOLD }))).toBe('BAD_VALUE')
    expect(await codeOf(pay('a'))).toBe('none')
  })

  it('as a ledger, and as a currency of coins: it is passed over', async () => {
    for (const name of ['ledger', 'coin-currency'])
      await chain.transact((tx) => void tx.create(defineType<unknown>(name), value))
    await withBooks()
    expect((await bank.balance('a')).posted).toBe(100n)
    const coins = purse(chain, GOLD)
    await coins.mint(gold(5n), (await person('boss')).publicId)
    expect((await coins.supply()).units).toBe(5n)
  })
})

it('a transaction that opens several accounts makes one ledger, also behind one that it cannot read', async () => {
  await chain.transact((tx) => void tx.create(defineType<unknown>('ledger'), null))
  const [one, other] = [ledger(chain), ledger(chain)]
  const coins = [purse(chain, GOLD), purse(chain, GOLD)]
  const { publicId } = await person('boss')
  await chain.transact(async (tx) => {
    await one.account('world', { currency: GOLD, floor: 'none' }, { tx })
    await other.account('a', { currency: GOLD }, { tx })
    await one.transfer({ from: 'world', to: 'a', amount: gold(7n) }, { tx })
    for (const purse of coins) await purse.mint(gold(1n), publicId, { tx })
  })
  expect((await ledger(chain).balance('a')).posted).toBe(7n)
  expect((await purse(chain, GOLD).supply()).units).toBe(2n)
  expect(chain.children(LedgerNode).count()).toBe(2)
})
