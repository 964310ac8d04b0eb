/** Keys in slots: what a put and an erasure cost, every place where either may end, damage, and readers beside a writer. */
import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { crc32 } from '../../src/log/crc32.ts'
import type { LogEngine } from '../../src/log/engine.ts'
import { MANIFEST } from '../../src/log/file-manifest.ts'
import { salvagedRing } from '../../src/log/file-salvage.ts'
import type { FileSystem, OpenFile } from '../../src/log/file-system.ts'
import { encodeSlot, RING_SLOT_BYTES, SLOT_KEY_BYTES_MAX } from '../../src/log/ring-key.ts'
import { codeOf } from '../../src/testing/log-suite.ts'
import type { SimFileSystem } from '../../src/testing/sim-file-system.ts'
import { withCalls } from './damage-kit.ts'
import { Trial } from './trial.ts'

const FIRST = 'ring/000000.slots'
const NAME = new Uint8Array(32).fill(1)
const OLD = new Uint8Array(40).fill(0xaa)
const NEW = new Uint8Array(40).fill(0xbb)

function named(first: number): Uint8Array {
  return new Uint8Array(32).fill(first)
}

function slot(name: Uint8Array, wrapped: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(RING_SLOT_BYTES)
  encodeSlot(bytes, name, wrapped, crc32)
  return bytes
}

function isOnDisk(trial: Trial, wrapped: Uint8Array): boolean {
  return trial.fs.durableBytes().some(([, bytes]) => Buffer.from(bytes).includes(Buffer.from(wrapped)))
}

function ringFiles(trial: Trial): string[] {
  return trial.fs.files().filter((file) => file.startsWith('ring/'))
}

async function namesOf(log: LogEngine): Promise<string[]> {
  const names: string[] = []
  for await (const name of log.ring.names()) names.push(toHex(name).slice(0, 2))
  return names.sort()
}

/** A log whose ring holds OLD under NAME. The file has three slots. */
async function ringWith(wrapped: Uint8Array = OLD): Promise<Trial> {
  const trial = new Trial(1)
  await (await trial.open()).ring.put(NAME, wrapped)
  await trial.log!.close()
  return trial
}

function setSlot(trial: Trial, index: number, bytes: Uint8Array): void {
  trial.fs.poke(FIRST, (all) => {
    all.set(bytes, index * RING_SLOT_BYTES)
    return all
  })
}

describe('what it costs', () => {
  it('is one sync for a put, however many are put at once, and one for an erasure', async () => {
    const trial = await ringWith()
    const log = await trial.open()
    // The first one of an opening makes sure that the folder is there.
    await log.ring.put(NAME, NEW)
    await log.ring.erase(NAME)
    const syncs = async (work: () => Promise<void>): Promise<number> => {
      const before = trial.fs.counts.syncs
      await work()
      return trial.fs.counts.syncs - before
    }
    expect(await syncs(() => log.ring.put(named(2), NEW))).toBe(1)
    // Of the second file: its zeros, its name, its keys.
    const more = [3, 4, 5].map((first) => ({ name: named(first), wrapped: NEW }))
    expect(await syncs(() => log.ring.putAll(more))).toBe(3)
    expect(await syncs(() => log.ring.putAll([6, 7].map((first) => ({ name: named(first), wrapped: NEW }))))).toBe(1)
    expect(await syncs(() => log.ring.erase(named(4)))).toBe(1)
    expect(await syncs(() => log.ring.erase(named(4)))).toBe(0)
    await log.close()
  })

  it('is a file that grows with the ring, and goes when all of its keys are gone, the newest left out', async () => {
    const trial = new Trial(1)
    const log = await trial.open()
    for (let i = 1; i <= 10; i++) await log.ring.put(named(i), OLD)
    expect(ringFiles(trial).map((name) => [name, trial.fs.peek(name).length / RING_SLOT_BYTES])).toEqual([
      ['ring/000000.slots', 3],
      ['ring/000001.slots', 6],
      ['ring/000002.slots', 12],
    ])
    for (let i = 1; i <= 10; i++) await log.ring.erase(named(i))
    expect(ringFiles(trial)).toEqual(['ring/000002.slots'])
    await log.close()
    expect(isOnDisk(trial, OLD)).toBe(false)
  })
})

describe('a caller that has work of its own', () => {
  it('has its keys written when the call returns, and its thread is not held up by the sync', async () => {
    const steps: string[] = []
    const traced = (file: OpenFile): OpenFile => ({
      ...file,
      write: (parts, at) => {
        steps.push('written')
        return file.write(parts, at)
      },
      sync: () => {
        steps.push('synced beside')
        return file.sync()
      },
      syncNow: () => {
        steps.push('synced on the spot')
        file.syncNow()
      },
    })
    const wrap = (fs: FileSystem): FileSystem =>
      withCalls(fs as SimFileSystem, {
        open: (path, mode) => (path.endsWith('.slots') ? traced(fs.open(path, mode)) : fs.open(path, mode)),
      })
    const trial = new Trial(1, { wrap })
    const log = await trial.open()
    await log.ring.put(NAME, OLD)
    // The log learns from its own syncs how fast they are.
    await trial.append([10])
    steps.length = 0
    const first = log.ring.putAll([{ name: named(2), wrapped: NEW }], 'works')
    expect(steps).toEqual(['written', 'synced beside'])
    // Another change runs: this one waits for its turn.
    const second = log.ring.putAll([{ name: named(3), wrapped: NEW }], 'works')
    expect(steps).toHaveLength(2)
    await Promise.all([first, second])
    expect(steps.slice(2)).toEqual(['written', 'synced beside'])
    steps.length = 0
    await log.ring.erase(named(2))
    expect(steps).toEqual(['written', 'synced on the spot'])
    await log.close()
  })
})

describe('a key that is alone, on a disk that syncs fast', () => {
  it('is on the disk when its put has resolved', async () => {
    const trial = await ringWith()
    const log = await trial.open()
    // The log learns from its own syncs how fast they are; the clock of this one stands still.
    await trial.append([10])
    await log.ring.put(named(2), NEW)
    expect(isOnDisk(trial, NEW)).toBe(true)
    await log.close()
  })
})

describe('the largest key of a slot', () => {
  it('stands in one, and is given back; a larger one has a file', async () => {
    const largest = new Uint8Array(SLOT_KEY_BYTES_MAX).fill(0xdd)
    const trial = await ringWith(largest)
    const log = await trial.open()
    expect([ringFiles(trial), await log.ring.get(NAME)]).toEqual([[FIRST], largest])
    await log.ring.put(named(2), new Uint8Array(SLOT_KEY_BYTES_MAX + 1))
    expect(ringFiles(trial)).toEqual([`ring/${'02'.repeat(32)}.key`, FIRST].sort())
    await log.close()
  })
})

describe('a file of which every key is gone', () => {
  it('goes with the next one, if it was the newest', async () => {
    const trial = await ringWith()
    const log = await trial.open()
    for (const i of [2, 3]) await log.ring.put(named(i), NEW)
    for (const i of [1, 2, 3]) await log.ring.erase(named(i))
    expect(ringFiles(trial)).toEqual([FIRST])
    await log.ring.put(named(4), NEW)
    expect(ringFiles(trial)).toEqual(['ring/000001.slots'])
    await log.close()
  })

  it('goes when the next writer opens, if the one before did not come to it', async () => {
    const trial = await ringWith()
    const log = await trial.open()
    for (const i of [2, 3, 4]) await log.ring.put(named(i), NEW)
    await log.close()
    for (const index of [0, 1, 2]) setSlot(trial, index, new Uint8Array(RING_SLOT_BYTES))
    const again = await trial.open()
    expect([ringFiles(trial), await namesOf(again)]).toEqual([['ring/000001.slots'], ['04']])
    await again.close()
  })
})

describe('a put or an erasure that was interrupted', () => {
  it('counts when it is whole and not before, wherever it ends, and leaves nothing', async () => {
    const whole = slot(named(2), NEW)
    for (let end = 0; end < RING_SLOT_BYTES; end += end > 90 && end < 460 ? 31 : 1) {
      for (const bytes of [
        whole.map((byte, i) => (i < end ? byte : 0)),
        whole.map((byte, i) => (i <= end ? 0 : byte)),
      ]) {
        const trial = await ringWith()
        setSlot(trial, 1, bytes)
        const reader = await trial.open(true)
        expect([await reader.ring.get(named(2)), await reader.ring.get(NAME), await namesOf(reader)]).toEqual([
          undefined,
          OLD,
          ['01'],
        ])
        await reader.close()
        const log = await trial.open()
        expect(isOnDisk(trial, NEW.subarray(0, 4))).toBe(false)
        expect([await log.ring.get(named(2)), await log.ring.get(NAME), await log.scrub()]).toEqual([
          undefined,
          OLD,
          [],
        ])
        await log.close()
      }
    }
  })

  it('of one that replaces another: the newer one counts, and the older one is overwritten', async () => {
    const trial = await ringWith()
    setSlot(trial, 2, slot(NAME, NEW))
    const reader = await trial.open(true)
    expect([await reader.ring.get(NAME), await namesOf(reader)]).toEqual([NEW, ['01']])
    await reader.close()
    const log = await trial.open()
    expect([await log.ring.get(NAME), isOnDisk(trial, OLD)]).toEqual([NEW, false])
    await log.close()
  })

  it('of one in a file of its own that replaces one in a slot, and the other way round', async () => {
    const long = new Uint8Array(SLOT_KEY_BYTES_MAX + 1).fill(0xcc)
    const trial = await ringWith(long)
    const other = await ringWith()
    other.fs.copyTo(trial.fs, FIRST, FIRST)
    const reader = await trial.open(true)
    expect([(await reader.ring.get(NAME))?.length, await namesOf(reader)]).toEqual([OLD.length, ['01']])
    await reader.close()
    const log = await trial.open()
    expect([await log.ring.get(NAME), isOnDisk(trial, OLD)]).toEqual([long, false])
    // What has a file keeps it: which of the two is newer must not be a question.
    await log.ring.put(NAME, NEW)
    expect([await log.ring.get(NAME), isOnDisk(trial, long), ringFiles(trial).length]).toEqual([NEW, false, 2])
    await log.ring.erase(NAME)
    await log.ring.put(NAME, OLD)
    await log.ring.put(NAME, long)
    expect([await log.ring.get(NAME), isOnDisk(trial, OLD), await namesOf(log)]).toEqual([long, false, ['01']])
    await log.close()
  })
})

describe('after a sync that failed', () => {
  it('the next writer writes again what the disk may lack', async () => {
    for (const change of ['put', 'erase'] as const) {
      const trial = await ringWith()
      const log = await trial.open()
      await log.ring.put(named(3), NEW)
      trial.fs.faults.failSync = trial.fs.counts.syncs + 1
      const failed = change === 'put' ? log.ring.put(named(2), NEW) : log.ring.erase(NAME)
      expect(await codeOf(() => failed)).toBe('WRITER_POISONED')
      expect(await codeOf(() => log.ring.put(named(3), NEW))).toBe('WRITER_POISONED')
      await trial.kill()
      const again = await trial.open()
      const seen = [await again.ring.get(NAME), await again.ring.get(named(2))]
      expect(ringFiles(trial)).toEqual([FIRST])
      trial.fs.crash()
      await again.close().catch(() => undefined)
      const after = await trial.open()
      expect([await after.ring.get(NAME), await after.ring.get(named(2))]).toEqual(seen)
      expect(isOnDisk(trial, OLD)).toBe(seen[0] !== undefined)
      await after.close()
    }
  })
})

describe('two changes at a time', () => {
  it('run one after the other: an error of a sync is not told to one of them alone', async () => {
    const trial = await ringWith()
    const log = await trial.open()
    await log.ring.put(named(3), NEW)
    trial.fs.faults.failSync = trial.fs.counts.syncs + 1
    const both = await Promise.allSettled([log.ring.put(named(2), NEW), log.ring.erase(NAME)])
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    await trial.kill()
  })
})

describe('a full disk', () => {
  it('leaves nothing of any key if there is no room for the next file', async () => {
    const trial = await ringWith()
    const log = await trial.open()
    trial.fs.faults.spaceBytes = trial.fs.files().reduce((bytes, name) => bytes + trial.fs.peek(name).length, 100)
    const entries = [2, 3, 4, 5].map((first) => ({ name: named(first), wrapped: NEW }))
    expect(await codeOf(() => log.ring.putAll(entries))).toBe('DISK_FULL')
    expect([ringFiles(trial), isOnDisk(trial, NEW), await namesOf(log)]).toEqual([[FIRST], false, ['01']])
    // Those that fitted into the first file were there for a moment.
    expect(trial.fs.peek(FIRST).includes(NEW[0]!)).toBe(false)
    trial.fs.faults = {}
    await log.ring.putAll(entries)
    expect(await namesOf(log)).toEqual(['01', '02', '03', '04', '05'])
    await log.close()
  })

  it('leaves nothing of a long key that fits in part', async () => {
    const trial = await ringWith()
    const log = await trial.open()
    trial.fs.faults.spaceBytes = trial.fs.files().reduce((bytes, name) => bytes + trial.fs.peek(name).length, 300)
    const long = new Uint8Array(SLOT_KEY_BYTES_MAX + 1).fill(0xcc)
    expect(await codeOf(() => log.ring.put(named(2), long))).toBe('DISK_FULL')
    expect([ringFiles(trial), await namesOf(log)]).toEqual([[FIRST], ['01']])
    await log.close()
  })
})

describe('a slot that was changed on the disk', () => {
  const flipped = async (...ats: readonly number[]): Promise<Trial> => {
    const trial = await ringWith()
    for (const at of ats) trial.fs.poke(FIRST, (all) => all.with(at, all[at]! ^ 4))
    return trial
  }

  it('is DAMAGED at every byte that counts, is told, and may be put again', async () => {
    for (let at = 0; at < RING_SLOT_BYTES; at += at > 84 && at < 470 ? 41 : 1) {
      // Zeros that say nothing, and the letters at the end.
      const counts = at < 84 || (at >= 472 && at < 508)
      const trial = await flipped(at)
      const log = await trial.open()
      const found = counts ? 'DAMAGED' : 'nothing'
      const reader = await trial.open(true)
      const codes = [await codeOf(() => log.ring.get(NAME)), await codeOf(() => reader.ring.get(NAME))]
      expect([at, ...codes]).toEqual([at, found, found])
      await reader.close()
      expect((await log.scrub()).map(({ segment }) => segment)).toEqual(counts ? [FIRST] : [])
      expect(await log.ring.get(named(2))).toBeUndefined()
      await log.ring.put(NAME, NEW)
      expect(await log.ring.get(NAME)).toEqual(NEW)
      expect(await log.scrub()).toEqual([])
      await log.close()
    }
  })

  it('of which not even the name is left makes no key say that it is gone', async () => {
    const lost = await flipped(10, 480)
    const other = await lost.open()
    await other.ring.put(named(2), NEW)
    expect([await codeOf(() => other.ring.get(NAME)), await codeOf(() => other.ring.get(named(3)))]).toEqual([
      'DAMAGED',
      'DAMAGED',
    ])
    expect([await other.ring.get(named(2)), await namesOf(other)]).toEqual([NEW, ['02']])
    expect(other.residue!().damagedKeys).toEqual([FIRST])
    await other.close()
    const ring = salvagedRing(lost.fs, crc32)
    // However often one looks.
    for (let i = 0; i < 2; i++) for await (const name of ring.names()) expect(name).toEqual(named(2))
    expect(ring.unnamed).toEqual([`${FIRST} at 0`])
    await ring.close()
  })

  it('is DAMAGED if it says two names, each with its sum', async () => {
    const trial = await ringWith()
    const bytes = slot(NAME, OLD)
    bytes.set(slot(named(2), OLD).subarray(472, 508), 472)
    setSlot(trial, 0, bytes)
    const log = await trial.open()
    expect(await codeOf(() => log.ring.get(named(2)))).toBe('DAMAGED')
    expect((await log.scrub()).map(({ segment }) => segment)).toEqual([FIRST])
    await log.close()
  })

  it('gives no key under the name of another that stood there', async () => {
    const trial = await ringWith()
    const log = await trial.open()
    const reader = await trial.open(true)
    expect(await reader.ring.get(NAME)).toEqual(OLD)
    setSlot(trial, 0, slot(named(2), NEW))
    expect([await codeOf(() => log.ring.get(NAME)), await reader.ring.get(NAME)]).toEqual(['DAMAGED', undefined])
    await reader.close()
    await log.close()
  })

  it('is DAMAGED when the file is cut or an older one stands there under an open log', async () => {
    const trial = await ringWith()
    const log = await trial.open()
    setSlot(trial, 0, new Uint8Array(RING_SLOT_BYTES))
    expect(await codeOf(() => log.ring.get(NAME))).toBe('DAMAGED')
    trial.fs.poke(FIRST, (all) => all.slice(0, 100))
    expect(await codeOf(() => log.ring.get(NAME))).toBe('DAMAGED')
    await log.close()
  })
})

describe('a reader beside a writer', () => {
  it('sees what is put, replaced and erased behind its back, in files that come and go', async () => {
    const trial = await ringWith()
    const log = await trial.open()
    const reader = await trial.open(true)
    expect(await reader.ring.get(NAME)).toEqual(OLD)
    for (let i = 2; i <= 8; i++) await log.ring.put(named(i), NEW)
    expect([await reader.ring.get(named(8)), await reader.ring.get(named(2))]).toEqual([NEW, NEW])
    await log.ring.put(NAME, NEW)
    expect(await reader.ring.get(NAME)).toEqual(NEW)
    for (const i of [1, 2, 3]) await log.ring.erase(named(i))
    expect([await reader.ring.get(NAME), await reader.ring.get(named(4)), (await namesOf(reader)).length]).toEqual([
      undefined,
      NEW,
      5,
    ])
    await reader.close()
    await log.close()
  })
})

describe('a reader of several files', () => {
  it('keeps what the older ones say when it looks at the newest again', async () => {
    const trial = await ringWith()
    const log = await trial.open()
    for (const i of [2, 3, 4]) await log.ring.put(named(i), NEW)
    // Not even the name of the second key is left: that stays known, too.
    trial.fs.poke(FIRST, (all) => all.with(522, 0xff).with(992, 0xff))
    const reader = await trial.open(true)
    expect(await reader.ring.get(NAME)).toEqual(OLD)
    await log.ring.put(named(5), NEW)
    expect([await reader.ring.get(named(5)), await reader.ring.get(NAME)]).toEqual([NEW, OLD])
    expect(await codeOf(() => reader.ring.get(named(2)))).toBe('DAMAGED')
    expect((await namesOf(reader)).length).toBe(4)
    await reader.close()
    await log.close()
  })

  it('finds nothing where the newest has gone with its keys', async () => {
    const trial = await ringWith()
    const log = await trial.open()
    const reader = await trial.open(true)
    expect(await reader.ring.get(NAME)).toEqual(OLD)
    for (const i of [2, 3, 4]) await log.ring.put(named(i), NEW)
    for (const i of [1, 2, 3]) await log.ring.erase(named(i))
    expect(ringFiles(trial)).toEqual(['ring/000001.slots'])
    expect([await reader.ring.get(NAME), await reader.ring.get(named(4))]).toEqual([undefined, NEW])
    await reader.close()
    await log.close()
  })

  it('finds nothing where one in the middle has gone', async () => {
    const trial = await ringWith()
    const log = await trial.open()
    for (let i = 2; i <= 9; i++) await log.ring.put(named(i), NEW)
    const reader = await trial.open(true)
    expect(await reader.ring.get(named(4))).toEqual(NEW)
    await log.ring.put(named(10), NEW)
    for (let i = 4; i <= 9; i++) await log.ring.erase(named(i))
    expect(ringFiles(trial)).toEqual([FIRST, 'ring/000002.slots'])
    expect([await reader.ring.get(named(4)), await reader.ring.get(named(10))]).toEqual([undefined, NEW])
    await reader.close()
    await log.close()
  })

  it('opens each file once, but for the newest, and everyone closes each once', async () => {
    const opened = new Map<string, number>()
    let isOpen = 0
    const open = (path: string, mode: 'read' | 'write' | 'create'): OpenFile => {
      const file = trial.fs.open(path, mode)
      if (!path.endsWith('.slots')) return file
      opened.set(path, (opened.get(path) ?? 0) + 1)
      isOpen++
      let isClosed = false
      const close = (): void => {
        if (isClosed) throw new Error(`${path} is closed twice`)
        isClosed = true
        isOpen--
        file.close()
      }
      return { ...file, close }
    }
    const trial = new Trial(1, { wrap: (fs) => withCalls(fs as SimFileSystem, { open }) })
    const log = await trial.open()
    for (const i of [2, 3, 4, 5]) await log.ring.put(named(i), NEW)
    opened.clear()
    const reader = await trial.open(true)
    await namesOf(reader)
    for (const i of [6, 7]) {
      await log.ring.put(named(i), NEW)
      expect(await reader.ring.get(named(i))).toEqual(NEW)
    }
    expect([...opened]).toEqual([
      [FIRST, 1],
      ['ring/000001.slots', 3],
    ])
    for (const i of [2, 3, 4]) await log.ring.erase(named(i))
    await reader.close()
    await log.close()
    expect(isOpen).toBe(0)
  })

  it('goes on where a file is gone between the list and its opening', async () => {
    const trial = await ringWith()
    await trial.open()
    for (const i of [2, 3, 4]) await trial.log!.ring.put(named(i), NEW)
    await trial.log!.close()
    const list = (path: string): readonly string[] =>
      path === 'ring' ? [...trial.fs.list(path), '000009.slots'] : trial.fs.list(path)
    const late = new Trial(2, { wrap: () => withCalls(trial.fs, { list }) })
    const reader = await late.open(true)
    expect([await namesOf(reader), await reader.ring.get(NAME)]).toEqual([['01', '02', '03', '04'], OLD])
    await reader.close()
  })
})

describe('software of before', () => {
  it('does not take a ring with slots for one that lacks keys: MANIFEST has format 3 in both slots', async () => {
    const trial = new Trial(1)
    const log = await trial.open()
    expect([4, 4100].map((at) => trial.fs.peek(MANIFEST)[at])).toEqual([1, 1])
    await log.ring.put(NAME, OLD)
    expect([4, 4100].map((at) => trial.fs.peek(MANIFEST)[at])).toEqual([3, 3])
    await log.close()
    await trial.open()
    await trial.append([10])
    await trial.close()
    expect([4, 4100].map((at) => trial.fs.peek(MANIFEST)[at])).toEqual([3, 3])
  })
})
