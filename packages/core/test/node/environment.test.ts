import { expect, it } from 'vitest'
import { randomBytes } from '../../src/base/environment.ts'
import { browserEnvironment } from '../../src/browser/environment.ts'
import { nodeEnvironment, pooledRandomness } from '../../src/node/environment.ts'

it.each([
  ['node', nodeEnvironment()],
  ['browser', browserEnvironment()],
] as const)('the randomness of %s fills any size, and never gives the same bytes twice', (_name, { random }) => {
  const seen = new Set<string>()
  for (let i = 0; i < 3000; i++) seen.add(randomBytes(random, 16).join())
  expect(seen.size).toBe(3000)
  for (const size of [0, 1, 2048, 2049, 8192, 65_536, 150_000]) {
    const bytes = randomBytes(random, size)
    expect(bytes.length).toBe(size)
    // Each 256-byte stretch has many values: no part was left unfilled.
    for (let at = 0; at + 256 <= size; at += 256)
      expect(new Set(bytes.subarray(at, at + 256)).size).toBeGreaterThan(100)
  }
})

it('clocks and timers run, and a timer can be cancelled', async () => {
  const { clock, timers } = nodeEnvironment()
  expect(Math.abs(clock.now() - Date.now())).toBeLessThan(1000)
  const before = clock.monotonic()
  const ran: string[] = []
  timers.start(5, () => ran.push('cancelled')).cancel()
  await new Promise<void>((done) => {
    timers.start(10, () => done())
    setTimeout(() => {}, 500).unref()
  })
  expect(clock.monotonic()).toBeGreaterThan(before)
  expect(ran).toEqual([])
})

it('the pool gives each byte once, and forgets it', () => {
  const drawn: Uint8Array[] = []
  let next = 0
  const random = pooledRandomness((bytes) => {
    drawn.push(bytes)
    for (let i = 0; i < bytes.length; i++) bytes[i] = 1 + (next++ % 255)
  })
  const given = Array.from({ length: 40 }, () => [...randomBytes(random, 16)]).flat()
  expect(given).toEqual(given.map((_, i) => 1 + (i % 255)))
  expect([...drawn[0]!.subarray(0, 640)]).toEqual(new Array(640).fill(0))
  expect(drawn[0]![640]).not.toBe(0)
})

it('a timer does not hold the process', () => {
  const holding = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const before = holding()
  const timer = nodeEnvironment().timers.start(60_000, () => {})
  expect(holding()).toBe(before)
  timer.cancel()
})
