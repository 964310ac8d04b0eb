// What is encoded comes back, in one encoding; what cannot be stored is refused with its path and without its value.
import vm from 'node:vm'
import { Decoder, type Options } from 'cbor-x/decode'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type AteError, isAteError } from '../../src/base/errors.ts'
import { BODY_BYTES_MAX, CBOR_DEPTH_MAX, CBOR_ITEMS_MAX } from '../../src/base/limits.ts'
import {
  decodeCanonical,
  decodeValue,
  decodeValueFrom,
  encodeCanonical,
  encodeValue,
  encodeValueInto,
} from '../../src/codec/cbor.ts'
import { ByteWriter } from '../../src/codec/writer.ts'
import { checkCbor, readCheckedCbor } from './cbor-twin.ts'

const RUNS = Number(process.env['ATE_RUNS'] ?? 300)

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 80 }),
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc.string({ unit: 'grapheme', minLength: 60, maxLength: 300 }).map((tail) => `\ufeff${tail}`),
)
const bigint128 = fc.bigInt({ min: -(2n ** 128n), max: 2n ** 128n - 1n })
const leaf = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double(),
  bigint128,
  text,
  fc.uint8Array({ maxLength: 300 }),
  fc.date({ noInvalidDate: true, min: new Date(-(2 ** 50)), max: new Date(2 ** 50) }),
  fc.integer({ min: -8.64e12, max: 8.64e12 }).map((seconds) => new Date(seconds * 1000)),
)
const key = text.filter((name) => name !== '__proto__')
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    leaf,
    fc.array(tie('any'), { maxLength: 12 }),
    fc.dictionary(key, tie('any'), { maxKeys: 12, noNullPrototype: true }),
  ),
})).any

function codeOf(run: () => unknown): AteError {
  try {
    run()
  } catch (error) {
    if (isAteError(error)) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('values', () => {
  it('come back as they were, by our reader, its twin, and, but for byte order marks, the decoder of others', () => {
    // Integers of eight bytes are within 2^53: checked before.
    const options: Options & { readonly int64AsNumber: boolean } = {
      useRecords: false,
      mapsAsObjects: true,
      copyBuffers: true,
      int64AsNumber: true,
    }
    const other = new Decoder(options)
    fc.assert(
      fc.property(value, (given) => {
        const bytes = encodeValue(given)
        checkCbor(bytes)
        expect(decodeValue(bytes)).toStrictEqual(given)
        expect(readCheckedCbor(bytes)).toStrictEqual(given)
        if (!Buffer.from(bytes).includes('\ufeff')) expect(other.decode(bytes.slice())).toStrictEqual(given)
        expect(encodeValue(decodeValue(bytes))).toEqual(bytes)
      }),
      { numRuns: RUNS },
    )
  })

  it('are frozen as they are made where that is asked for, at every level', () => {
    const isOpen = (made: unknown): boolean =>
      typeof made === 'object' &&
      made !== null &&
      !ArrayBuffer.isView(made) &&
      (!Object.isFrozen(made) || Object.values(made).some(isOpen))
    fc.assert(
      fc.property(value, (given) => {
        const bytes = Uint8Array.from([0, ...encodeValue(given)])
        const frozen = decodeValueFrom(bytes, 1, 'frozen')
        expect(frozen).toStrictEqual(given)
        expect(isOpen(frozen)).toBe(false)
      }),
      { numRuns: RUNS },
    )
    expect(isOpen(decodeValue(encodeValue([{}])))).toBe(true)
  })

  it('bytes come back in memory that is given, if they are all of it and fit; their errors are those of any value', () => {
    for (const size of [0, 1, 23, 24, 255, 256, 65_535, 65_536]) {
      const bytes = encodeValue(Uint8Array.from({ length: size }, (_, i) => i % 251))
      const room = new Uint8Array(size + 3)
      const there = decodeValueFrom(bytes, 0, 'open', room) as Uint8Array
      expect([there.buffer === room.buffer, there]).toEqual([true, decodeValue(bytes)])
      if (size > 0) {
        const other = decodeValueFrom(bytes, 0, 'open', new Uint8Array(size - 1)) as Uint8Array
        expect(other).toEqual(there)
      }
      for (const wrong of [bytes.subarray(0, -1), new Uint8Array([...bytes, 0])])
        expect(() => decodeValueFrom(wrong, 0, 'open', room)).toThrow('BAD_CBOR')
    }
    const long = [[0x58, 3], [0x59, 0, 3], [0x5a, 0, 0, 0, 3], [0x5b, 0, 0, 0, 0, 0, 0, 0, 3], [0x5c], [0x5f]]
    for (const head of long)
      expect(() => decodeValueFrom(Uint8Array.of(...head, 1, 2, 3), 0, 'open', new Uint8Array(9))).toThrow('BAD_CBOR')
    const large = new Uint8Array(BODY_BYTES_MAX + 1)
    large.set([0x5a, 0, 0, 0, 0])
    new DataView(large.buffer).setUint32(1, large.length - 5)
    expect(() => decodeValueFrom(large, 0, 'open', new Uint8Array(large.length))).toThrow('BAD_CBOR')
    expect(decodeValueFrom(encodeValue([new Uint8Array(2)]), 0, 'open', new Uint8Array(9))).toEqual([new Uint8Array(2)])
    expect(() => decodeValueFrom(new Uint8Array(0), 0, 'open', new Uint8Array(9))).toThrow('BAD_CBOR')
  })

  it('keep -0, NaN and infinities', () => {
    for (const number of [
      0,
      -0,
      Number.NaN,
      Infinity,
      -Infinity,
      0.1,
      2 ** 53,
      -(2 ** 53),
      2 ** 53 - 1,
      1 - 2 ** 53,
      5e-324,
      1.7e308,
    ]) {
      expect(Object.is(decodeValue(encodeValue(number)), number)).toBe(true)
    }
  })

  it('have one NaN, whatever bits the engine keeps', () => {
    const bits = new BigUint64Array([0xfff8000000000001n, 0x7ff0000000000001n, 0xffffffffffffffffn])
    for (const number of new Float64Array(bits.buffer)) {
      expect(encodeValue(number)).toEqual(Uint8Array.of(0xfb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0))
    }
  })

  it('keep numbers apart from bigints', () => {
    expect(
      decodeValue(encodeValue([5, 5n, 0, 0n, -1, -1n, 2 ** 40, 2n ** 40n, 2n ** 128n - 1n, -(2n ** 128n)])),
    ).toStrictEqual([5, 5n, 0, 0n, -1, -1n, 2 ** 40, 2n ** 40n, 2n ** 128n - 1n, -(2n ** 128n)])
  })

  it('keep dates to the millisecond at both ends of time', () => {
    for (const ms of [0, 1, -1, 1001, 8.64e15, -8.64e15, 2 ** 50, -(2 ** 50), 2 ** 50 - 1, 253_402_300_799_999]) {
      expect(decodeValue(encodeValue(new Date(ms)))).toStrictEqual(new Date(ms))
    }
    fc.assert(
      fc.property(fc.integer({ min: -(2 ** 50), max: 2 ** 50 }), (ms) => {
        expect((decodeValue(encodeValue(new Date(ms))) as Date).getTime()).toBe(ms)
      }),
      { numRuns: RUNS * 10 },
    )
  })

  it('keep a byte order mark in a text of every length', () => {
    for (const length of [0, 1, 30, 61, 62, 63, 64, 65, 200]) {
      const given = { [`\ufeff${'k'.repeat(length)}`]: `\ufeff${'x'.repeat(length)}` }
      expect(decodeValue(encodeValue(given))).toStrictEqual(given)
    }
  })

  it('use the shortest header at every border', () => {
    for (const size of [0, 23, 24, 47, 48, 255, 256, 65_535, 65_536]) {
      for (const given of ['a'.repeat(size), 'é'.repeat(size), new Uint8Array(size)]) {
        expect(decodeValue(encodeValue(given))).toStrictEqual(given)
      }
      if (size < CBOR_ITEMS_MAX) expect(decodeValue(encodeValue(Array(size).fill(0)))).toHaveLength(size)
      expect(decodeValue(encodeValue(size - 1))).toBe(size - 1)
    }
  })

  it('leave undefined properties out, and shorten the header that was written for them', () => {
    const wide: Record<string, unknown> = { gone: undefined }
    for (let i = 0; i < 23; i++) wide[`k${i}`] = i
    const bytes = encodeValue([wide, { a: undefined }, 7])
    delete wide['gone']
    expect(bytes).toEqual(encodeValue([wide, {}, 7]))
    expect(decodeValue(bytes)).toStrictEqual([wide, {}, 7])
  })

  it('keep the order of keys', () => {
    expect(Object.keys(decodeValue(encodeValue({ zebra: 1, ant: 2, mule: 3 })) as object)).toEqual([
      'zebra',
      'ant',
      'mule',
    ])
  })

  it('take plain objects of other realms and without a prototype, and bytes of subclasses', () => {
    expect(decodeValue(encodeValue(vm.runInNewContext('({ a: [1, { b: 2 }] })')))).toStrictEqual({ a: [1, { b: 2 }] })
    expect(decodeValue(encodeValue(Object.assign(Object.create(null), { a: 1 })))).toStrictEqual({ a: 1 })
    const bytes = decodeValue(encodeValue(Buffer.from('abc'))) as Uint8Array
    expect(Object.getPrototypeOf(bytes)).toBe(Uint8Array.prototype)
  })

  it('decode harmlessly under names of Object.prototype', () => {
    const decoded = decodeValue(encodeValue({ constructor: 1, prototype: 2, toString: 3, hasOwnProperty: 4 })) as object
    expect(Object.getPrototypeOf(decoded)).toBe(Object.prototype)
    expect(Object.keys(decoded)).toEqual(['constructor', 'prototype', 'toString', 'hasOwnProperty'])
    expect(({} as { constructor: unknown }).constructor).toBe(Object)
  })

  it('do not share memory with the bytes, nor mark them, whatever view they came in', () => {
    const bytes = Buffer.from(encodeValue({ data: new Uint8Array([1, 2, 3]) }))
    const { data } = decodeValue(bytes) as { data: Uint8Array }
    expect(Object.getPrototypeOf(data)).toBe(Uint8Array.prototype)
    bytes.fill(0)
    expect(data).toEqual(new Uint8Array([1, 2, 3]))
    expect(Object.hasOwn(bytes, 'dataView')).toBe(false)
    const named = Buffer.from(encodeValue({ remembered: 1 }))
    decodeValue(named)
    named.fill('x', 3, 4)
    expect(decodeValue(named)).toEqual({ rxmembered: 1 })
    const inside = new Uint8Array([9, 9, ...encodeValue('inside'), 9])
    expect(decodeValue(inside.subarray(2, -1))).toBe('inside')
  })
})

describe('what cannot be stored', () => {
  class Point {
    x = 1
  }
  const cycle: unknown[] = []
  cycle.push({ again: cycle })
  const sparse: unknown[] = [1, 2, 3]
  delete sparse[1]
  const secret = 'hunter2-do-not-print'
  const cases: [string, unknown, string][] = [
    ['undefined', undefined, ''],
    ['a function', { run: () => secret }, 'run'],
    ['a symbol', { list: [1, Symbol(secret)] }, 'list[1]'],
    ['a symbol key', { inner: { [Symbol(secret)]: 1 } }, 'inner'],
    ['a class instance', { at: new Point() }, 'at'],
    ['a map', { at: new Map([[secret, secret]]) }, 'at'],
    ['a boxed string', { at: Object(secret) }, 'at'],
    ['a regular expression', [/x/], '[0]'],
    ['a proxy of a class instance', [new Proxy(new Point(), {})], '[0]'],
    ['another typed array', { at: new Uint16Array(2) }, 'at'],
    ['an ArrayBuffer', { at: new ArrayBuffer(2) }, 'at'],
    ['an invalid date', { a: { b: new Date(Number.NaN) } }, 'a.b'],
    ['a part of a second in a date far away', [new Date(8.64e15 - 1)], '[0]'],
    ['a false date', { a: Object.create(Date.prototype) }, 'a'],
    ['half a surrogate pair', { a: [`${secret}\ud800`] }, 'a[0]'],
    ['half a surrogate pair, long', { a: [`${secret.repeat(10)}\udc00`] }, 'a[0]'],
    ['half a surrogate pair in a key', { a: { '\ud800': 1 } }, 'a.\ud800'],
    ['a hole', { a: sparse }, 'a[1]'],
    ['undefined in an array', [[undefined]], '[0][0]'],
    ['a bigint over 128 bits', { n: 2n ** 128n }, 'n'],
    ['a bigint under -2^128', { n: -(2n ** 128n) - 1n }, 'n'],
    ['the key __proto__', JSON.parse('{"a":{"__proto__":1}}'), 'a.__proto__'],
  ]
  for (const [name, given, path] of cases) {
    it(`is refused: ${name}`, () => {
      const error = codeOf(() => encodeValue(given))
      expect(error.code).toBe('BAD_VALUE')
      expect(error.facts['path']).toBe(path)
      expect(error.message + JSON.stringify(error.facts)).not.toContain('hunter2')
    })
  }

  it('is refused: a cycle, at the depth limit', () => {
    expect(codeOf(() => encodeValue(cycle)).code).toBe('BAD_VALUE')
  })

  it('is refused one level or item over the limit, and taken at it', () => {
    const nest = (levels: number): unknown => (levels === 0 ? 1 : [nest(levels - 1)])
    expect(decodeValue(encodeValue(nest(CBOR_DEPTH_MAX)))).toStrictEqual(nest(CBOR_DEPTH_MAX))
    expect(codeOf(() => encodeValue(nest(CBOR_DEPTH_MAX + 1))).code).toBe('BAD_VALUE')
    const many = Array(CBOR_ITEMS_MAX - 1).fill(0)
    expect(decodeValue(encodeValue(many))).toHaveLength(many.length)
    expect(codeOf(() => encodeValue([...many, 0])).code).toBe('BAD_VALUE')
    const pairs = Object.fromEntries(many.slice(0, CBOR_ITEMS_MAX / 2).map((_, i) => [i, i]))
    expect(codeOf(() => encodeValue(pairs)).code).toBe('BAD_VALUE')
  })

  it('is refused when too large, in one piece or in many, before memory is taken for it', () => {
    expect(decodeValue(encodeValue('x'.repeat(BODY_BYTES_MAX - 5)))).toHaveLength(BODY_BYTES_MAX - 5)
    for (const given of [
      'x'.repeat(BODY_BYTES_MAX),
      'x'.repeat(2 ** 28),
      new Uint8Array(BODY_BYTES_MAX),
      Array(100).fill(new Uint8Array(10_000)),
    ]) {
      expect(codeOf(() => encodeValue(given)).code).toBe('VALUE_TOO_LARGE')
    }
    const writer = new ByteWriter(16)
    expect(codeOf(() => encodeValueInto(writer, 'x'.repeat(2 ** 28))).code).toBe('VALUE_TOO_LARGE')
    expect(writer.buffer.length).toBeLessThan(4 * BODY_BYTES_MAX)
  })

  it('leaves the writer where it stood', () => {
    const writer = new ByteWriter(4)
    writer.u8(7)
    expect(encodeValueInto(writer, 'abc')).toBe(4)
    expect(() => encodeValueInto(writer, { a: 'x'.repeat(100), b: () => 1 })).toThrow()
    expect(writer.at).toBe(5)
    expect(encodeValueInto(writer, [1])).toBe(2)
    expect([...writer.copy()]).toEqual([7, 0x63, 97, 98, 99, 0x81, 1])
  })

  it('survives a getter that encodes', () => {
    encodeValue(0) // leaves an encoder behind, which the next two calls must not share
    const given = {
      get inner(): Uint8Array {
        return encodeValue({ deep: [1, 2] })
      },
      after: [1],
    }
    expect(decodeValue(encodeValue(given))).toStrictEqual({ inner: encodeValue({ deep: [1, 2] }), after: [1] })
  })
})

describe('canonical', () => {
  it('gives equal values equal bytes', () => {
    fc.assert(
      fc.property(fc.dictionary(key, leaf, { maxKeys: 20, noNullPrototype: true }), (given) => {
        const turned = Object.fromEntries(Object.entries(given).reverse())
        const bytes = encodeCanonical(given)
        expect(encodeCanonical(turned)).toEqual(bytes)
        expect(decodeCanonical(bytes)).toStrictEqual(decodeValue(bytes))
      }),
      { numRuns: RUNS },
    )
  })

  it('sorts keys as RFC 8949, 4.2.1 does: by length of the encoding, then bytes of UTF-8', () => {
    const keys = Object.keys(
      decodeValue(encodeCanonical({ aaa: 1, b: 1, '\uffff': 1, '\u{10000}': 1, é: 1, ab: 1, '': 1 })) as object,
    )
    expect(keys).toEqual(['', 'b', 'ab', 'é', 'aaa', '\uffff', '\u{10000}'])
  })

  it('accepts a byte string only if encoding its value gives the same bytes', () => {
    fc.assert(
      fc.property(value, fc.nat(), fc.nat({ max: 255 }), (given, place, byte) => {
        const bytes = encodeValue(given)
        bytes[place % bytes.length] = byte
        let decoded: unknown
        try {
          decoded = decodeCanonical(bytes)
        } catch (error) {
          expect(isAteError(error) && error.code).toBe('BAD_CBOR')
          return
        }
        expect(encodeCanonical(decoded)).toEqual(bytes)
      }),
      { numRuns: RUNS * 4 },
    )
  })
})
