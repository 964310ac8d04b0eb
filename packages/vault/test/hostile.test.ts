/** Members who write records by hand, with the rights that they have, to have others do what they may not. */
import assert from 'node:assert/strict'
import { createIdentity, type PolicyInput, role } from '@ate/core'
import { afterEach, beforeEach, test } from 'vitest'
import type { Vault } from '../src/vault.ts'
import { IN, OpenType, SecretType, ValueType, ZoneType } from '../src/vault-records.ts'
import { all, codeOf, newPlace, type Place } from './kit.ts'

let place: Place
beforeEach(async () => {
  place = await newPlace()
})
afterEach(() => place.close())

/** A vault in which Mallory may do everything below `dev`, and nothing else. */
async function withMallory(): Promise<{ readonly mallory: Awaited<ReturnType<typeof createIdentity>> }> {
  const mallory = await createIdentity()
  const secrets = await place.open()
  await secrets.secret('prod/db').put('the value of prod')
  await secrets.role('dev').allow('dev/**', ['read', 'write', 'destroy', 'grant'])
  await secrets.role('dev').add(mallory.publicId)
  return { mallory }
}

/** The zone of a pattern, as it stands on the chain. */
async function zoneOf({ chain }: Vault, pattern: string) {
  for await (const event of chain.events({ until: 'end', type: ZoneType })) {
    const zone = await chain.get(ZoneType, event.entity).catch(() => undefined)
    if (zone?.value.pattern === pattern) return zone
  }
  throw new Error(`no zone of ${pattern}`)
}

async function valueIdOf(secrets: Vault, path: string, zone: string): Promise<string> {
  const { value } = await zoneOf(secrets, zone)
  for await (const secret of secrets.chain.children(SecretType, value.names, IN.secrets))
    if (secret.value.path === path) return secret.value.versions[0]!.value
  throw new Error(`no secret ${path}`)
}

test('a record that names the value of another secret has nobody destroy it', async () => {
  const { mallory } = await withMallory()
  const target = await valueIdOf(await place.open(), 'prod/db', '**')
  const hers = await place.open(mallory)
  await hers.secret('dev/x').put('mine')
  const { value: zone } = await zoneOf(hers, 'dev/**')
  await hers.chain.transact(async (tx) => {
    const record = await tx.named(SecretType, 'dev/x', { parent: zone.names, in: IN.secrets })
    const [version] = record!.value.versions
    tx.replace(record!, { ...record!.value, versions: [version!, { ...version!, n: 2, value: target }], latest: 2 })
  })
  const secrets = await place.open()
  assert.equal(await codeOf(secrets.secret('dev/x').get()), 'BAD_BODY')
  // Nor does it keep an owner from giving the path keys of its own.
  await secrets.role('other').allow('dev/x', ['read'])
  assert.equal((await secrets.secret('dev/x').get({ version: 1 })).value, 'mine')
  const receipt = await secrets.secret('dev/x').destroy('all')
  assert.deepEqual(receipt.versions, [1])
  assert.equal((await secrets.secret('prod/db').get()).value, 'the value of prod')
  // And what becomes of the other is told of the other.
  await secrets.secret('prod/db').destroy('all')
  const acts = (await all(secrets.audit())).filter(({ act }) => act === 'destroy')
  assert.deepEqual(
    acts.map(({ path, version }) => [path, version]),
    [
      ['dev/x', 1],
      ['prod/db', 1],
    ],
  )
})

test('a record that names a path of elsewhere shows nothing of it in the audit', async () => {
  const { mallory } = await withMallory()
  const hers = await place.open(mallory)
  await hers.secret('dev/x').put('mine')
  const { value: zone } = await zoneOf(hers, 'dev/**')
  await hers.chain.transact(async (tx) => {
    const record = await tx.named(SecretType, 'dev/x', { parent: zone.names, in: IN.secrets })
    tx.replace(record!, { ...record!.value, path: 'prod/db', latest: 9, meta: { by: 'mallory' } })
  })
  const secrets = await place.open()
  await secrets.secret('prod/db').put('next')
  const log = await all(secrets.audit())
  const puts = log.filter(({ path }) => path === 'prod/db').map(({ act, version, by }) => [act, version, by])
  assert.deepEqual(puts, [
    ['put', 1, place.root.fingerprint],
    ['put', 2, place.root.fingerprint],
  ])
  assert.deepEqual(
    log.filter(({ by }) => by === mallory.fingerprint).map(({ act, detail }) => [act, detail]),
    [
      ['put', undefined],
      ['write', 'a path of elsewhere'],
    ],
  )
})

test('a record that names the public half of another key does not have it moved away', async () => {
  const { mallory } = await withMallory()
  let secrets = await place.open()
  await secrets.role('signers').allow('transit/**', ['read', 'write'])
  await secrets.transit('release').rotate()
  const { value: transit } = await zoneOf(secrets, 'transit/**')
  const [half] = secrets.chain.children(OpenType, transit.names, IN.open).ids()
  const hers = await place.open(mallory)
  await hers.secret('dev/x').put('mine')
  const { value: zone } = await zoneOf(hers, 'dev/**')
  await hers.chain.transact(async (tx) => {
    const record = await tx.named(SecretType, 'dev/x', { parent: zone.names, in: IN.secrets })
    tx.replace(record!, { ...record!.value, versions: record!.value.versions.map((one) => ({ ...one, open: half! })) })
  })
  secrets = await place.open()
  await secrets.role('other').allow('dev/x', ['read'])
  assert.equal((await secrets.secret('dev/x').get()).value, 'mine')
  const data = new TextEncoder().encode('data')
  assert.equal(await secrets.transit('release').verify(data, await secrets.transit('release').sign(data)), true)
  await secrets.transit('release').publicKey()
})

test('a zone whose pattern its granters change takes nothing of other paths', async () => {
  const { mallory } = await withMallory()
  const hers = await place.open(mallory)
  const zone = await zoneOf(hers, 'dev/**')
  await hers.chain.transact((tx) => tx.update(zone, (record) => ({ ...record, pattern: 'prod/**' })))
  const secrets = await place.open()
  await secrets.secret('prod/db').put('the next value of prod')
  await secrets.secret('prod/new').put('a new one')
  const seen = await place.open(mallory)
  assert.notEqual(await codeOf(seen.secret('prod/new').get()), 'none')
  assert.notEqual(await codeOf(seen.secret('prod/db').get()), 'none')
  assert.deepEqual(await all(seen.list('prod')), [])
})

test('a part of a pattern cannot be taken for salt', async () => {
  const { mallory } = await withMallory()
  let secrets = await place.open()
  await secrets.role('dev').allow('dev db/**', ['read', 'write', 'grant'])
  const hers = await place.open(mallory)
  const zone = await zoneOf(hers, 'dev db/**')
  const { salt } = zone.value
  await hers.chain.transact((tx) => tx.update(zone, (one) => ({ ...one, salt: `${salt} dev`, pattern: 'db/**' })))
  secrets = await place.open()
  await secrets.secret('db/x').put('not hers')
  assert.notEqual(await codeOf((await place.open(mallory)).secret('db/x').get()), 'none')
})

test('a zone whose granters point it at the values of another does not have owners open those', async () => {
  const { mallory } = await withMallory()
  let secrets = await place.open()
  await secrets.role('ops').allow('prod/**', ['read', 'write'])
  const prod = await zoneOf(secrets, 'prod/**')
  const before = secrets.chain.policy(prod.value.values).read
  const hers = await place.open(mallory)
  const zone = await zoneOf(hers, 'dev/**')
  await hers.chain.transact((tx) => tx.update(zone, (record) => ({ ...record, values: prod.value.values })))
  secrets = await place.open()
  // Whatever an owner says about her pattern, it does not reach the values of another.
  await secrets.role('dev').allow('dev/**', ['read', 'write', 'grant', 'destroy'])
  await secrets.role('second').allow('dev/**', ['read'])
  assert.deepEqual(secrets.chain.policy(prod.value.values).read, before)
  await secrets.secret('prod/db').put('the next value of prod')
  assert.notEqual(await codeOf((await place.open(mallory)).secret('prod/db').get()), 'none')
})

test('whom a granter put into the policies by hand goes with him', async () => {
  const { mallory } = await withMallory()
  const eve = await createIdentity()
  const hers = await place.open(mallory)
  const { value: zone, id } = await zoneOf(hers, 'dev/**')
  const ours = [role('dev'), role('owners')]
  const plant = (): Promise<void> =>
    hers.chain.transact((tx) => {
      tx.setPolicy(zone.values, { read: [...ours, eve.publicId] })
      tx.setPolicy(id, { read: [...ours, eve.publicId] })
    })
  await plant()
  await hers.secret('dev/x').put('before')
  const named = (await hers.who('dev/x')).filter(({ from }) => from === 'policies')
  assert.deepEqual(
    named.map(({ role, can, by, members }) => ({ role, can, by, members })),
    [{ role: undefined, can: ['list', 'read'], by: [], members: [{ fingerprint: eve.fingerprint }] }],
  )
  // Where reads are recorded, who is in no role cannot say that he reads.
  const seen = await place.open(eve)
  const expected = seen.chain.attachedKeys === 'recorded' ? 'NOT_AUTHORIZED' : 'none'
  assert.equal(await codeOf(seen.secret('dev/x').get()), expected)
  let secrets = await place.open()
  await secrets.role('dev').remove(mallory.publicId)
  await secrets.secret('dev/x').put('after')
  for (const who of [mallory, eve]) assert.notEqual(await codeOf((await place.open(who)).secret('dev/x').get()), 'none')
  // Where she is still a member, whoever tidies up takes out what no grant says; and then there is nothing more.
  secrets = await place.open()
  await secrets.role('dev').add(mallory.publicId)
  const again = await place.open(mallory)
  await again.chain.transact((tx) => tx.setPolicy(zone.names, { write: [...ours, eve.publicId] }))
  secrets = await place.open()
  assert.equal(await secrets.tidy(), 1)
  assert.equal(await secrets.tidy(), 0)
  assert.equal(await codeOf((await place.open(eve)).secret('dev/x').put('hers')), 'NO_READ_KEY')
})

test('who tells of all that policies let somebody do: roles elsewhere, everybody, one version, rights of each kind', async () => {
  const { mallory } = await withMallory()
  const eve = await createIdentity()
  const hers = await place.open(mallory)
  await hers.secret('dev/x').put('1')
  const { value: zone, id } = await zoneOf(hers, 'dev/**')
  const ours = [role('dev'), role('owners')]
  const beyond = async (path = 'dev/x') =>
    (await (await place.open()).who(path))
      .filter(({ from }) => from === 'policies')
      .map(({ role: name, at, can, members, everyone }) => [name, at, can.join(), everyone ?? members])
  const plant = async (node: string, policy: PolicyInput): Promise<void> =>
    (await place.open(mallory)).chain.transact((tx) => tx.setPolicy(node, policy))
  const her = [{ fingerprint: eve.fingerprint }]
  assert.deepEqual(await beyond(), [])
  await plant(zone.names, { write: [...ours, eve.publicId] })
  assert.deepEqual(await beyond(), [[undefined, undefined, 'write', her]])
  await plant(zone.names, { write: 'everyone' })
  assert.deepEqual(await beyond(), [[undefined, undefined, 'write', true]])
  await plant(zone.names, { write: ours, manage: [eve.publicId] })
  assert.deepEqual(await beyond(), [[undefined, undefined, 'grant', her]])
  await plant(zone.names, { manage: [] })
  await plant(id, { write: [...ours, eve.publicId] })
  assert.deepEqual(await beyond(), [[undefined, undefined, 'grant', her]])
  await plant(id, { write: ours })
  const value = await valueIdOf(await place.open(mallory), 'dev/x', 'dev/**')
  await plant(value, { write: [...ours, eve.publicId] })
  assert.deepEqual(await beyond(), [[undefined, undefined, 'destroy', her]])
  assert.deepEqual(await beyond('dev/y'), [])
  assert.equal(await (await place.open()).tidy(), 1)
  assert.deepEqual(await beyond(), [])
  assert.equal(await (await place.open()).tidy(), 0)
  await plant(value, { manage: [eve.publicId] })
  assert.deepEqual(await beyond(), [[undefined, undefined, 'grant', her]])
  assert.equal(await (await place.open()).tidy(), 1)
  assert.deepEqual(await beyond(), [])
  // A role that is no role of the vault's.
  await (await place.open(mallory)).chain.transact((tx) => {
    tx.role('gang', id).add(eve.publicId)
    tx.setPolicy(zone.names, { write: [...ours, role('gang')] })
  })
  const [[name, at, can, members] = []] = await beyond()
  assert.deepEqual([name, at, can], ['gang', id, 'write'])
  assert.deepEqual(
    (members as { fingerprint: string }[]).map(({ fingerprint }) => fingerprint).includes(eve.fingerprint),
    true,
  )
})

test('who speaks of the versions of its secret that are there, whatever its record names', async () => {
  const { mallory } = await withMallory()
  let secrets = await place.open()
  await secrets.role('ops').allow('prod/**', ['read'])
  const target = await valueIdOf(secrets, 'prod/db', 'prod/**')
  await secrets.secret('dev/x').put('gone')
  await secrets.secret('dev/x').destroy('all')
  const hers = await place.open(mallory)
  await hers.secret('dev/x').put('mine')
  const { value: zone } = await zoneOf(hers, 'dev/**')
  await hers.chain.transact(async (tx) => {
    const record = await tx.named(SecretType, 'dev/x', { parent: zone.names, in: IN.secrets })
    const versions = [...record!.value.versions, { ...record!.value.versions[1]!, n: 3, value: target }]
    tx.replace(record!, { ...record!.value, versions, latest: 3 })
  })
  secrets = await place.open()
  assert.deepEqual(
    (await secrets.who('dev/x')).map(({ from, role: name }) => [from, name]),
    [
      ['grants', 'owners'],
      ['grants', 'dev'],
    ],
  )
})

test('grants of patterns that overlap leave nothing to tidy up', async () => {
  const secrets = await place.open()
  await secrets.role('a').allow('**', ['list'])
  await secrets.role('b').allow('x/**', ['write'])
  await secrets.role('c').allow('x/y/**', ['read', 'destroy'])
  await secrets.role('a').allow('x/y/z', ['grant', 'write'])
  assert.equal(await secrets.tidy(), 0)
  await secrets.role('b').allow('x/**', ['destroy'])
  await secrets.role('a').revoke('**')
  await secrets.role('c').allow('x/**', ['read'], { until: new Date(place.makers.now() + 60_000) })
  assert.equal(await secrets.tidy(), 0)
  place.makers.move(60_001)
  assert.equal(await secrets.tidy(), 1)
  assert.equal(await secrets.tidy(), 0)
})

test('a value that its writer sealed wrongly keeps nobody from what is beside it', async () => {
  const { mallory } = await withMallory()
  const hers = await place.open(mallory)
  await hers.secret('dev/x').put('1')
  await hers.secret('dev/x').put('2')
  const id = await valueIdOf(hers, 'dev/x', 'dev/**')
  await hers.chain.transact((tx) => tx.update(ValueType, id, (value) => ({ ...value, commitment: new Uint8Array(32) })))
  const secrets = await place.open()
  await secrets.role('other').allow('dev/x', ['read'])
  assert.equal(await codeOf(secrets.secret('dev/x').get({ version: 1 })), 'BAD_BODY')
  assert.equal((await secrets.secret('dev/x').get()).value, '2')
})

test('versions that are named twice are destroyed once', async () => {
  const secrets = await place.open()
  await secrets.secret('a').put('1')
  await secrets.secret('a').put('2')
  assert.deepEqual((await secrets.secret('a').destroy([1, 1])).versions, [1])
  assert.equal((await secrets.secret('a').get()).value, '2')
})
