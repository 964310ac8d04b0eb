/** What was kept on this machine and can never be in the log, as it is found out. */
import { throwIfAborted } from '../base/errors.ts'
import type { ChainCore, Conflict } from '../chain/chain-core.ts'

/** Each goes to one of those who ask. Ends when the chain is closed. @throws the reason of `signal` */
export async function* conflictsOf(
  core: ChainCore,
  signal: AbortSignal | undefined,
): AsyncGenerator<Conflict, void, void> {
  const { conflicts, conflictListeners, closers } = core
  for (;;) {
    throwIfAborted(signal)
    for (let next = conflicts.shift(); next; next = conflicts.shift()) yield next
    if (core.isClosed) return
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        conflictListeners.delete(wake)
        closers.delete(wake)
        signal?.removeEventListener('abort', wake)
        resolve()
      }
      conflictListeners.add(wake)
      closers.add(wake)
      signal?.addEventListener('abort', wake, { once: true })
    })
  }
}
