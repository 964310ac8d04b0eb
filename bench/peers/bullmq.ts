/** BullMQ on a Redis that the bench starts. */
import type { Data, QueueEngine, QueueStore } from '../queue/engine.ts'
import { load } from './load.ts'

interface Job {
  readonly data: Data
}
interface Options {
  readonly connection: { readonly host: string; readonly port: number; readonly maxRetriesPerRequest: null }
  readonly concurrency?: number
}
interface Package {
  readonly Queue: new (
    name: string,
    options: Options,
  ) => {
    add(name: string, data: Data): Promise<unknown>
    addBulk(all: readonly { readonly name: string; readonly data: Data }[]): Promise<unknown>
    close(): Promise<void>
    readonly client: Promise<{ set(key: string, value: string): Promise<unknown> }>
  }
  readonly Worker: new (
    name: string,
    handler: (job: Job) => Promise<unknown>,
    options: Options,
  ) => { close(): Promise<void>; on(event: 'error', tell: (error: unknown) => void): void }
}

async function open(port: number): Promise<QueueStore> {
  const { Queue, Worker } = await load<Package>('bullmq')
  const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null } as const
  const jobs = new Queue('jobs', { connection })
  return {
    add: (data) => jobs.add('job', data),
    addMany: (all) => jobs.addBulk(all.map((data) => ({ name: 'job', data }))),
    async work(handler, { concurrency, effect }) {
      const worker = new Worker(
        'jobs',
        async ({ data }) => {
          handler(data)
          // In a write of its own, before the job is done: not atomic with it.
          if (effect !== 'none') await (await jobs.client).set(`effect:${data.n}`, String(data.n))
        },
        { connection, concurrency },
      )
      worker.on('error', () => undefined)
      return () => worker.close()
    },
    close: () => jobs.close(),
  }
}

function engine(name: string, durability: QueueEngine['durability'], note: string): QueueEngine {
  return { name, durability, note, open: (_, port) => open(port) }
}

export const everysec: QueueEngine = engine(
  'bullmq',
  'os',
  'Redis, appendfsync everysec; its effect is a SET of its own',
)
export const always: QueueEngine = engine(
  'bullmq always',
  'disk',
  'Redis, appendfsync always; its effect is a SET of its own, not atomic with done',
)
