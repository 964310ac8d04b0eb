/** What a writer of scratch does quickly is what it does slowly: texts against the platform's encoder, kept views against new ones. */
import { describe, expect, it } from 'vitest'
import { ByteWriter } from '../../src/codec/writer.ts'

const encoder = new TextEncoder()
const TEXTS = [
  '',
  'a',
  'ledger-entry',
  'x'.repeat(48),
  'x'.repeat(49),
  'x'.repeat(300),
  'größer',
  `${'x'.repeat(47)}€`,
  '😀',
  '\u0000\u007f\u0080',
]

describe('text', () => {
  it.each(TEXTS)('%j is written as UTF-8, with its length in front if asked', (text) => {
    const bytes = encoder.encode(text)
    const out = new ByteWriter(1)
    out.u8(7)
    out.text(text)
    expect(out.bytes()).toEqual(Uint8Array.from([7, ...bytes]))
    const wanted = new ByteWriter(1)
    wanted.sized(bytes)
    out.reset()
    out.sizedText(text)
    expect(out.bytes()).toEqual(wanted.bytes())
  })
})

describe('a view', () => {
  it('is of what stands there, also when the buffer has grown', () => {
    const out = new ByteWriter(4)
    for (const size of [3, 3, 4, 40, 3, 4]) {
      out.reset()
      for (let i = 0; i < size; i++) out.u8(size + i)
      expect(out.view()).toEqual(out.copy())
    }
  })
})
