/** All engines by name. Each is loaded only in the process that needs it. */
import type { CacheEngine } from './engine.ts'

const LOADERS: Readonly<Record<string, () => Promise<CacheEngine>>> = {
  ate: async () => (await import('./us.ts')).engine,
  'lru-cache': async () => (await import('../peers/caches.ts')).lruCache,
  keyv: async () => (await import('../peers/caches.ts')).keyv,
  cacheable: async () => (await import('../peers/caches.ts')).cacheable,
  redis: async () => (await import('../peers/caches.ts')).redis,
}

export const CACHE_ENGINES: readonly string[] = Object.keys(LOADERS)

export async function loadCacheEngine(name: string): Promise<CacheEngine> {
  const loader = LOADERS[name]
  if (!loader) throw new Error(`no engine ${name}; there are ${CACHE_ENGINES.join(', ')}`)
  return loader()
}
