/** A survey of a damaged folder, byte by byte: what is a run, what is a problem, and what is neither. */
import { describe, expect, it } from 'vitest'
import { crc32 } from '../../src/log/crc32.ts'
import type { LogRecord } from '../../src/log/engine.ts'
import { NO_HASH } from '../../src/log/file-frame.ts'
import { MANIFEST } from '../../src/log/file-manifest.ts'
import { type Survey, salvagedRecords, surveyLog } from '../../src/log/file-salvage.ts'
import { codeOf, testBatch } from '../../src/testing/log-suite.ts'
import { changeManifest, closedLog, LABEL, newerFormat } from './damage-kit.ts'
import { Trial } from './trial.ts'

const [FIRST, SECOND, TAIL] = ['seg-000000.ate', 'seg-000001.ate', 'seg-000002.ate']
const HEADER_BYTES = 4096

const survey = ({ fs }: Trial): Survey => surveyLog(fs, crc32)

async function salvaged(trial: Trial, found: Survey): Promise<LogRecord[]> {
  const records: LogRecord[] = []
  for await (const chunk of salvagedRecords(trial.fs, found, crc32)) records.push(...chunk)
  return records
}

describe('MANIFEST', () => {
  it('alone is a log without records', async () => {
    const trial = new Trial(1)
    await trial.open()
    await trial.close()
    expect(survey(trial)).toMatchObject({ label: undefined, runs: [], problems: [], lastSeq: -1 })
  })

  it('that is missing, unreadable or newer is told apart', async () => {
    const trial = await closedLog()
    trial.fs.faults.failRead = trial.fs.counts.reads + 1
    expect(survey(trial).problems[0]).toMatchObject({ segment: MANIFEST, what: 'the disk does not give it: EIO' })
    trial.fs.faults = {}
    changeManifest(trial, {})
    trial.fs.poke(MANIFEST, (bytes) => bytes.fill(0))
    expect(survey(trial).problems).toMatchObject([{ segment: MANIFEST, what: 'no slot is whole' }])
    trial.fs.drop(MANIFEST)
    expect(survey(trial).problems).toEqual([{ segment: MANIFEST, offset: 0, what: 'the file is missing' }])
    const newer = await closedLog()
    changeManifest(newer, { standing: { state: 'newest' as never, note: '' } })
    expect(await codeOf(() => survey(newer))).toBe('UNSUPPORTED_FORMAT')
  })

  it('of no records names no label: another may have been taken for the first', async () => {
    const trial = await closedLog()
    changeManifest(trial, { durableCount: 0, durableHash: NO_HASH, label: new Uint8Array(32).fill(9) })
    expect(survey(trial)).toMatchObject({ label: LABEL, problems: [] })
    changeManifest(trial, { durableCount: 1 })
    expect(survey(trial).problems.length).toBe(3)
  })
})

describe('a segment', () => {
  it('that a rotation left without a frame is no problem, and a header tells what came before it', async () => {
    for (const size of [0, 100, HEADER_BYTES]) {
      const trial = await closedLog()
      trial.fs.poke(TAIL, () => new Uint8Array(size))
      expect(survey(trial).problems).toEqual([])
    }
    const trial = await closedLog()
    trial.fs.poke(TAIL, () => new Uint8Array(HEADER_BYTES + 8).fill(1))
    expect(survey(trial).problems).toMatchObject([{ segment: TAIL, what: 'both copies of the header are bad' }])
    const headed = await closedLog()
    const before = survey(headed).runs.at(-1)!.firstSeq
    headed.fs.poke(TAIL, (bytes) => bytes.slice(0, HEADER_BYTES))
    for (const name of [MANIFEST, FIRST, SECOND]) headed.fs.drop(name)
    expect(survey(headed)).toMatchObject({ label: LABEL, runs: [], lastSeq: before - 1 })
  })

  it('has zeros behind its last frame, or anything behind its seal, without being damaged', async () => {
    const trial = await closedLog()
    const whole = survey(trial)
    expect(whole).toMatchObject({ problems: [], lastSeq: 15 })
    trial.fs.poke(TAIL, (bytes) => new Uint8Array(Buffer.concat([bytes, new Uint8Array(800)])))
    trial.fs.poke(FIRST, (bytes) => new Uint8Array(Buffer.concat([bytes, new Uint8Array(800).fill(5)])))
    expect(survey(trial)).toEqual(whole)
  })

  it('in which bytes stand between two frames has lost no record', async () => {
    const trial = await closedLog()
    const whole = survey(trial)
    const second = await trial.open(true).then(async (log) => {
      const { offset } = log.place(whole.runs.at(-1)!.firstSeq + 2)!
      await log.close()
      return offset - 36 - 64
    })
    trial.fs.poke(
      TAIL,
      (bytes) =>
        new Uint8Array(Buffer.concat([bytes.subarray(0, second), new Uint8Array(24).fill(5), bytes.subarray(second)])),
    )
    const { runs, problems } = survey(trial)
    const last = whole.runs.at(-1)!
    expect(problems).toEqual([{ segment: TAIL, offset: second, what: 'no whole frame' }])
    expect(runs.slice(0, -2)).toEqual(whole.runs.slice(0, -1))
    expect(runs.slice(-2)).toEqual([
      { ...last, lastSeq: last.firstSeq + 1 },
      { ...last, offset: second + 24, firstSeq: last.firstSeq + 2 },
    ])
    expect((await salvaged(trial, survey(trial))).length).toBe(16)
  })

  it('does not go on in what a record holds: an older frame of the same segment', async () => {
    const trial = new Trial(1, { segmentBytes: 100_000 })
    const log = await trial.open()
    await trial.append([40])
    const record = testBatch(1, [300])[0]!
    record.bytes.set(trial.fs.peek(FIRST).subarray(HEADER_BYTES, HEADER_BYTES + 64 + 80), 4)
    await log.append([record], { after: log.head(), durability: 'disk', load: 'alone' })
    await log.append(testBatch(2, [50]), { after: log.head(), durability: 'disk', load: 'alone' })
    const { offset } = log.place(1)!
    await log.close()
    trial.fs.pokeByte(FIRST, offset, trial.fs.peek(FIRST)[offset]! ^ 1)
    const { runs, problems } = survey(trial)
    expect(problems).toMatchObject([{ firstSeq: 1, lastSeq: 1 }])
    expect(runs.map(({ firstSeq, lastSeq }) => [firstSeq, lastSeq])).toEqual([
      [0, 0],
      [2, 2],
    ])
  })
})

it('records that change between the survey and the reading are DAMAGED', async () => {
  const trial = await closedLog()
  const found = survey(trial)
  const whole = trial.fs.peek(FIRST)
  expect((await salvaged(trial, found)).length).toBe(16)
  const spoiled = [
    whole.slice().fill(0, 0, HEADER_BYTES),
    newerFormat(whole.slice()),
    whole.with(HEADER_BYTES + 200, whole[HEADER_BYTES + 200]! ^ 1),
  ]
  for (const bytes of spoiled) {
    trial.fs.poke(FIRST, () => bytes)
    expect(await codeOf(() => salvaged(trial, found))).toBe('DAMAGED')
  }
})
