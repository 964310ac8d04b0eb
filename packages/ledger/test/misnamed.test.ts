/**
 * Names that lie. A name is sealed beside the value and stands blinded in the id, and its author writes both: one who holds the keys
 * may seal another name than that of the id. Whoever reads the journal names him, and nobody else.
 */
import type { Chain, Entity } from '@ate/core'
import { quickPlatform } from '@ate/core/testing'
import { describe, expect, it } from 'vitest'
import { type AteError, type Ledger, ledger } from '../src/index.ts'
import {
  Account,
  type AccountValue,
  Entry,
  type EntryValue,
  Hold,
  type HoldValue,
  LedgerNode,
  type LedgerValue,
  Page,
} from '../src/ledger-records.ts'
import { LedgerStore } from '../src/ledger-store.ts'
import { pageValue, slotsOf } from '../src/pages.ts'
import { Past } from '../src/past.ts'
import { all, codeOf, GOLD, gold, Shared } from './kit.ts'

/** `COLLECTION NAME` as it is sealed, and what the name is blinded as in the id. */
type Lies = Map<string, string>

function liar(): { readonly shared: Shared; readonly lies: Lies } {
  const lies: Lies = new Map()
  const { crypto } = quickPlatform(1)
  const lying = new Proxy(crypto, {
    get(target, name) {
      if (name !== 'hmacSha256') {
        const found = Reflect.get(target, name, target) as unknown
        return typeof found === 'function' ? (found.bind(target) as unknown) : found
      }
      return (key: Uint8Array, given: Uint8Array): Uint8Array => {
        const text = new TextDecoder('latin1').decode(given)
        for (const [told, blinded] of lies) {
          const [collection, sealed] = told.split(' ') as [string, string]
          if (!text.endsWith(collection + sealed)) continue
          const before = given.subarray(0, given.length - sealed.length)
          return target.hmacSha256(key, Uint8Array.from([...before, ...new TextEncoder().encode(blinded)]))
        }
        return target.hmacSha256(key, given)
      }
    },
  })
  return { shared: new Shared(quickPlatform(1, { crypto: lying })), lies }
}

interface Scene {
  readonly shared: Shared
  readonly chain: Chain
  readonly bank: Ledger
  readonly node: Entity<LedgerValue>
  readonly account: (name: string) => Promise<Entity<AccountValue>>
  /** Runs with names that lie. */
  readonly lying: (lies: Readonly<Record<string, string>>, run: () => Promise<unknown>) => Promise<void>
}

interface SceneOptions {
  readonly amounts?: 'sealed' | 'clear'
  readonly balances?: 'apart' | 'paged'
}

async function scene({ amounts = 'sealed', balances = 'apart' }: SceneOptions = {}): Promise<Scene> {
  const { shared, lies } = liar()
  const chain = await shared.open('boss')
  const bank = ledger(chain, { amounts, balances })
  await bank.account('world', { currency: GOLD, floor: 'none' })
  await bank.account('a', { currency: GOLD })
  await bank.account('b', { currency: GOLD })
  await bank.transfer({ id: 'first', from: 'world', to: 'a', amount: gold(100n) })
  const node = (await chain.children(LedgerNode).page())[0]!
  const account = async (name: string) => (await chain.named(Account, name, { parent: node }))!
  const lying = async (told: Readonly<Record<string, string>>, run: () => Promise<unknown>): Promise<void> => {
    for (const [sealed, blinded] of Object.entries(told)) lies.set(sealed, blinded)
    try {
      await run()
    } finally {
      lies.clear()
    }
  }
  return { shared, chain, bank, node, account, lying }
}

/** All who read the journal stop at the newest record, of a handle that knows nothing of the lie. */
async function breach({ chain }: Scene): Promise<AteError['facts']> {
  const bank = ledger(chain)
  const { seq } = chain.head
  const ways = [bank.verify(), bank.trial(), all(bank.entries()), bank.balance('a', { at: seq })]
  let facts: AteError['facts'] = {}
  for (const way of ways) {
    const error = (await way.then(
      () => expect.unreachable('nobody saw it'),
      (reason: unknown) => reason,
    )) as AteError
    expect(error).toMatchObject({ code: 'RULE_BROKEN', facts: { seq, author: chain.identity } })
    facts = error.facts
  }
  await chain.close()
  return facts
}

/** The same entity by another name. */
const renamed = <T>(entity: Entity<T>, name: string): Entity<T> =>
  new Proxy(entity, { get: (target, key) => (key === 'name' ? name : (Reflect.get(target, key, target) as unknown)) })

const post = (value: Partial<EntryValue> = {}): EntryValue => ({
  kind: 'post',
  from: 'a',
  to: 'b',
  units: 5n,
  ...value,
})
const move = async ({ chain, account }: Scene, make: (tx: Parameters<Parameters<Chain['transact']>[0]>[0]) => void) => {
  const [a, b] = [await account('a'), await account('b')]
  await chain.transact(async (tx) => {
    make(tx)
    await tx.update(Account, a, (value) => ({ ...value, sums: add(value.sums!, 0) }))
    await tx.update(Account, b, (value) => ({ ...value, sums: add(value.sums!, 1) }))
  })
}
const add = (sums: NonNullable<AccountValue['sums']>, side: 0 | 1): NonNullable<AccountValue['sums']> => {
  const [debits, credits, heldDebits, heldCredits] = sums
  return side === 0 ? [debits + 5n, credits, heldDebits, heldCredits] : [debits, credits + 5n, heldDebits, heldCredits]
}

describe('an entry', () => {
  it('under the id of another', async () => {
    const one = await scene()
    await one.lying({ 'ledger-entry hers': 'mine' }, () =>
      move(one, (tx) => tx.create(Entry, post(), { parent: one.node, name: 'hers' })),
    )
    expect(await breach(one)).toMatchObject({ rule: 'an entry has the id that it is posted under', entry: 'hers' })
  })
  it('that reverses a second time, under the id of the first', async () => {
    const one = await scene()
    await one.bank.transfer({ id: 'paid', from: 'a', to: 'b', amount: gold(5n) })
    await one.bank.reverse('paid')
    await one.bank.transfer({ from: 'a', to: 'b', amount: gold(5n) })
    const again = post({ kind: 'reverse', of: 'paid' })
    await one.lying({ 'ledger-entry reverse:paid': 'x' }, () =>
      move(one, (tx) => tx.create(Entry, { ...again, from: 'b', to: 'a' }, { parent: one.node, name: 'reverse:paid' })),
    )
    expect((await breach(one))['rule']).toBe('an entry has the id that it is posted under')
  })
  it('without a name for its id', async () => {
    const one = await scene()
    await move(one, (tx) => tx.create(Entry, post(), { parent: one.node }))
    expect((await breach(one))['rule']).toBe('an entry is well formed')
  })
  it('that expires, so that its id is free again', async () => {
    const one = await scene()
    await move(one, (tx) => tx.create(Entry, post(), { parent: one.node, name: 'brief', ttl: '1h' }))
    expect((await breach(one))['rule']).toBe('what is posted stands')
  })
})

describe('an account', () => {
  it.each(['sealed', 'clear'] as const)('%s: opened under the name of another', async (amounts) => {
    const one = await scene({ amounts })
    await one.lying({ 'ledger-account hers': 'mine' }, () => one.bank.account('hers', { currency: GOLD }))
    expect(await breach(one)).toMatchObject({
      rule: 'an account has the name that it is opened under',
      account: 'hers',
    })
  })
  it('that calls itself another later', async () => {
    const one = await scene()
    const a = await one.account('a')
    await one.chain.transact(async (tx) => {
      const { value } = (await tx.get(Account, a))!
      tx.replace(
        new Proxy(a, { get: (target, key) => (key === 'name' ? 'b' : Reflect.get(target, key, target)) }),
        value,
      )
    })
    expect(await breach(one)).toMatchObject({ rule: 'an account has the name that it is opened under', account: 'a' })
  })
})

describe('a hold', () => {
  const hold = { id: 'h', from: 'a', to: 'b', amount: gold(50n) }
  const day = { expires: '1d' } as const
  type Attack = readonly [string, string, (one: Scene) => Promise<unknown>]
  const held = async ({ chain, account }: Scene): Promise<Entity<HoldValue>> =>
    (await chain.named(Hold, 'h', { parent: await account('a') }))!
  const attacks: readonly Attack[] = [
    [
      'that stands under the id of another',
      'an open hold stands below its account',
      (one) => one.lying({ 'ledger-hold i': 'other' }, () => one.bank.hold({ ...hold, id: 'i' }, day)),
    ],
    [
      'that no entry has made',
      'a hold stands in the journal',
      async ({ chain, account }) => {
        const [a, b] = [await account('a'), await account('b')]
        const value: HoldValue = { from: a.id, to: b.id, units: 1n, until: 1 }
        await chain.transact((tx) => tx.create(Hold, value, { parent: a, name: 'mine' }))
      },
    ],
    [
      'that says another time than its entry',
      'a hold keeps what it says',
      async ({ chain, account, node }) => {
        const [a, b] = [await account('a'), await account('b')]
        const until = chain.now + 86_400_000
        await chain.transact(async (tx) => {
          const value: EntryValue = { kind: 'hold', from: 'a', to: 'b', units: 5n, until }
          tx.create(Entry, value, { parent: node, name: 'short' })
          tx.create(Hold, { from: a.id, to: b.id, units: 5n, until: until - 1 }, { parent: a, name: 'short' })
        })
      },
    ],
    [
      'that is changed',
      'what is posted stands',
      async (one) => {
        const entity = await held(one)
        await one.chain.transact((tx) => tx.update(entity, (value) => ({ ...value, units: 1n })))
      },
    ],
    [
      'that is gone and not resolved',
      'a hold stands until it is resolved',
      async (one) => {
        const entity = await held(one)
        await one.chain.transact((tx) => tx.delete(entity))
      },
    ],
    [
      'that is resolved and still there',
      'a hold that is resolved is gone',
      async ({ chain, node, account }) => {
        const [a, b] = [await account('a'), await account('b')]
        await chain.transact(async (tx) => {
          const value: EntryValue = { kind: 'void', from: 'a', to: 'b', units: 50n, of: 'h' }
          tx.create(Entry, value, { parent: node, name: 'resolve:h' })
          for (const one of [a, b])
            await tx.update(one, (before) => ({ ...before, sums: [before.sums![0], before.sums![1], 0n, 0n] as const }))
        })
      },
    ],
    [
      'that expires by itself',
      'what is posted stands',
      async ({ chain, account }) => {
        const a = await account('a')
        const value: HoldValue = { from: a.id, to: a.id, units: 1n, until: 1 }
        await chain.transact((tx) => tx.create(Hold, value, { parent: a, name: 'brief', ttl: '1h' }))
      },
    ],
    [
      'that is moved there',
      'what is posted stands',
      async ({ chain, account }) => {
        const a = await account('a')
        const value: HoldValue = { from: a.id, to: a.id, units: 1n, until: 1 }
        const { id } = await chain.transact((tx) => tx.create(Hold, value))
        await chain.transact((tx) => tx.move(id, { parent: a }))
      },
    ],
  ]
  it.each(attacks)('%s', async (_, rule, attack) => {
    const one = await scene()
    await one.bank.hold(hold, day)
    await one.bank.verify()
    await attack(one)
    expect((await breach(one))['rule']).toBe(rule)
  })
  it('that is gone is missed from each mark on', async () => {
    const one = await scene()
    await one.bank.hold(hold, day)
    const store = new LedgerStore(one.chain, {})
    const past = new Past(store, (await store.known())!, () => 1)
    const look = (): Promise<number> =>
      past.at(
        () => false,
        ({ books }) => books.holds.size,
      )
    expect(await look()).toBe(1)
    const entity = await held(one)
    await one.chain.transact((tx) => tx.delete(entity))
    for (let i = 0; i < 2; i++) expect(await codeOf(look())).toBe('RULE_BROKEN')
    await one.chain.close()
  })
  it('clear: that keeps another amount than its entry', async () => {
    const one = await scene({ amounts: 'clear' })
    await one.bank.hold(hold, day)
    await one.bank.verify()
    const [a, b] = [await one.account('a'), await one.account('b')]
    const until = one.chain.now + 86_400_000
    await one.chain.transact(async (tx) => {
      const value: EntryValue = { kind: 'hold', from: 'a', to: 'b', units: 5n, until }
      tx.create(Entry, value, { parent: one.node, name: 'less' })
      tx.create(Hold, { from: a.id, to: b.id, units: 5n, until }, { parent: a, name: 'less' })
      tx.add(a, 'out', 5n)
      tx.add(b, 'in', 5n)
    })
    expect((await breach(one))['rule']).toBe('a hold keeps what it says')
  })
  it('of a transaction that resolves it at once, and of one of many, is as it should be', async () => {
    for (const amounts of ['sealed', 'clear'] as const) {
      const one = await scene({ amounts })
      await one.chain.transact(async (tx) => {
        await one.bank.hold(hold, { ...day, tx })
        await one.bank.capture('h', gold(2n), { tx })
        await one.bank.hold({ ...hold, id: 'i' }, { ...day, tx })
      })
      await Promise.all([
        one.bank.void('i'),
        one.bank.hold({ ...hold, id: 'j' }, day),
        one.bank.hold({ ...hold, id: 'k', amount: gold(9n) }, day),
      ])
      await one.bank.capture('k')
      await one.bank.verify()
      await one.chain.compact()
      await ledger(one.chain).verify()
      await one.chain.close()
    }
  })
})

describe('a page', () => {
  it('that calls itself another', async () => {
    const one = await scene({ balances: 'paged' })
    const [page] = await all(one.chain.children(Page, one.node))
    await one.chain.transact((tx) =>
      tx.replace(renamed(page!, '7'), pageValue([...slotsOf(page!.value)!, [0n, 0n, 0n, 0n]], [])),
    )
    expect(await breach(one)).toMatchObject({ rule: 'a page has the number that it is found under', page: 0 })
  })
  it('that is made under the number of another', async () => {
    const one = await scene()
    await one.lying({ 'ledger-page 3': '0' }, () =>
      one.chain.transact((tx) => tx.create(Page, pageValue([], []), { parent: one.node, name: '3' })),
    )
    expect(await breach(one)).toMatchObject({ rule: 'a page has the number that it is found under', page: 0 })
  })
})

/** Whoever may write elsewhere on the chain, and not in the ledger. */
describe('what stands elsewhere', () => {
  it('breaks no rule of the ledger, whatever it is called', async () => {
    const one = await scene({ balances: 'paged' })
    const other = ledger(one.chain, { name: 'other' })
    await other.account('a', { currency: GOLD })
    const value = post()
    const { entry, page } = await one.chain.transact((tx) => ({
      entry: tx.create(Entry, value),
      page: tx.create(Page, pageValue([], [])),
    }))
    await one.chain.transact((tx) => tx.update(entry, () => ({ ...value, units: 6n })))
    await one.chain.transact((tx) => {
      tx.delete(entry)
      tx.delete(page)
    })
    const bank = ledger(one.chain)
    await bank.verify()
    await bank.transfer({ from: 'world', to: 'a', amount: gold(1n) })
    await bank.verify()
    await one.chain.close()
  })
  it('holds nothing of an account', async () => {
    const one = await scene()
    const [a, b] = [await one.account('a'), await one.account('b')]
    await one.bank.hold({ id: 'h', from: 'a', to: 'b', amount: gold(10n) }, { expires: '1h' })
    await one.chain.transact((tx) => tx.create(Hold, { from: a.id, to: b.id, units: 10n, until: 1 }, { name: 'x' }))
    expect((await one.bank.balance('a')).available).toBe(90n)
    expect(await codeOf(one.bank.transfer({ from: 'a', to: 'b', amount: gold(95n) }))).toBe('INSUFFICIENT')
    await one.chain.close()
  })
})

it('names who moves an entry there that was made elsewhere', async () => {
  const one = await scene()
  const { id } = await one.chain.transact((tx) => tx.create(Entry, post()))
  await one.chain.transact((tx) => tx.move(id, { parent: one.node, in: Entry.name }))
  expect((await breach(one))['rule']).toBe('what is posted stands')
})

it.each(['an account', 'an entry', 'a page'] as const)(
  'names who writes bytes that are no value as %s',
  async (what) => {
    const { crypto } = quickPlatform(1)
    let isSpoiling = false
    const aesKey: typeof crypto.aesKey = (key) => {
      const real = crypto.aesKey(key)
      return {
        ...real,
        open: (...given) => real.open(...given),
        openSlice: (...given) => real.openSlice(...given),
        seal(nonce, plaintext, out) {
          const copy = plaintext.slice()
          // No item of CBOR ends with a break that nothing began.
          if (isSpoiling) copy[copy.length - 1] = 0xff
          return real.seal(nonce, copy, out)
        },
      }
    }
    const shared = new Shared(quickPlatform(1, { crypto: { ...crypto, aesKey } }))
    const chain = await shared.open('boss')
    const bank = ledger(chain, { balances: what === 'a page' ? 'paged' : 'apart' })
    await bank.account('world', { currency: GOLD, floor: 'none' })
    await bank.account('a', { currency: GOLD })
    await bank.transfer({ from: 'world', to: 'a', amount: gold(1n) })
    const node = (await chain.children(LedgerNode).page())[0]!
    const account = (await chain.named(Account, 'a', { parent: node }))!
    const [page] = await all(chain.children(Page, node))
    isSpoiling = true
    await chain.transact((tx) => {
      if (what === 'an account') tx.replace(account, account.value)
      else if (what === 'an entry') tx.create(Entry, post(), { parent: node, name: 'x' })
      else tx.replace(page!, page!.value)
    })
    const { seq } = chain.head
    isSpoiling = false
    await chain.close()
    await shared.as('boss', async (again) => {
      const error = (await ledger(again)
        .verify()
        .catch((reason: unknown) => reason)) as AteError
      expect(error).toMatchObject({ code: 'RULE_BROKEN', facts: { seq, author: again.identity } })
    })
  },
)
