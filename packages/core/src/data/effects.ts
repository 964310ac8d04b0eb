/**
 * Effects that run later, in one transaction with something else: what `{ tx: job.tx }` is in a kit. A verb that writes
 * takes a transaction or effects as its `{ tx }`, and calls `stageIn` with what it would do in a transaction.
 */
import { AteError } from '../base/errors.ts'
import type { Transaction } from './transaction.ts'

const BRAND = Symbol.for('ate.effects')
/** Id of the root, of which every chain has one. */
const ROOT = '0'.repeat(26)

/** Runs in the transaction to come; again if that conflicts, so it has no effects outside of `tx`. */
export type Effect = (tx: Transaction) => unknown

export interface Effects {
  readonly register: (effect: Effect) => void
}

/** What verbs that write take as `{ tx }`. */
export type TxTarget = Transaction | Effects

/** Effects that are handed to `register`, in the order of the calls. */
export function effectsInto(register: (effect: Effect) => void): Effects {
  return Object.freeze(Object.defineProperty({ register }, BRAND, { value: true }))
}

/** True for effects of any copy of this package. */
export function isEffects(value: unknown): value is Effects {
  return typeof value === 'object' && value !== null && Reflect.get(value, BRAND) === true
}

/**
 * Stages at once in a transaction, and resolves with the result; effects keep `stage` for later, and give undefined. A
 * transaction whose function returns meanwhile is `TX_PENDING`: none of it commits. What stages for one chain names it: in a
 * transaction of another one it would be stored there, for who reads that.
 * @throws AteError BAD_ARGUMENT if `target` is neither, or a transaction of another chain
 */
export async function stageIn<R>(
  target: TxTarget,
  stage: (tx: Transaction) => R | Promise<R>,
  chain?: { readonly id: string },
): Promise<R | undefined> {
  const checked = (tx: Transaction): R | Promise<R> => {
    if (chain !== undefined) tx.versionOf(`ate:${chain.id}/${ROOT}`)
    return stage(tx)
  }
  if (isEffects(target)) {
    target.register(checked)
    return undefined
  }
  if (typeof target !== 'object' || target === null || typeof target.create !== 'function')
    throw new AteError('BAD_ARGUMENT', { what: 'tx is a transaction, or the tx of a job', given: typeof target })
  return target.during(() => checked(target))
}
