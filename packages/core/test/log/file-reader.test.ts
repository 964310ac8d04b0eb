/** Reading a file log: chunks and their bounds, parts, damage that is in the way, and a scrub that is broken off. */
import { describe, expect, it } from 'vitest'
import { AteError } from '../../src/base/errors.ts'
import type { LogEngine, LogRecord } from '../../src/log/engine.ts'
import { codeOf, readAll, testBatch } from '../../src/testing/log-suite.ts'
import { closedLog, newerFormat } from './damage-kit.ts'
import { Trial } from './trial.ts'

async function chunkSizes(log: LogEngine, from: number, chunkBytes: number): Promise<number[]> {
  const counts: number[] = []
  for await (const chunk of log.read(from, { chunkBytes })) counts.push(chunk.length)
  return counts
}

describe('chunks', () => {
  it('hold as many whole records as fit, one at least, over frames that one read gave', async () => {
    const trial = new Trial(1, { segmentBytes: 1_000_000 })
    const log = await trial.open()
    for (const sizes of [[100, 100], [100], [500], [100]]) await trial.append(sizes)
    expect(await chunkSizes(log, 0, 200)).toEqual([2, 1, 1, 1])
    expect(await chunkSizes(log, 0, 199)).toEqual([1, 1, 1, 1, 1])
    expect(await chunkSizes(log, 0, 10)).toEqual([1, 1, 1, 1, 1])
    expect(await chunkSizes(log, 2, 10_000)).toEqual([3])
    await trial.close()
  })

  it('begin at the record that was asked for, however far before it the walk begins', async () => {
    const trial = new Trial(1, { segmentBytes: 1_000_000 })
    const log = await trial.open()
    for (let i = 0; i < 4; i++) await trial.append([40_000])
    for (let from = 0; from < 4; from++) {
      const found: LogRecord[] = []
      for await (const chunk of log.read(from, { chunkBytes: 1000 })) {
        expect(chunk.length).toBe(1)
        found.push(...chunk.map(({ seq, hash, bytes }) => ({ seq, hash: hash.slice(), bytes: bytes.slice() })))
      }
      expect(found.every((record) => Buffer.compare(record.bytes, trial.submitted[record.seq]!.bytes) === 0)).toBe(true)
      expect(found.map(({ seq }) => seq)).toEqual([0, 1, 2, 3].slice(from))
    }
    await trial.close()
  })
})

describe('a part', () => {
  it('is within a record that is there', async () => {
    const trial = new Trial(1)
    const log = await trial.open()
    await trial.append([100])
    expect(log.readPart(0, 0, 100)).toEqual(trial.submitted[0]!.bytes)
    const outside = [
      [0, -1, 1],
      [0, 1, -1],
      [0, 0, 101],
      [-1, 0, 0],
      [1, 0, 0],
    ] as const
    for (const [seq, offset, size] of outside)
      expect(await codeOf(() => log.readPart(seq, offset, size))).toBe('NOT_FOUND')
    expect([log.place(-1), log.place(1), log.place(0.5)]).toEqual([undefined, undefined, undefined])
    expect(await codeOf(() => readAll(log, -1))).toBe('NOT_FOUND')
    await trial.close()
  })

  it('is found of each of many small records', async () => {
    const trial = new Trial(1, { segmentBytes: 100_000 })
    const log = await trial.open()
    await trial.append(Array.from({ length: 300 }, () => 4))
    for (const { seq, bytes } of trial.submitted) expect(log.readPart(seq, 0, 4)).toEqual(bytes)
    await trial.close()
  })

  it('that the file no longer holds is damaged, not zeros', async () => {
    const trial = await closedLog()
    const log = await trial.open(true)
    const { segment, offset } = log.place(0)!
    expect(log.readPart(0, 0, 200)).toEqual(trial.submitted[0]!.bytes)
    trial.fs.poke(segment, (bytes) => bytes.slice(0, offset + 100))
    expect(log.readPart(0, 0, 100)).toEqual(trial.submitted[0]!.bytes.subarray(0, 100))
    expect(await codeOf(() => log.readPart(0, 0, 101))).toBe('DAMAGED')
    await log.close()
  })

  it('of a damaged record is DAMAGED; those before and behind it are there, whatever is asked first', async () => {
    for (const order of [
      [2, 3, 0],
      [0, 2, 3],
      [3, 2, 0],
    ]) {
      const trial = new Trial(1, { segmentBytes: 8000 })
      const writer = await trial.open()
      // The fifth begins a segment, so that the first four stand in one that is sealed, and not walked at open.
      for (let i = 0; i < 5; i++) await trial.append([800])
      const { segment, offset } = writer.place(2)!
      expect(writer.place(3)!.segment).toBe(segment)
      await trial.close()
      trial.fs.pokeByte(segment, offset, trial.fs.peek(segment)[offset]! ^ 1)
      const log = await trial.open(true)
      for (const seq of order) {
        if (seq === 2) expect(await codeOf(() => log.readPart(2, 0, 10))).toBe('DAMAGED')
        else expect(log.readPart(seq, 0, 10)).toEqual(trial.submitted[seq]!.bytes.subarray(0, 10))
      }
      await log.close()
    }
  })

  it('behind which nothing is whole any more is DAMAGED', async () => {
    const trial = await closedLog()
    const log = await trial.open(true)
    const size = trial.fs.peek('seg-000000.ate').length
    trial.fs.poke('seg-000000.ate', (bytes) => bytes.fill(0xee, 4096, size))
    expect(await codeOf(() => log.readPart(0, 0, 10))).toBe('DAMAGED')
    expect(await codeOf(() => log.readPart(1, 0, 10))).toBe('DAMAGED')
    await log.close()
  })

  it('is found behind a frame that fills what one walk reads', async () => {
    const trial = new Trial(1, { segmentBytes: 1_500_000 })
    await trial.open()
    for (const size of [600_000, 600_000, 600_000]) await trial.append([size], 'os')
    await trial.close()
    const log = await trial.open(true)
    expect(log.readPart(1, 0, 10)).toEqual(trial.submitted[1]!.bytes.subarray(0, 10))
    await log.close()
  })
})

describe('damage', () => {
  it('is not ended by what a record holds: an older frame of the same segment', async () => {
    const trial = new Trial(1, { segmentBytes: 6000 })
    const log = await trial.open()
    await trial.append([40])
    const frame = trial.fs.peek('seg-000000.ate').subarray(4096, 4096 + 64 + 80)
    const [record] = testBatch(1, [300])
    // Behind these 4 bytes of it stands a multiple of 8, where a frame may begin.
    record!.bytes.set(frame, 4)
    const append = (batch: readonly LogRecord[]): Promise<unknown> =>
      log.append(batch, { after: log.head(), durability: 'disk', load: 'alone' })
    await append([record!])
    await append(testBatch(2, [50, 50]))
    await append(testBatch(4, [2000]))
    const { segment, offset } = log.place(1)!
    expect([offset % 8, log.place(3)!.segment, log.place(4)!.segment]).toEqual([4, segment, 'seg-000001.ate'])
    await log.close()
    trial.fs.pokeByte(segment, offset, trial.fs.peek(segment)[offset]! ^ 1)
    const reader = await trial.open(true)
    expect(await reader.scrub()).toMatchObject([{ code: 'DAMAGED', firstSeq: 1, lastSeq: 1 }])
    await reader.close()
  })

  it('of the last frame names all of its records', async () => {
    const trial = new Trial(1, { segmentBytes: 100_000 })
    const log = await trial.open()
    await trial.append([40])
    await trial.append([40, 40, 40])
    const { offset } = log.place(1)!
    await trial.close()
    trial.fs.pokeByte('seg-000000.ate', offset, trial.fs.peek('seg-000000.ate')[offset]! ^ 1)
    const error = await trial.open(true).catch((thrown) => thrown)
    expect(error).toMatchObject({ code: 'DAMAGED', facts: { firstSeq: 1, lastSeq: 3 } })
  })

  it('is what it is called: software that is too old is not damage, for who keeps damage neither', async () => {
    const trial = await closedLog()
    trial.fs.poke('seg-000001.ate', newerFormat)
    expect(await codeOf(() => trial.open(true, 'keep'))).toBe('UNSUPPORTED_FORMAT')
  })
})

describe('a scrub', () => {
  it('of a log that is closed tells nothing, and one under way ends', async () => {
    const trial = await closedLog()
    const log = await trial.open(true)
    let told = 0
    const onProgress = (): void => {
      told++
      void log.close()
    }
    for (let i = 0; i < 2; i++) expect(await codeOf(() => log.scrub({ onProgress }))).toBe('CHAIN_CLOSED')
    expect(told).toBe(1)
    // Also where there is no step to end at.
    const nothing = await new Trial(1).open()
    await nothing.close()
    expect(await codeOf(() => nothing.scrub())).toBe('CHAIN_CLOSED')
  })

  it('ends when it is told to, before the first step and between two', async () => {
    const trial = await closedLog()
    const log = await trial.open(true)
    const { segment, offset } = log.place(4)!
    expect(segment).toBe('seg-000001.ate')
    trial.fs.pokeByte(segment, offset, trial.fs.peek(segment)[offset]! ^ 1)
    const stop = new AbortController()
    const told: number[] = []
    const onProgress = (done: number): void => {
      told.push(done)
      stop.abort()
    }
    expect(await codeOf(() => log.scrub({ signal: stop.signal, onProgress }))).toMatch(/ABORT/i)
    expect(told.length).toBe(1)
    expect(await codeOf(() => log.scrub({ signal: stop.signal }))).toMatch(/ABORT/i)
    // A reason with a code is no damage either.
    const closing = new AbortController()
    const close = (): void => closing.abort(new AteError('CHAIN_CLOSED'))
    expect(await codeOf(() => log.scrub({ signal: closing.signal, onProgress: close }))).toBe('CHAIN_CLOSED')
    await log.close()
    const empty = new Trial(1)
    const nothing = await empty.open()
    expect(await codeOf(() => nothing.scrub({ signal: stop.signal }))).toMatch(/ABORT/i)
    await nothing.close()
  })
})

describe('a scan', () => {
  async function scanned(log: LogEngine): Promise<{ seqs: number[]; problems: string[]; isAsWritten: boolean }> {
    const [seqs, problems]: [number[], string[]] = [[], []]
    let isAsWritten = true
    for await (const step of log.scan!()) {
      if ('code' in step) {
        problems.push(`${step.segment} ${step.firstSeq}-${step.lastSeq}`)
        continue
      }
      for (const { seq, bytes } of step) {
        seqs.push(seq)
        isAsWritten &&= Buffer.compare(bytes, await log.readPart(seq, 0, bytes.length)) === 0
      }
    }
    return { seqs, problems, isAsWritten }
  }

  it('gives every record, over frames and segments', async () => {
    const trial = new Trial(1, { segmentBytes: 100_000 })
    const log = await trial.open()
    for (const sizes of [[10, 20], [60_000], [60_000, 5], [7]]) await trial.append(sizes)
    expect(await scanned(log)).toEqual({ seqs: [0, 1, 2, 3, 4, 5], problems: [], isAsWritten: true })
    expect(log.place(5)!.segment).not.toBe(log.place(0)!.segment)
    await trial.close()
    // More than is read at a time.
    const long = new Trial(2, { segmentBytes: 8_000_000 })
    const large = await long.open()
    for (let i = 0; i < 5; i++) await long.append([900_000, 10])
    expect(await scanned(large)).toEqual({ seqs: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], problems: [], isAsWritten: true })
    await long.close()
  })

  it('gives none from the first on that is lost, and goes on to find what else is', async () => {
    const trial = new Trial(1, { segmentBytes: 100_000 })
    const log = await trial.open()
    for (const sizes of [[10], [20], [30], [60_000], [60_000], [7]]) await trial.append(sizes)
    for (const seq of [1, 4]) {
      const { segment, offset } = log.place(seq)!
      trial.fs.pokeByte(segment, offset, trial.fs.peek(segment)[offset]! ^ 1)
    }
    const { seqs, problems } = await scanned(log)
    expect(seqs).toEqual([0])
    expect(problems).toEqual(['seg-000000.ate 1-1', 'seg-000001.ate 4-4'])
    await trial.close()
  })

  it('gives none behind a segment that cannot be read at all', async () => {
    const trial = new Trial(1, { segmentBytes: 100_000 })
    const log = await trial.open()
    for (const sizes of [[60_000], [60_000], [60_000]]) await trial.append(sizes)
    trial.fs.poke('seg-000001.ate', () => new Uint8Array(0))
    const { seqs, problems } = await scanned(log)
    expect(seqs).toEqual([0])
    expect(problems.at(-1)).toMatch(/^seg-000001.ate 1-/)
    await trial.close()
  })
})
