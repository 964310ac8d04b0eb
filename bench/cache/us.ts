/** Our cache, by the public API alone: on a chain in memory, sealed, signed and linked as every chain is. */
import { cache, createIdentity, openChain } from '@ate/cache'
import type { CacheEngine, Value } from './engine.ts'

export const engine: CacheEngine = {
  name: 'ate',
  note: 'ours, memory: chain; every set sealed, signed, linked and ordered; reads from the decoded view',
  async open() {
    const chain = await openChain('memory:', { as: await createIdentity() })
    const values = cache<Value>(chain, 'bench', { max: 2_000_000, maxBytes: 2 ** 40 })
    await values.ready
    return {
      get: (key) => values.get(key),
      set: (key, value) => values.set(key, value),
      setFor: (key, value) => values.set(key, value, { ttl: '1h' }),
      setMany: (all) => values.setMany(all),
      getOrSet: (key, load) => values.getOrSet(key, load),
      close: () => chain.close(),
    }
  },
}
