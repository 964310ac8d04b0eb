/**
 * Segments that are missing, stand twice, changed places, are older, or come from elsewhere; sectors that do.
 *
 * @newest-node-only: a simulated disk is the same on every Node
 */
import { describe, expect, it } from 'vitest'
import type { SimFileSystem } from '../../src/testing/sim-file-system.ts'
import { closedLog, LABEL, outcome, readerOutcome, withChange } from './damage-kit.ts'
import { Trial } from './trial.ts'

const SECTOR_BYTES = 512
const NAMES = ['seg-000000.ate', 'seg-000001.ate', 'seg-000002.ate'] as const

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

  it('are refused in every order but their own', async () => {
    const orders = [
      [0, 2, 1],
      [1, 0, 2],
      [1, 2, 0],
      [2, 0, 1],
      [2, 1, 0],
    ]
    for (const order of orders) {
      const [trial, source] = [await closedLog(), await closedLog()]
      for (const [i, from] of order.entries()) source.fs.copyTo(trial.fs, NAMES[from]!, NAMES[i]!)
      expect((await outcome(trial, 0)).what).toBe('DAMAGED')
    }
  })

  it('are refused if one stands in the place of any other, or is missing', async () => {
    const names = (await closedLog()).fs.files().filter((name) => name.startsWith('seg-'))
    for (const place of names) {
      for (const from of [...names.filter((name) => name !== place), 'nothing']) {
        const [trial, source] = [await closedLog(), await closedLog()]
        if (from === 'nothing') trial.fs.drop(place)
        else source.fs.copyTo(trial.fs, from, place)
        expect((await outcome(trial, 0)).what).toBe('DAMAGED')
      }
    }
  })

  it('of an earlier time are refused, each', async () => {
    const earlier = new Map<string, Map<string, Uint8Array>>(NAMES.map((name) => [name, new Map()]))
    const trial = await closedLog(LABEL, (fs) => {
      for (const name of NAMES) {
        const bytes = fs.files().includes(name) ? fs.peek(name) : undefined
        if (bytes) earlier.get(name)!.set(Buffer.from(bytes).toString('hex'), bytes)
      }
    })
    let count = 0
    for (const [name, versions] of earlier) {
      const end = Buffer.from(withoutZeros(trial.fs.peek(name)))
      for (const bytes of versions.values()) {
        if (end.equals(withoutZeros(bytes))) continue
        count++
        const copy = await withChange(trial, name, () => bytes)
        expect((await outcome(copy, 0)).what).toBe('DAMAGED')
      }
    }
    expect(count).toBeGreaterThan(4)
  })

  it('of a log with the same label, written otherwise, are refused, each', async () => {
    const fork = new Trial(77)
    const log = await fork.open()
    log.setLabel(LABEL)
    for (const size of [200, 300, 400, 200, 100, 30, 0, 50]) await fork.append([size, 11])
    await fork.close()
    for (const name of NAMES) {
      const trial = await closedLog()
      fork.fs.copyTo(trial.fs, name, name)
      expect((await outcome(trial, 0)).what).toBe('DAMAGED')
    }
  })
})

function withoutZeros(bytes: Uint8Array): Uint8Array {
  let end = bytes.length
  while (end > 0 && bytes[end - 1] === 0) end--
  return bytes.subarray(0, end)
}

function withSector(bytes: Uint8Array, at: number, sector: Uint8Array): Uint8Array {
  const changed = bytes.slice()
  changed.set(sector.subarray(0, Math.min(sector.length, bytes.length - at)), at)
  return changed
}

function sectorsOf(bytes: Uint8Array): readonly (readonly [at: number, bytes: Uint8Array])[] {
  return Array.from({ length: Math.ceil(bytes.length / SECTOR_BYTES) }, (_, i) => [
    i * SECTOR_BYTES,
    bytes.slice(i * SECTOR_BYTES, (i + 1) * SECTOR_BYTES),
  ])
}

describe('a sector', () => {
  /** A closed log, and what each of its sectors held before. */
  async function withHistory(): Promise<{ readonly trial: Trial; readonly before: ReadonlyMap<string, Set<string>> }> {
    const before = new Map<string, Set<string>>()
    const note = (fs: SimFileSystem): void => {
      for (const name of fs.files()) {
        for (const [at, bytes] of sectorsOf(fs.peek(name))) {
          const place = `${name} ${at}`
          before.set(place, (before.get(place) ?? new Set()).add(Buffer.from(bytes).toString('hex')))
        }
      }
    }
    return { trial: await closedLog(LABEL, note), before }
  }

  it('that was zeroed, or never written since any earlier time, is DAMAGED or does not matter', async () => {
    const { trial, before } = await withHistory()
    const seen = { same: 0, DAMAGED: 0 }
    for (const name of trial.fs.files()) {
      const all = trial.fs.peek(name)
      for (const [at] of sectorsOf(all)) {
        const older = [...(before.get(`${name} ${at}`) ?? [])].map((hex) => new Uint8Array(Buffer.from(hex, 'hex')))
        for (const sector of [new Uint8Array(SECTOR_BYTES), ...older]) {
          seen[(await readerOutcome(trial, name, withSector(all, at, sector))) as keyof typeof seen]++
        }
      }
    }
    expect(Object.keys(seen)).toEqual(['same', 'DAMAGED'])
    expect(seen.DAMAGED).toBeGreaterThan(10)
  })

  it('that was written to the place of any other is DAMAGED or does not matter, also when its own is old', async () => {
    const { trial, before } = await withHistory()
    const seen = { same: 0, DAMAGED: 0 }
    const files = trial.fs.files().map((name) => [name, trial.fs.peek(name)] as const)
    for (const [from, source] of files) {
      for (const [at, sector] of sectorsOf(source)) {
        const stale = [...(before.get(`${from} ${at}`) ?? [])].at(-2)
        for (const [to, target] of files) {
          for (const [place, held] of sectorsOf(target)) {
            if (Buffer.compare(held, sector) === 0) continue
            const changed = withSector(target, place, sector)
            seen[(await readerOutcome(trial, to, changed)) as keyof typeof seen]++
            // With the newest slot of the manifest and the tail gone at once, nothing is left here that could tell.
            if (stale === undefined || from === 'MANIFEST' || to === 'MANIFEST') continue
            const old = new Uint8Array(Buffer.from(stale, 'hex'))
            trial.fs.poke(from, () => withSector(source, at, old))
            const both = from === to ? withSector(changed, at, old) : changed
            seen[(await readerOutcome(trial, to, both)) as keyof typeof seen]++
            trial.fs.poke(from, () => source.slice())
          }
        }
      }
    }
    expect(Object.keys(seen)).toEqual(['same', 'DAMAGED'])
    expect(seen.DAMAGED).toBeGreaterThan(300)
  })
})

describe('a file', () => {
  it('that was cut at any byte is DAMAGED, and a writer leaves it as it is', async () => {
    const trial = await closedLog()
    for (const name of NAMES) {
      const bytes = trial.fs.peek(name)
      for (let size = 0; size < bytes.length; size++) {
        trial.fs.poke(name, () => bytes.slice(0, size))
        const as = size % 16 === 0 ? (['reader', 'writer'] as const) : (['writer'] as const)
        const { what } = await outcome(trial, trial.submitted.length, as)
        if (what !== 'DAMAGED' || trial.fs.peek(name).length !== size) throw new Error(`${name} of ${size}: ${what}`)
      }
      trial.fs.poke(name, () => bytes)
    }
  })

  it('that was cut is no manifest without a whole slot', async () => {
    const trial = await closedLog()
    const bytes = trial.fs.peek('MANIFEST')
    for (let size = 0; size < bytes.length; size++) {
      const what = await readerOutcome(trial, 'MANIFEST', bytes.subarray(0, size))
      if (what !== (size < SECTOR_BYTES ? 'DAMAGED' : 'same')) throw new Error(`MANIFEST of ${size} bytes: ${what}`)
    }
  })

  it('may go on with garbage, zeros, or bytes that stood elsewhere in it', async () => {
    const trial = await closedLog()
    for (const name of trial.fs.files()) {
      const bytes = trial.fs.peek(name)
      const noise = trial.fs.random
      for (const extra of [1, 7, 8, 63, 64, 65, 511, 512, 513, 3000, 70_000]) {
        const garbage = new Uint8Array(extra)
        noise.fill(garbage)
        const repeated = Uint8Array.from({ length: extra }, (_, i) => bytes[bytes.length - 200 + (i % 200)]!)
        for (const more of [new Uint8Array(extra), garbage, repeated]) {
          const copy = await withChange(trial, name, (all) => new Uint8Array([...all, ...more]))
          expect((await outcome(copy, trial.submitted.length, ['reader', 'writer', 'reader'])).what).toBe('same')
        }
      }
    }
  })
})
