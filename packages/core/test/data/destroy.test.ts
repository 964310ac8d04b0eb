/** Destroying a chain: keys first, and never half a chain that looks like one, or like an empty place. */
import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { AteError } from '../../src/base/errors.ts'
import { backup, restore } from '../../src/data/backup.ts'
import { destroy } from '../../src/data/destroy.ts'
import { knownPlaces } from '../../src/data/known-places.ts'
import { push } from '../../src/data/push.ts'
import { memoryEngine, memoryStore } from '../../src/log/memory.ts'
import { type Identity, markKept, newIdentity } from '../../src/session/identity.ts'
import { seededRandom } from '../../src/testing/random.ts'
import type { TestPlatform } from '../../src/testing/test-platform.ts'
import { makeChain, NAME, notesAt, readingAt, recordsAt, WRAPPED, write, writingAt } from './copies.ts'
import { codeOf, coreOf, crypto, open, person, quickPlatform } from './kit.ts'

const AT = 'file:/chain'
const SECRET = toHex(WRAPPED)

function kept(seed = 11): Identity {
  return markKept(newIdentity({ crypto, random: seededRandom(seed) }))
}

/** What this machine keeps of any chain. */
async function memoryOf(platform: TestPlatform): Promise<readonly string[]> {
  const { state } = platform
  return [...(await state.list('heads/')), ...(await state.list('certificates/')), ...(await state.list('recoveries/'))]
}

function holdsSecret(platform: TestPlatform, path: string): boolean {
  return platform
    .disk(path)
    .durableBytes()
    .some(([, bytes]) => toHex(bytes).includes(SECRET))
}

describe('a chain that is destroyed', () => {
  it('leaves an empty folder, no bytes of a key, and nothing in this machine’s memory', async () => {
    const platform = quickPlatform()
    const alice = kept()
    const chain = await open(AT, { as: alice }, platform)
    await coreOf(chain).engine.ring.put(NAME, WRAPPED)
    await write(chain, 3)
    await chain.close()
    expect((await memoryOf(platform)).length).toBeGreaterThan(1)
    expect(holdsSecret(platform, '/chain')).toBe(true)
    const open2 = await open(AT, { as: alice }, platform)
    const waiting = write(open2, 1)
    await open2.destroy()
    await waiting
    expect(platform.disk('/chain').files()).toEqual([])
    expect(platform.disk('/chain').list('')).toEqual([])
    expect(holdsSecret(platform, '/chain')).toBe(false)
    expect(await memoryOf(platform)).toEqual([])
    expect(await knownPlaces(platform)).toEqual([])
    expect(await codeOf(open2.transact(() => 1))).toBe('CHAIN_CLOSED')
    expect(await codeOf(destroy(AT, {}, platform))).toBe('CHAIN_NOT_FOUND')
    // The place is free for another chain.
    const next = await open(AT, { as: alice }, platform)
    expect(next.id).not.toBe(chain.id)
    await next.close()
  })

  it('is the one that is meant, and nobody writes there', async () => {
    const platform = quickPlatform()
    const id = await makeChain(platform)
    const other = await makeChain(platform, 'file:/other', 1)
    expect(await codeOf(destroy(AT, { id: other }, platform))).toBe('WRONG_CHAIN')
    const writer = await open(AT, { as: person('alice') }, platform)
    expect(await codeOf(destroy(AT, { id }, platform))).toBe('CHAIN_LOCKED')
    const reader = await open(AT, { as: person('alice'), readOnly: true }, platform)
    expect(await codeOf(reader.destroy())).toBe('READ_ONLY')
    await reader.close()
    await writer.close()
    expect(await codeOf(destroy('memory:', {}, platform))).toBe('CHAIN_NOT_FOUND')
    expect((await notesAt(AT, platform)).length).toBe(5)
    expect(await destroy(AT, { id }, platform)).toEqual({ chain: id })
    expect(await readingAt(AT, platform)).toBe('CHAIN_NOT_FOUND')
    expect((await notesAt('file:/other', platform)).length).toBe(1)
  })

  it('may be damaged: its segments are not read', async () => {
    const platform = quickPlatform()
    const id = await makeChain(platform)
    const disk = platform.disk('/chain')
    disk.poke('seg-000000.ate', (bytes) => bytes.fill(7))
    expect(await writingAt(AT, platform)).toBe('DAMAGED')
    await destroy(AT, { id }, platform)
    expect(disk.files()).toEqual([])
    await makeChain(platform, 'file:/second', 1)
    platform.disk('/second').poke('MANIFEST', (bytes) => bytes.fill(7))
    // Nobody can say which chain that is.
    expect(await codeOf(destroy('file:/second', {}, platform))).toBe('DAMAGED')
    expect(platform.disk('/second').files().length).toBeGreaterThan(1)
  })

  it('takes with it what stands beside the log, and leaves what is not its own', async () => {
    const platform = quickPlatform()
    await makeChain(platform)
    const disk = platform.disk('/chain')
    disk.makeFolder('quarantine')
    for (const name of ['quarantine/a.torn', 'SNAPSHOT', 'seg-000000.ate.new', 'letter.txt'])
      disk.open(name, 'create').close()
    await destroy(AT, {}, platform)
    expect(disk.files()).toEqual(['letter.txt'])
    expect(await codeOf(open(AT, { as: person('alice') }, platform))).toBe('NOT_A_CHAIN')
  })

  it('that goes on elsewhere is not forgotten there: copies, backups, and what was moved', async () => {
    const platform = quickPlatform()
    const alice = kept()
    const chain = await open(AT, { as: alice }, platform)
    await write(chain, 2)
    await chain.close()
    await backup(AT, 'file:/backup', {}, platform)
    await restore('file:/backup', 'file:/restored', {}, platform)
    const before = await memoryOf(platform)
    expect(before.length).toBe(2)
    await destroy('file:/backup', {}, platform)
    await destroy('file:/restored', {}, platform)
    expect(await memoryOf(platform)).toEqual(before)
    await push(AT, 'file:/target', {}, platform)
    await destroy(AT, {}, platform)
    expect(await memoryOf(platform)).toEqual(before)
    expect((await knownPlaces(platform)).map(({ place }) => place)).toEqual(['file:/target'])
    const there = await open('file:/target', { as: alice }, platform)
    await there.destroy()
    expect(await memoryOf(platform)).toEqual([])
  })

  it('is not forgotten with its backup, where only its head is known', async () => {
    const platform = quickPlatform()
    await makeChain(platform)
    const before = await memoryOf(platform)
    expect(before.length).toBe(1)
    await backup(AT, 'file:/backup', {}, platform)
    await destroy('file:/backup', {}, platform)
    expect(await memoryOf(platform)).toEqual(before)
    await destroy(AT, {}, platform)
    expect(await memoryOf(platform)).toEqual([])
  })

  it('in an engine is gone from its store', async () => {
    const platform = quickPlatform()
    const store = memoryStore()
    const chain = await open(memoryEngine(store), { as: person('alice') }, platform)
    await coreOf(chain).engine.ring.put(NAME, WRAPPED)
    const [key] = store.keys.values()
    await write(chain, 1)
    await chain.close()
    expect(await codeOf(destroy(memoryEngine(store, { readOnly: true }), {}, platform))).toBe('READ_ONLY')
    expect(await codeOf(destroy(memoryEngine(store), { id: '0'.repeat(52) }, platform))).toBe('WRONG_CHAIN')
    store.written = false
    await destroy(memoryEngine(store), { id: chain.id }, platform)
    expect([store.records.size, store.keys.size, store.label]).toEqual([0, 0, undefined])
    expect(key!.wrapped.every((byte) => byte === 0)).toBe(true)
  })
})

describe('a power cut', () => {
  it('after any operation leaves the chain whole, or one that is being destroyed; doing it again ends it', async () => {
    const seen = new Set<string>()
    const alice = kept()
    // What a cut leaves is drawn: each operation is tried with several seeds.
    for (let round = 0; ; round++) {
      const at = 1 + Math.floor(round / 6)
      const platform = quickPlatform(round)
      const chain = await open(AT, { as: alice }, platform)
      await coreOf(chain).engine.ring.put(NAME, WRAPPED)
      await write(chain, 2)
      await chain.close()
      const records = await recordsAt('/chain', platform)
      const disk = platform.disk('/chain')
      disk.faults = { cutAfter: disk.counts.operations + at }
      const done = await codeOf(destroy(AT, {}, platform).catch(() => Promise.reject(new AteError('IO_ERROR'))))
      // The last operation is behind everything.
      if (!disk.isCut || done === 'nothing was thrown') {
        expect(at).toBeGreaterThan(8)
        break
      }
      disk.crash()
      const state = await codeOf(open(AT, { as: alice, readOnly: true }, platform).then((reader) => reader.close()))
      seen.add(state)
      if (state === 'nothing was thrown') expect(await recordsAt('/chain', platform)).toEqual(records)
      else {
        expect([at, state, ['CHAIN_DESTROYED', 'CHAIN_GONE'].includes(state)]).toEqual([at, state, true])
        // Never a new chain, not even for whoever asks for one.
        if (state === 'CHAIN_DESTROYED')
          expect(await codeOf(open(AT, { as: alice, create: true }, platform))).toBe(state)
      }
      await destroy(AT, {}, platform)
      expect(disk.files()).toEqual([])
      expect(holdsSecret(platform, '/chain')).toBe(false)
      expect(await memoryOf(platform)).toEqual([])
      expect(await knownPlaces(platform)).toEqual([])
    }
    expect([...seen].sort()).toEqual(['CHAIN_DESTROYED', 'CHAIN_GONE', 'nothing was thrown'])
  }, 120_000)
})
