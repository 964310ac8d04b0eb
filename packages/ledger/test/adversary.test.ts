/**
 * What holds against whom. Sealed: who holds the keys and may write can write anything, and every other key holder names the
 * first record that breaks a rule. Clear: the chain itself refuses it, whoever writes.
 */
import { type Chain, defineType, type Entity, role } from '@ate/core'
import { describe, expect, it } from 'vitest'
import { type AteError, type Ledger, ledger } from '../src/index.ts'
import {
  Account,
  type AccountValue,
  Entry,
  type EntryValue,
  LedgerNode,
  type LedgerValue,
} from '../src/ledger-records.ts'
import { all, codeOf, GOLD, gold, person, Shared } from './kit.ts'

interface Victim {
  readonly chain: Chain
  readonly bank: Ledger
  readonly account: (name: string) => Promise<Entity<AccountValue>>
  readonly node: Entity<LedgerValue>
}

async function victim(amounts: 'sealed' | 'clear', shared = new Shared()): Promise<Victim> {
  const chain = await shared.open('boss')
  const bank = ledger(chain, { amounts })
  await bank.account('world', { currency: GOLD, floor: 'none' })
  await bank.account('a', { currency: GOLD })
  await bank.account('b', { currency: GOLD, ceiling: 1000n })
  await bank.transfer({ id: 'first', from: 'world', to: 'a', amount: gold(100n) })
  const node = await nodeOf(chain)
  const account = async (name: string): Promise<Entity<AccountValue>> =>
    (await chain.named(Account, name, { parent: node }))!
  return { chain, bank, account, node }
}

const nodeOf = async (chain: Chain): Promise<Victim['node']> => (await chain.children(LedgerNode).page())[0]!

/** Every way of looking at the journal stops at the same record. */
async function breach({ chain, bank }: Victim): Promise<AteError> {
  const seq = chain.head.seq
  await bank.transfer({ from: 'world', to: 'a', amount: gold(1n) }).catch(() => {})
  const ways = [
    bank.verify(),
    bank.trial(),
    all(bank.entries()),
    bank.statement('a'),
    bank.balance('a', { at: chain.head.seq }),
    all(bank.watch({ from: 0 })),
  ]
  let first: AteError | undefined
  for (const way of ways) {
    const error = (await way.then(
      () => expect.unreachable('nobody saw it'),
      (reason) => reason,
    )) as AteError
    expect(error.code).toBe('RULE_BROKEN')
    expect(error.facts['seq']).toBe(seq)
    first ??= error
  }
  // And goes on saying so.
  expect(await codeOf(bank.trial())).toBe('RULE_BROKEN')
  await chain.close()
  return first!
}

const entry = (more: Partial<EntryValue> = {}): EntryValue => ({
  kind: 'post',
  from: 'a',
  to: 'b',
  units: 500n,
  ...more,
})

async function putSums(
  one: Victim,
  changes: Readonly<Record<string, readonly [bigint, bigint]>>,
  entries: Readonly<Record<string, EntryValue>> = {},
): Promise<void> {
  await one.chain.transact(async (tx) => {
    for (const [id, value] of Object.entries(entries)) tx.create(Entry, value, { parent: one.node, name: id })
    for (const [name, [debits, credits]] of Object.entries(changes)) {
      const account = await one.account(name)
      await tx.update(Account, account, (value) => {
        const [d, c, hd, hc] = value.sums!
        return { ...value, sums: [d + debits, c + credits, hd, hc] as const }
      })
    }
  })
}

describe('sealed: a malicious key holder is named', () => {
  it('L2: who breaks a floor', async () => {
    const one = await victim('sealed')
    await putSums(one, { a: [500n, 0n], b: [0n, 500n] }, { theft: entry() })
    const { facts } = await breach(one)
    expect(facts).toMatchObject({ rule: 'an account stays above its floor', account: 'a', entry: 'theft' })
    expect(facts['author']).toBe((await person('boss')).fingerprint)
  })
  it('L2: who breaks a ceiling', async () => {
    const one = await victim('sealed')
    await putSums(one, { world: [5000n, 0n], b: [0n, 5000n] }, { much: entry({ from: 'world', units: 5000n }) })
    expect((await breach(one)).facts).toMatchObject({ rule: 'an account stays below its ceiling', account: 'b' })
  })
  it('L1: who writes a balance without an entry', async () => {
    const one = await victim('sealed')
    await putSums(one, { b: [0n, 7n] })
    expect((await breach(one)).facts['rule']).toBe('a balance is the sum of its entries')
  })
  it('L1: who writes an entry without a balance', async () => {
    const one = await victim('sealed')
    await putSums(one, {}, { quiet: entry({ units: 1n }) })
    expect((await breach(one)).facts['rule']).toBe('every entry is in the balance of its accounts')
  })
  it.each([
    ['no such account', entry({ to: 'nobody' })],
    ['an amount of 0', entry({ units: 0n })],
    ['an amount below 0', entry({ units: -5n })],
    ['an amount as a number', entry({ units: 5 as unknown as bigint })],
    ['an unknown kind', entry({ kind: 'gift' as 'post' })],
    ['to itself', entry({ to: 'a' })],
    ['a capture of no hold', entry({ kind: 'capture', of: 'x' })],
    ['a reversal of nothing', entry({ kind: 'reverse', of: 'x' })],
    ['a hold without a time', entry({ kind: 'hold', units: 1n })],
  ])('who writes an entry that is none: %s', async (_, value) => {
    const one = await victim('sealed')
    await putSums(one, {}, { bad: value })
    await breach(one)
  })
  it('L9: who reverses twice, under a name of his own', async () => {
    const one = await victim('sealed')
    await putSums(
      one,
      { a: [100n, 0n], world: [0n, 100n] },
      { 'reverse:firs': entry({ kind: 'reverse', from: 'a', to: 'world', units: 100n, of: 'first' }) },
    )
    expect((await breach(one)).facts['rule']).toBe('a reversal is the opposite of one transfer')
  })
  it('L4: who captures more than was held, and after its time', async () => {
    for (const late of [false, true]) {
      const shared = new Shared()
      const one = await victim('sealed', shared)
      await one.bank.hold({ id: 'h', from: 'a', to: 'b', amount: gold(50n) }, { expires: '1h' })
      if (late) shared.platform.advance(3_600_000)
      await putSums(one, {}, { 'resolve:h': entry({ kind: 'capture', of: 'h', units: late ? 50n : 51n }) })
      expect((await breach(one)).facts['rule']).toBe(late ? 'a hold ends at its time' : 'what is captured was held')
    }
  })
  it('L4: who says that a hold has expired before its time', async () => {
    const one = await victim('sealed')
    await one.bank.hold({ id: 'h', from: 'a', to: 'b', amount: gold(50n) }, { expires: '1h' })
    await putSums(one, {}, { 'resolve:h': entry({ kind: 'expire', of: 'h', units: 50n }) })
    expect((await breach(one)).facts['rule']).toBe('a hold ends at its time')
  })
  it('L9: who changes or deletes an entry, or an account', async () => {
    for (const what of ['put', 'delete', 'terms', 'account'] as const) {
      const one = await victim('sealed')
      const first = (await one.chain.named(Entry, 'first', { parent: one.node }))!
      await one.chain.transact(async (tx) => {
        if (what === 'put') await tx.update(first, (value) => ({ ...value, units: 1n }))
        else if (what === 'delete') tx.delete(first)
        else if (what === 'account') tx.delete(await one.account('b'))
        else await tx.update(Account, await one.account('b'), (value) => ({ ...value, floor: -1000n }))
      })
      await breach(one)
    }
  })
  it('who opens an account with money in it', async () => {
    const one = await victim('sealed')
    await one.chain.transact((tx) => {
      const value: AccountValue = { currency: ['GOLD', 2], normal: 'credit', floor: 0n, sums: [0n, 5n, 0n, 0n] }
      tx.create(Account, value, { parent: one.node, name: 'rich' })
    })
    expect((await breach(one)).facts['rule']).toBe('an account begins open and empty')
  })
  it('who posts to a closed account', async () => {
    const one = await victim('sealed')
    await one.bank.close('b')
    await putSums(one, { a: [5n, 0n], b: [0n, 5n] }, { late: entry({ units: 5n }) })
    expect((await breach(one)).facts['rule']).toBe('nothing is posted to a closed account')
  })
})

/** The boss makes an account that only alice debits; bob writes in the ledger, too. */
async function guarded(amounts: 'sealed' | 'clear'): Promise<Shared> {
  const shared = new Shared()
  await shared.as('boss', async (chain) => {
    const [alice, bob] = [await person('alice'), await person('bob')]
    await chain.transact((tx) => {
      tx.role('tellers').add(alice)
      tx.role('tellers').add(bob)
    })
    const bank = ledger(chain, { amounts, read: [role('tellers')], write: [role('tellers')] })
    await bank.account('world', { currency: GOLD, floor: 'none' })
    await bank.account('hers', { currency: GOLD, debitors: [alice] })
    await bank.account('his', { currency: GOLD, debitors: [bob] })
    await bank.transfer({ from: 'world', to: 'hers', amount: gold(100n) })
  })
  return shared
}

describe.each(['sealed', 'clear'] as const)('%s: only those named debit an account', (amounts) => {
  it('L6: the chain refuses others, and batches go on without them', async () => {
    const shared = await guarded(amounts)
    await shared.as('alice', async (chain) => {
      await ledger(chain).transfer({ from: 'hers', to: 'his', amount: gold(30n) })
    })
    await shared.as('bob', async (chain) => {
      const bank = ledger(chain)
      const codes = await Promise.all([
        codeOf(bank.transfer({ from: 'hers', to: 'his', amount: gold(30n) })),
        codeOf(bank.transfer({ from: 'his', to: 'hers', amount: gold(10n) })),
        codeOf(bank.hold({ from: 'hers', to: 'his', amount: gold(1n) }, { expires: '1h' })),
        codeOf(bank.transfer({ from: 'his', to: 'hers', amount: gold(5n) })),
      ])
      expect(codes).toEqual(['NOT_AUTHORIZED', 'none', 'NOT_AUTHORIZED', 'none'])
      expect((await bank.balance('hers')).posted).toBe(85n)
      await bank.verify()
    })
  })
})

it('L6: sealed: a writer who leaves out the gate of an account is named', async () => {
  const shared = await guarded('sealed')
  await shared.as('bob', async (chain) => {
    const node = await nodeOf(chain)
    const account = async (name: string): Promise<Entity<AccountValue>> =>
      (await chain.named(Account, name, { parent: node }))!
    const one = { chain, node, account, bank: ledger(chain) }
    await putSums(
      one,
      { hers: [30n, 0n], his: [0n, 30n] },
      { theft: { kind: 'post', from: 'hers', to: 'his', units: 30n } },
    )
    const error = await one.bank.verify().catch((reason: AteError) => reason)
    expect(error).toMatchObject({
      code: 'RULE_BROKEN',
      facts: { rule: 'only those named for it debit an account', author: chain.identity },
    })
  })
})

describe('clear: the chain refuses it, whoever writes', () => {
  const Any = defineType<null>('any')
  it('L1, L2: overdrafts, money from nothing, and debts of who does not govern the currency', async () => {
    const shared = await guarded('clear')
    await shared.as('bob', async (chain) => {
      const node = await nodeOf(chain)
      const his = (await chain.named(Account, 'his', { parent: node }))!
      const hers = (await chain.named(Account, 'hers', { parent: node }))!
      const unit = his.value.unit!
      const refused = (run: Parameters<Chain['transact']>[0]): Promise<string> => codeOf(chain.transact(run as never))
      expect(await refused((tx) => tx.add(his, 'free', 5n))).toBe('NOT_CONSERVED')
      expect(
        await refused((tx) => {
          tx.add(hers, 'free', -5n)
          tx.add(his, 'free', 5n)
        }),
      ).toBe('NOT_AUTHORIZED')
      expect(
        await refused((tx) => {
          tx.add(his, 'free', -5n)
          tx.add(hers, 'free', 5n)
        }),
      ).toBe('COUNTER_BOUNDS')
      // The other half of money from nothing.
      for (const floor of [undefined, -5n]) {
        expect(
          await refused((tx) => {
            tx.create(Any, null, {
              parent: node,
              counters: { owes: { value: -5n, unit: { id: unit }, ...(floor === undefined ? {} : { floor }) } },
            })
            tx.add(his, 'free', 5n)
          }),
        ).toBe('NOT_AUTHORIZED')
      }
      expect(await refused((tx) => tx.delete(hers))).toBe('NOT_AUTHORIZED')
      expect(await refused((tx) => tx.delete(unit))).toBe('NOT_AUTHORIZED')
    })
    // Not even the one who governs it: nobody writes the unit.
    await shared.as('boss', async (chain) => {
      const node = await nodeOf(chain)
      const world = (await chain.named(Account, 'world', { parent: node }))!
      expect(await codeOf(chain.transact((tx) => tx.add(world, 'free', 5n)))).toBe('NOT_CONSERVED')
    })
  })
  it('and readers name counters that no entry explains', async () => {
    const one = await victim('clear')
    await one.chain.transact(async (tx) => {
      tx.add(await one.account('world'), 'free', -5n)
      tx.add(await one.account('b'), 'free', 5n)
    })
    expect((await breach(one)).facts['rule']).toBe('counters change by what is posted')
  })
})
