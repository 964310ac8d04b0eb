/** All engines of the queue bench by name, with the server that each needs. Loaded only in the process that runs it. */
import type { QueueEngine } from './engine.ts'

export type Server = 'redis everysec' | 'redis memory' | 'redis always' | 'postgres' | 'ate' | 'none'

interface Loader {
  readonly server: Server
  readonly load: () => Promise<QueueEngine>
}

const LOADERS: Readonly<Record<string, Loader>> = {
  ate: { server: 'none', load: async () => (await import('./us.ts')).disk },
  'ate served': { server: 'ate', load: async () => (await import('./us.ts')).served },
  'bullmq always': { server: 'redis always', load: async () => (await import('../peers/bullmq.ts')).always },
  'pg-boss': { server: 'postgres', load: async () => (await import('../peers/pg-boss.ts')).engine },
  bullmq: { server: 'redis everysec', load: async () => (await import('../peers/bullmq.ts')).everysec },
  'ate memory': { server: 'none', load: async () => (await import('./us.ts')).memory },
}

export const QUEUE_ENGINES: readonly string[] = Object.keys(LOADERS)

export function loadQueueEngine(name: string): Promise<QueueEngine> {
  return loaderOf(name).load()
}

export function serverOf(name: string): Server {
  return loaderOf(name).server
}

function loaderOf(name: string): Loader {
  const loader = LOADERS[name]
  if (!loader) throw new Error(`no engine ${name}; there are ${QUEUE_ENGINES.join(', ')}`)
  return loader
}
