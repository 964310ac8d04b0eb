/**
 * A wall clock that jumps, far ahead and back, while segments are rotated, retention and expiry run, certificates are
 * renewed, and the chain is opened again: nothing is lost, nothing that is retained goes, nothing stored is invalid.
 */
import { describe, expect, it } from 'vitest'
import type { Chain } from '../../src/data/chain.ts'
import { openFileLog } from '../../src/log/file-engine.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { SimFileSystem } from '../../src/testing/sim-file-system.ts'
import type { TestPlatform } from '../../src/testing/test-platform.ts'
import { assertSameAsLog, Count, codeOf, coreOf, Note, open, person, quickPlatform, Thing } from './kit.ts'

const START = 1_700_000_000_000
const HOUR = 3_600_000
const YEAR = 365 * 24 * HOUR

function openHere(platform: TestPlatform): Promise<Chain> {
  return open('file:/c', { as: person('alice') }, platform)
}

describe('a clock that jumps', () => {
  it('during rotation: segments follow one another, and all is there', async () => {
    const platform = quickPlatform()
    const fs = new SimFileSystem(1)
    const openSmall = async (): Promise<Chain> => {
      const { random, clock } = platform.environment
      const engine = await openFileLog({ fs, random, clock, create: true, segmentBytes: 20_000 })
      return open(engine, { as: person('alice') }, platform)
    }
    let chain = await openSmall()
    const jumps = [START + YEAR, START - YEAR, START, START + 2 * YEAR, START - 20 * YEAR]
    const { id } = await chain.transact((tx) => tx.create(Count, { n: 0 }))
    for (let n = 1; n <= 50; n++) {
      platform.setWallClock(jumps[n % 5]!)
      await chain.transact((tx) => tx.update(Count, id, () => ({ n })))
      await chain.transact((tx) => tx.put(Thing, `n${n % 3}`, new Uint8Array(3000)))
    }
    expect(fs.files().filter((name) => name.startsWith('seg-')).length).toBeGreaterThan(8)
    fs.crash()
    await chain.close().catch(() => undefined)
    platform.setWallClock(START - YEAR)
    chain = await openSmall()
    expect((await chain.load(Count, id)).value).toEqual({ n: 50 })
    await chain.transact((tx) => tx.put(Count, 'last', { n: 1 }))
    expect(await chain.verify()).toMatchObject({ ok: true, voids: 0, problems: [] })
    expect(await coreOf(chain).engine.scrub()).toEqual([])
    await assertSameAsLog(chain)
    await chain.close()
  })

  it('during retention: what is retained stays, whatever the clock says, and nothing expires early by going back', async () => {
    const platform = quickPlatform()
    const chain = await openHere(platform)
    const kept = await chain.transact((tx) =>
      tx.create(Note, { text: 'kept' }, { retain: chain.now + 10 * HOUR, ttl: HOUR }),
    )
    const short = await chain.transact((tx) => tx.create(Note, { text: 'short' }, { ttl: HOUR }))
    platform.setWallClock(START - YEAR)
    await chain.transact((tx) => tx.put(Count, 'a', { n: 1 }))
    expect(chain.now).toBeGreaterThanOrEqual(START)
    expect([await chain.sweep(), await codeOf(chain.transact((tx) => tx.delete(kept)))]).toEqual([0, 'RETAINED'])
    platform.setWallClock(START + 5 * HOUR)
    await chain.transact((tx) => tx.put(Count, 'a', { n: 2 }))
    // Chain time has moved five hours on: only what is not retained goes.
    expect(await chain.sweep()).toBe(1)
    expect(await codeOf(chain.transact((tx) => tx.delete(short)))).toBe('NOT_FOUND')
    expect(await codeOf(chain.transact((tx) => tx.delete(kept)))).toBe('RETAINED')
    platform.setWallClock(START - YEAR)
    await chain.transact((tx) => tx.put(Count, 'a', { n: 3 }))
    expect(await codeOf(chain.transact((tx) => tx.delete(kept)))).toBe('RETAINED')
    // Retention set while the clock is behind counts from chain time, and never shrinks.
    expect(await codeOf(chain.transact((tx) => tx.retain(kept, { retain: START })))).toBe('RETAIN_SHRINKS')
    platform.setWallClock(START + 20 * HOUR)
    await chain.transact((tx) => tx.put(Count, 'a', { n: 4 }))
    expect(await chain.sweep()).toBe(1)
    await assertSameAsLog(chain)
    await chain.close()
  })

  it('during the life of a certificate: a new one where it must be, and no commit is void', async () => {
    const seed = Number(process.env['ATE_SEED'] ?? 1)
    const random = seededRandom(seed)
    const platform = quickPlatform()
    let chain = await openHere(platform)
    let count = 0
    for (let i = 0; i < 60; i++) {
      const jump = random.below(4)
      if (jump === 0) platform.setWallClock(START + (random.below(4000) - 2000) * HOUR)
      else if (jump === 1) platform.advance(random.below(30) * HOUR)
      if (random.oneIn(6)) {
        await chain.close()
        chain = await openHere(platform)
      }
      await chain
        .transact((tx) => tx.put(Count, 'n', { n: ++count }))
        .catch((error) => {
          throw new Error(`seed ${seed}, step ${i}: ${error.message}`, { cause: error })
        })
    }
    expect((await chain.named(Count, 'n'))?.value).toEqual({ n: 60 })
    expect(chain.writers().length).toBeGreaterThan(1)
    const report = await chain.verify()
    expect([report.ok, report.voids, report.problems]).toEqual([true, 0, []])
    await assertSameAsLog(chain)
    await chain.close()
  })
})
