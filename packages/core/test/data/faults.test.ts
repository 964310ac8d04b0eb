/** Disks that fill up, syncs that fail, and runs that repeat byte for byte. */
import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { AteError } from '../../src/base/errors.ts'
import type { FileSystem } from '../../src/log/file-system.ts'
import { newIdentity } from '../../src/session/identity.ts'
import { memoryState } from '../../src/session/memory-state.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { testPlatform } from '../../src/testing/test-platform.ts'
import { visibleDigest } from '../../src/testing/view-digest.ts'
import {
  assertSameAsLog,
  Count,
  codeOf,
  coreOf,
  memoryChain,
  Note,
  open,
  person,
  quickPlatform,
  reopen,
  Thing,
  turns,
} from './kit.ts'

describe('a full disk', () => {
  it('takes everything staged back, tells each author, and goes on when there is room', async () => {
    const platform = quickPlatform()
    const chain = await open('file:/c', { as: person('alice') }, platform)
    const fs = platform.disk('/c')
    const kept = await chain.transact((tx) => tx.create(Count, { n: 0 }))
    const before = visibleDigest(coreOf(chain).replica.view)
    fs.faults.spaceBytes = 1
    const big = (): Promise<unknown> => chain.transact((tx) => tx.create(Thing, new Uint8Array(500_000)))
    const small = (): Promise<unknown> => chain.transact((tx) => tx.update(Count, kept, ({ n }) => ({ n: n + 1 })))
    const done = await Promise.all([big(), small(), big(), small()].map(codeOf))
    expect(done).toEqual(['DISK_FULL', 'DISK_FULL', 'DISK_FULL', 'DISK_FULL'])
    expect(visibleDigest(coreOf(chain).replica.view)).toBe(before)
    await assertSameAsLog(chain)
    expect((await chain.load(Count, kept)).value.n).toBe(0)
    fs.faults = {}
    await Promise.all([big(), small(), big(), small()])
    expect((await chain.load(Count, kept)).value.n).toBe(2)
    await assertSameAsLog(chain)
    await chain.close()
  })

  it('does not keep an attestation trying, nor the chain from closing', async () => {
    await using kit = await memoryChain()
    await kit.chain.transact((tx) => tx.create(Count, { n: 0 }))
    const { append } = kit.engine
    let tries = 0
    kit.engine.append = async () => {
      if (++tries > 20) return append.call(kit.engine, [], { after: undefined, durability: 'memory', load: 'alone' })
      throw new AteError('DISK_FULL')
    }
    kit.platform.advance(2000)
    await turns(50)
    await kit.chain.close()
    expect(tries).toBeLessThan(5)
    await using again = await reopen(kit)
    expect(again.chain.stats().attestedSeq).toBe(0)
    await using third = await reopen(again)
    expect(third.chain.stats().attestedSeq).toBe(third.chain.head.seq)
  })

  it('refuses a checkpoint and what is staged behind it, and goes on', async () => {
    const platform = quickPlatform()
    const chain = await open('file:/c', { as: person('alice') }, platform)
    await chain.transact((tx) => tx.create(Count, { n: 0 }))
    platform.disk('/c').faults.spaceBytes = 1
    const checkpoint = codeOf(chain.checkpoint())
    const behind = codeOf(chain.transact((tx) => void tx.create(Thing, new Uint8Array(300_000))))
    expect(await Promise.all([checkpoint, behind])).toEqual(['DISK_FULL', 'DISK_FULL'])
    platform.disk('/c').faults = {}
    await chain.checkpoint()
    await chain.transact((tx) => tx.create(Count, { n: 1 }))
    await assertSameAsLog(chain)
    await chain.close()
  })
})

describe('a process without a file to be had', () => {
  it('is told so, with what helps, and goes on in the same chain', async () => {
    const platform = quickPlatform()
    const chain = await open('file:/c', { as: person('alice') }, platform)
    const kept = await chain.transact((tx) => tx.create(Count, { n: 0 }))
    const fs = platform.disk('/c')
    fs.faults.failWrite = { at: fs.counts.writes + 1, code: 'EMFILE', written: 0 }
    const add = (): Promise<unknown> => chain.transact((tx) => tx.update(Count, kept, ({ n }) => ({ n: n + 1 })))
    const error = await add().catch((refused: unknown) => refused)
    expect(error).toMatchObject({ code: 'TOO_MANY_FILES', message: expect.stringContaining('ulimit -n') })
    await add()
    expect((await chain.load(Count, kept)).value.n).toBe(1)
    await assertSameAsLog(chain)
    await chain.close()
  })
})

describe('a failed sync', () => {
  it('ends the writing: everything staged is taken back, and what was acknowledged is there', async () => {
    const platform = quickPlatform()
    const chain = await open('file:/c', { as: person('alice') }, platform)
    const fs = platform.disk('/c')
    const kept = await chain.transact((tx) => tx.create(Count, { n: 0 }))
    const before = visibleDigest(coreOf(chain).replica.view)
    fs.faults.failSync = fs.counts.syncs + 1
    const add = (): Promise<string> => codeOf(chain.transact((tx) => tx.update(Count, kept, ({ n }) => ({ n: n + 1 }))))
    for (const code of await Promise.all([add(), add()])) expect(['IO_ERROR', 'WRITER_POISONED']).toContain(code)
    expect(['IO_ERROR', 'WRITER_POISONED']).toContain(await add())
    expect(['IO_ERROR', 'WRITER_POISONED']).toContain(await codeOf(() => chain.begin()))
    expect(['IO_ERROR', 'WRITER_POISONED']).toContain(await codeOf(chain.sweep()))
    expect(visibleDigest(coreOf(chain).replica.view)).toBe(before)
    expect((await chain.load(Count, kept)).value.n).toBe(0)
    await chain.close()
    for (const after of ['kill', 'crash'] as const) {
      fs[after]()
      const again = await open('file:/c', { as: person('alice') }, platform)
      expect([0, 1, 2]).toContain((await again.load(Count, kept.id)).value.n % 10)
      await again.transact((tx) => tx.update(Count, kept.id, ({ n }) => ({ n: n + 10 })))
      await assertSameAsLog(again)
      await again.close()
    }
  })
})

describe('a seed', () => {
  it('replays byte for byte: the same log, the same state', async () => {
    const run = async (seed: number): Promise<string> => {
      console.log(`seed ${seed}`)
      const state = memoryState()
      const platform = testPlatform(seed, { state })
      const as = newIdentity({ crypto: platform.crypto, random: platform.random })
      const chain = await open('file:/c', { as }, platform)
      const random = seededRandom(seed)
      for (let i = 0; i < 6; i++) {
        await Promise.all(
          Array.from({ length: 1 + random.below(4) }, () =>
            chain.transact((tx) => tx.put(Thing, `n${random.below(5)}`, { random: random.next() })),
          ),
        )
        platform.advance(random.below(900))
      }
      await chain.transact((tx) => {
        tx.role('crew').add(as.publicId)
        tx.create(Note, { text: 'x' }, { read: [as.publicId] })
      })
      await chain.close()
      const fs = platform.disk('/c')
      const files = [...fs.files()].sort().map((path) => `${path} ${toHex(fs.peek(path))}`)
      const heads = await state.list(`heads/${chain.id}/`)
      return [...files, ...heads].join('\n')
    }
    const seed = Number(process.env['ATE_SEED'] ?? 4711)
    const one = await run(seed)
    expect(one.length).toBeGreaterThan(10_000)
    expect((await run(seed)) === one).toBe(true)
    expect((await run(seed + 1)) === one).toBe(false)
  }, 60_000)
})

/** As the disk of the system: a sync of a group is done by a thread, and the process goes on meanwhile. */
const withThread = (fs: FileSystem): FileSystem =>
  new Proxy(fs, {
    get(target, property) {
      if (property !== 'open') {
        const value: unknown = Reflect.get(target, property, target)
        return typeof value === 'function' ? value.bind(target) : value
      }
      return (...args: Parameters<FileSystem['open']>) => {
        const file = fs.open(...args)
        return { ...file, sync: () => turns(1).then(() => file.sync()) }
      }
    },
  })

describe('a record that is written and not yet synced', () => {
  /** What is there when the machine, or the process alone, ends between the two. */
  async function after(end: 'kill' | 'crash'): Promise<{ readonly counts: number; readonly told: string[] }> {
    const state = memoryState()
    const disks = new Map()
    const platform = quickPlatform(1, { state, disks, wrapDisk: withThread })
    const chain = await open('file:/c', { as: person('alice') }, platform)
    const disk = platform.disk('/c')
    const told: string[] = []
    const { syncs } = disk.counts
    await chain.transact((tx) => tx.create(Count, { n: 1 }), {
      staged: () => told.push('staged'),
      written: () => told.push(`written, ${disk.counts.syncs - syncs} syncs`),
    })
    told.push(`acknowledged, ${disk.counts.syncs - syncs} syncs`)
    const lost = codeOf(chain.transact((tx) => tx.create(Count, { n: 2 }), { written: () => disk[end]() }))
    expect(await lost).toBe('WRITER_POISONED')
    const again = await open('file:/c', { as: person('alice') }, quickPlatform(2, { state, disks }))
    const counts = again.children(Count).count()
    await again.close()
    return { counts, told }
  }

  it('is told of before the sync, and outlives the process, not the power', async () => {
    const killed = await after('kill')
    expect(killed.told).toEqual(['staged', 'written, 0 syncs', 'acknowledged, 1 syncs'])
    expect(killed.counts).toBe(2)
    const counts = await Promise.all([1, 2, 3, 4].map(async () => (await after('crash')).counts))
    expect(Math.min(...counts)).toBeGreaterThanOrEqual(1)
  })

  it('is not told of where nothing is written first', async () => {
    await using kit = await memoryChain()
    const told: string[] = []
    await kit.chain.transact((tx) => tx.create(Count, { n: 0 }), { written: () => told.push('written') })
    expect(told).toEqual([])
  })
})
