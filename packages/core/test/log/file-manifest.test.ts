/**
 * The manifest: bad slots, slots of other times, an older one restored, a newer format.
 *
 * @newest-node-only: a simulated disk is the same on every Node
 */
import { describe, expect, it } from 'vitest'
import { crc32 } from '../../src/log/crc32.ts'
import { MERGED_FORMAT, putU32 } from '../../src/log/file-frame.ts'
import { MANIFEST, type Manifest, ManifestLook, readManifest, SLOT_BYTES } from '../../src/log/file-manifest.ts'
import { codeOf } from '../../src/testing/log-suite.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { closedLog, outcome, readerOutcome, withChange } from './damage-kit.ts'
import { Trial } from './trial.ts'

/** Every state of MANIFEST in the life of a log of three segments that was closed and opened twice. */
async function manifests(): Promise<{ readonly trial: Trial; readonly seen: readonly Uint8Array[] }> {
  const seen: Uint8Array[] = []
  const trial = await closedLog(undefined, (fs) => seen.push(fs.peek(MANIFEST)))
  for (let i = 0; i < 2; i++) {
    seen.push(trial.fs.peek(MANIFEST))
    await trial.open()
    seen.push(trial.fs.peek(MANIFEST))
    await trial.append([40])
    await trial.close()
  }
  const texts = new Set<string>()
  const isNew = (bytes: Uint8Array): boolean => texts.size < texts.add(Buffer.from(bytes).toString('hex')).size
  return { trial, seen: [...seen, trial.fs.peek(MANIFEST)].filter(isNew) }
}

describe('a slot', () => {
  it('may be bad at any byte: the other one serves a reader, and a writer mends it', async () => {
    const trial = await closedLog()
    const random = seededRandom(8)
    const bytes = trial.fs.peek(MANIFEST)
    for (let at = 0; at < bytes.length; at++) {
      const changed = bytes.slice()
      changed[at]! ^= 1 + random.below(255)
      expect(`${at}: ${await readerOutcome(trial, MANIFEST, changed)}`).toBe(`${at}: same`)
      // What stands behind the CRC of a slot is not read.
      if (at % SLOT_BYTES >= 516 || at % 5 !== 0) continue
      const copy = await withChange(trial, MANIFEST, () => changed)
      expect((await outcome(copy, trial.submitted.length, ['writer', 'writer', 'reader'])).what).toBe('same')
      const reader = await copy.open(true)
      expect(await reader.scrub()).toEqual([])
      await reader.close()
    }
  })

  it('of any earlier time beside any other never gives other data', async () => {
    const { trial, seen } = await manifests()
    const { length } = trial.submitted
    expect(seen.length).toBeGreaterThan(6)
    const count = { same: 0, DAMAGED: 0 }
    for (const a of seen) {
      for (const b of seen) {
        const mixed = new Uint8Array([...a.subarray(0, SLOT_BYTES), ...b.subarray(SLOT_BYTES)])
        const copy = await withChange(trial, MANIFEST, () => mixed)
        const { what } = await outcome(copy, length, ['reader', 'writer', 'reader'])
        count[what as keyof typeof count]++
      }
    }
    // Nothing that a manifest says is needed to find the records: an older one only knows less.
    expect(count).toEqual({ same: seen.length ** 2, DAMAGED: 0 })
  })
})

describe('the manifest', () => {
  it('names itself when both slots are bad, at any byte', async () => {
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

  it('may be one of any earlier time: then it is written on, and the next power cut loses nothing', async () => {
    const { trial, seen } = await manifests()
    for (const old of seen) {
      const copy = await withChange(trial, MANIFEST, () => old)
      copy.submitted = [...trial.submitted]
      copy.ends = new Set(trial.ends)
      copy.inCache = trial.submitted.length
      await copy.check('close')
      await copy.append([30])
      await copy.powerCutAndCheck()
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
      all[4] = MERGED_FORMAT + 1
      putU32(all, 508, crc32(all.subarray(0, 508)))
      return all
    })
    expect((await outcome(segment, 0)).what).toBe('UNSUPPORTED_FORMAT')
  })
})

it('looked at before each write, it is what it is whatever it was, one bit of one slot included', async () => {
  const { trial, seen } = await manifests()
  const file = trial.fs.open(MANIFEST, 'read')
  const look = new ManifestLook(file, crc32)
  const told = async (read: () => Manifest): Promise<unknown> => {
    const code = await codeOf(read)
    return code === 'nothing' ? read() : code
  }
  const random = seededRandom(9)
  const states = [...seen, ...seen.toReversed()].flatMap((bytes) => {
    const changed = bytes.slice()
    for (const slot of [0, SLOT_BYTES]) changed[slot + random.below(508)]! ^= 1
    const one = bytes.slice()
    one[random.below(508)]! ^= 1
    return [bytes, one, bytes, changed, bytes, bytes.subarray(0, SLOT_BYTES + 100), bytes]
  })
  for (const bytes of states) {
    trial.fs.poke(MANIFEST, () => bytes)
    const expected = await told(() => readManifest(file, crc32))
    for (let again = 0; again < 3; again++) expect(await told(() => look.read())).toEqual(expected)
  }
  file.close()
})
