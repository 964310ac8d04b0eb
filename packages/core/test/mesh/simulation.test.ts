/**
 * Clients and a server under delay, loss, partitions, and crashes of the server: what was acknowledged is there exactly
 * once, nothing else is, and all copies agree. ATE_SEEDS_NET sets how many runs, ATE_SEED which.
 */
import { describe, expect, test } from 'vitest'
import { isAteError } from '../../src/base/errors.ts'
import type { Chain } from '../../src/data/chain.ts'
import type { Entity } from '../../src/data/entity.ts'
import { defineType } from '../../src/data/entity-type.ts'
import { role } from '../../src/data/policy-input.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import { SimWorld, simPerson } from './sim-world.ts'

const SEEDS = Number(process.env['ATE_SEEDS_NET'] ?? 3)
const FIRST = Number(process.env['ATE_SEED'] ?? 1)
const Counter = defineType<{ n: number; by: readonly string[] }>('counter')
const Item = defineType<{ of: string }>('item')

describe('a server and its clients', () => {
  test(`keep what they acknowledged, exactly once, in ${SEEDS} simulated lives`, async () => {
    for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
      await oneLife(seed).catch((error) => {
        throw new Error(`seed ${seed}: ${String(error)}`, { cause: error })
      })
    }
  })
})

describe('what a client has on its way at once', () => {
  test(`lands in any order that keeps what builds on what, in ${SEEDS} simulated lives`, async () => {
    for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
      await oneCrowd(seed).catch((error) => {
        throw new Error(`seed ${seed}: ${String(error)}`, { cause: error })
      })
    }
  })
})

describe('who is removed', () => {
  test(`writes nothing behind his removal, and loses nothing before it, in ${SEEDS} simulated lives`, async () => {
    for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
      await oneRemoval(seed).catch((error) => {
        throw new Error(`seed ${seed}: ${String(error)}`, { cause: error })
      })
    }
  })
})

/** Two clients with many transactions at a time: those that build on what is not decided wait, and others go before them. */
async function oneCrowd(seed: number): Promise<void> {
  const world = new SimWorld(seed, { delayMs: [1, 60] })
  const { random } = world
  await world.startServer()
  const options = { as: simPerson('me'), serverKey: simPerson('server') }
  const a = await world.wait(openChain(`${world.url}/crowd`, { ...options, create: true }, world.machine('a')))
  const hot = await world.wait(
    a.transact((tx) => [0, 1, 2].map((n) => tx.create(Counter, { n: 0, by: [] }, { name: `hot ${n}` }))),
  )
  const b = await world.wait(openChain(`${world.url}/crowd`, options, world.machine('b')))
  const expected = hot.map(() => 0)
  const running: Promise<void>[] = []
  const write = (chain: Chain): Promise<void> => {
    const [which, makes, into] = [random.below(5), random.below(3), `list ${random.below(3)}`]
    if (which < hot.length) expected[which]!++
    return new Promise((staged) => {
      const writing = chain.transact(
        async (tx) => {
          if (which < hot.length) await tx.update(Counter, hot[which]!.id, ({ n, by }) => ({ n: n + 1, by }))
          for (let i = 0; i < makes; i++) tx.create(Item, { of: into }, { in: into })
        },
        { staged },
      )
      running.push(writing.finally(() => staged()))
    })
  }
  for (let i = 0; i < 60; i++) {
    const writing = write(random.below(2) === 0 ? a : b)
    if (random.below(3) > 0) await world.wait(writing)
    if (random.below(4) === 0) await world.time.run(random.below(80))
  }
  await world.wait(Promise.all(running))
  // All of it is attested.
  await world.time.run(5000)
  for (const chain of [a, b]) {
    await world.wait(chain.refresh())
    const counted = await world.wait(Promise.all(hot.map(({ id }) => chain.load(Counter, id))))
    expect(counted.map(({ value }) => value.n)).toEqual(expected)
  }
  expect(a.head).toEqual(b.head)
  await world.wait(Promise.all([a.close(), b.close()]))
}

/** A member writes all the time, with a bad line, while the root takes him out. */
async function oneRemoval(seed: number): Promise<void> {
  const world = new SimWorld(seed, { delayMs: [1, 60] })
  const { random } = world
  await world.startServer()
  const [me, friend, serverKey] = [simPerson('me'), simPerson('friend'), simPerson('server')]
  const mine = await world.wait(openChain(`${world.url}/club`, { as: me, create: true, serverKey }, world.machine('a')))
  const club = await world.wait(
    mine.transact((tx) => {
      tx.role('crew').add(friend.publicId)
      return tx.create(Item, { of: 'club' }, { write: [role('crew')], read: [role('crew')] })
    }),
  )
  const his = await world.wait(
    openChain(`${world.url}/club`, { as: friend, serverKey, id: mine.id }, world.machine('b')),
  )
  const told: string[] = []
  const refused: string[] = []
  const running: Promise<void>[] = []
  const write = (): void => {
    const mark = `m${running.length}`
    const writing = his.transact((tx) => tx.create(Item, { of: mark }, { parent: club }))
    running.push(
      writing.then(
        () => void told.push(mark),
        (error) => void refused.push(`${mark} ${error.code}`),
      ),
    )
  }
  let removal: Promise<unknown> | undefined
  for (let step = 0; step < 30; step++) {
    for (let i = random.below(3); i >= 0; i--) write()
    const dice = random.below(100)
    if (dice < 12) world.network.partition('b', 'server')
    else if (dice < 40) world.network.heal('b', 'server')
    if (step === 12) removal = mine.transact((tx) => tx.role('crew').remove(friend.publicId))
    await world.time.run(random.below(120))
  }
  world.network.heal('b', 'server')
  await world.wait(Promise.all([...running, removal]), 3_600_000)
  await world.wait(mine.refresh())

  const landed: string[] = []
  let removedAt = Number.POSITIVE_INFINITY
  for await (const event of mine.events({ until: 'end' })) {
    if (event.op === 'role' && event.seq > 1) removedAt = event.seq
    if (event.op !== 'create' || event.author !== friend.fingerprint) continue
    expect(event.seq).toBeLessThan(removedAt)
    landed.push((await event.value(Item)).of)
  }
  expect(removedAt).toBeLessThan(Number.POSITIVE_INFINITY)
  expect(landed.sort()).toEqual(told.sort())
  expect(refused.length).toBeGreaterThan(0)
  for (const one of refused) expect(one).toMatch(/ (NOT_AUTHORIZED|NO_READ_KEY|STALE_EPOCH|NEEDS_REKEY|TX_RETRIES)$/)
  // It waits for what is on its way.
  expect((await world.wait(mine.verify())).ok).toBe(true)
  await world.wait(Promise.all([mine.close(), his.close()]))
  await world.wait(world.server!.close())
}

async function oneLife(seed: number): Promise<void> {
  const world = new SimWorld(seed, { delayMs: [1, 40] })
  const { random } = world
  await world.startServer()
  const me = simPerson('me')
  const serverKey = simPerson('server')
  const names = ['a', 'b', 'c']
  const chains: Chain[] = []
  const first = await world.wait(
    openChain(`${world.url}/garden`, { as: me, create: true, serverKey }, world.machine('a')),
  )
  chains.push(first)
  for (const name of names.slice(1))
    chains.push(
      await world.wait(openChain(`${world.url}/garden`, { as: me, serverKey, id: first.id }, world.machine(name))),
    )
  const counter = await world.wait(first.transact((tx) => tx.create(Counter, { n: 0, by: [] })))

  for (const chain of chains) await world.wait(chain.refresh())

  world.network.setLink({ breakOneIn: seed % 3 === 0 ? 60 : 0 })

  const acknowledged: string[] = []
  const refused: string[] = []
  const open: string[] = []
  const running: Promise<void>[] = []
  let count = 0
  const increment = (chain: Chain): void => {
    const mark = `m${count++}`
    running.push(
      chain
        .transact(async (tx) => {
          await tx.update(counter as Entity<{ n: number; by: readonly string[] }>, ({ n, by }) => ({
            n: n + 1,
            by: [...by, mark],
          }))
          tx.create(Item, { of: mark })
        })
        .then(
          () => void acknowledged.push(mark),
          (error) => {
            if (!isAteError(error)) throw error
            if (error.code === 'INDETERMINATE') open.push(mark)
            else refused.push(`${mark} ${error.code}`)
          },
        ),
    )
  }
  for (let step = 0; step < 40; step++) {
    const dice = random.below(100)
    if (dice < 60) for (let i = random.below(6); i >= 0; i--) increment(chains[random.below(chains.length)]!)
    else if (dice < 68) world.network.partition(names[random.below(3)]!, 'server')
    else if (dice < 80) for (const name of names) world.network.heal(name, 'server')
    else if (dice < 86 && world.server) world.killServer()
    else if (dice < 90) world.setClock(['server', ...names][random.below(4)]!, (random.below(200) - 100) * 1000)
    else if (!world.server) await world.startServer()
    await world.time.run(random.below(400))
  }
  world.network.setLink({ breakOneIn: 0 })
  for (const name of names) world.network.heal(name, 'server')
  if (!world.server) await world.startServer()
  await world.wait(Promise.all(running), 3_600_000)
  // Every attestation that is due has come.
  await world.time.run(200_000)
  for (const chain of chains) await world.wait(chain.refresh())

  const { value } = await chains[0]!.load(Counter, counter.id)
  expect(refused).toEqual([])
  expect(new Set(value.by).size).toBe(value.by.length)
  expect(value.n).toBe(value.by.length)
  for (const mark of acknowledged) expect(value.by).toContain(mark)
  for (const mark of value.by) expect([...acknowledged, ...open]).toContain(mark)
  for (const chain of chains) {
    expect(chain.head).toEqual(chains[0]!.head)
    expect((await world.wait(chain.verify())).ok).toBe(true)
    const items: string[] = []
    for await (const item of chain.children(Item)) items.push((item.value as { of: string }).of)
    expect(items.sort()).toEqual([...value.by].sort())
  }
  for (const chain of chains) await world.wait(chain.close())
  await world.wait(world.server!.close())
}
