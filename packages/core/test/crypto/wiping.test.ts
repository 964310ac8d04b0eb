/** What is secret on the way only is overwritten: every intermediate of sealing and wrapping that nobody keeps. */
import { describe, expect, it } from 'vitest'
import { utf8, wipe } from '../../src/base/bytes.ts'
import { nobleProvider } from '../../src/crypto/noble.ts'
import type { CryptoProvider } from '../../src/crypto/provider.ts'
import { blockSecretFrom, openBlockKey, sealBlock, sealBlockTo } from '../../src/crypto/seal.ts'
import { unwrapSecret, wrapSecret } from '../../src/crypto/wrap.ts'
import { xWingEncapsulate, xWingSecret } from '../../src/crypto/x-wing.ts'
import { seeded } from './support.ts'

type Seen = [name: string, bytes: Uint8Array][]

/** noble, and all secret bytes that it was given or gave, with what they are. */
function spied(): { readonly crypto: CryptoProvider; readonly seen: Seen } {
  const seen: Seen = []
  const note = <T extends Uint8Array | undefined>(name: string, bytes: T): T => {
    if (bytes) seen.push([name, bytes])
    return bytes
  }
  const crypto: CryptoProvider = {
    ...nobleProvider,
    hkdfSha256: (...input) => note(`hkdf of ${input[3]}`, nobleProvider.hkdfSha256(...input)),
    hmacSha256: (key, data) => nobleProvider.hmacSha256(note('hmac key', key), note('hmac input', data)),
    shake256: (...input) => note('expanded seed', nobleProvider.shake256(...input)),
    sha3_256: (data) => note('combined', nobleProvider.sha3_256(note('halves', data))),
    x25519Secret(secret) {
      const handle = nobleProvider.x25519Secret(note('classical secret', secret))
      const held = note('its copy', Uint8Array.of(1))
      return { ...handle, agree: (key) => note('classical half', handle.agree(key)), wipe: () => wipe(held) }
    },
    mlKem768Encapsulate(...input) {
      const made = nobleProvider.mlKem768Encapsulate(...input)
      note('lattice half', made?.shared)
      return made
    },
    mlKem768Secret(seed) {
      const handle = nobleProvider.mlKem768Secret(seed)
      return { ...handle, decapsulate: (bytes) => note('lattice half', handle.decapsulate(bytes)) }
    },
  }
  return { crypto, seen }
}

const random = seeded(41)
const info = utf8('place')
const secret = new Uint8Array(32).fill(5)
const seed = new Uint8Array(32).fill(1)
const holder = xWingSecret(nobleProvider, seed)
const { publicKey } = holder
const plaintext = utf8('text')
const encapsulated = xWingEncapsulate(nobleProvider, publicKey, random)!.ciphertext

/** Names of what is left, in the order in which it was seen, without what stays for a use. */
function left(seen: Seen, ...kept: readonly string[]): string[] {
  return seen.filter(([name, bytes]) => bytes.some((byte) => byte !== 0) && !kept.includes(name)).map(([name]) => name)
}

describe('nothing secret is left', () => {
  it.each<[string, readonly string[], (crypto: CryptoProvider) => unknown]>([
    [
      'by sealing',
      ['hkdf of 32', 'hmac key', 'hmac input', 'hkdf of 76'],
      (crypto) => sealBlock(crypto, random, { secret, info, plaintext }),
    ],
    [
      'by sealing for a public key',
      [
        'lattice half',
        'classical secret',
        'its copy',
        'classical half',
        'halves',
        'combined',
        'hkdf of 32',
        'hkdf of 32',
      ],
      (crypto) => sealBlockTo(crypto, random, { publicKey, info, plaintext }),
    ],
    [
      'by wrapping',
      [
        'hkdf of 32',
        'lattice half',
        'hkdf of 32',
        'classical secret',
        'its copy',
        'classical half',
        'halves',
        'combined',
      ],
      (crypto) => wrapSecret(crypto, random, { publicKey, info, secret }),
    ],
  ])('%s', (_, names, run) => {
    const { crypto, seen } = spied()
    expect(run(crypto)).toBeDefined()
    expect(seen.map(([name]) => name).slice(0, names.length)).toEqual(names)
    expect(left(seen)).toEqual([])
  })

  it('by opening: but the key of the holder, and what was asked for', () => {
    const block = sealBlock(nobleProvider, random, { secret, info, plaintext })
    const opening = spied()
    expect(openBlockKey(opening.crypto, { secret, info, ...block })).toBeDefined()
    expect(opening.seen.length).toBe(1)
    expect(left(opening.seen)).toEqual([])
    const { crypto, seen } = spied()
    const mine = xWingSecret(crypto, seed)
    expect(left(seen, 'its copy')).toEqual([])
    const wrapped = wrapSecret(nobleProvider, random, { publicKey, info, secret })!
    expect(unwrapSecret(crypto, mine, { info, wrapped, size: 32 })).toEqual(secret)
    expect(left(seen, 'its copy')).toEqual([])
    expect(blockSecretFrom(crypto, mine, encapsulated, info)).toBeDefined()
    expect(left(seen, 'its copy')).toEqual(['hkdf of 32'])
    expect(seen.length).toBe(13)
  })
})
