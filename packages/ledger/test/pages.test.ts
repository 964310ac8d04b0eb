/**
 * Balances in pages: what a page is, that the same is posted as apart, what came before goes on, and that whoever writes a page
 * or a place that does not fit is named.
 */
import { type Chain, defineType, type Entity, type LogEngine, memoryEngine, openChain } from '@ate/core'
import { seededRandom } from '@ate/core/testing'
import { describe, expect, it } from 'vitest'
import { Books, type LedgerEvent } from '../src/books.ts'
import { AteError, currency, type Ledger, ledger, money, type Transfer } from '../src/index.ts'
import {
  Account,
  type AccountValue,
  GATE,
  LedgerNode,
  Page,
  type PageValue,
  type SumsValue,
} from '../src/ledger-records.ts'
import { PAGE_SLOTS, pageValue, slotsOf } from '../src/pages.ts'
import { all, codeOf, GOLD, gold, openByHand, person, platformOf, Shared } from './kit.ts'

/** As before pages said who is closed. */
const OldPage = defineType<PageValue>('ledger-page')
const bytes = (...sums: number[]): PageValue => ({ sums: Uint8Array.from(sums) })
const nodeOf = async (chain: Chain) => (await chain.children(LedgerNode).page())[0]!
const pagesOf = async (chain: Chain) => all(chain.children(Page, await nodeOf(chain)))

describe('a page', () => {
  it('keeps sums of any size', () => {
    const slots: SumsValue[] = [
      [0n, 127n, 128n, 16_384n],
      [(1n << 53n) - 1n, 1n << 53n, (1n << 53n) + 1n, (1n << 49n) - 1n],
      [1n << 49n, 1n << 126n, (1n << 126n) - 1n, 1n << 63n],
    ]
    const { sums } = pageValue(slots, [])
    expect(slotsOf({ sums })).toEqual(slots)
    expect(sums.length).toBe(1 + 1 + 2 + 3 + 8 + 8 + 8 + 7 + 8 + 19 + 18 + 10)
  })
  it.each([
    ['nothing', undefined],
    ['no bytes', { sums: [1, 2, 3, 4] }],
    ['a slot that is cut', bytes(1, 2, 3)],
    ['a sum that is cut', bytes(1, 2, 3, 128)],
    ['a sum that is longer than it must be', bytes(1, 2, 3, 128, 0)],
    ['a sum that is too large', bytes(1, 2, 3, ...Array.from({ length: 19 }, () => 255), 1)],
    ['a closed slot that is not there', { sums: Uint8Array.from([1, 1, 1, 1]), closed: [1] }],
    ['a closed slot twice', { sums: Uint8Array.from([1, 1, 1, 1]), closed: [0, 0] }],
    ['a closed slot that is no number', { sums: Uint8Array.from([1, 1, 1, 1]), closed: ['0'] }],
    ['closed slots that are no list', { sums: Uint8Array.from([1, 1, 1, 1]), closed: 0 }],
    ['a slot too many', bytes(...Array.from({ length: 4 * (PAGE_SLOTS + 1) }, () => 1))],
  ])('is none: %s', (_, value) => expect(slotsOf(value)).toBeUndefined())
})

describe('a page that is made of the one before', () => {
  it('has the bytes that it would have alone', () => {
    const random = seededRandom(7)
    const sums = (): SumsValue => [BigInt(random.below(300)), 0n, 1n << BigInt(random.below(120)), 5n]
    let before = pageValue([sums()], [])
    for (let round = 0; round < 200; round++) {
      const slots = slotsOf(before)!.map((kept) => (random.oneIn(3) ? sums() : kept))
      if (slots.length < PAGE_SLOTS && random.oneIn(2)) slots.push(sums())
      const made = pageValue(slots, [], before)
      expect(made.sums).toEqual(pageValue(slots, []).sums)
      expect(slotsOf({ ...made })).toEqual(slots)
      before = made
    }
    expect(slotsOf(before)!.length).toBe(PAGE_SLOTS)
  })
})

const COUNT = 150
const somebodyElse = await person('somebody else')
const transfers = (round: string, count: number): Transfer[] =>
  Array.from({ length: count }, (_, i) => ({
    id: `${round}-${i}`,
    from: i % 7 === 0 ? 'world' : `account-${i % COUNT}`,
    to: `account-${(i * 31 + 1) % COUNT}`,
    amount: gold(BigInt(1 + (i % 5))),
  })).filter(({ from, to }) => from !== to)

async function opened(chain: Chain, bank: Ledger): Promise<Ledger> {
  await chain.transact(async (tx) => {
    await bank.account('world', { currency: GOLD, floor: 'none' }, { tx })
    for (let i = 0; i < COUNT; i++) await bank.account(`account-${i}`, { currency: GOLD, floor: -1000n }, { tx })
  })
  return bank
}

async function loaded(bank: Ledger, round: string, count: number): Promise<void> {
  for await (const outcome of bank.load(transfers(round, count), { batch: 100 }))
    expect(outcome).toMatchObject({ ok: true })
}

const balancesOf = async (bank: Ledger) =>
  (await all(bank.accounts())).map(({ name, posted, pending, available }) => [name, posted, pending, available])

describe('balances in pages', () => {
  it('are those of balances apart, over restarts, compaction, and handles of both kinds', async () => {
    const apart = await opened(...(await both(new Shared(), 'apart')))
    const shared = new Shared()
    const [chain, paged] = await both(shared, 'paged')
    await opened(chain, paged)
    for (const bank of [apart, paged]) await loaded(bank, 'first', 300)
    expect((await pagesOf(chain)).length).toBe(Math.ceil((COUNT + 1) / PAGE_SLOTS))
    const node = await nodeOf(chain)
    const world = await chain.named(Account, 'world', { parent: node })
    expect(world!.value).toMatchObject({ place: expect.any(Number) })
    expect(world!.value.sums).toBeUndefined()
    expect(await balancesOf(paged)).toEqual(await balancesOf(apart))
    await chain.compact()
    await chain.close()

    // Who was not told of pages posts in them all the same.
    const [again, other] = await both(shared, 'apart')
    for (const bank of [apart, other]) {
      await loaded(bank, 'second', 200)
      await loaded(bank, 'second', 200)
      await bank.transfer({ id: 'one', from: 'world', to: 'account-3', amount: gold(9n) })
      const hold = await bank.hold({ id: 'h', from: 'account-3', to: 'world', amount: gold(5n) }, { expires: '1h' })
      await hold.capture(gold(2n))
    }
    expect(await balancesOf(other)).toEqual(await balancesOf(apart))
    expect((await other.verify()).root).toBe((await apart.verify()).root)
    await again.compact()
    expect((await other.verify()).root).toBe((await apart.verify()).root)
    await again.close()
  })

  it.each([
    ['floor', { floor: 'none' }, {}, 'debited', ['ok', 'INSUFFICIENT']],
    ['ceiling', {}, { ceiling: 5n }, 'credited', ['ok', 'OVER_CEILING']],
    [
      'normal side',
      { floor: -5n, ceiling: 5n },
      { floor: -5n, ceiling: 5n, normal: 'debit' },
      'credited',
      ['OVER_CEILING', 'INSUFFICIENT'],
    ],
    ['currency', {}, { currency: currency('LEAD', 2) }, 'credited', ['ok', 'CURRENCY_MISMATCH']],
    ['debitors', { floor: 'none' }, { floor: 'none', debitors: [somebodyElse] }, 'debited', ['ok', 'NOT_AUTHORIZED']],
    ['scale', {}, { currency: currency('GOLD', 3) }, 'credited', ['ok', 'CURRENCY_MISMATCH']],
  ] as const)('hold an account to its own %s, whatever the one before it has', async (_, plain, other, way, codes) => {
    const [chain, bank] = await both(new Shared(), 'paged')
    const unit = 'currency' in other ? other.currency : GOLD
    await bank.account('plain', { currency: GOLD, ...plain })
    const isBefore = unit.code === GOLD.code && unit.scale !== GOLD.scale
    if (isBefore) await openByHand(chain, 'other', unit, 0n)
    else await bank.account('other', { currency: unit, ...other })
    for (const name of ['world', 'sink']) {
      await bank.account(name, { currency: GOLD, floor: 'none' })
      if (isBefore) await openByHand(chain, `${name} of other`, unit)
      else await bank.account(`${name} of other`, { currency: unit, floor: 'none' })
    }
    const load = async (id: string, pays: readonly Omit<Transfer, 'id'>[]): Promise<string[]> => {
      const outcomes = await all(bank.load(pays.map((pay, i) => ({ id: `${id}-${i}`, ...pay }))))
      return outcomes.map((outcome) => (outcome.ok ? 'ok' : outcome.error.code))
    }
    // The first that posts in them gives them places, the second reads them there, and the third knows them.
    for (const [plainTo, otherTo] of [
      ['sink', 'sink of other'],
      ['plain', 'other'],
    ] as const)
      for (const id of ['first', 'second'])
        expect(
          await load(`${id} in ${plainTo}`, [
            { from: 'world', to: plainTo, amount: gold(1n) },
            { from: 'world of other', to: otherTo, amount: money(unit, 1n) },
          ]),
        ).toEqual(['ok', 'ok'])
    const pay = (account: string) => {
      const [from, to] = way === 'debited' ? [account, 'world'] : ['world', account]
      return { from, to, amount: gold(10n) }
    }
    expect(await load('third', [pay('plain'), pay('other')])).toEqual(codes)
    await bank.verify()
    await chain.close()
  })

  it('take over accounts that had theirs apart, a few at a time, and close them', async () => {
    const shared = new Shared()
    const [chain, before] = await both(shared, 'apart')
    await opened(chain, before)
    await loaded(before, 'first', 100)
    const bank = ledger(chain, { balances: 'paged' })
    await bank.transfer({ from: 'account-1', to: 'account-2', amount: gold(4n) })
    const [page] = await pagesOf(chain)
    expect(slotsOf(page!.value)!.length).toBe(2)
    await before.transfer({ from: 'account-2', to: 'account-5', amount: gold(1n) })
    const { posted } = await bank.balance('account-1')
    if (posted !== 0n) {
      const [from, to] = posted > 0n ? ['account-1', 'world'] : ['world', 'account-1']
      await bank.transfer({ from, to, amount: gold(posted > 0n ? posted : -posted) })
    }
    expect(await codeOf(bank.close('world'))).toBe('ACCOUNT_NOT_EMPTY')
    await bank.close('account-1')
    expect(await codeOf(bank.transfer({ from: 'world', to: 'account-1', amount: gold(1n) }))).toBe('ACCOUNT_CLOSED')
    await bank.verify()
    await chain.compact()
    await bank.verify()
    await chain.close()
  })

  it('say who is closed to who does not read the account again', async () => {
    const [chain, bank] = await both(new Shared(), 'paged')
    await opened(chain, bank)
    // Twice: what is acknowledged with its place need not be read from then on.
    for (const round of ['first', 'second']) await loaded(bank, round, 200)
    const other = ledger(chain)
    const back = async (name: string): Promise<void> => {
      const { posted } = await other.balance(name)
      const [from, to] = posted > 0n ? [name, 'world'] : ['world', name]
      if (posted !== 0n) await other.transfer({ from, to, amount: gold(posted > 0n ? posted : -posted) })
      await other.close(name)
    }
    for (const name of ['account-9', 'account-3', 'account-20']) await back(name)
    const closed = (await pagesOf(chain)).flatMap(({ value }) => value.closed!)
    expect(closed.length).toBe(3)
    const pay = (to: string) => codeOf(bank.transfer({ from: 'world', to, amount: gold(1n) }))
    expect(await Promise.all(['account-9', 'account-4', 'account-3'].map(pay))).toEqual([
      'ACCOUNT_CLOSED',
      'none',
      'ACCOUNT_CLOSED',
    ])
    await bank.verify()
    // Where somebody takes that out of a page, the accounts are read again.
    for (const page of await pagesOf(chain)) await chain.transact((tx) => tx.update(page, ({ sums }) => ({ sums })))
    expect(await Promise.all(['account-20', 'account-4'].map(pay))).toEqual(['ACCOUNT_CLOSED', 'none'])
    await chain.close()
  })

  it('guard what is not read again: an account that is posted in costs no guard of its own', async () => {
    const [chain, bank] = await both(new Shared(), 'paged')
    await opened(chain, bank)
    for (const round of ['first', 'second']) await loaded(bank, round, 200)
    const pages = (await pagesOf(chain)).length
    await loaded(bank, 'third', 100)
    let guards = 0
    for await (const { transactions } of chain.records({ from: chain.head.seq }))
      for (const one of transactions) guards += one.guards.version!
    expect(guards).toBeGreaterThan(0)
    expect(guards).toBeLessThanOrEqual(pages)
    await chain.close()
  })

  it('count the debits of an account with debitors, also when it is not read again', async () => {
    const [chain, bank] = await both(new Shared(), 'paged')
    await bank.account('world', { currency: GOLD, floor: 'none', debitors: [await person('boss')] })
    await bank.account('a', { currency: GOLD })
    for (let round = 0; round < 3; round++) await bank.transfer({ from: 'world', to: 'a', amount: gold(2n) })
    const world = await chain.named(Account, 'world', { parent: await nodeOf(chain) })
    expect(chain.counter(world!, GATE)).toBe(3n)
    await bank.verify()
    await chain.close()
  })

  it('are of another account where the place of the first was taken back', async () => {
    const engine = memoryEngine()
    let isFull = false
    const append: LogEngine['append'] = async (...given) => {
      if (!isFull) return engine.append(...given)
      // The next batch is judged on top of this one meanwhile.
      await new Promise((resolve) => setTimeout(resolve, 50))
      throw new AteError('DISK_FULL', {})
    }
    const full = new Proxy(engine, {
      get(target, name) {
        const member: unknown = name === 'append' ? append : Reflect.get(target, name, target)
        return typeof member === 'function' ? member.bind(target) : member
      },
    })
    const chain = await openChain(full, { as: await person('boss') }, platformOf())
    const bank = ledger(chain, { balances: 'paged' })
    for (const name of ['world', 'a', 'b', 'c']) await bank.account(name, { currency: GOLD, floor: 'none' })
    const pay = (id: string, from: string, to: string): Transfer => ({ id, from, to, amount: gold(1n) })
    isFull = true
    const lost = await all(bank.load([pay('1', 'world', 'a'), pay('2', 'world', 'a')], { batch: 1 }))
    expect(lost.map((one) => !one.ok && one.error.code)).toEqual(['DISK_FULL', 'DISK_FULL'])
    isFull = false
    for (const id of ['3', '4']) await bank.transfer(pay(id, 'b', 'c'))
    for (const id of ['5', '6']) await bank.transfer(pay(id, 'world', 'a'))
    await bank.verify()
    expect((await bank.balance('a')).posted).toBe(2n)
    expect((await bank.balance('c')).posted).toBe(2n)
    await chain.close()
  })

  it('go on if a version of before made them: then accounts are read, and who is closed is said there', async () => {
    const [chain, bank] = await both(new Shared(), 'paged')
    for (const name of ['world', 'a', 'b']) await bank.account(name, { currency: GOLD, floor: 'none' })
    const node = await nodeOf(chain)
    await chain.transact(async (tx) => {
      const names = ['world', 'a', 'b']
      for (const [place, name] of names.entries()) {
        const { sums: _, ...terms } = (await tx.named(Account, name, { parent: node }))!.value
        tx.put(Account, name, { ...terms, place }, { parent: node })
      }
      const none: SumsValue = [0n, 0n, 0n, 0n]
      tx.create(OldPage, { sums: pageValue([none, none, none], undefined).sums }, { parent: node, name: '0' })
    })
    for (let i = 0; i < 3; i++) await bank.transfer({ from: 'world', to: 'b', amount: gold(1n) })
    await ledger(chain).close('a')
    expect(await codeOf(bank.transfer({ from: 'world', to: 'a', amount: gold(1n) }))).toBe('ACCOUNT_CLOSED')
    expect((await pagesOf(chain))[0]!.value.closed).toBeUndefined()
    await bank.verify()
    await chain.close()
  })

  it('are not read by a version of before, which would not say in them whom it closes', async () => {
    const [chain, bank] = await both(new Shared(), 'paged')
    await opened(chain, bank)
    await loaded(bank, 'first', 10)
    const [page] = chain.children(Page, await nodeOf(chain)).ids()
    expect(await codeOf(chain.get(OldPage, page!))).toBe('NEEDS_UPGRADE')
    await chain.close()
  })

  it('are written by two calls of one transaction, and not at all by one that is given up', async () => {
    const [chain, bank] = await both(new Shared(), 'paged')
    await opened(chain, bank)
    const pay = (amount: bigint) => ({ from: 'world', to: 'account-1', amount: gold(amount) })
    await bank.transfer(pay(100n), { dryRun: true })
    expect(await pagesOf(chain)).toEqual([])
    await chain.transact(async (tx) => {
      await Promise.all([bank.transfer(pay(3n), { tx }), bank.transfer(pay(4n), { tx })])
    })
    expect((await bank.balance('account-1')).posted).toBe(7n)
    await bank.verify()
    await chain.close()
  })

  it('of two ledgers of one chain are apart', async () => {
    const chain = await new Shared().open('boss')
    const banks = ['one', 'two'].map((name) => ledger(chain, { name, balances: 'paged' }))
    for (const [i, bank] of banks.entries()) {
      await bank.account('world', { currency: GOLD, floor: 'none' })
      await bank.account('a', { currency: GOLD })
      for (let k = 0; k < 2 + i; k++) await bank.transfer({ from: 'world', to: 'a', amount: gold(5n) })
    }
    for (const [i, bank] of banks.entries()) {
      await bank.verify()
      expect((await bank.balance('a')).posted).toBe(10n + 5n * BigInt(i))
    }
    await chain.close()
  })

  it('may be dropped by compaction here and there', () => {
    const books = new Books('sealed')
    const account = (name: string): AccountValue => ({
      currency: ['GOLD', 2],
      normal: 'credit',
      ...(name === 'world' ? {} : { floor: 0n }),
      sums: [0n, 0n, 0n, 0n],
    })
    const placed = (name: string, place: number): LedgerEvent => {
      const { sums: _, ...terms } = account(name)
      return { kind: 'account', entity: name, name, value: { ...terms, place } }
    }
    const entry = (name: string): LedgerEvent => {
      return { kind: 'entry', name, value: { kind: 'post', from: 'world', to: 'a', units: 5n } }
    }
    const page = (...slots: SumsValue[]): LedgerEvent => ({ kind: 'page', number: 0, value: pageValue(slots, []) })
    const dropped: LedgerEvent = { kind: 'page', number: 0, value: undefined }
    const apply = (...events: LedgerEvent[]): void =>
      books.apply(
        { seq: 1, at: 0, txId: '', author: undefined, events },
        { original: () => undefined, holdEntity: () => undefined },
      )
    for (const name of ['world', 'a']) apply({ kind: 'open', entity: name, name, value: account(name), counters: [] })
    apply(entry('1'), placed('world', 0), placed('a', 1), page([5n, 0n, 0n, 0n], [0n, 5n, 0n, 0n]))
    apply(entry('2'), dropped)
    apply(entry('3'), page([15n, 0n, 0n, 0n], [0n, 15n, 0n, 0n]))
    expect(() => apply(entry('4'))).toThrow('RULE_BROKEN')
    expect(() => apply(page([20n, 0n, 0n, 0n], [0n, 15n, 0n, 0n]))).toThrow('RULE_BROKEN')
  })

  it('are refused as an option that is none', async () => {
    const chain = await new Shared().open('boss')
    expect(await codeOf(() => ledger(chain, { balances: 'together' as 'apart' }))).toBe('BAD_ARGUMENT')
    await chain.close()
  })
})

async function both(shared: Shared, balances: 'apart' | 'paged'): Promise<[Chain, Ledger]> {
  const chain = await shared.open('boss')
  return [chain, ledger(chain, { balances })]
}

describe('whoever writes what does not fit is named', () => {
  interface Scene {
    readonly chain: Chain
    readonly bank: Ledger
    readonly page: Entity<PageValue>
    readonly node: Entity<unknown>
    readonly account: (name: string) => Promise<Entity<AccountValue>>
  }
  async function scene(): Promise<Scene> {
    const [chain, bank] = await both(new Shared(), 'paged')
    await bank.account('world', { currency: GOLD, floor: 'none' })
    await bank.account('a', { currency: GOLD })
    await bank.account('b', { currency: GOLD })
    await bank.account('c', { currency: GOLD })
    await bank.transfer({ id: 'first', from: 'world', to: 'a', amount: gold(100n) })
    await bank.transfer({ from: 'world', to: 'c', amount: gold(1n) })
    await bank.transfer({ from: 'c', to: 'world', amount: gold(1n) })
    const node = await nodeOf(chain)
    const account = async (name: string) => (await chain.named(Account, name, { parent: node }))!
    return { chain, bank, page: (await pagesOf(chain))[0]!, node, account }
  }
  const rich: SumsValue = [0n, 500n, 0n, 0n]
  const sums = ({ page }: Scene, slot: number) => slotsOf(page.value)![slot]!
  type Attack = readonly [string, string | RegExp, (one: Scene) => Promise<unknown>]
  const attacks: readonly Attack[] = [
    [
      'a page in which an account has more',
      'a balance is the sum of its entries',
      (one) => one.chain.transact((tx) => tx.update(one.page, () => pageValue([sums(one, 0), rich, sums(one, 2)], []))),
    ],
    [
      'a page that lacks an account',
      'a balance is the sum of its entries',
      (one) => one.chain.transact((tx) => tx.update(one.page, () => pageValue([sums(one, 0)], []))),
    ],
    [
      'a page that is none',
      'a page is well formed',
      (one) => one.chain.transact((tx) => tx.update(one.page, () => bytes(1, 2, 3))),
    ],
    [
      'an account that is closed and not so in its page',
      'an account that is closed is so in its page',
      async (one) => {
        const account = await one.account('c')
        await one.chain.transact((tx) => tx.update(account, (value) => ({ ...value, closed: true as const })))
      },
    ],
    [
      'a page that closes an account',
      'an account that is closed is so in its page',
      (one) => one.chain.transact((tx) => tx.update(one.page, (value) => ({ ...value, closed: [2] }))),
    ],
    [
      'a page that opens an account again',
      'an account that is closed is so in its page',
      async (one) => {
        await one.bank.close('c')
        await one.chain.transact((tx) => tx.update(one.page, (value) => ({ ...value, closed: [] })))
      },
    ],
    [
      'a page that does not say any more who is closed',
      'a page says who is closed from its beginning on',
      (one) => one.chain.transact((tx) => tx.update(one.page, ({ sums: kept }) => ({ sums: kept }))),
    ],
    ['a page that is gone', 'what is posted stands', (one) => one.chain.transact((tx) => tx.delete(one.page))],
    [
      'an account in the place of another',
      'a place is of one account',
      async (one) => {
        const account = await one.account('b')
        await one.chain.transact((tx) => tx.update(account, ({ sums: _, ...terms }) => ({ ...terms, place: 1 })))
      },
    ],
    [
      'an account in a place that nobody wrote',
      'a balance stands in its page',
      async (one) => {
        const account = await one.account('b')
        await one.chain.transact((tx) => tx.update(account, ({ sums: _, ...terms }) => ({ ...terms, place: 700 })))
      },
    ],
    [
      'an account that has sums beside its place',
      'a balance stands in its page',
      async (one) => {
        const account = await one.account('a')
        await one.chain.transact((tx) =>
          tx.update(account, (value) => ({ ...value, sums: [0n, 100n, 0n, 0n] as const })),
        )
      },
    ],
    [
      'an account that leaves its place',
      'the terms of an account stand',
      async (one) => {
        const account = await one.account('a')
        await one.chain.transact((tx) =>
          tx.update(account, ({ place: _, ...terms }) => ({ ...terms, sums: [0n, 100n, 0n, 0n] as const })),
        )
      },
    ],
    [
      'an account that begins in a place',
      'an account begins open and empty',
      (one) =>
        one.chain.transact((tx) => {
          const value: AccountValue = { currency: ['GOLD', 2], normal: 'credit', floor: 0n, place: 1 }
          tx.create(Account, { ...value, sums: [0n, 0n, 0n, 0n] }, { parent: one.node, name: 'twin' })
        }),
    ],
    [
      'an account with a place that is no number',
      'an account is well formed',
      async (one) => {
        const account = await one.account('b')
        await one.chain.transact((tx) =>
          tx.update(account, (value) => ({ ...value, place: 'first' as unknown as number })),
        )
      },
    ],
  ]
  it.each(attacks)('%s', async (_, rule, attack) => {
    const one = await scene()
    await one.bank.verify()
    await attack(one)
    const error = (await one.bank.verify().catch((reason) => reason)) as AteError
    expect(error.code).toBe('RULE_BROKEN')
    expect(error.facts).toMatchObject({ rule, seq: one.chain.head.seq })
    await one.chain.close()
  })

  it('and who posts in such an account, not the others of his batch', async () => {
    const one = await scene()
    const account = await one.account('b')
    await one.chain.transact((tx) => tx.update(account, ({ sums: _, ...terms }) => ({ ...terms, place: 700 })))
    const pay = (to: string) => codeOf(one.bank.transfer({ from: 'world', to, amount: gold(1n) }))
    expect(await Promise.all([pay('a'), pay('b'), pay('a')])).toEqual(['none', 'RULE_BROKEN', 'none'])
    expect(await codeOf(one.bank.balance('b'))).toBe('RULE_BROKEN')
    await one.chain.close()
  })

  it('a page that nobody finds under its number says nothing', async () => {
    const one = await scene()
    await one.chain.transact((tx) => {
      tx.create(Page, pageValue([rich, rich], []), { parent: one.node, name: 'a page' })
      tx.create(Page, pageValue([rich, rich], []), { parent: one.node })
    })
    await one.bank.transfer({ from: 'world', to: 'b', amount: gold(1n) })
    await one.bank.verify()
    expect((await one.bank.balance('a')).posted).toBe(100n)
    await one.chain.close()
  })
})
