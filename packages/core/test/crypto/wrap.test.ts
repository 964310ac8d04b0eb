import { describe, expect, it } from 'vitest'
import { toHex, utf8 } from '../../src/base/bytes.ts'
import { randomBytes } from '../../src/base/environment.ts'
import { nobleProvider } from '../../src/crypto/noble.ts'
import type { CryptoProvider } from '../../src/crypto/provider.ts'
import {
  unwrapSecret,
  unwrapUnder,
  WRAP_OVERHEAD_BYTES,
  WRAP_UNDER_OVERHEAD_BYTES,
  wrapSecret,
  wrapUnder,
} from '../../src/crypto/wrap.ts'
import { xWingSecret } from '../../src/crypto/x-wing.ts'
import { nodeProvider } from '../../src/node/crypto-node.ts'
import { seeded } from './support.ts'

const providers = [nobleProvider, nodeProvider()]
const random = seeded(31)
const info = utf8('node, epoch, role')
const secret = new Uint8Array(32).fill(7)
const stuck = { fill: (bytes: Uint8Array) => void bytes.fill(9) }

describe.each(providers)('wraps for a public key on $name', (crypto) => {
  const mine = xWingSecret(crypto, new Uint8Array(32).fill(1))
  const theirs = xWingSecret(crypto, new Uint8Array(32).fill(2))
  const wrapped = wrapSecret(crypto, random, { publicKey: mine.publicKey, info, secret })!

  it('open for the holder, on the other provider too', () => {
    for (const other of providers) {
      const holder = xWingSecret(other, new Uint8Array(32).fill(1))
      expect(hex(unwrapSecret(other, holder, { info, wrapped, size: 32 }))).toBe(toHex(secret))
    }
    expect(wrapped.length).toBe(WRAP_OVERHEAD_BYTES + 32)
    expect(WRAP_OVERHEAD_BYTES).toBe(1120 + 32 + 16)
  })

  it('open for no other key, place or size', () => {
    expect(unwrapSecret(crypto, theirs, { info, wrapped, size: 32 })).toBe(undefined)
    expect(unwrapSecret(crypto, mine, { info: utf8('elsewhere'), wrapped, size: 32 })).toBe(undefined)
    expect(unwrapSecret(crypto, mine, { info, wrapped, size: 31 })).toBe(undefined)
    expect(unwrapSecret(crypto, mine, { info, wrapped: wrapped.subarray(1), size: 32 })).toBe(undefined)
    expect(unwrapSecret(crypto, mine, { info, wrapped: wrapped.subarray(1), size: 31 })).toBe(undefined)
  })

  it('open to nothing when any part is altered', () => {
    for (const at of [0, 1087, 1088, 1119, 1120, 1151, 1152, 1183, 1184, 1199]) {
      const altered = wrapped.slice()
      altered[at]! ^= 0x20
      expect([at, unwrapSecret(crypto, mine, { info, wrapped: altered, size: 32 })]).toEqual([at, undefined])
    }
  })

  it('are bound to the key and to the encapsulation, not to the shared secret alone', () => {
    const shared = mine.decapsulate(wrapped.subarray(0, 1120))
    const open = (publicKey: Uint8Array, bytes: Uint8Array) =>
      hex(unwrapSecret(crypto, { publicKey, decapsulate: () => shared.slice() }, { info, wrapped: bytes, size: 32 }))
    const altered = wrapped.slice()
    altered[5]! ^= 1
    expect(open(mine.publicKey, wrapped)).toBe(toHex(secret))
    expect(open(theirs.publicKey, wrapped)).toBe(undefined)
    expect(open(mine.publicKey, altered)).toBe(undefined)
  })

  it('cannot be made for an invalid public key', () => {
    expect(wrapSecret(crypto, random, { publicKey: new Uint8Array(1216).fill(255), info, secret })).toBe(undefined)
    expect(wrapSecret(crypto, random, { publicKey: new Uint8Array(3), info, secret })).toBe(undefined)
  })

  it('carry secrets of other sizes', () => {
    for (const size of [0, 1, 64, 1000]) {
      const long = new Uint8Array(size).fill(3)
      const wrapped = wrapSecret(crypto, random, { publicKey: mine.publicKey, info, secret: long })!
      expect(hex(unwrapSecret(crypto, mine, { info, wrapped, size }))).toBe(toHex(long))
    }
  })
})

it('a repeating source gives two secrets two encapsulations, and one secret the same', () => {
  const { publicKey } = xWingSecret(nobleProvider, new Uint8Array(32).fill(1))
  const heads = [secret, new Uint8Array(32).fill(8), secret].map((one) =>
    toHex(wrapSecret(nobleProvider, stuck, { publicKey, info, secret: one })!.subarray(0, 1120)),
  )
  expect(heads[0]).not.toBe(heads[1])
  expect(heads[0]).toBe(heads[2])
})

it('the two halves of an encapsulation draw different randomness from a repeating source', () => {
  const draws: string[] = []
  const spy: CryptoProvider = {
    ...nobleProvider,
    mlKem768Encapsulate(publicKey, source) {
      const bytes = randomBytes(source, 32)
      const seen = { fill: (out: Uint8Array) => out.set(bytes) }
      const made = nobleProvider.mlKem768Encapsulate(publicKey, seen)
      draws.push(toHex(bytes))
      return made
    },
    x25519Secret(bytes) {
      draws.push(toHex(bytes))
      return nobleProvider.x25519Secret(bytes)
    },
  }
  const { publicKey } = xWingSecret(nobleProvider, new Uint8Array(32).fill(1))
  wrapSecret(spy, stuck, { publicKey, info, secret })
  expect(draws.length).toBe(2)
  expect(draws[0]).not.toBe(draws[1])
})

describe.each(providers)('wraps under a key on $name', (crypto) => {
  const key = new Uint8Array(32).fill(4)
  const wrapped = wrapUnder(crypto, random, { key, info, secret })

  it('open under it, on the other provider too', () => {
    for (const other of providers) expect(hex(unwrapUnder(other, { key, info, wrapped, size: 32 }))).toBe(toHex(secret))
    expect(wrapped.length).toBe(WRAP_UNDER_OVERHEAD_BYTES + 32)
  })

  it('open under no other key, place or size, and not when altered', () => {
    const other = new Uint8Array(32).fill(5)
    expect(unwrapUnder(crypto, { key: other, info, wrapped, size: 32 })).toBe(undefined)
    expect(unwrapUnder(crypto, { key, info: utf8('elsewhere'), wrapped, size: 32 })).toBe(undefined)
    expect(unwrapUnder(crypto, { key, info, wrapped, size: 33 })).toBe(undefined)
    expect(unwrapUnder(crypto, { key, info, wrapped: wrapped.subarray(1), size: 31 })).toBe(undefined)
    for (const at of [0, 31, 32, 63, 64, 95, 96, 111]) {
      const altered = wrapped.slice()
      altered[at]! ^= 1
      expect([at, unwrapUnder(crypto, { key, info, wrapped: altered, size: 32 })]).toEqual([at, undefined])
    }
  })

  it('are fresh each time, and hedged', () => {
    expect(toHex(wrapUnder(crypto, random, { key, info, secret }))).not.toBe(toHex(wrapped))
    const salts = [secret, new Uint8Array(32)].map((one) =>
      toHex(wrapUnder(crypto, stuck, { key, info, secret: one }).subarray(0, 32)),
    )
    expect(salts[0]).not.toBe(salts[1])
  })

  it('want a key of 32 bytes', () => {
    expect(() => wrapUnder(crypto, random, { key: new Uint8Array(16), info, secret })).toThrow('INTERNAL')
  })
})

function hex(bytes: Uint8Array | undefined): string | undefined {
  return bytes && toHex(bytes)
}
