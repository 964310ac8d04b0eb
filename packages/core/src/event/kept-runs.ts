/**
 * What is left of the sealed blocks of a compacted commit: for each block the runs of its ciphertext that are kept.
 * No hash covers a block as a whole, so the rest of the record verifies as before, and each kept slice against its own.
 *
 *   compacted blocks = u32 size of the table | table | kept ciphertext, run by run
 *   table            = for each block: varint n | n x (varint gap | varint size)
 *
 * `gap` counts the dropped bytes before the run, at least 1 but for the first run of a block; `size` is at least 1.
 * Something is dropped, else the record stands in its first form: one form for each set of kept slices.
 */
import { AteError } from '../base/errors.ts'
import { ByteReader, type ByteWriter } from '../codec/writer.ts'

/** Bit 31 of the length of the clear part: the blocks behind it are compacted. */
export const COMPACTED = 0x8000_0000

export interface KeptRun {
  /** Of the run's first byte in the block. */
  readonly offset: number
  readonly size: number
  /** Of the run's first byte in the record. */
  readonly at: number
}

/** A block whose bytes stand whole at `at`, or as far as `runs` says. */
export interface BlockBytes {
  readonly at: number
  readonly size: number
  readonly runs?: readonly KeptRun[]
}

/** Where the slice stands in the record; undefined if it was dropped. Nothing of a slice without bytes can be. */
export function sliceAt(block: BlockBytes, offset: number, size: number): number | undefined {
  if (block.runs === undefined) return block.at + offset
  if (size === 0) return block.at
  const run = runBefore(block.runs, offset)
  return run && offset + size <= run.offset + run.size ? run.at + offset - run.offset : undefined
}

/** A slice is kept as a whole or not at all. @throws AteError BAD_RECORD */
export function checkSlice(block: BlockBytes, offset: number, size: number): void {
  if (block.runs === undefined || size === 0 || sliceAt(block, offset, size) !== undefined) return
  const run = runBefore(block.runs, offset + size - 1)
  if (run && run.offset + run.size > offset)
    throw new AteError('BAD_RECORD', { what: 'a slice is kept in part', offset })
}

/** The last run that begins at or before `offset`. */
function runBefore(runs: readonly KeptRun[], offset: number): KeptRun | undefined {
  let low = 0
  let high = runs.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (runs[middle]!.offset <= offset) low = middle + 1
    else high = middle
  }
  return runs[low - 1]
}

/** The end of the table whose size stands in the four bytes before `at`, which is where the table begins. */
export function tableEnd(bytes: Uint8Array, at: number): number {
  return at + new ByteReader(bytes, at - 4, at).u32()
}

/** The runs of each block, whose sizes are given; `at` is where the table's size stands. @throws AteError BAD_RECORD */
export function readKeptRuns(
  bytes: Uint8Array,
  at: number,
  sizes: readonly number[],
): { readonly runs: readonly (readonly KeptRun[])[]; readonly end: number } {
  const size = new ByteReader(bytes, at).u32()
  const input = new ByteReader(bytes, at + 4)
  input.raw(size)
  const table = new ByteReader(bytes, at + 4, at + 4 + size)
  let end = at + 4 + size
  let isWhole = true
  const runs = sizes.map((blockSize) => {
    const found = readRuns(table, blockSize, end)
    const last = found[found.length - 1]
    if (last) end = last.at + last.size
    if (blockSize > 0 && (found.length !== 1 || last!.size !== blockSize)) isWhole = false
    return found
  })
  table.done()
  if (isWhole) throw new AteError('BAD_RECORD', { what: 'compacted, and nothing is dropped' })
  return { runs, end }
}

function readRuns(table: ByteReader, blockSize: number, from: number): KeptRun[] {
  const count = table.varint()
  if (count > table.left) throw new AteError('BAD_RECORD', { what: 'kept runs', count })
  const runs: KeptRun[] = []
  let offset = 0
  let at = from
  for (let i = 0; i < count; i++) {
    const gap = table.varint()
    const size = table.varint()
    offset += gap
    if ((i > 0 && gap === 0) || size === 0 || offset + size > blockSize)
      throw new AteError('BAD_RECORD', { what: 'a kept run', offset, size })
    runs.push({ offset, size, at })
    offset += size
    at += size
  }
  return runs
}

/** The table and the kept bytes, of runs whose `at` still points into `bytes`. */
export function writeKeptRuns(out: ByteWriter, table: ByteWriter, bytes: Uint8Array, kept: readonly KeptRun[][]): void {
  table.reset()
  for (const runs of kept) {
    table.varint(runs.length)
    let offset = 0
    for (const run of runs) {
      table.varint(run.offset - offset)
      table.varint(run.size)
      offset = run.offset + run.size
    }
  }
  out.u32(table.at)
  out.raw(table.bytes())
  for (const runs of kept) for (const { at, size } of runs) out.part(bytes, at, at + size)
}
