/** Coins: what the chain refuses, whoever asks and whoever orders. */
import { type Chain, defineType, type Effect, type Entity, effectsInto } from '@ate/core'
import { describe, expect, it } from 'vitest'
import { type Coin, purse } from '../src/coin.ts'
import { CoinCurrency, type CoinCurrencyValue, CoinType } from '../src/coin-records.ts'
import { type Money, money } from '../src/index.ts'
import { all, codeOf, GOLD, person, Shared, SILVER } from './kit.ts'

const gold = (text: string): Money<'GOLD'> => money(GOLD, text)
type Golden = Coin<'GOLD'>

async function minted(): Promise<{ shared: Shared; coin: Golden }> {
  const shared = new Shared()
  const alice = await person('alice')
  const coin = await shared.as('mint', (chain) => purse(chain, GOLD).mint(gold('10'), alice))
  return { shared, coin }
}

it('a coin goes from hand to hand, in parts and together', async () => {
  const { shared, coin } = await minted()
  const [alice, bob] = [await person('alice'), await person('bob')]
  expect(coin).toMatchObject({ owner: alice.fingerprint, value: { units: 1000n } })
  await shared.as('alice', async (chain) => {
    const mine = purse(chain, GOLD)
    const [big, small] = await mine.carve(coin, [gold('7.50'), gold('2.50')])
    expect((await all(mine.coins())).map(({ value }) => value.units)).toEqual([750n, 250n])
    expect(await mine.coin(coin.id)).toBeUndefined()
    expect((await mine.give(small!, bob)).owner).toBe(bob.fingerprint)
    expect((await all(mine.coins())).map(({ id }) => id)).toEqual([big!.id])
    await mine.give(big!, bob.publicId)
  })
  await shared.as('bob', async (chain) => {
    const mine = purse(chain, GOLD)
    const joined = await mine.join(await all(mine.coins()))
    expect(joined).toMatchObject({ owner: bob.fingerprint, value: { units: 1000n } })
    await mine.burn((await mine.carve(joined, [gold('1'), gold('9')]))[0]!)
    expect(await mine.supply()).toEqual(gold('9'))
    expect((await chain.verify()).ok).toBe(true)
  })
})

it('what its giver has put below a coin for good keeps nobody from melting it', async () => {
  const { shared, coin } = await minted()
  const [alice, bob] = [await person('alice'), await person('bob')]
  const Trap = defineType<null>('trap')
  const trapped = await shared.as('alice', async (chain) => {
    const mine = purse(chain, GOLD)
    const made = await mine.carve(coin, [gold('3'), gold('3'), gold('4')])
    for (const { id } of made) {
      const owner = [alice.publicId]
      await chain.transact(
        (tx) => void tx.create(Trap, null, { parent: id, closed: true, write: owner, manage: owner }),
      )
      await mine.give(id, bob)
    }
    return made
  })
  await shared.as('bob', async (chain) => {
    const mine = purse(chain, GOLD)
    const [first, second, third] = trapped
    const joined = await mine.join([first!, second!])
    expect(joined).toMatchObject({ owner: bob.fingerprint, value: { units: 600n } })
    await mine.carve(joined, [gold('5'), gold('1')])
    await mine.burn(third!)
    expect((await all(mine.coins({ owner: 'everyone' }))).map(({ value }) => value.units)).toEqual([500n, 100n])
    expect(await mine.supply()).toEqual(gold('6'))
    // What is left of them is no coin.
    for (const { id } of trapped) {
      expect(await mine.coin(id)).toBeUndefined()
      expect(await codeOf(mine.burn(id))).toBe('NOT_FOUND')
    }
    expect((await chain.verify()).ok).toBe(true)
  })
})

it('what stands elsewhere than in the pool is no coin: its giver may have it kept, so that nobody melts it', async () => {
  const { shared, coin } = await minted()
  const [alice, bob] = [await person('alice'), await person('bob')]
  const kept = await shared.as('alice', async (chain) => {
    const { unit, pool } = (await chain.children(CoinCurrency).page())[0]!.value
    const owner = [alice.publicId]
    const id = await chain.transact((tx) => {
      const counters = { worth: { value: 300n, floor: 0n, unit: { id: unit } } }
      const made = tx.create(CoinType, null, { parent: coin.id, closed: true, write: owner, manage: owner, counters })
      tx.add(coin.id, 'worth', -300n)
      tx.retain(made.id, { holds: ['mine'] })
      tx.setPolicy(made.id, { write: [bob.publicId], manage: [bob.publicId] })
      return made.id
    })
    // Nor does it come there any more.
    const moved = chain.transact((tx) => tx.move(id, { parent: pool, in: CoinType.name }))
    expect(await codeOf(moved)).not.toBe('none')
    return id
  })
  await shared.as('bob', async (chain) => {
    const mine = purse(chain, GOLD)
    expect(await mine.coin(kept)).toBeUndefined()
    expect((await all(mine.coins({ owner: 'everyone' }))).map(({ value }) => value.units)).toEqual([700n])
    const moved = chain.transact(async (tx) => {
      const { pool } = (await chain.children(CoinCurrency).page())[0]!.value
      tx.move(kept, { parent: pool, in: CoinType.name })
    })
    expect(await codeOf(moved)).toBe('RETAINED')
  })
})

it('L8: what its maker may take the worth out of again, or put into, is no coin: nobody is paid with it', async () => {
  const { shared, coin } = await minted()
  const [alice, bob] = [await person('alice'), await person('bob')]
  const traps = await shared.as('alice', async (chain) => {
    const { unit, pool } = (await chain.children(CoinCurrency).page())[0]!.value
    const owner = [alice.publicId]
    return chain.transact((tx) => {
      const made = [{ down: owner }, { up: owner }, { up: 'everyone' as const, down: 'everyone' as const }].map(
        (ways) => {
          const counters = { worth: { value: 300n, floor: 0n, unit: { id: unit }, ...ways } }
          return tx.create(CoinType, null, { parent: coin.id, closed: true, write: owner, manage: owner, counters }).id
        },
      )
      const worth = { value: 100n, floor: 0n, unit: { id: unit } }
      const rest = tx.create(CoinType, null, {
        parent: coin.id,
        closed: true,
        write: owner,
        manage: owner,
        counters: { worth },
      })
      for (const id of [...made, rest.id]) tx.move(id, { parent: pool, in: CoinType.name })
      tx.delete(coin.id)
      for (const id of made) tx.setPolicy(id, { write: [bob.publicId], manage: [bob.publicId] })
      return made
    })
  })
  await shared.as('bob', async (chain) => {
    const mine = purse(chain, GOLD)
    expect(await all(mine.coins())).toEqual([])
    expect((await all(mine.coins({ owner: 'everyone' }))).map(({ value }) => value.units)).toEqual([100n])
    for (const id of traps) expect(await mine.coin(id)).toBeUndefined()
    expect(chain.counterInfo(traps[0]!, 'worth')).toMatchObject({ up: undefined, down: [alice.fingerprint] })
    // What is in it is his to melt all the same, before it is taken out.
    await mine.carve(traps[0]!, [gold('3')])
    expect((await all(mine.coins())).map(({ value }) => value.units)).toEqual([300n])
  })
})

it('effects of a job are staged when they run, again after a conflict, and all or none', async () => {
  const { shared, coin } = await minted()
  const [alice, bob] = [await person('alice'), await person('bob')]
  await shared.as('alice', async (chain) => {
    const mine = purse(chain, GOLD)
    const [a, b, c, d] = await mine.carve(coin, [gold('1'), gold('2'), gold('6'), gold('1')])
    const registered: Effect[] = []
    const tx = effectsInto((effect) => registered.push(effect))
    const asked = [
      await mine.give(a!, bob, { tx }),
      await mine.carve(b!, [gold('1.50'), gold('0.50')], { tx }),
      await mine.join([c!], { tx }),
      await mine.burn(a!, { tx }),
    ]
    expect(asked.every((result) => result === undefined)).toBe(true)
    const Seen = defineType<number>('seen')
    const seen = await chain.transact((real) => real.create(Seen, 0, { parent: d!.id }))
    let runs = 0
    const commit = (): Promise<void> =>
      chain.transact(async (real) => {
        for (const effect of registered) await effect(real)
        await real.update(Seen, seen, (count) => count + 1)
        if (runs++ === 0) await chain.transact((other) => other.update(Seen, seen, (count) => count + 10))
      })
    // What is to be burnt is bob's by then.
    expect(await codeOf(commit())).toBe('NOT_AUTHORIZED')
    expect((await all(mine.coins())).map(({ id }) => id)).toEqual([a!.id, b!.id, c!.id, d!.id])
    registered.pop()
    runs = 0
    await commit()
    expect(runs).toBe(2)
    const coins = await all(mine.coins({ owner: 'everyone' }))
    const owners = coins.map(({ value, owner }) => [value.units, owner === bob.fingerprint])
    expect(owners.sort()).toEqual([
      [100n, false],
      [100n, true],
      [150n, false],
      [50n, false],
      [600n, false],
    ])
    expect(await codeOf(mine.mint(gold('1'), alice, { tx: {} as never }))).toBe('BAD_ARGUMENT')
  })
})

it('coins of one transaction come one after the other', async () => {
  const shared = new Shared()
  const alice = await person('alice')
  await shared.as('mint', async (chain) => {
    const mint = purse(chain, GOLD)
    const [one] = await chain.transact((tx) =>
      Promise.all([mint.mint(gold('1'), alice, { tx }), mint.mint(gold('2'), alice, { tx })]),
    )
    expect(chain.children(CoinCurrency).count()).toBe(1)
    expect((await mint.coin(one.id))?.value).toEqual(gold('1'))
    expect(await mint.supply()).toEqual(gold('3'))
  })
})

describe('the chain refuses', () => {
  it('L8: a second spending, in both orders', async () => {
    for (const order of [0, 1]) {
      const { shared, coin } = await minted()
      const [bob, carol] = [await person('bob'), await person('carol')]
      await shared.as('alice', async (chain) => {
        const mine = purse(chain, GOLD)
        // Both are made on the same state, and reach the log in one order or the other.
        const spendings = [chain.begin(), chain.begin()]
        await mine.give(coin, bob, { tx: spendings[0]! })
        await mine.give(coin, carol, { tx: spendings[1]! })
        await spendings[order]!.commit()
        expect(await codeOf(spendings[1 - order]!.commit())).not.toBe('none')
        expect((await mine.coin(coin.id))?.owner).toBe((order === 0 ? bob : carol).fingerprint)
        expect(await codeOf(mine.carve(coin, [gold('5'), gold('5')]))).toBe('NOT_AUTHORIZED')
        expect(await codeOf(mine.give(coin, bob))).toBe('NOT_AUTHORIZED')
      })
    }
  })
  it('L8: spending what was melted, and what belongs to others', async () => {
    const { shared, coin } = await minted()
    await shared.as('alice', async (chain) => {
      const mine = purse(chain, GOLD)
      const racing = chain.begin()
      await mine.give(coin, await person('bob'), { tx: racing })
      await mine.carve(coin, [gold('10')])
      expect(await codeOf(racing.commit())).not.toBe('none')
      expect(await codeOf(mine.join([coin]))).toBe('NOT_FOUND')
    })
    await shared.as('mint', async (chain) => {
      const all_ = await all(purse(chain, GOLD).coins({ owner: 'everyone' }))
      expect(all_.length).toBe(1)
      for (const run of [
        purse(chain, GOLD).give(all_[0]!, await person('mint')),
        purse(chain, GOLD).burn(all_[0]!),
        chain.transact((tx) => tx.delete(all_[0]!.id)),
      ])
        expect(await codeOf(run)).toBe('NOT_AUTHORIZED')
    })
  })
  it('L8: value from nothing, by carving, joining, minting and debts', async () => {
    const { shared, coin } = await minted()
    await shared.as('alice', async (chain) => {
      const mine = purse(chain, GOLD)
      const place = await currencyOf(chain)
      expect(await codeOf(mine.carve(coin, [gold('10'), gold('0.01')]))).toBe('NOT_CONSERVED')
      expect(await codeOf(mine.mint(gold('1'), await person('alice')))).toBe('NOT_AUTHORIZED')
      const alice = await person('alice')
      const own = { write: [alice], manage: [alice], closed: true }
      const made = (value: bigint, floor?: bigint) => ({
        counters: { worth: { value, ...(floor === undefined ? {} : { floor }), unit: { id: place.unit } } },
      })
      const Any = defineType<null>('coin')
      const attempts: [string, (tx: Parameters<Parameters<Chain['transact']>[0]>[0]) => void][] = [
        ['NOT_CONSERVED', (tx) => void tx.create(Any, null, { parent: coin.id, ...own, ...made(500n, 0n) })],
        ['NOT_CONSERVED', (tx) => tx.add(coin.id, 'worth', 1n)],
        ['NOT_CONSERVED', (tx) => tx.delete(coin.id)],
        ['NOT_AUTHORIZED', (tx) => tx.add(place.mint, 'issued', -1n)],
        ['NOT_AUTHORIZED', (tx) => tx.delete(place.unit)],
        ['NOT_AUTHORIZED', (tx) => tx.delete(place.mint)],
        // A coin, and what it is owed by: they add up, and the debt is refused.
        [
          'NOT_AUTHORIZED',
          (tx) => {
            tx.create(Any, null, { parent: coin.id, ...own, ...made(500n, 0n) })
            tx.create(Any, null, { parent: coin.id, ...own, ...made(-500n) })
          },
        ],
        ['NOT_AUTHORIZED', (tx) => void tx.create(Any, null, { parent: coin.id, ...own, ...made(0n, -500n) })],
      ]
      for (const [code, run] of attempts) expect(await codeOf(chain.transact(run))).toBe(code)
      expect((await mine.coin(coin.id))?.value.units).toBe(1000n)
    })
    // Not even who issues makes a coin that the supply does not tell.
    await shared.as('mint', async (chain) => {
      const place = await currencyOf(chain)
      const Any = defineType<null>('coin')
      const counters = { worth: { value: 5n, floor: 0n, unit: { id: place.unit } } }
      expect(await codeOf(chain.transact((tx) => tx.create(Any, null, { parent: place.pool, counters })))).toBe(
        'NOT_CONSERVED',
      )
      expect(await purse(chain, GOLD).supply()).toEqual(gold('10'))
    })
  })
})

it('what only looks like a coin is none', async () => {
  const { shared } = await minted()
  await shared.as('alice', async (chain) => {
    const { pool } = await currencyOf(chain)
    const alice = await person('alice')
    const Own = defineType<null>('unit')
    const Coin = defineType<null>('coin')
    const [coin] = await all(purse(chain, GOLD).coins())
    const fakes = await chain.transact((tx) => {
      // A unit of her own, of which she makes what she likes.
      const unit = tx.create(Own, null, { parent: coin!.id, write: [alice], manage: [alice], closed: true })
      const counters = { worth: { value: 1_000_000n, floor: 0n, unit } }
      const own = { write: [alice], manage: [alice], closed: true }
      const fake = tx.create(Coin, null, { parent: coin!.id, ...own, counters })
      tx.move(fake, { parent: pool, in: 'coin' })
      return [fake.id, tx.create(Coin, null, { parent: pool }).id]
    })
    for (const id of fakes) expect(await purse(chain, GOLD).coin(id)).toBeUndefined()
    expect((await all(purse(chain, GOLD).coins({ owner: 'everyone' }))).length).toBe(1)
  })
})

it('mistakes', async () => {
  const { shared, coin } = await minted()
  await shared.as('alice', async (chain) => {
    const mine = purse(chain, GOLD)
    expect(await codeOf(mine.carve(coin, []))).toBe('BAD_ARGUMENT')
    expect(await codeOf(mine.carve(coin, [gold('0'), gold('10')]))).toBe('BAD_AMOUNT')
    expect(await codeOf(mine.carve(coin, [money(SILVER, 10n) as never]))).toBe('CURRENCY_MISMATCH')
    expect(await codeOf(mine.join([coin, coin]))).toBe('BAD_ARGUMENT')
    expect(await codeOf(mine.give({} as never, await person('bob')))).toBe('BAD_ARGUMENT')
    expect(await codeOf(purse(chain, { code: 'GOLD', scale: 5 }).supply())).toBe('CURRENCY_MISMATCH')
    expect(await codeOf(async () => purse({} as never, GOLD))).toBe('BAD_ARGUMENT')
    expect(await purse(chain, SILVER).supply()).toEqual(money(SILVER, 0n))
  })
})

async function currencyOf(chain: Chain): Promise<CoinCurrencyValue> {
  const [found] = (await chain.children(CoinCurrency).page()) as [Entity<CoinCurrencyValue>]
  return found.value
}

it('a coin of another currency is refused by its name, and stays where it is', async () => {
  const chain = await new Shared().open('alice')
  const [golden, silver] = [purse(chain, GOLD), purse(chain, SILVER)]
  const coin = await golden.mint(money(GOLD, 10n), chain)
  for (const isMade of [false, true]) {
    if (isMade) await silver.mint(money(SILVER, '5'), chain)
    expect(await codeOf(silver.give(coin.id, chain))).toBe('CURRENCY_MISMATCH')
    expect(await codeOf(silver.carve(coin.id, [money(SILVER, '10')]))).toBe('CURRENCY_MISMATCH')
    expect(await codeOf(silver.burn(coin.id))).toBe('CURRENCY_MISMATCH')
  }
  expect((await golden.coin(coin.id))?.value.units).toBe(10n)
  await chain.close()
})
