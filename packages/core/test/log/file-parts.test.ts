/** Parts of records of segments that nobody has walked yet: what finding them costs, and what damage behind them does. */
import { expect, it } from 'vitest'
import type { FileSystem } from '../../src/log/file-system.ts'
import { Trial } from './trial.ts'

const RECORDS = 400
const SEGMENT_BYTES = 60_000

/** A log of small records in several segments, each in a frame of its own, opened again: only the last is walked. */
async function reopened(wrap: (fs: FileSystem) => FileSystem = (fs) => fs): Promise<Trial> {
  const trial = new Trial(7, { segmentBytes: SEGMENT_BYTES, zeroFillBytes: 0, wrap })
  await trial.open()
  for (let i = 0; i < RECORDS; i++) await trial.append([300], 'os')
  await trial.close()
  await trial.open()
  return trial
}

it('reads a segment about once, however many small records are asked for', async () => {
  let bytesRead = 0
  const trial = await reopened((fs) => ({
    ...bound(fs),
    open: (path, mode) => {
      const file = fs.open(path, mode)
      return {
        ...file,
        read: (target, at) => {
          const size = file.read(target, at)
          bytesRead += size
          return size
        },
      }
    },
  }))
  const log = trial.log!
  bytesRead = 0
  let asked = 0
  for (const { seq, bytes } of trial.submitted) {
    expect(log.readPart(seq, 0, bytes.length)).toEqual(bytes)
    asked += bytes.length
  }
  // Once for the parts, once for the walk with its frames and padding.
  expect(bytesRead).toBeLessThan(3 * asked + 10_000)
  await trial.close()
})

it('finds a record before damage that stands in the same read', async () => {
  const trial = await reopened()
  await trial.close()
  trial.fs.pokeByte('seg-000000.ate', 30_000, trial.fs.peek('seg-000000.ate')[30_000]! ^ 1)
  const log = await trial.open(true, 'keep')
  expect(log.readPart(0, 0, 10)).toEqual(trial.submitted[0]!.bytes.subarray(0, 10))
  await log.close()
})

function bound(fs: FileSystem): FileSystem {
  return {
    open: (path, mode) => fs.open(path, mode),
    list: (path) => fs.list(path),
    makeFolder: (path) => fs.makeFolder(path),
    rename: (from, to) => fs.rename(from, to),
    remove: (path) => fs.remove(path),
    removeFolder: (path) => fs.removeFolder(path),
    syncFolder: (path) => fs.syncFolder(path),
    lock: () => fs.lock(),
  }
}
