/** Which entities a sweep would drop now. */

import { maySweep, type Replica } from '../chain/replica.ts'
import type { EntityWords } from '../event/entity-words.ts'

export function expiredWords(replica: Replica, max: number): EntityWords[] {
  const { view, chainTime } = replica
  const found: EntityWords[] = []
  for (const row of view.extras.keys()) {
    if (found.length === max) break
    if (row > 0 && !view.isDead(row) && maySweep(view, row, chainTime)) found.push(view.wordsOf(row))
  }
  return found
}
