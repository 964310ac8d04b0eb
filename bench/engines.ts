/** All engines by name. Each is loaded only in the process that runs it. */
import type { Engine } from './engine.ts'

export const US = 'ate'

const LOADERS: Record<string, () => Promise<Engine>> = {
  [US]: async () => (await import('./us.ts')).engine,
  sqlite: async () => (await import('./peers/sqlite.ts')).engine,
  level: async () => (await import('./peers/level.ts')).engine,
  lmdb: async () => (await import('./peers/lmdb.ts')).engine,
  hypercore: async () => (await import('./peers/hypercore.ts')).engine,
  'hypercore+sync': async () => (await import('./peers/hypercore.ts')).synced,
  cojson: async () => (await import('./peers/cojson.ts')).engine,
  'cojson+sqlite': async () => (await import('./peers/cojson.ts')).stored,
}

export const ENGINE_NAMES: readonly string[] = Object.keys(LOADERS)

export async function loadEngine(name: string): Promise<Engine> {
  const loader = LOADERS[name]
  if (!loader) throw new Error(`no engine ${name}; there are ${ENGINE_NAMES.join(', ')}`)
  return loader()
}
