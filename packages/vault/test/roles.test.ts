/** Who may do what, by pattern, and what he keeps who may no more. With ATE_VAULT_SERVED over a server. */
import { createIdentity, type Identity } from '@ate/core'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ValueType } from '../src/vault-records.ts'
import { accessOf, grantsAt, matches } from '../src/vault-rules.ts'
import { all, codeOf, newPlace, type Place } from './kit.ts'

let place: Place
let [alice, bob]: Identity[] = []
beforeEach(async () => {
  place = await newPlace()
  ;[alice, bob] = [await createIdentity(), await createIdentity()]
})
afterEach(() => place.close())

const paths = async (list: AsyncIterable<{ readonly path: string }>): Promise<string[]> =>
  (await all(list)).map(({ path }) => path)

describe('roles', () => {
  it('open what a pattern names, older versions too, and nothing else', async () => {
    const vault = await place.open()
    await vault.secret('prod/db').put('one')
    await vault.secret('prod/db').put('two')
    await vault.secret('dev/db').put('dev')
    await vault.role('deploy').allow('prod/**', ['read'])
    await vault.role('deploy').add(alice!.publicId)
    await vault.secret('prod/new').put('later')
    const hers = await place.open(alice)
    expect(await paths(hers.list())).toEqual(['prod/db', 'prod/new'])
    expect((await hers.secret('prod/db').get({ version: 1 })).value).toBe('one')
    expect((await hers.secret('prod/new').get()).value).toBe('later')
    expect(await codeOf(hers.secret('dev/db').get())).toBe('NOT_FOUND')
    expect(await codeOf(hers.secret('prod/db').put('x'))).toBe('NOT_AUTHORIZED')
    expect(await codeOf(hers.secret('prod/db').delete())).toBe('NOT_AUTHORIZED')
    expect(await codeOf(hers.secret('prod/db').destroy('all'))).toBe('NOT_AUTHORIZED')
    expect(await codeOf(hers.secret('dev/db').put('x'))).toBe('NOT_AUTHORIZED')
    expect(await codeOf(hers.role('deploy').allow('**', ['read']))).toBe('NOT_AUTHORIZED')
    expect(await codeOf(hers.role('deploy').add(bob!.publicId))).toBe('NOT_AUTHORIZED')
    const his = await place.open(bob)
    expect(await paths(his.list())).toEqual([])
    expect(await codeOf(his.secret('prod/db').get())).toBe('NOT_FOUND')
  })

  it('list without reading', async () => {
    const vault = await place.open()
    await vault.secret('prod/db').put('canary', { meta: { team: 'x' } })
    await vault.role('ops').allow('prod/**', ['list'])
    await vault.role('ops').add(alice!.publicId)
    const hers = await place.open(alice)
    expect((await hers.secret('prod/db').info())?.meta).toEqual({ team: 'x' })
    expect(await codeOf(hers.secret('prod/db').get())).toBe('NO_READ_KEY')
  })

  it('write without reading, and read without destroying', async () => {
    const vault = await place.open()
    await vault.secret('inbox/key').put('old')
    await vault.role('ci').allow('inbox/**', ['write'])
    await vault.role('ci').add(alice!.publicId)
    const hers = await place.open(alice)
    await hers.secret('inbox/key').put('hers', { cas: 1 })
    await hers.secret('inbox/new').put('hers too')
    expect(await codeOf(hers.secret('inbox/key').get())).toBe('NO_READ_KEY')
    expect(await codeOf(hers.secret('inbox/key').destroy([1]))).toBe('NOT_AUTHORIZED')
    expect(await codeOf(hers.secret('inbox/key').destroy([2]))).toBe('NOT_AUTHORIZED')
    await hers.secret('inbox/key').delete([1])
    const again = await place.open()
    expect((await again.secret('inbox/key').get()).value).toBe('hers')
    await again.secret('inbox/key').destroy([1, 2])
  })

  it('destroy what stood there before they could, and without writing', async () => {
    const vault = await place.open()
    await vault.role('ci').allow('a/**', ['write'])
    await vault.secret('a/x').put('one')
    await vault.role('janitor').allow('a/**', ['destroy'])
    await vault.role('janitor').add(alice!.publicId)
    const hers = await place.open(alice)
    expect(await codeOf(hers.secret('a/x').put('two'))).toBe('NOT_AUTHORIZED')
    expect((await hers.secret('a/x').destroy('all')).versions).toEqual([1])
    const again = await place.open()
    expect(await codeOf(again.secret('a/x').get())).toBe('VERSION_DESTROYED')
  })

  it('grant inside of their pattern, for patterns that are there', async () => {
    const vault = await place.open()
    await vault.secret('team/db').put('s')
    await vault.role('lead').allow('team/**', ['grant'])
    await vault.role('lead').add(alice!.publicId)
    await vault.role('dev').add(bob!.publicId)
    const hers = await place.open(alice)
    await hers.role('dev').allow('team/**', ['read'])
    expect(await codeOf(hers.role('dev').allow('**', ['read']))).toBe('NOT_AUTHORIZED')
    expect(await codeOf(hers.role('dev').allow('other/**', ['read']))).toBe('NOT_AUTHORIZED')
    const his = await place.open(bob)
    expect((await his.secret('team/db').get()).value).toBe('s')
  })

  it('say who may, by which pattern', async () => {
    const vault = await place.open()
    await vault.secret('prod/db').put('x')
    await vault.role('deploy').allow('prod/**', ['read'])
    await vault.role('deploy').allow('prod/db', ['write'])
    await vault.role('deploy').add(alice!.publicId)
    const who = await vault.who('prod/db')
    expect(who.map(({ role, can }) => [role, can.join()])).toEqual([
      ['owners', 'list,read,write,destroy,grant'],
      ['deploy', 'read,write'],
    ])
    expect(who[1]!.members.map(({ fingerprint }) => fingerprint)).toContain(alice!.fingerprint)
    expect(who[1]!.by.map(({ pattern }) => pattern)).toEqual(['prod/db', 'prod/**'])
    expect((await all(vault.role('deploy').members())).length).toBe(2)
  })

  it('owners do everything, others than the root too', async () => {
    const vault = await place.open()
    await vault.secret('a').put('x')
    await vault.role('owners').add(alice!.publicId)
    const hers = await place.open(alice)
    expect((await hers.secret('a').get()).value).toBe('x')
    await hers.role('dev').allow('b/**', ['read'])
    await hers.role('dev').add(bob!.publicId)
    await hers.secret('b/c').put('y')
    const his = await place.open(bob)
    expect((await his.secret('b/c').get()).value).toBe('y')
    expect(await codeOf((await place.open()).role('owners').allow('x', ['read']))).toBe('BAD_ARGUMENT')
  })
})

describe('after a removal', () => {
  it('the removed reader reads no version that comes, whatever he kept; and couldRead names the rest', async () => {
    const vault = await place.open()
    await vault.secret('prod/db').put('one')
    await vault.secret('prod/dead').put('gone')
    await vault.secret('prod/dead').destroy('all')
    await vault.secret('dev/x').put('dev')
    await vault.role('deploy').allow('prod/**', ['list', 'read'])
    await vault.role('deploy').add(alice!.publicId)
    const hers = await place.open(alice)
    expect((await hers.secret('prod/db').get()).value).toBe('one')
    const again = await place.open()
    const { couldRead, waiting } = await again.role('deploy').remove(alice!.publicId)
    expect(couldRead.map(({ path }) => path)).toEqual(['prod/db'])
    expect(waiting).toEqual([])
    await again.secret('prod/db').put('two')
    await again.secret('prod/new').put('three')
    const removed = await place.open(alice)
    // She has the whole log, and every key that she ever had: each value that was written later stays closed.
    const opened: string[] = []
    for await (const record of removed.chain.records())
      for (const { events } of record.transactions)
        for (const event of events)
          if (event.type === 'vault.value' && event.op === 'create')
            opened.push(
              await event.open(ValueType).then(
                () => 'open',
                (error: { code: string }) => error.code,
              ),
            )
    expect(opened.at(-1)).toBe('NO_READ_KEY')
    expect(opened.at(-2)).toBe('NO_READ_KEY')
    expect(opened.filter((one) => one === 'open').length).toBeGreaterThan(0)
    expect(await codeOf(removed.secret('prod/db').get({ version: 2 }))).not.toBe('none')
  })

  it('in a transaction too: what is staged counts', async () => {
    const vault = await place.open()
    await vault.secret('prod/db').put('one')
    await vault.role('deploy').allow('prod/**', ['read'])
    await vault.role('deploy').add(alice!.publicId)
    const answers = await vault.chain.transact(async (tx) => [
      await vault.role('deploy').revoke('prod/**', { tx }),
      await vault.role('deploy').remove(alice!.publicId, { tx }),
    ])
    expect(answers[0]!.couldRead.map(({ path }) => path)).toEqual(['prod/db'])
    expect(answers[1]!.couldRead.map(({ path }) => path)).toEqual(['prod/db'])
    expect(await all(vault.role('deploy').members())).toHaveLength(1)
  })

  it('of a grant the same', async () => {
    const vault = await place.open()
    await vault.secret('prod/db').put('one')
    await vault.role('deploy').allow('prod/**', ['read'])
    await vault.role('deploy').add(alice!.publicId)
    const { couldRead } = await vault.role('deploy').revoke('prod/**')
    expect(couldRead.map(({ path }) => path)).toEqual(['prod/db'])
    await vault.secret('prod/db').put('two')
    const hers = await place.open(alice)
    expect(await codeOf(hers.secret('prod/db').get())).not.toBe('none')
  })

  it('by time, for who is honest at once, and for everybody when somebody tidies', async () => {
    const vault = await place.open()
    await vault.secret('prod/db').put('one')
    const until = new Date(place.makers.now() + 3_600_000)
    await vault.role('temp').allow('prod/**', ['read'], { until })
    await vault.role('temp').add(alice!.publicId)
    await vault.role('crew').allow('prod/**', ['read'])
    await vault.role('crew').add(bob!.publicId, { until })
    for (const who of [alice, bob]) expect((await (await place.open(who)).secret('prod/db').get()).value).toBe('one')
    place.makers.move(3_600_001)
    for (const who of [alice, bob])
      expect(await codeOf((await place.open(who)).secret('prod/db').get())).toBe('NOT_AUTHORIZED')
    const again = await place.open()
    const who = async () =>
      (await again.who('prod/db')).map(({ from, role, can, members }) => [from, role, can.join(), members.length])
    const counting = [
      ['grants', 'owners', 'list,read,write,destroy,grant', 1],
      ['grants', 'crew', 'read', 1],
    ]
    // What has ended is theirs by the keys, until somebody tidies up.
    expect(await who()).toEqual([...counting, ['policies', 'crew', 'read', 1], ['policies', 'temp', 'list,read', 2]])
    expect(await again.tidy()).toBe(2)
    expect(await who()).toEqual(counting)
    expect(await again.tidy()).toBe(0)
    await again.secret('prod/db').put('two')
    for (const who of [alice, bob]) {
      const theirs = await place.open(who)
      const found: string[] = []
      for await (const record of theirs.chain.records())
        for (const { events } of record.transactions)
          for (const event of events)
            if (event.type === 'vault.value' && event.op === 'create')
              found.push(
                await event.open(ValueType).then(
                  () => 'open',
                  () => 'closed',
                ),
              )
      expect(found.at(-1)).toBe('closed')
    }
  })
})

describe('any grants', () => {
  it('of a wider pattern hold for narrower ones that were there before', async () => {
    const own = await newPlace()
    const vault = await own.open()
    await vault.secret('a/x').put('one')
    await vault.role('r2').allow('a/x', ['list'])
    await vault.role('r1').allow('a/**', ['list', 'read'])
    await vault.role('r1').add(alice!.publicId)
    const hers = await own.open(alice)
    expect(await paths(hers.list())).toEqual(['a/x'])
    expect(await codeOf(hers.secret('a/x').get())).toBe('none')
    await own.close()
  })

  it('let each member read, write and see what the rules say, and no more', async () => {
    const where = ['a/x', 'a/b/y', 'c']
    const pattern = fc.constantFrom('**', 'a/**', 'a/b/**', 'a/x', 'c')
    const grant = fc.record({
      role: fc.constantFrom('r1', 'r2'),
      pattern,
      can: fc.uniqueArray(fc.constantFrom('list', 'read', 'write', 'destroy'), { maxLength: 3 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(grant, { minLength: 1, maxLength: 5 }), fc.nat(5), async (grants, putAt) => {
        const own = await newPlace()
        const vault = await own.open()
        const zones = new Map<string, { pattern: string; grants: { role: string; can: readonly never[] }[] }>()
        for (const [i, one] of grants.entries()) {
          if (i === putAt % grants.length) for (const path of where) await vault.secret(path).put(path)
          await vault.role(one.role).allow(one.pattern, one.can as never[])
          const zone = zones.get(one.pattern) ?? { pattern: one.pattern, grants: [] }
          zone.grants = [
            ...zone.grants.filter(({ role }) => role !== one.role),
            { role: one.role, can: one.can as never[] },
          ]
          zones.set(one.pattern, zone)
        }
        await vault.role('r1').add(alice!.publicId)
        const hers = await own.open(alice)
        const listed = await paths(hers.list())
        for (const path of where) {
          const held = [...zones.values()].filter((zone) => matches(zone.pattern, path)).flatMap((zone) => zone.grants)
          const access = accessOf(held, 0)
          expect(grantsAt([], path)).toEqual([])
          expect([path, listed.includes(path)]).toEqual([path, access.list.includes('r1')])
          expect([path, (await codeOf(hers.secret(path).get())) === 'none']).toEqual([path, access.read.includes('r1')])
          expect([path, (await codeOf(hers.secret(path).put('new'))) === 'none']).toEqual([
            path,
            access.write.includes('r1'),
          ])
          expect([path, (await codeOf(hers.secret(path).destroy([1]))) === 'none']).toEqual([
            path,
            access.destroy.includes('r1'),
          ])
        }
        await own.close()
      }),
      { numRuns: Number(process.env['ATE_DRAWN'] ?? 6) },
    )
  })

  it.each([
    ['prod/*', ['read'], 'BAD_PATTERN'],
    ['', ['read'], 'BAD_PATTERN'],
    ['a/**/b', ['read'], 'BAD_PATTERN'],
    ['a', ['admin'], 'BAD_ARGUMENT'],
    ['a', 'read', 'BAD_ARGUMENT'],
  ])('%j %j is %s', async (pattern, can, code) => {
    const vault = await place.open()
    expect(await codeOf(vault.role('r').allow(pattern, can as never))).toBe(code)
  })

  it.each(['', 'a/b', 'a b', '-x', 'x'.repeat(65), 'ate:x', 'a\u202e'])('%j is no role', async (name) => {
    const vault = await place.open()
    expect(() => vault.role(name)).toThrow('BAD_ARGUMENT')
  })
})

it('who becomes a member later opens nothing that was taken from the role before', async () => {
  const vault = await place.open()
  await vault.secret('prod/db').put('canary')
  await vault.role('deploy').allow('prod/**', ['read'])
  await vault.role('deploy').revoke('prod/**')
  await vault.role('deploy').add(alice!.publicId)
  const hers = await place.open(alice)
  expect(await paths(hers.list())).toEqual([])
  const found: string[] = []
  for await (const record of hers.chain.records())
    for (const { events } of record.transactions)
      for (const event of events)
        if (event.type === 'vault.value' && event.op === 'create')
          found.push(
            await event.open(ValueType).then(
              () => 'open',
              () => 'closed',
            ),
          )
  expect(found).toEqual(['closed', 'closed'])
})
