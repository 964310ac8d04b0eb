/**
 * A disk whose syncs take long: nothing is acknowledged before its sync has returned, what waits is bounded, and who
 * waits can give up. The disk goes on when the test says so.
 */
import { describe, expect, it } from 'vitest'
import { AteError } from '../../src/base/errors.ts'
import { PENDING_BYTES_MAX } from '../../src/base/limits.ts'
import type { Chain } from '../../src/data/chain.ts'
import type { FileSystem, OpenFile } from '../../src/log/file-system.ts'
import type { TestPlatform } from '../../src/testing/test-platform.ts'
import {
  assertSameAsLog,
  Count,
  codeOf,
  type Kit,
  memoryChain,
  open,
  person,
  quickPlatform,
  Thing,
  turns,
} from './kit.ts'

const SYNC_MS = 5000

interface Slow {
  readonly chain: Chain
  readonly platform: TestPlatform
  /** Lets the oldest sync return, after SYNC_MS. */
  step(): Promise<void>
  /** The power goes; the disk is fast when it is back. */
  cut(): Promise<void>
}

async function slowChain(): Promise<Slow> {
  /** Syncs that were asked for and have not returned. */
  const waiting: (() => void)[] = []
  let isSlow = false
  const slowFile = (file: OpenFile): OpenFile => ({
    ...file,
    sync: async () => {
      if (isSlow) await new Promise<void>((resolve) => waiting.push(resolve))
      else platform.advance(SYNC_MS)
      await file.sync()
    },
  })
  const wrapDisk = (fs: FileSystem): FileSystem => ({
    open: (path, mode) => slowFile(fs.open(path, mode)),
    list: (path) => fs.list(path),
    makeFolder: (path) => fs.makeFolder(path),
    rename: (from, to) => fs.rename(from, to),
    remove: (path) => fs.remove(path),
    removeFolder: (path) => fs.removeFolder(path),
    syncFolder: (path) => fs.syncFolder(path),
    lock: () => fs.lock(),
  })
  const platform: TestPlatform = quickPlatform(1, { wrapDisk })
  const chain = await open('file:/c', { as: person('alice') }, platform)
  // From now on a sync returns when the test says so; those before have told the writer that they are slow.
  await chain.transact((tx) => tx.create(Count, { n: 0 }))
  isSlow = true
  const step = async (): Promise<void> => {
    for (let i = 0; i < 50 && waiting.length === 0; i++) await turns(1)
    platform.advance(SYNC_MS)
    waiting.shift()?.()
    await turns()
  }
  const cut = async (): Promise<void> => {
    platform.disk('/c').crash()
    isSlow = false
    for (const end of waiting.splice(0)) end()
    await chain.close().catch(() => undefined)
  }
  return { chain, platform, step, cut }
}

describe('a disk whose syncs take five seconds', () => {
  it('makes nothing acknowledged that a power cut could take', async () => {
    const slow = await slowChain()
    const { chain, platform } = slow
    const acknowledged: string[] = []
    const add = (name: string): void => {
      const adding = chain.transact((tx) => tx.put(Count, name, { n: 1 })).then(() => void acknowledged.push(name))
      adding.catch(() => undefined)
    }
    add('first')
    await turns()
    for (let i = 0; i < 20; i++) add(`behind ${i}`)
    await turns()
    expect(acknowledged).toEqual([])
    await slow.step()
    expect(acknowledged).toEqual(['first'])
    // One sync carries all that came meanwhile.
    await slow.step()
    expect(acknowledged).toHaveLength(21)
    add('lost or not')
    await turns()
    expect(acknowledged).toHaveLength(21)
    await slow.cut()
    const again = await open('file:/c', { as: person('alice') }, platform)
    for (const name of acknowledged) expect((await again.named(Count, name))?.value).toEqual({ n: 1 })
    await again.close()
  })
})

const BODY_BYTES = 800 * 1024
/** Transactions of one such body that fill what may be on its way. */
const FULL = Math.ceil(PENDING_BYTES_MAX / BODY_BYTES)

function write(kit: Kit, name: number, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
  return kit.chain.transact((tx) => void tx.put(Thing, `body ${name}`, new Uint8Array(BODY_BYTES)), options)
}

/** A chain whose appends are held, with as much on its way as may be. */
async function fullChain(): Promise<Kit & { readonly all: readonly Promise<string>[] }> {
  const kit = await memoryChain()
  kit.engine.hold()
  const all = Array.from({ length: FULL }, (_, i) => codeOf(write(kit, i)))
  await turns()
  expect(kit.core.staging.isFull).toBe(true)
  return { ...kit, all }
}

describe('what is on its way', () => {
  for (const signal of [undefined, new AbortController().signal]) {
    it(`is bounded: who comes later waits its turn and has not run${signal ? ', with a signal too' : ''}`, async () => {
      const kit = await memoryChain()
      const { engine } = kit
      const { staging } = kit.core
      engine.hold()
      const count = 2 * FULL + 10
      let [ran, largest] = [0, 0]
      const order: number[] = []
      const all = Array.from({ length: count }, (_, i) =>
        kit.chain
          .transact(
            (tx) => {
              ran++
              tx.put(Thing, `body ${i}`, new Uint8Array(BODY_BYTES))
            },
            signal ? { signal } : {},
          )
          .then(() => order.push(i)),
      )
      await turns()
      // The bodies of those that wait do not exist yet.
      expect([ran, staging.size]).toEqual([FULL, FULL])
      while (order.length < count) {
        engine.release()
        engine.hold()
        await turns(2)
        largest = Math.max(largest, staging.size)
      }
      await Promise.all(all)
      expect(largest).toBeLessThanOrEqual(FULL)
      expect(order).toEqual(Array.from({ length: count }, (_, i) => i))
      await kit[Symbol.asyncDispose]()
    })
  }

  it('does not hold who gives up, at once, and what was given up is never run', async () => {
    await using kit = await fullChain()
    const controller = new AbortController()
    const ran: string[] = []
    const late = kit.chain.transact(() => void ran.push('late'), { signal: controller.signal })
    const given = late.catch((error) => error)
    const behind = kit.chain.transact((tx) => tx.put(Count, 'behind', { n: 2 }))
    controller.abort(new Error('enough'))
    expect((await given).message).toBe('enough')
    kit.engine.release()
    await Promise.all([...kit.all, behind])
    expect(ran).toEqual([])
    await assertSameAsLog(kit.chain)
  })

  it('goes on when an append fails: who waits runs, or hears that writing has ended', async () => {
    for (const code of ['DISK_FULL', 'WRITER_POISONED'] as const) {
      await using kit = await fullChain()
      const later = Array.from({ length: 3 }, (_, i) => codeOf(write(kit, FULL + i)))
      kit.engine.failNext = new AteError(code)
      kit.engine.release()
      const said = await Promise.all(later)
      expect(new Set(said)).toEqual(new Set([code === 'DISK_FULL' ? 'nothing was thrown' : code]))
      await Promise.all(kit.all)
    }
  })

  it('lets who waits know that the chain is closed', async () => {
    const kit = await fullChain()
    const later = Array.from({ length: 3 }, (_, i) => codeOf(write(kit, FULL + i)))
    const closing = kit.chain.close()
    kit.engine.release()
    await closing
    expect(await Promise.all(later)).toEqual(['CHAIN_CLOSED', 'CHAIN_CLOSED', 'CHAIN_CLOSED'])
  })
})
