/** What a chain gives besides transactions: children, indexes, streams, counters, expiry, retention, checkpoints. */
import { describe, expect, it, vi } from 'vitest'
import { AteError } from '../../src/base/errors.ts'
import { isChain } from '../../src/data/chain.ts'
import { defineType } from '../../src/data/entity-type.ts'
import type { ChainEvent, EntityChange } from '../../src/data/events.ts'
import { role } from '../../src/data/policy-input.ts'
import { memoryEngine } from '../../src/log/memory.ts'
import { copyOf } from '../log/stored-records.ts'
import {
  assertSameAsLog,
  Count,
  codeOf,
  memoryChain,
  Note,
  open,
  person,
  quickPlatform,
  reopen,
  Thing,
  turns,
} from './kit.ts'

const NOTHING = 'nothing was thrown'
const UNKNOWN = '0123456789abcdefghjkmnpq00'

describe('children', () => {
  it('come in order, by the page, and follow deletions', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    const made = await chain.transact((tx) =>
      Array.from({ length: 25 }, (_, n) => tx.create(Count, { n }, { in: 'list' })),
    )
    const list = chain.children(Count, undefined, 'list')
    const pages: number[][] = []
    for (let after: string | undefined; ; ) {
      const page = await list.page({ limit: 10, ...(after ? { after } : {}) })
      if (page.length === 0) break
      pages.push(page.map(({ value }) => value.n))
      after = page.at(-1)!.id
    }
    expect(pages.map((page) => page.length)).toEqual([10, 10, 5])
    expect(pages.flat()).toEqual(made.map(({ value }) => value.n))
    await chain.transact((tx) => {
      for (let i = 0; i < 25; i += 2) tx.delete(made[i]!)
    })
    expect(list.count()).toBe(12)
    expect(list.ids()).toEqual(made.filter((_, i) => i % 2 === 1).map((entity) => entity.id))
    expect(await codeOf(list.page({ after: made[0]! }))).toBe('NOT_FOUND')
    for (const limit of [0, -1, 1.5, 10_001, Number.NaN])
      expect(await codeOf(list.page({ limit }))).toBe('BAD_ARGUMENT')
    expect(await codeOf(() => chain.children(5 as never))).toBe('BAD_ARGUMENT')
    expect(await codeOf(() => chain.children(Count, UNKNOWN).count())).toBe('NOT_FOUND')
    expect(await chain.children(Count, undefined, 'none').page()).toEqual([])
    expect(await codeOf(chain.children(Note, undefined, 'list').page())).toBe('WRONG_TYPE')
  })

  it('that go while they are iterated are left out, moved or deleted', async () => {
    await using kit = await memoryChain()
    const [box, a, b, c] = await kit.chain.transact((tx) => [
      tx.create(Thing, 'box'),
      ...['a', 'b', 'c'].map((text) => tx.create(Note, { text })),
    ])
    const seen: string[] = []
    for await (const child of kit.chain.children(Note)) {
      seen.push(child.value.text)
      if (child.id !== a!.id) continue
      await kit.chain.transact((tx) => tx.move(b!, { parent: box! }))
      await kit.chain.transact((tx) => tx.delete(c!))
      await kit.chain.transact((tx) => tx.create(Note, { text: 'd' }))
    }
    expect(seen).toEqual(['a'])
  })

  it('come in batches, for who reads them once', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    const made = await chain.transact((tx) => Array.from({ length: 25 }, (_, n) => tx.create(Count, { n })))
    const batches: number[][] = []
    for await (const batch of chain.children(Count).batches({ size: 10 })) {
      batches.push(batch.map(({ value }) => value.n))
      // One that is not read yet, and one that comes meanwhile.
      if (batches.length === 1)
        await chain.transact((tx) => {
          tx.delete(made[24]!)
          tx.create(Count, { n: 99 })
        })
    }
    expect(batches).toEqual(
      [0, 10, 20].map((from) => made.slice(from, Math.min(from + 10, 24)).map((_, i) => from + i)),
    )
    for (const size of [0, 1.5, 10_001]) {
      const batch = chain.children(Count).batches({ size }).next()
      expect(await codeOf(batch)).toBe('BAD_ARGUMENT')
    }
    const stopped = chain.children(Count, undefined, undefined, { signal: AbortSignal.abort() })
    await expect(stopped.batches().next()).rejects.toThrow('aborted')
    const rest = chain.children(Count).batches({ size: 5 })
    await rest.next()
    await chain.close()
    expect(await codeOf(rest.next())).toBe('CHAIN_CLOSED')
  })

  it('that are read in batches are not kept in the cache, and are taken from it', async () => {
    const before = await memoryChain()
    const [a, b] = await before.chain.transact((tx) => [tx.create(Count, { n: 1 }), tx.create(Count, { n: 2 })])
    await using kit = await reopen(before)
    const kept = await kit.chain.get(Count, a!.id)
    const { value } = await kit.chain.children(Count).batches().next()
    expect(value?.map((entity) => entity.value.n)).toEqual([1, 2])
    expect(value?.[0]).toBe(kept)
    expect(await kit.chain.get(Count, b!.id)).not.toBe(value?.[1])
  })

  it('stay in order over thousands of deletions, which pack the list', async () => {
    await using kit = await memoryChain()
    const made = await kit.chain.transact((tx) => Array.from({ length: 400 }, (_, n) => tx.create(Count, { n })))
    for (let i = 0; i < 300; i += 50) {
      await kit.chain.transact((tx) => {
        for (let k = i; k < i + 50; k++) tx.delete(made[k]!)
        tx.create(Count, { n: 1000 + i })
      })
      await assertSameAsLog(kit.chain)
    }
    const values = (await kit.chain.children(Count).page({ limit: 1000 })).map(({ value }) => value.n)
    expect(values).toEqual([...Array.from({ length: 100 }, (_, i) => 300 + i), 1000, 1050, 1100, 1150, 1200, 1250])
  })
})

describe('the id of a name', () => {
  it('is that of its entity, before there is one, while there is, and after', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    const above = await chain.transact((tx) => tx.create(Note, { text: 'above' }))
    for (const place of [{}, { parent: above }, { parent: above, in: 'others' }]) {
      const before = chain.idOf(Note, 'n', place)
      const { id } = await chain.transact((tx) => tx.create(Note, { text: '' }, { ...place, name: 'n' }))
      expect([before, chain.idOf(Note, 'n', place)]).toEqual([id, id])
      expect(chain.idOf(Note, 'm', place)).not.toBe(id)
      await chain.transact((tx) => tx.delete(id))
      expect(chain.idOf(Note, 'n', place)).toBe(id)
    }
    expect(await codeOf(() => chain.idOf(Note, 'n', { parent: UNKNOWN }))).toBe('NOT_FOUND')
    expect(await codeOf(() => chain.idOf(Note, ''))).toBe('BAD_ARGUMENT')
  })
})

describe('indexes', () => {
  const Person = defineType<{ city: string; age?: number }>('person', {
    indexes: { city: ({ city }) => city, age: ({ age }) => age },
  })

  it('find follows updates, deletions, reopening and what is staged', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    const [ann, ben] = await chain.transact((tx) => [
      tx.create(Person, { city: 'Delft', age: 3 }),
      tx.create(Person, { city: 'Delft' }),
      tx.create(Note, { text: 'Delft' }),
    ])
    const found = async (city: string): Promise<string[]> =>
      (await chain.find(Person, 'city', city)).map(({ id }) => id)
    expect(await found('Delft')).toEqual([ann!.id, ben!.id])
    expect(await chain.find(Person, 'age', 3)).toHaveLength(1)
    await chain.transact((tx) => tx.update(Person, ben!, () => ({ city: 'Gouda' })))
    expect([await found('Delft'), await found('Gouda')]).toEqual([[ann!.id], [ben!.id]])
    kit.engine.hold()
    const moving = chain.transact((tx) => tx.update(Person, ann!, () => ({ city: 'Gouda' })))
    const making = chain.transact((tx) => tx.create(Person, { city: 'Gouda' }))
    await turns()
    expect([await found('Delft'), await found('Gouda')]).toEqual([[ann!.id], [ben!.id]])
    kit.engine.release()
    await moving
    const third = await making
    expect([await found('Delft'), await found('Gouda')]).toEqual([[], [ann!.id, ben!.id, third.id]])
    await chain.transact((tx) => tx.delete(ben!))
    expect(await found('Gouda')).toEqual([ann!.id, third.id])
    await using again = await reopen(kit)
    expect((await again.chain.find(Person, 'city', 'Gouda')).map(({ id }) => id)).toEqual([ann!.id, third.id])
    expect(await codeOf(again.chain.find(Person, 'none', 1))).toBe('BAD_ARGUMENT')
    expect(await codeOf(again.chain.find(Person, 'toString', 1))).toBe('BAD_ARGUMENT')
  })

  it('what is no value of a type with a shape is BAD_VALUE where it is read, and keeps nobody from what an index finds', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    const Shaped = defineType<{ city: string }>('person', {
      indexes: { city: ({ city }) => city },
      shape: (value) => typeof (value as { city?: unknown } | null)?.city === 'string',
    })
    const Any = defineType<unknown>('person')
    const ids = await chain.transact((tx) => [
      tx.create(Shaped, { city: 'Delft' }).id,
      ...[null, 5, {}, [], { city: 5 }].map((value) => tx.create(Any, value).id),
    ])
    await using again = await reopen(kit)
    for (const [at, id] of ids.entries())
      expect(await codeOf(again.chain.get(Shaped, id))).toBe(at === 0 ? 'nothing was thrown' : 'BAD_VALUE')
    expect((await again.chain.find(Shaped, 'city', 'Delft')).map(({ id }) => id)).toEqual([ids[0]])
    // One that is mended is found, and one that is spoilt is not any more.
    await again.chain.transact((tx) => {
      tx.put(Shaped, 'named', { city: 'Delft' })
      return tx.update(Any, ids[0]!, () => 'spoilt')
    })
    expect((await again.chain.find(Shaped, 'city', 'Delft')).map(({ name }) => name)).toEqual(['named'])
  })

  it('two at once answer in full, however slow the reads are', async () => {
    await using kit = await memoryChain()
    await kit.chain.transact((tx) => {
      for (let i = 0; i < 5; i++) tx.create(Person, { city: 'Delft' })
    })
    await using slow = await reopen(kit)
    slow.engine.slowReads = true
    const all = await Promise.all(Array.from({ length: 3 }, () => slow.chain.find(Person, 'city', 'Delft')))
    expect(all.map((found) => found.length)).toEqual([5, 5, 5])
  })

  it('a read that failed is made up for by the next look, of the first one and of a change', async () => {
    await using kit = await memoryChain()
    const [ann] = await kit.chain.transact((tx) => [
      tx.create(Person, { city: 'Delft' }),
      tx.create(Person, { city: 'Delft' }),
    ])
    await using again = await reopen(kit)
    const { chain, engine } = again
    const found = async (city: string): Promise<number> => (await chain.find(Person, 'city', city)).length
    const read = vi.spyOn(engine, 'readPart')
    const fails = (): unknown => read.mockImplementationOnce(() => Promise.reject(new AteError('OFFLINE', {})))
    fails()
    expect(await codeOf(found('Delft'))).toBe('OFFLINE')
    expect(await found('Delft')).toBe(2)
    await chain.transact((tx) => tx.update(Person, ann!, () => ({ city: 'Gouda' })))
    await chain.verify()
    read.mockClear()
    fails()
    expect(await codeOf(found('Gouda'))).toBe('OFFLINE')
    expect([await found('Delft'), await found('Gouda')]).toEqual([1, 1])
  })

  it('have what could not be read when it was looked at, once it can be', async () => {
    await using kit = await memoryChain()
    await kit.chain.transact((tx) => {
      tx.role('crew').add(person('carol').publicId)
      const node = tx.create(Note, { text: '' }, { read: [role('crew')] })
      tx.create(Person, { city: 'Delft' }, { parent: node })
    })
    const beside = await open(memoryEngine(kit.store, { readOnly: true }), {
      as: person('bob'),
      id: kit.chain.id,
      readOnly: true,
    })
    expect(await beside.find(Person, 'city', 'Delft')).toHaveLength(0)
    await kit.chain.transact((tx) => tx.role('crew').add(person('bob').publicId))
    await beside.refresh()
    expect(await beside.find(Person, 'city', 'Delft')).toHaveLength(1)
    await beside.close()
  })
})

describe('events', () => {
  const take = async (events: AsyncIterable<ChainEvent>, count: number): Promise<ChainEvent[]> => {
    const taken: ChainEvent[] = []
    for await (const event of events) if (taken.push(event) === count) break
    return taken
  }

  it('come from the first record, live, after reopening; and end with the signal or the chain', async () => {
    await using kit = await memoryChain()
    const note = await kit.chain.transact((tx) => tx.create(Note, { text: 'a' }))
    await kit.chain.transact((tx) => tx.update(note, () => ({ text: 'b' })))
    const [first, second] = await take(kit.chain.events(), 2)
    expect(first).toMatchObject({ seq: 1, op: 'create', entity: note.id, type: 'note', collection: 'note' })
    expect(first!.author).toBe(person('alice').fingerprint)
    expect(second).toMatchObject({ seq: 2, op: 'put', entity: note.id })
    expect([await first!.value(Note), await second!.value(Note)]).toEqual([{ text: 'a' }, { text: 'b' }])
    expect(await codeOf(first!.value(Count))).toBe('BAD_VALUE')
    const live = take(kit.chain.events({ from: 3 }), 1)
    await turns()
    await kit.chain.transact((tx) => tx.delete(note))
    expect((await live)[0]).toMatchObject({ op: 'delete', entity: note.id })
    const abort = new AbortController()
    const reason = new Error('enough')
    const endless = take(kit.chain.events({ signal: abort.signal }), 99)
    await turns()
    abort.abort(reason)
    await expect(endless).rejects.toBe(reason)
    const closing = take(kit.chain.events(), 99)
    await turns()
    await using again = await reopen(kit)
    expect((await closing).length).toBe(3)
    const all = await take(again.chain.events({ until: 'end' }), 99)
    expect(all.map(({ op }) => op)).toEqual(['create', 'put', 'delete'])
    expect(await take(again.chain.events({ from: 99, until: 'end' }), 1)).toEqual([])
  })

  it('show only what is acknowledged', async () => {
    await using kit = await memoryChain()
    const seen: string[] = []
    void (async () => {
      for await (const { op } of kit.chain.events()) seen.push(op)
    })()
    kit.engine.hold()
    const pending = kit.chain.transact((tx) => tx.create(Note, { text: 'a' }))
    await turns()
    expect(seen).toEqual([])
    kit.engine.release()
    await pending
    await turns()
    expect(seen).toEqual(['create'])
  })
})

describe('watch', () => {
  it('tells of changes from the call on, merged while nobody looks', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    const watch = chain.watch()
    const note = await chain.transact((tx) => tx.create(Note, { text: 'a' }))
    await chain.transact((tx) => tx.update(note, () => ({ text: 'b' })))
    expect(await watch.next()).toEqual({ done: false, value: { kind: 'created', type: 'note', id: note.id } })
    await chain.transact((tx) => tx.update(note, () => ({ text: 'c' })))
    expect((await watch.next()).value).toMatchObject({ kind: 'changed', id: note.id })
    await chain.transact((tx) => tx.delete(note))
    expect((await watch.next()).value).toMatchObject({ kind: 'deleted', id: note.id })
    await watch.return()
    expect(await watch.next()).toEqual({ done: true, value: undefined })
  })

  it('narrows to an entity that is made later, and to its children', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    const box = chain.idOf(Thing, 'box')
    const watches = [chain.watch({ entity: box }), chain.watch({ parent: box })]
    const child = await chain.transact((tx) => tx.create(Count, { n: 1 }, { parent: tx.put(Thing, 'box', 'a') }))
    await turns()
    await chain.close()
    const seen = await Promise.all(watches.map(async (watch) => (await watch.next()).value))
    expect(seen).toMatchObject([
      { kind: 'created', id: box },
      { kind: 'created', id: child.id },
    ])
  })

  it('narrows to a type, an entity, or the children of one; ends with the signal or the chain', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    const [box, note] = await chain.transact((tx) => [tx.create(Thing, 'box'), tx.create(Note, { text: 'a' })])
    const ids = async (watch: AsyncIterable<EntityChange>): Promise<string[]> => {
      const seen: string[] = []
      for await (const { id } of watch as AsyncIterable<EntityChange>) seen.push(id)
      return seen
    }
    const abort = new AbortController()
    const watches = [
      ids(chain.watch({ type: Note }) as never),
      ids(chain.watch({ entity: box! }) as never),
      ids(chain.watch({ parent: box! }) as never),
    ]
    const ended = ids(chain.watch({ signal: abort.signal }) as never)
    const child = await chain.transact((tx) => tx.create(Count, { n: 1 }, { parent: box! }))
    await chain.transact((tx) => tx.update(note!, () => ({ text: 'b' })))
    await chain.transact((tx) => tx.update(box!, () => 'box 2'))
    await turns()
    abort.abort(new Error('enough'))
    await expect(ended).rejects.toThrow('enough')
    await chain.close()
    expect(await Promise.all(watches)).toEqual([[note!.id], [box!.id], [child.id]])
  })

  it('refuses bad arguments at once', async () => {
    await using kit = await memoryChain()
    expect(await codeOf(() => kit.chain.watch({ entity: 'x' }))).toBe('BAD_ID')
  })
})

describe('counters', () => {
  it('are bounded, never conflict, and show what is acknowledged', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    const counters = { left: { value: 10n, floor: 0n, ceiling: 20n }, free: {} }
    const made = await chain.transact((tx) => tx.create(Thing, 'x', { counters }))
    expect([chain.counter(made, 'left'), chain.counter(made, 'free')]).toEqual([10n, 0n])
    await Promise.all(Array.from({ length: 10 }, () => chain.transact((tx) => tx.add(made, 'left', -1n))))
    expect(chain.counter(made, 'left')).toBe(0n)
    expect(await codeOf(chain.transact((tx) => tx.add(made, 'left', -1n)))).toBe('COUNTER_BOUNDS')
    expect(await codeOf(chain.transact((tx) => tx.add(made, 'left', 21n)))).toBe('COUNTER_BOUNDS')
    expect(await codeOf(chain.transact((tx) => tx.add(made, 'none', 1n)))).toBe('NO_COUNTER')
    expect(await codeOf(chain.transact((tx) => tx.add(made, 'left', 1 as never)))).toBe('BAD_ARGUMENT')
    expect(await codeOf(chain.transact((tx) => tx.add(made, 'free', 2n ** 127n)))).toBe('COUNTER_BOUNDS')
    expect(await codeOf(() => chain.counter(UNKNOWN, 'left'))).toBe('NOT_FOUND')
    // Within one transaction only the end counts.
    await chain.transact((tx) => {
      tx.add(made, 'left', -5n)
      tx.add(made, 'left', 8n)
    })
    expect(chain.counter(made, 'left')).toBe(3n)
    const many = Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`c${i}`, {}]))
    expect(await codeOf(chain.transact((tx) => tx.create(Thing, 'x', { counters: many })))).toBe('BAD_ARGUMENT')
  })

  it('of a unit add up to nothing, unless a mint says otherwise', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    const [unit, a, b] = await chain.transact((tx) => {
      const unit = tx.create(Thing, 'euro', { write: [person('carol').publicId] })
      tx.role('payers').add(person('bob').publicId)
      const account = (): ReturnType<typeof tx.create> =>
        tx.create(Thing, 'account', { counters: { money: { floor: 0n, unit } } })
      return [unit, account(), account()]
    })
    expect(await codeOf(chain.transact((tx) => tx.add(a!, 'money', 5n)))).toBe('NOT_CONSERVED')
    await chain.transact((tx) => tx.setPolicy(unit!, { write: [person('alice').publicId] }))
    await chain.transact((tx) => tx.add(a!, 'money', 5n))
    await chain.transact((tx) => tx.setPolicy(unit!, { write: 'nobody' }))
    await chain.transact((tx) => {
      tx.add(a!, 'money', -3n)
      tx.add(b!, 'money', 3n)
    })
    expect([chain.counter(a!, 'money'), chain.counter(b!, 'money')]).toEqual([2n, 3n])
    expect(await codeOf(chain.transact((tx) => tx.delete(a!)))).toBe('NOT_CONSERVED')
    await assertSameAsLog(chain)
  })
})

describe('expiry and retention', () => {
  it('what has expired is gone for readers at once, and for good after a sweep', async () => {
    await using kit = await memoryChain()
    const { chain, platform } = kit
    const [short, long] = await chain.transact((tx) => [
      tx.create(Note, { text: 'short' }, { ttl: '10s', name: 'n' }),
      tx.create(Note, { text: 'long' }, { expires: new Date(chain.now + 60_000) }),
    ])
    expect(await chain.sweep()).toBe(0)
    platform.advance(9_999)
    expect((await chain.get(Note, short!))?.value.text).toBe('short')
    platform.advance(1)
    expect(await chain.get(Note, short!)).toBeUndefined()
    expect(await chain.named(Note, 'n')).toBeUndefined()
    expect(chain.children(Note).ids()).toEqual([long!.id])
    await using reading = chain.begin()
    expect(await reading.get(Note, short!)).toBeUndefined()
    // Chain time is that of the newest record: nothing is swept by a reader's clock.
    expect(await chain.sweep()).toBe(0)
    expect(await codeOf(chain.transact((tx) => tx.create(Note, { text: 'b' }, { name: 'n' })))).toBe('NAME_TAKEN')
    expect(await chain.sweep()).toBe(0)
    await chain.transact((tx) => tx.update(long!, ({ text }) => ({ text })))
    expect(await chain.sweep()).toBe(1)
    await chain.transact((tx) => tx.create(Note, { text: 'b' }, { name: 'n' }))
    expect((await chain.named(Note, 'n'))!.value.text).toBe('b')
    await assertSameAsLog(chain)
  })

  it('put renews what expires, and brings back what has expired', async () => {
    await using kit = await memoryChain()
    const { chain, platform } = kit
    await chain.transact((tx) => tx.put(Note, 'k', { text: 'a' }, { ttl: 10 }))
    await chain.transact((tx) => tx.put(Note, 'k', { text: 'b' }, { ttl: 1000 }))
    platform.advance(50)
    expect((await chain.named(Note, 'k'))!.value.text).toBe('b')
    platform.advance(1000)
    expect(await chain.named(Note, 'k')).toBeUndefined()
    await chain.transact((tx) => tx.put(Note, 'k', { text: 'c' }))
    platform.advance(10_000)
    expect((await chain.named(Note, 'k'))!.value.text).toBe('c')
    await chain.transact((tx) => tx.expire(chain.children(Note).ids()[0]!, { ttl: 5 }))
    await chain.transact((tx) => tx.expire(chain.children(Note).ids()[0]!, {}))
    platform.advance(10_000)
    expect((await chain.named(Note, 'k'))!.value.text).toBe('c')
  })

  it('a sweep that meets what is staged on top of it: each author is told, and nothing is lost', async () => {
    await using kit = await memoryChain()
    const { chain, engine, platform } = kit
    const note = await chain.transact((tx) => tx.create(Note, { text: 'a' }, { ttl: 10 }))
    platform.advance(50)
    const other = await chain.transact((tx) => tx.create(Count, { n: 0 }))
    engine.hold()
    const sweep = chain.sweep()
    await turns()
    const late = codeOf(chain.transact((tx) => tx.expire(note, { ttl: 1000 })))
    const fine = chain.transact((tx) => tx.update(other, ({ n }) => ({ n: n + 1 })))
    await turns()
    engine.release()
    expect([await sweep, await late]).toEqual([1, 'NOT_FOUND'])
    await fine
    expect((await chain.load(Count, other)).value.n).toBe(1)
    await assertSameAsLog(chain)
  })

  it('time goes on where the wall clock goes back', async () => {
    await using kit = await memoryChain()
    const { chain, engine, platform } = kit
    platform.setWallClock(1_800_000_000_000)
    engine.hold()
    const first = chain.transact((tx) => tx.create(Note, { text: 'a' }, { ttl: 10 }))
    await turns()
    platform.setWallClock(1_700_000_000_000)
    const second = chain.transact((tx) => tx.create(Note, { text: 'b' }, { ttl: 10 }))
    await turns()
    engine.release()
    await Promise.all([first, second])
    expect(chain.now).toBe(1_800_000_000_000)
    await assertSameAsLog(chain)
  })

  it('what is retained is neither changed nor deleted, and retention only grows', async () => {
    await using kit = await memoryChain()
    const { chain, platform } = kit
    const note = await chain.transact((tx) => tx.create(Note, { text: 'a' }, { retain: chain.now + 1000, ttl: 10 }))
    for (const change of [
      chain.transact((tx) => tx.update(note, () => ({ text: 'b' }))),
      chain.transact((tx) => tx.delete(note)),
      chain.transact((tx) => tx.move(note, { in: 'x' })),
      chain.transact((tx) => tx.expire(note, {})),
    ]) {
      expect(await codeOf(change)).toBe('RETAINED')
    }
    expect(await codeOf(chain.transact((tx) => tx.retain(note, { retain: chain.now })))).toBe('RETAIN_SHRINKS')
    await chain.transact((tx) => tx.retain(note, { retain: chain.now + 2000 }))
    platform.advance(1500)
    expect(await codeOf(chain.transact((tx) => tx.delete(note)))).toBe('RETAINED')
    await chain.transact((tx) => tx.create(Note, { text: 'x' }))
    expect(await chain.sweep()).toBe(0)
    await chain.transact((tx) => tx.retain(note, { holds: ['case 7'] }))
    platform.advance(1_000_000)
    expect(await codeOf(chain.transact((tx) => tx.delete(note)))).toBe('RETAINED')
    expect(await codeOf(chain.transact((tx) => tx.retain(note, { retain: 1.5 })))).toBe('BAD_ARGUMENT')
    await assertSameAsLog(chain)
  })
})

describe('checkpoints, verification, stats', () => {
  it('what is staged while witnesses are asked comes behind the checkpoint, or in its place if it is not made', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    const a = await chain.transact((tx) => tx.create(Note, { text: 'a' }))
    const staged: Promise<unknown>[] = []
    const askWitnesses = (answer: () => string[]) => async () => {
      staged.push(chain.transact((tx) => tx.create(Note, { text: 'b' })))
      await turns()
      staged.push(chain.transact((tx) => tx.update(Note, a, ({ text }) => ({ text: `${text}!` }))))
      return answer()
    }
    const { seq } = await chain.checkpoint({ cosign: askWitnesses(() => []) })
    await Promise.all(staged)
    expect([seq, chain.head.seq > seq]).toEqual([2, true])
    const before = chain.head.seq
    const late = (): string[] => {
      throw new Error('no witness')
    }
    await expect(chain.checkpoint({ cosign: askWitnesses(late) })).rejects.toThrow('no witness')
    await Promise.all(staged)
    expect(chain.head.seq).toBeGreaterThan(before)
    expect((await chain.load(Note, a)).value.text).toBe('a!!')
    await assertSameAsLog(chain)
    expect(await chain.verify()).toMatchObject({ ok: true, checkpoints: 1, problems: [] })
  })

  it('a checkpoint by the root’s key, verified; by nobody else', async () => {
    await using kit = await memoryChain()
    const note = await kit.chain.transact((tx) => tx.create(Note, { text: 'a' }, { write: [person('bob').publicId] }))
    expect(await kit.chain.checkpoint()).toMatchObject({ seq: 2, size: 2 })
    expect(await kit.chain.verify()).toMatchObject({ ok: true, records: 3, checkpoints: 1, voids: 0, problems: [] })
    const again = await reopen(kit, { as: person('bob') })
    await again.chain.transact((tx) => tx.delete(note.id))
    expect(await codeOf(again.chain.checkpoint())).toBe('NOT_AUTHORIZED')
    await again.chain.close()
  })

  it('progress is told, a signal ends it, and the report is of this chain', async () => {
    await using kit = await memoryChain()
    await kit.chain.transact((tx) => tx.create(Note, { text: 'a' }))
    const steps: number[][] = []
    const report = await kit.chain.verify({ onProgress: (done, total) => steps.push([done, total]) })
    expect(steps.at(-1)).toEqual([2, 2])
    expect(report.head!.hash).toEqual(kit.chain.head.hash)
    const reason = new Error('enough')
    await expect(kit.chain.verify({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  })

  it('stats, writers, head, now and the brand', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    expect([isChain(chain), isChain({}), isChain(null)]).toEqual([true, false, false])
    expect(chain.stats()).toMatchObject({ records: 1, entities: 0, pending: 0, attestedSeq: 0 })
    expect(chain.writers()).toEqual([])
    await chain.transact((tx) => tx.create(Note, { text: 'a' }))
    expect(chain.writers()).toMatchObject([{ identity: chain.identity, commits: 1, unattested: 1, ended: false }])
    chain.head.hash.fill(0)
    expect(chain.head.hash.some((byte) => byte !== 0)).toBe(true)
    const { now } = chain
    kit.platform.advance(1000)
    expect(chain.now).toBe(now + 1000)
    await turns()
    expect(chain.stats().attestedSeq).toBe(2)
    const [writer] = chain.writers()
    await chain.transact((tx) => tx.endWriter(writer!.id))
    await chain.transact((tx) => tx.create(Note, { text: 'b' }))
    expect(chain.writers().map(({ ended }) => ended)).toEqual([true, false])
    expect(await codeOf(chain.transact((tx) => tx.endWriter('x')))).toBe('BAD_ID')
    expect(await codeOf(chain.transact((tx) => tx.endWriter('0'.repeat(52))))).toBe('CERT_UNKNOWN')
    expect(await codeOf(chain.transact((tx) => tx.settings({ level: 99 })))).toBe('LEVEL_TOO_HIGH')
    expect(await codeOf(chain.transact((tx) => tx.settings({ checkpointKeys: [new Uint8Array(5)] })))).toBe(
      'BAD_ARGUMENT',
    )
    expect(await codeOf(chain.transact((tx) => tx.settings({ sequencers: [5 as never] })))).toBe('BAD_ARGUMENT')
    expect(await codeOf(chain.adopt('x'))).toBe('BAD_ID')
    expect(await codeOf(chain.adopt('0'.repeat(52)))).toBe('CERT_UNKNOWN')
    expect(await codeOf(chain.refresh())).toBe(NOTHING)
    await assertSameAsLog(chain)
  })

  it('a manager adopts what a dead writer left unattested', async () => {
    await using kit = await memoryChain()
    const board = await kit.chain.transact((tx) => tx.create(Note, { text: 'a' }, { write: [person('bob').publicId] }))
    await using bob = await reopen(kit, { as: person('bob') })
    await bob.chain.transact((tx) => tx.delete(board.id))
    // Bob's process dies: its store is left as it is.
    const dead = copyOf(bob.store)
    const chainLike = { id: bob.chain.id, close: async () => undefined } as typeof bob.chain
    await using alice = await reopen({ store: dead, platform: quickPlatform(9), chain: chainLike })
    const writer = alice.chain.writers().find(({ identity }) => identity === person('bob').fingerprint)!
    expect(writer.unattested).toBe(1)
    const both = await Promise.allSettled([alice.chain.adopt(writer.id), alice.chain.adopt(writer.id)])
    expect(both[0]).toEqual({ status: 'fulfilled', value: 1 })
    expect(both[1].status === 'rejected' ? both[1].reason.code : both[1].value).toBe('CERT_UNKNOWN')
    expect(await alice.chain.adopt(writer.id)).toBe(0)
    expect(await alice.chain.verify()).toMatchObject({ ok: true, adopted: 1 })
  })
})
