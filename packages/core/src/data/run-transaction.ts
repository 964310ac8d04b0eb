/**
 * Runs a transaction until it commits or is refused for good. From the second try on the reruns of a chain go one after
 * the other, so that n writers of one hot entity cost n runs, not n squared.
 */
import { AteError, throwIfAborted } from '../base/errors.ts'
import { toBase32 } from '../base/ids.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import type { Receipt, StagedTransaction } from '../chain/staged.ts'
import type { Refusal } from '../chain/verdict.ts'
import type { Durability } from '../log/engine.ts'
import type { Transaction } from './transaction.ts'

const TRIES_MAX = 100
/** What another transaction's commit can cause, and what running again can mend. */
const RETRIED: ReadonlySet<string> = new Set(['CONFLICT', 'STALE_BASE', 'STALE_EPOCH', 'NAME_TAKEN'])

export interface RunOptions {
  readonly durability?: Durability
  readonly signal?: AbortSignal
}

export async function runTransaction<R>(
  core: ChainCore,
  make: () => Transaction,
  run: (tx: Transaction) => R | Promise<R>,
  options: RunOptions,
  tries: 'again' | 'once' = 'again',
): Promise<R> {
  const first = await attempt(core, make(), run, options)
  if (first.staged) return finish(first, options)
  if (tries === 'once' || !isRetried(first.refusal)) throw errorOf(first.refusal)
  // Staged ones stack, so only the rerun itself takes its turn; the acknowledgement is awaited outside of it.
  const staged = await core.reruns.run(async () => {
    for (let count = 2; count <= TRIES_MAX; count++) {
      const next = await attempt(core, make(), run, options)
      if (next.staged) return next
      // A name that is taken stays taken, unless somebody deletes it: one more look is enough.
      if (!isRetried(next.refusal) || next.refusal.code === 'NAME_TAKEN') throw errorOf(next.refusal)
    }
    throw new AteError('TX_RETRIES', { tries: TRIES_MAX })
  })
  return finish(staged, options)
}

type Attempt<R> =
  | { readonly staged: StagedTransaction; readonly tx: Transaction; readonly result: R; readonly refusal?: undefined }
  | { readonly refusal: Refusal; readonly staged?: undefined }

async function attempt<R>(core: ChainCore, tx: Transaction, run: (tx: Transaction) => R | Promise<R>, options: RunOptions): Promise<Attempt<R>> {
  core.assertWritable()
  core.assertReaches(options.durability)
  throwIfAborted(options.signal)
  if (core.isFull) await core.room(options.signal)
  try {
    const running = run(tx)
    const result = running instanceof Promise ? await running : running
    throwIfAborted(options.signal)
    const staged = core.stage(tx.finish(), options.durability ?? core.engine.durability)
    return 'code' in staged ? { refusal: staged } : { staged, tx, result }
  } finally {
    tx.abandon()
  }
}

async function finish<R>(attempt: Extract<Attempt<R>, { staged: StagedTransaction }>, options: RunOptions): Promise<R> {
  const { staged, tx, result } = attempt
  tx.acknowledged(await acknowledged(staged, options.signal))
  return result
}

/** After an abort the outcome is open: the transaction is on its way and may commit. */
function acknowledged(staged: StagedTransaction, signal: AbortSignal | undefined): Promise<Receipt> {
  if (!signal) return staged.done
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new AteError('INDETERMINATE', { txId: toBase32(staged.draft.nonce) }, { cause: signal.reason }))
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    staged.done.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

function isRetried(refusal: Refusal): boolean {
  return RETRIED.has(refusal.code)
}

function errorOf(refusal: Refusal): AteError {
  return new AteError(refusal.code, refusal.facts)
}
