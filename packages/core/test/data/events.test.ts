/** The stream of committed events: their places, sizes and types, and that an event holds nothing of its record. */
import { inspect } from 'node:util'
import { describe, expect, it, vi } from 'vitest'
import type { ChainEvent, EventsOptions } from '../../src/data/events.ts'
import { memoryEngine } from '../../src/log/memory.ts'
import { Count, codeOf, memoryChain, Note, open, person } from './kit.ts'

async function all(events: AsyncIterable<ChainEvent>): Promise<ChainEvent[]> {
  const found: ChainEvent[] = []
  for await (const event of events) found.push(event)
  return found
}
const TO_END: EventsOptions = { until: 'end' }

describe('events', () => {
  it('have their place among the committed events of their record', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    const note = await chain.transact((tx) => tx.put(Note, 'a', { text: 'x' }))
    // Several transactions of one record, one of them void for a counter of another.
    await Promise.allSettled(
      [1, 2, 3].map((n) =>
        chain.transact((tx) => {
          tx.create(Count, { n })
          tx.create(Note, { text: `${n}` })
        }),
      ),
    )
    await chain.transact((tx) => tx.delete(note))
    const events = await all(chain.events(TO_END))
    const places = new Map<number, number[]>()
    for (const { seq, index } of events) places.set(seq, [...(places.get(seq) ?? []), index])
    for (const indexes of places.values()) expect(indexes).toEqual(indexes.map((_, i) => i))
    const again = await all(chain.events(TO_END))
    expect(again.map(({ seq, index, entity }) => [seq, index, entity])).toEqual(
      events.map(({ seq, index, entity }) => [seq, index, entity]),
    )
  })

  it.each([
    // Three records are 12 ms. What is less than 64 KiB gives way to nobody.
    ['eventBatches', 64, 4, [0, 0, 0, 1, 1, 1, 2, 2]],
    ['records', 64, 4, [0, 0, 0, 1, 1, 1, 2, 2]],
    ['eventBatches', 24, 11, [0, 0, 1, 1, 1, 2, 2, 2]],
    ['eventBatches', 6, 4, [0, 0, 0, 0, 0, 0, 0, 0]],
    ['records', 6, 4, [0, 0, 0, 0, 0, 0, 0, 0]],
  ] as const)('a loop over %s of %i KiB that take %i ms gives way every 10 ms', async (name, kib, ms, expected) => {
    await using kit = await memoryChain()
    const { chain, platform } = kit
    const from = chain.head.seq + 1
    for (let n = 0; n < 8; n++) await chain.transact((tx) => tx.create(Note, { text: 'x'.repeat(kib * 1024) }))
    let paused = 0
    vi.spyOn(platform.environment.timers, 'pause').mockImplementation(async () => {
      for (let i = 0; i < 20; i++) await Promise.resolve()
      paused++
    })
    const pauses: number[] = []
    for await (const _ of name === 'records' ? chain.records({ from }) : chain.eventBatches({ ...TO_END, from })) {
      pauses.push(paused)
      platform.advance(ms)
    }
    expect(pauses).toEqual(expected)
  })

  it('a stream that has waited for news gives it at once', async () => {
    await using kit = await memoryChain()
    const { chain, platform } = kit
    const pause = vi.spyOn(platform.environment.timers, 'pause')
    const write = (): Promise<unknown> => chain.transact((tx) => tx.create(Note, { text: 'x'.repeat(70_000) }))
    const stream = chain.eventBatches({ from: chain.head.seq + 1 })
    for (let n = 0; n < 3; n++) {
      const next = stream.next()
      await write()
      await next
      platform.advance(20)
    }
    expect(pause).not.toHaveBeenCalled()
    await stream.return()
  })

  it.each(['its chain', 'its signal'])(
    'a stream that gives way does not wait for its turn when %s ends',
    async (what) => {
      await using kit = await memoryChain()
      const { chain, platform } = kit
      const from = chain.head.seq + 1
      for (let n = 0; n < 2; n++) await chain.transact((tx) => tx.create(Note, { text: 'x'.repeat(70_000) }))
      vi.spyOn(platform.environment.timers, 'pause').mockReturnValue(new Promise(() => undefined))
      const controller = new AbortController()
      const stream = chain.eventBatches({ ...TO_END, from, signal: controller.signal })
      await stream.next()
      platform.advance(20)
      const next = stream.next()
      if (what === 'its chain') {
        await chain.close()
        await next
      } else {
        controller.abort(new Error('enough'))
        await expect(next).rejects.toThrow('enough')
      }
    },
  )

  it('of one type keep the places that they have among all', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    await chain.transact((tx) => {
      for (let n = 0; n < 5; n++) {
        tx.create(Count, { n })
        tx.create(Note, { text: 'x'.repeat(n) })
      }
    })
    const [first] = await all(chain.events({ ...TO_END, type: Note }))
    await chain.transact((tx) => tx.delete(first!.entity))
    const notes = await all(chain.events({ ...TO_END, type: Note }))
    const expected = (await all(chain.events(TO_END))).filter(({ type }) => type === 'note')
    expect(notes.map((event) => [event.index, event.op, event.bytes])).toEqual(
      expected.map((event) => [event.index, event.op, event.bytes]),
    )
    expect(notes.map(({ op }) => op)).toEqual(['create', 'create', 'create', 'create', 'create', 'delete'])
    const sizes = notes.map(({ bytes }) => bytes)
    expect(sizes[4]! - sizes[0]!).toBe(4)
    expect(sizes[5]).toBe(0)
    expect(await codeOf(notes[5]!.value(Note))).not.toBe('nothing was thrown')
  })

  it('are readable when they are printed, and open after the stream has gone on', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    for (let n = 0; n < 20; n++) await chain.transact((tx) => tx.create(Count, { n }))
    const events = await all(chain.events({ ...TO_END, type: Count }))
    expect(await Promise.all(events.map((event) => event.value(Count)))).toEqual(
      Array.from({ length: 20 }, (_, n) => ({ n })),
    )
    const { txId, entity, author } = events[0]!
    for (const text of [inspect(events[0]), JSON.stringify(events[0])])
      for (const part of [txId, entity, author]) expect(text).toContain(part)
  })
})

it('a chain that only this handle writes says so', async () => {
  await using kit = await memoryChain()
  expect(kit.chain.isAlone).toBe(true)
  const reader = await open(memoryEngine(kit.store, { readOnly: true }), { as: person('alice'), id: kit.chain.id })
  expect(reader.isAlone).toBe(false)
  await reader.close()
})
