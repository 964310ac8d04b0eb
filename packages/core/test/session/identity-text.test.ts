// An identity's text: comes back, tells damage from a wrong passphrase, and cannot ask for much.
import { describe, expect, it } from 'vitest'
import { fromBase32, toBase32 } from '../../src/base/ids.ts'
import { decodeCanonical, encodeCanonical } from '../../src/codec/cbor.ts'
import { nobleArgon2id } from '../../src/crypto/noble-argon2.ts'
import { identitySeed, newIdentity } from '../../src/session/identity.ts'
import { identityText, PASSPHRASE_PARAMETERS, readIdentityText } from '../../src/session/identity-text.ts'
import { codeOf, crypto, makers, quick, textsOf } from './fixtures.ts'

const given = makers(5)
const identity = newIdentity(given)
const plain = await identityText(given, identity)
const sealed = await identityText(given, identity, { passphrase: 'correct horse', parameters: quick })

/** The text with its body changed and its checksum made anew: what an attacker writes. */
function forged(text: string, change: (body: Record<string, unknown>) => void): string {
  const [, label, characters] = /-----BEGIN (.*)-----\n([^-]*)\n-----END/.exec(text)!
  const packed = characters!.replace(/\n/g, '')
  const whole = fromBase32(packed, Math.floor((packed.length * 5) / 8))!
  const body = decodeCanonical(whole.slice(0, -4)) as Record<string, unknown>
  change(body)
  const map = encodeCanonical(body)
  const checksum = crypto.sha256(Buffer.concat([Buffer.from('ate/1/identity-file\0'), map])).subarray(0, 4)
  return `-----BEGIN ${label}-----\n${toBase32(Buffer.concat([map, checksum]))}\n-----END ${label}-----\n`
}

describe('an identity text', () => {
  it('comes back, plain and sealed, and says what it is', async () => {
    expect(plain).toMatch(/^-----BEGIN ATE IDENTITY-----\n/)
    expect(sealed).toMatch(/^-----BEGIN SEALED ATE IDENTITY-----\n/)
    expect((await readIdentityText(given, plain)).fingerprint).toBe(identity.fingerprint)
    const opened = await readIdentityText(given, sealed, 'correct horse')
    expect(Buffer.from(identitySeed(opened)).equals(identitySeed(identity))).toBe(true)
    expect(await readIdentityText(given, sealed, async () => 'correct horse')).toBeDefined()
  })

  it('does not care for white space and line ends', async () => {
    for (const text of [plain.replaceAll('\n', '\r\n'), plain.replaceAll('\n', ' '), `\n\n  ${plain}  \n`]) {
      expect((await readIdentityText(given, text)).fingerprint).toBe(identity.fingerprint)
    }
  })

  it('shows nothing of the seed when it is sealed, and is never sealed the same way twice', async () => {
    const seed = identitySeed(identity)
    const packed = sealed.replace(/\s/g, '')
    for (const text of textsOf(seed)) expect(packed).not.toContain(text)
    expect(await identityText(given, identity, { passphrase: 'correct horse', parameters: quick })).not.toBe(sealed)
  })

  it('asks for the passphrase only if it is sealed', async () => {
    expect(await codeOf(() => readIdentityText(given, sealed))).toBe('PASSPHRASE_NEEDED')
    await readIdentityText(given, plain, () => {
      throw new Error('asked')
    })
    expect(await codeOf(() => readIdentityText(given, sealed, ''))).toBe('BAD_ARGUMENT')
    expect(await codeOf(() => identityText(given, identity, { passphrase: '' }))).toBe('BAD_ARGUMENT')
  })

  it('takes one passphrase in both of its compositions', async () => {
    const text = await identityText(given, identity, { passphrase: 'caf\u00e9', parameters: quick })
    expect((await readIdentityText(given, text, 'cafe\u0301')).fingerprint).toBe(identity.fingerprint)
  })

  it('tells a wrong passphrase', async () => {
    for (const wrong of ['correct horse ', 'Correct horse', 'x']) {
      expect(await codeOf(() => readIdentityText(given, sealed, wrong))).toBe('WRONG_PASSPHRASE')
    }
  })

  it('tells damage of every character', async () => {
    for (const text of [plain, sealed]) {
      for (let at = 0; at < text.length - 1; at += 3) {
        const character = text[at] === 'q' ? 'r' : 'q'
        if (text[at] === '\n') continue
        const damaged = text.slice(0, at) + character + text.slice(at + 1)
        expect(await codeOf(() => readIdentityText(given, damaged, 'correct horse'))).toBe('BAD_IDENTITY')
      }
      for (const cut of [0, 1, 20, 60, 200, text.length - 3]) {
        expect(await codeOf(() => readIdentityText(given, text.slice(0, cut), 'x'))).toBe('BAD_IDENTITY')
      }
    }
    expect(await codeOf(() => readIdentityText(given, `${plain}${' '.repeat(10_000)}`))).toBe('BAD_IDENTITY')
    expect(await codeOf(() => readIdentityText(given, sealed.replaceAll('SEALED ', '')))).toBe('BAD_IDENTITY')
    expect(
      await codeOf(() => readIdentityText(given, plain.replaceAll('ATE IDENTITY', 'SEALED ATE IDENTITY'), 'x')),
    ).toBe('BAD_IDENTITY')
  })

  it('refuses what was forged under a right checksum', async () => {
    const flip = (name: string) => (body: Record<string, unknown>) => {
      ;(body[name] as Uint8Array)[0]! ^= 1
    }
    const read = (text: string) => codeOf(() => readIdentityText(given, text, 'correct horse'))
    expect(await read(forged(sealed, () => undefined))).toBe('nothing was thrown')
    for (const name of ['tag', 'ciphertext']) expect(await read(forged(sealed, flip(name)))).toBe('BAD_IDENTITY')
    // What the commitment covers cannot be told from a wrong passphrase.
    for (const name of ['salt', 'commitment', 'fingerprint'])
      expect(await read(forged(sealed, flip(name)))).toBe('WRONG_PASSPHRASE')
    for (const name of ['seed', 'fingerprint']) expect(await read(forged(plain, flip(name)))).toBe('BAD_IDENTITY')
    expect(await read(forged(plain, (body) => (body['seed'] = new Uint8Array(95))))).toBe('BAD_IDENTITY')
    expect(await read(forged(plain, (body) => (body['version'] = 2)))).toBe('UNSUPPORTED_FORMAT')
  })

  it('cannot ask for much memory or time', async () => {
    const cases: [string, unknown][] = [
      ['memoryKiB', 262_145],
      ['memoryKiB', 2 ** 40],
      ['memoryKiB', 15],
      ['memoryKiB', -1],
      ['memoryKiB', 64.5],
      ['memoryKiB', 64n],
      ['passes', 0],
      ['passes', 17],
      ['lanes', 0],
      ['lanes', 17],
      ['lanes', 'x'],
    ]
    for (const [name, value] of cases) {
      const text = forged(sealed, (body) => (body[name] = value))
      const counting = { ...given, crypto: { ...crypto, argon2id: () => expect.fail('asked for') } }
      expect(await codeOf(() => readIdentityText(counting, text, 'correct horse'))).toBe('BAD_IDENTITY')
    }
  })

  it('leaves no passphrase and no secret behind in memory that it knows of', async () => {
    const held: Uint8Array[] = []
    const watching = {
      ...given,
      crypto: {
        ...crypto,
        argon2id: (password: Uint8Array, salt: Uint8Array) => {
          const secret = nobleArgon2id(password, salt, quick, 32)
          held.push(password, secret)
          return secret
        },
      },
    }
    const text = await identityText(watching, identity, { passphrase: 'correct horse', parameters: quick })
    await readIdentityText(watching, text, 'correct horse')
    expect(await codeOf(() => readIdentityText(watching, text, 'wrong'))).toBe('WRONG_PASSPHRASE')
    expect(held).toHaveLength(6)
    for (const bytes of held) expect(bytes.every((byte) => byte === 0)).toBe(true)
  })

  it('is sealed with 64 MiB, three passes and four lanes unless told otherwise', async () => {
    const seen: unknown[] = []
    const watching = {
      ...given,
      crypto: {
        ...crypto,
        argon2id: (password: Uint8Array, salt: Uint8Array, parameters: unknown, size: number) => {
          seen.push(parameters)
          return crypto.argon2id(password, salt, quick, size)
        },
      },
    }
    await identityText(watching, identity, { passphrase: 'x' })
    expect(seen).toEqual([{ memoryKiB: 65_536, passes: 3, lanes: 4 }])
    expect(PASSPHRASE_PARAMETERS).toEqual(seen[0])
  })
})
