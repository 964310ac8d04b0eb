import { expect, it } from 'vitest'
import { fromBase64, toBase64 } from '../../src/base/bytes.ts'

it('base64 is the same from an engine that has it and from one that has not', () => {
  for (const size of [0, 1, 2, 3, 4095, 4096, 9001]) {
    const bytes = Uint8Array.from({ length: size }, (_, i) => i * 7)
    const plain = Object.assign(bytes.slice(), { toBase64: undefined })
    const text = Buffer.from(bytes).toString('base64')
    expect([toBase64(bytes), toBase64(plain)]).toEqual([text, text])
    expect(fromBase64(text)).toEqual(bytes)
  }
})
