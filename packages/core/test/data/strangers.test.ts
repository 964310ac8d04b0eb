/** Who the chain does not know, and chains whose records others order: nothing is stored that nobody would take. */
import { describe, expect, it } from 'vitest'
import { AteError } from '../../src/base/errors.ts'
import { assertSameAsLog, codeOf, freshReplica, memoryChain, Note, person, reopen, turns } from './kit.ts'

describe('an identity that the chain does not know', () => {
  it('writes where everyone may, is attested, and stores nothing else', async () => {
    await using kit = await memoryChain()
    const [open, mine] = await kit.chain.transact((tx) => [
      tx.create(Note, { text: 'board' }, { write: 'everyone', read: 'everyone', ttl: 10 }),
      tx.create(Note, { text: 'closed' }),
    ])
    kit.platform.advance(20)
    await kit.chain.transact((tx) => tx.expire(open!, {}))
    await kit.chain.transact((tx) => tx.create(Note, { text: 'gone' }, { ttl: 1 }))
    kit.platform.advance(20)
    await kit.chain.transact((tx) => tx.update(Note, open!, () => ({ text: 'board 2' })))
    await using eve = await reopen(kit, { as: person('eve') })
    const before = eve.store.records.size
    expect(await codeOf(eve.chain.sweep())).toBe('NOT_AUTHORIZED')
    expect(await codeOf(eve.chain.checkpoint())).toBe('NOT_AUTHORIZED')
    const { seq } = eve.chain.head
    expect(await eve.chain.transact(() => 5)).toBe(5)
    expect(eve.chain.head.seq).toBe(seq)
    expect(await codeOf(eve.chain.transact((tx) => tx.update(mine!, () => ({ text: 'x' }))))).toBe('NO_READ_KEY')
    expect(await codeOf(eve.chain.transact((tx) => tx.delete(mine!.id)))).toBe('NOT_AUTHORIZED')
    expect(eve.store.records.size).toBe(before)
    await eve.chain.transact((tx) => tx.create(Note, { text: 'by eve' }, { parent: open! }))
    await eve.chain.transact((tx) => tx.create(Note, { text: 'by eve too' }, { parent: open! }))
    await eve.chain.transact(() => undefined)
    await assertSameAsLog(eve.chain)
    await using again = await reopen(eve)
    expect(again.chain.children(Note, open!).count()).toBe(2)
    expect((await again.chain.verify()).attested).toBe(again.chain.head.seq)
  })
})

describe('a chain whose root has named servers', () => {
  it('is read-only here from the next record on, and stays whole', async () => {
    await using kit = await memoryChain()
    await kit.chain.transact((tx) => tx.create(Note, { text: 'before' }))
    await kit.chain.transact((tx) => tx.settings({ sequencers: [person('server').fingerprintBytes] }))
    expect(await codeOf(kit.chain.transact((tx) => void tx.create(Note, { text: 'after' })))).toBe('READ_ONLY')
    expect(await codeOf(kit.chain.sweep())).toBe('nothing was thrown')
    expect(await codeOf(kit.chain.checkpoint())).toBe('READ_ONLY')
    kit.platform.advance(5000)
    await turns()
    await assertSameAsLog(kit.chain)
    await using again = await reopen(kit)
    expect((await again.chain.verify()).problems).toEqual([])
    expect(again.chain.stats().entities).toBe(1)
    expect(await codeOf(again.chain.transact((tx) => void tx.create(Note, { text: 'after' })))).toBe('READ_ONLY')
  })

  it('what is staged behind the change is refused, and taken back with it', async () => {
    await using kit = await memoryChain()
    kit.engine.hold()
    const settings = kit.chain.transact((tx) => tx.settings({ sequencers: [person('server').fingerprintBytes] }))
    const behind = codeOf(kit.chain.transact((tx) => void tx.create(Note, { text: 'behind' })))
    await turns()
    kit.engine.failNext = new AteError('DISK_FULL')
    kit.engine.release()
    expect(await codeOf(settings)).toBe('DISK_FULL')
    expect(await behind).toBe('READ_ONLY')
    await kit.chain.transact((tx) => tx.create(Note, { text: 'again' }))
    expect((await freshReplica(kit.engine)).trust.sequencers).toBe('writers')
  })
})
