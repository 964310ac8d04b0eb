/** Who has no key to a bus is told so, by all that tells what is on it. */
import { createIdentity, memoryEngine, memoryStore, openChain } from '@ate/core'
import { expect, it } from 'vitest'
import { type Bus, bus } from '../src/index.ts'
import { codeOf } from './kit.ts'

async function all(items: AsyncIterable<unknown>): Promise<unknown[]> {
  const found: unknown[] = []
  for await (const item of items) found.push(item)
  return found
}

type Any = Bus<{ a: number }, { a: number }>
const TELLING: readonly (readonly [string, (events: Any) => Promise<unknown>])[] = [
  ['topics', (events) => all(events.topics())],
  ['subscriptions', (events) => all(events.subscriptions())],
  ['lag', (events) => events.lag('books')],
  ['dead', (events) => all(events.dead('books'))],
]

it('what tells of a bus is NO_READ_KEY for who cannot read it', async () => {
  const store = memoryStore()
  const chain = await openChain(memoryEngine(store), { as: await createIdentity() })
  const events: Any = bus<{ a: number }>(chain)
  await events.publish('a', 1)
  await events.subscribe('books', 'a', () => undefined).drain()
  for (const [name, tell] of TELLING) expect([name, await codeOf(tell(events))]).toEqual([name, 'nothing was thrown'])
  await events.close()
  await chain.close()

  const other = await openChain(memoryEngine(store), { as: await createIdentity(), id: chain.id })
  const unread: Any = bus<{ a: number }>(other)
  for (const [name, tell] of TELLING) expect([name, await codeOf(tell(unread))]).toEqual([name, 'NO_READ_KEY'])
  await unread.close()
  await other.close()
})

it('where there is no bus there is nothing on it', async () => {
  await using chain = await openChain('memory:', { as: await createIdentity() })
  expect(await all(bus(chain).topics())).toEqual([])
  expect(await codeOf(bus(chain).lag('books'))).toBe('NOT_FOUND')
})
