/** Lists are kept between calls: what they say is what a list that reads everything anew would say. */
import assert from 'node:assert/strict'
import { createIdentity, memoryEngine, memoryStore, openChain } from '@ate/core'
import { test } from 'vitest'
import { type Vault, vault } from '../src/vault.ts'
import { SecretType } from '../src/vault-records.ts'
import { all, newPlace } from './kit.ts'

/** What a process that has just opened the chain lists. */
async function anew(store: ReturnType<typeof memoryStore>, as: Awaited<ReturnType<typeof createIdentity>>) {
  const chain = await openChain(memoryEngine(store, { readOnly: true }), { as, readOnly: true })
  try {
    return await all(vault(chain).list())
  } finally {
    await chain.close()
  }
}

test('a list after each kind of write is that of a process which has kept nothing', async () => {
  const store = memoryStore()
  const as = await createIdentity()
  const chain = await openChain(memoryEngine(store), { as })
  const secrets = vault(chain)
  assert.deepEqual(await all(secrets.list()), [])
  const writes: (() => Promise<unknown>)[] = [
    () => secrets.secret('a/one').put('1'),
    () => secrets.secret('b/two').put('2'),
    () => secrets.secret('a/one').put('1 again', { meta: { owner: 'alice' } }),
    () => secrets.secret('a/one').delete(),
    () => secrets.secret('a/one').restore(),
    () => secrets.secret('b/two').destroy('all'),
    () => secrets.secret('b/two').annotate({ note: 'gone' }),
    // A new zone takes what wider ones hold of it.
    () => secrets.role('ops').allow('a/**', ['read']),
    () => secrets.secret('a/three').put('3', { expires: '1h' }),
    () => secrets.secret('c').put('4'),
    () => secrets.transit('key').rotate(),
    async () => {
      for await (const { id } of chain.children(SecretType, (await zoneOf(secrets, 'c'))!, 'secrets'))
        await chain.transact((tx) => tx.delete(id))
    },
    () => chain.transact((tx) => void tx.create({ name: 'other', version: 1 } as never, { any: 'thing' })),
  ]
  for (const [i, write] of writes.entries()) {
    await write()
    const wanted = await anew(store, as)
    assert.deepEqual(await all(secrets.list()), wanted, `after write ${i}`)
    assert.deepEqual(await all(secrets.list()), wanted, `again after write ${i}`)
  }
  await chain.close()
})

test('a list after many writes in any order is that of a process which has kept nothing', async () => {
  const store = memoryStore()
  const as = await createIdentity()
  const chain = await openChain(memoryEngine(store), { as })
  const secrets = vault(chain)
  const paths = ['a', 'a/b', 'a/b/c', 'a/d', 'b', 'b/c']
  let state = 1
  const random = (below: number): number => {
    state = (state * 48_271) % 2_147_483_647
    return state % below
  }
  await secrets.secret('a').put('1')
  await secrets.role('ops').allow('a/**', ['read'])
  await secrets.role('ops').allow('a/b/**', ['read', 'write'])
  for (let round = 0; round < 10; round++) {
    for (let i = random(4); i >= 0; i--) {
      const secret = secrets.secret(paths[random(paths.length)]!)
      const verbs = [
        () => secret.put(`${round}`),
        () => secret.delete(),
        () => secret.destroy('all'),
        () => secret.annotate({ round: `${round}` }),
        async () => {
          const all = [...chain.children(SecretType, (await zoneOf(secrets, 'a'))!, 'secrets').ids()]
          if (all.length > 0) await chain.transact((tx) => tx.delete(all[random(all.length)]!))
        },
        // By hand, under another path than its name.
        async () => {
          const [id] = chain.children(SecretType, (await zoneOf(secrets, 'a'))!, 'secrets').ids()
          if (id) await chain.transact((tx) => tx.update(SecretType, id, (one) => ({ ...one, path: `z/${round}` })))
        },
      ]
      const verb = verbs[random(round < 8 ? 5 : 6)]!
      await verb().catch((error) => assert.equal(error.code, 'NOT_FOUND'))
    }
    assert.deepEqual(await all(secrets.list()), await anew(store, as), `after round ${round}`)
  }
  await chain.close()
})

/** The node whose children are the secrets of the zone of everything. */
async function zoneOf({ chain }: Vault, path: string): Promise<string | undefined> {
  for await (const event of chain.events({ until: 'end', type: SecretType }))
    if (event.op === 'create' && (await event.value(SecretType)).path === path) return event.parent
  return undefined
}

test('an expiry shows in a list although nothing was written', async () => {
  const place = await newPlace()
  const secrets = await place.open()
  await secrets.secret('a').put('1', { expires: '1h' })
  assert.equal((await all(secrets.list()))[0]!.state, 'live')
  place.makers.move(3_600_001)
  assert.equal((await all(secrets.list()))[0]!.state, 'expired')
  await place.close()
})

test('a list that runs while others write shows each secret once, and the next one all of them', async () => {
  const place = await newPlace()
  const secrets = await place.open()
  for (let i = 0; i < 20; i++) await secrets.secret(`a/${i}`).put('1')
  await all(secrets.list())
  const writing = Promise.all(Array.from({ length: 20 }, (_, i) => secrets.secret(`b/${i}`).put('1')))
  const during = await all(secrets.list('a'))
  assert.equal(new Set(during.map(({ path }) => path)).size, 20)
  await writing
  assert.equal((await all(secrets.list())).length, 40)
  await place.close()
})

test('what a caller does to what a list gave does not show in the next one', async () => {
  const place = await newPlace()
  const secrets = await place.open()
  await secrets.secret('a').put('1', { meta: { owner: 'alice' } })
  const [first] = await all(secrets.list())
  const was = first!.updated.getTime()
  first!.updated.setTime(0)
  assert.throws(() => Object.assign(first!.meta, { owner: 'mallory' }))
  const [second] = await all(secrets.list())
  assert.deepEqual([second!.updated.getTime(), second!.meta], [was, { owner: 'alice' }])
  await place.close()
})

test('gets beside puts never go back, and see what was put', async () => {
  const place = await newPlace()
  const secrets = await place.open()
  await secrets.secret('a').put('0')
  let isDone = false
  const reading = (async () => {
    let last = 0
    while (!isDone) {
      const { version } = await secrets.secret('a').get()
      assert(version >= last)
      last = version
    }
  })()
  for (let i = 1; i <= 30; i++) {
    await secrets.secret('a').put(`${i}`)
    assert.equal((await secrets.secret('a').get()).value, `${i}`)
  }
  isDone = true
  await reading
  await place.close()
})
