/** What a server is told: what is understood, and what is refused before anything is opened. */
import { describe, expect, it } from 'vitest'
import { isAteError } from '../../src/base/errors.ts'
import { nobleProvider as crypto } from '../../src/crypto/noble.ts'
import { DEFAULT_LIMITS } from '../../src/mesh/admission.ts'
import { parseServeOptions, type ServeOptions } from '../../src/mesh/serve-options.ts'

const LEAST: ServeOptions = { listen: 'ws://127.0.0.1:0/db', data: './served' }
const TLS = { cert: '-----BEGIN CERTIFICATE-----', key: '-----BEGIN PRIVATE KEY-----' }

function refusal(options: object): unknown {
  try {
    parseServeOptions({ ...LEAST, ...options } as ServeOptions, crypto)
    return 'nothing'
  } catch (error) {
    return isAteError(error) ? [error.code, error.facts['option']] : error
  }
}

it('the least that is needed', () => {
  expect(parseServeOptions(LEAST, crypto)).toEqual({
    listen: ['ws://127.0.0.1:0/db'],
    data: './served',
    url: undefined,
    admit: expect.any(Function),
    limits: DEFAULT_LIMITS,
    tls: undefined,
    wireEncryption: 'on',
    durability: 'disk',
    keyAccess: 'open',
    compact: { growth: 2 },
    idleMs: 60_000,
    ring: undefined,
    proxies: [],
    metrics: 'loopback',
    follows: [],
    passphrase: undefined,
  })
})

it('all of it', () => {
  const given: ServeOptions = {
    listen: ['wss://0.0.0.0:443/db/', 'ws+unix:/run/ate.sock'],
    data: 'file:./served',
    url: 'wss://ate.example/db',
    admit: { connect: 'anyone', create: [] },
    limits: { pending: 5, handshakes: { perSecond: 1, burst: 2 } },
    tls: TLS,
    durability: 'os',
    compact: 'never',
    idle: '5m',
    nodes: ['wss://ate.example/db', 'wss://other.example/db'],
    metrics: 'anyone',
  }
  expect(parseServeOptions(given, crypto)).toMatchObject({
    listen: ['wss://0.0.0.0/db', 'ws+unix:/run/ate.sock'],
    data: './served',
    url: 'wss://ate.example/db',
    limits: { ...DEFAULT_LIMITS, pending: 5, handshakes: { perSecond: 1, burst: 2 } },
    tls: TLS,
    durability: 'os',
    compact: undefined,
    idleMs: 300_000,
    ring: { nodes: given.nodes, self: 'wss://ate.example/db' },
    metrics: 'anyone',
  })
  const own = parseServeOptions({ ...LEAST, listen: 'ws://b:1', nodes: ['ws://a:1', 'ws://b:1'] }, crypto)
  expect(own.ring?.self).toBe('ws://b:1')
  const named = parseServeOptions({ ...LEAST, nodes: ['ws://a:1', 'ws://b:1'], node: 'ws://b:1/' }, crypto)
  expect(named.ring?.self).toBe('ws://b:1')
})

describe('behind a proxy, which the address for clients shows', () => {
  const create = { kind: 'create', identity: undefined, isLoopback: true, peer: '127.0.0.1', chain: 'x' } as const
  const LOCAL = 'ws://127.0.0.1:5000/db'
  const parsed = (listen: string | string[], url: string | undefined, more: Partial<ServeOptions> = {}) =>
    parseServeOptions({ ...LEAST, listen, ...(url === undefined ? {} : { url }), ...more }, crypto)

  it.each<[string, string | string[], string | undefined, 'nobody' | 'loopback']>([
    ['TLS ends there', LOCAL, 'wss://ate.example/db', 'nobody'],
    ['another port', LOCAL, 'ws://ate.example:80/db', 'nobody'],
    ['a socket file', 'ws+unix:/run/ate.sock:/db', 'wss://ate.example/db', 'nobody'],
    ['a name that is not of this machine', LOCAL, 'ws://ate.example:5000/db', 'nobody'],
    ['none: all addresses', 'ws://0.0.0.0:5000/db', 'ws://ate.example:5000/db', 'loopback'],
    ['none: one of the addresses', [LOCAL, 'ws://10.0.0.1:5000/db'], 'ws://ate.example:5000/db', 'loopback'],
    ['none: this machine', LOCAL, 'ws://localhost:5000/db', 'loopback'],
    ['none: no other address', LOCAL, undefined, 'loopback'],
  ])('%s', async (_, listen, url, who) => {
    const { admit, metrics } = parsed(listen, url)
    expect(await admit(create)).toEqual(who === 'loopback' || expect.stringContaining('who creates chains'))
    expect(await admit({ ...create, kind: 'connect' })).toBe(true)
    expect(metrics).toBe(who === 'loopback' ? 'loopback' : 'never')
  })

  it('who is named has the rights all the same', async () => {
    const given = { admit: { create: 'loopback' }, metrics: 'loopback', proxies: 'loopback' } as const
    const { admit, metrics, proxies } = parsed(LOCAL, 'wss://ate.example/db', given)
    expect([await admit(create), metrics, proxies]).toEqual([true, 'loopback', ['loopback']])
    expect(await parsed(LOCAL, 'wss://ate.example/db', { admit: () => true }).admit(create)).toBe(true)
  })
})

describe('mistakes', () => {
  it.each<[string, object, unknown]>([
    ['no address', { listen: [] }, 'listen'],
    ['an address twice', { listen: ['ws://a/db', 'ws://a:80/db/'] }, 'listen'],
    ['an address for clients with another path', { url: 'wss://ate.example/ate/db' }, 'url'],
    ['proxies that are no list', { proxies: '10.0.0.1' }, 'proxies'],
    ['no folder', { data: '' }, 'data'],
    ['a URL as folder', { data: 'ws://a' }, 'data'],
    ['a misspelt option', { admitt: 'anyone' }, 'admitt'],
    ['a misspelt rule', { admit: { created: 'anyone' } }, 'admit.created'],
    ['a rule that is text', { admit: 'anyone' }, 'admit'],
    ['a rule for nobody', { admit: { create: 'nobody' } }, 'admit.create'],
    ['a misspelt limit', { limits: { conections: 1 } }, 'limits.conections'],
    ['a limit of nothing', { limits: { pending: 0 } }, 'limits.pending'],
    ['a limit that is no number', { limits: { pending: Number.NaN } }, 'limits.pending'],
    ['a rate that is a number', { limits: { handshakes: 5 } }, 'limits.handshakes'],
    ['TLS without a certificate', { listen: 'wss://a/db' }, 'tls'],
    ['a certificate without TLS', { tls: TLS }, 'tls'],
    ['a path for a certificate', { listen: 'wss://a', tls: { ...TLS, cert: './cert.pem' } }, 'tls.cert'],
    ['cert and key swapped', { listen: 'wss://a', tls: { cert: TLS.key, key: TLS.cert } }, 'tls.cert'],
    [
      'no encryption before strangers',
      { listen: ['ws://127.0.0.1:0', 'ws://0.0.0.0:0'], wireEncryption: 'off' },
      'wireEncryption',
    ],
    ['no encryption as a boolean', { wireEncryption: false }, 'wireEncryption'],
    ['a ring without this server', { nodes: ['ws://a', 'ws://b'] }, 'node'],
    ['a ring with another server', { nodes: ['ws://a', 'ws://b'], node: 'ws://c' }, 'node'],
    ['a server of no ring', { node: 'ws://c' }, 'node'],
    ['a server twice in a ring', { nodes: ['ws://a/', 'ws://a'] }, 'nodes'],
    ['a file instead of an identity', { follows: ['old.id'] }, 'follows'],
    ['strange metrics', { metrics: 'public' }, 'metrics'],
    ['a level that files do not have', { durability: 'quorum' as never }, 'durability'],
    ['keys that are given to nobody', { keyAccess: 'none' as never }, 'keyAccess'],
    ['a compaction that never ends', { compact: { growth: 1 } }, 'compact.growth'],
  ])('%s', (_, options, option) => {
    expect(refusal(options)).toEqual(['BAD_ARGUMENT', option])
  })

  it('of addresses and identities have their own codes', () => {
    expect(refusal({ listen: 'http://a' })).toEqual(['BAD_URL', undefined])
    expect(refusal({ url: 'ws://user:secret@a' })).toEqual(['BAD_URL', undefined])
    expect(refusal({ admit: { create: ['alice'] } })).toEqual(['BAD_PUBLIC_ID', undefined])
    expect(refusal({ idle: 'soon' })).toEqual(['BAD_ARGUMENT', undefined])
  })

  it('show no secret', () => {
    const secret = 'hunter2'
    for (const options of [{ url: `ws://user:${secret}@a` }, { listen: 'wss://a', tls: { ...TLS, key: secret } }]) {
      expect(() => parseServeOptions({ ...LEAST, ...options }, crypto)).toThrow(
        expect.objectContaining({ message: expect.not.stringContaining(secret) }),
      )
    }
  })

  it('no encryption on this machine is none', () => {
    for (const listen of ['ws://localhost:1', 'ws://[::1]:1', 'ws://127.9.9.9:1', 'ws+unix:/run/x.sock'])
      expect(parseServeOptions({ ...LEAST, listen, wireEncryption: 'off' }, crypto).wireEncryption).toBe('off')
  })
})
