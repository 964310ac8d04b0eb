/**
 * Members of one subscription that stop, go on as zombies, die, and have wrong clocks, in a random but repeatable order.
 * A checker holds what happened against what the bus promises: nothing lost, effects once, order kept, fences rising.
 */
import { type Chain, defineType, type EntityId, isAteError } from '@ate/core'
import { describe, expect, it } from 'vitest'
import { SubscriptionType } from '../src/bus-records.ts'
import { type Bus, bus, type Order } from '../src/index.ts'
import { alice, collect, open, turns } from './kit.ts'
import { Member, type Random, randomOf } from './sim-member.ts'

const SEEDS = Math.min(Number(process.env['ATE_SEEDS'] ?? 9), 600)
const STEPS = 80
const LEASE_MS = 3000

interface Topics {
  'a.x': number
  'a.y': number
  other: number
}
interface Applied {
  readonly n: number
  readonly topic: string
  readonly key: string | undefined
  readonly fence: number
  readonly by: string
}
const AppliedType = defineType<Applied>('applied')
const TotalType = defineType<number>('total')

interface World {
  readonly chain: Chain
  readonly random: Random
  readonly producer: Bus<Topics, Topics>
  readonly members: Member<Topics>[]
  readonly order: Order
  readonly total: EntityId
  readonly published: { n: number; topic: string; key: string | undefined }[]
  /** Numbers whose handler always fails. */
  readonly poison: Set<number>
  runs: number
}

function join(world: World): Member<Topics> {
  const { random, order, total, poison } = world
  const member = new Member<Topics>(world.chain, random)
  world.members.push(member)
  const subscription = member.events.subscribe(
    'books',
    'a.*',
    async ({ data, topic, key, fence, effect }) => {
      world.runs++
      for (let i = random.below(4); i > 0; i--) {
        await turns(1)
        await member.pass()
      }
      if (poison.has(data)) throw new Error('poison')
      if (random() < 0.1) throw new Error('flaky')
      effect((tx) => tx.create(AppliedType, { n: data, topic, key, fence, by: member.id }))
      effect((tx) => tx.update(TotalType, total, (sum) => sum + data))
      await member.pass()
    },
    { order, concurrency: 1 + random.below(4), lease: LEASE_MS, retry: { max: 8, backoff: 50 }, prefetch: 16 },
  )
  subscription.done.catch((error) => {
    if (!member.isDead) throw error
  })
  return member
}

async function step(world: World): Promise<void> {
  const { random, members, producer, published } = world
  const living = members.filter(({ isDead }) => !isDead)
  const any = living[random.below(living.length)]
  const roll = random()
  if (roll < 0.45) {
    for (let i = 1 + random.below(5); i > 0; i--) {
      const n = published.length
      const topic = (['a.x', 'a.y', 'other'] as const)[random.below(3)]!
      const key = random() < 0.7 ? `k${random.below(3)}` : undefined
      if (random() < 0.03) world.poison.add(n)
      published.push({ n, topic, key })
      await producer.publish(topic, n, { id: `e${n}`, ...(key === undefined ? {} : { key }) })
    }
  } else if (roll < 0.55) any?.stop()
  else if (roll < 0.7) any?.go()
  else if (roll < 0.74 && living.length > 1) any?.die()
  else if (roll < 0.78 && living.length < 4) join(world)
  else if (roll < 0.82 && any) any.skewMs = [0, 3_600_000, -3_600_000][random.below(3)]!
  else elapse(world, random.below(2000))
  await turns(random.below(6))
}

function elapse({ members }: World, ms: number): void {
  for (const member of members) member.elapse(ms)
}

async function finish(world: World): Promise<void> {
  for (const member of world.members) if (!member.isDead) member.go()
  const last = join(world)
  for (let i = 0; i < 2000; i++) {
    elapse(world, 500)
    await turns(4)
    if ((await world.producer.lag('books')).events === 0) break
  }
  expect(await world.producer.lag('books')).toEqual({ events: 0, ms: 0 })
  const closing = world.members.filter(({ isDead }) => !isDead).map(({ events }) => events.close())
  for (let i = 0; i < 50; i++) {
    elapse(world, 6000)
    await turns(2)
  }
  await Promise.all(closing)
  expect(last.isDead).toBe(false)
}

/** As Jepsen has it: lost, duplicated, unexpected, out of order. */
async function check(world: World): Promise<void> {
  const { chain, published, poison, producer, order } = world
  const applied = (await collect(chain.children(AppliedType))).map(({ value }) => value)
  const dead = await collect(producer.dead('books'))
  const wanted = published.filter(({ topic }) => topic !== 'other').map(({ n }) => n)
  const happened = applied.map(({ n }) => n)
  const setAside = dead.map(({ data }) => data)
  const all = [...happened, ...setAside].sort((a, b) => a - b)
  expect({ once: all }).toEqual({ once: wanted }) // lost or duplicated: the lists differ
  expect((await chain.load(TotalType, world.total)).value).toBe(happened.reduce((sum, n) => sum + n, 0))
  for (const n of happened) expect(poison.has(n)).toBe(false)
  const lanes = new Map<string, number[]>()
  for (const { n, topic, key } of applied) {
    const lane = order === 'topic' ? topic : order === 'key' ? key : undefined
    if (lane !== undefined) lanes.set(lane, [...(lanes.get(lane) ?? []), n])
  }
  for (const [lane, numbers] of lanes) expect([lane, numbers]).toEqual([lane, [...numbers].sort((a, b) => a - b)])
  await checkCursor(chain, applied)
}

/** Fences rise with each holder, floors only rise, and a fence belongs to one holder. */
async function checkCursor(chain: Chain, applied: readonly Applied[]): Promise<void> {
  let fence = 0
  let floor = -1
  for await (const event of chain.events({ until: 'end', type: SubscriptionType })) {
    const value = await event.value(SubscriptionType)
    expect(value.fence).toBeGreaterThanOrEqual(fence)
    expect(value.fence).toBeLessThanOrEqual(fence + 1)
    expect(value.floor).toBeGreaterThanOrEqual(floor)
    fence = value.fence
    floor = value.floor
  }
  let before = 0
  const owners = new Map<number, string>()
  for (const { fence: at, by } of applied) {
    expect(at).toBeGreaterThanOrEqual(before)
    before = at
    expect(owners.get(at) ?? by).toBe(by)
    owners.set(at, by)
  }
}

async function run(seed: number, order: Order): Promise<number> {
  const random = randomOf(seed)
  const chain = await open()
  const total = await chain.transact((tx) => tx.create(TotalType, 0).id)
  const producer = bus<Topics>(chain)
  const world: World = { chain, random, producer, members: [], order, total, published: [], poison: new Set(), runs: 0 }
  join(world)
  for (let i = 0; i < STEPS; i++) await step(world)
  await finish(world)
  await check(world)
  await producer.close()
  await chain.close()
  return world.runs
}

describe('members that stop, go on, die, and have wrong clocks', () => {
  it.each(['topic', 'key', 'none'] as const)('order %s', async (order) => {
    await alice()
    for (let seed = 1; seed <= Math.ceil(SEEDS / 3); seed++) {
      try {
        await run(seed * 7 + order.length, order)
      } catch (error) {
        console.log(`seed ${seed}, order ${order}`, isAteError(error) ? error.facts : '')
        throw error
      }
    }
  })
})
