/**
 * Damage is an error that names the place, never a shorter log. A log that was closed answers every flipped byte with
 * DAMAGED or with the same data; one whose process died may lose only what no mark on the disk calls durable.
 */
import { describe, expect, it } from 'vitest'
import { isAteError } from '../../src/base/errors.ts'
import { crc32 } from '../../src/log/crc32.ts'
import { putU32, SEGMENT_FORMAT } from '../../src/log/file-frame.ts'
import { codeOf, readAll } from '../../src/testing/log-suite.ts'
import { seededRandom } from '../../src/testing/random.ts'
import type { SimFileSystem } from '../../src/testing/sim-file-system.ts'
import { Trial } from './trial.ts'

const LABEL = new Uint8Array(32).fill(3)

/** Three segments, two of them sealed; the tail has several frames. */
async function closedLog(label = LABEL): Promise<Trial> {
  const trial = new Trial(label[0]!)
  const log = await trial.open()
  log.setLabel(label)
  for (const size of [200, 300, 400, 200, 100, 30, 0, 50]) await trial.append([size, 10])
  await trial.close()
  expect(
    trial.fs
      .files()
      .filter((name) => name.startsWith('seg-'))
      .sort(),
  ).toEqual(['seg-000000.ate', 'seg-000001.ate', 'seg-000002.ate'])
  return trial
}

/** 'same' data, or the code of the error that opening or reading gave. Anything else throws. */
async function outcome(
  trial: Trial,
  least: number,
): Promise<{ readonly what: string; readonly facts: Readonly<Record<string, unknown>> }> {
  let what = 'same'
  let facts: Readonly<Record<string, unknown>> = {}
  for (const readOnly of [true, false]) {
    try {
      const log = await trial.open(readOnly)
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
async function withChange(trial: Trial, name: string, change: (bytes: Uint8Array) => Uint8Array): Promise<Trial> {
  const copy = new Trial(1)
  copy.fs.makeFolder('')
  for (const file of trial.fs.files()) if (!file.includes('/')) trial.fs.copyTo(copy.fs, file, file)
  copy.submitted = trial.submitted
  copy.ends = trial.ends
  copy.fs.poke(name, change)
  return copy
}

describe('a log that was closed', () => {
  it('answers every byte flipped with DAMAGED or the same data', async () => {
    const trial = await closedLog()
    const random = seededRandom(5)
    const seen = new Map<string, number>()
    for (const name of trial.fs.files()) {
      const bytes = trial.fs.peek(name)
      for (let at = 0; at < bytes.length; at++) {
        // Long runs of zeros in headers and slots are all alike: every 16th of them.
        if (bytes[at] === 0 && bytes[at - 1] === 0 && bytes[at + 1] === 0 && at % 16 !== 0) continue
        const copy = await withChange(trial, name, (all) => {
          all[at]! ^= 1 << random.below(8)
          return all
        })
        const { what, facts } = await outcome(copy, trial.submitted.length)
        if (what !== 'same') {
          expect(`${name} ${at}: ${what}`).toBe(`${name} ${at}: DAMAGED`)
          expect(facts['segment']).toBe(name)
        }
        seen.set(what, (seen.get(what) ?? 0) + 1)
      }
    }
    expect(seen.get('DAMAGED')).toBeGreaterThan(1500)
    expect(seen.get('same')).toBeGreaterThan(200)
  })

  it('misses nothing when it is cut short at any byte, or goes on with garbage', async () => {
    const trial = await closedLog()
    for (const name of trial.fs.files()) {
      const size = trial.fs.peek(name).length
      for (let at = 0; at < size; at += at < size - 300 ? 61 : 1) {
        const copy = await withChange(trial, name, (all) => all.slice(0, at))
        const { what } = await outcome(copy, trial.submitted.length)
        expect(['DAMAGED', ...(name === 'MANIFEST' && at >= 512 ? ['same'] : [])]).toContain(what)
      }
      const random = seededRandom(3)
      const copy = await withChange(trial, name, (all) => {
        const longer = new Uint8Array(all.length + 3000)
        random.fill(longer)
        longer.set(all)
        return longer
      })
      expect((await outcome(copy, trial.submitted.length)).what).toBe('same')
    }
  })

  it('misses no sector that is zeroed, stale, or of another file', async () => {
    const trial = await closedLog()
    const names = trial.fs.files()
    for (const name of names) {
      const size = trial.fs.peek(name).length
      for (let from = 0; from < size; from += 512) {
        for (const other of ['zeros', 'before', ...names]) {
          const copy = await withChange(trial, name, (all) => {
            const source =
              other === 'zeros'
                ? new Uint8Array(from + 512)
                : other === 'before'
                  ? all.slice(512)
                  : trial.fs.peek(other)
            all.set(source.subarray(from, Math.min(from + 512, all.length)), from)
            return all
          })
          expect(['same', 'DAMAGED']).toContain((await outcome(copy, trial.submitted.length)).what)
        }
      }
    }
  })

  it('names segment, offset and the range of seqs', async () => {
    const trial = await closedLog()
    const log = await trial.open(true)
    const { segment, offset } = log.place(4)!
    await log.close()
    trial.fs.poke(segment, (all) => {
      all[offset]! ^= 1
      return all
    })
    const reader = await trial.open(true)
    const before = await readAll(reader).catch((error) => error)
    expect(before.facts).toMatchObject({ segment, firstSeq: 4, lastSeq: 5 })
    expect((await reader.readPart(0, 0, 10)).length).toBe(10)
    expect((await reader.readPart(7, 0, 10)).length).toBe(10)
    const problems = await reader.scrub()
    expect(problems).toEqual([{ code: 'DAMAGED', segment, offset: before.facts.offset, firstSeq: 4, lastSeq: 5 }])
    await reader.close()
  })

  it('gives the records before the damage, then the error', async () => {
    const trial = await closedLog()
    const reader = await trial.open(true)
    const { segment, offset } = reader.place(4)!
    trial.fs.poke(segment, (all) => {
      all[offset]! ^= 1
      return all
    })
    const seen: number[] = []
    const run = async (): Promise<void> => {
      for await (const chunk of reader.read(0)) for (const record of chunk) seen.push(record.seq)
    }
    expect(await codeOf(run)).toBe('DAMAGED')
    expect(seen).toEqual([0, 1, 2, 3])
    await reader.close()
  })
})

describe('a damaged log that is opened all the same', () => {
  it('gives what is good before the damage, then the error, and scrub reports it', async () => {
    const trial = await closedLog()
    const place = await trial.open(true).then(async (log) => {
      const found = log.place(12)!
      await log.close()
      return found
    })
    trial.fs.poke(place.segment, (all) => {
      all[place.offset - 60]! ^= 1
      return all
    })
    expect(await codeOf(() => trial.open(true))).toBe('DAMAGED')
    const log = await trial.open(true, 'keep')
    expect(log.head()?.seq).toBe(11)
    expect(await log.refresh()).toEqual(log.head())
    const seen: number[] = []
    const run = async (): Promise<void> => {
      for await (const chunk of log.read(9)) for (const record of chunk) seen.push(record.seq)
    }
    expect(await codeOf(run)).toBe('DAMAGED')
    expect(seen).toEqual([9, 10, 11])
    const problems = (await log.scrub()).map(({ segment, firstSeq, lastSeq }) => [segment, firstSeq, lastSeq])
    expect(problems).toEqual([['seg-000002.ate', 12, 13]])
    await log.close()
  })

  it('gives the segments before one that is missing', async () => {
    const trial = await closedLog()
    trial.fs.drop('seg-000001.ate')
    const log = await trial.open(true, 'keep')
    expect(log.head()?.seq).toBe(3)
    expect((await log.scrub()).map(({ segment, firstSeq }) => [segment, firstSeq])).toEqual([['seg-000001.ate', 4]])
    await log.close()
  })
})

describe('scrub', () => {
  it('goes on behind a problem, and finds bad copies that reading survives', async () => {
    const trial = await closedLog()
    const reader = await trial.open(true)
    const flip = (name: string, at: number): void =>
      trial.fs.poke(name, (all) => {
        all[at]! ^= 1
        return all
      })
    flip('MANIFEST', 4096 + 8)
    flip('seg-000000.ate', 2048 + 30)
    flip('seg-000001.ate', 3000)
    flip(reader.place(2)!.segment, reader.place(2)!.offset)
    flip(reader.place(14)!.segment, reader.place(14)!.offset - 40)
    const problems = await reader.scrub()
    const shown = problems.map(({ segment, firstSeq, lastSeq }) => `${segment} ${firstSeq} ${lastSeq}`)
    expect(shown).toEqual([
      'MANIFEST 16 15',
      'seg-000000.ate 0 -1',
      'seg-000000.ate 2 3',
      'seg-000001.ate 4 3',
      'seg-000002.ate 14 15',
    ])
    await reader.close()
  })

  it('finds a damaged key of the ring', async () => {
    const trial = new Trial(1)
    const log = await trial.open()
    await trial.put(1)
    const name = trial.fs.files().find((file) => file.startsWith('ring/'))!
    trial.fs.poke(name, (all) => {
      all[50]! ^= 1
      return all
    })
    expect((await log.scrub()).map((problem) => problem.segment)).toEqual([name])
    expect(await codeOf(() => log.ring.get(new Uint8Array(32).fill(1)))).toBe('DAMAGED')
    await log.close()
  })
})

describe('a log whose process died', () => {
  it('loses by one flipped byte only what no mark calls durable: the last batch', async () => {
    const trial = new Trial(1)
    await trial.open()
    for (const size of [300, 500, 200, 400, 100]) await trial.append([size, 10])
    await trial.kill()
    const last = trial.submitted.length - 2
    for (const name of trial.fs.files().filter((file) => file.startsWith('seg-'))) {
      const bytes = trial.fs.peek(name)
      for (let at = 0; at < bytes.length; at++) {
        if (bytes[at] === 0 && at % 32 !== 0) continue
        const copy = await withChange(trial, name, (all) => {
          all[at]! ^= 0x10
          return all
        })
        expect(['same', 'DAMAGED']).toContain((await outcome(copy, last)).what)
      }
    }
  })

  it('is cut after a torn tail, whose bytes are kept, for good', async () => {
    for (let seed = 1; seed <= 30; seed++) {
      const trial = new Trial(seed)
      await trial.open()
      await trial.append([100])
      await trial.append([200])
      const { segment, offset } = trial.log!.place(1)!
      await trial.kill()
      trial.fs.poke(segment, (all) => {
        all[offset + 50]! ^= 1
        return all
      })
      const frame = trial.fs.peek(segment).slice(offset - 100, offset + 200)
      // The power goes right after the recovery: what it did must stand.
      expect((await trial.open()).head()?.seq).toBe(0)
      trial.fs.crash()
      expect(trial.fs.peek(segment).length).toBe(offset - 100)
      const kept = trial.fs.files().filter((file) => file.startsWith('quarantine/'))
      expect(kept.length).toBe(1)
      expect(Buffer.from(trial.fs.peek(kept[0]!)).includes(Buffer.from(frame))).toBe(true)
      await (await trial.open()).close()
      expect(trial.fs.files().filter((file) => file.startsWith('quarantine/'))).toEqual(kept)
    }
  })
})

describe('bytes behind a log that was closed', () => {
  it('are cut for good, though every record was durable', async () => {
    for (let seed = 1; seed <= 30; seed++) {
      const trial = new Trial(seed)
      await trial.open()
      await trial.append([100])
      await trial.close()
      const size = trial.fs.peek('seg-000000.ate').length
      trial.fs.poke('seg-000000.ate', (all) =>
        new Uint8Array(size + 700).fill(0xcc, size).map((byte, i) => all[i] ?? byte),
      )
      await trial.open()
      trial.fs.crash()
      expect(trial.fs.peek('seg-000000.ate').length).toBe(size)
    }
  })
})

describe('a reader that looks again', () => {
  it('holds what it sees against the newest marks', async () => {
    const trial = new Trial(1)
    await trial.open()
    await trial.append([100])
    const reader = await trial.open(true)
    await trial.append([200])
    const { segment, offset } = trial.log!.place(1)!
    await trial.close()
    trial.fs.poke(segment, (all) => {
      all[offset]! ^= 1
      return all
    })
    expect(await codeOf(() => reader.refresh())).toBe('DAMAGED')
    expect((await readAll(reader)).length).toBe(1)
    await reader.close()
  })
})

describe('a chain that never began', () => {
  it('leaves no segment and no label: another may begin in its place', async () => {
    const trial = new Trial(1)
    const log = await trial.open()
    log.setLabel(LABEL)
    trial.fs.faults.failWrite = { at: trial.fs.counts.writes + 3, code: 'EIO', written: 0 }
    expect(await codeOf(() => trial.append([100]))).toBe('IO_ERROR')
    await trial.close()
    expect(trial.fs.files()).toContain('seg-000000.ate')
    trial.submitted.length = 0
    const reader = await trial.open(true)
    const again = await trial.open()
    expect(trial.fs.files()).not.toContain('seg-000000.ate')
    again.setLabel(LABEL.map((byte) => byte + 1))
    await trial.append([100])
    expect((await reader.refresh())?.seq).toBe(0)
    expect((await readAll(reader)).length).toBe(1)
    await reader.close()
    await again.close()
  })
})

describe('the manifest', () => {
  it('survives one bad slot, and names itself when both are bad', async () => {
    const trial = await closedLog()
    for (let at = 0; at < 512; at++) {
      const copy = await withChange(trial, 'MANIFEST', (all) => {
        all[at]! ^= 0x20
        all[4096 + at]! ^= 0x20
        return all
      })
      const { what, facts } = await outcome(copy, trial.submitted.length)
      expect([what, facts['segment']]).toEqual(['DAMAGED', 'MANIFEST'])
    }
  })

  it('may be an older one: segments that it does not list are found', async () => {
    const trial = new Trial(1)
    await trial.open()
    await trial.append([300])
    const old = trial.fs.peek('MANIFEST')
    for (const size of [500, 600, 300]) await trial.append([size])
    await trial.close()
    const copy = await withChange(trial, 'MANIFEST', () => old)
    expect((await outcome(copy, trial.submitted.length)).what).toBe('same')
  })

  it('may be an older one when it is written on: the writer epoch stays above that of every frame', async () => {
    const trial = new Trial(1)
    await trial.open()
    await trial.append([10])
    await trial.close()
    const old = trial.fs.peek('MANIFEST')
    for (let i = 0; i < 3; i++) {
      await trial.open()
      await trial.append([10])
      await trial.close()
    }
    trial.fs.poke('MANIFEST', () => old)
    await trial.open()
    await trial.append([20])
    await trial.close()
    await trial.check('close')
    expect(trial.log!.head()?.seq).toBe(4)
    await trial.log!.close()
  })

  it('of a newer format is refused as such', async () => {
    const trial = await closedLog()
    const newer = (all: Uint8Array): Uint8Array => {
      for (const from of [0, 4096]) {
        all[from + 4] = 2
        putU32(all, from + 508, crc32(all.subarray(from, from + 508)))
      }
      return all
    }
    const copy = await withChange(trial, 'MANIFEST', newer)
    expect((await outcome(copy, 0)).what).toBe('UNSUPPORTED_FORMAT')
    const segment = await withChange(trial, 'seg-000002.ate', (all) => {
      all[4] = SEGMENT_FORMAT + 1
      putU32(all, 508, crc32(all.subarray(0, 508)))
      return all
    })
    expect((await outcome(segment, 0)).what).toBe('UNSUPPORTED_FORMAT')
  })
})

describe('segments', () => {
  const mixes: Readonly<Record<string, (fs: SimFileSystem, other: SimFileSystem) => void>> = {
    'the first is missing': (fs) => fs.drop('seg-000000.ate'),
    'one in the middle is missing': (fs) => fs.drop('seg-000001.ate'),
    'the last is missing': (fs) => fs.drop('seg-000002.ate'),
    'one stands twice': (fs) => fs.copyTo(fs, 'seg-000001.ate', 'seg-000003.ate'),
    'one stands in the place of another': (fs) => fs.copyTo(fs, 'seg-000001.ate', 'seg-000002.ate'),
    'one is of another log': (fs, other) => other.copyTo(fs, 'seg-000001.ate', 'seg-000001.ate'),
    'the last is of another log': (fs, other) => other.copyTo(fs, 'seg-000002.ate', 'seg-000002.ate'),
    'the manifest is missing': (fs) => fs.drop('MANIFEST'),
    'all are missing': (fs) => {
      for (const name of ['seg-000000.ate', 'seg-000001.ate', 'seg-000002.ate']) fs.drop(name)
    },
  }
  for (const [name, mix] of Object.entries(mixes)) {
    it(`are refused if ${name}`, async () => {
      const trial = await closedLog()
      mix(trial.fs, (await closedLog(LABEL.map((byte) => byte + 1))).fs)
      expect((await outcome(trial, 0)).what).toBe('DAMAGED')
    })
  }

  it('of a log with another label are refused, even if all else fits', async () => {
    const trial = new Trial(1)
    const log = await trial.open()
    log.setLabel(LABEL)
    await trial.append([10])
    await trial.close()
    const other = new Trial(1)
    await other.open()
    await other.append([10])
    await other.close()
    other.fs.copyTo(trial.fs, 'seg-000000.ate', 'seg-000000.ate')
    expect((await outcome(trial, 0)).what).toBe('DAMAGED')
  })
})
