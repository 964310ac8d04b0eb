/** Leases, and the rotation agent. With ATE_VAULT_SERVED over a server. */

import { inspect } from 'node:util'
import { createIdentity, memoryEngine, memoryStore, openChain } from '@ate/core'
import { testPlatform } from '@ate/core/testing'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { type AgentReport, type Issuer, type SecretValue, vault } from '../src/index.ts'
import { Secret } from '../src/secret.ts'
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

it('what cannot be pruned is no failure of the rotation, which was done', async () => {
  const vault = await place.open()
  await vault.secret('prod/db').put('v0')
  place.makers.move(3_600_001)
  const destroy = vi.spyOn(Secret.prototype, 'destroy').mockRejectedValue(new Error('held'))
  const rotate = [{ path: 'prod/db', every: '1h', keep: 1, next: async () => 'v1' }] as const
  const report = await vault.rotate({ rotate })
  destroy.mockRestore()
  expect([report.rotated, report.failures.map(({ what }) => what)]).toEqual([['prod/db'], ['prune prod/db']])
  expect((await vault.secret('prod/db').get()).value).toBe('v1')
  place.makers.move(3_600_001)
  expect((await vault.rotate({ rotate })).failures).toEqual([])
  expect((await all(vault.secret('prod/db').versions())).map(({ state }) => state)).toEqual([
    'destroyed',
    'destroyed',
    'live',
  ])
})

it('what is to be kept is a number of versions: else nothing is changed at the source', async () => {
  const vault = await place.open()
  for (const keep of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    let asked = 0
    const next = async (): Promise<string> => `made ${++asked}`
    const { rotated, failures } = await vault.rotate({ rotate: [{ path: 'prod/kept', every: '1h', keep, next }] })
    expect([rotated, failures.map(({ error }) => (error as { code: string }).code), asked]).toEqual([
      [],
      ['BAD_ARGUMENT'],
      0,
    ])
  }
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

it('an agent that takes long at the source keeps its claim, and no other goes there', async () => {
  const vault = await place.open()
  await vault.secret('prod/slow').put('v0')
  let calls = 0
  let end = (): void => undefined
  const slow = {
    path: 'prod/slow',
    every: '1h',
    next: async () => {
      calls++
      await new Promise<void>((resolve) => {
        end = resolve
      })
      return `made by call ${calls}`
    },
  } as const
  place.makers.move(3_600_001)
  const first = vault.rotate({ rotate: [slow] })
  for (let i = 0; i < 4; i++) {
    await new Promise((resolve) => setTimeout(resolve, 60))
    place.makers.move(50_000)
  }
  await new Promise((resolve) => setTimeout(resolve, 60))
  const other = await Promise.race([
    vault.rotate({ rotate: [slow] }),
    new Promise((resolve) => setTimeout(resolve, 500)),
  ])
  expect(other).toMatchObject({ rotated: [], failures: [] })
  end()
  expect(await first).toMatchObject({ rotated: ['prod/slow'], failures: [] })
  expect([calls, (await vault.secret('prod/slow').get()).value]).toEqual([1, 'made by call 1'])
})

it('of two agents one makes the first version of a secret, and leaves no claim behind', async () => {
  const vault = await place.open()
  await vault.secret('prod/other').put('there is a vault')
  let calls = 0
  let isBroken = true
  const fresh = {
    path: 'prod/fresh',
    every: '1h',
    next: async (before: SecretValue | undefined) => {
      calls++
      await new Promise((resolve) => setTimeout(resolve, 60))
      if (isBroken) throw new Error('the source is away')
      return `after ${before}`
    },
  } as const
  const both = (): Promise<AgentReport[]> => Promise.all([1, 2].map(() => vault.rotate({ rotate: [fresh] })))
  // One that failed leaves no claim.
  expect((await both()).map(({ failures }) => failures.length).sort()).toEqual([0, 1])
  expect((await all(vault.list())).map(({ path }) => path)).toEqual(['prod/other'])
  isBroken = false
  expect((await both()).flatMap(({ rotated }) => rotated)).toEqual(['prod/fresh'])
  expect([calls, (await vault.secret('prod/fresh').get()).value]).toEqual([2, 'after undefined'])
  expect((await both()).flatMap(({ rotated, failures }) => [...rotated, ...failures])).toEqual([])
  // Nor does one that was dropped with the version that it was for.
  place.makers.move(3_600_001)
  expect((await both()).flatMap(({ rotated }) => rotated)).toEqual(['prod/fresh'])
})

it('who stands still while it makes a first version stores nothing beside that of who came later', async () => {
  const vault = await place.open()
  let end = (): void => undefined
  const until = new Promise<void>((resolve) => {
    end = resolve
  })
  const slow = {
    path: 'prod/first',
    every: '1h',
    next: async () => {
      await until
      return 'late'
    },
  } as const
  const { sleep } = place.makers
  Object.assign(place.makers, { sleep: (_: number, signal: AbortSignal) => sleep(5, signal).then(() => until) })
  const first = vault.rotate({ rotate: [slow] })
  await new Promise((resolve) => setTimeout(resolve, 200))
  expect((await vault.rotate({ rotate: [{ ...slow, next: async () => 'early' }] })).rotated).toEqual([])
  place.makers.move(130_000)
  const second = vault.rotate({ rotate: [{ ...slow, next: async () => until.then(() => 'in time') }] })
  await new Promise((resolve) => setTimeout(resolve, 200))
  end()
  const reports = [await first, await second]
  Object.assign(place.makers, { sleep })
  expect(reports.map(({ failures }) => failures.map(({ error }) => (error as { code: string }).code))).toEqual([
    ['LEASE_LOST'],
    [],
  ])
  expect((await vault.secret('prod/first').get()).value).toBe('in time')
})

it('a claim of a first version whose agent died is swept', async () => {
  const platform = testPlatform(7)
  const chain = await openChain(memoryEngine(memoryStore()), { as: await createIdentity() }, platform)
  const never = new Promise<never>(() => undefined)
  const still = { now: () => chain.now, random: place.makers.random, sleep: () => never }
  const asked = new Promise<void>((resolve) => {
    const next = (): Promise<never> => {
      resolve()
      return never
    }
    void vault(chain, {}, still).rotate({ rotate: [{ path: 'prod/key', every: '1h', next }] })
  })
  await asked
  expect(await chain.sweep()).toBe(0)
  platform.advance(130_000)
  await vault(chain, {}, still).secret('prod/other').put('chain time goes on')
  expect(await chain.sweep()).toBe(1)
  await chain.close()
})

it('an agent that has lost its claim stores nothing, and leaves the claim of the other', async () => {
  const vault = await place.open()
  await vault.secret('prod/lost').put('v0')
  let end = (): void => undefined
  const until = new Promise<void>((resolve) => {
    end = resolve
  })
  const slow = {
    path: 'prod/lost',
    every: '1h',
    next: async () => {
      await until
      return 'late'
    },
  } as const
  place.makers.move(3_600_001)
  const { sleep } = place.makers
  // A process that stands still: nothing renews its claim.
  Object.assign(place.makers, { sleep: (_: number, signal: AbortSignal) => sleep(5, signal).then(() => until) })
  const first = vault.rotate({ rotate: [slow] })
  await new Promise((resolve) => setTimeout(resolve, 60))
  place.makers.move(130_000)
  let isGoing = (): void => undefined
  const going = new Promise<void>((resolve) => {
    isGoing = resolve
  })
  let finish = (): void => undefined
  const second = vault.rotate({
    rotate: [
      {
        ...slow,
        next: async () => {
          isGoing()
          await new Promise<void>((resolve) => {
            finish = resolve
          })
          return 'in time'
        },
      },
    ],
  })
  await going
  end()
  const report = await first
  expect(report.failures.map(({ error }) => (error as { code: string }).code)).toEqual(['LEASE_LOST'])
  finish()
  expect((await second).failures).toEqual([])
  Object.assign(place.makers, { sleep })
  expect((await vault.secret('prod/lost').get()).value).toBe('in time')
})

it('a lease that was taken back, or is being, is not renewed; one that was renewed is not taken back', async () => {
  const vault = await place.open()
  const { users, ...db } = database()
  const leases = [await vault.lease(db, { ttl: '1h', max: '1d' }), await vault.lease(db, { ttl: '1h', max: '1d' })]
  const [first, second] = leases.sort((a, b) => (a.path < b.path ? -1 : 1))
  const { user } = second!.value
  place.makers.move(3_600_001)
  const codes: string[] = []
  const issuer: Issuer<Login> = {
    ...db,
    revoke: async (login) => {
      users.delete(login.user)
      // Whose clock is behind sees them live.
      place.makers.move(-10_000)
      for (const lease of leases) codes.push(await codeOf(lease.renew('2h')))
      place.makers.move(10_000)
    },
  }
  expect(await vault.reap(issuer)).toBe(1)
  expect(codes).toEqual(['VERSION_EXPIRED', 'none'])
  expect([...users]).toEqual([user])
  place.makers.move(-10_000)
  expect(await codeOf(first!.renew('2h'))).toBe('VERSION_EXPIRED')
  await second!.revoke()
  const third = await vault.lease(db, { ttl: '1h', max: '1d' })
  await vault.secret(third.path).destroy('all')
  expect(await codeOf(third.renew('2h'))).toBe('VERSION_EXPIRED')
})

it('who may not write below the leases takes them back all the same', async () => {
  const reaper = await createIdentity()
  const vault = await place.open()
  await vault.role('reapers').allow('leases/**', ['read', 'destroy'])
  await vault.role('reapers').add(reaper.publicId)
  const db = database()
  await vault.lease(db, { ttl: '1h' })
  place.makers.move(3_600_001)
  expect(await (await place.open(reaper)).reap(db)).toBe(1)
  expect([...db.users]).toEqual([])
})
