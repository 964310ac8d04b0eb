/** pg-boss on a PostgreSQL that the bench starts, with its defaults. */
import type { Data, QueueEngine, QueueStore } from '../queue/engine.ts'
import { load } from './load.ts'

interface Job {
  readonly id: string
  readonly data: Data
}
interface Boss {
  start(): Promise<unknown>
  stop(options: { readonly graceful: boolean }): Promise<void>
  on(event: 'error', tell: (error: unknown) => void): void
  createQueue(name: string): Promise<void>
  send(name: string, data: Data): Promise<unknown>
  insert(name: string, all: readonly { readonly data: Data }[]): Promise<unknown>
  fetch(name: string, options: { readonly batchSize: number }): Promise<Job[]>
  complete(name: string, ids: readonly string[]): Promise<unknown>
}
interface Package {
  readonly PgBoss: new (options: object) => Boss
}

async function open(port: number): Promise<QueueStore> {
  const { PgBoss } = await load<Package>('pg-boss')
  const boss = new PgBoss({
    host: '127.0.0.1',
    port,
    user: 'bench',
    database: 'postgres',
    supervise: false,
    schedule: false,
  })
  boss.on('error', () => undefined)
  await boss.start()
  await boss.createQueue('jobs')
  return {
    add: (data) => boss.send('jobs', data),
    addMany: (all) =>
      boss.insert(
        'jobs',
        all.map((data) => ({ data })),
      ),
    // Its worker polls twice a second at most; fetching in loops is its fastest way.
    async work(handler, { concurrency }) {
      let isOpen = true
      const loop = async (): Promise<void> => {
        while (isOpen) {
          const jobs = await boss.fetch('jobs', { batchSize: Math.min(concurrency, 100) })
          if (jobs.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
          for (const { data } of jobs) handler(data)
          if (jobs.length > 0)
            await boss.complete(
              'jobs',
              jobs.map(({ id }) => id),
            )
        }
      }
      const loops = Array.from({ length: Math.min(concurrency, 4) }, loop)
      return async () => {
        isOpen = false
        await Promise.all(loops)
      }
    },
    close: () => boss.stop({ graceful: false }),
  }
}

export const engine: QueueEngine = {
  name: 'pg-boss',
  durability: 'disk',
  note: 'PostgreSQL untuned; fetch and complete in loops, batches of the concurrency; no effect',
  open: (_, port) => open(port),
}
