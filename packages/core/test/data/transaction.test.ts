/** The verbs of a transaction, with right and wrong arguments; what it reads of what it wrote; conflicts and guards. */
import { describe, expect, it } from 'vitest'
import { AteError } from '../../src/base/errors.ts'
import { HOLDS } from '../../src/chain/fold-locks.ts'
import { stageIn } from '../../src/data/effects.ts'
import type { Entity } from '../../src/data/entity.ts'
import { foreignRef, parseForeignRef } from '../../src/data/entity.ts'
import { defineType } from '../../src/data/entity-type.ts'
import { role } from '../../src/data/policy-input.ts'
import { type StandardSchema, validated } from '../../src/data/standard-schema.ts'
import type { Transaction } from '../../src/data/transaction.ts'
import {
  assertSameAsLog,
  Count,
  codeOf,
  coreOf,
  errorOf,
  memoryChain,
  Note,
  person,
  quickPlatform,
  reopen,
  Thing,
  turns,
} from './kit.ts'

const NOTHING = 'nothing was thrown'
const UNKNOWN = '0123456789abcdefghjkmnpq00'

describe('create', () => {
  it('gives a handle with chain, type, id and value, before anything is written', async () => {
    await using kit = await memoryChain()
    let inside: Entity<{ text: string }> | undefined
    const made = await kit.chain.transact((tx) => {
      inside = tx.create(Note, { text: 'a' })
      return inside
    })
    expect(made).toBe(inside)
    expect([made.chain, made.type, made.name, made.value]).toEqual([kit.chain.id, 'note', undefined, { text: 'a' }])
    expect(made.id).toMatch(/^[0-9a-z]{26}$/)
    expect(JSON.parse(JSON.stringify(made))).toEqual({
      chain: kit.chain.id,
      type: 'note',
      id: made.id,
      value: { text: 'a' },
    })
  })

  it('takes every value that the encoding knows, and gives it back', async () => {
    await using kit = await memoryChain()
    const values: unknown[] = [
      null,
      true,
      0,
      -1,
      1.5,
      2 ** 53 - 1,
      Number.POSITIVE_INFINITY,
      12345678901234567890n,
      'text',
      '',
      '\ufeff',
      [],
      [1, [2, [3]]],
      {},
      { a: { b: { c: null } } },
      new Uint8Array([1, 2, 3]),
    ]
    const made = await kit.chain.transact((tx) => values.map((value) => tx.create(Thing, value)))
    await using again = await reopen(kit)
    for (const [i, value] of values.entries()) {
      expect((await again.chain.load(Thing, made[i]!.id)).value).toEqual(value)
    }
  })

  it('refuses what cannot be stored, and the transaction goes on without it', async () => {
    await using kit = await memoryChain()
    const cyclic: Record<string, unknown> = {}
    cyclic['self'] = cyclic
    let deep: unknown = 1
    for (let i = 0; i < 100; i++) deep = [deep]
    for (const value of [() => 1, Symbol('x'), cyclic, deep, 2n ** 200n, new Map([[{}, 1]])]) {
      const made = await kit.chain.transact(async (tx) => {
        expect(['BAD_VALUE', 'VALUE_TOO_LARGE']).toContain(await codeOf(() => tx.create(Thing, value)))
        return tx.create(Thing, 'fine')
      })
      expect((await kit.chain.load(Thing, made)).value).toBe('fine')
    }
    expect(kit.chain.stats().entities).toBe(6)
  })

  it('refuses wrong types, names, places and options', async () => {
    await using kit = await memoryChain()
    const codes = async (run: (tx: Transaction) => unknown): Promise<string> =>
      codeOf(kit.chain.transact((tx) => void run(tx)))
    expect(await codes((tx) => tx.create(undefined as never, 1))).toBe('BAD_ARGUMENT')
    expect(await codes((tx) => tx.create({} as never, 1))).toBe('BAD_ARGUMENT')
    expect(await codes((tx) => tx.create(Thing, 1, { name: '' }))).toBe('BAD_ARGUMENT')
    expect(await codes((tx) => tx.create(Thing, 1, { name: 'x'.repeat(513) }))).toBe('BAD_ARGUMENT')
    expect(await codes((tx) => tx.create(Thing, 1, { name: '\u{1f600}'.repeat(129) }))).toBe('BAD_ARGUMENT')
    expect(await codes((tx) => tx.create(Thing, 1, { name: 'ate:x' }))).toBe('RESERVED_NAME')
    expect(await codes((tx) => tx.create(Thing, 1, { in: 'ate:roles' }))).toBe('RESERVED_NAME')
    expect(await codes((tx) => tx.create(Thing, 1, { in: 5 as never }))).toBe('BAD_ARGUMENT')
    expect(await codes((tx) => tx.create(Thing, 1, { parent: 'nonsense' }))).toBe('BAD_ID')
    expect(await codes((tx) => tx.create(Thing, 1, { parent: UNKNOWN }))).toBe('NOT_FOUND')
    expect(await codes((tx) => tx.create(Thing, 1, { parent: null as never }))).toBe('BAD_ID')
    expect(await codes((tx) => tx.create(Thing, 1, { expires: 5, ttl: 5 }))).toBe('BAD_ARGUMENT')
    expect(await codes((tx) => tx.create(Thing, 1, { ttl: -1 }))).toBe('BAD_ARGUMENT')
    expect(await codes((tx) => tx.create(Thing, 1, { ttl: '5 parsecs' as never }))).toBe('BAD_ARGUMENT')
    expect(await codes((tx) => tx.create(Thing, 1, { expires: Number.NaN }))).toBe('BAD_ARGUMENT')
    expect(await codes((tx) => tx.create(Thing, 1, { read: 'nobody' as never }))).toBe('EPOCH_SHAPE')
    expect(await codes((tx) => tx.create(Thing, 1, { read: 'all' as never }))).toBe('BAD_ARGUMENT')
    expect(await codes((tx) => tx.create(Thing, 1, { read: [role('nobody knows')] }))).toBe('NO_ROLE')
    expect(await codes((tx) => tx.create(Thing, 1, { write: ['ate1garbage' as never] }))).toBe('BAD_PUBLIC_ID')
    expect(await codes((tx) => tx.create(Thing, 1, { counters: { c: { value: 1 as never } } }))).toBe('BAD_ARGUMENT')
    expect(kit.chain.stats().entities).toBe(0)
    expect(kit.chain.head.seq).toBe(0)
  })

  it('bounds one value and one transaction, and takes what is just within', async () => {
    await using kit = await memoryChain()
    const large = (bytes: number): Uint8Array => new Uint8Array(bytes)
    const most = 896 * 1024 - 16
    const made = await kit.chain.transact((tx) => tx.create(Thing, large(most)))
    expect(((await kit.chain.load(Thing, made.id)).value as Uint8Array).length).toBe(most)
    const value = await errorOf(kit.chain.transact((tx) => tx.create(Thing, large(896 * 1024))))
    expect([value.code, value.facts['max']]).toEqual(['VALUE_TOO_LARGE', 896 * 1024])
    const many = kit.chain.transact((tx) => {
      for (let i = 0; i < 10; i++) tx.create(Thing, large(100 * 1024))
    })
    expect(await codeOf(many)).toBe('TX_TOO_LARGE')
    const events = kit.chain.transact((tx) => {
      for (let i = 0; i < 65_537; i++) tx.delete(made)
    })
    expect(await codeOf(events)).toBe('TX_TOO_LARGE')
    // Many small ones up to the limit: the estimate of their bytes is never too low.
    for (const size of [1, 40, 300]) {
      const count = Math.floor((940 * 1024) / (size + 130))
      await kit.chain.transact((tx) => {
        for (let i = 0; i < count; i++) tx.create(Thing, large(size), { in: `c${i % 100}` })
      })
    }
  })

  it('copies the value: what becomes of the argument later changes nothing', async () => {
    await using kit = await memoryChain()
    const value = { list: [1] }
    const made = await kit.chain.transact((tx) => {
      const entity = tx.create(Thing, value)
      value.list.push(2)
      return entity
    })
    expect((await kit.chain.load(Thing, made.id)).value).toEqual({ list: [1] })
  })
})

describe('schemas, versions and migrations', () => {
  it('check what is written and what is read', async () => {
    await using kit = await memoryChain()
    const error = await errorOf(kit.chain.transact((tx) => tx.create(Note, { text: 5 } as never)))
    expect([error.code, error.facts['path'], error.facts['type']]).toEqual(['BAD_VALUE', 'text', 'note'])
    const note = await kit.chain.transact((tx) => tx.create(Note, { text: 'a' }))
    expect(await codeOf(kit.chain.transact((tx) => tx.update(Note, note, () => ({}) as never)))).toBe('BAD_VALUE')
    expect(await codeOf(kit.chain.transact((tx) => tx.put(Note, 'n', {} as never)))).toBe('BAD_VALUE')
    const loose = defineType<unknown>('note')
    await kit.chain.transact((tx) => tx.update(loose, note, () => ({ other: 1 })))
    expect(await codeOf(kit.chain.get(Note, note.id))).toBe('BAD_VALUE')
    expect((await kit.chain.load(loose, note.id)).value).toEqual({ other: 1 })
  })

  it('migrate older values when they are read, and refuse newer ones', async () => {
    await using kit = await memoryChain()
    const one = defineType<{ name: string }>('person')
    const two = defineType<{ first: string }>('person', {
      version: 2,
      migrate: (value, from) => ({ first: `${(value as { name: string }).name} of ${from}` }),
    })
    const bare = defineType<{ first: string }>('person', { version: 3 })
    const made = await kit.chain.transact((tx) => tx.create(one, { name: 'Ada' }))
    expect((await kit.chain.load(two, made.id)).value).toEqual({ first: 'Ada of 1' })
    expect(await codeOf(kit.chain.load(bare, made.id))).toBe('BAD_VALUE')
    await kit.chain.transact((tx) => tx.update(two, made.id, (value) => value))
    const error = await errorOf(kit.chain.load(one, made.id))
    expect([error.code, error.facts['version'], error.facts['known']]).toEqual(['NEEDS_UPGRADE', 2, 1])
    expect(await codeOf(kit.chain.transact((tx) => tx.update(one, made.id, (value) => value)))).toBe('NEEDS_UPGRADE')
  })

  it('are declared with good names, versions and synchronous schemas', async () => {
    expect(await codeOf(() => defineType(''))).toBe('BAD_ARGUMENT')
    expect(await codeOf(() => defineType('ate:own'))).toBe('RESERVED_NAME')
    expect(await codeOf(() => defineType('x', { version: 0 }))).toBe('BAD_ARGUMENT')
    expect(await codeOf(() => defineType('x', { version: 1.5 }))).toBe('BAD_ARGUMENT')
    const slow = {
      '~standard': { version: 1 as const, vendor: 'test', validate: async (value: unknown) => ({ value }) },
    }
    await using kit = await memoryChain()
    expect(await codeOf(kit.chain.transact((tx) => tx.create(defineType('slow', slow), 1)))).toBe('BAD_ARGUMENT')
  })
})

describe('what a transaction reads', () => {
  it('is what it wrote, deleted and moved, which nobody else sees', async () => {
    await using kit = await memoryChain()
    const [box, kept, dropped] = await kit.chain.transact((tx) => [
      tx.create(Thing, 'box'),
      tx.create(Note, { text: 'kept' }),
      tx.create(Note, { text: 'dropped' }),
    ])
    await kit.chain.transact(async (tx) => {
      const fresh = tx.create(Note, { text: 'fresh' })
      expect((await tx.load(Note, fresh)).value.text).toBe('fresh')
      await tx.update(fresh, ({ text }) => ({ text: `${text} 2` }))
      expect((await tx.load(Note, fresh.id)).value.text).toBe('fresh 2')
      await tx.update(Note, kept!, () => ({ text: 'kept 2' }))
      expect((await tx.get(Note, kept!))!.value.text).toBe('kept 2')
      expect((await tx.peek(Note, kept!))!.value.text).toBe('kept 2')
      tx.delete(dropped!)
      expect(await tx.get(Note, dropped!)).toBeUndefined()
      expect(await codeOf(tx.load(Note, dropped!))).toBe('NOT_FOUND')
      expect(await codeOf(tx.update(Note, dropped!, (value) => value))).toBe('NOT_FOUND')
      tx.move(kept!, { parent: box! })
      const texts: string[] = []
      for await (const child of tx.children(Note, undefined)) texts.push(child.value.text)
      expect(texts).toEqual(['fresh 2'])
      for await (const child of tx.children(Note, box!)) texts.push(child.value.text)
      expect(texts).toEqual(['fresh 2', 'kept 2'])
      expect((await kit.chain.load(Note, kept!)).value.text).toBe('kept')
      expect((await kit.chain.get(Note, dropped!.id))!.value.text).toBe('dropped')
      expect(await kit.chain.get(Note, fresh.id)).toBeUndefined()
    })
    expect((await kit.chain.children(Note, box!).page()).map(({ value }) => value.text)).toEqual(['kept 2'])
    expect(await kit.chain.get(Note, dropped!.id)).toBeUndefined()
  })

  it('stands on what is staged before it, so that transactions stack', async () => {
    await using kit = await memoryChain()
    const count = await kit.chain.transact((tx) => tx.create(Count, { n: 0 }))
    kit.engine.hold()
    const seen: number[] = []
    const first = kit.chain.transact((tx) => tx.update(Count, count, ({ n }) => ({ n: n + 1 })))
    await turns()
    const second = kit.chain.transact(async (tx) => {
      seen.push((await tx.load(Count, count)).value.n)
      await tx.update(Count, count, ({ n }) => ({ n: n + 1 }))
    })
    await turns()
    expect((await kit.chain.load(Count, count)).value.n).toBe(0)
    kit.engine.release()
    await Promise.all([first, second])
    expect(seen).toEqual([1])
    expect((await kit.chain.load(Count, count)).value.n).toBe(2)
  })

  it('is frozen and shared', async () => {
    await using kit = await memoryChain()
    const made = await kit.chain.transact((tx) => tx.create(Thing, { list: [{ n: 1 }] }))
    const one = await kit.chain.load(Thing, made.id)
    const two = await kit.chain.load(Thing, made.id)
    expect(one.value).toBe(two.value)
    expect(() => (one.value as { list: unknown[] }).list.push(1)).toThrow(TypeError)
    expect(() => {
      ;(one.value as { list: { n: number }[] }).list[0]!.n = 2
    }).toThrow(TypeError)
    await kit.chain.transact((tx) =>
      tx.update(Thing, made.id, (value) => {
        expect(() => (value as { list: unknown[] }).list.push(1)).toThrow(TypeError)
        return value
      }),
    )
  })

  it('refuses wrong types, unknown ids and ids of other chains', async () => {
    await using kit = await memoryChain()
    await using other = await memoryChain({}, quickPlatform(2))
    const made = await kit.chain.transact((tx) => tx.create(Note, { text: 'a' }))
    const far = await other.chain.transact((tx) => tx.create(Note, { text: 'b' }))
    for (const reader of [kit.chain, 'tx'] as const) {
      const get = (type: never, ref: never): Promise<unknown> =>
        reader === 'tx' ? kit.chain.transact((tx) => tx.get(type, ref)) : reader.get(type, ref)
      expect(await codeOf(get(Count as never, made as never))).toBe('WRONG_TYPE')
      expect(await codeOf(get(5 as never, made as never))).toBe('BAD_ARGUMENT')
      expect(await codeOf(get(Note as never, 'x' as never))).toBe('BAD_ID')
      expect(await codeOf(get(Note as never, 5 as never))).toBe('BAD_ID')
      expect(await codeOf(get(Note as never, undefined as never))).toBe('BAD_ID')
      expect(await codeOf(get(Note as never, {} as never))).toBe('BAD_ID')
      expect(await codeOf(get(Note as never, far as never))).toBe('BAD_ARGUMENT')
      expect(await codeOf(get(Note as never, foreignRef(far) as never))).toBe('BAD_ARGUMENT')
      expect(await codeOf(get(Note as never, 'ate:x/y' as never))).toBe('BAD_ID')
      expect(await get(Note as never, far.id as never)).toBeUndefined()
      expect(await get(Note as never, UNKNOWN as never)).toBeUndefined()
      expect(await get(Note as never, foreignRef(made) as never)).toMatchObject({ value: { text: 'a' } })
    }
    expect(parseForeignRef(foreignRef(far))).toEqual({ chain: other.chain.id, id: far.id })
    expect(await codeOf(kit.chain.load(Note, UNKNOWN))).toBe('NOT_FOUND')
    for (const use of [
      (tx: Transaction) => tx.delete(far),
      (tx: Transaction) => tx.move(far, {}),
      (tx: Transaction) => tx.add(far, 'n', 1n),
      (tx: Transaction) => tx.setPolicy(far, { write: 'everyone' }),
      (tx: Transaction) => tx.create(Note, { text: '' }, { parent: far }),
      (tx: Transaction) => tx.guard.version(far, 1),
      (tx: Transaction) => tx.expire(far, {}),
      (tx: Transaction) => tx.retain(far, {}),
      (tx: Transaction) => tx.forget(far),
      (tx: Transaction) => tx.role('x', far),
    ]) {
      expect(await codeOf(kit.chain.transact((tx) => void use(tx)))).toBe('BAD_ARGUMENT')
    }
  })
})

describe('types that keep what is written', () => {
  const Kept = defineType<{ list: number[] }>('kept', { written: 'frozen' })

  it('give it back as it is, frozen: staged, acknowledged, and not if it was rolled back', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    const value = { list: [1] }
    const made = await chain.transact(async (tx) => {
      const made = tx.create(Kept, value)
      expect((await tx.get(Kept, made))?.value).toBe(value)
      return made
    })
    expect([Object.isFrozen(value), Object.isFrozen(value.list)]).toEqual([true, true])
    expect((await chain.get(Kept, made.id))?.value).toBe(value)
    const failed = chain.transact(async (tx) => {
      await tx.update(Kept, made, () => ({ list: [2] }))
      throw new Error('no')
    })
    await expect(failed).rejects.toThrow('no')
    const next = { list: [3] }
    let staged: Promise<unknown> = Promise.resolve()
    await chain.transact((tx) => tx.update(Kept, made, () => next), {
      staged: () => {
        staged = chain.transact(async (tx) => expect((await tx.get(Kept, made))?.value).toBe(next))
      },
    })
    await staged
    expect((await chain.get(Kept, made))?.value).toBe(next)
    // By another definition of the type it is decoded.
    const same = defineType<{ list: number[] }>('kept')
    expect((await chain.get(same, made))?.value).not.toBe(next)
    expect((await chain.get(same, made))?.value).toEqual(next)
    await using again = await reopen(kit)
    expect((await again.chain.load(Kept, made.id)).value).toEqual(next)
  })

  it('keep nothing for who may write and not read', async () => {
    await using kit = await memoryChain()
    const policy = { read: [person('alice').publicId], write: [person('bob').publicId] }
    const { id } = await kit.chain.transact((tx) => tx.create(Note, { text: 'box' }, policy))
    await using bob = await reopen(kit, { as: person('bob') })
    const made = await bob.chain.transact((tx) => tx.create(Kept, { list: [1] }, { parent: id }))
    expect(await codeOf(bob.chain.get(Kept, made))).toBe('NO_READ_KEY')
  })
})

describe('update, put, delete, move', () => {
  it('replace writes without reading again, under the guard of what was read', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    const one = await chain.transact((tx) => tx.put(Count, 'one', { n: 0 }))
    let runs = 0
    await chain.transact(async (tx) => {
      const read = (await tx.get(Count, one))!
      if (runs++ === 0) await chain.transact((other) => other.update(Count, one, ({ n }) => ({ n: n + 10 })))
      const first = tx.replace(read, { n: read.value.n + 1 })
      tx.replace(first, { n: first.value.n + 1 })
    })
    expect(runs).toBe(2)
    expect(await chain.named(Count, 'one')).toMatchObject({ value: { n: 12 }, name: 'one' })
    expect(chain.versionOf(one)).toBe(4)
    await chain.transact(async (tx) => {
      expect(await codeOf(() => tx.replace(one, { n: 'x' } as never))).toBe('BAD_VALUE')
      expect(await codeOf(() => tx.replace(one.id as never, { n: 1 }))).toBe('BAD_ARGUMENT')
      tx.delete(one)
      expect(await codeOf(() => tx.replace(one, { n: 1 }))).toBe('NOT_FOUND')
    })
    expect(await codeOf(chain.transact((tx) => tx.replace(one, { n: 1 })))).toBe('NOT_FOUND')
    await assertSameAsLog(chain)
  })

  it('update writes what the function makes of the newest value, also later', async () => {
    await using kit = await memoryChain()
    const made = await kit.chain.transact((tx) => tx.create(Count, { n: 1 }))
    const after = await kit.chain.transact((tx) =>
      tx.update(Count, made, async ({ n }) => {
        await turns(2)
        return { n: n + 1 }
      }),
    )
    expect([after.value.n, after.id]).toEqual([2, made.id])
    expect((await kit.chain.load(Count, made)).value.n).toBe(2)
    // A handle that was read is enough; a plain object needs the type.
    await kit.chain.transact((tx) => tx.update(made, ({ n }) => ({ n: n + 1 })))
    expect((await kit.chain.load(Count, made)).value.n).toBe(3)
    const plain = JSON.parse(JSON.stringify(made)) as Entity<{ n: number }>
    expect(await codeOf(kit.chain.transact((tx) => tx.update(plain, (value) => value)))).toBe('BAD_ARGUMENT')
    expect(await codeOf(kit.chain.transact((tx) => tx.update(Count, plain, (value) => value)))).toBe(NOTHING)
    expect(await codeOf(kit.chain.transact((tx) => tx.update(Count, made, 5 as never)))).toBe('BAD_ARGUMENT')
  })

  it('update passes on what its function throws, and writes nothing then', async () => {
    await using kit = await memoryChain()
    const made = await kit.chain.transact((tx) => tx.create(Count, { n: 1 }))
    const fail = (): never => {
      throw new RangeError('mine')
    }
    await expect(kit.chain.transact((tx) => tx.update(Count, made, fail))).rejects.toThrow(RangeError)
    await expect(kit.chain.transact((tx) => tx.update(Count, made, async () => fail()))).rejects.toThrow(RangeError)
    await kit.chain.transact(async (tx) => {
      await expect(tx.update(Count, made, fail)).rejects.toThrow(RangeError)
      tx.create(Note, { text: 'went on' })
    })
    expect((await kit.chain.load(Count, made)).value.n).toBe(1)
    expect(kit.chain.stats().entities).toBe(2)
  })

  it('put makes or replaces what has that name; create refuses', async () => {
    await using kit = await memoryChain()
    const one = await kit.chain.transact((tx) => tx.put(Note, 'n', { text: '1' }))
    const two = await kit.chain.transact((tx) => tx.put(Note, 'n', { text: '2' }))
    expect([one.id, one.name, two.name]).toEqual([two.id, 'n', 'n'])
    expect(await codeOf(kit.chain.transact((tx) => tx.create(Note, { text: '3' }, { name: 'n' })))).toBe('NAME_TAKEN')
    const found = await kit.chain.named(Note, 'n')
    expect([found!.value.text, found!.name]).toEqual(['2', 'n'])
    expect(await kit.chain.named(Note, 'm')).toBeUndefined()
    expect(await kit.chain.named(Note, 'n', { in: 'elsewhere' })).toBeUndefined()
    const below = await kit.chain.transact((tx) => tx.put(Note, 'n', { text: 'b' }, { parent: one, in: 'x' }))
    expect(below.id).not.toBe(one.id)
    expect((await kit.chain.named(Note, 'n', { parent: one, in: 'x' }))!.value.text).toBe('b')
    await kit.chain.transact(async (tx) => {
      tx.put(Note, 'twice', { text: '1' })
      tx.put(Note, 'twice', { text: '2' })
      expect((await tx.named(Note, 'twice'))!.value.text).toBe('2')
    })
    expect((await kit.chain.named(Note, 'twice'))!.value.text).toBe('2')
  })

  it('a name that lives again starts afresh, but its version counts on', async () => {
    await using kit = await memoryChain()
    const alice = person('alice').publicId
    const options = { name: 'x', ttl: 10, counters: { c: { value: 5n } }, read: [alice] } as const
    const first = await kit.chain.transact((tx) => tx.create(Note, { text: 'a' }, options))
    await kit.chain.transact((tx) => tx.delete(first))
    const again = await kit.chain.transact(async (tx) => {
      const made = tx.create(Note, { text: 'b' }, { name: 'x' })
      await tx.update(made, () => ({ text: 'c' }))
      return made
    })
    expect(again.id).toBe(first.id)
    kit.platform.advance(50)
    expect((await kit.chain.named(Note, 'x'))!.value.text).toBe('c')
    expect(await codeOf(() => kit.chain.counter(again, 'c'))).toBe('NO_COUNTER')
    expect(await codeOf(kit.chain.transact((tx) => tx.guard.version(again, 4)))).toBe(NOTHING)
    // Its own readers once more: the epochs of its first life are not used again.
    await kit.chain.transact((tx) => tx.delete(again))
    await kit.chain.transact((tx) => tx.create(Note, { text: 'd' }, { name: 'x', read: [alice] }))
    expect((await kit.chain.named(Note, 'x'))!.value.text).toBe('d')
    await kit.chain.transact(async (tx) => {
      tx.delete((await tx.named(Note, 'x'))!)
      const made = tx.create(Note, { text: 'e' }, { name: 'x' })
      await tx.update(made, () => ({ text: 'f' }))
    })
    expect((await kit.chain.named(Note, 'x'))!.value.text).toBe('f')
  })

  it('single children are one a collection', async () => {
    await using kit = await memoryChain()
    const box = await kit.chain.transact((tx) => tx.create(Thing, 'box'))
    await kit.chain.transact((tx) => tx.putChild(Note, { text: '1' }, { parent: box, in: 'lid' }))
    await kit.chain.transact(async (tx) => {
      expect((await tx.child(Note, box, 'lid'))!.value.text).toBe('1')
      tx.putChild(Note, { text: '2' }, { parent: box, in: 'lid' })
    })
    expect((await kit.chain.child(Note, box, 'lid'))!.value.text).toBe('2')
    expect(await kit.chain.child(Note, box)).toBeUndefined()
    expect(kit.chain.children(Note, box, 'lid').count()).toBe(1)
  })

  it('what has children is not deleted; what is deleted is gone for good', async () => {
    await using kit = await memoryChain()
    const [box, child] = await kit.chain.transact((tx) => {
      const box = tx.create(Thing, 'box')
      return [box, tx.create(Note, { text: 'a' }, { parent: box })]
    })
    expect(await codeOf(kit.chain.transact((tx) => tx.delete(box!)))).toBe('NOT_EMPTY')
    await kit.chain.transact((tx) => {
      tx.delete(child!)
      tx.delete(box!)
    })
    expect(await codeOf(kit.chain.transact((tx) => tx.delete(box!)))).toBe('NOT_FOUND')
    expect(await codeOf(kit.chain.transact((tx) => tx.move(child!, {})))).toBe('NOT_FOUND')
    expect(await codeOf(kit.chain.transact((tx) => tx.delete('00000000000000000000000000')))).toBe('NOT_AUTHORIZED')
    expect(await codeOf(() => kit.chain.children(Note, box!).count())).toBe('NOT_FOUND')
    expect(kit.chain.stats().entities).toBe(0)
  })

  it('moves keep what is below, and refuse cycles, names, depths and what is not there', async () => {
    await using kit = await memoryChain()
    const [a, b, leaf, named] = await kit.chain.transact((tx) => {
      const a = tx.create(Thing, 'a')
      const b = tx.create(Thing, 'b', { parent: a })
      return [a, b, tx.create(Note, { text: 'leaf' }, { parent: b }), tx.create(Thing, 'n', { name: 'n' })]
    })
    expect(await codeOf(kit.chain.transact((tx) => tx.move(a!, { parent: b! })))).toBe('TREE_CYCLE')
    expect(await codeOf(kit.chain.transact((tx) => tx.move(a!, { parent: a! })))).toBe('TREE_CYCLE')
    expect(await codeOf(kit.chain.transact((tx) => tx.move(named!, { parent: a! })))).toBe('NAMED_MOVE')
    expect(await codeOf(kit.chain.transact((tx) => tx.move(a!, { parent: UNKNOWN })))).toBe('NOT_FOUND')
    await kit.chain.transact((tx) => tx.move(b!, { in: 'top' }))
    expect(kit.chain.children(Thing, a!).count()).toBe(0)
    expect(kit.chain.children(Thing, undefined, 'top').ids()).toEqual([b!.id])
    expect(kit.chain.children(Note, b!).ids()).toEqual([leaf!.id])
    let parent = b!
    for (let depth = 2; depth <= 32; depth++)
      parent = await kit.chain.transact((tx) => tx.create(Thing, depth, { parent }))
    expect(await codeOf(kit.chain.transact((tx) => tx.create(Thing, 33, { parent })))).toBe('TREE_DEPTH')
    expect(await codeOf(kit.chain.transact((tx) => tx.move(b!, { parent: a! })))).toBe('TREE_DEPTH')
    await assertSameAsLog(kit.chain)
  })
})

describe('the life of a transaction', () => {
  it('TX_PENDING when the function returns before its calls, TX_CLOSED afterwards', async () => {
    await using kit = await memoryChain()
    const made = await kit.chain.transact((tx) => tx.create(Count, { n: 0 }))
    let late: Transaction | undefined
    const pending = kit.chain.transact((tx) => {
      late = tx
      void tx
        .update(Count, made, async ({ n }) => {
          await turns(2)
          return { n: n + 1 }
        })
        .catch(() => undefined)
    })
    expect(await codeOf(pending)).toBe('TX_PENDING')
    await turns(10)
    expect((await kit.chain.load(Count, made)).value.n).toBe(0)
    expect(await codeOf(() => late!.create(Note, { text: '' }))).toBe('TX_CLOSED')
    expect(await codeOf(late!.get(Note, made))).toBe('TX_CLOSED')
    expect(await codeOf(() => late!.delete(made))).toBe('TX_CLOSED')
    expect(await codeOf(() => late!.guard)).toBe('TX_CLOSED')
    expect(await codeOf(() => late!.role('x'))).toBe('TX_CLOSED')
    expect(await codeOf(() => late!.settings({}))).toBe('TX_CLOSED')
    expect(await codeOf(async () => void (await late!.children(Note, undefined).next()))).toBe('TX_CLOSED')
  })

  it('TX_PENDING when a verb that stages in steps is not awaited, wherever it stands', async () => {
    await using kit = await memoryChain()
    for (let waited = 0; waited < 5; waited++) {
      const pending = kit.chain.transact(async (tx) => {
        void stageIn(tx, async (staging) => {
          staging.create(Note, { text: 'one half' })
          await turns(5)
          staging.create(Note, { text: 'the other' })
        }).catch(() => undefined)
        await turns(waited)
      })
      expect(await codeOf(pending), `${waited} turns`).toBe('TX_PENDING')
    }
    await turns(10)
    expect(kit.chain.children(Note, undefined).ids()).toEqual([])
  })

  it('what its function throws rolls it back and is passed on', async () => {
    await using kit = await memoryChain()
    const mine = new Error('mine')
    await expect(
      kit.chain.transact((tx) => {
        tx.create(Note, { text: 'a' })
        throw mine
      }),
    ).rejects.toBe(mine)
    await expect(kit.chain.transact(() => Promise.reject(mine))).rejects.toBe(mine)
    expect(kit.chain.stats().entities).toBe(0)
    expect(await codeOf(kit.chain.transact(5 as never))).toBe('BAD_ARGUMENT')
  })

  it('begin is committed by hand, once, or rolled back when it goes out of scope', async () => {
    await using kit = await memoryChain()
    {
      await using tx = kit.chain.begin()
      tx.create(Note, { text: 'lost' })
    }
    expect(kit.chain.stats().entities).toBe(0)
    await using tx = kit.chain.begin()
    const made = tx.create(Note, { text: 'kept' })
    expect(tx.receipt).toBeUndefined()
    const receipt = await tx.commit()
    expect(receipt).toBe(tx.receipt)
    expect([receipt.seq, receipt.durability]).toEqual([kit.chain.head.seq, 'memory'])
    expect(await kit.chain.outcome(receipt.txId)).toMatchObject({ seq: receipt.seq, txId: receipt.txId })
    expect(JSON.parse(JSON.stringify(receipt))).toMatchObject({ txId: receipt.txId, at: receipt.at })
    expect(await codeOf(() => tx.create(Note, { text: '' }))).toBe('TX_CLOSED')
    expect(await codeOf(tx.commit())).toBe('TX_CLOSED')
    expect((await kit.chain.load(Note, made)).value.text).toBe('kept')
    const third = kit.chain.begin()
    third.rollback()
    expect(await codeOf(third.commit())).toBe('TX_CLOSED')
  })

  it('a transaction that writes nothing leaves no record', async () => {
    await using kit = await memoryChain()
    await using tx = kit.chain.begin()
    expect((await tx.commit()).seq).toBe(0)
    expect(await kit.chain.transact(() => 5)).toBe(5)
    expect(kit.chain.head.seq).toBe(0)
  })

  it('what only reads is judged all the same, and waits for what it has read', async () => {
    await using kit = await memoryChain()
    const made = await kit.chain.transact((tx) => tx.create(Count, { n: 1 }))
    await using tx = kit.chain.begin()
    await tx.load(Count, made)
    const writing = kit.chain.transact((other) => other.update(Count, made, () => ({ n: 2 })))
    const reading = kit.chain.transact(async (other) => (await other.load(Count, made)).value.n)
    const order: string[] = []
    await Promise.all([writing.then(() => order.push('written')), reading.then((n) => order.push(`read ${n}`))])
    expect(order).toEqual(['written', 'read 2'])
    const { seq } = kit.chain.head
    expect(await codeOf(tx.commit())).toBe('CONFLICT')
    expect(kit.chain.head.seq).toBe(seq)
  })
})

it('what only reads hears of it when what it has read is not written', async () => {
  await using kit = await memoryChain()
  const made = await kit.chain.transact((tx) => tx.create(Count, { n: 1 }))
  kit.engine.failNext = new AteError('DISK_FULL', {})
  const writing = kit.chain.transact((tx) => tx.create(Count, { n: 2 }))
  const reading = kit.chain.transact(async (tx) => (await tx.load(Count, made)).value.n)
  expect(await Promise.all([codeOf(writing), codeOf(reading)])).toEqual(['DISK_FULL', 'DISK_FULL'])
  expect(await kit.chain.transact(async (tx) => (await tx.load(Count, made)).value.n)).toBe(1)
})

describe('conflicts', () => {
  it('begin is told CONFLICT; transact runs again, with fresh reads', async () => {
    await using kit = await memoryChain()
    const made = await kit.chain.transact((tx) => tx.create(Count, { n: 0 }))
    await using tx = kit.chain.begin()
    const { n } = (await tx.load(Count, made)).value
    await kit.chain.transact((other) => other.update(Count, made, () => ({ n: 10 })))
    tx.create(Count, { n })
    expect(await codeOf(tx.commit())).toBe('CONFLICT')
    let runs = 0
    await kit.chain.transact(async (tx) => {
      runs++
      const { n } = (await tx.load(Count, made)).value
      if (runs === 1) await kit.chain.transact((other) => other.update(Count, made, () => ({ n: 20 })))
      await tx.update(Count, made, () => ({ n: n + 1 }))
    })
    expect([runs, (await kit.chain.load(Count, made)).value.n]).toEqual([2, 21])
  })

  it('reads many in their order: what is there, what is not, and what it wrote itself', async () => {
    await using kit = await memoryChain()
    const [a, b] = await kit.chain.transact((tx) => [1, 2].map((n) => tx.create(Count, { n })))
    await kit.chain.transact(async (tx) => {
      const own = tx.create(Count, { n: 3 })
      await tx.update(b!, ({ n }) => ({ n: n + 10 }))
      const found = await tx.getMany(Count, [own, b!, UNKNOWN, a!, a!])
      expect(found.map((one) => one?.value.n)).toEqual([3, 12, undefined, 1, 1])
      expect(await tx.getMany(Count, [])).toEqual([])
      expect(await codeOf(tx.getMany(Note, [a!]))).toBe('WRONG_TYPE')
    })
  })

  it('says when it is staged: who begins then sees what it wrote, and does not run again', async () => {
    await using kit = await memoryChain()
    const made = await kit.chain.transact((tx) => tx.create(Count, { n: 0 }))
    const order: string[] = []
    let tell = (): void => undefined
    const isStaged = new Promise<void>((resolve) => {
      tell = resolve
    })
    const add = async (tx: Transaction): Promise<void> => {
      order.push('run')
      await turns()
      await tx.update(Count, made, ({ n }) => ({ n: n + 1 }))
    }
    const first = kit.chain
      .transact(add, { staged: () => order.push('staged') && tell() })
      .then(() => order.push('acknowledged'))
    await isStaged
    const second = kit.chain.transact(add)
    await Promise.all([first, second])
    expect(order.filter((what) => what === 'run')).toHaveLength(2)
    expect(order.indexOf('staged')).toBeLessThan(order.indexOf('acknowledged'))
    expect((await kit.chain.get(Count, made))?.value.n).toBe(2)
    const refused: string[] = []
    const failing = kit.chain.transact(
      () => {
        throw new Error('no')
      },
      { staged: () => refused.push('staged') },
    )
    await failing.catch(() => undefined)
    await turns()
    expect(refused).toEqual([])
  })

  it('every kind of read is guarded: absence, names, members, values of children; a peek is not', async () => {
    const kinds: Record<string, (tx: Transaction, id: string) => Promise<unknown>> = {
      get: (tx, id) => tx.get(Count, id),
      getMany: (tx, id) => tx.getMany(Count, [id]),
      load: (tx, id) => tx.load(Count, id),
      named: (tx) => tx.named(Count, 'name'),
      members: async (tx) => {
        for await (const _ of tx.children(Count, undefined)) void _
      },
      failed: (tx, id) =>
        tx
          .update(Count, id, () => {
            throw new Error('no')
          })
          .catch(() => undefined),
    }
    for (const [kind, read] of Object.entries(kinds)) {
      await using kit = await memoryChain()
      const made = await kit.chain.transact((tx) => tx.create(Count, { n: 0 }))
      await using tx = kit.chain.begin()
      await read(tx, made.id)
      await kit.chain.transact(async (other) => {
        if (kind === 'named') other.create(Count, { n: 1 }, { name: 'name', in: 'count' })
        else if (kind === 'members') other.create(Count, { n: 1 })
        else await other.update(Count, made, ({ n }) => ({ n: n + 1 }))
      })
      tx.create(Note, { text: kind })
      expect([kind, await codeOf(tx.commit())]).toEqual([kind, 'CONFLICT'])
      await using free = kit.chain.begin()
      await free.peek(Count, made)
      await kit.chain.transact((other) => other.update(Count, made, ({ n }) => ({ n: n + 1 })))
      free.create(Note, { text: 'peek' })
      expect(await codeOf(free.commit())).toBe(NOTHING)
    }
  })

  it('guards of one’s own: version, members, subtree, expired', async () => {
    await using kit = await memoryChain()
    const box = await kit.chain.transact((tx) => tx.create(Thing, 'box'))
    const child = await kit.chain.transact((tx) => tx.create(Note, { text: 'a' }, { parent: box }))
    const holds = (run: (tx: Transaction) => void): Promise<string> => {
      const tx = kit.chain.begin()
      return codeOf(async () => {
        run(tx)
        await tx.commit()
      })
    }
    expect(await holds((tx) => tx.guard.version(child, 1))).toBe(NOTHING)
    expect(await holds((tx) => tx.guard.version(child, 2))).toBe('CONFLICT')
    expect(await holds((tx) => tx.guard.version(UNKNOWN, 0))).toBe(NOTHING)
    expect(await holds((tx) => tx.guard.members(box, 'note', 1))).toBe(NOTHING)
    expect(await holds((tx) => tx.guard.members(box, 'note', 0))).toBe('CONFLICT')
    expect(await holds((tx) => tx.guard.members(undefined, 'none', 0))).toBe(NOTHING)
    expect(await holds((tx) => tx.guard.expired(child))).toBe('NOT_EXPIRED')
    const tx = kit.chain.begin()
    tx.guard.subtree(box, 999)
    const { found } = (await errorOf(tx.commit())).facts
    expect(await holds((tx) => tx.guard.subtree(box, Number(found)))).toBe(NOTHING)
    await kit.chain.transact((tx) => tx.update(Note, child, () => ({ text: 'b' })))
    expect(await holds((tx) => tx.guard.subtree(box, Number(found)))).toBe('CONFLICT')
    await kit.chain.transact((tx) => tx.expire(child, { ttl: 5 }))
    kit.platform.advance(10)
    expect(await holds((tx) => tx.guard.expired(child))).toBe(NOTHING)
    expect(await codeOf(kit.chain.transact((tx) => tx.guard.version(child, -1)))).toBe('BAD_ARGUMENT')
    expect(await codeOf(kit.chain.transact((tx) => tx.guard.members(box, 'x', 0.5)))).toBe('BAD_ARGUMENT')
    expect(coreOf(kit.chain).staging.size).toBe(0)
  })

  it('50 and 150 concurrent increments of one entity lose nothing', async () => {
    for (const count of [50, 150]) {
      await using kit = await memoryChain()
      const made = await kit.chain.transact((tx) => tx.create(Count, { n: 0 }))
      let runs = 0
      await Promise.all(
        Array.from({ length: count }, (_, i) =>
          kit.chain.transact(async (tx) => {
            runs++
            const { n } = (await tx.load(Count, made)).value
            if (i % 3 === 0) await turns(1)
            await tx.update(Count, made, () => ({ n: n + 1 }))
          }),
        ),
      )
      expect((await kit.chain.load(Count, made)).value.n).toBe(count)
      // Reruns take turns: at most one rerun more for each, not n squared.
      expect(runs).toBeLessThanOrEqual(2 * count + 1)
    }
  })

  it('slow reads lose no update, between transactions nor within one', async () => {
    await using kit = await memoryChain()
    const made = await kit.chain.transact((tx) => tx.create(Count, { n: 0 }))
    await using slow = await reopen(kit)
    slow.engine.slowReads = true
    const add = ({ n }: { n: number }): { n: number } => ({ n: n + 1 })
    await Promise.all(Array.from({ length: 20 }, () => slow.chain.transact((tx) => tx.update(Count, made.id, add))))
    expect((await slow.chain.load(Count, made.id)).value.n).toBe(20)
    await using cold = await reopen(slow)
    cold.engine.slowReads = true
    await cold.chain.transact((tx) => Promise.all([tx.update(Count, made.id, add), tx.update(Count, made.id, add)]))
    expect((await cold.chain.load(Count, made.id)).value.n).toBe(22)
  })

  it('a transaction that can never commit gives up', async () => {
    await using kit = await memoryChain()
    const made = await kit.chain.transact((tx) => tx.create(Count, { n: 0 }))
    let runs = 0
    const never = kit.chain.transact(async (tx) => {
      runs++
      await tx.load(Count, made)
      tx.guard.version(made, 77)
      tx.guard.members(undefined, 'count', 55)
    })
    expect([await codeOf(never), runs]).toEqual(['TX_RETRIES', 100])
  })

  it('who creates where something is being forgotten waits for it', async () => {
    await using kit = await memoryChain()
    const made = await kit.chain.transact((tx) => tx.create(Note, { text: 'a' }, { name: 'x' }))
    await kit.chain.transact((tx) => tx.delete(made))
    kit.engine.hold()
    const both = [
      kit.chain.transact((tx) => tx.forget(made)),
      kit.chain.transact((tx) => void tx.create(Note, { text: 'b' })),
    ]
    await turns()
    kit.engine.release()
    await Promise.all(both)
    expect(kit.chain.stats().entities).toBe(1)
    expect(await codeOf(kit.chain.transact((tx) => tx.guard.version(made, 0)))).toBe(NOTHING)
    const alive = kit.chain.children(Note).ids()[0]!
    expect(await codeOf(kit.chain.transact((tx) => tx.forget(alive)))).toBe('NOT_FOUND')
  })
})

describe('versionOf', () => {
  it('counts, in the chain as acknowledged, in a transaction with what it wrote; and is what a guard takes', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    expect(chain.versionOf(UNKNOWN)).toBe(0)
    const note = await chain.transact((tx) => {
      const made = tx.put(Note, 'a', { text: '1' })
      expect([tx.versionOf(made), chain.versionOf(made)]).toEqual([1, 0])
      return made
    })
    expect(chain.versionOf(note)).toBe(1)
    await chain.transact((tx) => {
      tx.guard.version(note, chain.versionOf(note))
      tx.delete(note)
      expect(tx.versionOf(note)).toBe(2)
    })
    await chain.transact((tx) => {
      tx.put(Note, 'a', { text: '3' })
      expect(tx.versionOf(note)).toBe(3)
    })
    expect([chain.versionOf(note), chain.has(note)]).toEqual([3, true])
  })
})

describe('validated', () => {
  it('gives what the schema gives, and the first thing that is wrong', () => {
    const schema = <T>(validate: (value: unknown) => T) =>
      ({ '~standard': { version: 1, vendor: 'test', validate } }) as unknown as StandardSchema<unknown, number>
    expect(
      validated(
        schema(() => ({ value: 7 })),
        'x',
        'here',
      ),
    ).toBe(7)
    const bad = schema(() => ({ issues: [{ message: 'no', path: ['a', { key: 1 }] }, { message: 'nor' }] }))
    expect(() => validated(bad, 'x', 'here')).toThrow(
      expect.objectContaining({ code: 'BAD_VALUE', facts: { where: 'here', path: 'a.1', issue: 'no', issues: 2 } }),
    )
    const late = schema(() => Promise.resolve({ value: 7 }))
    expect(() => validated(late, 'x', 'here')).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }))
  })
})

describe('a verb that refuses its arguments', () => {
  it('leaves nothing in the transaction of who catches it and goes on', async () => {
    await using kit = await memoryChain()
    const { note, counted } = await kit.chain.transact((tx) => ({
      note: tx.create(Note, { text: 'a' }, { ttl: '1h', name: 'n' }),
      counted: tx.create(Note, { text: 'b' }, { counters: { left: { value: 1n } } }),
    }))
    const wrong: ((tx: Transaction) => unknown)[] = [
      (tx) => tx.expire(note, { ttl: 'soon' as '1s' }),
      (tx) => tx.expire(note, { expires: Number.NaN }),
      (tx) => tx.put(Note, 'n', { text: 'half' }, { ttl: 'soon' as '1s' }),
      (tx) => tx.add(counted, '', 1n),
      (tx) => tx.endWriter('nobody'),
      (tx) => tx.setPolicy(note, { write: [role('missing')] }),
      (tx) => tx.move(counted, { parent: 'no id' }),
      (tx) => tx.settings({ level: 999 }),
      (tx) => tx.retain(note, { retain: Number.NaN }),
      (tx) => tx.delete(note, { bypass: 'all' as 'governance' }),
      (tx) => tx.guard.version(note, -1),
    ]
    const { seq } = kit.chain.head
    for (const verb of wrong) {
      await kit.chain.transact(async (tx) => {
        expect(await codeOf(Promise.resolve().then(() => verb(tx))), String(verb)).not.toBe(NOTHING)
      })
      expect(kit.chain.head.seq, String(verb)).toBe(seq)
    }
  })
})

describe('a hold', () => {
  it('is found by its name, also in the transaction that makes it, and made by hold() alone', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    const kept = await chain.transact((tx) => {
      const made = tx.create(Note, { text: 'kept' })
      tx.retain(made, { lock: 'governance' })
      return made
    })
    const place = { parent: kept, in: HOLDS }
    const held = await chain.transact(async (tx) => {
      expect(await tx.named(Note, 'case', place)).toBeUndefined()
      const { id } = tx.hold(kept, Note, { text: 'why' }, { name: 'case' })
      expect((await tx.named(Note, 'case', place))?.id).toBe(id)
      return id
    })
    expect((await chain.transact((tx) => tx.named(Note, 'case', place)))?.id).toBe(held)
    expect(await codeOf(chain.transact((tx) => tx.put(Note, 'case', { text: 'x' }, place)))).toBe('RESERVED_NAME')
    // Its absence is guarded: of two who make it the second finds the first's.
    let runs = 0
    await chain.transact(async (tx) => {
      const found = await tx.named(Note, 'other', place)
      if (runs++ === 0) await chain.transact((other) => other.hold(kept, Note, { text: 'x' }, { name: 'other' }))
      if (!found) tx.hold(kept, Note, { text: 'y' }, { name: 'other' })
    })
    expect([runs, (await chain.named(Note, 'other', place))?.value.text]).toEqual([2, 'x'])
  })
})
