/** After an acknowledgement: lists that children left are packed, once more than half of what they hold is gone. */
import { packList } from '../view/child-lists.ts'
import { ROW } from '../view/entity-table.ts'
import type { View } from '../view/view.ts'
import { isInList } from './fold-tree.ts'

const SMALL = 64

/** Only while nothing is pending: staged changes are undone by slot, and images remember slots. */
export function settleLists(view: View): void {
  const { loose } = view.children
  if (loose.size === 0 || view.images.size > 0) return
  for (const list of loose) {
    if (list.length <= SMALL || list.live * 2 >= list.length) continue
    packList(
      list,
      (row, slot) => isInList(view, list, slot, row),
      (row, slot) => view.table.set(row, ROW.slot, slot),
    )
  }
  loose.clear()
}
