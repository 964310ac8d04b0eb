import { expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import type { ContextName } from '../../src/crypto/contexts.ts'
import { CONTEXTS, contextBytes } from '../../src/crypto/contexts.ts'

const names = Object.keys(CONTEXTS) as ContextName[]

it('no context is used twice, and none begins another', () => {
  const encoded = names.map((name) => toHex(contextBytes(name)))
  expect(new Set(encoded).size).toBe(names.length)
  for (const one of encoded) expect(encoded.filter((other) => other.startsWith(one))).toEqual([one])
})

it('a context is plain ASCII of the product, fits a signature context, and ends with its only zero byte', () => {
  for (const name of names) {
    const bytes = contextBytes(name)
    expect(CONTEXTS[name]).toMatch(/^ate\/\d+\/[a-z-]+$/)
    expect(bytes.length).toBeLessThanOrEqual(255)
    expect(bytes.indexOf(0)).toBe(bytes.length - 1)
  }
})
