// The reader refuses every other encoding, every bomb quickly, never lets another error out, and agrees with its readable twin.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromHex } from '../../src/base/bytes.ts'
import { isAteError } from '../../src/base/errors.ts'
import { BODY_BYTES_MAX, CBOR_DEPTH_MAX } from '../../src/base/limits.ts'
import { decodeCanonical, decodeValue, encodeValue } from '../../src/codec/cbor.ts'
import { type CborLimits, readCbor } from '../../src/codec/cbor-read.ts'
import { checkCbor, readCheckedCbor } from './cbor-twin.ts'

const RUNS = Number(process.env['ATE_RUNS'] ?? 200)
const bytesOf = (hex: string): Uint8Array => fromHex(hex.replace(/\s/g, ''))!

function refusal(run: () => unknown): { readonly code: string; readonly at: unknown; readonly what: string } {
  try {
    run()
  } catch (error) {
    if (isAteError(error)) return { code: error.code, at: error.facts['at'], what: String(error.facts['what']) }
    throw error
  }
  return { code: 'accepted', at: -1, what: '' }
}

/** What the twin says of it; the one pass has to refuse it at the same place for the same reason. */
function expectAsTwin(bytes: Uint8Array, limits?: CborLimits): void {
  expect(refusal(() => readCbor(bytes, 0, limits))).toEqual(refusal(() => checkCbor(bytes, limits)))
}

describe('one encoding', () => {
  const refused: [string, string, string][] = [
    ['nothing', '', 'ends too early'],
    ['a second item', '01 01', 'bytes left over'],
    ['8 bits for 23', '18 17', 'shortest form'],
    ['16 bits for 255', '19 00ff', 'shortest form'],
    ['32 bits for 65535', '1a 0000ffff', 'shortest form'],
    ['64 bits for 2^32 - 1', '1b 00000000ffffffff', 'shortest form'],
    ['2^53', '1b 0020000000000000', '2^53'],
    ['2^64 - 1', '1b ffffffffffffffff', '2^53'],
    ['-2^53', '3b 001fffffffffffff', '2^53'],
    ['a long header of a text', '78 01 61', 'shortest form'],
    ['a long header of an array', '98 01 01', 'shortest form'],
    ['a long header of a map', 'b9 0001 61 61 01', 'shortest form'],
    ['a reserved header', '1c', 'reserved'],
    ['an indefinite array', '9f 01 ff', 'indefinite'],
    ['an indefinite map', 'bf 61 61 01 ff', 'indefinite'],
    ['an indefinite text', '7f 61 61 ff', 'indefinite'],
    ['an indefinite byte string', '5f 41 61 ff', 'indefinite'],
    ['a break', 'ff', 'not accepted'],
    ['undefined', 'f7', 'not accepted'],
    ['a simple value', 'e0', 'not accepted'],
    ['a simple value of two bytes', 'f8 20', 'not accepted'],
    ['false in two bytes', 'f8 14', 'not accepted'],
    ['a half float', 'f9 3e00', 'not accepted'],
    ['a single float', 'fa 3fc00000', 'not accepted'],
    ['a double that is an integer', 'fb 3ff0000000000000', 'is an integer'],
    ['+0 as a double', 'fb 0000000000000000', 'is an integer'],
    ['a NaN with a payload', 'fb 7ff8000000000001', 'payload'],
    ['a negative NaN', 'fb fff8000000000000', 'payload'],
    ['a signalling NaN', 'fb 7ff0000000000001', 'payload'],
    ['tag 0', 'c0 61 61', 'tag 0'],
    ['tag 4', 'c4 82 01 02', 'tag 4'],
    ['a typed array tag', 'd8 45 42 0000', 'tag 69'],
    ['a record definition of cbor-x', 'd9 dfff 83 19 e000 81 61 61 01', 'tag 57343'],
    ['the self-described tag', 'd9 d9f7 01', 'tag 55799'],
    ['a shared reference', 'd8 1c 80', 'tag 28'],
    ['a bigint with a leading zero', 'c2 42 0001', 'shortest form'],
    ['zero as a bigint of one byte', 'c2 41 00', 'shortest form'],
    ['a bigint of 17 bytes', `c2 51 ${'ff'.repeat(17)}`, 'more than 16 bytes'],
    ['a bigint of an integer', 'c2 01', 'no byte string'],
    ['a bigint of a text', 'c2 61 61', 'no byte string'],
    ['a bigint of a bigint', 'c2 c2 41 01', 'no byte string'],
    ['a date of a text', 'c1 61 61', 'no number'],
    ['a date of a date', 'c1 c1 01', 'no number'],
    ['a date of half a millisecond', 'c1 fb 3f40624dd2f1a9fc', 'whole millisecond'],
    ['a date of NaN', 'c1 fb 7ff8000000000000', 'whole millisecond'],
    ['a date of -0', 'c1 fb 8000000000000000', 'whole millisecond'],
    ['a date beyond the last', 'c1 1b 000007dba8218001', 'whole millisecond'],
    ['a number as a key', 'a1 01 01', 'no text'],
    ['bytes as a key', 'a1 41 61 01', 'no text'],
    ['a key twice', 'a2 61 61 01 61 61 02', 'twice'],
    ['a key twice, apart', 'a3 61 61 01 61 62 01 61 61 02', 'twice'],
    ['the key __proto__', `a1 69 ${Buffer.from('__proto__').toString('hex')} 01`, '__proto__'],
    ['a map without its last value', 'a1 61 61', 'ends too early'],
    ['a text cut short', '63 61 61', 'beyond the end'],
    ['bytes cut short', '43 61 61', 'beyond the end'],
    ['an array cut short', '82 01', 'beyond the end'],
    ['a double cut short', 'fb 3ff8', 'ends too early'],
    ['a header cut short', '19 01', 'ends too early'],
  ]
  for (const [name, hex, what] of refused) {
    it(`refuses ${name}`, () => {
      for (const run of [() => checkCbor(bytesOf(hex)), () => decodeValue(bytesOf(hex))]) {
        const answer = refusal(run)
        expect(answer.code).toBe('BAD_CBOR')
        expect(answer.what).toContain(what)
        expect(typeof answer.at).toBe('number')
      }
      expectAsTwin(bytesOf(hex))
      expectAsTwin(bytesOf(hex), { keyOrder: 'sorted' })
      expect(refusal(() => decodeCanonical(bytesOf(hex))).code).toBe('BAD_CBOR')
    })
  }

  it('accepts what the format has', () => {
    const accepted = '8c 00 20 f4 f5 f6 40 60 80 a0 fb8000000000000000 fb7ff8000000000000 c240'
    expect(decodeValue(bytesOf(accepted))).toStrictEqual([
      0,
      -1,
      false,
      true,
      null,
      new Uint8Array(),
      '',
      [],
      {},
      -0,
      Number.NaN,
      0n,
    ])
  })

  it('refuses each kind of text that is no UTF-8, at its border', () => {
    const wrong = [
      '80',
      'bf',
      'c080',
      'c1bf',
      'c2',
      'c241',
      'c2c0',
      'e08080',
      'e09fbf',
      'e0a0',
      'e0a041',
      'eda080',
      'edbfbf',
      'edadbfedb080',
    ]
    wrong.push(
      'f0808080',
      'f08fbfbf',
      'f09080',
      'f0908041',
      'f4908080',
      'f5808080',
      'f7bfbfbf',
      'f888808080',
      'fe',
      'ff',
      '41ff',
      'efbb',
    )
    const right = [
      '',
      '00',
      '7f',
      'c280',
      'dfbf',
      'e0a080',
      'ed9fbf',
      'ee8080',
      'efbfbf',
      'f0908080',
      'f48fbfbf',
      'efbbbf',
    ]
    const textOf = (hex: string): Uint8Array => Uint8Array.from([0x60 + hex.length / 2, ...bytesOf(hex)])
    for (const hex of wrong)
      expect([hex, refusal(() => decodeValue(textOf(hex))).what]).toEqual([hex, 'text that is no UTF-8'])
    for (const hex of right) expect([hex, refusal(() => decodeValue(textOf(hex))).code]).toEqual([hex, 'accepted'])
    // A character that ends beyond its text may not borrow from what follows.
    expect(refusal(() => decodeValue(bytesOf('82 61 c3 61 a9'))).what).toBe('text that is no UTF-8')
    expect(refusal(() => decodeValue(bytesOf('82 62 41e2 62 82ac'))).what).toBe('text that is no UTF-8')
  })

  it('agrees with a strict TextDecoder about every text', () => {
    const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    const strange = fc.array(
      fc.constantFrom(
        0x00,
        0x41,
        0x7f,
        0x80,
        0x8f,
        0x90,
        0x9f,
        0xa0,
        0xbf,
        0xc0,
        0xc1,
        0xc2,
        0xdf,
        0xe0,
        0xe1,
        0xec,
        0xed,
        0xee,
        0xef,
        0xf0,
        0xf1,
        0xf3,
        0xf4,
        0xf5,
        0xf8,
        0xff,
      ),
      { minLength: 1, maxLength: 6 },
    )
    fc.assert(
      fc.property(strange, (units) => {
        let expected: string | undefined
        try {
          expected = strict.decode(Uint8Array.from(units))
        } catch {
          expected = undefined
        }
        const bytes = Uint8Array.from([0x60 + units.length, ...units])
        if (expected === undefined) expect(refusal(() => decodeValue(bytes)).what).toContain('UTF-8')
        else expect(decodeValue(bytes)).toBe(expected)
      }),
      { numRuns: RUNS * 25 },
    )
  })

  it('sees a key twice in a small, a large and a nested map, and keys that only look alike', () => {
    const pairs = (count: number): [string, number][] => Array.from({ length: count }, (_, i) => [`k${i}`, i])
    for (const count of [2, 7, 8, 9, 20, 300, 3000]) {
      const bytes = encodeValue([Object.fromEntries(pairs(count)), { k0: { k0: 1, k1: { k0: 2 } } }])
      expect(refusal(() => decodeValue(bytes)).code).toBe('accepted')
      const twice = encodeValue(Object.fromEntries([...pairs(count - 1), ['kX', 0]]))
      const place = Buffer.from(twice).indexOf('kX')
      twice[place + 1] = 0x30
      expect(refusal(() => decodeValue(twice)).what).toBe('a key twice')
      expectAsTwin(twice)
    }
    const inherited = Object.fromEntries(['constructor', 'toString', 'valueOf', ...'abcdefgh'].map((name) => [name, 1]))
    expect(decodeValue(encodeValue(inherited))).toStrictEqual(inherited)
    const alike = bytesOf('a2 64 efbbbf61 01 61 61 02')
    expect(Object.keys(decodeValue(alike) as object)).toEqual(['\ufeffa', 'a'])
  })

  it('wants keys in order where the encoding is canonical, and only there', () => {
    for (const hex of ['a2 61 62 01 61 61 02', 'a2 62 6161 01 61 61 02', 'a2 61 61 01 61 61 02']) {
      expect(refusal(() => decodeCanonical(bytesOf(hex))).code).toBe('BAD_CBOR')
    }
    expect(decodeValue(bytesOf('a2 61 62 01 61 61 02'))).toEqual({ b: 1, a: 2 })
    expect(decodeCanonical(bytesOf('a2 61 61 01 62 6161 a2 61 61 01 61 62 02'))).toEqual({ a: 1, aa: { a: 1, b: 2 } })
    const unsortedInside = bytesOf('a2 61 61 01 61 62 a2 61 62 01 61 61 02')
    expect(refusal(() => decodeCanonical(unsortedInside)).what).toBe('keys out of order')
    expectAsTwin(unsortedInside, { keyOrder: 'sorted' })
  })

  it('holds the limits that it is given', () => {
    const bytes = encodeValue([1, [2, [3]]])
    const limited = (limits: CborLimits): ReturnType<typeof refusal> => {
      expectAsTwin(bytes, limits)
      return refusal(() => decodeValue(bytes, limits))
    }
    expect(limited({ depthMax: 3, itemsMax: 6, bytesMax: bytes.length }).code).toBe('accepted')
    expect(limited({ depthMax: 2 }).what).toContain('levels')
    expect(limited({ itemsMax: 5 }).what).toContain('items')
    expect(limited({ bytesMax: bytes.length - 1 }).what).toContain('bytes')
    const map = encodeValue({ a: 1, b: 2 })
    for (let itemsMax = 1; itemsMax <= 5; itemsMax++) expectAsTwin(map, { itemsMax })
    const deep = new Uint8Array(CBOR_DEPTH_MAX + 2).fill(0x81)
    deep[deep.length - 1] = 1
    expect(refusal(() => decodeValue(deep, { depthMax: 1000 })).what).toContain('levels')
  })
})

describe('bombs', () => {
  const filled = (size: number, byte: number, ...head: number[]): Uint8Array => {
    const bytes = new Uint8Array(size).fill(byte)
    bytes.set(head)
    return bytes
  }
  const largeMap = (twice: boolean): Uint8Array => {
    const parts = [0xb9, 0x7f, 0xfe]
    for (let i = 0; i < 0x7ffe; i++) {
      const n = twice && i === 0x7ffd ? 0 : i
      parts.push(0x64, ...[12, 8, 4, 0].map((shift) => 0x61 + ((n >> shift) & 15)), 0)
    }
    return Uint8Array.from(parts)
  }
  const bombs: [string, Uint8Array][] = [
    ['a bigint of 1 MiB', filled(1024 * 1024 + 6, 0xff, 0xc2, 0x5a, 0x00, 0x10, 0x00, 0x00)],
    ['a bigint of 800 KiB', filled(800 * 1024 + 6, 0xff, 0xc2, 0x5a, 0x00, 0x0c, 0x80, 0x00)],
    ['100,000 nested arrays', filled(100_000, 0x81)],
    ['100,000 nested maps', Uint8Array.from({ length: 300_000 }, (_, i) => [0xa1, 0x61, 0x61][i % 3]!)],
    ['100,000 nested tags', filled(100_000, 0xc1)],
    ['100,000 nested indefinite arrays', filled(100_000, 0x9f)],
    ['an array of 2^32 - 1', filled(6, 0x00, 0x9a, 0xff, 0xff, 0xff, 0xff)],
    ['a map of 2^32 - 1', filled(6, 0x00, 0xba, 0xff, 0xff, 0xff, 0xff)],
    ['an array of 2^53 - 1', bytesOf('9b 001fffffffffffff 00')],
    ['an array of 2^64 - 1', bytesOf('9b ffffffffffffffff 00')],
    ['a text of 2^32 - 1', bytesOf('7a ffffffff 61')],
    ['bytes of 2^64 - 1', bytesOf('5b ffffffffffffffff 61')],
    ['arrays that each claim the rest', Uint8Array.from({ length: 30_000 }, (_, i) => [0x99, 0x50, 0x00][i % 3]!)],
    ['an indefinite text', filled(500_000, 0x61, 0x7f)],
    ['too many items', filled(800 * 1024, 0x00, 0x9a, 0x00, 0x0c, 0x7f, 0xfb)],
    ['32,766 keys, the last one twice', largeMap(true)],
    ['more bytes than a body', filled(BODY_BYTES_MAX + 1, 0x00, 0x5a, 0x00, 0x0d, 0xff, 0xfc)],
  ]
  for (const [name, bytes] of bombs) {
    it(`refuses ${name} at once`, () => {
      // Processor time, and the best of three: other work on the machine must not fail a test. The bound is 50 ms and 16 MiB.
      let elapsedMs = Infinity
      let grownBytes = Infinity
      for (let run = 0; run < 3; run++) {
        const before = process.memoryUsage()
        const start = process.cpuUsage()
        expect(refusal(() => decodeValue(bytes)).code).toBe('BAD_CBOR')
        elapsedMs = Math.min(elapsedMs, cpuMsSince(start))
        const after = process.memoryUsage()
        const grown = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers
        grownBytes = Math.min(grownBytes, grown)
      }
      expect(elapsedMs).toBeLessThan(250)
      expect(grownBytes).toBeLessThan(16 * 1024 * 1024)
    })
  }

  it('takes 32,766 different keys in linear time', () => {
    const bytes = largeMap(false)
    const start = process.cpuUsage()
    expect(refusal(() => decodeValue(bytes)).code).toBe('accepted')
    expect(cpuMsSince(start)).toBeLessThan(250)
  })
})

function cpuMsSince(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1000
}

describe('mutations', () => {
  const seeds = [
    encodeValue({
      id: 17,
      to: 'someone@example.org',
      tags: ['a', 'bb'],
      at: new Date(1_700_000_000_123),
      n: -5n,
      b: new Uint8Array(9),
    }),
    encodeValue([0.5, -0, 2 ** 40, [[[{ é: '\u{1f600}'.repeat(30) }]]], null, true]),
    encodeValue(Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`key${i}`, [i, `${i}`]]))),
    encodeValue({ text: `\ufeff${'long '.repeat(30)}` }),
  ]

  it('are refused where and why the twin refuses them, or give a value on which both agree and that can be stored again', () => {
    const step = fc.record({
      kind: fc.constantFrom('set', 'flip', 'insert', 'remove', 'copy'),
      at: fc.nat(),
      byte: fc.nat({ max: 255 }),
    })
    fc.assert(
      fc.property(fc.constantFrom(...seeds), fc.array(step, { minLength: 1, maxLength: 4 }), (seed, steps) => {
        let bytes = [...seed]
        for (const { kind, at, byte } of steps) {
          const place = at % (bytes.length || 1)
          if (kind === 'set') bytes[place] = byte
          else if (kind === 'flip') bytes[place] = (bytes[place] ?? 0) ^ (1 << (byte % 8))
          else if (kind === 'insert') bytes.splice(place, 0, byte)
          else if (kind === 'remove') bytes.splice(place, 1 + (byte % 3))
          else bytes = [...bytes.slice(0, place), ...bytes.slice(byte % bytes.length)]
        }
        const mutated = Uint8Array.from(bytes)
        expectAsTwin(mutated)
        expectAsTwin(mutated, { keyOrder: 'sorted' })
        let decoded: unknown
        try {
          decoded = decodeValue(mutated)
        } catch (error) {
          expect(isAteError(error) && error.code).toBe('BAD_CBOR')
          return
        }
        expect(readCheckedCbor(mutated)).toStrictEqual(decoded)
        expect(decodeValue(encodeValue(decoded))).toStrictEqual(decoded)
      }),
      { numRuns: RUNS * 15 },
    )
  })

  it('of every single byte, in every value, never let another error out', () => {
    for (const seed of seeds) {
      for (let at = 0; at < seed.length; at++) {
        for (let byte = 0; byte < 256; byte += 5) {
          const mutated = seed.slice()
          mutated[at] = byte
          const { code } = refusal(() => decodeValue(mutated))
          if (code !== 'accepted' && code !== 'BAD_CBOR') expect.fail(`${code} at ${at}, byte ${byte}`)
        }
      }
    }
  })
})
