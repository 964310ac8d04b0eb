/** Salvage: the longest beginning that verifies, what is lost by name, and a damaged folder that is left as it is. */
import { describe, expect, it } from 'vitest'
import { backup } from '../../src/data/backup.ts'
import { recover } from '../../src/data/recover.ts'
import { type SalvageReport, salvage } from '../../src/data/salvage.ts'
import { COMMIT, KIND } from '../../src/event/format.ts'
import { hashCommit, hashRecord } from '../../src/event/record.ts'
import type { LogRecord } from '../../src/log/engine.ts'
import { openFileLog } from '../../src/log/file-engine.ts'
import { readAll } from '../../src/testing/log-suite.ts'
import { seededRandom } from '../../src/testing/random.ts'
import type { SimFileSystem } from '../../src/testing/sim-file-system.ts'
import type { TestPlatform } from '../../src/testing/test-platform.ts'
import { newerFormat } from '../log/damage-kit.ts'
import { filesOf, makeChain, NAME, notesAt, readingAt, recordsAt, WRAPPED, writingAt } from './copies.ts'
import { codeOf, crypto, errorOf, person, quickPlatform } from './kit.ts'

const SEEDS = Number(process.env['ATE_SEEDS'] ?? 60)
const TIMEOUT_MS = Number(process.env['ATE_TEST_TIMEOUT_MS'] ?? 600_000)
const SMALL = 9000

/** The same records in a folder with small segments; their number. */
async function inSegments(
  platform: TestPlatform,
  path: string,
  change?: (records: LogRecord[]) => LogRecord[],
): Promise<number> {
  const { random, clock } = platform.environment
  const source = await openFileLog({ fs: platform.disk('/chain'), random, clock, readOnly: true })
  const all = await readAll(source)
  const records = change ? change(all) : all
  const target = await openFileLog({
    fs: platform.disk(path),
    random,
    clock,
    create: true,
    label: source.label!,
    segmentBytes: SMALL,
  })
  for (const record of records) {
    await target.append([record], { after: target.head(), durability: 'disk', load: 'alone' })
  }
  await target.ring.put(NAME, WRAPPED)
  await target.close()
  await source.close()
  return records.length
}

async function setUp(
  notes = 12,
): Promise<{ platform: TestPlatform; id: string; count: number; disk: SimFileSystem; records: string[] }> {
  const platform = quickPlatform()
  const id = await makeChain(platform, 'file:/chain', notes)
  const count = await inSegments(platform, '/bad')
  return { platform, id, count, disk: platform.disk('/bad'), records: await recordsAt('/bad', platform) }
}

/** Salvages `/bad` to a new place each time, and holds the report against what came out. */
let places = 0
async function salvaged(
  platform: TestPlatform,
  records: readonly string[],
): Promise<SalvageReport & { readonly path: string }> {
  const before = filesOf('/bad', platform)
  const path = `/saved-${++places}`
  const report = await salvage('file:/bad', `file:${path}`, {}, platform)
  expect(filesOf('/bad', platform)).toEqual(before)
  const out = await recordsAt(path, platform)
  expect(out.length).toBe(report.records)
  expect(records.slice(0, out.length)).toEqual(out)
  expect(await writingAt(`file:${path}`, quickPlatform(5, { disks: new Map([[path, platform.disk(path)]]) }))).toBe(
    'CHAIN_COPY',
  )
  if (report.lost) expect(report.lost.firstSeq).toBe(report.records)
  return { ...report, path }
}

describe('salvage', () => {
  it('of a log that is whole takes all, and says that nothing is lost', async () => {
    const { platform, id, count, records } = await setUp()
    const report = await salvaged(platform, records)
    expect(report).toMatchObject({
      chain: id,
      records: count,
      keys: 1,
      lost: undefined,
      refused: undefined,
      problems: [],
      beyond: [],
      badKeys: [],
    })
    expect((await notesAt(`file:${report.path}`, platform)).length).toBe(12)
  })

  it('of a frame in the middle takes what is before it, and names what is behind it by segment, offset and seqs', async () => {
    const { platform, count, disk, records } = await setUp()
    const { random, clock } = platform.environment
    const log = await openFileLog({ fs: disk, random, clock, readOnly: true })
    const victim = Math.floor(count / 2)
    const { segment, offset } = log.place(victim)!
    await log.close()
    disk.poke(segment, (bytes) => bytes.with(offset + 100, bytes[offset + 100]! ^ 1))
    const report = await salvaged(platform, records)
    expect(report.records).toBe(victim)
    expect(report.lost).toEqual({ firstSeq: victim, lastSeq: count - 1 })
    expect(report.problems).toEqual([
      { segment, offset: expect.any(Number), what: 'no whole frame', firstSeq: victim, lastSeq: victim },
    ])
    expect(report.beyond[0]?.firstSeq).toBe(victim + 1)
    expect(report.beyond.at(-1)?.lastSeq).toBe(count - 1)
    expect(report.refused).toBeUndefined()
  })

  it.each([
    ['MANIFEST is gone', (disk: SimFileSystem) => disk.drop('MANIFEST'), 'all'],
    ['both slots are bad', (disk: SimFileSystem) => disk.poke('MANIFEST', (bytes) => bytes.fill(3)), 'all'],
    [
      'a header is bad',
      (disk: SimFileSystem) => disk.poke('seg-000001.ate', (bytes) => bytes.fill(0, 0, 4096)),
      'some',
    ],
    ['a segment is gone', (disk: SimFileSystem) => disk.drop('seg-000001.ate'), 'some'],
    ['a segment is cut', (disk: SimFileSystem) => disk.poke('seg-000001.ate', (bytes) => bytes.slice(0, -300)), 'some'],
    [
      'a segment stands in the place of another',
      (disk: SimFileSystem) => disk.poke('seg-000001.ate', () => disk.peek('seg-000000.ate')),
      'some',
    ],
  ] as const)('of a log of which %s', async (_, damage, expected) => {
    const { platform, count, disk, records } = await setUp()
    damage(disk)
    expect(await writingAt('file:/bad', platform)).toBe('DAMAGED')
    const report = await salvaged(platform, records)
    expect(report.problems.length).toBeGreaterThan(0)
    if (expected === 'all') expect([report.records, report.lost]).toEqual([count, undefined])
    else {
      expect(report.records).toBeGreaterThan(0)
      expect(report.records).toBeLessThan(count)
      expect(report.lost).toEqual({ firstSeq: report.records, lastSeq: count - 1 })
      expect(report.beyond.at(-1)?.lastSeq).toBe(count - 1)
    }
  })

  it('knows of a last frame that is broken by its header alone', async () => {
    const { platform, count, disk, records } = await setUp()
    const last = disk
      .files()
      .filter((name) => name.startsWith('seg-'))
      .sort()
      .at(-1)!
    disk.drop('MANIFEST')
    disk.poke(last, (bytes) => bytes.with(bytes.length - 9, bytes.at(-9)! ^ 1))
    const report = await salvaged(platform, records)
    expect(report.records).toBeLessThan(count)
    expect(report.lost).toEqual({ firstSeq: report.records, lastSeq: count - 1 })
  })

  it('takes nothing of another log, whatever its name is', async () => {
    const { platform, disk, records } = await setUp()
    const other = quickPlatform(9)
    await makeChain(other, 'file:/chain', 12)
    await inSegments(other, '/bad')
    disk.drop('seg-000001.ate')
    other.disk('/bad').copyTo(disk, 'seg-000001.ate', 'seg-000001.ate')
    const report = await salvaged(platform, records)
    expect(report.refused).toBeUndefined()
    expect(report.problems[0]?.segment).toBe('seg-000001.ate')
    expect(report.problems[0]?.what).toContain('belongs to another log')
  })

  it('stops at a record that does not verify, whatever the checksums say', async () => {
    const { platform, count } = await setUp()
    const forge = (records: LogRecord[]): LogRecord[] => {
      const at = records.findLastIndex(({ bytes }) => bytes[80] === KIND.commit)
      const bytes = records[at]!.bytes.slice()
      bytes[COMMIT.sig + 9]! ^= 1
      const label = chainIdBytes(platform)
      const hash = hashRecord(crypto, label, bytes, KIND.commit, hashCommit(crypto, label, bytes, undefined))
      return records.map((record, i) => (i === at ? { ...record, bytes, hash } : record))
    }
    await inSegments(platform, '/forged', forge)
    const report = await salvage('file:/forged', 'file:/out', {}, platform)
    expect(report.refused?.code).toBe('BAD_SIGNATURE')
    expect(report.records).toBe(report.refused!.seq)
    expect(report.lost).toEqual({ firstSeq: report.records, lastSeq: count - 1 })
    expect(report.beyond.at(-1)?.lastSeq).toBe(count - 1)
  })

  it('names keys that are damaged, and takes the others', async () => {
    const { platform, disk, records } = await setUp(1)
    disk.poke('ring/000000.slots', (bytes) => bytes.with(50, bytes[50]! ^ 1))
    expect(await salvaged(platform, records)).toMatchObject({ keys: 0, badKeys: ['a5'.repeat(32)] })
  })

  it('goes on as a chain after recover', async () => {
    const { platform, disk, records } = await setUp()
    disk.drop('seg-000001.ate')
    const { path } = await salvaged(platform, records)
    const alone = quickPlatform(5, { disks: new Map([[path, platform.disk(path)]]) })
    await recover(`file:${path}`, { as: person('alice') }, alone)
    expect(await writingAt(`file:${path}`, alone)).toBe('written')
  })

  it('refuses what is no damaged log, and says when nothing can be trusted', async () => {
    const { platform, id, disk } = await setUp(1)
    expect(await codeOf(salvage('file:/none', 'file:/x', {}, platform))).toBe('CHAIN_NOT_FOUND')
    expect(await codeOf(salvage('memory:', 'file:/x', {}, platform))).toBe('BAD_URL')
    expect(await codeOf(salvage('file:/bad', 'file:/chain', {}, platform))).toBe('CHAIN_EXISTS')
    expect(await codeOf(salvage('file:/bad', 'file:/x', { id: '0'.repeat(52) }, platform))).toBe('WRONG_CHAIN')
    await salvage('file:/bad', 'file:/x', { id }, platform)
    disk.poke('seg-000000.ate', (bytes) => bytes.with(4096 + 200, bytes[4096 + 200]! ^ 1))
    expect((await errorOf(salvage('file:/bad', 'file:/y', {}, platform))).code).toBe('DAMAGED')
    expect(await readingAt('file:/y', platform)).toBe('CHAIN_NOT_FOUND')
    await makeChain(platform, 'file:/other', 1)
    platform.disk('/other').faults = {}
    await backup('file:/other', 'file:/backup', {}, platform)
    // A segment of newer software is no damage.
    platform.disk('/other').poke('seg-000000.ate', (bytes) => newerFormat(bytes))
    expect(await codeOf(salvage('file:/other', 'file:/z', {}, platform))).toBe('UNSUPPORTED_FORMAT')
  })

  it('of random damage never gives a record that was not written, and never hides one that is lost', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const { platform, count, disk, records } = await setUp(6)
    const names = disk.files().filter((name) => name.startsWith('seg-') || name === 'MANIFEST')
    const whole = new Map(names.map((name) => [name, disk.peek(name)]))
    for (let seed = 1; seed <= SEEDS; seed++) {
      const random = seededRandom(seed)
      for (let hits = 1 + random.below(3); hits > 0; hits--) {
        const name = names[random.below(names.length)]!
        disk.poke(name, (bytes) => {
          const at = random.below(bytes.length)
          const size = Math.min(bytes.length - at, 1 + random.below(600))
          return random.oneIn(4) ? bytes.slice(0, at) : bytes.fill(random.below(256), at, at + size)
        })
      }
      const report = await salvaged(platform, records).catch((error) => {
        if (error.code === 'DAMAGED' || error.code === 'UNSUPPORTED_FORMAT') return undefined
        throw new Error(`seed ${seed}: ${error.message}`, { cause: error })
      })
      // While anything in the folder still speaks of the newest records, their loss is said.
      const manifestIsWhole = Buffer.from(disk.peek('MANIFEST')).equals(Buffer.from(whole.get('MANIFEST')!))
      if (report && report.records < count && manifestIsWhole)
        expect([seed, report.lost]).toEqual([seed, { firstSeq: report.records, lastSeq: count - 1 }])
      for (const [name, bytes] of whole) disk.poke(name, () => bytes)
    }
  })
})

function chainIdBytes(platform: TestPlatform): Uint8Array {
  return platform.disk('/chain').peek('seg-000000.ate').slice(24, 56)
}
