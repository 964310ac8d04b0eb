/** What may go wrong around the bus: a disk that is full, a process that ends, an identity that is taken out. */
import { type Chain, createIdentity, type Effect, memoryEngine, openChain, role } from '@ate/core'
import { afterEach, expect, it } from 'vitest'
import { type Bus, type BusObservation, bus } from '../src/index.ts'
import {
  closeAll,
  closeLater,
  codeOf,
  collect,
  Done,
  heldLooks,
  type Letters,
  openAt,
  place,
  turns,
  until,
} from './kit.ts'

type Engine = ReturnType<typeof memoryEngine>
afterEach(closeAll)

const numbers = async (chain: Chain): Promise<number[]> =>
  (await collect(chain.children(Done))).map(({ value }) => value)

/** An engine whose appends fail when they are told to. */
function failing(fault: { code: string | undefined }): (engine: Engine) => Engine {
  return (engine) =>
    new Proxy(engine, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target)
        if (name === 'append' && fault.code !== undefined) return () => Promise.reject(diskError(fault.code!))
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
}

function diskError(code: string): Error {
  return Object.assign(new Error(code), { code, facts: {}, [Symbol.for('ate.error')]: true })
}

it('a full disk: nothing is acknowledged, the subscription stops, and goes on when there is room', async () => {
  const fault: { code: string | undefined } = { code: undefined }
  const chain = await openAt(place(), failing(fault))
  closeLater(chain)
  const events = bus<Letters>(chain)
  await events.publish('a', 0)
  const handler = ({ data, effect }: { data: number; effect: (run: Effect) => void }): void => {
    if (data === 2 && isFirst) fault.code = 'DISK_FULL'
    effect((tx) => tx.create(Done, data))
  }
  let isFirst = true
  const books = events.subscribe('books', 'a', handler)
  await books.drain()
  fault.code = 'DISK_FULL'
  expect(await codeOf(events.publish('a', 1))).toBe('DISK_FULL')
  fault.code = undefined
  const stopped = codeOf(books.done)
  await events.publish('a', 2)
  expect(await stopped).toBe('DISK_FULL')
  isFirst = false
  fault.code = undefined
  expect((await events.lag('books')).events).toBe(1)
  await events.subscribe('books', 'a', handler).drain()
  expect(await numbers(chain)).toEqual([0, 2])
  expect((await collect(events.read('a'))).map(({ data }) => data)).toEqual([0, 2])
  expect(await collect(events.dead('books'))).toEqual([])
})

it('a full disk: retention tells of it, and drops when there is room', async () => {
  const fault: { code: string | undefined } = { code: undefined }
  const { environment, looks } = heldLooks()
  const look = async (): Promise<void> => {
    await until(() => looks.length > 0)
    looks.shift()!()
    await turns(50)
  }
  const chain = await openAt(place(), failing(fault))
  closeLater(chain)
  const told: unknown[] = []
  const observe = ({ operation, attributes }: BusObservation): void => {
    if (operation === 'drop' && attributes['error.type']) told.push(attributes['error.type'])
  }
  const events = bus<Letters>(chain, { retain: { count: 2 }, observe }, environment)
  await turns(50)
  for (let n = 0; n < 6; n++) await events.publish('a', n)
  const kept = async (): Promise<number[]> => (await collect(events.read('a'))).map(({ data }) => data)
  fault.code = 'DISK_FULL'
  await look()
  await look()
  expect(told).toEqual(['DISK_FULL', 'DISK_FULL'])
  expect(await kept()).toEqual([0, 1, 2, 3, 4, 5])
  fault.code = undefined
  await look()
  expect(await kept()).toEqual([4, 5])
  const closing = events.close()
  await look()
  await closing
})

it('a process that ends in the middle: the next one goes on, and effects happen once', async () => {
  const at = place()
  for (let round = 0; round < 6; round++) {
    const chain = await openAt(at)
    const events = bus<Letters>(chain)
    for (let n = 0; n < 20; n++) await events.publish('a', round * 20 + n, { id: `e${round * 20 + n}` })
    let handled = 0
    events.subscribe(
      'books',
      'a',
      async ({ data, effect }) => {
        await turns(data % 2)
        handled++
        effect((tx) => tx.create(Done, data))
      },
      { order: 'none', concurrency: 4 },
    )
    await until(() => handled > 5 + round * 3)
    if (round === 3) await chain.compact()
    await chain.close() // with handlers on their way, and the subscription held
  }
  const chain = await openAt(at)
  closeLater(chain)
  const events = bus<Letters>(chain)
  await events
    .subscribe('books', 'a', ({ data, effect }) => effect((tx) => tx.create(Done, data)), { order: 'none' })
    .drain()
  expect((await numbers(chain)).sort((a, b) => a - b)).toEqual(Array.from({ length: 120 }, (_, n) => n))
  await events.publish('a', -1, { id: 'e7' }) // ids outlive all of it
  expect((await collect(events.read('a'))).length).toBe(120)
})

it('a revoked member commits nothing more', async () => {
  const at = place()
  const bob = await createIdentity()
  const mine = await openAt(at)
  await mine.transact((tx) => tx.role('staff').add(bob.publicId))
  const staff = [role('staff')]
  const events = bus<Letters>(mine, { access: { read: staff, write: staff } })
  await events.publish('a', 1)
  await mine.close()

  const his = await openChain(memoryEngine(at.store), { as: bob, id: at.id! })
  const seen: number[] = []
  const member = bus<Letters>(his)
  await member.subscribe('books', 'a', ({ data }) => seen.push(data)).drain()
  await member.publish('a', 2)
  await his.close()

  const again = await openAt(at)
  await again.transact((tx) => tx.role('staff').remove(bob.publicId))
  await bus<Letters>(again).publish('a', 3)
  await again.close()

  const late = await openChain(memoryEngine(at.store), { as: bob, id: at.id! })
  closeLater(late)
  const out: Bus<Letters, Letters> = bus<Letters>(late)
  expect(await codeOf(out.publish('a', 4))).toMatch(/NOT_AUTHORIZED|NO_READ_KEY|UNKNOWN_WRITER/)
  expect(await codeOf(out.subscribe('books', 'a', ({ data }) => seen.push(data)).done)).toMatch(
    /NOT_AUTHORIZED|NO_READ_KEY|UNKNOWN_WRITER/,
  )
  expect(seen).toEqual([1, 2])
})
