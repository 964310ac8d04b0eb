/** Our queue, by its public API, on a file chain (disk), in memory, or at a server of ours on loopback. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { createIdentity, type Durability, defineType, type Identity, openChain } from '@ate/core'
import { type Queue, queue } from '@ate/queue'
import type { Data, QueueEngine, QueueStore } from './engine.ts'

const Effect = defineType<{ readonly n: number }>('effect')

async function open(place: string, folder: string): Promise<QueueStore> {
  // What this machine remembers of servers and chains goes where the data goes.
  process.env['ATE_HOME'] = join(folder, 'home')
  const as: Identity = await createIdentity()
  let chain = await openChain(place, { as, create: true })
  let jobs: Queue<Data, Data, unknown> = queue<Data>(chain, 'jobs', { retry: { max: 3 } })
  return {
    add: (data) => jobs.add(data),
    addMany: (all) => jobs.addMany(all),
    addGrouped: (all) => jobs.addMany(all.map((data) => [data, { group: `g${data.n % 1000}` }] as const)),
    async work(handler, { concurrency, effect }) {
      const worker = jobs.work(
        (job) => {
          handler(job.data)
          if (effect !== 'none') job.effect((tx) => tx.create(Effect, { n: job.data.n }))
        },
        { concurrency },
      )
      return () => worker.stop()
    },
    async reopen() {
      // What is in memory alone is gone with its chain.
      if (place === 'memory:') return
      await chain.close()
      chain = await openChain(place, { as })
      jobs = queue<Data>(chain, 'jobs', { retry: { max: 3 } })
    },
    async bytes() {
      let bytes = 0
      for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
        const { size } = statSync(join(folder, file))
        bytes += size
      }
      return bytes
    },
    close: () => chain.close(),
  }
}

function engine(
  name: string,
  durability: Durability & QueueEngine['durability'],
  place: (folder: string, port: number) => string,
): QueueEngine {
  const note = 'by the public API: every event signed, linked and encrypted; done and effect in one commit'
  return { name, durability, note, open: (folder, port) => open(place(folder, port), folder) }
}

export const disk: QueueEngine = engine('ate', 'disk', (folder) => `file:${join(folder, 'chain')}`)
export const memory: QueueEngine = engine('ate memory', 'memory', () => 'memory:')
export const served: QueueEngine = engine('ate served', 'disk', (_, port) => `ws://127.0.0.1:${port}/db/jobs`)
