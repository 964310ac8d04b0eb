/** A reader that is opening while a writer of the same machine goes on: what came meanwhile is no older copy. */
import { describe, expect, it } from 'vitest'
import { verifyPlace } from '../../src/data/verify-place.ts'
import { memoryEngine } from '../../src/log/memory.ts'
import { rememberedHead } from '../../src/session/remembered-heads.ts'
import { recordsOf, slabsOf } from '../log/stored-records.ts'
import { Count, codeOf, type Kit, memoryChain, open, person, turns } from './kit.ts'

/** An engine that was opened for reading, and a head that this machine remembers from after that. */
async function overtaken(kit: Kit): Promise<ReturnType<typeof memoryEngine>> {
  await kit.chain.transact((tx) => tx.create(Count, { n: 0 }))
  const engine = memoryEngine(kit.store, { readOnly: true })
  for (let n = 1; n < 3; n++) {
    kit.platform.advance(6000)
    await turns()
    await kit.chain.transact((tx) => tx.create(Count, { n }))
  }
  await turns()
  const remembered = await rememberedHead(kit.platform.state, kit.chain.id)
  expect(engine.head()!.seq).toBeLessThan(remembered!.seq)
  return engine
}

describe('a log that was opened before this machine remembered a newer head of it', () => {
  it('opens for reading, and shows what came', async () => {
    await using kit = await memoryChain()
    const reader = await open(await overtaken(kit), { as: person('alice'), readOnly: true }, kit.platform)
    expect(reader.head).toEqual(kit.chain.head)
    expect(reader.stats().entities).toBe(3)
    await reader.close()
  })

  it('opens with pq: required up to where it is attested, though what is remembered is not', async () => {
    await using kit = await memoryChain()
    const engine = await overtaken(kit)
    const options = { as: person('alice'), readOnly: true, pq: 'required' } as const
    const reader = await open(engine, options, kit.platform)
    await reader.refresh()
    expect(reader.head.seq).toBe(kit.chain.stats().attestedSeq)
    expect(reader.head.seq).toBeLessThan(kit.chain.head.seq)
    await reader.close()
    const again = await open(memoryEngine(kit.store, { readOnly: true }), options, kit.platform)
    expect(again.head.seq).toBe(kit.chain.stats().attestedSeq)
    await again.close()
  })

  it('verifies', async () => {
    await using kit = await memoryChain()
    const report = await verifyPlace(await overtaken(kit), {}, kit.platform)
    expect(report).toMatchObject({ ok: true, problems: [], records: kit.chain.stats().records })
  })

  it('is an older copy if the newer records do not come', async () => {
    await using kit = await memoryChain()
    const engine = await overtaken(kit)
    engine.refresh = async () => engine.head()
    const options = { as: person('alice'), readOnly: true } as const
    expect(await codeOf(open(engine, options, kit.platform))).toBe('ROLLBACK')
    const other = memoryEngine(kit.store, { readOnly: true })
    const all = kit.store.records
    kit.store.records = slabsOf(recordsOf(kit.store).slice(0, 2))
    await other.refresh()
    expect((await verifyPlace(other, {}, kit.platform)).problems).toMatchObject([{ code: 'ROLLBACK' }])
    kit.store.records = all
  })
})
