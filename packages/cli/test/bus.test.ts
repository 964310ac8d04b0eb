/**
 * `ate bus` as a process.
 * @newest-node-only: runs the TypeScript sources
 */
import { join } from 'node:path'
import { bus } from '@ate/bus'
import { openChain, openIdentity } from '@ate/core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Machine, newMachine, type Outcome } from './run-ate.ts'

let machine: Machine
let common: string[]

/** Two events of two topics, and a subscription that has set one aside. */
beforeAll(async () => {
  machine = newMachine()
  const file = join(machine.folder, 'alice.id')
  const as = await openIdentity(file, { create: true })
  const chain = await openChain(`file:${join(machine.folder, 'shop')}`, { as })
  const events = bus(chain)
  await events.publish('order.placed', { id: 'o1' }, { key: 'o1' })
  await events.publish('order.shipped', { id: 'o1' })
  const books = events.subscribe(
    'books',
    'order.*',
    ({ topic }) => {
      if (topic === 'order.placed') throw new Error('no\u001b[31m')
    },
    { retry: { max: 1 } },
  )
  await books.drain()
  await events.close()
  await chain.close()
  common = ['--as', file, '--id', chain.id]
})
afterAll(() => machine.remove())

const run = (...args: string[]): Promise<Outcome> => machine.run(['bus', args[0]!, 'shop', ...args.slice(1), ...common])

it('lists topics and subscriptions, and how far they are', async () => {
  expect((await run('topics')).stdout).toBe('order.placed  1 event\norder.shipped  1 event\n')
  expect((await run('subs')).stdout).toBe('books  order.*  order topic  0 events behind  1 set aside\n')
  expect(JSON.parse((await run('lag', 'books', '--json')).stdout)).toEqual({ events: 0, ms: 0 })
})

it('prints events, and those that were set aside', async () => {
  const tail = (await run('tail', 'order.*')).stdout.trim().split('\n')
  expect(tail.map((line) => line.replace(/^\S+ {2}\S+ {2}/, ''))).toEqual([
    'order.placed [o1]  {"id":"o1"}',
    'order.shipped  {"id":"o1"}',
  ])
  expect((await run('tail', '>', '--from', 'last', '--limit', '5', '--json')).stdout).toContain(
    '"topic":"order.shipped"',
  )
  expect((await run('dead', 'books')).stdout).toContain('after 1 try: Error: no\\x1b[31m')
  expect((await run('tail', '--from', 'yesterday')).stderr).toContain('BAD_CURSOR')
})

it('publishes, moves a subscription, and redrives', async () => {
  const event = ['order.placed', '{"id":"o2"}', '--event-id', 'p2', '--header', 'a=b']
  expect((await run('publish', ...event)).stdout).toMatch(/^event p2 in record \d+\n$/)
  expect((await run('publish', ...event)).stdout).toBe('event p2, which was there already\n')
  expect((await run('seek', 'books', 'start')).stdout).toBe('3 events to be delivered\n')
  expect((await run('redrive', 'books')).stdout).toBe('1 event to be delivered again\n')
  expect((await run('subs')).stdout).toBe('books  order.*  order topic  3 events behind\n')
})
