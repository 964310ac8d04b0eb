/** What the API promises: one effect an id, one commit for many callers, transactions shared with others, and a crash. */
import { type Chain, defineType, type Effect, effectsInto, openChain, type Transaction } from '@ate/core'
import { afterAll, describe, expect, it } from 'vitest'
import { unhandledIn } from '../../../scripts/lib/unhandled.ts'
import { type Ledger, ledger, money, type Outcome, type Transfer, USD } from '../src/index.ts'
import { all, codeOf, GOLD, gold, person, platformOf, Shared, SILVER } from './kit.ts'

async function bankOf(
  amounts: 'sealed' | 'clear' = 'sealed',
  shared = new Shared(),
): Promise<{ chain: Chain; bank: Ledger; shared: Shared }> {
  const chain = await shared.open('boss')
  const bank = ledger(chain, { amounts })
  await bank.account('world', { currency: GOLD, floor: 'none' })
  await bank.account('a', { currency: GOLD })
  await bank.account('b', { currency: GOLD })
  return { chain, bank, shared }
}

describe.each(['sealed', 'clear'] as const)('%s', (amounts) => {
  const callers = 200
  it(`${callers} callers share one commit, and each is told its own`, async () => {
    const half = callers / 2
    const { chain, bank } = await bankOf(amounts)
    await bank.transfer({ from: 'world', to: 'a', amount: gold(BigInt(half)) })
    const before = chain.head.seq
    const codes = await Promise.all(
      Array.from({ length: callers }, (_, i) =>
        codeOf(bank.transfer({ id: `n${i}`, from: 'a', to: 'b', amount: gold(1n) })),
      ),
    )
    expect(codes.filter((code) => code === 'none').length).toBe(half)
    expect(codes.filter((code) => code === 'INSUFFICIENT').length).toBe(half)
    expect(codes.slice(0, half).every((code) => code === 'none')).toBe(true)
    expect(chain.head.seq - before).toBe(1)
    expect((await bank.balance('b')).posted).toBe(BigInt(half))
    // The same again has no effect: those that went through are there, the others are poor still.
    const again = await Promise.all(
      Array.from({ length: callers }, (_, i) =>
        bank.transfer({ id: `n${i}`, from: 'a', to: 'b', amount: gold(1n) }).then(
          ({ existed, seq }) => existed && seq === before + 1,
          (error) => error.code,
        ),
      ),
    )
    expect(again.slice(0, half).every((answer) => answer === true)).toBe(true)
    expect(again.slice(half).every((answer) => answer === 'INSUFFICIENT')).toBe(true)
    expect((await bank.balance('b')).posted).toBe(BigInt(half))
    await chain.close()
  })

  it('L3: one id is one effect: at once, in turn, in groups, over a restart', async () => {
    const { chain, bank, shared } = await bankOf(amounts)
    const one: Transfer = {
      id: 'x',
      from: 'world',
      to: 'a',
      amount: gold(10n),
      ref: 'r',
      meta: { z: 1, y: [true, null] },
    }
    const receipts = await Promise.all([
      bank.transfer(one),
      bank.transfer({ ...one, meta: { y: [true, null], z: 1 } }),
      bank.transfer(one),
    ])
    expect(receipts.map(({ existed }) => existed)).toEqual([false, true, true])
    expect(new Set(receipts.map(({ seq }) => seq)).size).toBe(1)
    for (const other of [
      { ref: 'q' },
      { amount: gold(11n) },
      { to: 'b' },
      { meta: 1 },
      { code: 'c' },
      { effective: new Date(5) },
    ])
      expect(await codeOf(bank.transfer({ ...one, ...other }))).toBe('ID_REUSED')
    expect(await codeOf(bank.atomic([one, { ...one, id: 'y' }]))).toBe('ID_REUSED')
    expect(
      await codeOf(
        bank.atomic([
          { ...one, id: 'y' },
          { ...one, id: 'y' },
        ]),
      ),
    ).toBe('ID_REUSED')
    expect(await codeOf(bank.hold(one, { expires: '1h' }))).toBe('ID_REUSED')
    await chain.close()
    await shared.as('boss', async (again) => {
      const reopened = ledger(again)
      const { seq, at, existed } = await reopened.transfer(one)
      expect([existed, seq, at]).toEqual([true, receipts[0]!.seq, receipts[0]!.at])
      expect((await reopened.balance('a')).posted).toBe(10n)
    })
  })

  it('a transaction of the caller holds several verbs, and other things, or none', async () => {
    const { chain, bank } = await bankOf(amounts)
    const Note = defineType<string>('note')
    await chain.transact(async (tx) => {
      tx.create(Note, 'paid')
      await bank.account('new', { currency: GOLD }, { tx })
      await bank.transfer({ id: 't1', from: 'world', to: 'new', amount: gold(9n) }, { tx })
      const hold = await bank.hold({ from: 'new', to: 'b', amount: gold(4n) }, { expires: '1h', tx })
      await hold.capture(gold(3n), { tx })
      // Two at once on one transaction go one after the other.
      await Promise.all([
        bank.transfer({ from: 'new', to: 'a', amount: gold(1n) }, { tx }),
        bank.transfer({ from: 'new', to: 'a', amount: gold(2n) }, { tx }),
      ])
      await bank.reverse('t1', { tx }).catch((error) => expect(error.code).toBe('INSUFFICIENT'))
    })
    expect((await bank.balance('new')).available).toBe(3n)
    const failed = chain.transact(async (tx) => {
      tx.create(Note, 'never')
      await bank.transfer({ from: 'world', to: 'a', amount: gold(1n) }, { tx })
      await bank.transfer({ from: 'b', to: 'a', amount: gold(999n) }, { tx })
    })
    expect(await codeOf(failed)).toBe('INSUFFICIENT')
    expect(chain.children(Note).count()).toBe(1)
    expect((await bank.balance('a')).posted).toBe(3n)
    await bank.verify()
    await chain.close()
  })

  it('effects of a job are staged when they run, in the order of the calls', async () => {
    const { chain, bank } = await bankOf(amounts)
    const registered: Effect[] = []
    const tx = effectsInto((effect) => registered.push(effect))
    expect(await bank.account('new', { currency: GOLD }, { tx })).toEqual({ account: 'new' })
    expect(await bank.transfer({ id: 't1', from: 'world', to: 'new', amount: gold(9n) }, { tx })).toMatchObject({
      id: 't1',
    })
    const hold = await bank.hold({ id: 'h1', from: 'new', to: 'b', amount: gold(4n) }, { expires: '1h', tx })
    await hold.capture(gold(3n), { tx })
    await bank.atomic([{ from: 'new', to: 'a', amount: gold(6n) }], { tx })
    await bank.close('new', { tx })
    expect(await codeOf(bank.balance('new'))).toBe('NOT_FOUND')
    const run = (real: Transaction) =>
      registered.reduce((before, effect) => before.then(() => effect(real)), Promise.resolve<unknown>(0))
    await chain.transact(run)
    expect((await bank.balance('a')).posted).toBe(6n)
    expect((await bank.balance('b')).posted).toBe(3n)
    expect(await codeOf(bank.transfer({ from: 'world', to: 'new', amount: gold(1n) }))).toBe('ACCOUNT_CLOSED')
    await bank.verify()
    await chain.close()
  })

  it('L5: later ones of a group see earlier ones, and order counts', async () => {
    const { chain, bank } = await bankOf(amounts)
    await bank.atomic([
      { from: 'world', to: 'a', amount: gold(5n) },
      { from: 'a', to: 'b', amount: gold(5n) },
    ])
    const wrong = bank.atomic([
      { from: 'a', to: 'b', amount: gold(5n) },
      { from: 'world', to: 'a', amount: gold(5n) },
    ])
    expect(await codeOf(wrong)).toBe('INSUFFICIENT')
    expect((await all(bank.entries())).map(({ group }) => group !== undefined)).toEqual([true, true])
    await chain.close()
  })

  it('many are loaded, each on its own', async () => {
    const { chain, bank } = await bankOf(amounts)
    const before = chain.head.seq
    async function* rows(): AsyncGenerator<Transfer> {
      for (let i = 0; i < 900; i++) {
        if (i % 100 === 7) yield { id: `r${i}`, from: 'b', to: 'a', amount: gold(10_000n) }
        else if (i % 100 === 8) yield { id: `r${i}`, from: 'world', to: 'nobody', amount: gold(1n) }
        else if (i % 100 === 9) yield { id: `r${i}`, from: 'world', to: 'a', amount: 1.5 as never }
        else
          yield {
            id: `r${i - (i % 100 === 10 ? 6 : 0)}`,
            from: 'world',
            to: i % 100 === 10 || i % 100 === 4 ? 'b' : 'a',
            amount: gold(1n),
          }
      }
    }
    const outcomes: Outcome[] = await all(bank.load(rows(), { batch: 300 }))
    const codes = outcomes.map((outcome) => (outcome.ok ? (outcome.existed ? 'again' : 'ok') : outcome.error.code))
    for (let i = 0; i < 900; i += 100)
      expect(codes.slice(i + 7, i + 11)).toEqual(['INSUFFICIENT', 'NOT_FOUND', 'BAD_AMOUNT', 'again'])
    expect(codes.filter((code) => code === 'ok').length).toBe(900 - 36)
    expect(chain.head.seq - before).toBeLessThanOrEqual(3)
    expect((await bank.balance('a')).posted + (await bank.balance('b')).posted).toBe(BigInt(900 - 36))
    await chain.close()
  })

  it('a transaction looks at no account of a call that it has no room for', async () => {
    const { chain, bank } = await bankOf(amounts)
    for (const name of ['c', 'd']) await bank.account(name, { currency: GOLD, floor: 'none' })
    const { seq } = chain.head
    const group = Array.from({ length: 4096 }, (_, i) => ({ id: `g${i}`, from: 'c', to: 'd', amount: gold(1n) }))
    await Promise.all([bank.transfer({ id: 'one', from: 'world', to: 'a', amount: gold(1n) }), bank.atomic(group)])
    const guards: number[] = []
    for await (const { transactions } of chain.records({ from: seq + 1 }))
      for (const one of transactions) guards.push(one.guards.version ?? 0)
    expect(guards).toEqual([2, 2])
    await bank.verify()
    await chain.close()
  })

  it('an id that comes twice in one turn is one transfer, also where there is no room for a second', async () => {
    const { chain, bank } = await bankOf(amounts)
    await bank.account('full', { currency: GOLD, ceiling: 5n })
    const one: Transfer = { id: 'one', from: 'world', to: 'full', amount: gold(5n) }
    const [first, second] = await Promise.all([bank.transfer(one), bank.transfer(one)])
    expect([first!.existed, second!.existed]).toEqual([false, true])
    await bank.verify()
    await chain.close()
  })

  it('a load that is left, ended or fails at its source leaves no rejection that nobody hears of', async () => {
    const transfer = (id: string): Transfer => ({ id, from: 'world', to: 'a', amount: gold(1n) })
    // What is no refusal of one transfer ends a load.
    const bad = Object.defineProperty(transfer('bad'), 'amount', {
      get: () => {
        throw new Error('a transfer that cannot be read')
      },
    })
    const { chain, bank } = await bankOf(amounts)
    const unhandled = await unhandledIn(async () => {
      for await (const { id, ok } of bank.load([transfer('one'), bad, transfer('two')], { batch: 1 })) {
        expect([id, ok]).toEqual(['one', true])
        break
      }
      const ending = new AbortController()
      const ended = bank.load(
        (function* () {
          yield bad
          ending.abort(new Error('ended'))
          yield transfer('three')
        })(),
        { batch: 1, signal: ending.signal },
      )
      await expect(all(ended)).rejects.toThrow('ended')
      const failing = (function* () {
        yield bad
        throw new Error('no more of them')
      })()
      await expect(all(bank.load(failing, { batch: 1 }))).rejects.toThrow('no more of them')
      await expect(all(bank.load([transfer('four'), bad], { batch: 1 }))).rejects.toThrow('cannot be read')
    })
    expect(unhandled).toEqual([])
    await chain.close()
  })

  it('what no record holds is parted before it is judged, and no part runs twice', async () => {
    const { chain, bank } = await bankOf(amounts)
    const accounts = 1500
    await Promise.all(
      Array.from({ length: accounts }, (_, i) => bank.account(`account ${i}`, { currency: GOLD, floor: 'none' })),
    )
    const transfers = Array.from({ length: 4096 }, (_, i) => ({
      id: `t${i}`,
      from: `account ${i % accounts}`,
      to: `account ${(i * 7 + 1) % accounts}`,
      amount: gold(1n),
      ref: 'r'.repeat(100),
    })).filter(({ from, to }) => from !== to)
    let parts = 0
    let runs = 0
    let refused = 0
    const transact = chain.transact.bind(chain)
    chain.transact = (run, options) => {
      parts++
      return transact((tx) => {
        runs++
        return run(tx)
      }, options).catch((error) => {
        refused++
        throw error
      })
    }
    const outcomes = await all(bank.load(transfers))
    expect(outcomes.every(({ ok }) => ok)).toBe(true)
    expect(outcomes.map(({ id }) => id)).toEqual(transfers.map(({ id }) => id))
    expect(parts).toBeGreaterThan(1)
    expect([runs, refused]).toEqual([parts, 0])
    await bank.verify()
    await chain.close()
  })

  it('L4: a hold is void when it is left, unless it was captured', async () => {
    const { chain, bank, shared } = await bankOf(amounts)
    await bank.transfer({ from: 'world', to: 'a', amount: gold(100n) })
    const used = async (capture: boolean): Promise<void> => {
      const hold = await bank.hold({ from: 'a', to: 'b', amount: gold(60n) }, { expires: '1h' })
      try {
        expect(await codeOf(bank.transfer({ from: 'a', to: 'b', amount: gold(41n) }))).toBe('INSUFFICIENT')
        if (capture) await hold.capture(gold(25n))
      } finally {
        await hold[Symbol.asyncDispose]()
      }
    }
    await used(false)
    expect(await bank.balance('a')).toMatchObject({ posted: 100n, available: 100n })
    await used(true)
    expect(await bank.balance('a')).toMatchObject({ posted: 75n, pending: 75n, available: 75n })
    // What has run out is free for whoever needs it, though nobody has said so.
    const hold = await bank.hold({ id: 'late', from: 'a', to: 'b', amount: gold(75n) }, { expires: '1h' })
    shared.platform.advance(3_600_000)
    expect(await bank.balance('a')).toMatchObject({ posted: 75n, available: 75n })
    await bank.transfer({ from: 'a', to: 'b', amount: gold(75n) })
    expect(await codeOf(hold.capture())).toBe('HOLD_EXPIRED')
    await hold[Symbol.asyncDispose]()
    expect((await all(bank.entries())).map(({ kind }) => kind)).toEqual([
      'post',
      'hold',
      'void',
      'hold',
      'capture',
      'hold',
      'expire',
      'post',
    ])
    expect(await bank.expire()).toBe(0)
    await bank.verify()
    await chain.close()
  })

  it('readers of old times see old balances, and watchers see what comes', async () => {
    const { chain, bank, shared } = await bankOf(amounts)
    const stop = new AbortController()
    const seen: string[] = []
    const watching = (async () => {
      for await (const entry of bank.watch({ account: 'a', signal: stop.signal })) seen.push(entry.id)
    })().catch(() => {})
    const receipts = []
    for (let i = 0; i < 5; i++) {
      receipts.push(
        await bank.transfer({
          id: `t${i}`,
          from: 'world',
          to: i === 3 ? 'b' : 'a',
          amount: gold(10n),
          ref: `ref${i % 2}`,
        }),
      )
      shared.platform.advance(1000)
    }
    for (let i = 0; i < 5; i++) {
      const sum = BigInt(10 * [1, 2, 3, 3, 4][i]!)
      expect((await bank.balance('a', { at: receipts[i]!.seq })).posted).toBe(sum)
      expect((await bank.balance('a', { at: receipts[i]!.at })).posted).toBe(sum)
      expect((await bank.balance('a', { at: new Date(receipts[i]!.at.getTime() + 999) })).posted).toBe(sum)
    }
    expect(await codeOf(bank.balance('a', { at: 1 }))).toBe('NOT_FOUND')
    const ids = async (query: Parameters<Ledger['entries']>[0]): Promise<string> =>
      (await all(bank.entries(query))).map(({ id }) => id).join()
    expect(await ids({ account: 'b' })).toBe('t3')
    expect(await ids({ order: 'desc', limit: 2 })).toBe('t4,t3')
    expect(await ids({ ref: 'ref1', limit: 1 })).toBe('t1')
    expect(await ids({ since: receipts[1]!.at, until: receipts[3]!.at })).toBe('t1,t2')
    const statement = await bank.statement('a', { since: receipts[1]!.at })
    expect([statement.opening, statement.closing, statement.lines.map(({ balance }) => balance).join()]).toEqual([
      10n,
      40n,
      '20,30,40',
    ])
    const { seq: fourth } = receipts[3]!
    const then = await all(bank.accounts({ at: fourth }))
    expect(then.map(({ name, posted, seq }) => [name, posted, seq - fourth])).toEqual([
      ['world', -40n, 0],
      ['a', 30n, 0],
      ['b', 10n, 0],
    ])
    expect((await all(bank.accounts({ at: 1 }))).map(({ name }) => name)).not.toContain('b')
    // Before it was opened an account has an empty statement; one that never was has none.
    expect(await bank.statement('b', { until: new Date(0) })).toMatchObject({ opening: 0n, closing: 0n, lines: [] })
    expect(await codeOf(bank.statement('nobody', { until: new Date(0) }))).toBe('NOT_FOUND')
    expect((await bank.trial({ at: receipts[0]!.seq })).get('GOLD')).toEqual({ debits: 10n, credits: 10n })
    expect((await bank.trial()).get('GOLD')).toEqual({ debits: 50n, credits: 50n })
    while (seen.length < 4) await new Promise((resolve) => setImmediate(resolve))
    stop.abort()
    await watching
    expect(seen.join()).toBe('t0,t1,t2,t4')
    await chain.close()
  })

  it('money of the debit side: what one has', async () => {
    const { chain, bank } = await bankOf(amounts)
    await bank.account('cash', { currency: GOLD, normal: 'debit', ceiling: 100n })
    await bank.transfer({ from: 'cash', to: 'a', amount: gold(80n) })
    expect(await bank.balance('cash')).toMatchObject({ posted: 80n, available: 80n })
    expect(await codeOf(bank.transfer({ from: 'cash', to: 'a', amount: gold(21n) }))).toBe('OVER_CEILING')
    await bank.transfer({ from: 'world', to: 'b', amount: gold(200n) })
    const hold = await bank.hold({ from: 'b', to: 'cash', amount: gold(50n) }, { expires: '1h' })
    expect(await bank.balance('cash')).toMatchObject({ posted: 80n, pending: 30n, available: 30n })
    expect(await codeOf(bank.transfer({ from: 'b', to: 'cash', amount: gold(31n) }))).toBe('INSUFFICIENT')
    await hold.capture()
    expect(await bank.balance('cash')).toMatchObject({ posted: 30n, available: 30n })
    await bank.verify()
    await chain.close()
  })
})

it('an abort before staging leaves nothing, and after it is INDETERMINATE with the id to try again', async () => {
  const { chain, bank } = await bankOf()
  const before = new AbortController()
  const early = codeOf(bank.transfer({ id: 'e', from: 'world', to: 'a', amount: gold(1n) }, { signal: before.signal }))
  before.abort(new Error('early'))
  expect(await early).toBe('Error: early')
  const after = new AbortController()
  const late = bank
    .transfer({ from: 'world', to: 'a', amount: gold(1n) }, { signal: after.signal })
    .catch((error) => error)
  await Promise.resolve()
  await Promise.resolve()
  after.abort()
  const error = await late
  expect(error.code).toBe('INDETERMINATE')
  const again = await bank.transfer({ id: error.facts.id, from: 'world', to: 'a', amount: gold(1n) })
  expect(again.existed).toBe(true)
  expect((await bank.balance('a')).posted).toBe(1n)
  await chain.close()
})

it.each([{}, { amounts: 'clear' }, { balances: 'paged' }] as const)(
  'a ledger that is made in a transaction that fails is made by the next (%o)',
  async (options) => {
    const chain = await new Shared().open('boss')
    const bank = ledger(chain, options)
    const begin = async (tx: Transaction): Promise<void> => {
      await bank.account('world', { currency: GOLD, floor: 'none' }, { tx })
      await bank.account('a', { currency: GOLD }, { tx })
      await bank.transfer({ from: 'world', to: 'a', amount: gold(5n) }, { tx })
    }
    const failed = chain.transact(async (tx) => {
      await begin(tx)
      throw new Error('given up')
    })
    expect(await codeOf(failed)).toBe('Error: given up')
    await chain.transact(begin)
    await bank.account('world', { currency: GOLD, floor: 'none' })
    await bank.transfer({ from: 'world', to: 'a', amount: gold(5n) })
    expect([(await bank.balance('a')).posted, (await bank.verify()).entries]).toEqual([10n, 2])
    await chain.close()
  },
)

it('two ledgers on one chain do not meet', async () => {
  const { chain, bank } = await bankOf()
  const other = ledger(chain, { name: 'other', amounts: 'clear' })
  await other.account('a', { currency: SILVER, floor: 'none' })
  await other.account('b', { currency: SILVER })
  await other.transfer({ id: 'x', from: 'a', to: 'b', amount: money(SILVER, 3n) })
  await bank.transfer({ id: 'x', from: 'world', to: 'a', amount: gold(3n) })
  expect((await bank.balance('a')).posted).toBe(3n)
  expect((await other.balance('a')).posted).toBe(-3n)
  expect((await other.verify()).entries).toBe(1)
  expect((await all(bank.accounts())).map(({ name }) => name)).toEqual(['world', 'a', 'b'])
  expect(await codeOf(ledger(chain, { amounts: 'clear' }).balance('a'))).toBe('BAD_ARGUMENT')
  await chain.close()
})

describe('likely mistakes', () => {
  const one = bankOf()
  afterAll(async () => {
    const { chain, bank } = await one
    await chain.close()
    expect(await codeOf(bank.transfer({ from: 'world', to: 'a', amount: gold(1n) }))).toBe('CHAIN_CLOSED')
  })
  const transfer: Transfer = { from: 'world', to: 'a', amount: gold(1n) }
  it.each<[string, string, (bank: Ledger) => Promise<unknown> | undefined]>([
    ['a number as amount', 'BAD_AMOUNT', (bank) => bank.transfer({ ...transfer, amount: 5 as never })],
    [
      'units as a number',
      'BAD_AMOUNT',
      (bank) => bank.transfer({ ...transfer, amount: { currency: GOLD, units: 5 as never } }),
    ],
    ['0', 'BAD_AMOUNT', (bank) => bank.transfer({ ...transfer, amount: gold(0n) })],
    ['below 0', 'BAD_AMOUNT', (bank) => bank.transfer({ ...transfer, amount: gold(-1n) })],
    ['another currency', 'CURRENCY_MISMATCH', (bank) => bank.transfer({ ...transfer, amount: money(USD, '1') })],
    [
      'another scale',
      'CURRENCY_MISMATCH',
      (bank) => bank.transfer({ ...transfer, amount: { currency: { code: 'GOLD', scale: 3 }, units: 1n } }),
    ],
    ['no such account', 'NOT_FOUND', (bank) => bank.transfer({ ...transfer, to: 'nobody' })],
    ['to itself', 'BAD_ARGUMENT', (bank) => bank.transfer({ ...transfer, to: 'world' })],
    ['an empty name', 'BAD_ARGUMENT', (bank) => bank.transfer({ ...transfer, to: '' })],
    ['an id of the ledger', 'RESERVED_NAME', (bank) => bank.transfer({ ...transfer, id: 'reverse:x' })],
    ['an id of 129 characters', 'BAD_ARGUMENT', (bank) => bank.transfer({ ...transfer, id: 'x'.repeat(129) })],
    ['a text as date', 'BAD_ARGUMENT', (bank) => bank.transfer({ ...transfer, effective: '2026-01-01' as never })],
    ['much meta', 'BAD_ARGUMENT', (bank) => bank.transfer({ ...transfer, meta: 'x'.repeat(5000) })],
    ['meta in a circle', 'BAD_ARGUMENT', (bank) => bank.transfer({ ...transfer, meta: circle() })],
    ['a bigint in meta', 'BAD_ARGUMENT', (bank) => bank.transfer({ ...transfer, meta: 5n as never })],
    ['no group', 'BAD_ARGUMENT', (bank) => bank.atomic([])],
    ['a hold without a time', 'BAD_ARGUMENT', (bank) => bank.hold(transfer, { expires: 0 })],
    ['a hold that does not say when', 'BAD_ARGUMENT', (bank) => bank.hold(transfer, undefined as never)],
    ['a hold of no duration', 'BAD_ARGUMENT', (bank) => bank.hold(transfer, { expires: 'soon' as never })],
    ['a capture of no hold', 'NOT_FOUND', (bank) => bank.capture('none')],
    ['a reversal of a reversal', 'BAD_ARGUMENT', (bank) => bank.reverse('reverse:x')],
    ['a floor above 0', 'BAD_ARGUMENT', (bank) => bank.account('x', { currency: GOLD, floor: 1n })],
    [
      'a ceiling below the floor',
      'BAD_ARGUMENT',
      (bank) => bank.account('x', { currency: GOLD, floor: -1n, ceiling: -2n }),
    ],
    ['a floor as a number', 'BAD_AMOUNT', (bank) => bank.account('x', { currency: GOLD, floor: 5 as never })],
    ['other terms', 'ID_REUSED', (bank) => bank.account('a', { currency: GOLD, ceiling: 5n })],
    [
      'closing with money',
      'ACCOUNT_NOT_EMPTY',
      async (bank) => {
        await bank.transfer(transfer)
        await bank.close('a')
      },
    ],
    ['books of a time that is none', 'BAD_ARGUMENT', (bank) => all(bank.accounts({ at: new Date('x') }))],
    ['a time that is none', 'BAD_ARGUMENT', (bank) => bank.balance('a', { at: new Date('x') })],
    ['a batch of 0', 'BAD_ARGUMENT', (bank) => all(bank.load([transfer], { batch: 0 }))],
    ['no chain', 'BAD_ARGUMENT', async () => void ledger({} as never)],
  ])('%s is %s', async (_, code, run) => {
    const { bank } = await one
    expect(await codeOf(run(bank) as Promise<unknown>)).toBe(code)
  })
})

it('the text for an id of the ledger names what begins so', async () => {
  const { chain, bank } = await bankOf()
  const transfer = { from: 'world', to: 'a', amount: gold(1n), id: 'resolve:x' }
  await expect(bank.transfer(transfer)).rejects.toThrow('resolve:, reverse: or ate: are made by the ledger itself')
  await chain.close()
})

function circle(): never {
  const made: { self?: unknown } = {}
  made.self = made
  return made as never
}

describe.each(['sealed', 'clear'] as const)('%s: a power cut', (amounts) => {
  it('L3: after any operation of the disk, nothing acknowledged is lost and nothing is there twice', async () => {
    for (let cut = 1; cut < 40; cut += 4) {
      const platform = platformOf(cut)
      const as = await person('boss')
      const open = (): Promise<Chain> => openChain('file:/books', { as }, platform)
      const first = await open()
      const bank = ledger(first, { amounts })
      await bank.account('world', { currency: GOLD, floor: 'none' })
      await bank.account('a', { currency: GOLD })
      const disk = platform.disk('/books')
      disk.faults = { ...disk.faults, cutAfter: disk.counts.operations + cut }
      const wanted: Transfer[] = Array.from({ length: 12 }, (_, i) => ({
        id: `t${i}`,
        from: 'world',
        to: 'a',
        amount: gold(BigInt(i + 1)),
      }))
      const acknowledged = new Set<string>()
      for (const transfer of wanted) {
        const code = await codeOf(bank.transfer(transfer).then(({ id }) => acknowledged.add(id)))
        if (code !== 'none') break
      }
      await first.close().catch(() => {})
      disk.crash()
      const again = await open()
      const after = ledger(again)
      const present = new Set((await all(after.entries())).map(({ id }) => id))
      for (const id of acknowledged) expect(present).toContain(id)
      // Whoever does not know tries again, and all is there once.
      for (const transfer of wanted) expect((await after.transfer(transfer)).existed).toBe(present.has(transfer.id!))
      expect((await after.balance('a')).posted).toBe(78n)
      await after.verify()
      await again.close()
    }
  })
})
