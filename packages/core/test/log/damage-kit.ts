/** A closed log of three segments on a simulated disk, changes of its bytes, and what opening it then gives. */
import { expect } from 'vitest'
import { isAteError } from '../../src/base/errors.ts'
import { crc32 } from '../../src/log/crc32.ts'
import { putU32 } from '../../src/log/file-frame.ts'
import { encodeSlot, MANIFEST, type Manifest, readManifest } from '../../src/log/file-manifest.ts'
import type { FileSystem } from '../../src/log/file-system.ts'
import type { SimFileSystem } from '../../src/testing/sim-file-system.ts'
import { Trial } from './trial.ts'

export const LABEL: Uint8Array = new Uint8Array(32).fill(3)

/** Three segments, two of them sealed; the tail has several frames. `onStep` sees the disk after each batch. */
export async function closedLog(label: Uint8Array = LABEL, onStep?: (fs: SimFileSystem) => void): Promise<Trial> {
  const trial = new Trial(label[0]!)
  const log = await trial.open()
  log.setLabel(label)
  for (const size of [200, 300, 400, 200, 100, 30, 0, 50]) {
    await trial.append([size, 10])
    onStep?.(trial.fs)
  }
  await trial.close()
  expect(
    trial.fs
      .files()
      .filter((name) => name.startsWith('seg-'))
      .sort(),
  ).toEqual(['seg-000000.ate', 'seg-000001.ate', 'seg-000002.ate'])
  return trial
}

/** The file system with some of its calls made by another. */
export function withCalls(fs: SimFileSystem, calls: Partial<FileSystem>): FileSystem {
  return new Proxy(fs, {
    get: (target, name) => {
      if (name in calls) return calls[name as keyof FileSystem]
      const value = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** Both slots of MANIFEST with something changed. */
export function changeManifest({ fs }: Trial, change: Partial<Manifest>): void {
  const file = fs.open(MANIFEST, 'read')
  const manifest = { ...readManifest(file, crc32), ...change }
  file.close()
  const even = manifest.generation + (manifest.generation % 2)
  const slots = [even, even + 1].map((generation) => encodeSlot({ ...manifest, generation }, crc32))
  fs.poke(MANIFEST, () => new Uint8Array(Buffer.concat(slots)))
}

/** A segment whose header, in both copies, is whole and of a format that nobody knows yet. */
export function newerFormat(bytes: Uint8Array): Uint8Array {
  for (const at of [0, 2048]) {
    bytes[at + 4] = 9
    putU32(bytes, at + 508, crc32(bytes.subarray(at, at + 508)))
  }
  return bytes
}

/**
 * 'same' data for a reader, then for a writer, or the code of the error that opening or reading gave. Anything else
 * throws. A writer may change the disk.
 */
export async function outcome(
  trial: Trial,
  least: number,
  as: readonly ('reader' | 'writer')[] = ['reader', 'writer'],
): Promise<{ readonly what: string; readonly facts: Readonly<Record<string, unknown>> }> {
  let what = 'same'
  let facts: Readonly<Record<string, unknown>> = {}
  for (const who of as) {
    try {
      const log = await trial.open(who === 'reader')
      try {
        await trial.compare(log, least)
      } finally {
        await log.close()
      }
    } catch (error) {
      if (!isAteError(error)) throw error
      what = error.code
      facts = error.facts
    }
  }
  return { what, facts }
}

/** The same change on a fresh copy of the disk each time: opening for writing mends slots. */
export async function withChange(
  trial: Trial,
  name: string,
  change: (bytes: Uint8Array) => Uint8Array,
): Promise<Trial> {
  const copy = new Trial(1)
  copy.fs.makeFolder('')
  for (const file of trial.fs.files()) if (!file.includes('/')) trial.fs.copyTo(copy.fs, file, file)
  copy.submitted = trial.submitted
  copy.ends = trial.ends
  copy.fs.poke(name, change)
  return copy
}

/** The same for a reader only, who changes nothing: the disk is put back as it was. */
export async function readerOutcome(trial: Trial, name: string, bytes: Uint8Array): Promise<string> {
  const before = trial.fs.peek(name)
  trial.fs.poke(name, () => bytes.slice())
  try {
    return (await outcome(trial, trial.submitted.length, ['reader'])).what
  } finally {
    trial.fs.poke(name, () => before)
  }
}
