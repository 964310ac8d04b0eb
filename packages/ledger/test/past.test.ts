/** Old times from marks: they say what reading the whole journal says, and read a bounded piece of it. */
import type { Chain } from '@ate/core'
import { describe, expect, it, vi } from 'vitest'
import { Audit } from '../src/audit.ts'
import { Books } from '../src/books.ts'
import { ledger, type Receipt } from '../src/index.ts'
import { LedgerStore, type Node } from '../src/ledger-store.ts'
import { type IsLater, Past } from '../src/past.ts'
import { all, codeOf, GOLD, gold, Shared } from './kit.ts'
import { type Kept, Program } from './program.ts'

const between = () => 3
const SEEDS = Number(process.env['ATE_LEDGER_SEEDS'] ?? 1)
const STEPS = 50

/** All that is in books, as text, with what holds keep at `time`. */
function textOf({ books }: Audit, time: number): string {
  const accounts = [...books.accounts.values()].map((account) => {
    const { name, value, sums } = account
    return [name, value.closed, Object.values(sums), Object.values(books.position(account, time))]
  })
  return JSON.stringify([accounts, [...books.holds.keys()].sort(), books.entries], (_, value) =>
    typeof value === 'bigint' ? String(value) : value,
  )
}

async function wholly(store: LedgerStore, node: Node, isLater: IsLater, time: number): Promise<string> {
  const audit = new Audit(store, node)
  for await (const _ of audit.read({ until: isLater })) void _
  return textOf(audit, time)
}

async function storeOf(chain: Chain): Promise<[LedgerStore, Node]> {
  const store = new LedgerStore(chain, {})
  return [store, (await store.known())!]
}

describe.each<Kept>(['sealed', 'paged', 'clear'])('%s', (kept) => {
  it.each(Array.from({ length: SEEDS }, (_, i) => i + 1))(
    'the books of each record and of each time are those that reading all of the journal makes, seed %i',
    async (seed) => {
      const shared = new Shared()
      const place = { open: () => shared.open('alice'), advance: (ms: number) => shared.platform.advance(ms) }
      const program = new Program(seed, kept, place)
      await program.begin()
      for (let i = 0; i < STEPS; i++) await program.step()
      const { chain, random } = program
      const [store, node] = await storeOf(chain)
      const past = new Past(store, node, between)
      const times: number[] = []
      for await (const { admittedAt } of chain.records({ from: 0 })) times.push(admittedAt)
      const compare = async (): Promise<void> => {
        const seq = random.below(chain.head.seq + 2)
        const time = times[random.below(times.length)]! + random.below(3) - 1
        for (const isLater of [
          (record: { seq: number }) => record.seq > seq,
          ({ at }: { at: number }) => at > time,
        ] satisfies IsLater[]) {
          const found = await past.at(isLater, (audit) => textOf(audit, time))
          expect(found).toBe(await wholly(store, node, isLater, time))
        }
      }
      for (let i = 0; i < 10; i++) await compare()
      await chain.compact()
      for (let i = 0; i < 6; i++) await compare()
      await chain.close()
    },
  )
})

it('reads a bounded piece for an old time, an old statement and old entries', async () => {
  const shared = new Shared()
  const chain = await shared.open('alice')
  const bank = ledger(chain)
  await bank.account('world', { currency: GOLD, floor: 'none' })
  await bank.account('a', { currency: GOLD })
  const receipts: Receipt[] = []
  for (let batch = 0; batch < 4; batch++) {
    shared.platform.advance(1000)
    const many = Array.from({ length: 2050 }, () => ({ from: 'world', to: 'a', amount: gold(1n) }))
    for await (const outcome of bank.load(many, { batch: 2050 })) receipts[batch] = outcome as Receipt & typeof outcome
  }
  const [first, second, third, fourth] = receipts as [Receipt, Receipt, Receipt, Receipt]
  const from: number[] = []
  const records = chain.records.bind(chain)
  vi.spyOn(chain, 'records').mockImplementation((options) => {
    from.push(options?.from ?? 0)
    return records(options)
  })
  const postedAt = async ({ seq }: Receipt) => (await bank.balance('a', { at: seq })).posted
  expect(await postedAt(fourth)).toBe(8_200n)
  expect(await postedAt(third)).toBe(6_150n)
  expect(await postedAt(first)).toBe(2_050n)
  expect((await all(bank.accounts({ at: third.seq }))).at(-1)).toMatchObject({ name: 'a', posted: 6_150n })
  expect(await codeOf(bank.balance('a', { at: 0 }))).toBe('NOT_FOUND')
  // The whole once; then from the mark before each question.
  const mark = second.seq + 1
  expect(from).toEqual([0, mark, 0, mark, 0])
  from.length = 0
  const late = await bank.statement('a', { since: third.at })
  expect([late.opening, late.lines.length, late.closing]).toEqual([4_100n, 4_100, 8_200n])
  expect((await all(bank.entries({ since: fourth.at }))).length).toBe(2_050)
  const past = await bank.statement('a', { since: fourth.at, until: second.at })
  expect([past.opening, past.lines.length, past.closing]).toEqual([2_050n, 0, 2_050n])
  expect(from).toEqual([mark, mark, 0])
  await chain.close()
})

it('knows when an account was closed, and what holds kept then', async () => {
  const shared = new Shared()
  const chain = await shared.open('alice')
  const bank = ledger(chain)
  await bank.account('world', { currency: GOLD, floor: 'none' })
  for (const name of ['a', 'b']) await bank.account(name, { currency: GOLD })
  const pay = () => bank.transfer({ from: 'world', to: 'a', amount: gold(5n) })
  await pay()
  await bank.hold({ id: 'h', from: 'a', to: 'world', amount: gold(3n) }, { expires: '1h' })
  const { seq: open } = chain.head
  await pay()
  await bank.close('b')
  await pay()
  await bank.capture('h')
  for (let i = 0; i < 3; i++) await pay()
  const [store, node] = await storeOf(chain)
  const past = new Past(store, node, () => 1)
  const then = (seq: number) =>
    past.at(
      (record) => record.seq > seq,
      ({ books }) => {
        const [a, b] = [books.accounts.get('a')!, books.accounts.get('b')!]
        return [b.value.closed, books.position(a, 0).available]
      },
    )
  expect(await then(chain.head.seq)).toEqual([true, 27n])
  expect(await then(open)).toEqual([undefined, 2n])
  expect(await then(open + 1)).toEqual([undefined, 7n])
  expect(await then(open + 3)).toEqual([true, 12n])
  await chain.close()
})

it('goes on after a question that was given up, and still names a record that breaks a rule', async () => {
  const shared = new Shared()
  const chain = await shared.open('alice')
  const bank = ledger(chain)
  await bank.account('world', { currency: GOLD, floor: 'none' })
  await bank.account('a', { currency: GOLD })
  await bank.transfer({ from: 'world', to: 'a', amount: gold(1n) })
  const [store, node] = await storeOf(chain)
  const past = new Past(store, node, () => 1)
  const balance = (isLater: IsLater, signal?: AbortSignal) =>
    past.at(isLater, ({ books }) => books.accounts.get('a')?.sums.credits, signal)
  expect(await balance(() => false)).toBe(1n)
  const { seq } = chain.head
  await bank.transfer({ from: 'world', to: 'a', amount: gold(1n) })
  const given = AbortSignal.abort(new Error('given up'))
  await expect(balance(() => false, given)).rejects.toThrow('given up')
  expect(await balance(() => false)).toBe(2n)
  // A record that was not read to its end is not counted twice.
  await bank.transfer({ from: 'world', to: 'a', amount: gold(2n) })
  const { apply } = Books.prototype
  vi.spyOn(Books.prototype, 'apply').mockImplementationOnce(function (this: Books, ...given) {
    apply.apply(this, given)
    throw new Error('no disk')
  })
  await expect(balance(() => false)).rejects.toThrow('no disk')
  expect(await balance(() => false)).toBe(4n)
  await chain.transact(async (tx) => {
    const account = (await chain.named((await import('../src/ledger-records.ts')).Account, 'a', { parent: node }))!
    await tx.update(account, (value) => ({ ...value, sums: [9n, 9n, 0n, 0n] as const }))
  })
  for (let i = 0; i < 2; i++) expect(await codeOf(balance(() => false))).toBe('RULE_BROKEN')
  expect(await balance((record) => record.seq > seq)).toBe(1n)
  await chain.close()
})
