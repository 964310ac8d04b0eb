/**
 * Which neighbouring segments a compaction merges: the rule of a binary counter. Segments have levels, each twice the size of the
 * one below, and two neighbours are merged when the older one's level is not above the newer one's: what comes out is a
 * level higher than the older one, so that a byte is written anew once a level, however many compactions there are. What is left
 * behind a segment that it no longer fits with is not going to grow, and is merged whatever its level.
 *
 * So of two neighbours either both together are longer than a segment may be, or they are among the newest, whose levels go down.
 */

/** Below it all is of one level: to write that much anew each time costs less than the files would. */
const LEVEL_BYTES: number = 64 * 1024

/** Segments `from` to `to` - 1, by their places in the list: two at least. */
export interface MergeRun {
  readonly from: number
  readonly to: number
}

interface Run {
  readonly from: number
  to: number
  bytes: number
}

/** `sizes`: bytes of sealed neighbours, oldest first, without what each file has around them; `most`: what one may hold. */
export function runsToMerge(sizes: readonly number[], most: number): readonly MergeRun[] {
  const runs: Run[] = []
  const fits = (i: number): boolean => runs[i - 1]!.bytes + runs[i]!.bytes <= most
  const join = (i: number): void => {
    const [older, newer] = [runs[i - 1]!, runs[i]!]
    older.to = newer.to
    older.bytes += newer.bytes
    runs.splice(i, 1)
  }
  /** Of the runs up to this one no two neighbours fit. */
  let settled = 0
  for (const [from, bytes] of sizes.entries()) {
    runs.push({ from, to: from + 1, bytes })
    let last = runs.length - 1
    while (last > settled && fits(last) && levelOf(runs[last - 1]!.bytes) <= levelOf(runs[last]!.bytes)) join(last--)
    if (last === settled || fits(last)) continue
    for (let i = last - 1; i > settled; i--) if (fits(i)) join(i)
    settled = runs.length - 1
  }
  return runs.filter(({ from, to }) => to - from > 1).map(({ from, to }) => ({ from, to }))
}

function levelOf(bytes: number): number {
  return bytes < LEVEL_BYTES ? 0 : Math.floor(Math.log2(bytes / LEVEL_BYTES)) + 1
}
