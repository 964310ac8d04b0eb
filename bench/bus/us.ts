/** Our bus, by the public API alone, on a chain in a folder. */
import { join } from 'node:path'
import { bus } from '@ate/bus'
import { defineType, type Effect, openChain, openIdentity } from '@ate/core'
import type { BusEngine, BusStore } from './engine.ts'

interface Topics {
  'bench.event': { text: string }
  'bench.query': { text: string }
  'passing.event': { text: string }
  'passing.query': { text: string }
}
const Done = defineType<number>('done')

export const engine: BusEngine = {
  name: 'ate',
  durability: 'disk',
  note: 'ours: every event signed, linked, encrypted; file engine; the cursor and its effects in one commit',
  open,
}

async function open(folder: string): Promise<BusStore> {
  process.env['ATE_HOME'] = join(folder, 'home')
  const as = await openIdentity(join(folder, 'identity'), { create: true })
  const chain = await openChain(`file:${join(folder, 'chain')}`, { as })
  const events = bus<Topics>(chain, { ephemeral: ['passing.>'] })
  let answering: Promise<void> | undefined
  const consume = (count: number, name: string, each: (effect: (run: Effect) => void) => void): Promise<void> =>
    new Promise((resolve, reject) => {
      let seen = 0
      const subscription = events.subscribe(name, 'bench.event', ({ data, effect }) => {
        if (data.text.length === 0) throw new Error('empty')
        each(effect)
        if (++seen === count) void subscription.drain().then(() => subscription.close().then(resolve), reject)
      })
      subscription.done.catch(reject)
    })
  return {
    publish: (text) => events.publish('bench.event', { text }),
    consume: (count, name) => consume(count, name, () => undefined),
    consumeWithEffect: (count, name) => consume(count, name, (effect) => effect((tx) => tx.create(Done, 1))),
    async replay() {
      let count = 0
      for await (const { data } of events.read('bench.*')) count += data.text.length > 0 ? 1 : 0
      return count
    },
    async listen(heard) {
      events.on('bench.event', heard, { buffer: 65_536, overflow: 'error' })
    },
    async listenSlowly() {
      events.on('bench.event', () => new Promise(() => undefined))
      events.subscribe('slow', 'bench.event', () => new Promise(() => undefined), { grace: 0 })
    },
    async request(kind) {
      answering ??= Promise.all([
        events.respond('bench.query', ({ data }) => data.text).ready,
        events.respond('passing.query', ({ data }) => data.text).ready,
      ]).then(() => undefined)
      await answering
      return events.request(kind === 'stored' ? 'bench.query' : 'passing.query', { text: 'x' })
    },
    emit: (text) => events.publish('passing.event', { text }),
    async listenPassing(heard) {
      events.on('passing.event', heard, { buffer: 65_536 })
    },
    bytes: () => chain.stats().logBytes,
    async close() {
      await events.close()
      await chain.close()
    },
  }
}
