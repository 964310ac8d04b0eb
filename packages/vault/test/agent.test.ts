/** Leases, and the rotation agent. With ATE_VAULT_SERVED over a server. */
import { inspect } from 'node:util'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Issuer, SecretValue } from '../src/index.ts'
import { all, codeOf, newPlace, type Place } from './kit.ts'

let place: Place
beforeEach(async () => {
  place = await newPlace()
})
afterEach(() => place.close())

interface Login {
  readonly [name: string]: string
  readonly user: string
  readonly password: string
}

function database(): Issuer<Login> & { readonly users: Set<string> } {
  const users = new Set<string>()
  return {
    name: 'db',
    users,
    issue: async () => {
      const user = `u${users.size + 1}`
      users.add(user)
      return { user, password: 'canary' }
    },
    revoke: async ({ user }) => void users.delete(user),
  }
}

it('a lease gives a credential, and takes it back', async () => {
  const vault = await place.open()
  const db = database()
  const lease = await vault.lease(db, { ttl: '1h', max: '2h' })
  expect(lease.value.user).toBe('u1')
  expect(inspect(lease) + JSON.stringify(lease)).not.toContain('canary')
  expect((await all(vault.list('leases')))[0]).toMatchObject({ kind: 'lease', state: 'live' })
  const first = lease.expires.getTime()
  place.makers.move(1_800_000)
  const renewed = (await lease.renew('1h')).getTime() - first
  expect(renewed >= 1_800_000 && renewed < 3_600_000).toBe(true)
  // Not beyond its maximum.
  expect((await lease.renew('9h')).getTime()).toBe(first + 3_600_000)
  await lease[Symbol.asyncDispose]()
  expect([...db.users]).toEqual([])
  expect(() => lease.value).toThrow('SECRET_DISPOSED')
  expect(await codeOf(lease.renew('1h'))).toBe('SECRET_DISPOSED')
  await lease.revoke()
  expect((await all(vault.list('leases')))[0]).toMatchObject({ state: 'destroyed' })
})

it('what a process that died had leased is taken back by whoever reaps', async () => {
  const db = database()
  await (await place.open()).lease(db, { ttl: '1h' })
  const vault = await place.open()
  expect(await vault.reap(db)).toBe(0)
  place.makers.move(3_600_001)
  expect(await vault.reap(db)).toBe(1)
  expect([...db.users]).toEqual([])
  expect(await vault.reap(db)).toBe(0)
})

it('a credential that could not be recorded is taken back at once', async () => {
  const vault = await place.open()
  const db = database()
  const bad: Issuer<SecretValue> = {
    name: 'bad',
    issue: async () => new Date() as never,
    revoke: async () => void db.users.add('revoked'),
  }
  expect(await codeOf(vault.lease(bad, { ttl: '1h' }))).toBe('BAD_VALUE')
  expect([...db.users]).toEqual(['revoked'])
  expect(await codeOf(vault.lease(db, { ttl: '2h', max: '1h' }))).toBe('BAD_ARGUMENT')
  expect(await codeOf(vault.lease({ ...db, name: 'a/b' }, { ttl: '2h' }))).toBe('BAD_ARGUMENT')
})

it('the agent rotates what is due, once, keeps what it is told to keep, and goes on after a failure', async () => {
  const vault = await place.open()
  await vault.secret('prod/db').put('v0')
  let count = 0
  const rotate = [
    { path: 'prod/broken', every: '1h', next: async () => Promise.reject(new Error('source is down')) },
    { path: 'prod/db', every: '1h', keep: 2, next: async (before: unknown) => `${before}+${++count}` },
    { path: 'prod/new', every: '1h', next: async (before: unknown) => `first after ${before}` },
  ] as const
  const first = await vault.rotate({ rotate })
  expect(first.rotated).toEqual(['prod/new'])
  expect(first.failures.map(({ what }) => what)).toEqual(['rotate prod/broken'])
  for (let i = 0; i < 3; i++) {
    place.makers.move(3_600_001)
    // Two at once: one of them finds it claimed, or rotated already.
    const both = await Promise.all([vault.rotate({ rotate: [rotate[1]] }), vault.rotate({ rotate: [rotate[1]] })])
    expect(both.flatMap(({ rotated }) => rotated)).toEqual(['prod/db'])
    expect(both.flatMap(({ failures }) => failures)).toEqual([])
  }
  expect((await vault.secret('prod/db').get()).value).toBe('v0+1+2+3')
  expect(count).toBe(3)
  expect((await all(vault.secret('prod/db').versions())).map(({ state }) => state)).toEqual([
    'destroyed',
    'destroyed',
    'live',
    'live',
  ])
})

it('the agent runs until its signal, and tidies if it is told to', async () => {
  const vault = await place.open()
  await vault.role('temp').allow('x/**', ['read'], { until: new Date(place.makers.now() + 1000) })
  place.makers.move(2000)
  const stop = new AbortController()
  const rounds: number[] = []
  for await (const { tidied } of vault.agent({ tidy: 'yes', signal: stop.signal })) {
    rounds.push(tidied)
    if (rounds.length === 2) stop.abort()
  }
  expect(rounds).toEqual([1, 0])
})

it('a credential that cannot be taken back keeps no other from being, and is tried again', async () => {
  const vault = await place.open()
  const { users, ...db } = database()
  const leases = [await vault.lease(db, { ttl: '1h' }), await vault.lease(db, { ttl: '1h' })]
  // The one that is tried first.
  const stuck = leases.sort((a, b) => (a.path < b.path ? -1 : 1))[0]!.value.user
  let isStuck = true
  const half: Issuer<Login> = {
    ...db,
    revoke: async (login) => {
      if (isStuck && login.user === stuck) throw new Error('the database is away')
      users.delete(login.user)
    },
  }
  place.makers.move(3_600_001)
  const report = await vault.rotate({ issuers: [half] })
  expect(report.reaped).toBe(1)
  expect(report.failures.map(({ what }) => what)).toEqual([`reap ${leases[0]!.path}`])
  expect([...users]).toEqual([stuck])
  await expect(vault.reap(half)).rejects.toThrow('the database is away')
  isStuck = false
  expect(await vault.reap(half)).toBe(1)
})
