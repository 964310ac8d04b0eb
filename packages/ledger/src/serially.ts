/** Calls on one transaction go one after the other: two that read one balance at once would write it twice. */
import type { Transaction } from '@ate/core'

const turns = new WeakMap<Transaction, Promise<unknown>>()

export function serially<R>(tx: Transaction, run: () => Promise<R>): Promise<R> {
  const before = turns.get(tx)
  const turn = before ? before.then(run, run) : run()
  turns.set(tx, turn)
  return turn
}
