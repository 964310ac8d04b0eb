/** Which server is meant: what is given, named by DNS, known or new, and what a change of keys needs. */
import { describe, expect, it } from 'vitest'
import { fromUtf8, utf8 } from '../../src/base/bytes.ts'
import { isAteError } from '../../src/base/errors.ts'
import { forgetKnownServer, isLoopback, type ServerPinOptions, serverPin } from '../../src/mesh/server-pins.ts'
import { makeSuccession, SUCCESSION_BYTES, verifySuccession } from '../../src/mesh/succession.ts'
import { type Identity, newIdentity } from '../../src/session/identity.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { type TestPlatform, testPlatform } from '../../src/testing/test-platform.ts'
import { codeOf, crypto, flipped, NOW } from './support.ts'

const identity = (seed: number): Identity => newIdentity({ crypto, random: seededRandom(seed) })
const [right, wrong, old] = [identity(61), identity(62), identity(63)]
const HOST = { host: 'db.example.org', port: 5000 }
const FILE = 'known-servers'

type Presented = { readonly identity: Identity; readonly follows: Uint8Array | undefined }
const shows = (who: Identity, follows?: Identity): Presented => ({ identity: who, follows: follows?.fingerprintBytes })

function machine(known: Record<string, Identity> = {}): TestPlatform {
  const platform = testPlatform(1)
  const lines = Object.entries(known).map(([name, who]) => `${name} ${who.fingerprint}\n`)
  if (lines.length > 0) void platform.state.put(FILE, utf8(lines.join('')))
  return platform
}

/** The code of meeting `server`, and the lines afterwards. */
async function meet(
  platform: TestPlatform,
  options: Partial<ServerPinOptions>,
  server: Presented,
): Promise<readonly [string, string]> {
  let code = 'nothing'
  try {
    const pin = await serverPin(platform, { ...HOST, ...options })
    pin.expect(server)
    await pin.remember(server)
  } catch (error) {
    if (!isAteError(error)) throw error
    code = error.code
  }
  const bytes = await platform.state.get(FILE)
  return [code, bytes ? fromUtf8(bytes) : '']
}

const line = (who: Identity): string => `db.example.org:5000 ${who.fingerprint}\n`

describe('a key that is given', () => {
  it.each([
    ['a publicId', right.publicId],
    ['a fingerprint', right.fingerprint],
    ['an identity', right],
  ] as const)('as %s is the one that counts, and is remembered', async (_name, serverKey) => {
    expect(await meet(machine(), { serverKey }, shows(right))).toEqual(['nothing', line(right)])
    expect(await meet(machine(), { serverKey }, shows(wrong))).toEqual(['SERVER_CHANGED', ''])
  })

  it('overrules what is known, and what DNS says is not asked', async () => {
    const platform = machine({ 'db.example.org:5000': old })
    expect(await meet(platform, { serverKey: right.publicId, pin: 'dns' }, shows(right))).toEqual([
      'nothing',
      line(right),
    ])
    expect(await meet(machine({ 'db.example.org:5000': old }), { serverKey: right.publicId }, shows(old))).toEqual([
      'SERVER_CHANGED',
      line(old),
    ])
  })

  it('that is none is an error before anything is sent', async () => {
    const cases = [
      ['BAD_PUBLIC_ID', 'ate1xyz'],
      ['BAD_PUBLIC_ID', `${right.fingerprint}0`],
      ['BAD_PUBLIC_ID', ''],
      ['BAD_ARGUMENT', { fingerprintBytes: new Uint8Array(31) }],
      ['BAD_ARGUMENT', null as unknown as string],
    ] as const
    for (const [code, serverKey] of cases) expect((await meet(machine(), { serverKey }, shows(right)))[0]).toBe(code)
  })
})

describe('a server that nothing is known of', () => {
  it('is refused, and its fingerprint is named for who asks about it', async () => {
    const pin = await serverPin(machine(), HOST)
    let message = ''
    try {
      pin.expect(shows(right))
    } catch (error) {
      message = (error as Error).message
    }
    expect(message).toContain('SERVER_UNKNOWN')
    expect(message).toContain('serverKey')
    expect(message).toContain(right.fingerprint)
    expect(pin.hint).toBeUndefined()
  })

  it('is refused on other hosts though first use is allowed, also where the name looks like loopback', async () => {
    for (const host of [
      'db.example.org',
      'localhost.example.org',
      '127.0.0.1.example.org',
      '10.0.0.1',
      '[::2]',
      '0.0.0.0',
      '1270.0.0.1',
    ])
      for (const firstUse of ['accept', 'remember'] as const)
        expect(await meet(machine(), { host, firstUse }, shows(right))).toEqual(['SERVER_UNKNOWN', ''])
  })

  it('is taken on loopback where that is allowed: once, or from then on', async () => {
    const host = '127.0.0.1'
    expect(await meet(machine(), { host }, shows(right))).toEqual(['SERVER_UNKNOWN', ''])
    expect(await meet(machine(), { host, firstUse: 'accept' }, shows(right))).toEqual(['nothing', ''])
    const platform = machine()
    const lines = `127.0.0.1:5000 ${right.fingerprint}\n`
    expect(await meet(platform, { host, firstUse: 'remember' }, shows(right))).toEqual(['nothing', lines])
    for (const firstUse of ['accept', 'remember', undefined] as const)
      expect(await meet(platform, firstUse ? { host, firstUse } : { host }, shows(wrong))).toEqual([
        'SERVER_CHANGED',
        lines,
      ])
    expect(await meet(platform, { host, port: 5001 }, shows(right))).toEqual(['SERVER_UNKNOWN', lines])
    await forgetKnownServer(platform.state, { host, port: 5000 })
    expect(await meet(platform, { host, firstUse: 'accept' }, shows(wrong))).toEqual(['nothing', ''])
    for (const name of ['localhost', 'LOCALHOST', '127.255.0.9', '[::1]', '::1']) expect(isLoopback(name)).toBe(true)
  })
})

describe('a server that is known', () => {
  it('is met again by its line, whatever the case of the name, and by no other key', async () => {
    const platform = machine({ 'db.example.org:5000': right, 'other.example.org:5000': wrong })
    const lines = fromUtf8((await platform.state.get(FILE))!)
    expect(await meet(platform, { host: 'DB.Example.org' }, shows(right))).toEqual(['nothing', lines])
    expect(await meet(platform, {}, shows(wrong))).toEqual(['SERVER_CHANGED', lines])
    expect((await serverPin(platform, HOST)).hint).toEqual(right.fingerprintBytes)
  })

  it('may change its key if the old one has signed that', async () => {
    const platform = machine({ 'db.example.org:5000': old })
    expect(await meet(platform, {}, shows(right))).toEqual(['SERVER_CHANGED', line(old)])
    expect(await meet(platform, {}, shows(right, wrong))).toEqual(['SERVER_CHANGED', line(old)])
    expect(await meet(platform, {}, shows(right, old))).toEqual(['nothing', line(right)])
    expect(await meet(platform, {}, shows(old))).toEqual(['SERVER_CHANGED', line(right)])
  })

  it('is not passed over because a line is damaged', async () => {
    const platform = machine()
    await platform.state.put(FILE, utf8('db.example.org:5000 garbage\n'))
    expect((await meet(platform, { firstUse: 'accept', host: '127.0.0.1' }, shows(right)))[0]).toBe('DAMAGED')
  })
})

describe('a server that DNS names', () => {
  const named = (platform: TestPlatform, who: Identity): TestPlatform => {
    platform.txt.set('_ate.db.example.org', [[`ate1 server=${who.fingerprint}`]])
    return platform
  }

  it('is that one, and is remembered', async () => {
    expect(await meet(named(machine(), right), { pin: 'dns' }, shows(right))).toEqual(['nothing', line(right)])
    expect(await meet(named(machine(), right), { pin: 'dns' }, shows(wrong))).toEqual(['SERVER_CHANGED', ''])
    expect((await meet(machine(), { pin: 'dns' }, shows(right)))[0]).toBe('BAD_PIN')
    expect(await meet(named(machine(), right), {}, shows(right))).toEqual(['SERVER_UNKNOWN', ''])
  })

  it('does not overrule what is known: both must agree, or the old key must', async () => {
    const known = (): TestPlatform => machine({ 'db.example.org:5000': old })
    expect(await meet(named(known(), wrong), { pin: 'dns' }, shows(wrong))).toEqual(['SERVER_CHANGED', line(old)])
    expect(await meet(named(known(), right), { pin: 'dns' }, shows(old))).toEqual(['SERVER_CHANGED', line(old)])
    expect(await meet(named(known(), right), { pin: 'dns' }, shows(right, old))).toEqual(['nothing', line(right)])
    expect((await serverPin(named(known(), right), { ...HOST, pin: 'dns' })).hint).toEqual(old.fingerprintBytes)
  })

  it('has a DNS name', async () => {
    expect((await meet(machine(), { host: '[::1]', pin: 'dns' }, shows(right)))[0]).toBe('BAD_ARGUMENT')
  })
})

describe('a succession', () => {
  const next = right.fingerprintBytes
  const succession = makeSuccession(crypto, old, { fingerprintBytes: next, at: NOW })

  it('says whom the new identity follows', () => {
    expect(succession.length).toBe(SUCCESSION_BYTES)
    expect(verifySuccession(crypto, succession, next)).toEqual(old.fingerprintBytes)
  })

  it('is for one identity, and every part of it counts', () => {
    const refused = [
      succession.subarray(1),
      flipped(succession, 0),
      new Uint8Array(0),
      new Uint8Array(SUCCESSION_BYTES),
    ]
    for (const bytes of refused) expect(codeOf(() => verifySuccession(crypto, bytes, next))).toBe('BAD_ACKNOWLEDGEMENT')
    expect(codeOf(() => verifySuccession(crypto, succession, wrong.fingerprintBytes))).toBe('BAD_ACKNOWLEDGEMENT')
    for (let at = 0; at < succession.length; at += 67)
      expect([at, codeOf(() => verifySuccession(crypto, flipped(succession, at), next))]).toEqual([
        at,
        'BAD_ACKNOWLEDGEMENT',
      ])
  })
})
