/**
 * Which of the bodies that the log stores are still of use. A body is live if a row of a living entity points to it, as
 * it was acknowledged or as it is staged; whatever else a record holds of bodies can be dropped.
 *
 * The walk gives way to other work. What is written meanwhile can only make bodies die, never live again, so that a
 * walk says live of some that have just died, and never dead of one that lives. Records that came after it began are
 * not looked at.
 */
import { throwIfAborted } from '../base/errors.ts'
import { bodyBytes } from '../event/commit-bodies.ts'
import { parseBlockPlaces, placesEnd } from '../event/commit-parse.ts'
import { COMMIT, KIND } from '../event/format.ts'
import { parseRecordHead } from '../event/record.ts'
import type { LogEngine } from '../log/engine.ts'
import { CHUNK_ROWS, DEAD, ROW } from '../view/entity-table.ts'
import type { View } from '../view/view.ts'

export interface WalkOptions {
  /** Gives way to other work. */
  readonly pause: () => Promise<void>
  readonly signal?: AbortSignal | undefined
}

/** Called with each live body once: where it stands, in the words of ROW. */
export type LiveBodyVisitor = (record: number, block: number, offset: number, size: number) => void

/** Live bytes of bodies by record, for records 0 to `records` - 1. Four bytes of memory a record. */
export async function liveBodyBytes(view: View, records: number, options: WalkOptions): Promise<Uint32Array> {
  const live = new Uint32Array(records)
  await visitLiveBodies(
    view,
    (record, _block, _offset, size) => {
      if (record < records) live[record] = live[record]! + size
    },
    options,
  )
  return live
}

/** Looks at every row, in the order in which entities were made. */
export async function visitLiveBodies(view: View, visit: LiveBodyVisitor, options: WalkOptions): Promise<void> {
  const { table } = view
  for (let row = 0; row < table.rows; row++) {
    const images = view.images.size > 0 ? view.images.get(row) : undefined
    if (!images) visitState(table.chunkOf(row), table.offsetOf(row), visit)
    else visitStates([...images.map(({ words }) => words), view.imageOf(row).words], visit)
    if (row % CHUNK_ROWS !== CHUNK_ROWS - 1) continue
    // Meanwhile rows may come, and a transaction that is taken back takes its own along.
    await options.pause()
    throwIfAborted(options.signal)
  }
}

/** Of the states of a row only the oldest points at stored bodies, and those after it as far as they left its body alone. */
function visitStates(states: readonly Int32Array[], visit: LiveBodyVisitor): void {
  let last = ''
  for (const words of states) {
    visitState(words, 0, (record, block, offset, size) => {
      const place = `${record}:${block}:${offset}`
      if (place !== last) visit(record, block, offset, size)
      last = place
    })
  }
}

function visitState(words: Int32Array, at: number, visit: LiveBodyVisitor): void {
  const record = words[at + ROW.record]!
  const flags = words[at + ROW.blockAndFlags]!
  if (record < 0 || (flags & DEAD) !== 0) return
  visit(record, flags & 0xff, words[at + ROW.offset]!, words[at + ROW.size]!)
}

/** Bytes of all bodies that record `seq` holds, which was verified before, read from its clear part: 0 of what is no commit. */
export async function bodyBytesOfRecord(engine: LogEngine, seq: number): Promise<number> {
  const head = await engine.readPart(seq, 0, COMMIT.format)
  if (parseRecordHead(head).kind !== KIND.commit) return 0
  let prefix = await engine.readPart(seq, 0, COMMIT.certificate)
  for (let end = placesEnd(prefix); end > prefix.length; end = placesEnd(prefix)) {
    prefix = await engine.readPart(seq, 0, end)
  }
  return bodyBytes(parseBlockPlaces(prefix).blocks)
}
