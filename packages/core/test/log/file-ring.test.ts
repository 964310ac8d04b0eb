/** Keys with files of their own, between their steps: what counts, what is gone, and that nothing of a key is left by the way. */
import { describe, expect, it } from 'vitest'
import { codeOf } from '../../src/testing/log-suite.ts'
import { Trial } from './trial.ts'

const NAME = new Uint8Array(32).fill(1)
const BASE = `ring/${'01'.repeat(32)}`
// Too long for a slot.
const OLD = new Uint8Array(440).fill(0xaa)
const NEW = new Uint8Array(440).fill(0xbb)

/** A log whose ring holds `wrapped` under NAME. */
async function ringWith(wrapped: Uint8Array): Promise<Trial> {
  const trial = new Trial(1)
  await (await trial.open()).ring.put(NAME, wrapped)
  await trial.log!.close()
  return trial
}

describe('a put that was interrupted after it counted', () => {
  it('is what a reader sees, and is finished by the next writer', async () => {
    const trial = await ringWith(OLD)
    const other = await ringWith(NEW)
    other.fs.copyTo(trial.fs, `${BASE}.key`, `${BASE}.next`)
    const reader = await trial.open(true)
    expect(await reader.ring.get(NAME)).toEqual(NEW)
    const names: Uint8Array[] = []
    for await (const name of reader.ring.names()) names.push(name)
    expect(names).toEqual([NAME])
    await reader.close()
    const log = await trial.open()
    expect(await log.ring.get(NAME)).toEqual(NEW)
    expect(trial.fs.files().filter((file) => file.startsWith('ring/'))).toEqual([`${BASE}.key`])
    await log.close()
    const isLeft = trial.fs.durableBytes().some(([, bytes]) => Buffer.from(bytes).includes(Buffer.from(OLD)))
    expect(isLeft).toBe(false)
  })
})

describe('an erasure that was interrupted after it counted', () => {
  it('is gone for a reader, and is destroyed by the next writer', async () => {
    const trial = await ringWith(OLD)
    trial.fs.copyTo(trial.fs, `${BASE}.key`, `${BASE}.gone`)
    trial.fs.drop(`${BASE}.key`)
    const reader = await trial.open(true)
    expect(await reader.ring.get(NAME)).toBe(undefined)
    await reader.close()
    await (await trial.open()).close()
    expect(trial.fs.files().filter((file) => file.startsWith('ring/'))).toEqual([])
    expect(trial.fs.durableBytes().some(([, bytes]) => Buffer.from(bytes).includes(Buffer.from(OLD)))).toBe(false)
  })
})

describe('an erasure that failed after it counted', () => {
  it('is ended by the next try', async () => {
    const trial = await ringWith(OLD)
    const log = await trial.open()
    trial.fs.faults.failWrite = { at: trial.fs.counts.writes + 1, code: 'EIO', written: 0 }
    expect(await codeOf(() => log.ring.erase(NAME))).toBe('IO_ERROR')
    expect(await log.ring.get(NAME)).toBe(undefined)
    trial.fs.faults = {}
    await log.ring.erase(NAME)
    expect(trial.fs.files().filter((file) => file.startsWith('ring/'))).toEqual([])
    expect(trial.fs.durableBytes().some(([, bytes]) => Buffer.from(bytes).includes(Buffer.from(OLD)))).toBe(false)
    await log.close()
  })
})

describe('several that are put at once', () => {
  const names = [1, 2, 3].map((first) => new Uint8Array(32).fill(first))
  const entries = names.map((name, i) => ({ name, wrapped: new Uint8Array(432).fill(0xa0 + i) }))

  it('leave nothing of any if there is no space for one', async () => {
    const trial = await ringWith(OLD)
    const log = await trial.open()
    trial.fs.faults.spaceBytes = trial.fs.files().reduce((bytes, name) => bytes + trial.fs.peek(name).length, 980)
    expect(await codeOf(() => log.ring.putAll(entries))).toBe('DISK_FULL')
    expect(trial.fs.files().filter((file) => file.startsWith('ring/'))).toEqual([`${BASE}.key`])
    for (const { wrapped } of entries)
      expect(trial.fs.durableBytes().some(([, bytes]) => Buffer.from(bytes).includes(Buffer.from(wrapped)))).toBe(false)
    expect(await log.ring.get(NAME)).toEqual(OLD)
    trial.fs.faults = {}
    await log.ring.putAll(entries)
    for (const { name, wrapped } of entries) expect(await log.ring.get(name)).toEqual(wrapped)
    await log.close()
  })

  it('cost one sync each and one together, where nothing is replaced', async () => {
    const trial = new Trial(1)
    const log = await trial.open()
    await log.ring.put(new Uint8Array(32).fill(9), OLD)
    const before = trial.fs.counts.syncs
    await log.ring.putAll(entries)
    expect(trial.fs.counts.syncs - before).toBe(4)
    await log.ring.putAll([entries[0]!, { ...entries[0]!, wrapped: OLD }])
    expect(await log.ring.get(names[0]!)).toEqual(OLD)
    await log.close()
  })
})

describe('a put for which there is no space', () => {
  it('leaves nothing of the key, keeps the old one, and may be tried again', async () => {
    const trial = await ringWith(OLD)
    const log = await trial.open()
    trial.fs.faults.failWrite = { at: trial.fs.counts.writes + 1, code: 'ENOSPC', written: 55 }
    trial.fs.faults.spaceBytes = trial.fs.files().reduce((bytes, name) => bytes + trial.fs.peek(name).length, 55)
    expect(await codeOf(() => log.ring.put(NAME, NEW))).toBe('DISK_FULL')
    expect(trial.fs.files().filter((file) => file.startsWith('ring/'))).toEqual([`${BASE}.key`])
    expect(trial.fs.durableBytes().some(([, bytes]) => Buffer.from(bytes).includes(Buffer.from(NEW.subarray(8))))).toBe(
      false,
    )
    expect(await log.ring.get(NAME)).toEqual(OLD)
    trial.fs.faults = {}
    await log.ring.put(NAME, NEW)
    expect(await log.ring.get(NAME)).toEqual(NEW)
    await log.close()
  })
})

describe('a key that was changed on the disk', () => {
  it('is DAMAGED at every byte, and may be put again', async () => {
    const size = (await ringWith(OLD)).fs.peek(`${BASE}.key`).length
    for (let at = 0; at < size; at += at < 44 || at > 470 ? 1 : 37) {
      const trial = await ringWith(OLD)
      trial.fs.poke(`${BASE}.key`, (all) => {
        all[at]! ^= 4
        return all
      })
      const log = await trial.open()
      expect(await codeOf(() => log.ring.get(NAME))).toBe('DAMAGED')
      await log.ring.put(NAME, NEW)
      expect(await log.ring.get(NAME)).toEqual(NEW)
      await log.close()
    }
  })

  it('is DAMAGED under the name of another, and when it is cut short or goes on', async () => {
    const trial = await ringWith(OLD)
    trial.fs.copyTo(trial.fs, `${BASE}.key`, `ring/${'02'.repeat(32)}.key`)
    const log = await trial.open()
    expect(await codeOf(() => log.ring.get(new Uint8Array(32).fill(2)))).toBe('DAMAGED')
    for (const size of [0, 10, 483, 485]) {
      trial.fs.poke(`${BASE}.key`, (all) => Uint8Array.from({ length: size }, (_, i) => all[i] ?? 0))
      expect(await codeOf(() => log.ring.get(NAME))).toBe('DAMAGED')
    }
    await log.close()
  })
})

describe('a ring that a disk without a log holds', () => {
  it('is damage, not an empty folder', async () => {
    const trial = await ringWith(OLD)
    for (const name of trial.fs.files().filter((file) => !file.startsWith('ring/'))) trial.fs.drop(name)
    expect(await codeOf(() => trial.open())).toBe('DAMAGED')
  })
})
