/**
 * Locks over all tabs and workers of one origin (Web Locks API). A lock is held until it is let go, or its tab dies; while
 * one waits for it, the browser wakes it.
 */
import { AteError } from '../base/errors.ts'
import type { FileLock } from '../log/file-system.ts'

export interface LockOptions {
  /** `try`: at once or not at all. `wait`: until it is free, or `signal` ends the waiting. `steal`: at once, whoever has it. */
  readonly want: 'try' | 'wait' | 'steal'
  readonly signal?: AbortSignal
  /** Another page of this origin took the lock by force. */
  readonly onStolen?: () => void
}

/** Undefined if it is not free. @throws the signal's reason; AteError BAD_URL where there are no locks, IO_ERROR */
export function takeLock(name: string, { want, signal, onStolen }: LockOptions): Promise<FileLock | undefined> {
  const locks = webLocks()
  return new Promise((resolve, reject) => {
    const waiting = signal ? { signal } : {}
    const options = want === 'try' ? { ifAvailable: true } : want === 'steal' ? { steal: true } : waiting
    let isHeld = false
    const hold = (lock: Lock | null): Promise<void> | undefined => {
      if (!lock) {
        resolve(undefined)
        return undefined
      }
      isHeld = true
      return new Promise((letGo) => resolve({ release: async () => letGo() }))
    }
    locks.request(name, options, hold).catch((error) => {
      if (isHeld) onStolen?.()
      else if (signal?.aborted) reject(signal.reason)
      else reject(new AteError('IO_ERROR', { lock: name, reason: String(error?.name) }, { cause: error }))
    })
  })
}

/** Pages that are neither https: nor of this machine have none. */
function webLocks(): LockManager {
  const locks = globalThis.navigator?.locks as LockManager | undefined
  if (locks) return locks
  throw new AteError(
    'BAD_URL',
    {},
    { hint: 'a chain in a database needs Web Locks, which browsers give to pages of https: and of localhost' },
  )
}
