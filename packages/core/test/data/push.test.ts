/** Moving a chain between places: one writer at every moment, wherever it is interrupted. */
import { describe, expect, it } from 'vitest'
import type { ChainId } from '../../src/base/ids.ts'
import { backup, restore } from '../../src/data/backup.ts'
import { knownPlaces } from '../../src/data/known-places.ts'
import { push } from '../../src/data/push.ts'
import { memoryEngine, memoryStore } from '../../src/log/memory.ts'
import { markKept, newIdentity } from '../../src/session/identity.ts'
import { addKnownChain, forgetKnownChain } from '../../src/session/known-chains.ts'
import { seededRandom } from '../../src/testing/random.ts'
import type { TestPlatform } from '../../src/testing/test-platform.ts'
import { filesOf, makeChain, NAME, notesAt, readingAt, recordsAt, WRAPPED, write, writingAt } from './copies.ts'
import { assertSameAsLog, codeOf, coreOf, crypto, errorOf, open, person, quickPlatform } from './kit.ts'

const FROM = 'file:/chain'
const TO = 'file:/target'

describe('a push', () => {
  it('moves records and keys; the source is read-only from then on and says where to; the target goes on', async () => {
    const platform = quickPlatform()
    const id = await makeChain(platform)
    const records = await recordsAt('/chain', platform)
    const progress: number[] = []
    const receipt = await push(FROM, TO, { onProgress: (done) => progress.push(done) }, platform)
    expect(receipt).toMatchObject({ chain: id, records: records.length, keys: 1 })
    expect(progress.at(-1)).toBe(records.length)
    expect(await recordsAt('/target', platform)).toEqual(records)
    // What is destroyed over there is not left here.
    expect([keysAt('/target', platform), keysAt('/chain', platform)]).toEqual([1, 0])
    const error = await errorOf(open(FROM, { as: person('alice') }, platform))
    expect([error.code, error.facts['to']]).toEqual(['CHAIN_MOVED', 'file:/target'])
    expect(await readingAt(FROM, platform)).toBe('read')
    // Older software knows neither the manifest of a chain that was moved nor that of one with slots.
    expect([platform.disk('/chain').peek('MANIFEST')[4], platform.disk('/chain').peek('MANIFEST')[4096 + 4]]).toEqual([
      3, 3,
    ])
    expect([platform.disk('/target').peek('MANIFEST')[4], platform.disk('/target').peek('MANIFEST')[4096 + 4]]).toEqual(
      [3, 3],
    )
    const chain = await open(TO, { as: person('alice') }, platform)
    await write(chain, 2)
    await assertSameAsLog(chain)
    expect(await coreOf(chain).engine.ring.get(NAME)).toEqual(WRAPPED)
    expect(await chain.verify()).toMatchObject({ ok: true, voids: 0 })
    await chain.close()
  })

  it('goes on under the kept certificate, and the machine knows the new place', async () => {
    const platform = quickPlatform()
    const root = await open(FROM, { as: person('alice') }, platform)
    const carol = markKept(newIdentity({ crypto, random: seededRandom(4242) }))
    await root.transact((tx) => tx.role('crew').add(carol.publicId))
    await root.close()
    await (await open(FROM, { as: carol, id: root.id }, platform)).close()
    await push(FROM, TO, {}, platform)
    expect((await knownPlaces(platform)).map(({ place, state }) => [place, state])).toEqual([
      [FROM, 'CHAIN_MOVED'],
      [TO, 'there'],
    ])
    await (await open(TO, { as: carol }, platform)).close()
  })

  it('goes between engines, from memory to a folder and back', async () => {
    const platform = quickPlatform()
    const store = memoryStore()
    const chain = await open(memoryEngine(store), { as: person('alice') }, platform)
    await write(chain, 3)
    await chain.close()
    await push(memoryEngine(store), TO, {}, platform)
    expect(store.standing.state).toBe('moved')
    store.written = false
    expect(await codeOf(open(memoryEngine(store), { as: person('alice') }, platform))).toBe('CHAIN_MOVED')
    expect((await notesAt(TO, platform)).length).toBe(3)
    expect(await writingAt(TO, platform)).toBe('written')
    const back = memoryEngine()
    await push(TO, back, {}, platform)
    const again = await open(back, { as: person('alice') }, platform)
    await write(again, 1)
    await again.close()
    expect(await writingAt(TO, platform)).toBe('CHAIN_MOVED')
  })

  it('needs the lock of the source, two places, and an empty target', async () => {
    const platform = quickPlatform()
    const id = await makeChain(platform)
    const other = await makeChain(platform, 'file:/other', 1)
    const writer = await open(FROM, { as: person('alice') }, platform)
    expect(await codeOf(push(FROM, TO, {}, platform))).toBe('CHAIN_LOCKED')
    await writer.close()
    expect(await codeOf(push(FROM, FROM, {}, platform))).toBe('BAD_ARGUMENT')
    expect(await codeOf(push(FROM, 'file:/other', {}, platform))).toBe('CHAIN_EXISTS')
    expect(await codeOf(push(FROM, TO, { id: other }, platform))).toBe('WRONG_CHAIN')
    await addKnownChain(platform.state, TO, other as ChainId)
    expect(await codeOf(push(FROM, TO, {}, platform))).toBe('WRONG_CHAIN')
    await forgetKnownChain(platform.state, TO)
    expect(await codeOf(push('file:/none', TO, {}, platform))).toBe('CHAIN_NOT_FOUND')
    expect(
      await codeOf(push(FROM, TO, { signal: AbortSignal.abort(new Error('no')) }, platform).catch(() => undefined)),
    ).toBe('nothing was thrown')
    expect(await writingAt(FROM, platform)).toBe('written')
    await backup(FROM, 'file:/backup', { id }, platform)
    await restore('file:/backup', 'file:/restored', {}, platform)
    // A copy cannot move: the original may be alive.
    expect(await codeOf(push('file:/restored', TO, {}, platform))).toBe('CHAIN_COPY')
    // But the original may go on in a copy of itself: what it lacks is added.
    const chain = await open(FROM, { as: person('alice') }, platform)
    await write(chain, 2)
    await chain.close()
    const records = await recordsAt('/chain', platform)
    await push(FROM, 'file:/restored', {}, platform)
    expect(await recordsAt('/restored', platform)).toEqual(records)
    expect(await writingAt('file:/restored', platform)).toBe('written')
  })

  it('that is done is not done to a second target', async () => {
    const platform = quickPlatform()
    await makeChain(platform)
    await backup(FROM, 'file:/backup', {}, platform)
    await restore('file:/backup', 'file:/copy', {}, platform)
    await push(FROM, TO, {}, platform)
    for (const place of ['file:/copy', 'file:/new']) {
      expect(await codeOf(push(FROM, place, {}, platform))).toBe('CHAIN_MOVED')
    }
    expect(await writingAt('file:/copy', platform)).toBe('CHAIN_COPY')
    // Once more to the same one: nothing is to be done, or the chain has gone on there.
    await push(FROM, TO, {}, platform)
    expect(await writingAt(TO, platform)).toBe('written')
    expect(await codeOf(push(FROM, TO, {}, platform))).toBe('CHAIN_MOVED')
  })

  it('does not go on in another history of the same chain', async () => {
    const platform = quickPlatform()
    await makeChain(platform, FROM, 1)
    await backup(FROM, 'file:/backup', {}, platform)
    await restore('file:/backup', 'file:/copy', {}, platform)
    const chain = await open(FROM, { as: person('alice') }, platform)
    await write(chain, 2)
    await chain.close()
    await backup(FROM, 'file:/longer', {}, platform)
    await restore('file:/longer', 'file:/ahead', {}, platform)
    const before = filesOf('/ahead', platform)
    // The chain as it was before, gone on with by a machine that remembers nothing.
    const older = quickPlatform(5)
    // As it was before, and no more: its copy is ahead of it.
    const behind = memoryStore()
    await restore('file:/backup', memoryEngine(behind), {}, platform)
    behind.standing = { state: 'live', note: '' }
    behind.written = false
    expect(await codeOf(push(memoryEngine(behind), 'file:/ahead', {}, platform))).toBe('CHAIN_EXISTS')
    expect(behind.standing.state).toBe('live')
    const store = memoryStore()
    await restore('file:/backup', memoryEngine(store), {}, platform)
    store.standing = { state: 'live', note: '' }
    store.written = false
    const source = memoryEngine(store)
    const other = await open(source, { as: person('alice') }, older)
    await write(other, 4)
    await other.close()
    expect(await codeOf(push(memoryEngine(store), 'file:/ahead', {}, platform))).toBe('CHAIN_EXISTS')
    expect(store.standing.state).toBe('live')
    expect([...filesOf('/ahead', platform)].filter(([name]) => name.startsWith('seg'))).toEqual(
      [...before].filter(([name]) => name.startsWith('seg')),
    )
  })
})

describe('a power cut', () => {
  it('after any operation on either disk leaves one writer at most, and a push again finishes it', async () => {
    const run = async (cutDisk: string): Promise<number> => {
      for (let at = 1; ; at++) {
        const platform = quickPlatform(at)
        await makeChain(platform, FROM, 2)
        const records = await recordsAt('/chain', platform)
        const disk = platform.disk(cutDisk)
        disk.faults = { cutAfter: disk.counts.operations + at }
        await codeOf(push(FROM, TO, {}, platform)).catch(() => undefined)
        if (!disk.isCut) return at
        // The machine with both disks went down.
        platform.disk('/chain').crash()
        platform.disk('/target').crash()
        await judge(platform, records, at)
      }
    }
    expect(await run('/target')).toBeGreaterThan(15)
    expect(await run('/chain')).toBeGreaterThan(4)
  }, 240_000)
})

/** One writer at most before the push is repeated; the target is it afterwards. */
async function judge(platform: TestPlatform, records: readonly string[], at: number): Promise<void> {
  const source = await standing(FROM, platform)
  const target = await standing(TO, platform)
  expect([at, source, target, source === 'live' && target === 'live']).toEqual([at, source, target, false])
  expect(['live', 'CHAIN_MOVED']).toContain(source)
  // Where the source is no writer any more, the target is whole.
  if (source === 'CHAIN_MOVED') expect(await recordsAt('/target', platform)).toEqual(records)
  await push(FROM, TO, {}, platform)
  expect([at, await standing(FROM, platform), await standing(TO, platform)]).toEqual([at, 'CHAIN_MOVED', 'live'])
  expect((await recordsAt('/target', platform)).slice(0, records.length)).toEqual(records)
  expect([at, keysAt('/target', platform), keysAt('/chain', platform)]).toEqual([at, 1, 0])
}

/** Entries of the key ring, whole or not: slots that are not free. */
function keysAt(path: string, platform: TestPlatform): number {
  const rings = [...filesOf(path, platform).keys()].filter((name) => name.startsWith('ring/'))
  const slots = rings.flatMap((name) => {
    const bytes = platform.disk(path).peek(name)
    return Array.from({ length: bytes.length / 512 }, (_, i) => bytes.subarray(i * 512, (i + 1) * 512))
  })
  return slots.filter((slot) => slot.some((byte) => byte !== 0)).length
}

/** Whether it opens for writing, without writing. */
async function standing(at: string, platform: TestPlatform): Promise<string> {
  const code = await codeOf(async () => (await open(at, { as: person('alice'), create: false }, platform)).close())
  return code === 'nothing was thrown' ? 'live' : code
}
