/** Notes of what was done to objects. */
import type { Transaction } from '@ate/core'
import { IN, type NoteRecord, NoteType } from './worm-records.ts'

/** Locked for good: nobody takes back what was done. @throws AteError NOT_AUTHORIZED */
export function note(tx: Transaction, archive: string, record: NoteRecord): void {
  // The last time that a Date can say.
  tx.create(NoteType, record, { parent: archive, in: IN.notes, lock: 'compliance', retain: 8.64e15 })
}
