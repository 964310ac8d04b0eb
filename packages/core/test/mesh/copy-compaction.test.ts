/** A copy in memory does not keep what the server keeps: what was replaced goes by itself, and is asked for when somebody reads it. */
import { expect, test } from 'vitest'
import '../../src/chain/compaction.ts'
import '../../src/log/slab-compact.ts'
import '../../src/mesh/copy-compacting.ts'
import { isAteError } from '../../src/base/errors.ts'
import { COMPACT_FROM_BYTES } from '../../src/base/limits.ts'
import type { Chain } from '../../src/data/chain.ts'
import { LOOK_EVERY_MS } from '../../src/data/compact-policy.ts'
import { defineType } from '../../src/data/entity-type.ts'
import type { OpenOptions } from '../../src/data/open-chain.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import { codeOf } from '../../src/testing/log-suite.ts'
import { machine, someone, startServer } from './net-kit.ts'
import { SimWorld, simPerson } from './sim-world.ts'

const Note = defineType<{ text: string }>('note')
const LARGE = 'x'.repeat(40_000)
/** Values that one transaction replaces, and transactions. */
const NOTES = 20
const TIMES = Math.ceil((2.5 * COMPACT_FROM_BYTES) / NOTES / LARGE.length)

async function start(seed: number): Promise<{
  readonly world: SimWorld
  readonly open: (name: string, options?: Partial<OpenOptions>) => Promise<Chain>
}> {
  const world = new SimWorld(seed, { bytesPerMs: 1_000_000 })
  await world.startServer()
  const known = { as: simPerson('alice'), serverKey: simPerson('server') }
  return {
    world,
    open: (name, options) => world.wait(openChain(`${world.url}/notes`, { ...known, ...options }, world.machine(name))),
  }
}

async function valuesOf(chain: Chain): Promise<string[]> {
  const values: string[] = []
  for await (const event of chain.events({ until: 'end' })) {
    if (event.type !== 'note') continue
    const value = await event.value(Note).catch((error) => (isAteError(error) ? error.code : String(error)))
    values.push(typeof value === 'string' ? value : value.text.slice(LARGE.length))
  }
  return values
}

test('of who writes and of who only reads: it is compacted when it has doubled, and nothing is missed', async () => {
  const { world, open } = await start(1)
  const writer = await open('writing', { create: true })
  const reader = await open('reading', { readOnly: true })
  const keeper = await open('keeping', { readOnly: true, compact: 'never' })
  for (let i = 0; i < TIMES; i++) {
    const write = writer.transact((tx) => {
      for (let note = 0; note < NOTES; note++) tx.put(Note, `${note}`, { text: `${LARGE}${i}` })
    })
    await world.wait(write)
    await world.time.run(LOOK_EVERY_MS)
  }
  for (const chain of [reader, keeper]) await world.wait(chain.refresh())
  const whole = keeper.stats().logBytes
  expect(whole).toBeGreaterThan(2.5 * COMPACT_FROM_BYTES)
  for (const chain of [writer, reader]) {
    const { compaction, logBytes } = chain.stats()
    expect(compaction).toMatchObject({ running: false, failed: undefined })
    expect(compaction.last!.bytesFreed).toBeGreaterThan(COMPACT_FROM_BYTES)
    expect(logBytes).toBeLessThan(whole - COMPACT_FROM_BYTES)
    expect((await chain.named(Note, '7'))?.value.text).toBe(`${LARGE}${TIMES - 1}`)
    // Other threads hash, which simulated time does not wait for.
    expect((await chain.verify()).ok).toBe(true)
  }
  expect(keeper.stats().compaction.last).toBe(undefined)
  const all = Array.from({ length: TIMES * NOTES }, (_, i) => `${Math.floor(i / NOTES)}`)
  expect(await world.wait(valuesOf(reader))).toEqual(all)
  expect(await world.wait(valuesOf(keeper))).toEqual(all)
  world.killServer()
  await world.time.run(60_000)
  const away = await world.wait(valuesOf(writer))
  expect(new Set(away.slice(0, 3))).toEqual(new Set(['OFFLINE']))
  expect(away.at(-1)).toBe(`${TIMES - 1}`)
  expect(await world.wait(valuesOf(keeper))).toEqual(all)
})

test('a compaction ends with the handle: who opens the chain again goes on with the same copy, and may compact it', async () => {
  await using server = await startServer()
  const platform = machine()
  const { clock, random, timers } = platform.environment
  let gate: Promise<void> | undefined
  let waits = 0
  const pause = (): Promise<void> => {
    if (gate) waits++
    return gate ?? timers.pause()
  }
  const waiting = Object.create(platform, {
    environment: { value: { clock, random, timers: { start: timers.start, pause } } },
  }) as typeof platform
  const open = (): Promise<Chain> =>
    openChain(`${server.url}/notes`, { as, serverKey: server.identity, create: true }, waiting)
  const as = someone()
  const chain = await open()
  for (let i = 0; i < 4; i++) await chain.transact((tx) => tx.put(Note, 'note', { text: `${i}` }))
  let go = (): void => undefined
  gate = new Promise((resolve) => {
    go = resolve
  })
  const compacting = codeOf(() => chain.compact())
  while (waits === 0) await timers.pause()
  await chain.close()
  gate = undefined
  await using again = await open()
  const compacted = again.compact()
  go()
  expect(await compacting).toBe('CHAIN_CLOSED')
  expect((await compacted).records).toBe(3)
  expect((await again.named(Note, 'note'))?.value.text).toBe('3')
})
