/** Recovery after a loss: who may, what it ends, who takes it, and that it opens no door to a rollback. */
import { describe, expect, it } from 'vitest'
import { backup, restore } from '../../src/data/backup.ts'
import type { Chain } from '../../src/data/chain.ts'
import { recover } from '../../src/data/recover.ts'
import { verifyPlace } from '../../src/data/verify-place.ts'
import { KIND } from '../../src/event/format.ts'
import { memoryEngine, memoryStore } from '../../src/log/memory.ts'
import { type Identity, markKept, newIdentity } from '../../src/session/identity.ts'
import { memoryState } from '../../src/session/memory-state.ts'
import { seededRandom } from '../../src/testing/random.ts'
import type { SimFileSystem } from '../../src/testing/sim-file-system.ts'
import { type TestPlatform, testPlatform } from '../../src/testing/test-platform.ts'
import { makeChain, notesAt, readingAt, recordsAt, write, writingAt } from './copies.ts'
import { assertSameAsLog, codeOf, crypto, errorOf, memoryChain, open, person, quickPlatform } from './kit.ts'

const RESTORED = 'file:/restored'

/**
 * A chain of which 2 notes are in a backup and 3 more were written after it; the backup is restored. `disks` are shared by
 * all machines; each has its own memory.
 */
async function lossOf(as: Identity = person('alice')): Promise<{
  readonly id: string
  readonly here: TestPlatform
  readonly machine: (seed: number) => TestPlatform
  readonly kept: number
  readonly lost: number
}> {
  const disks = new Map<string, SimFileSystem>()
  const machine = (seed: number): TestPlatform => testPlatform(seed, { crypto, disks, state: memoryState() })
  const here = machine(1)
  const first = await open('file:/chain', { as }, here)
  await write(first, 2)
  await first.close()
  const { head } = await backup('file:/chain', 'file:/backup', { id: first.id }, here)
  const chain = await open('file:/chain', { as }, here)
  await write(chain, 3)
  await chain.close()
  await restore('file:/backup', RESTORED, {}, here)
  return { id: chain.id, here, machine, kept: head.seq, lost: chain.head.seq }
}

async function reopen(at: string, platform: TestPlatform, as = person('alice')): Promise<Chain> {
  return open(at, { as, create: false }, platform)
}

describe('a restored chain', () => {
  it('is written again after recover, which names what this machine knows to be lost', async () => {
    const { id, here, kept, lost } = await lossOf()
    expect(await readingAt(RESTORED, here)).toBe('ROLLBACK')
    const receipt = await recover(RESTORED, { as: person('alice') }, here)
    expect(receipt).toMatchObject({ chain: id, seq: kept + 1, from: kept + 1 })
    expect(receipt.lost.map(({ seq }) => seq)).toEqual([lost])
    const chain = await reopen(RESTORED, here)
    await write(chain, 1)
    await assertSameAsLog(chain)
    expect(await chain.verify()).toMatchObject({ ok: true, voids: 0, recoveries: 1 })
    const kinds: string[] = []
    for await (const record of chain.records()) kinds.push(record.kind)
    expect(kinds.filter((kind) => kind === 'recover').length).toBe(1)
    await chain.close()
    expect(await verifyPlace(RESTORED, { id }, here)).toMatchObject({ ok: true, recoveries: 1 })
    // The manifest is of format 1 again, in both slots.
    const manifest = here.disk('/restored').peek('MANIFEST')
    expect([manifest[4], manifest[4096 + 4]]).toEqual([1, 1])
  })

  it('ends every certificate of before, so that no number is given twice', async () => {
    const alice = markKept(newIdentity({ crypto, random: seededRandom(321) }))
    const { id, here } = await lossOf(alice)
    const kept = await here.state.list('certificates/')
    expect(kept.length).toBe(1)
    await recover(RESTORED, { as: alice, id }, here)
    const chain = await open(RESTORED, { as: alice, id }, here)
    expect(chain.writers().map(({ ended }) => ended)).toEqual([true])
    await write(chain, 1)
    expect(chain.writers().map(({ ended, commits }) => [ended, commits])).toEqual([
      [true, 2],
      [false, 1],
    ])
    await assertSameAsLog(chain)
    await chain.close()
  })

  it('is taken by machines that saw the lost branch, once, and by those that did not', async () => {
    const { id, here, machine } = await lossOf()
    const saw = machine(2)
    await (await open('file:/chain', { as: person('alice'), readOnly: true }, saw)).close()
    expect(await verifyPlace(RESTORED, { id }, saw)).toMatchObject({ ok: false, problems: [{ code: 'ROLLBACK' }] })
    expect(await readingAt(RESTORED, saw)).toBe('ROLLBACK')
    await recover(RESTORED, { as: person('alice') }, here)
    expect(await verifyPlace(RESTORED, { id }, saw)).toMatchObject({ ok: true })
    expect(await readingAt(RESTORED, saw)).toBe('read')
    const chain = await reopen(RESTORED, saw)
    await write(chain, 6)
    await chain.close()
    for (const platform of [here, saw, machine(3)]) expect(await readingAt(RESTORED, platform)).toBe('read')
    // The lost branch is the alarm now: it is not what was recovered.
    expect(['ROLLBACK', 'FORK']).toContain(await readingAt('file:/chain', saw))
  })

  it('cannot be cut back to its recovery again: a recovery ends a memory once', async () => {
    const { here, machine } = await lossOf()
    await recover(RESTORED, { as: person('alice') }, here)
    const disk = here.disk('/restored')
    const early = new Map(disk.files().map((name) => [name, disk.peek(name)]))
    const late = machine(4)
    for (const platform of [here, late]) {
      const chain = await reopen(RESTORED, platform)
      await write(chain, 8)
      await chain.close()
    }
    // Who stores the chain puts back what stood there right after the recovery.
    for (const [name, bytes] of early) disk.poke(name, () => bytes)
    expect(await readingAt(RESTORED, here)).toBe('ROLLBACK')
    // Also on a machine that never saw the lost branch.
    expect(await readingAt(RESTORED, late)).toBe('ROLLBACK')
  })

  it('is not recovered by others, nor when the rules do not know it, nor in a backup', async () => {
    const { id, here } = await lossOf()
    const bob = person('bob')
    expect(await codeOf(recover(RESTORED, { as: bob }, here))).toBe('NOT_PINNED')
    expect(await codeOf(recover(RESTORED, { as: bob, id }, here))).toBe('NOT_AUTHORIZED')
    expect(await codeOf(recover('file:/backup', { as: person('alice') }, here))).toBe('CHAIN_COPY')
    expect(await codeOf(recover('file:/none', { as: person('alice') }, here))).toBe('CHAIN_NOT_FOUND')
    expect(await codeOf(recover(RESTORED, { as: person('alice'), from: 0 }, here))).toBe('BAD_ARGUMENT')
    expect(await codeOf(recover(RESTORED, { as: person('alice'), from: 99 }, here))).toBe('BAD_ARGUMENT')
    expect(
      await codeOf(recover(RESTORED, { as: person('alice'), lost: [{ seq: 1, hash: new Uint8Array(32) }] }, here)),
    ).toBe('BAD_ARGUMENT')
    // After all of these the alarm stands as it did, and so does the copy.
    expect(await readingAt(RESTORED, here)).toBe('ROLLBACK')
    expect(await writingAt(RESTORED, here)).toBe('CHAIN_COPY')
  })

  it('that was interrupted at any operation is a copy still, or the chain; recover again ends it', async () => {
    for (let at = 1; ; at++) {
      const { here, kept } = await lossOf()
      const disk = here.disk('/restored')
      const before = await recordsAt('/restored', here)
      disk.faults = { cutAfter: disk.counts.operations + at }
      await recover(RESTORED, { as: person('alice') }, here).catch(() => undefined)
      if (!disk.isCut) {
        expect(at).toBeGreaterThan(6)
        break
      }
      disk.crash()
      expect((await recordsAt('/restored', here)).slice(0, before.length)).toEqual(before)
      const again = await recover(RESTORED, { as: person('alice') }, here)
      expect(again.from).toBeGreaterThan(kept)
      expect(await writingAt(RESTORED, here)).toBe('written')
    }
  }, 120_000)
})

describe('a chain that lost its newest records in place', () => {
  it('is recovered where it stands: from the end, or from where this machine saw another record', async () => {
    const { here } = await lossOf()
    const disk = here.disk('/chain')
    const platform = quickPlatform(6, { disks: new Map([['/chain', disk]]) })
    await makeChain(platform, 'file:/own', 4)
    const own = platform.disk('/own')
    const files = new Map(own.files().map((name) => [name, own.peek(name)]))
    const chain = await reopen('file:/own', platform)
    await write(chain, 3)
    await chain.close()
    const remembered = chain.head.seq
    for (const [name, bytes] of files) own.poke(name, () => bytes)
    expect(await writingAt('file:/own', platform)).toBe('ROLLBACK')
    // Somebody on a machine that remembers nothing wrote on.
    const other = quickPlatform(7, { disks: new Map([['/own', own]]) })
    const ahead = await reopen('file:/own', other)
    await write(ahead, 9)
    await ahead.close()
    expect(await writingAt('file:/own', platform)).toBe('FORK')
    const error = await errorOf(recover('file:/own', { as: person('alice') }, platform))
    expect([error.code, error.facts['seq']]).toEqual(['FORK', remembered])
    expect(await writingAt('file:/own', platform)).toBe('FORK')
    const receipt = await recover('file:/own', { as: person('alice'), from: remembered }, platform)
    expect(receipt.from).toBe(remembered)
    expect(await writingAt('file:/own', platform)).toBe('written')
    expect((await notesAt('file:/own', platform)).length).toBe(13)
  })

  it('cannot be cut back to a recovery that was written through the open chain', async () => {
    const platform = quickPlatform()
    await makeChain(platform, 'file:/own', 2)
    const disk = platform.disk('/own')
    const chain = await reopen('file:/own', platform)
    await chain.recover()
    const early = new Map(disk.files().map((name) => [name, disk.peek(name)]))
    await write(chain, 3)
    await chain.close()
    for (const [name, bytes] of early) disk.poke(name, () => bytes)
    expect(await readingAt('file:/own', platform)).toBe('ROLLBACK')
  })

  it('recovers through an open chain too, where the copy was accepted', async () => {
    await using kit = await memoryChain()
    await write(kit.chain, 2)
    const hash = new Uint8Array(32).fill(9)
    const { seq } = kit.chain.head
    const receipt = await kit.chain.recover({ lost: [{ seq: seq + 5, hash }] })
    expect(receipt.lost).toEqual([{ seq: seq + 5, hash }])
    expect(kit.store.records.at(receipt.seq)!.bytes[80]).toBe(KIND.recover)
    await write(kit.chain, 1)
    expect(await kit.chain.verify()).toMatchObject({ ok: true, recoveries: 1 })
  })
})

describe('an older copy that is accepted', () => {
  it('is not gone on with under a certificate that saw more', async () => {
    const alice = markKept(newIdentity({ crypto, random: seededRandom(99) }))
    const platform = quickPlatform()
    const first = await open('file:/c', { as: alice }, platform)
    await write(first, 2)
    await first.close()
    const disk = platform.disk('/c')
    const files = new Map(disk.files().map((name) => [name, disk.peek(name)]))
    const second = await open('file:/c', { as: alice }, platform)
    await write(second, 2)
    await second.close()
    for (const [name, bytes] of files) disk.poke(name, () => bytes)
    const copy = await open('file:/c', { as: alice, rollback: 'accept' }, platform)
    await write(copy, 1)
    expect(copy.writers().map(({ commits }) => commits)).toEqual([2, 1])
    await copy.close()
    // Accepting what is no older copy keeps it.
    const again = await open('file:/c', { as: alice, rollback: 'accept' }, platform)
    await write(again, 1)
    expect(again.writers().map(({ commits }) => commits)).toEqual([2, 2])
    await again.close()
  })
})

it('an engine that is a copy is recovered as a folder is', async () => {
  const platform = quickPlatform()
  await makeChain(platform)
  await backup('file:/chain', 'file:/backup', {}, platform)
  const store = memoryStore()
  await restore('file:/backup', memoryEngine(store), {}, platform)
  store.written = false
  await recover(memoryEngine(store), { as: person('alice') }, quickPlatform(8))
  expect(store.standing.state).toBe('live')
})
