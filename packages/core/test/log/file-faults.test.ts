/** Errors of the disk while it is in use: what the writer says, what it keeps, and that nothing acknowledged is lost.
 *
 * @newest-node-only: a simulated disk is the same on every Node
 */
import { describe, expect, it } from 'vitest'
import { isAteError } from '../../src/base/errors.ts'
import { openFileLog } from '../../src/log/file-engine.ts'
import type { FileSystem } from '../../src/log/file-system.ts'
import { manualClock } from '../../src/testing/clock.ts'
import { appendTo, codeOf, readAll, testBatch } from '../../src/testing/log-suite.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { SimFileSystem } from '../../src/testing/sim-file-system.ts'
import { withCalls } from './damage-kit.ts'
import { Trial } from './trial.ts'

const parts = { random: seededRandom(1), clock: manualClock(), segmentBytes: 5200, zeroFillBytes: 0 }

async function workload(trial: Trial): Promise<void> {
  await trial.open()
  await trial.put(1)
  for (const size of [300, 500, 200, 400]) await trial.append([size, 10])
  await trial.put(1)
  await trial.append([50], 'os')
  await trial.append([60])
  await trial.erase(1)
  await trial.close()
}

describe('a sync that fails', () => {
  it('poisons the writer, whichever sync it is; a reopened log keeps what was acknowledged', async () => {
    const whole = new Trial(1)
    await workload(whole)
    const syncs = whole.fs.counts.syncs
    for (let nth = 3; nth <= syncs; nth++) {
      for (const reopen of ['on the same machine', 'after a power cut']) {
        const trial = new Trial(nth)
        trial.fs.faults.failSync = nth
        const code = await codeOf(() => workload(trial))
        expect(['WRITER_POISONED', 'IO_ERROR']).toContain(code)
        if (trial.log && code === 'WRITER_POISONED') {
          const { log } = trial
          for (const call of [
            () => appendTo(log, testBatch(0, [1])),
            () => log.ring.put(new Uint8Array(32), new Uint8Array(1)),
          ]) {
            expect(['WRITER_POISONED', 'CHAIN_CLOSED']).toContain(await codeOf(call))
          }
        }
        if (reopen === 'on the same machine') {
          await trial.kill()
          await trial.check('kill')
          await trial.append([77])
        }
        await trial.powerCutAndCheck()
      }
    }
  })

  it('is never tried again, and reads go on', async () => {
    const trial = new Trial(1)
    const log = await trial.open()
    await trial.append([100])
    trial.fs.faults.failSync = trial.fs.counts.syncs + 1
    expect(await codeOf(() => trial.append([200]))).toBe('WRITER_POISONED')
    const { syncs } = trial.fs.counts
    expect(await codeOf(() => trial.append([200]))).toBe('WRITER_POISONED')
    expect((await readAll(log)).length).toBeGreaterThan(0)
    expect((await log.readPart(0, 0, 5)).length).toBe(5)
    await log.close()
    expect(trial.fs.counts.syncs).toBe(syncs)
  })
})

describe('a disk that is full', () => {
  it('refuses, keeps nothing of the write, and goes on when there is space', async () => {
    for (const code of ['ENOSPC', 'EDQUOT']) {
      for (const written of [0, 1, 63, 64, 100, 163]) {
        const trial = new Trial(1)
        const log = await trial.open()
        await trial.append([300])
        const size = trial.fs.peek('seg-000000.ate').length
        trial.fs.faults = { failWrite: { at: trial.fs.counts.writes + 1, code, written }, spaceBytes: 1 }
        expect(await trial.append([600])).toBe(false)
        expect(trial.fs.peek('seg-000000.ate').length).toBeLessThanOrEqual(size)
        expect(await trial.append([600])).toBe(false)
        await trial.compare(log, 1)
        trial.fs.faults = {}
        expect(await trial.append([400])).toBe(true)
        await trial.powerCutAndCheck()
      }
    }
  })

  it('refuses during a rotation and a creation too', async () => {
    const whole = new Trial(1)
    await workload(whole)
    for (let nth = 1; nth <= whole.fs.counts.writes; nth++) {
      for (const written of [0, 30]) {
        const trial = new Trial(nth)
        trial.fs.faults = { failWrite: { at: nth, code: 'ENOSPC', written } }
        const code = await codeOf(() => workload(trial))
        expect(['DISK_FULL', 'nothing']).toContain(code)
        await trial.log?.close()
        await trial.check('close')
        await trial.append([40])
        await trial.powerCutAndCheck()
      }
    }
  })

  it('goes on after ENOSPC at any moment of a rotation, in the same process', async () => {
    for (let nth = 0; nth < 12; nth++) {
      const trial = new Trial(nth)
      await trial.open()
      trial.fs.faults = {
        failWrite: { at: trial.fs.counts.writes + 1 + nth, code: 'ENOSPC', written: nth % 2 ? 20 : 0 },
      }
      for (let i = 0; i < 6; i++) await trial.append([500])
      expect(trial.submitted.length).toBeGreaterThanOrEqual(5)
      await trial.powerCutAndCheck()
    }
  })

  it('keeps no part of a segment that did not fit', async () => {
    const trial = new Trial(1)
    await trial.open()
    await trial.append([900])
    trial.fs.faults.failWrite = { at: trial.fs.counts.writes + 2, code: 'ENOSPC', written: 100 }
    trial.fs.faults.spaceBytes = trial.fs.files().reduce((bytes, name) => bytes + trial.fs.peek(name).length, 300)
    expect(await trial.append([900])).toBe(false)
    expect(trial.fs.files()).not.toContain('seg-000001.ate')
    trial.fs.faults = {}
    expect(await trial.append([900])).toBe(true)
    await trial.powerCutAndCheck()
  })

  it('poisons if the part that was written cannot be taken back', async () => {
    const trial = new Trial(1)
    await trial.open()
    await trial.append([300])
    trial.fs.faults = {
      failWrite: { at: trial.fs.counts.writes + 1, code: 'ENOSPC', written: 0 },
      failTruncate: trial.fs.counts.truncates + 1,
    }
    expect(await codeOf(() => trial.append([600]))).toBe('WRITER_POISONED')
    expect(await codeOf(() => appendTo(trial.log!, testBatch(1, [10])))).toBe('WRITER_POISONED')
    await trial.powerCutAndCheck()
  })
})

describe('a process that has as many files open as it may', () => {
  /** The `nth` call from now on that needs a file is refused one, and those behind it while `lasts`. */
  function starved(): {
    readonly trial: Trial
    refuse(nth: number, lasts: number): void
    readonly refused: () => number
  } {
    let left = Number.POSITIVE_INFINITY
    let until = Number.NEGATIVE_INFINITY
    let refused = 0
    const file = (path: string): void => {
      left--
      if (left >= 0 || left < until) return
      refused++
      throw Object.assign(new Error(`EMFILE: ${path}`), { code: 'EMFILE' })
    }
    const trial: Trial = new Trial(1, {
      wrap: (fs) =>
        withCalls(trial.fs, {
          open(path, mode) {
            file(path)
            return fs.open(path, mode)
          },
          syncFolder(path) {
            file(path)
            fs.syncFolder(path)
          },
        }),
    })
    const refuse = (nth: number, lasts: number): void => {
      left = nth
      until = -lasts
    }
    return { trial, refuse, refused: () => refused }
  }

  it('is refused a rotation at any moment of it, keeps nothing of the write, and goes on when there is one', async () => {
    // A new segment is one file and one look at its folder.
    for (let nth = 0; nth < 2; nth++) {
      for (const lasts of [1, 5]) {
        const { trial, refuse, refused } = starved()
        const log = await trial.open()
        expect(await trial.append([4000])).toBe(true)
        refuse(nth, lasts)
        expect(await codeOf(() => appendTo(log, testBatch(1, [2000])))).toBe('TOO_MANY_FILES')
        if (lasts > 1) expect(await trial.append([2000])).toBe(false)
        refuse(Number.POSITIVE_INFINITY, 0)
        await trial.compare(log, 1)
        expect(await trial.append([2000])).toBe(true)
        expect(await trial.append([4000])).toBe(true)
        expect(refused()).toBeGreaterThanOrEqual(lasts > 1 ? 2 : 1)
        await trial.powerCutAndCheck()
      }
    }
  })

  it('dies or loses its power behind such a refusal, and opens again', async () => {
    for (const how of ['kill', 'close', 'power cut'] as const) {
      const { trial, refuse } = starved()
      await trial.open()
      await trial.append([4000])
      refuse(1, 1)
      expect(await trial.append([2000])).toBe(false)
      if (how !== 'power cut') {
        await trial[how]()
        await trial.check(how)
        expect(await trial.append([2000])).toBe(true)
      }
      await trial.powerCutAndCheck()
    }
  })

  it.each((['put', 'replace', 'erase'] as const).flatMap((step) => [40, 440].map((size) => [step, size] as const)))(
    'is refused to %s a key of %i bytes at any moment, writes on, and does it when it is tried again',
    async (step, size) => {
      const name = new Uint8Array(32).fill(1)
      const [old, next] = [0xaa, 0xbb].map((byte) => new Uint8Array(size).fill(byte))
      let moments = 0
      for (let nth = 0; ; nth++) {
        const { trial, refuse, refused } = starved()
        const log = await trial.open()
        expect(await trial.append([100])).toBe(true)
        if (step !== 'put') await log.ring.put(name, old!)
        const run = (): Promise<void> => (step === 'erase' ? log.ring.erase(name) : log.ring.put(name, next!))
        refuse(nth, 1)
        const code = await codeOf(run)
        refuse(Number.POSITIVE_INFINITY, 0)
        if (refused() === 0) break
        moments++
        expect(code).toBe('TOO_MANY_FILES')
        expect(await trial.append([100])).toBe(true)
        await run()
        const wanted = step === 'erase' ? undefined : next
        expect(await log.ring.get(name)).toEqual(wanted)
        await trial.powerCutAndCheck()
        const again = await trial.open()
        expect(await again.ring.get(name)).toEqual(wanted)
        const held = trial.fs.durableBytes().some(([, bytes]) => Buffer.from(bytes).includes(Buffer.from(old!)))
        expect(held).toBe(false)
        await again.close()
      }
      // A slot that is there is written without a file more.
      expect(moments > 0).toBe(step === 'put' || size === 440)
    },
  )

  it('cuts nothing off a file that it could not open again to write', async () => {
    // The files of a server's chains are closed meanwhile, and opened when they are written.
    for (const [sizes, code] of [
      [[600], 'EMFILE'],
      [[4900], 'ENFILE'],
      [[600_000, 600_000], 'EMFILE'],
    ] as const) {
      const trial = new Trial(1)
      await trial.open()
      await trial.append([300])
      trial.fs.faults = {
        failWrite: { at: trial.fs.counts.writes + 1, code, written: 0 },
        failTruncate: trial.fs.counts.truncates + 1,
      }
      expect(await trial.append(sizes)).toBe(false)
      trial.fs.faults = {}
      expect(await trial.append(sizes)).toBe(true)
      await trial.powerCutAndCheck()
    }
  })
})

describe('a snapshot that cannot be written', () => {
  /** The snapshot is given up and told; the log goes on, acknowledged on disk. */
  async function survives(trial: Trial, code: string): Promise<void> {
    expect(await trial.snapshot(3000)).toBe(code)
    trial.fs.faults = {}
    expect(trial.fs.files()).not.toContain('SNAPSHOT.new')
    expect(await trial.append([100])).toBe(true)
    expect(await trial.snapshot(2000)).toBe('written')
    await trial.powerCutAndCheck()
  }

  async function begun(): Promise<Trial> {
    const trial = new Trial(1)
    await trial.open()
    await trial.append([100])
    await trial.snapshot(1500)
    return trial
  }

  it('for a sync that fails, of the file or of the folder, does not poison the writer', async () => {
    for (let nth = 1; nth <= 2; nth++) {
      const trial = await begun()
      trial.fs.faults.failSync = trial.fs.counts.syncs + nth
      await survives(trial, 'IO_ERROR')
    }
  })

  it('for want of space, or a write that fails, keeps the old one', async () => {
    for (const code of ['ENOSPC', 'EIO']) {
      for (let nth = 1; nth <= 3; nth++) {
        const trial = await begun()
        trial.fs.faults.failWrite = { at: trial.fs.counts.writes + nth, code, written: 0 }
        await survives(trial, code === 'ENOSPC' ? 'DISK_FULL' : 'IO_ERROR')
      }
    }
  })

  it('is not tried by a writer that a failed sync has stopped', async () => {
    const trial = await begun()
    trial.fs.faults.failSync = trial.fs.counts.syncs + 1
    expect(await codeOf(() => trial.append([100]))).toBe('WRITER_POISONED')
    expect(await trial.snapshot(100)).toBe('WRITER_POISONED')
  })
})

describe('short writes', () => {
  it('are continued until everything is there', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const trial = new Trial(seed)
      trial.fs.faults.shortWrites = 1
      await workload(trial)
      await trial.check('close')
      await trial.powerCutAndCheck()
    }
  })
})

describe('a read that fails', () => {
  it('is an error of the disk at open, not damage, and changes nothing', async () => {
    const trial = new Trial(1)
    await workload(trial)
    await trial.open()
    await trial.append([100])
    await trial.kill()
    const before = trial.fs.files().map((name) => [name, trial.fs.peek(name).length])
    trial.fs.counts.reads = 0
    await trial.open(true).then((log) => log.close())
    const reads = trial.fs.counts.reads
    expect(reads).toBeGreaterThan(4)
    for (let nth = 1; nth <= reads; nth++) {
      trial.fs.counts.reads = 0
      trial.fs.faults.failRead = nth
      expect(await codeOf(() => trial.open())).toBe('IO_ERROR')
      trial.fs.faults = {}
      expect(trial.fs.files().map((name) => [name, trial.fs.peek(name).length])).toEqual(before)
    }
    await trial.check('kill')
    await trial.log!.close()
  })

  it('is an error of read, readPart and a problem of scrub', async () => {
    const trial = new Trial(1)
    const log = await trial.open()
    await trial.append([100])
    const next = (): void => {
      trial.fs.faults.failRead = trial.fs.counts.reads + 1
    }
    next()
    expect(await codeOf(() => readAll(log))).toBe('IO_ERROR')
    next()
    expect(await codeOf(() => log.readPart(0, 0, 1))).toBe('IO_ERROR')
    trial.fs.faults.failRead = trial.fs.counts.reads + 2
    const problems = await log.scrub()
    expect(problems.map((problem) => [problem.segment, problem.firstSeq, problem.lastSeq])).toEqual([
      ['seg-000000.ate', 0, 0],
    ])
    await log.close()
  })
})

describe('a disk that refuses to be written', () => {
  it('is READ_ONLY with the errno, and can be read', async () => {
    for (const refuse of ['EROFS', 'EACCES']) {
      const trial = new Trial(1)
      await workload(trial)
      trial.fs.faults.refuse = refuse
      const error = await trial.open().catch((thrown) => thrown)
      expect([error.code, error.facts.errno]).toEqual(['READ_ONLY', refuse])
      expect(error.message.includes('look whose the folder')).toBe(refuse === 'EACCES')
      const reader = await trial.open(true)
      await trial.compare(reader, trial.onDisk)
      await reader.close()
      const empty = new SimFileSystem(1)
      empty.faults.refuse = refuse
      expect(await codeOf(() => openFileLog({ ...parts, fs: empty, create: true }))).toBe('READ_ONLY')
    }
  })
})

describe('folders', () => {
  const open = (fs: FileSystem, create: boolean, readOnly = false): Promise<string> =>
    codeOf(async () => (await openFileLog({ ...parts, fs, create, readOnly })).close())

  it('without a chain are CHAIN_NOT_FOUND, unless one shall be made', async () => {
    for (const folder of ['exists', 'missing'] as const) {
      const fs = new SimFileSystem(1, { folder })
      expect(await open(fs, false)).toBe('CHAIN_NOT_FOUND')
      expect(await open(fs, true, true)).toBe('CHAIN_NOT_FOUND')
      expect(fs.counts.operations).toBe(0)
      expect(await open(fs, true)).toBe('nothing')
      expect(await open(fs, false)).toBe('nothing')
    }
  })

  it('with other files are NOT_A_CHAIN, and stay as they are', async () => {
    const fs = new SimFileSystem(1)
    fs.open('notes.txt', 'create').write([new Uint8Array(10)], 0)
    const { operations } = fs.counts
    for (const create of [true, false]) expect(await open(fs, create)).toBe('NOT_A_CHAIN')
    expect(await open(fs, false, true)).toBe('NOT_A_CHAIN')
    expect(fs.counts.operations).toBe(operations)
  })

  it('a file in its place is NOT_A_CHAIN', async () => {
    const list = (): never => {
      throw Object.assign(new Error('ENOTDIR'), { code: 'ENOTDIR' })
    }
    expect(await open(withCalls(new SimFileSystem(1), { list }), true)).toBe('NOT_A_CHAIN')
  })

  it('of another label are WRONG_CHAIN', async () => {
    const fs = new SimFileSystem(1)
    const label = new Uint8Array(32).fill(1)
    const log = await openFileLog({ ...parts, fs, create: true, label })
    await appendTo(log, testBatch(0, [10]))
    await log.close()
    const other = { ...parts, fs, label: new Uint8Array(32).fill(2) }
    expect(await codeOf(() => openFileLog(other))).toBe('WRONG_CHAIN')
    expect(await codeOf(() => openFileLog({ ...other, readOnly: true }))).toBe('WRONG_CHAIN')
    const again = await openFileLog({ ...parts, fs, label })
    expect(again.label).toEqual(label)
    await again.close()
  })
})

/** A network disk, where a lock may not hold. */
const lockless = (sim: SimFileSystem): FileSystem =>
  new Proxy(sim, {
    get: (target, name) => {
      if (name === 'lock') return async () => ({ release: async () => {} })
      const value = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })

describe('a writer that another took over from', () => {
  it('is refused at its next append, whatever the level, and leaves what its successor wrote as it is', async () => {
    for (const durability of ['os', 'disk'] as const) {
      const sim = new SimFileSystem(1)
      const fs = lockless(sim)
      const first = await openFileLog({ ...parts, fs, create: true })
      await appendTo(first, testBatch(0, [100]))
      const second = await openFileLog({ ...parts, fs })
      await appendTo(second, testBatch(1, [100]))
      const before = sim.peek('seg-000000.ate')
      const { operations } = sim.counts
      const late = testBatch(1, [50], 9)
      expect(await codeOf(() => first.append(late, { after: first.head(), durability, load: 'alone' }))).toBe(
        'WRITER_FENCED',
      )
      expect([sim.counts.operations, sim.peek('seg-000000.ate')]).toEqual([operations, before])
      expect((await readAll(second)).map(({ bytes }) => bytes)).toEqual(
        testBatch(0, [100, 100]).map(({ bytes }) => bytes),
      )
      await first.close().catch((error) => expect(isAteError(error) && error.code).toBe('WRITER_FENCED'))
      await second.close()
    }
  })

  it('puts no key into the ring, and erases none', async () => {
    const sim = new SimFileSystem(1)
    const fs = lockless(sim)
    const name = new Uint8Array(32).fill(7)
    const first = await openFileLog({ ...parts, fs, create: true })
    await first.ring.put(name, new Uint8Array(20).fill(1))
    const second = await openFileLog({ ...parts, fs })
    await second.ring.put(name, new Uint8Array(20).fill(2))
    expect(await codeOf(() => first.ring.put(name, new Uint8Array(20).fill(3)))).toBe('WRITER_FENCED')
    expect(await codeOf(() => first.ring.erase(name))).toBe('WRITER_FENCED')
    expect(await second.ring.get(name)).toEqual(new Uint8Array(20).fill(2))
    await first.close().catch((error) => expect(isAteError(error) && error.code).toBe('WRITER_FENCED'))
    await second.close()
  })

  it('is fenced at the next rotation, and writes nothing when it closes', async () => {
    const fs = lockless(new SimFileSystem(1))
    const first = await openFileLog({ ...parts, fs, create: true })
    await appendTo(first, testBatch(0, [100]))
    const second = await openFileLog({ ...parts, fs })
    await appendTo(second, testBatch(1, [100]))
    expect(await codeOf(() => appendTo(first, testBatch(1, [2000])))).toBe('WRITER_FENCED')
    expect(await codeOf(() => appendTo(first, testBatch(1, [2000])))).toBe('WRITER_FENCED')
    await first.close().catch((error) => expect(isAteError(error) && error.code).toBe('WRITER_FENCED'))
    await appendTo(second, testBatch(2, [2000]))
    await second.close()
    const reader = await openFileLog({ ...parts, fs, readOnly: true })
    expect((await readAll(reader)).length).toBe(3)
    await reader.close()
  })

  it('does not touch a segment of its successor', async () => {
    const fs = lockless(new SimFileSystem(1))
    const first = await openFileLog({ ...parts, fs, create: true })
    const second = await openFileLog({ ...parts, fs })
    await appendTo(second, testBatch(0, [100]))
    expect(await codeOf(() => appendTo(first, testBatch(0, [50])))).toBe('WRITER_FENCED')
    await first.close()
    expect((await readAll(second)).length).toBe(1)
    await second.close()
  })

  it('does not cut zeros off in which its successor writes', async () => {
    const fs = lockless(new SimFileSystem(1))
    const first = await openFileLog({ ...parts, zeroFillBytes: 4096, fs, create: true })
    await appendTo(first, testBatch(0, [100]))
    const second = await openFileLog({ ...parts, zeroFillBytes: 4096, fs })
    await appendTo(second, testBatch(1, [100]))
    expect(await codeOf(() => first.close())).toBe('WRITER_FENCED')
    expect((await readAll(second)).length).toBe(2)
    await second.close()
  })

  it('does not write the manifest when it closes', async () => {
    const sim = new SimFileSystem(1)
    const fs = lockless(sim)
    const first = await openFileLog({ ...parts, fs, create: true })
    await appendTo(first, testBatch(0, [100]))
    const second = await openFileLog({ ...parts, fs })
    const before = sim.peek('MANIFEST')
    expect(await codeOf(() => first.close())).toBe('WRITER_FENCED')
    expect(sim.peek('MANIFEST')).toEqual(before)
    await second.close()
  })
})

describe('group commit', () => {
  it('is one write and one sync a batch, one sync for many that did not wait', async () => {
    const trial = new Trial(1, { segmentBytes: 1_000_000 })
    await trial.open()
    await trial.append([10])
    const { syncs, writes } = trial.fs.counts
    await trial.append(Array.from({ length: 100 }, () => 100))
    expect([trial.fs.counts.syncs - syncs, trial.fs.counts.writes - writes]).toEqual([1, 1])
    for (let i = 0; i < 5; i++) await trial.append([10], 'os')
    expect(trial.fs.counts.syncs - syncs).toBe(1)
    await trial.append([])
    expect(trial.fs.counts.syncs - syncs).toBe(2)
    expect(trial.onDisk).toBe(trial.submitted.length)
    await trial.close()
  })

  it('syncs on the spot only when alone on a disk that was fast, and for so long that others wait 10 ms at most', async () => {
    let turn = (): void => undefined
    const pause = (): Promise<void> =>
      new Promise((resolve) => {
        turn = resolve
      })
    const clock = manualClock()
    const sim = new SimFileSystem(1)
    const calls: string[] = []
    let syncMs = 0.2
    const fs: FileSystem = {
      open(path, mode) {
        const file = sim.open(path, mode)
        const noted = <T>(kind: string, sync: () => T): T => {
          calls.push(kind)
          clock.advance(syncMs)
          return sync()
        }
        return {
          ...file,
          syncNow: () => noted('now', () => file.syncNow()),
          sync: () => noted('later', () => file.sync()),
        }
      },
      list: (path) => sim.list(path),
      makeFolder: (path) => sim.makeFolder(path),
      rename: (from, to) => sim.rename(from, to),
      remove: (path) => sim.remove(path),
      removeFolder: (path) => sim.removeFolder(path),
      syncFolder: (path) => sim.syncFolder(path),
      lock: () => sim.lock(),
    }
    const log = await openFileLog({ ...parts, segmentBytes: 1_000_000, clock, fs, create: true, pause })
    let seq = 0
    const append = async (load: 'alone' | 'group'): Promise<string> => {
      await log.append(testBatch(seq++, [10]), { after: log.head(), durability: 'disk', load })
      return calls.at(-1)!
    }
    expect(await append('alone')).toBe('later')
    expect(await append('alone')).toBe('now')
    expect(await append('group')).toBe('later')
    // Without a turn of the event loop since the first one on the spot, 0.4 ms ago.
    clock.advance(9.5)
    expect(await append('alone')).toBe('now')
    expect(await append('alone')).toBe('later')
    expect(await append('alone')).toBe('later')
    turn()
    await undefined
    expect(await append('alone')).toBe('now')
    clock.advance(9)
    turn()
    await undefined
    clock.advance(9)
    expect(await append('alone')).toBe('now')
    syncMs = 30
    expect(await append('alone')).toBe('now')
    expect(await append('alone')).toBe('later')
    await log.close()
  })
})
