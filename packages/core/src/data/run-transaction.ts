/**
 * Runs a transaction until it commits or is refused for good. From the second try on the reruns of a chain go one after
 * the other, so that n writers of one hot entity cost n runs, not n squared.
 */
import { AteError, isAteError, throwIfAborted } from '../base/errors.ts'
import { fromBase32 } from '../base/ids.ts'
import { objectOf } from '../base/option-names.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import type { Receipt, Settler, TransactionDraft } from '../chain/staged.ts'
import { type Refusal, refuse } from '../chain/verdict.ts'
import type { Durability } from '../log/engine.ts'
import type { Transaction } from './transaction.ts'

const TRIES_MAX = 100
/**
 * From this run on the next rerun waits until this one is decided: others write the same in other processes, and what is
 * staged on top of one that loses has to run again with it.
 */
const HELD_FROM = 3
/** What another transaction's commit can cause, and what running again can mend. */
const RETRIED: ReadonlySet<string> = new Set(['CONFLICT', 'STALE_BASE', 'STALE_EPOCH', 'NAME_TAKEN'])

/** And what the commit of another can cause between staging and the record: what was there may have been deleted. */
const LATE: ReadonlySet<string> = new Set([...RETRIED, 'EPOCH_ORDER', 'NOT_FOUND'])

export interface TransactOptions {
  /** The level that the acknowledgement waits for; what the engine reaches if left out. */
  readonly durability?: Durability
  readonly signal?: AbortSignal
}

/** Of transact alone. */
export interface WaitOptions {
  /**
   * `local`: where a server orders the records, resolves when the transaction is signed and kept on this machine, and sends it
   * when there is a connection, also by a later process. An identity in memory keeps it as long as the process. If it can never
   * be in the log, `chain.conflicts()` tells. A transaction that builds on one that is not decided waits for that one.
   */
  readonly wait?: 'log' | 'local'
  /**
   * Called when it is staged, on each run that gets there: a transaction that begins from then on sees what it wrote. Who makes
   * transactions of one entity one after the other need not wait for the acknowledgement of each.
   */
  readonly staged?: () => void
  /**
   * Called when its record is written and not yet synced, where this process writes a log in files: it is there after the end
   * of this process, whatever ends it, and may not be after a power cut. Then the transaction, and whatever was staged after
   * it, is gone together. Not called where there is no such moment: wait for the acknowledgement there.
   */
  readonly written?: () => void
}

interface RunOptions extends TransactOptions, WaitOptions {}

/** Runs once; a conflict is thrown. */
export function runOnce<R>(
  core: ChainCore,
  tx: Transaction,
  run: (tx: Transaction) => R | Promise<R>,
  options: RunOptions,
): Promise<R> {
  return attempt(core, tx, run, options)
}

/** Runs until it commits. */
export function runTransaction<R>(
  core: ChainCore,
  make: () => Transaction,
  run: (tx: Transaction) => R | Promise<R>,
  options: RunOptions,
): Promise<R> {
  return attempt(core, make, run, options)
}

/** Staged transactions stack, so only the rerun itself takes its turn; the acknowledgement is awaited outside of it. */
function rerun<R>(
  core: ChainCore,
  make: () => Transaction,
  run: (tx: Transaction) => R | Promise<R>,
  options: RunOptions,
  from = 2,
): Promise<R> {
  return new Promise<R>((resolve, reject) => {
    const turn = async (): Promise<void> => {
      for (let count = from; count <= TRIES_MAX; count++) {
        core.observing.tell({ kind: 'rerun', run: count })
        const tx = make()
        const result = await runWith(core, tx, run, options)
        const again = count < TRIES_MAX ? (): void => resolve(rerun(core, make, run, options, count + 1)) : undefined
        const over = afterwards({ resolve, reject, again })
        const refusal = stage(core, tx, options, new Outcome(core, tx, result, options, over.tell))
        if (!refusal) return count < HELD_FROM ? undefined : over.told
        // A name that is taken stays taken, unless somebody deletes it: one more look is enough.
        if (!RETRIED.has(refusal.code) || refusal.code === 'NAME_TAKEN') throw errorOf(refusal)
        // What was forgotten stands in a record that is on its way: only on top of it is there a base that knows of it.
        if (refusal.code === 'STALE_BASE') await core.settled()
      }
      throw new AteError('TX_RETRIES', { tries: TRIES_MAX })
    }
    core.reruns.run(turn).catch(reject)
  })
}

/** `told` resolves when something was told. */
function afterwards<R>(tell: Telling<R>): { readonly tell: Telling<R>; readonly told: Promise<void> } {
  let done: () => void = () => undefined
  const told = new Promise<void>((resolve) => {
    done = resolve
  })
  const and = <A extends unknown[]>(run: (...given: A) => void) => {
    return (...given: A): void => {
      done()
      run(...given)
    }
  }
  const again = tell.again && and(tell.again)
  return {
    told,
    tell: { resolve: and((result) => tell.resolve(result)), reject: and((error) => tell.reject(error)), again },
  }
}

/** One run. What needs no waiting is staged in the same turn of the event loop, with one promise in all. */
function attempt<R>(
  core: ChainCore,
  make: Transaction | (() => Transaction),
  run: (tx: Transaction) => R | Promise<R>,
  options: RunOptions,
): Promise<R> {
  return new Promise<R>((resolve, reject) => {
    const begin = (): void => {
      try {
        throwIfAborted(options.signal)
        const tx = typeof make === 'function' ? make() : make
        const running = runNow(core, tx, run, options)
        const finish = (result: R): void => {
          throwIfAborted(options.signal)
          const again = typeof make === 'function' ? (): void => resolve(rerun(core, make, run, options)) : undefined
          const refusal = stage(core, tx, options, new Outcome(core, tx, result, options, { resolve, reject, again }))
          if (!refusal) return
          if (!again || !RETRIED.has(refusal.code)) throw errorOf(refusal)
          again()
        }
        if (!(running instanceof Promise)) finish(running)
        else running.then(finish).catch(reject)
      } catch (error) {
        reject(error)
      }
    }
    whenRoom(core, objectOf(options).signal, begin, reject)
  })
}

/** Calls `begin` when there is room for one more transaction, or `fail` if the signal aborts before that. */
function whenRoom(
  core: ChainCore,
  signal: AbortSignal | undefined,
  begin: () => void,
  fail: (reason: unknown) => void,
): void {
  if (!core.staging.isFull) {
    begin()
    return
  }
  const onAbort = (): void => {
    leave()
    fail(signal?.reason)
  }
  const leave = core.onceRoom(() => {
    signal?.removeEventListener('abort', onAbort)
    begin()
  })
  signal?.addEventListener('abort', onAbort, { once: true })
}

async function runWith<R>(
  core: ChainCore,
  tx: Transaction,
  run: (tx: Transaction) => R | Promise<R>,
  options: RunOptions,
): Promise<R> {
  throwIfAborted(options.signal)
  await new Promise<void>((resolve, reject) => whenRoom(core, options.signal, resolve, reject))
  const result = await runNow(core, tx, run, options)
  throwIfAborted(options.signal)
  return result
}

function runNow<R>(
  core: ChainCore,
  tx: Transaction,
  run: (tx: Transaction) => R | Promise<R>,
  options: RunOptions,
): R | Promise<R> {
  core.assertWritable()
  core.assertReaches(options.durability)
  if (typeof run !== 'function')
    throw new AteError('BAD_ARGUMENT', { what: 'transact takes a function of a transaction' })
  try {
    const running = run(tx)
    if (!isThenable(running)) return running
    // Not only our own realm's promises: whatever can be awaited.
    return Promise.resolve(running).catch((error) => {
      tx.abandon()
      throw error
    })
  } catch (error) {
    tx.abandon()
    throw error
  }
}

interface Telling<R> {
  resolve(result: R): void
  reject(error: unknown): void
  /** Runs the function once more; undefined if it must not be. */
  readonly again: (() => void) | undefined
}

/** Tells the caller, once, what became of a staged transaction. One object: hundreds may be in flight. */
class Outcome<R> implements Settler {
  readonly #core: ChainCore
  readonly #tx: Transaction
  readonly #result: R
  readonly #signal: AbortSignal | undefined
  readonly #tell: Telling<R>
  readonly kept?: () => void
  readonly written?: () => void
  #isKept = false

  constructor(core: ChainCore, tx: Transaction, result: R, { signal, wait, written }: RunOptions, tell: Telling<R>) {
    this.#core = core
    this.#tx = tx
    this.#result = result
    this.#signal = signal
    this.#tell = tell
    if (wait === 'local') this.kept = () => this.#keep()
    if (written) this.written = written
  }

  #keep(): void {
    this.#isKept = true
    this.#tell.resolve(this.#result)
  }

  resolve(receipt: Receipt): void {
    this.#signal?.removeEventListener('abort', this)
    this.#tx.acknowledged(receipt)
    this.#tell.resolve(this.#result)
  }

  reject(error: unknown): void {
    this.#signal?.removeEventListener('abort', this)
    if (this.#isKept) {
      this.#missed(error)
      return
    }
    // Judged again on top of what others have written meanwhile, it was refused.
    if (this.#tell.again && isAteError(error) && LATE.has(error.code)) this.#tell.again()
    else this.#tell.reject(error)
  }

  /** Nobody waits any more. What was only interrupted is sent by the next process. */
  #missed(error: unknown): void {
    const { code, facts } = isAteError(error) ? error : new AteError('INTERNAL', {}, { cause: error })
    if (code !== 'INDETERMINATE') this.#core.tellConflicts([fromBase32(this.#tx.id, 16)!], [refuse(code, facts)])
  }

  /** The signal was aborted after the transaction was staged: whether it commits is open. */
  handleEvent(): void {
    this.#tell.reject(new AteError('INDETERMINATE', { txId: this.#tx.id }, { cause: this.#signal?.reason }))
  }
}

/** Stages the finished transaction; `outcome` is told once, later. */
function stage(
  core: ChainCore,
  tx: Transaction,
  { signal, durability, wait, staged }: RunOptions,
  outcome: Settler & EventListenerObject,
): Refusal | undefined {
  let draft: ReturnType<Transaction['finish']> | undefined
  try {
    draft = tx.finish()
    if (wait === 'local') assertKeepsNoKeys(core, draft)
    const refusal = core.stage(draft, durability ?? core.durability, outcome)
    if (refusal) core.staging.giveBuffer(draft.bodies)
    else {
      signal?.addEventListener('abort', outcome, { once: true })
      if (staged) queueMicrotask(staged)
    }
    return refusal
  } catch (error) {
    // What the transaction saw has changed before it was finished: as if a guard had said so.
    if (!draft && isAteError(error) && error.code === 'CONFLICT') return refuse('CONFLICT', error.facts)
    if (draft) core.staging.giveBuffer(draft.bodies)
    throw error
  } finally {
    tx.abandon()
  }
}

/** A key that is destroyed later must not have been on the disk of who wrote it. @throws AteError KEYS_UNAVAILABLE */
function assertKeepsNoKeys({ writing, chainId }: ChainCore, { keys }: TransactionDraft): void {
  if (writing.hasRing || !keys || keys.put.length === 0) return
  const hint = 'a transaction that attaches keys waits for the server: leave wait: local out'
  throw new AteError('KEYS_UNAVAILABLE', { chain: chainId }, { hint })
}

function errorOf(refusal: Refusal): AteError {
  return new AteError(refusal.code, refusal.facts)
}

function isThenable<R>(value: R | PromiseLike<R>): value is PromiseLike<R> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}
