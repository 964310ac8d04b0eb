/** What a bus drops by bytes and by age. (By count: bus.test.ts.) */
import { expect, it, vi } from 'vitest'
import { bus } from '../src/index.ts'
import { collect, heldLooks, open, turns } from './kit.ts'

type Topics = Readonly<Record<'note', string>>

it('by bytes: what is kept stays within them, the newest last', async () => {
  const chain = await open()
  const events = bus<Topics>(chain, { retain: { bytes: 3000 } })
  for (let i = 0; i < 20; i++) await events.publish('note', `${i} ${'x'.repeat(500)}`)
  const kept = async (): Promise<number[]> =>
    (await collect(events.read('note'))).map(({ data }) => Number.parseInt(data, 10))
  await vi.waitFor(async () => expect((await kept()).length).toBeLessThanOrEqual(5), { timeout: 10_000 })
  const left = await kept()
  expect(left).toEqual(Array.from({ length: left.length }, (_, i) => 20 - left.length + i))
  expect(left.length).toBeGreaterThan(3)
  await events.close()
  await chain.close()
})

it('by age: what is older goes, also when nothing new comes', async () => {
  const chain = await open()
  const events = bus<Topics>(chain, { retain: { for: '1s' } })
  const { cursor } = await events.publish('note', 'old')
  expect(cursor).toBeDefined()
  const kept = async (): Promise<string[]> => (await collect(events.read('note'))).map(({ data }) => data)
  await vi.waitFor(async () => expect(await kept()).toEqual([]), { timeout: 10_000 })
  await events.close()
  await chain.close()
})

it('by count: what another process drops while this one begins is not dropped twice', async () => {
  const chain = await open()
  const { environment, looks } = heldLooks()
  const look = async (): Promise<void> => {
    for (const run of looks.splice(0)) run()
    await turns(50)
  }
  const slow = bus<Topics>(chain, { retain: { count: 5 } }, environment)
  await turns(50)
  const other = bus<Topics>(chain, { retain: { count: 5 } })
  const kept = async (): Promise<string[]> => (await collect(other.read('note'))).map(({ data }) => data)
  for (let i = 0; i < 8; i++) await other.publish('note', `${i}`)
  await vi.waitFor(async () => expect((await kept()).length).toBe(5), { timeout: 10_000 })
  await look()
  expect(await kept()).toEqual(['3', '4', '5', '6', '7'])
  await other.close()
  const closing = slow.close()
  await look()
  await closing
  await chain.close()
})
