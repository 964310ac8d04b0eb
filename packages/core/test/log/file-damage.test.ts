/**
 * Damage is an error that names the place, never a shorter log, and a log that is opened all the same gives what is
 * good. One whose process died may lose only what no mark on the disk calls durable. (Each bit: file-flips.test.ts.)
 *
 * @newest-node-only: a simulated disk is the same on every Node
 */
import { describe, expect, it } from 'vitest'
import { codeOf, readAll } from '../../src/testing/log-suite.ts'
import { closedLog, LABEL, outcome, withChange } from './damage-kit.ts'
import { Trial } from './trial.ts'

describe('a log that was closed', () => {
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
