/**
 * The scenarios of the original ATE's tests that concern chains, each with what its tests left out: counts, refusals by
 * reason, replay, contention.
 */
import { describe, expect, it } from 'vitest'
import { Replica } from '../../src/chain/replica.ts'
import { role } from '../../src/data/policy-input.ts'
import { memoryEngine, memoryStore } from '../../src/log/memory.ts'
import { recordsOf } from '../log/stored-records.ts'
import {
  assertSameAsLog,
  Count,
  codeOf,
  crypto,
  memoryChain,
  Note,
  open,
  person,
  quickPlatform,
  reopen,
  Thing,
} from './kit.ts'

describe('load: many transactions of many stores', () => {
  it('reopen with all that was stored', async () => {
    await using kit = await memoryChain()
    const big = {
      name: 'a name',
      other: 'another',
      hashes: [1, 2, 3].map((n) => new Uint8Array(32).fill(n)),
      list: Array(100).fill(7n),
    }
    for (let i = 0; i < 20; i++) {
      await kit.chain.transact((tx) => {
        for (let k = 0; k < 100; k++) tx.create(Thing, big)
      })
    }
    await using again = await reopen(kit)
    expect(again.chain.children(Thing).count()).toBe(2000)
    let count = 0
    for await (const { value } of again.chain.children(Thing)) {
      if ((value as typeof big).list.length === 100) count++
    }
    expect(count).toBe(2000)
    await assertSameAsLog(again.chain)
  })
})

describe('trust tree, in memory and on disk', () => {
  for (const place of ['memory', 'file:/garage'] as const) {
    it(`a member without the root’s keys reads a garage of 100 cars: ${place}`, async () => {
      const platform = quickPlatform()
      const store = memoryStore()
      const at = (): Parameters<typeof open>[0] => (place === 'memory' ? memoryEngine(store) : place)
      const chain = await open(at(), { as: person('alice') }, platform)
      const garage = await chain.transact((tx) => {
        tx.role('crew').add(person('bob').publicId)
        const garage = tx.create(Note, { text: 'Delft' }, { read: [role('crew')], write: [role('crew')] })
        for (let n = 0; n < 100; n++) tx.create(Count, { n }, { parent: garage, in: 'cars' })
        return garage
      })
      await chain.close()
      const bob = await open(at(), { as: person('bob'), id: chain.id }, platform)
      expect((await bob.load(Note, garage.id)).value.text).toBe('Delft')
      const cars = await bob.children(Count, garage.id, 'cars').page({ limit: 1000 })
      expect(cars.map(({ value }) => value.n)).toEqual(Array.from({ length: 100 }, (_, n) => n))
      await bob.transact((tx) => tx.create(Count, { n: 100 }, { parent: garage.id, in: 'cars' }))
      await bob.close()
      const eve = await open(at(), { as: person('eve'), id: chain.id }, platform)
      expect(await codeOf(eve.get(Note, garage.id))).toBe('NO_READ_KEY')
      const intrude = eve.transact((tx) => void tx.create(Count, { n: -1 }, { parent: garage.id, in: 'cars' }))
      expect(await codeOf(intrude)).toBe('NOT_AUTHORIZED')
      expect(eve.children(Count, garage.id, 'cars').count()).toBe(101)
      await eve.close()
    })
  }
})

describe('dio: what a transaction sees and leaves', () => {
  it('a row and its child before the commit, changes within and between transactions, deletion, reopening', async () => {
    await using kit = await memoryChain()
    const [row, child] = await kit.chain.transact((tx) => {
      const row = tx.create(Count, { n: 1 })
      const child = tx.create(Note, { text: 'pushed before the commit' }, { parent: row })
      tx.role('crew').add(person('bob').publicId)
      return [row, child]
    })
    await kit.chain.transact((tx) => tx.setPolicy(row!, { read: [role('crew')], write: [role('crew')] }))
    const second = await kit.chain.transact(async (tx) => {
      await tx.update(Count, row!, () => ({ n: 2 }))
      expect((await tx.load(Count, row!)).value.n).toBe(2)
      await tx.update(Count, row!, () => ({ n: 3 }))
      return tx.create(Count, { n: 20 })
    })
    expect((await kit.chain.load(Count, row!.id)).value.n).toBe(3)
    expect(kit.chain.children(Note, row!.id).ids()).toEqual([child!.id])
    await kit.chain.transact(async (tx) => {
      await tx.update(Count, row!, () => ({ n: 4 }))
      await tx.load(Count, second)
      tx.delete(second)
      expect(await codeOf(tx.load(Count, second))).toBe('NOT_FOUND')
    })
    await using again = await reopen(kit)
    expect((await again.chain.load(Count, row!.id)).value.n).toBe(4)
    expect(await codeOf(again.chain.load(Count, second.id))).toBe('NOT_FOUND')
    expect((await again.chain.children(Note, row!.id).page())[0]!.value.text).toBe('pushed before the commit')
  })
})

describe('chain: feed, versions, delete, reopen', () => {
  it('two events, a newer version, a tombstone; each the same after reopening', async () => {
    const platform = quickPlatform()
    let chain = await open('file:/c', { as: person('alice') }, platform)
    const again = async (): Promise<void> => {
      await chain.close()
      chain = await open('file:/c', { as: person('alice') }, platform)
      await assertSameAsLog(chain)
    }
    const values = async (): Promise<string[]> => (await chain.children(Note).page()).map(({ value }) => value.text)
    const [one, two] = await chain.transact((tx) => [
      tx.create(Note, { text: 'one' }),
      tx.create(Note, { text: 'two' }),
    ])
    await again()
    expect(await values()).toEqual(['one', 'two'])
    await chain.transact((tx) => tx.update(Note, one!.id, () => ({ text: 'one, newer' })))
    await again()
    expect(await values()).toEqual(['one, newer', 'two'])
    await chain.transact((tx) => tx.delete(two!.id))
    expect(await chain.get(Note, two!.id)).toBeUndefined()
    await again()
    expect(await values()).toEqual(['one, newer'])
    expect((await chain.verify()).problems).toEqual([])
    await chain.close()
  })
})

describe('envelopes of several readers, as roles and epochs', () => {
  it('members that are added open it; one who is not, and one who was removed, do not', async () => {
    await using kit = await memoryChain()
    const note = await kit.chain.transact((tx) => {
      tx.role('readers').add(person('bob').publicId)
      return tx.create(Note, { text: 'to two' }, { read: [role('readers')] })
    })
    const reads = async (who: string): Promise<string> => {
      kit.store.written = false
      const reader = await open(
        memoryEngine(kit.store, { readOnly: true }),
        { as: person(who), id: kit.chain.id, readOnly: true },
        quickPlatform(9),
      )
      const found = await reader.get(Note, note.id).then(
        (entity) => entity!.value.text,
        (error) => error.code,
      )
      await reader.close()
      return found
    }
    expect([await reads('alice'), await reads('bob'), await reads('carol')]).toEqual([
      'to two',
      'to two',
      'NO_READ_KEY',
    ])
    await kit.chain.transact((tx) => {
      tx.role('readers').add(person('carol').publicId)
      tx.role('readers').remove(person('bob').publicId)
    })
    await kit.chain.transact((tx) => tx.update(note, () => ({ text: 'to others' })))
    expect([await reads('alice'), await reads('bob'), await reads('carol')]).toEqual([
      'to others',
      'NO_READ_KEY',
      'to others',
    ])
  })
})

describe('what its tests left out', () => {
  it('a record that is played again, left out, or put in another order ends the reading with a reason', async () => {
    await using kit = await memoryChain()
    for (let n = 0; n < 4; n++) await kit.chain.transact((tx) => tx.create(Count, { n }))
    const records = recordsOf(kit.store)
    const fold = (order: readonly number[]): string => {
      const replica = Replica.open({ crypto, seed: 1 }, records[0]!)
      try {
        for (const index of order) replica.accept(records[index]!)
        return `head ${replica.head.seq}`
      } catch (error) {
        return (error as { code: string }).code
      }
    }
    expect(fold([1, 2, 3, 4])).toBe('head 4')
    for (const order of [[1, 1], [1, 2, 2], [2], [1, 3], [2, 1], [1, 2, 3, 4, 1], [0]])
      expect(fold(order)).toBe('LINK_MISMATCH')
  })

  it('two sessions of one chain take turns at one entity, and lose nothing', async () => {
    let kit = await memoryChain()
    const count = await kit.chain.transact((tx) => {
      tx.role('crew').add(person('bob').publicId)
      return tx.create(Count, { n: 0 }, { read: [role('crew')], write: [role('crew')] })
    })
    for (let turn = 0; turn < 6; turn++) {
      kit = await reopen(kit, { as: person(turn % 2 ? 'alice' : 'bob') })
      const add = (): Promise<unknown> =>
        kit.chain.transact((tx) => tx.update(Count, count.id, ({ n }) => ({ n: n + 1 })))
      await Promise.all(Array.from({ length: 5 }, add))
      await assertSameAsLog(kit.chain)
    }
    expect((await kit.chain.load(Count, count.id)).value.n).toBe(30)
    await kit.chain.close()
  })
})
