/** A chain named by a TXT record: one form, one chain, and no guess. No network is asked. */
import { describe, expect, it } from 'vitest'
import { toBase32 } from '../../src/base/ids.ts'
import { openChain } from '../../src/data/open-chain.ts'
import { chainOfName, serverOfHost } from '../../src/session/dns-pin.ts'
import { newIdentity } from '../../src/session/identity.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { testPlatform } from '../../src/testing/test-platform.ts'
import { codeOf, crypto } from './fixtures.ts'

const ID = `${'0'.repeat(50)}10`
const OTHER = `${'0'.repeat(50)}20`
const NAME = 'chains.example.org'

async function asked(...records: readonly (readonly string[])[]): Promise<string> {
  const platform = testPlatform(1)
  platform.txt.set(NAME, records)
  let chain = ''
  const code = await codeOf(async () => {
    chain = await chainOfName(platform, NAME)
  })
  return chain === '' ? code : chain
}

describe('the TXT records of a name', () => {
  it('name a chain by one record of one form, in one part or several, beside those of others', async () => {
    expect(await asked([`ate1 chain=${ID}`])).toBe(ID)
    expect(await asked(['ate1 ch', `ain=${ID}`])).toBe(ID)
    expect(await asked(['v=spf1 -all'], [`ate1 chain=${ID}`], ['ate12 chain=x'], ['x ate1 chain=y'])).toBe(ID)
    expect(await asked([`ate1 chain=${ID}`], [`ate1 chain=${ID}`])).toBe(ID)
  })

  it.each([
    ['no record', []],
    ['others only', [['v=spf1 -all']]],
    ['two chains', [[`ate1 chain=${ID}`], [`ate1 chain=${OTHER}`]]],
    ['an id that is too short', [[`ate1 chain=${ID.slice(1)}`]]],
    ['unused bits that are set', [[`ate1 chain=${ID.slice(0, -1)}1`]]],
    ['capitals', [[`ate1 chain=${ID.toUpperCase()}`.replace('10', '1A')]]],
    ['capitals in the tag', [[`ATE1 chain=${ID}`]]],
    ['more behind it', [[`ate1 chain=${ID} x`]]],
    ['a line break behind it', [[`ate1 chain=${ID}\n`]]],
    ['two spaces', [[`ate1  chain=${ID}`]]],
    ['no id', [['ate1']]],
    ['a good one beside a bad one', [[`ate1 chain=${ID}`], ['ate1 chain=']]],
    ['more records than a name has', Array.from({ length: 65 }, () => [`ate1 chain=${ID}`])],
  ])('name none: %s', async (_, records) => {
    expect(await asked(...records)).toBe('BAD_PIN')
  })

  it('are told from a name that does not exist, and from a network that does not answer', async () => {
    const platform = testPlatform(1)
    expect(await codeOf(() => chainOfName(platform, NAME))).toBe('BAD_PIN')
    platform.txt.set(NAME, Object.assign(new Error('none'), { code: 'ENODATA' }))
    expect(await codeOf(() => chainOfName(platform, NAME))).toBe('BAD_PIN')
    platform.txt.set(NAME, Object.assign(new Error('late'), { code: 'ETIMEOUT' }))
    expect(await codeOf(() => chainOfName(platform, NAME))).toBe('PIN_UNAVAILABLE')
  })

  it('are asked of DNS names only', async () => {
    const platform = testPlatform(1)
    for (const name of [
      '',
      'org',
      'a b.org',
      '-a.org',
      'a..org',
      '.org',
      `${'a'.repeat(64)}.org`,
      `${'a.'.repeat(127)}org`,
      5,
      undefined,
    ]) {
      expect([name, await codeOf(() => chainOfName(platform, name))]).toEqual([name, 'BAD_ARGUMENT'])
    }
    platform.txt.set('_ate.ex-ample.org', [[`ate1 chain=${ID}`]])
    expect(await chainOfName(platform, '_ate.ex-ample.org')).toBe(ID)
  })
})

describe('the TXT records of a host', () => {
  const server = async (...records: readonly string[]): Promise<string> => {
    const platform = testPlatform(1)
    platform.txt.set(
      '_ate.db.example.org',
      records.map((text) => [text]),
    )
    let found = ''
    const code = await codeOf(async () => {
      found = toBase32(await serverOfHost(platform, 'db.example.org'))
    })
    return found === '' ? code : found
  }

  it('name its server, beside a chain', async () => {
    expect(await server(`ate1 server=${ID}`)).toBe(ID)
    expect(await server(`ate1 chain=${OTHER}`, `ate1 server=${ID}`, 'v=spf1 -all', `ate1 server=${ID}`)).toBe(ID)
    expect(await asked([`ate1 server=${OTHER}`], [`ate1 chain=${ID}`])).toBe(ID)
  })

  it('name none by a chain, by two, or by what is of another form', async () => {
    expect(await server(`ate1 chain=${ID}`)).toBe('BAD_PIN')
    expect(await server(`ate1 server=${ID}`, `ate1 server=${OTHER}`)).toBe('BAD_PIN')
    expect(await server(`ate1 server=${ID}`, 'ate1 chain=x')).toBe('BAD_PIN')
    expect(await server(`ate1 servers=${ID}`)).toBe('BAD_PIN')
    expect(await asked([`ate1 server=${ID}`])).toBe('BAD_PIN')
  })
})

describe('openChain with a DNS pin', () => {
  it('opens the chain that is named, and no other; it makes none', async () => {
    const platform = testPlatform(1)
    const [alice, bob] = [1, 2].map((seed) => newIdentity({ crypto, random: seededRandom(seed) }))
    const chain = await openChain('file:/c', { as: alice! }, platform)
    await chain.close()
    const pin = { dns: NAME }
    platform.txt.set(NAME, [[`ate1 chain=${chain.id}`]])
    await (await openChain('file:/c', { as: bob!, pin }, platform)).close()
    platform.txt.set(NAME, [[`ate1 chain=${OTHER}`]])
    expect(await codeOf(() => openChain('file:/c', { as: alice!, pin }, platform))).toBe('WRONG_CHAIN')
    expect(await codeOf(() => openChain('file:/none', { as: alice!, pin }, platform))).toBe('CHAIN_NOT_FOUND')
    expect(await codeOf(() => openChain('file:/c', { as: alice!, pin, id: chain.id }, platform))).toBe('BAD_ARGUMENT')
    for (const wrong of [{}, 'x', { dns: 5 }, null]) {
      expect(await codeOf(() => openChain('file:/c', { as: alice!, pin: wrong as never }, platform))).toBe(
        'BAD_ARGUMENT',
      )
    }
  })
})
