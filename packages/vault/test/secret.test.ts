/** Secrets and their versions. With ATE_VAULT_SERVED over a server. */
import { inspect } from 'node:util'
import { type Chain, type Effect, type Effects, effectsInto, type Transaction } from '@ate/core'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SecretValue } from '../src/index.ts'
import { vault as vaultOf } from '../src/vault.ts'
import { VaultType } from '../src/vault-records.ts'
import { all, codeOf, fieldSchema, newPlace, type Place } from './kit.ts'

let place: Place
beforeEach(async () => {
  place = await newPlace()
})
afterEach(() => place.close())

describe('values', () => {
  it('come back as they were', async () => {
    const vault = await place.open()
    const json = fc.jsonValue({ maxDepth: 4 }).filter((value) => !/-0/.test(inspect(value)))
    const values = fc.oneof(fc.string({ unit: 'grapheme' }), fc.uint8Array({ maxLength: 300 }), json)
    const secret = vault.secret<SecretValue>('some/value')
    await fc.assert(
      fc.asyncProperty(values, async (value) => {
        const { n } = await secret.put(value as SecretValue)
        expect((await secret.get()).value).toEqual(value)
        await secret.destroy([n])
      }),
      { numRuns: 60 },
    )
  })

  it.each([
    ['a Date', { at: new Date() }],
    ['a bigint', { n: 1n }],
    ['NaN', Number.NaN],
    ['a function', { f: () => 1 }],
    ['undefined', undefined],
    ['a class', new (class A {})()],
    ['half a character', 'x\ud800'],
    ['a symbol', Symbol('x')],
  ])('that JSON would change are refused: %s', async (_, value) => {
    const vault = await place.open()
    expect(await codeOf(vault.secret<unknown>('a').put(value))).toBe('BAD_VALUE')
  })

  it('are checked by the schema on the way in and out, and no message quotes them', async () => {
    const vault = await place.open()
    const schema = fieldSchema('password', (text) => text.length > 11)
    const typed = vault.secret('prod/db', schema)
    await typed.put({ password: 'correct horse battery' })
    const error = await typed.put({ password: 'hunter2' }).catch((caught: Error) => caught)
    expect(inspect(error, { depth: 9 })).toContain('BAD_VALUE')
    expect(inspect(error, { depth: 9 })).not.toContain('hunter2')
    await vault.secret('prod/db').put('not an object')
    expect(await codeOf(typed.get())).toBe('BAD_VALUE')
  })

  it('are too large at 768 KiB and a byte', async () => {
    const vault = await place.open()
    const secret = vault.secret<Uint8Array>('big')
    expect(await codeOf(secret.put(new Uint8Array(768 * 1024 + 1)))).toBe('VALUE_TOO_LARGE')
    await secret.put(new Uint8Array(768 * 1024))
    expect((await secret.get()).value.length).toBe(768 * 1024)
  })
})

describe('versions', () => {
  it('follow a model', async () => {
    const vault = await place.open()
    type State = 'live' | 'deleted' | 'destroyed'
    let count = 0
    const commands = fc.array(
      fc.record({
        verb: fc.constantFrom('put', 'cas', 'patch', 'delete', 'restore', 'destroy'),
        pick: fc.nat(5),
      }),
      { maxLength: 14 },
    )
    await fc.assert(
      fc.asyncProperty(commands, async (list) => {
        const secret = vault.secret<string>(`model/${count++}`)
        const model: { value: string; state: State }[] = []
        for (const { verb, pick } of list) {
          const n = model.length === 0 ? 1 : (pick % model.length) + 1
          const at = model[n - 1]
          const newest = model.at(-1)
          if (verb === 'put') {
            await secret.put(`v${model.length}`)
            model.push({ value: `v${model.length}`, state: 'live' })
          } else if (verb === 'cas') {
            const fits = pick === model.length
            expect(await codeOf(secret.put('cas', { cas: pick }))).toBe(fits ? 'none' : 'CAS_MISMATCH')
            if (fits) model.push({ value: 'cas', state: 'live' })
          } else if (verb === 'patch') {
            const code = await codeOf(secret.patch((text) => `${text}!`))
            const wanted = newest
              ? { live: 'none', deleted: 'VERSION_DELETED', destroyed: 'VERSION_DESTROYED' }[newest.state]
              : 'NOT_FOUND'
            expect(code).toBe(wanted)
            if (newest && code === 'none') model.push({ value: `${newest.value}!`, state: 'live' })
          } else if (!at) {
            expect(await codeOf(verb === 'destroy' ? secret.destroy([n]) : secret[verb as 'delete']([n]))).toBe(
              'NOT_FOUND',
            )
          } else if (verb === 'delete') {
            await secret.delete([n])
            if (at.state === 'live') at.state = 'deleted'
          } else if (verb === 'restore') {
            expect(await codeOf(secret.restore([n]))).toBe(at.state === 'destroyed' ? 'VERSION_DESTROYED' : 'none')
            if (at.state === 'deleted') at.state = 'live'
          } else {
            await secret.destroy([n])
            at.state = 'destroyed'
          }
        }
        if (model.length === 0) return
        expect((await all(secret.versions())).map(({ n, state }) => [n, state])).toEqual(
          model.map(({ state }, i) => [i + 1, state]),
        )
        for (const [i, { value, state }] of model.entries()) {
          const wanted = { live: 'none', deleted: 'VERSION_DELETED', destroyed: 'VERSION_DESTROYED' }[state]
          expect(await codeOf(secret.get({ version: i + 1 }))).toBe(wanted)
          if (state === 'live') expect((await secret.get({ version: i + 1 })).value).toBe(value)
        }
      }),
      { numRuns: 25 },
    )
  })

  it('of two writers at one version one wins', async () => {
    const vault = await place.open()
    const secret = vault.secret('race')
    const codes = await Promise.all([1, 2, 3, 4, 5].map((i) => codeOf(secret.put(`by ${i}`, { cas: 0 }))))
    expect(codes.filter((code) => code === 'none')).toHaveLength(1)
    expect(codes.filter((code) => code === 'CAS_MISMATCH')).toHaveLength(4)
  })

  it('no patch is lost', async () => {
    const vault = await place.open()
    const secret = vault.secret<{ n: number }>('counter')
    await secret.put({ n: 0 })
    await Promise.all(Array.from({ length: 8 }, () => secret.patch(({ n }) => ({ n: n + 1 }))))
    expect((await secret.get()).value).toEqual({ n: 8 })
    expect((await secret.info())?.latest).toBe(9)
  })

  it('expire, by the time that is later', async () => {
    const vault = await place.open()
    const secret = vault.secret('otp')
    await secret.put('123456', { expires: '10m' })
    place.makers.move(599_000)
    expect((await secret.get()).value).toBe('123456')
    place.makers.move(2_000)
    expect(await codeOf(secret.get())).toBe('VERSION_EXPIRED')
    expect((await secret.info())?.state).toBe('expired')
  })

  it('are found by time', async () => {
    const vault = await place.open()
    const secret = vault.secret('app/key')
    await secret.put('old')
    place.makers.move(60_000)
    const between = new Date(place.makers.now() - 1_000)
    await secret.put('new')
    expect((await secret.get({ at: between })).value).toBe('old')
    expect(await vault.env('app', { at: between })).toEqual({ KEY: 'old' })
    expect(await vault.env('app')).toEqual({ KEY: 'new' })
    expect(await codeOf(secret.get({ at: new Date(0) }))).toBe('NO_VERSION')
  })
})

describe('transactions', () => {
  it('take a secret along, or leave no trace', async () => {
    const vault = await place.open()
    const { chain } = vault
    const [a, b] = [vault.secret('tx/a'), vault.secret('tx/b')]
    await chain.transact(async (tx) => {
      await a.put('one', { tx })
      await b.put('two', { tx, cas: 0 })
      await a.patch((text) => `${text}!`, { tx })
      await vault.role('ops').allow('tx/**', ['read'], { tx })
    })
    expect([(await a.get()).value, (await b.get()).value]).toEqual(['one!', 'two'])
    const failed = chain.transact(async (tx) => {
      await a.put('gone', { tx })
      await a.destroy([1], { tx })
      throw new Error('no')
    })
    await expect(failed).rejects.toThrow('no')
    expect((await a.get()).value).toBe('one!')
    expect((await a.get({ version: 1 })).value).toBe('one')
  })

  it('of a job take along what verbs were asked for, once, also when they run again', async () => {
    const vault = await place.open()
    const { chain } = vault
    const [a, key, ops] = [vault.secret<SecretValue>('tx/a'), vault.transit('k'), vault.role('ops')]
    await a.put('one')
    await key.rotate()
    await ops.add(chain.publicId)
    await ops.allow('other', ['list'])
    const { tx, run } = effects(chain)
    const bytes = Uint8Array.of(1, 2, 3)
    const asked = [
      await a.put(bytes, { tx, cas: 1 }),
      await a.patch((before) => [...(before as Uint8Array), 4], { tx }),
      await a.annotate({ owner: 'alice' }, { tx }),
      await a.delete([2], { tx }),
      await a.destroy([1], { tx }),
      await key.rotate({ tx }),
      await ops.allow('tx/**', ['read'], { tx }),
      await ops.revoke('other', { tx }),
      await ops.add(chain.publicId, { tx }),
    ]
    // The caller's bytes are his own again.
    bytes.fill(0)
    expect(asked.every((result) => result === undefined)).toBe(true)
    expect((await a.info())?.latest).toBe(1)
    expect(await run(() => vault.secret('tx/b').put('meanwhile'))).toBe(2)
    expect((await a.get()).value).toEqual([1, 2, 3, 4])
    expect((await a.info())?.meta).toEqual({ owner: 'alice' })
    expect((await all(a.versions())).map(({ state }) => state)).toEqual(['destroyed', 'deleted', 'live'])
    await a.restore([2])
    expect((await a.get({ version: 2 })).value).toEqual(Uint8Array.of(1, 2, 3))
    expect(await codeOf(a.get({ version: 1 }))).toBe('VERSION_DESTROYED')
    expect((await key.decrypt(await key.encrypt(bytes))).length).toBe(3)
    expect((await vault.who('tx/a')).map(({ role, can }) => [role, can])).toContainEqual(['ops', ['read']])
    expect((await vault.who('other')).some(({ role }) => role === 'ops')).toBe(false)
  })

  it('refuse what is no version and no date', async () => {
    const secret = (await place.open()).secret('a')
    await secret.put('one')
    for (const at of [new Date('x'), '2026', 5])
      expect(await codeOf(secret.get({ at: at as Date }))).toBe('BAD_ARGUMENT')
    for (const versions of [undefined, 1, 'one'])
      expect(await codeOf(secret.destroy(versions as 'all'))).toBe('BAD_ARGUMENT')
    expect((await secret.get()).value).toBe('one')
  })

  it('of a job fail with what was wrong', async () => {
    const vault = await place.open()
    const a = vault.secret('tx/a')
    await a.put('one')
    const { tx, run } = effects(vault.chain)
    await a.put('two', { tx, cas: 0 })
    expect(await codeOf(run())).toBe('CAS_MISMATCH')
    expect((await a.get()).value).toBe('one')
    expect(await codeOf(vault.wrap('x', { ttl: '1m', tx: tx as never }))).toBe('BAD_ARGUMENT')
  })

  it('make one vault through several handles in one transaction, which read what the others put', async () => {
    const { chain } = await place.open()
    await chain.transact(async (tx) => {
      await vaultOf(chain).secret('a').put('1', { tx })
      await vaultOf(chain).secret('b').put('2', { tx })
      await vaultOf(chain)
        .secret('a')
        .patch((value) => `${value}, changed`, { tx })
    })
    expect(chain.children(VaultType, undefined, 'vault').count()).toBe(1)
    expect((await vaultOf(chain).secret('a').get()).value).toBe('1, changed')
    expect((await all(vaultOf(chain).list())).map(({ path }) => path)).toEqual(['a', 'b'])
  })

  it('make one vault, however many begin', async () => {
    const vault = await place.open()
    await Promise.all(['a', 'b', 'c', 'd'].map((path) => vault.secret(path).put(path)))
    expect((await all(vault.list())).map(({ path }) => path)).toEqual(['a', 'b', 'c', 'd'])
    expect(
      vault.chain.children({ name: 'vault', version: 1, schema: undefined, migrate: undefined, indexes: {} }).count(),
    ).toBe(1)
  })
})

describe('reading', () => {
  it('says nothing to who only prints it', async () => {
    const vault = await place.open()
    const secret = vault.secret<{ url: string }>('prod/db')
    await secret.put({ url: 'postgres://canary' })
    const revealed = await secret.get()
    const shown = [
      String(revealed),
      `${revealed as unknown as string}`,
      JSON.stringify({ revealed }),
      inspect(revealed),
      inspect(revealed, { showHidden: true, customInspect: false, depth: 9 }),
      JSON.stringify(structuredClone(revealed)),
      JSON.stringify({ ...revealed }),
      String(Object.entries(revealed)),
      JSON.stringify(Object.getOwnPropertyNames(revealed)),
    ]
    for (const text of shown) expect(text).not.toContain('canary')
    expect(shown.slice(0, 4)).toEqual(['[redacted]', '[redacted]', '{"revealed":"[redacted]"}', '[redacted]'])
    revealed[Symbol.dispose]()
    expect(() => revealed.value).toThrow('SECRET_DISPOSED')
  })

  it('wipes bytes when it is disposed of', async () => {
    const vault = await place.open()
    const secret = vault.secret<Uint8Array>('key')
    await secret.put(new Uint8Array([1, 2, 3]))
    const revealed = await secret.get()
    const { value } = revealed
    revealed[Symbol.dispose]()
    expect([...value]).toEqual([0, 0, 0])
    expect([...(await secret.get()).value]).toEqual([1, 2, 3])
  })

  it('watches: what is there, and what comes', async () => {
    const vault = await place.open()
    const secret = vault.secret('feature')
    await secret.put('one')
    const seen: string[] = []
    const watching = (async () => {
      for await (const { value } of secret.watch()) {
        seen.push(value)
        if (seen.length === 1) await secret.put('two')
        if (seen.length === 2) return
      }
    })()
    await watching
    expect(seen).toEqual(['one', 'two'])
  })

  it('ends a watch with its signal', async () => {
    const vault = await place.open()
    const stop = new AbortController()
    const watching = all(vault.secret('never').watch({ signal: stop.signal }))
    stop.abort(new Error('enough'))
    await expect(watching).rejects.toThrow('enough')
  })

  it('lists by prefix, with metadata and no value', async () => {
    const vault = await place.open()
    await vault.secret('prod/db').put('canary', { meta: { owner: 'alice' } })
    await vault.secret('prod/api/key').put('canary')
    await vault.secret('production').put('canary')
    const paths = async (prefix?: string): Promise<string[]> => (await all(vault.list(prefix))).map(({ path }) => path)
    expect(await paths()).toEqual(['prod/api/key', 'prod/db', 'production'])
    for (const prefix of ['prod', 'prod/', 'prod/**']) expect(await paths(prefix)).toEqual(['prod/api/key', 'prod/db'])
    expect(await paths('prod/db')).toEqual(['prod/db'])
    const [info] = await all(vault.list('prod/db'))
    expect(info).toMatchObject({ meta: { owner: 'alice' }, latest: 1, state: 'live', kind: 'secret' })
    await vault.secret('prod/db').annotate({ owner: 'bob' })
    expect((await vault.secret('prod/db').info())?.meta).toEqual({ owner: 'bob' })
    expect(await vault.secret('none').info()).toBeUndefined()
  })

  it('makes variables, and says when two would be one', async () => {
    const vault = await place.open()
    await vault.secret<{ url: string; pool: { max: number } }>('app/db').put({ url: 'x', pool: { max: 5 } })
    await vault.secret('app/api-key').put('k')
    await vault.secret<Uint8Array>('app/pem').put(new Uint8Array([0, 255]))
    expect(await vault.env('app')).toEqual({ DB_URL: 'x', DB_POOL: '{"max":5}', API_KEY: 'k', PEM: 'AP8=' })
    await vault.secret('app/api.key').put('other')
    expect(await codeOf(vault.env('app'))).toBe('BAD_ARGUMENT')
  })
})

/** Effects as a job has them, and what commits them: with `meanwhile` the first run meets a conflict. How often they ran. */
function effects(chain: Chain): { readonly tx: Effects; run(meanwhile?: () => Promise<unknown>): Promise<number> } {
  const registered: Effect[] = []
  const run = async (meanwhile?: () => Promise<unknown>): Promise<number> => {
    let runs = 0
    await chain.transact(async (tx: Transaction) => {
      for (const effect of registered) await effect(tx)
      if (runs++ === 0) await meanwhile?.()
    })
    return runs
  }
  return { tx: effectsInto((effect) => registered.push(effect)), run }
}
