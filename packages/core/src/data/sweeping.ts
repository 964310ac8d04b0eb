/** Drops what has expired. */
import type { ChainCore } from '../chain/chain-core.ts'
import { maySweep, type Replica } from '../chain/replica.ts'
import type { EntityWords } from '../event/entity-words.ts'
import { KIND } from '../event/format.ts'
import { encodeSweep, SWEEP_ENTITIES_MAX } from '../event/sweep.ts'

/** As Chain.sweep: the number of entities, at most SWEEP_ENTITIES_MAX. */
export async function sweepExpired(core: ChainCore): Promise<number> {
  await core.settled()
  const words = expiredWords(core.replica, SWEEP_ENTITIES_MAX)
  if (words.length > 0) await core.appendOther(KIND.sweep, () => encodeSweep(words))
  return words.length
}

/** Which entities a sweep would drop now. */
export function expiredWords(replica: Replica, max: number): EntityWords[] {
  const { view, chainTime } = replica
  const found: EntityWords[] = []
  for (const row of view.extras.keys()) {
    if (found.length === max) break
    if (row > 0 && !view.isDead(row) && maySweep(view, row, chainTime)) found.push(view.wordsOf(row))
  }
  return found
}
