/** The platform's XChaCha20-Poly1305 beside noble's, and the vector of its draft. */
import { randomFillSync } from 'node:crypto'
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { afterEach, expect, it, vi } from 'vitest'

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))
const random = (size: number): Uint8Array => randomFillSync(new Uint8Array(size))

type Module = typeof import('../src/xchacha.ts')
/** A copy that has not chosen yet. */
async function fresh(): Promise<Module> {
  vi.resetModules()
  return import('../src/xchacha.ts')
}

afterEach(() => {
  vi.restoreAllMocks()
})

it('seals and opens as noble does, whatever the sizes', async () => {
  const { xchacha } = await fresh()
  for (const size of [0, 1, 15, 16, 17, 64, 96, 1000, 70_000]) {
    const [key, nonce, purpose, plain] = [random(32), random(24), random(size % 50), random(size)]
    const noble = xchacha20poly1305(key, nonce, purpose)
    const box = xchacha(key, nonce, purpose).encrypt(plain)
    expect(Buffer.compare(box, noble.encrypt(plain))).toBe(0)
    const opened = xchacha(key, nonce, purpose).decrypt(box)
    expect([Buffer.compare(opened, plain), opened.constructor]).toEqual([0, Uint8Array])
    for (const at of [0, box.length - 1]) {
      const altered = box.slice()
      altered[at]! ^= 1
      expect(() => xchacha(key, nonce, purpose).decrypt(altered)).toThrow()
    }
    expect(() => xchacha(key, nonce, Uint8Array.of(9, ...purpose)).decrypt(box)).toThrow()
  }
  const [key, nonce] = [random(32), random(24)]
  for (const [badKey, badNonce] of [
    [key.subarray(1), nonce],
    [key, nonce.subarray(1)],
  ] as const)
    expect(() => xchacha(badKey, badNonce, key).encrypt(key)).toThrow()
})

it('gives the bytes of the draft (A.3.1)', async () => {
  const { xchacha } = await fresh()
  const text =
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it."
  const key = hex('808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f')
  const nonce = hex('404142434445464748494a4b4c4d4e4f5051525354555657')
  const box = xchacha(key, nonce, hex('50515253c0c1c2c3c4c5c6c7')).encrypt(new TextEncoder().encode(text))
  expect(Buffer.from(box).toString('hex')).toMatch(
    /^bd6d179d3e83d43b9576579493c0e939.*c0875924c1c7987947deafd8780acf49$/,
  )
})

it.each([
  ['has no such cipher', () => ({ createCipheriv: () => fail() })],
  ['answers wrongly', () => ({ createCipheriv: () => wrong() })],
  ['is none of Node', () => undefined],
])('is that of noble where the platform %s', async (_, made) => {
  vi.spyOn(process, 'getBuiltinModule').mockImplementation(((name: string) =>
    name === 'node:crypto' ? made() : undefined) as never)
  const { xchacha } = await fresh()
  const [key, nonce, plain] = [random(32), random(24), random(40)]
  const box = xchacha(key, nonce, key).encrypt(plain)
  expect(Buffer.compare(box, xchacha20poly1305(key, nonce, key).encrypt(plain))).toBe(0)
  expect(Buffer.compare(xchacha(key, nonce, key).decrypt(box), plain)).toBe(0)
})

function fail(): never {
  throw new Error('unsupported')
}

function wrong(): unknown {
  const bytes = (size: number) => () => new Uint8Array(size)
  return { setAAD: bytes(0), update: bytes(70), final: bytes(0), getAuthTag: bytes(16) }
}
