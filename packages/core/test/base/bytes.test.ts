import { expect, it } from 'vitest'
import { fromBase64, fromUtf8, toBase64 } from '../../src/base/bytes.ts'
import { textPart } from '../../src/base/text-part.ts'
import { seededRandom } from '../../src/testing/random.ts'

it('base64 is the same from an engine that has it and from one that has not', () => {
  for (const size of [0, 1, 2, 3, 4095, 4096, 9001]) {
    const bytes = Uint8Array.from({ length: size }, (_, i) => i * 7)
    const plain = Object.assign(bytes.slice(), { toBase64: undefined })
    const text = Buffer.from(bytes).toString('base64')
    expect([toBase64(bytes), toBase64(plain)]).toEqual([text, text])
    expect(fromBase64(text)).toEqual(bytes)
  }
})

it('text of a part is what the strict decoder says of it, and refused where that refuses it', () => {
  const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const random = seededRandom(7)
  const texts = [
    '',
    'a',
    'ascii alone',
    '\ufeffmark',
    'é',
    '€uro',
    '\ufffd',
    'a\ufffdb',
    '😀',
    '\0',
    '\uffff',
    'x'.repeat(300),
  ]
  const outcome = (run: () => string): string => {
    try {
      return `text ${run()}`
    } catch {
      return 'refused'
    }
  }
  let refused = 0
  let quick = 0
  for (let round = 0; round < 4000; round++) {
    const text = texts[round % texts.length]! + texts[random.below(texts.length)]!
    const bytes = new TextEncoder().encode(`ab${text}yz`)
    if (round >= 1000) bytes[random.below(bytes.length)] = random.below(256)
    const from = random.below(3)
    const to = bytes.length - random.below(3)
    const wanted = outcome(() => strict.decode(bytes.subarray(from, to)))
    if (wanted === 'refused') refused++
    expect(outcome(() => textPart?.(bytes, from, to) ?? fromUtf8(bytes.subarray(from, to)))).toBe(wanted)
    if (textPart?.(bytes, from, to) !== undefined) quick++
  }
  expect(refused).toBeGreaterThan(500)
  expect(quick).toBeGreaterThan(500)
})
