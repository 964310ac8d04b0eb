/** Changes of a cache as a stream. Of one key that nobody has taken yet, the newest stands for all. */
import type { CacheChange } from './cache-types.ts'
import type { Store } from './store.ts'

export async function* watchChanges<V>(
  store: Store,
  prefix: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<CacheChange<V> | undefined, void, void> {
  const waiting = new Map<string, CacheChange<V>>()
  let wake: () => void = () => undefined
  const onChange = (change: CacheChange<unknown>): void => {
    if (!change.key.startsWith(prefix)) return
    // To the end of the line: the order is that of the newest changes.
    waiting.delete(change.key)
    waiting.set(change.key, change as CacheChange<V>)
    wake()
  }
  const onEnd = (): void => wake()
  store.view.listeners.add(onChange)
  signal?.addEventListener('abort', onEnd)
  store.closing.signal.addEventListener('abort', onEnd)
  try {
    yield undefined
    for (;;) {
      for (const [key, change] of waiting) {
        waiting.delete(key)
        yield { ...change, key: key.slice(prefix.length) }
      }
      signal?.throwIfAborted()
      if (store.isClosed) return
      // The chain may end without a change of the cache.
      const { happened, leave } = store.change()
      if (waiting.size === 0) await Promise.race([happened, new Promise<void>((resolve) => (wake = resolve))])
      leave()
    }
  } finally {
    store.view.listeners.delete(onChange)
    signal?.removeEventListener('abort', onEnd)
    store.closing.signal.removeEventListener('abort', onEnd)
  }
}
