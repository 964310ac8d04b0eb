/** How many transactions of a log are void. */
import type { Replica } from './replica.ts'

/** Transactions that are stored and void. Void ones are few: their records are looked at one by one. */
export function countVoids({ voids }: Replica): number {
  let count = 0
  for (const reasons of voids.values()) count += reasons.size
  return count
}
