/** Live bodies: those that a reader or a rollback can still come to; against a model that reads the records. */
import { describe, expect, it } from 'vitest'
import { AteError } from '../../src/base/errors.ts'
import { bodyBytesOfRecord, liveBodyBytes, visitLiveBodies } from '../../src/chain/live-bodies.ts'
import type { Chain } from '../../src/data/chain.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { coreOf, memoryChain, Note, Thing, turns } from './kit.ts'

const atOnce = { pause: () => Promise.resolve() }

async function liveOf(chain: Chain): Promise<number[]> {
  const { replica } = coreOf(chain)
  return [...(await liveBodyBytes(replica.view, replica.head.seq + 1, atOnce))]
}

/** The newest body of each entity that is there, and all bodies of each record, from what records say in clear. */
async function modelOf(chain: Chain): Promise<{ live: number[]; total: number[] }> {
  const newest = new Map<string, { seq: number; bytes: number }>()
  const total: number[] = []
  for await (const { seq, transactions } of chain.records()) {
    total[seq] = 0
    for (const { events } of transactions) {
      for (const { op, entity, sealedBytes } of events) {
        total[seq] += sealedBytes ?? 0
        if (op === 'delete') newest.delete(entity!)
        else if (sealedBytes !== undefined) newest.set(entity!, { seq, bytes: sealedBytes })
      }
    }
  }
  const live = total.map(() => 0)
  for (const { seq, bytes } of newest.values()) live[seq]! += bytes
  return { live, total }
}

describe('live bodies', () => {
  it('are the newest ones of the entities that are there', async () => {
    const seed = Number(process.env['ATE_SEED'] ?? 11)
    const random = seededRandom(seed)
    await using kit = await memoryChain()
    const { chain } = kit
    const ids: string[] = []
    for (let i = 0; i < 120; i++) {
      const at = random.below(ids.length + 1)
      await chain.transact((tx) => {
        if (at === ids.length || random.below(4) === 0) ids.push(tx.create(Thing, 'x'.repeat(random.below(300))).id)
        else if (random.below(3) > 0) tx.put(Thing, `n${random.below(5)}`, 'y'.repeat(random.below(300)))
        else tx.delete(ids.splice(at, 1)[0]!)
      })
    }
    const { live, total } = await modelOf(chain)
    expect(await liveOf(chain), `seed ${seed}`).toEqual(live)
    const { engine, replica } = coreOf(chain)
    for (let seq = 0; seq <= replica.head.seq; seq++) expect(await bodyBytesOfRecord(engine, seq)).toBe(total[seq])
    expect(live.some((bytes, seq) => bytes < total[seq]!)).toBe(true)
  })

  it('stay live while what replaces or deletes them is staged only, and are counted once', async () => {
    await using kit = await memoryChain()
    const { chain, engine } = kit
    const [a, b, c] = await chain.transact((tx) => ['a', 'b', 'c'].map((text) => tx.create(Note, { text })))
    const before = await liveOf(chain)
    engine.hold()
    const staged = [
      chain.transact((tx) => tx.update(a!, () => ({ text: 'another' }))),
      chain.transact((tx) => tx.delete(b!)),
      chain.transact((tx) => tx.move(c!, { in: 'elsewhere' })),
      chain.transact((tx) => tx.move(c!, { in: 'elsewhere still' })),
    ]
    await turns()
    expect(coreOf(chain).staging.size).toBe(4)
    expect(await liveOf(chain)).toEqual(before)
    engine.release()
    await Promise.all(staged)
    await coreOf(chain).settled()
    expect(await liveOf(chain)).toEqual((await modelOf(chain)).live)
  })

  it('gives way every 8,192 rows, ends with its signal, and bears rows that are taken back meanwhile', async () => {
    await using kit = await memoryChain()
    const { replica } = kit.core
    await kit.chain.transact((tx) => {
      for (let i = 0; i < 9000; i++) tx.create(Thing, i)
    })
    let pauses = 0
    const pause = async (): Promise<void> => void pauses++
    let bodies = 0
    await visitLiveBodies(replica.view, () => bodies++, { pause })
    expect([pauses, bodies]).toEqual([1, 9000])
    const stop = new AbortController()
    const reason = new Error('enough')
    const walk = liveBodyBytes(replica.view, 1, { pause: async () => stop.abort(reason), signal: stop.signal })
    await expect(walk).rejects.toBe(reason)
    kit.engine.hold()
    const failing = kit.chain.transact((tx) => {
      for (let i = 0; i < 9000; i++) tx.create(Thing, i)
    })
    await turns()
    kit.engine.failNext = new AteError('DISK_FULL')
    bodies = 0
    pauses = 0
    const failed = async (): Promise<void> => {
      pauses++
      if (pauses < 2) return
      kit.engine.release()
      await expect(failing).rejects.toMatchObject({ code: 'DISK_FULL' })
    }
    await visitLiveBodies(replica.view, () => bodies++, { pause: failed })
    expect([pauses, bodies]).toEqual([2, 9000])
  })
})
