/** The pure parts, against simple twins. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Marks, slotNameOf } from '../src/cache-rules.ts'
import { bytesOf, frozenCopy } from '../src/plain-values.ts'
import { type Linked, Recency } from '../src/recency.ts'
import { type EntryEntity, View, type WrittenEntry } from '../src/view.ts'

it('an entry is void if a tag or a prefix of it is of a later generation: as by looking at all of them', () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 4 })
  const marks = fc.array(fc.record({ isTag: fc.boolean(), of: word, generation: fc.nat(9) }), { maxLength: 12 })
  fc.assert(
    fc.property(marks, word, fc.array(word, { maxLength: 3 }), fc.nat(9), (all, key, tags, generation) => {
      const known = new Marks()
      const newest = new Map<string, number>()
      for (const { isTag, of, generation: began } of all) {
        const name = `${isTag}${of}`
        newest.set(name, began)
        if (isTag) known.tags.set(of, began)
        else known.setPrefix(of, began)
      }
      const expected =
        tags.some((tag) => (newest.get(`true${tag}`) ?? 0) > generation) ||
        [...newest].some(
          ([name, began]) => name.startsWith('false') && key.startsWith(name.slice(5)) && began > generation,
        )
      expect(known.isVoid(key, tags, generation)).toBe(expected)
      for (const { isTag, of } of all) if (!isTag) known.dropPrefix(of)
      const byTags = tags.some((tag) => (newest.get(`true${tag}`) ?? 0) > generation)
      expect(known.isVoid(key, tags, generation)).toBe(byTags)
    }),
  )
})

it('the order of use is that of a list', () => {
  interface Item extends Linked<Item> {
    readonly n: number
  }
  const step = fc.record({ how: fc.constantFrom('add', 'use', 'remove'), n: fc.nat(7) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const order = new Recency<Item>()
      const items = new Map<number, Item>()
      let twin: number[] = []
      for (const { how, n } of steps) {
        const item = items.get(n)
        if (how === 'add' && !item) {
          const made: Item = { n, newer: undefined, older: undefined }
          items.set(n, made)
          order.addNewest(made)
          twin.push(n)
        } else if (how === 'use' && item) {
          order.used(item)
          twin = [...twin.filter((one) => one !== n), n]
        } else if (how === 'remove' && item) {
          order.remove(item)
          items.delete(n)
          twin = twin.filter((one) => one !== n)
        }
        const forwards: number[] = []
        for (let at = order.oldest; at; at = at.newer) forwards.push(at.n)
        const backwards: number[] = []
        for (let at = order.newest; at; at = at.older) backwards.unshift(at.n)
        expect([forwards, backwards, order.size]).toEqual([twin, twin, twin.length])
      }
    }),
  )
})

it('a copy is equal, frozen, nobody else’s, and as large as what it came from', () => {
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { depthSize: 'small' },
      fc.string(),
      fc.double(),
      fc.bigInt({ min: -(2n ** 100n), max: 2n ** 100n }),
      fc.boolean(),
      fc.constant(null),
      fc.uint8Array(),
      fc.date({ noInvalidDate: true }),
      fc.array(tie('any')),
      fc.dictionary(
        fc.string({ minLength: 1 }).filter((key) => key !== '__proto__'),
        tie('any'),
      ),
    ),
  })).any
  fc.assert(
    fc.property(value, (given) => {
      const { value: copy, bytes } = frozenCopy(given)
      // What dictionary makes may have no prototype.
      expect(structuredClone(copy)).toEqual(structuredClone(given))
      expect(bytes).toBe(bytesOf(copy))
      if (typeof given === 'object' && given !== null) {
        expect(copy).not.toBe(given)
        if (!(copy instanceof Uint8Array)) expect(Object.isFrozen(copy)).toBe(true)
      }
    }),
  )
  expect(frozenCopy({ a: undefined, b: 1 })).toEqual({ value: { b: 1 }, bytes: bytesOf({ b: 1 }) })
})

it('keys are spread over the slots', () => {
  const slots = new Set(Array.from({ length: 5000 }, (_, i) => slotNameOf(`user:${i}`)))
  expect(slots.size).toBe(256)
})

it('of a value that memory has no room for nothing is held, also not with what was written', () => {
  const view = new View()
  view.memory = { max: 1, maxBytes: Number.POSITIVE_INFINITY }
  for (const key of ['a', 'b']) {
    const entity = { id: key, value: { v: key, x: 5, t: ['tag'] } } as unknown as EntryEntity
    view.put({ key, version: 1, seq: 1, value: key, bytes: 1, entity })
  }
  expect(view.entries.get('a')).toMatchObject({ id: 'a', entity: undefined, stored: { x: 5, t: ['tag'] } })
  expect(view.entries.get('a')?.stored.v).toBeUndefined()
  expect(view.entries.get('b')?.entity?.id).toBe('b')
})

it('the view only goes forward: whatever it hears of first, it ends with the newest, and never shows an older one behind it', () => {
  const written = (version: number): WrittenEntry => ({
    ...{ key: 'a', version, seq: version, value: version, bytes: 1 },
    entity: { id: 'id', value: { v: version } } as EntryEntity,
  })
  const step = fc.record({ version: fc.integer({ min: 1, max: 9 }), isRemoval: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const view = new View()
      let newest = 0
      for (const { version, isRemoval } of steps) {
        // A version is either a value or an end; odd ones are ends here.
        const isEnd = version % 2 === 1
        if (isEnd !== isRemoval) continue
        if (isEnd) view.remove('id', version)
        else view.put(written(version))
        newest = Math.max(newest, version)
        expect(view.entries.get('a')?.value).toBe(newest % 2 === 1 || newest === 0 ? undefined : newest)
      }
      expect(view.entries.size).toBe(view.byId('id') ? 1 : 0)
    }),
  )
})
