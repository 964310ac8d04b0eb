/**
 * A writer at its edges: calls that the disk refuses for another reason than the expected one, steps that meet a failure of
 * another, writes that came in part, and what a writer says of a folder that changes under it.
 */
import { describe, expect, it } from 'vitest'
import { AteError } from '../../src/base/errors.ts'
import { crc32 } from '../../src/log/crc32.ts'
import { openFileLog } from '../../src/log/file-engine.ts'
import { errnoOf } from '../../src/log/file-errors.ts'
import { putU32 } from '../../src/log/file-frame.ts'
import { MANIFEST, readSlots, SLOT_BYTES, writeWhole } from '../../src/log/file-manifest.ts'
import { removeUnfinished } from '../../src/log/file-snapshot.ts'
import type { FileSystem, OpenFile } from '../../src/log/file-system.ts'
import { LIVE } from '../../src/log/standing.ts'
import { manualClock } from '../../src/testing/clock.ts'
import { codeOf, readAll, testBatch } from '../../src/testing/log-suite.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { SimFileSystem } from '../../src/testing/sim-file-system.ts'
import { changeManifest, closedLog, withCalls } from './damage-kit.ts'
import { Trial } from './trial.ts'

const [FIRST, SECOND] = ['seg-000000.ate', 'seg-000001.ate']
const KEY = new Uint8Array(32).fill(1)
const KEY_FILE = `ring/${'01'.repeat(32)}`

function errno(code: string): Error {
  return Object.assign(new Error(code), { code })
}

/** A trial whose disk refuses one call for one path, once `refusing` is set, and only then. */
function refusingTrial(call: 'remove' | 'open' | 'makeFolder' | 'removeFolder', path: RegExp, code = 'EACCES') {
  const is = { refusing: false }
  const wrap = (fs: FileSystem): FileSystem =>
    withCalls(fs as SimFileSystem, {
      [call]: (...args: [string, never]) => {
        if (is.refusing && path.test(args[0]) && args[1] !== 'read') throw errno(code)
        return fs[call](...args)
      },
    })
  return { is, trial: new Trial(1, { wrap, zeroFillBytes: 0 }) }
}

describe('a call that the disk refuses', () => {
  it('is its error, where a name that is not there would be none', async () => {
    const made = refusingTrial('remove', /MANIFEST/)
    made.is.refusing = true
    expect(await codeOf(() => made.trial.open())).toBe('READ_ONLY')

    const begun = refusingTrial('remove', /seg-/)
    await begun.trial.open()
    begun.is.refusing = true
    expect(await codeOf(() => begun.trial.append([10]))).toBe('READ_ONLY')

    const snapshot = refusingTrial('remove', /SNAPSHOT/)
    await snapshot.trial.open()
    snapshot.is.refusing = true
    expect(await snapshot.trial.snapshot(10)).toBe('READ_ONLY')

    const ring = refusingTrial('removeFolder', /ring/, 'EIO')
    await ring.trial.open()
    await ring.trial.put(1)
    ring.is.refusing = true
    expect(await codeOf(() => ring.trial.log!.destroy!())).toBe('IO_ERROR')
  })

  it('keeps a torn tail uncut, where a folder or a file that is there already would not', async () => {
    for (const { is, trial } of [refusingTrial('makeFolder', /quarantine/), refusingTrial('open', /torn/)]) {
      await trial.open()
      await trial.append([10])
      await trial.kill()
      trial.fs.poke(FIRST, (bytes) => new Uint8Array([...bytes, 5]))
      const before = trial.fs.peek(FIRST)
      is.refusing = true
      expect(await codeOf(() => trial.open())).toBe('READ_ONLY')
      expect(trial.fs.peek(FIRST)).toEqual(before)
    }
  })

  it('by a mistake of ours is not taken for one of the disk', async () => {
    const { trial } = refusingTrial('open', /nothing/)
    await trial.open()
    const remove = (): never => {
      throw new TypeError('ours')
    }
    await trial.close()
    const fs = withCalls(trial.fs, { remove })
    const open = openFileLog({ fs, random: seededRandom(1), clock: manualClock() })
    expect(await codeOf(() => open)).toBe('IO_ERROR')
    expect(await codeOf(async () => removeUnfinished(fs))).toMatch(/ours/)
    expect([errnoOf(errno('EIO')), errnoOf({ code: 5 }), errnoOf(new AteError('DISK_FULL')), errnoOf(null)]).toEqual([
      'EIO',
      undefined,
      undefined,
      undefined,
    ])
  })

  it('because it takes no bytes, or gives none, ends', async () => {
    const file = { write: () => 0 } as unknown as OpenFile
    expect(await codeOf(() => writeWhole(file, [new Uint8Array(3)], 0))).toMatch(/no more bytes/)
    const trial = new Trial(1, { zeroFillBytes: 0 })
    await trial.open()
    await trial.append([10])
    await trial.kill()
    const size = trial.fs.peek(FIRST).length
    trial.fs.poke(FIRST, (bytes) => new Uint8Array([...bytes, 5]))
    const fs = withCalls(trial.fs, {
      open: (path, mode) => {
        const opened = trial.fs.open(path, mode)
        return path === FIRST && mode === 'write'
          ? { ...opened, read: (target, at) => (at >= size ? 0 : opened.read(target, at)) }
          : opened
      },
    })
    const error = await openFileLog({ fs, random: seededRandom(1), clock: manualClock() }).catch((thrown) => thrown)
    expect(error).toMatchObject({ code: 'IO_ERROR', facts: { errno: 'EIO' } })
  })
})

describe('a write that came in part', () => {
  it('is taken back: of a frame, of a header', async () => {
    const trial = new Trial(1, { zeroFillBytes: 0 })
    await trial.open()
    await trial.append([300])
    const before = trial.fs.peek(FIRST)
    const used = (): number => trial.fs.files().reduce((sum, name) => sum + trial.fs.peek(name).length, 0)
    trial.fs.faults.spaceBytes = used() + 100
    expect(await trial.append([200])).toBe(false)
    expect(trial.fs.peek(FIRST)).toEqual(before)
    // The seal, then the header of the next segment.
    trial.fs.faults.spaceBytes = used() + 300
    expect(await trial.append([900])).toBe(false)
    expect(trial.fs.files()).not.toContain(SECOND)
    trial.fs.faults = {}
    expect(await trial.append([900])).toBe(true)
    await trial.close()
  })

  it('of MANIFEST counts if its block is whole, and does not if it is not', async () => {
    for (const written of [0, 300, 600]) {
      const is = { full: false }
      /** Takes that many bytes of a slot, and then no more. */
      const filling = (file: OpenFile): OpenFile => {
        let left = written
        return {
          ...file,
          write: (parts, at) => {
            if (!is.full) return file.write(parts, at)
            if (left === 0) throw errno('ENOSPC')
            const part = parts[0]!.subarray(0, left)
            left = 0
            return file.write([part], at)
          },
        }
      }
      const open =
        (fs: FileSystem): FileSystem['open'] =>
        (path, mode) =>
          path === MANIFEST ? filling(fs.open(path, mode)) : fs.open(path, mode)
      const trial = new Trial(1, { zeroFillBytes: 0, wrap: (fs) => withCalls(fs as SimFileSystem, { open: open(fs) }) })
      await trial.open()
      is.full = true
      // The slot lists the first segment.
      expect([written, await trial.append([10])]).toEqual([written, written === 600])
      is.full = false
      if (written < 600) expect(await trial.append([10])).toBe(true)
      expect(trial.log!.place(0)!.segment).toBe(FIRST)
      await trial.close()
      await trial.check('close')
      await trial.close()
    }
  })

  it('leaves an empty segment, which takes a frame of any size', async () => {
    const trial = new Trial(1, { segmentBytes: 5200, zeroFillBytes: 0 })
    const log = await trial.open()
    trial.fs.faults.failWrite = { at: trial.fs.counts.writes + 3, code: 'ENOSPC', written: 0 }
    expect(await trial.append([10])).toBe(false)
    expect(trial.fs.files()).toContain(FIRST)
    trial.fs.faults = {}
    await trial.append([4000])
    expect(log.place(0)!.segment).toBe(FIRST)
    await trial.append([900_000, 900_000, 900_000])
    expect(log.place(3)!.segment).toBe(SECOND)
    await trial.close()
  })
})

describe('a large frame', () => {
  const LARGE = [800_000, 700_001]

  it('is written whole, however short the single writes are', async () => {
    for (let seed = 0; seed < 10; seed++) {
      const trial = new Trial(seed)
      await trial.open()
      await trial.append([10])
      trial.fs.faults.shortWrites = 1
      await trial.append(LARGE)
      await trial.append([20])
      await trial.append(LARGE, 'os')
      await trial.close()
      await trial.check('close')
      await trial.close()
    }
  })

  it('that does not fit leaves the file as it was, and what comes next is written', async () => {
    for (const written of [0, 100, 700_000]) {
      const trial = new Trial(1, { segmentBytes: 10_000_000 })
      await trial.open()
      await trial.append([10])
      const size = trial.fs.peek(FIRST).length
      trial.fs.faults.failWrite = { at: trial.fs.counts.writes + 1, code: 'ENOSPC', written }
      trial.fs.faults.spaceBytes = trial.fs.files().reduce((sum, name) => sum + trial.fs.peek(name).length, 0) + written
      expect(await trial.append(LARGE)).toBe(false)
      expect(trial.fs.peek(FIRST).length).toBeLessThanOrEqual(size)
      trial.fs.faults = {}
      expect(await trial.append(LARGE)).toBe(true)
      await trial.close()
      await trial.check('close')
      await trial.close()
    }
  })

  it('is no part of the log before it is written whole; a new segment, a standing and the end wait for it', async () => {
    let go = (): void => {}
    const slow = (file: OpenFile): OpenFile => ({
      ...file,
      writeLater: async (parts, at) => {
        await new Promise<void>((resolve) => {
          go = resolve
        })
        return file.writeLater(parts, at)
      },
    })
    const wrap = (fs: FileSystem): FileSystem =>
      withCalls(fs as SimFileSystem, { open: (path, mode) => slow(fs.open(path, mode)) })
    const trial = new Trial(1, { wrap, segmentBytes: 10_000_000 })
    const log = await trial.open()
    await trial.append([10])
    const [size, manifest] = [trial.fs.peek(FIRST).length, trial.fs.peek(MANIFEST)]
    const append = trial.append(LARGE)
    const ends = [log.setStanding!(LIVE), log.close()]
    for (let i = 0; i < 20; i++) await Promise.resolve()
    expect(trial.fs.peek(FIRST).length).toBe(size)
    expect(trial.fs.peek(MANIFEST)).toEqual(manifest)
    go()
    expect(await append).toBe(true)
    await Promise.all(ends)
    await trial.check('close')
    await trial.close()
  })
})

describe('what waited for a step that failed', () => {
  it('does not write: a standing behind an append', async () => {
    const trial = new Trial(1, { zeroFillBytes: 0 })
    const log = await trial.open()
    await trial.append([10])
    const before = trial.fs.peek(MANIFEST)
    trial.fs.faults.failSync = trial.fs.counts.syncs + 1
    const append = log.append(testBatch(1, [10]), { after: log.head(), durability: 'disk', load: 'group' })
    const standing = log.setStanding!({ state: 'copy', note: '' })
    expect(await codeOf(() => append)).toBe('WRITER_POISONED')
    expect(await codeOf(() => standing)).toBe('WRITER_POISONED')
    expect(trial.fs.peek(MANIFEST)).toEqual(before)
    await log.close()
  })
})

describe('a sync that nobody waits for', () => {
  /** A log whose syncs of segments wait until they are let go. */
  async function slowLog(segmentBytes = 100_000) {
    const syncs: (() => void)[] = []
    const seen = { atOnce: 0, most: 0 }
    let isSlow = false
    const slow = (file: OpenFile): OpenFile => ({
      ...file,
      sync: async () => {
        seen.most = Math.max(seen.most, ++seen.atOnce)
        if (isSlow) await new Promise<void>((resolve) => syncs.push(resolve))
        seen.atOnce--
        await file.sync()
      },
    })
    const wrap = (fs: FileSystem): FileSystem =>
      withCalls(fs as SimFileSystem, { open: (path, mode) => slow(fs.open(path, mode)) })
    const trial = new Trial(1, { zeroFillBytes: 0, syncBehindBytes: 1000, segmentBytes, wrap })
    const log = await trial.open()
    await trial.append([10])
    isSlow = true
    return { trial, log, syncs, seen }
  }
  const turns = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) await Promise.resolve()
  }

  it('begins when enough is written, and makes it durable', async () => {
    const { trial, log, syncs } = await slowLog()
    await trial.append([400], 'os')
    expect(syncs.length).toBe(0)
    await trial.append([600], 'os')
    await trial.append([2000], 'os')
    expect([syncs.length, log.durableSeq()]).toEqual([1, 0])
    syncs[0]!()
    await turns()
    expect([syncs.length, log.durableSeq()]).toEqual([1, 2])
  })

  it('is waited for by the next one, by a seal and by close, since an error comes to one of two alone', async () => {
    const ends: ((part: Awaited<ReturnType<typeof slowLog>>) => Promise<unknown>)[] = [
      ({ trial }) => trial.append([10], 'disk'),
      ({ trial }) => trial.append([4500], 'os'),
      ({ trial }) => trial.close(),
    ]
    for (const end of ends) {
      const part = await slowLog(9500)
      await part.trial.append([2000], 'os')
      await part.trial.append([2500], 'os')
      const done = end(part)
      await turns()
      expect([part.syncs.length, part.seen.most]).toEqual([1, 1])
      for (let i = 0; i < 4; i++) {
        part.syncs.splice(0).forEach((go) => void go())
        await turns()
      }
      await done
      expect(part.seen.most).toBe(1)
    }
  })

  it('that fails ends the writer, and who closes hears of it if nobody has', async () => {
    const failing = async (): Promise<Trial> => {
      const { trial, syncs } = await slowLog()
      await trial.append([2000], 'os')
      trial.fs.faults.failSync = trial.fs.counts.syncs + 1
      syncs[0]!()
      await turns()
      return trial
    }
    const untold = await failing()
    expect(await codeOf(() => untold.log!.close())).toBe('WRITER_POISONED')
    const told = await failing()
    expect(await codeOf(() => told.append([10], 'os'))).toBe('WRITER_POISONED')
    expect(await codeOf(() => told.log!.close())).toBe('nothing')
  })

  it('that fails while somebody waits is his error', async () => {
    const { trial, syncs } = await slowLog()
    await trial.append([2000], 'os')
    const waiting = codeOf(() => trial.append([10], 'disk'))
    trial.fs.faults.failSync = trial.fs.counts.syncs + 1
    syncs[0]!()
    expect(await waiting).toBe('WRITER_POISONED')
    expect(trial.fs.counts.syncs).toBe(trial.fs.faults.failSync)
  })
})

describe('a folder that changes under who opens it', () => {
  const parts = { random: seededRandom(1), clock: manualClock() }

  it('is what it is under the lock', async () => {
    const empty = new SimFileSystem(1)
    const lock: FileSystem['lock'] = () => {
      empty.open('letter.txt', 'create').close()
      return empty.lock()
    }
    const fs = withCalls(empty, { lock })
    expect(await codeOf(() => openFileLog({ ...parts, fs, create: true }))).toBe('NOT_A_CHAIN')
    expect(empty.files()).toEqual(['letter.txt'])
    const { fs: whole } = await closedLog()
    const list = (path: string): readonly string[] => {
      const names = whole.list(path)
      whole.drop(MANIFEST)
      return names
    }
    const reading = withCalls(whole, { list })
    expect(await codeOf(() => openFileLog({ ...parts, fs: reading, readOnly: true }))).toBe('CHAIN_NOT_FOUND')
  })

  it('is read and written as its standing allows, or as who opens it does', async () => {
    const codes = (trial: Trial, more = {}): Promise<string[]> =>
      Promise.all(
        [true, false].map((readOnly) =>
          codeOf(async () => (await openFileLog({ ...parts, ...more, fs: trial.fs, readOnly })).close()),
        ),
      )
    const trial = await closedLog()
    changeManifest(trial, { standing: { state: 'incomplete', note: '' } })
    expect(await codes(trial)).toEqual(['CHAIN_INCOMPLETE', 'CHAIN_INCOMPLETE'])
    expect(await codes(trial, { standings: ['incomplete'] })).toEqual(['nothing', 'nothing'])
    changeManifest(trial, { standing: { state: 'copy', note: 'x'.repeat(392) } })
    expect(await codes(trial)).toEqual(['nothing', 'CHAIN_COPY'])
    // One byte more than the block has room for, and a standing that nobody knows.
    for (const [at, value] of [
      [115, 393 & 0xff],
      [112, 77],
      [112, 0],
    ] as const) {
      const changed = await closedLog()
      changeManifest(changed, { standing: { state: 'copy', note: 'x'.repeat(392) } })
      changed.fs.poke(MANIFEST, (bytes) => {
        for (const slot of [0, SLOT_BYTES]) {
          bytes[slot + at] = value
          putU32(bytes, slot + 508, crc32(bytes.subarray(slot, slot + 508)))
        }
        return bytes
      })
      expect(await codes(changed)).toEqual(['UNSUPPORTED_FORMAT', 'UNSUPPORTED_FORMAT'])
    }
  })

  it('forgets the label of a log without records, and has another for the next', async () => {
    const fs = new SimFileSystem(1)
    const label = new Uint8Array(32).fill(5)
    await (await openFileLog({ ...parts, fs, create: true, label })).close()
    const other = await openFileLog({ ...parts, fs, label: new Uint8Array(32).fill(6) })
    expect(other.label).toEqual(new Uint8Array(32).fill(6))
    await other.close()
    const again = await openFileLog({ ...parts, fs })
    expect(again.label).toBe(undefined)
    await again.close()
  })
})

describe('a log that is closed or only read', () => {
  it('answers no more, and gives up the lock once', async () => {
    const trial = new Trial(1)
    const log = await trial.open()
    await log.close()
    expect(await codeOf(() => readAll(log))).toBe('CHAIN_CLOSED')
    expect(await codeOf(() => log.residue!())).toBe('CHAIN_CLOSED')
    expect(await codeOf(async () => void (await log.ring.names()[Symbol.asyncIterator]().next()))).toBe('CHAIN_CLOSED')
    const second = await trial.open()
    await log.close()
    expect(await codeOf(() => trial.open())).toBe('CHAIN_LOCKED')
    await second.close()
  })

  it('changes nothing of what was interrupted, and a writer does not read what it wrote', async () => {
    const trial = new Trial(1)
    await trial.open()
    await trial.put(1)
    await trial.append([10])
    const { reads } = trial.fs.counts
    expect(await trial.log!.refresh!()).toMatchObject({ seq: 0 })
    expect(trial.fs.counts.reads).toBe(reads)
    await trial.close()
    for (const name of [`${KEY_FILE}.tmp`, 'SNAPSHOT.new']) trial.fs.open(name, 'create').close()
    const files = trial.fs.files()
    const reader = await trial.open(true)
    await reader.close()
    expect(trial.fs.files()).toEqual(files)
  })
})

describe('a long key', () => {
  it('of other bytes under a checksum that fits is damaged', async () => {
    for (const [at, value] of [
      [0, 1],
      [4, 7],
    ] as const) {
      const trial = new Trial(1)
      const log = await trial.open()
      await log.ring.put(KEY, new Uint8Array(2000).fill(3))
      expect(await log.scrub()).toEqual([])
      trial.fs.poke(`${KEY_FILE}.key`, (bytes) => {
        putU32(bytes, at, value)
        putU32(bytes, bytes.length - 4, crc32(bytes.subarray(0, -4)))
        return bytes
      })
      expect(await codeOf(() => log.ring.get(KEY))).toBe('DAMAGED')
      await log.close()
    }
  })

  it('that was put in part is erased with the one before it; one that goes while it is looked at is no damage', async () => {
    const trial = new Trial(1, {
      wrap: (fs) =>
        withCalls(fs as SimFileSystem, {
          list: (path) => [...fs.list(path), ...(path === 'ring' ? [`${'02'.repeat(32)}.key`] : [])],
        }),
    })
    const log = await trial.open()
    await log.ring.put(KEY, new Uint8Array(2000).fill(3))
    trial.fs.copyTo(trial.fs, `${KEY_FILE}.key`, `${KEY_FILE}.next`)
    await log.ring.erase(KEY)
    expect(await log.ring.get(KEY)).toBe(undefined)
    expect(await log.scrub()).toEqual([])
    await log.close()
  })
})

describe('a slot of MANIFEST', () => {
  it('counts only under its checksum', async () => {
    const trial = await closedLog()
    const slots = (): boolean[] => {
      const file = trial.fs.open(MANIFEST, 'read')
      try {
        return readSlots(file, crc32).map((slot) => slot !== undefined)
      } finally {
        file.close()
      }
    }
    expect(slots()).toEqual([true, true])
    trial.fs.pokeByte(MANIFEST, 70, 9)
    expect(slots()).toEqual([false, true])
  })
})
