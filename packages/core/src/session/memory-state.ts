/** The state store in memory: the readable specification, and what a browser has until it keeps one. */
import type { FileLock } from '../log/file-system.ts'
import { assertStateName, assertStatePrefix, type StateStore } from './state-store.ts'

export function memoryState(): StateStore {
  const entries = new Map<string, Uint8Array>()
  const locks = new Map<string, (() => void)[]>()

  function release(name: string): void {
    const next = locks.get(name)!.shift()
    if (next) next()
    else locks.delete(name)
  }

  function held(name: string): FileLock {
    let open = true
    return {
      async release() {
        if (open) release(name)
        open = false
      },
    }
  }

  return {
    location: 'memory',
    async get(name) {
      assertStateName(name)
      return entries.get(name)?.slice()
    },
    async put(name, bytes) {
      assertStateName(name)
      entries.set(name, bytes.slice())
    },
    async remove(name) {
      assertStateName(name)
      entries.delete(name)
    },
    async list(prefix) {
      assertStatePrefix(prefix)
      return [...entries.keys()].filter((name) => name.startsWith(prefix)).sort()
    },
    async lock(name, options) {
      assertStateName(name)
      const waiting = locks.get(name)
      if (!waiting) locks.set(name, [])
      // A holder in this process always lets go, so who waits at all waits for it.
      else if ((options?.waitMs ?? 0) > 0) await new Promise<void>((resolve) => waiting.push(resolve))
      else return undefined
      return held(name)
    },
  }
}
