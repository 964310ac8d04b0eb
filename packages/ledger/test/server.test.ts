/**
 * The ledger over a server: a random program that goes on as another client at every step and does what the model does;
 * many clients at once on one account; coins that are spent twice from two machines.
 * @newest-node-only: a server needs native post-quantum code to be quick
 */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Chain } from '@ate/core'
import { type Served, serve } from '@ate/core/server'
import { seededRandom } from '@ate/core/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { purse } from '../src/coin.ts'
import { type Ledger, ledger, money, openChain } from '../src/index.ts'
import { all, codeOf, GOLD, gold, person } from './kit.ts'
import { Program } from './program.ts'

const SEEDS = Math.min(Number(process.env['ATE_SEEDS'] ?? 1), 20)
const STEPS = 40
const CLIENTS = 4

let folder: string
let server: Served
let count = 0

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ate-ledger-'))
  server = await serve({ listen: 'ws://127.0.0.1:0/db', data: folder })
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

/** Connections to one new chain, each with a copy and an outbox of its own. */
class Clients {
  readonly #name = `bank-${++count}`
  readonly chains: Chain[] = []

  async open(name = 'alice'): Promise<Chain> {
    const [first] = this.chains
    const chain = await openChain(`${server.url}/${this.#name}`, {
      as: await person(name),
      serverKey: server.fingerprint,
      share: false,
      ...(first ? { id: first.id } : { create: true }),
    })
    this.chains.push(chain)
    return chain
  }

  async close(): Promise<void> {
    await Promise.all(this.chains.map((chain) => chain.close()))
  }
}

async function banksOf(clients: Clients, amounts: 'sealed' | 'clear', number = CLIENTS): Promise<Ledger[]> {
  const banks: Ledger[] = []
  // Of those with sealed amounts every second gathers balances in pages.
  while (banks.length < number) {
    const balances = banks.length % 2 === 0 ? 'paged' : 'apart'
    banks.push(ledger(await clients.open(), { amounts, balances }))
  }
  return banks
}

describe.each(['sealed', 'clear'] as const)('%s', (amounts) => {
  it.each(Array.from({ length: SEEDS }, (_, i) => i + 1))(
    'L1 to L5, L7, L9: a random program does what the model does, each step by another client, seed %i',
    async (seed) => {
      const clients = new Clients()
      const program = new Program(seed + 100, amounts, { open: () => clients.open(), advance: undefined })
      await program.begin()
      const banks = [program.bank, ...(await banksOf(clients, amounts, CLIENTS - 1))]
      const random = seededRandom(seed)
      for (let i = 0; i < STEPS; i++) {
        const next = random.below(CLIENTS)
        await program.use(clients.chains[next]!, banks[next]!)
        await program.step()
      }
      await program.end()
      await clients.close()
    },
  )

  it('L2, L3: many clients empty one account at once: as many succeed as it has, each id once, and the books agree', async () => {
    const clients = new Clients()
    const banks = await banksOf(clients, amounts)
    await banks[0]!.account('world', { currency: GOLD, floor: 'none' })
    await banks[0]!.account('hot', { currency: GOLD })
    await banks[0]!.account('sink', { currency: GOLD })
    const units = 24n
    await banks[0]!.transfer({ id: 'in', from: 'world', to: 'hot', amount: gold(units) })
    for (const chain of clients.chains) await chain.refresh()
    const ids = Array.from({ length: 40 }, (_, n) => `t${n}`)
    // Each id twice, by two clients.
    const outcomes = await Promise.all(
      ids.flatMap((id, n) =>
        [n, n + 1].map((client) =>
          codeOf(banks[client % CLIENTS]!.transfer({ id, from: 'hot', to: 'sink', amount: gold(1n) })),
        ),
      ),
    )
    expect(new Set(outcomes)).toEqual(new Set(['none', 'INSUFFICIENT']))
    for (const [i, bank] of banks.entries()) {
      await clients.chains[i]!.refresh()
      const left = await bank.balance('hot')
      expect([left.posted, (await bank.balance('sink')).posted]).toEqual([0n, units])
      for (const { debits, credits } of (await bank.trial()).values()) expect(debits).toBe(credits)
    }
    // Of an id of which one call succeeded, the other one did not move money a second time.
    const moved = (await all(banks[0]!.entries())).filter(({ from }) => from === 'hot')
    expect([moved.length, new Set(moved.map(({ id }) => id)).size]).toEqual([24, 24])
    await banks[1]!.verify()
    await clients.close()
  })

  it('L1, L2: whoever looks while others pay finds all the money, and nobody below zero', async () => {
    const clients = new Clients()
    const banks = await banksOf(clients, amounts)
    const [one, two, ...readers] = banks as [Ledger, Ledger, ...Ledger[]]
    await one.account('world', { currency: GOLD, floor: 'none' })
    const persons = ['a', 'b', 'c', 'd']
    for (const name of persons) await one.account(name, { currency: GOLD })
    await one.atomic(persons.map((name) => ({ id: `in ${name}`, from: 'world', to: name, amount: gold(10n) })))
    for (const chain of clients.chains) await chain.refresh()
    let isOver = false
    const looking = readers.map(async (bank) => {
      let last = 0
      for (let looks = 0; looks < 6 && !isOver; looks++) {
        last = await look(bank, last)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    })
    const random = seededRandom(7)
    const outcomes = await Promise.all(
      Array.from({ length: 24 }, (_, n) => {
        const from = random.below(4)
        const to = (from + 1 + random.below(3)) % 4
        const amount = gold(BigInt(1 + random.below(8)))
        return codeOf((n % 2 === 0 ? one : two).transfer({ from: persons[from]!, to: persons[to]!, amount }))
      }),
    ).finally(() => {
      isOver = true
    })
    expect(outcomes).toContain('none')
    for (const code of outcomes) expect(['none', 'INSUFFICIENT']).toContain(code)
    await Promise.all(looking)
    for (const chain of clients.chains) await chain.refresh()
    for (const bank of banks) await look(bank, 0)
    await one.verify()
    await clients.close()

    /** A look that no record crosses. Its seq: no reader goes back. */
    async function look(bank: Ledger, last: number): Promise<number> {
      const found = (await all(bank.accounts())).map(({ name, posted, seq }) => ({ name, posted, seq }))
      const seq = found[0]!.seq
      // An old look of the journal is exact whatever is written meanwhile.
      const then = await all(bank.accounts({ at: seq }))
      const looks = found.every((account) => account.seq === seq) ? [found, then] : [then]
      for (const accounts of looks) {
        expect(accounts.reduce((sum, { posted }) => sum + posted, 0n)).toBe(0n)
        for (const { name, posted } of accounts) expect(name === 'world' ? -posted : posted).toBeGreaterThanOrEqual(0n)
        expect(accounts.find(({ name }) => name === 'world')?.posted).toBe(-40n)
      }
      expect(seq).toBeGreaterThanOrEqual(last)
      return seq
    }
  })
})

it('L3: who closes an account in a page and who posts in it at once: one of them is told', async () => {
  const clients = new Clients()
  const banks: Ledger[] = []
  while (banks.length < 2) banks.push(ledger(await clients.open(), { balances: 'paged' }))
  const [bank, other] = banks as [Ledger, Ledger]
  const names = Array.from({ length: 6 }, (_, i) => `account-${i}`)
  for (const name of ['world', ...names]) await bank.account(name, { currency: GOLD, floor: 'none' })
  const pay = (to: string, amount: bigint) => bank.transfer({ from: 'world', to, amount: gold(amount) })
  // Each with its place, acknowledged, and posted in again: read no more.
  for (let round = 0; round < 2; round++) {
    await Promise.all(names.map((name) => pay(name, 1n)))
    await Promise.all(names.map((to) => bank.transfer({ from: to, to: 'world', amount: gold(1n) })))
  }
  const outcomes: string[] = []
  for (const name of names) {
    const [closed, paid] = await Promise.all([codeOf(other.close(name)), codeOf(pay(name, 1n))])
    outcomes.push(`${closed} ${paid}`)
    expect(['none ACCOUNT_CLOSED', 'ACCOUNT_NOT_EMPTY none']).toContain(outcomes.at(-1))
    if (closed === 'none') expect(await codeOf(pay(name, 1n))).toBe('ACCOUNT_CLOSED')
  }
  await ledger(clients.chains[1]!).verify()
  await clients.close()
})

it('L8: a coin that one owner spends from two machines at once is spent once, whatever the server orders first', async () => {
  const clients = new Clients()
  const [alice, bob, carol] = [await person('alice'), await person('bob'), await person('carol')]
  const mint = await clients.open('mint')
  const coins = await Promise.all(Array.from({ length: 8 }, () => purse(mint, GOLD).mint(money(GOLD, '10'), alice)))
  const machines = [await clients.open('alice'), await clients.open('alice')]
  const [here, there] = machines.map((chain) => purse(chain, GOLD))
  const spent = await Promise.all(
    coins.map((coin) =>
      Promise.all([codeOf(here!.give(coin, bob)), codeOf(there!.carve(coin, [money(GOLD, '4'), money(GOLD, '6')]))]),
    ),
  )
  for (const pair of spent) expect(pair.filter((code) => code === 'none').length).toBe(1)
  const given = spent.filter(([give]) => give === 'none').length
  const bobs = await clients.open('bob')
  expect((await all(purse(bobs, GOLD).coins())).length).toBe(given)
  await machines[0]!.refresh()
  expect((await all(here!.coins())).length).toBe(2 * (coins.length - given))
  expect(await purse(bobs, GOLD).supply()).toEqual(money(GOLD, '80'))
  expect(
    await codeOf(purse(bobs, GOLD).give(coins[spent.findIndex(([give]) => give === 'none')] ?? coins[0]!, carol)),
  ).toBe(given > 0 ? 'none' : 'NOT_AUTHORIZED')
  expect((await bobs.verify()).ok).toBe(true)
  await clients.close()
})

it('a server that shows one spending to one and another to another is caught by whoever has seen both', async () => {
  const [alice, bob, carol] = [await person('alice'), await person('bob'), await person('carol')]
  const [data, copy] = [join(folder, 'honest'), join(folder, 'forked')]
  const start = (at: string): Promise<Served> => serve({ listen: 'ws://127.0.0.1:0/db', data: at })
  let evil = await start(data)
  const serverKey = evil.fingerprint
  const open = (as: typeof alice, id?: string): Promise<Chain> =>
    openChain(`${evil.url}/coins`, { as, serverKey, share: false, ...(id === undefined ? { create: true } : { id }) })
  const mint = await open(await person('mint'))
  const coin = await purse(mint, GOLD).mint(money(GOLD, '10'), alice)
  await mint.close()
  await evil.close()
  cpSync(data, copy, { recursive: true })

  evil = await start(data)
  const hers = await open(alice, mint.id)
  await purse(hers, GOLD).give(coin, bob)
  await hers.close()
  const his = await open(bob, mint.id)
  expect((await all(purse(his, GOLD).coins())).length).toBe(1)
  await his.close()
  await evil.close()

  // The same server, with the history in which the coin was never given.
  evil = await start(copy)
  const codes = [
    await codeOf(open(alice, mint.id)),
    await codeOf(open(carol, mint.id)),
    await codeOf(open(bob, mint.id)),
  ]
  expect(codes).toEqual(['ROLLBACK', 'ROLLBACK', 'ROLLBACK'])
  await evil.close()
})
