/** A vault whose log and ring a server keeps: nothing is read there, what is destroyed is gone, and reads can be recorded. */
import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { type Chain, createIdentity, openChain } from '@ate/core'
import { expect, it } from 'vitest'
import { vault } from '../src/vault.ts'
import { ValueType, WrapType } from '../src/vault-records.ts'
import { all, codeOf } from './kit.ts'
import { type ServedPlace, servedPlace } from './kit-served.ts'

function bytesBelow(at: string): Buffer {
  const files = readdirSync(at, { recursive: true, encoding: 'utf8' })
  return Buffer.concat(
    files
      .map((file) => join(at, file))
      .filter((file) => statSync(file).isFile())
      .map((file) => readFileSync(file)),
  )
}

function ringAt({ chainFolder }: ServedPlace): string {
  return join(chainFolder, 'ring', '000000.slots')
}

/** Slots of the server's ring that are not free. */
function slotsOf(place: ServedPlace): Buffer[] {
  const bytes = readFileSync(ringAt(place))
  const slots = Array.from({ length: bytes.length / 512 }, (_, i) => bytes.subarray(i * 512, (i + 1) * 512))
  return slots.filter((slot) => slot.some((byte) => byte !== 0))
}

/** The half that the server holds. */
function halfIn(slot: Buffer): Buffer {
  return slot.subarray(40, 72)
}

async function idsOf(chain: Chain, type: string): Promise<string[]> {
  const ids: string[] = []
  for await (const { transactions } of chain.records())
    for (const { events } of transactions)
      for (const event of events) if (event.op === 'create' && event.type === type) ids.push(event.entity!)
  return ids
}

it('is written and read by several, and destroyed for good', async () => {
  await using place = await servedPlace()
  const [me, alice] = [await createIdentity(), await createIdentity()]
  const chain = await place.open(me)
  const own = vault(chain)
  const canary = 'canary-91b2c7d4e5f60a83'
  await own.secret('prod/db').put(canary, { cas: 0 })
  await own.role('deploy').allow('prod/**', ['read', 'write'])
  await own.role('deploy').add(alice.publicId)
  const hers = vault(await place.open(alice))
  expect((await hers.secret('prod/db').get()).value).toBe(canary)
  expect(await codeOf(hers.secret('prod/db').put('x', { cas: 0 }))).toBe('CAS_MISMATCH')
  await hers.secret('prod/db').put('two', { cas: 1 })
  await own.secret('other').put('not hers')
  await chain.refresh()
  expect((await own.secret('prod/db').get()).value).toBe('two')
  const whole = bytesBelow(place.folder)
  for (const text of [canary, 'prod/db']) expect(whole.includes(Buffer.from(text))).toBe(false)
  // What she may not read she is not given half of.
  const [id] = (await idsOf(chain, ValueType.name)).slice(-1)
  expect(await codeOf(hers.chain.attachedKey(id!))).toBe('NOT_AUTHORIZED')

  const halves = slotsOf(place).map(halfIn)
  expect(halves).toHaveLength(3)
  for (const half of halves) expect(whole.includes(half)).toBe(true)
  // She may write, and not destroy.
  expect(await codeOf(hers.secret('prod/db').destroy([1]))).toBe('NOT_AUTHORIZED')
  expect(await own.secret('prod/db').destroy('all')).toMatchObject({ versions: [1, 2] })
  expect(await own.secret('other').destroy([1])).toMatchObject({ versions: [1] })
  const after = bytesBelow(place.folder)
  for (const half of halves) expect(after.includes(half)).toBe(false)
  await hers.chain.refresh()
  expect(await codeOf(hers.secret('prod/db').get())).toBe('VERSION_DESTROYED')
  await place.restart()
  expect(slotsOf(place)).toEqual([])
  for (const one of [chain, hers.chain]) await one.close()
})

it('the old log with the new ring opens nothing, for who holds every other key', async () => {
  await using place = await servedPlace()
  const me = await createIdentity()
  const chain = await place.open(me)
  await vault(chain).secret('a').put('one')
  await vault(chain).secret('b').put('two')
  await place.restart()
  const old = join(place.folder, 'old')
  cpSync(place.chainFolder, old, { recursive: true })
  await vault(chain).secret('a').destroy([1])
  rmSync(join(old, 'ring'), { recursive: true })
  cpSync(join(place.chainFolder, 'ring'), join(old, 'ring'), { recursive: true })
  const copy = await openChain(`file:${old}`, { as: me, id: chain.id, readOnly: true, rollback: 'accept' })
  expect(await codeOf(vault(copy).secret('a').get())).toBe('KEY_MISSING')
  expect((await vault(copy).secret('b').get()).value).toBe('two')
  for (const one of [chain, copy]) await one.close()
})

it('a server that exchanges a half, spoils it or forgets it is found out', async () => {
  await using place = await servedPlace()
  const me = await createIdentity()
  const chain = await place.open(me)
  const secrets = vault(chain)
  for (const path of ['a', 'b']) await secrets.secret(path).put(path)
  const codes = async (): Promise<string[]> => {
    const read = await Promise.all(['a', 'b'].map((path) => codeOf(secrets.secret(path).get())))
    return read.sort()
  }
  expect(await codes()).toEqual(['none', 'none'])
  const [first, second] = slotsOf(place) as [Buffer, Buffer]
  const spoil = (slot: Uint8Array): void => {
    const bytes = readFileSync(ringAt(place))
    bytes.set(slot)
    writeFileSync(ringAt(place), bytes)
  }
  // Well formed, under the right name, with the half of another value.
  halfIn(second).copy(first, 40)
  first.writeUInt32BE(crc32(first.subarray(0, 72)), 72)
  spoil(first)
  expect(await codes()).toEqual(['BAD_BODY', 'none'])
  first[50]! ^= 1
  spoil(first)
  expect(await codes()).toEqual(['DAMAGED', 'none'])
  spoil(new Uint8Array(512))
  expect(await codes()).toEqual(['DAMAGED', 'none'])
  await place.restart()
  // The connection comes back by itself.
  await expect.poll(codes, { timeout: 30_000 }).toEqual(['KEY_MISSING', 'none'])
  await chain.close()
})

it('reads are recorded where the server demands it, and nobody gets a key without', async () => {
  await using place = await servedPlace({ keyAccess: 'recorded' })
  const [me, alice] = [await createIdentity(), await createIdentity()]
  const chain = await place.open(me)
  const secrets = vault(chain)
  await secrets.secret('prod/db').put('x')
  await secrets.role('deploy').allow('prod/**', ['read'])
  await secrets.role('deploy').add(alice.publicId)
  const hers = await place.open(alice)
  const reads = async (): Promise<unknown[]> => {
    await chain.refresh()
    const events = await all(secrets.audit({ path: 'prod/db' }))
    return events.filter(({ act }) => act === 'read').map(({ by, version }) => [by, version])
  }
  const before = await reads()
  // With every key that she has: neither by herself, nor with a vault that is told to leave no trace.
  const values = await idsOf(hers, ValueType.name)
  for (const id of values) expect(['KEY_NOT_RECORDED', 'undefined']).toContain(await answerOf(hers.attachedKey(id)))
  expect(await codeOf(vault(hers, { audit: 'writes' }).secret('prod/db').get())).toBe('KEY_NOT_RECORDED')
  expect(await reads()).toEqual(before)
  for (const options of [{}, { audit: 'reads' }] as const)
    expect((await vault(hers, options).secret('prod/db').get()).value).toBe('x')
  expect(await reads()).toEqual([...before, [alice.fingerprint, 1], [alice.fingerprint, 1]])

  // A token's key as well: who takes it has said so before.
  const token = await secrets.wrap('once', { ttl: '1h' })
  const [wrapped] = (await idsOf(chain, WrapType.name)).slice(-1)
  await hers.refresh()
  expect(await answerOf(hers.attachedKey(wrapped!))).toBe('KEY_NOT_RECORDED')
  expect(await vault(hers).unwrap(token)).toBe('once')
  expect(await codeOf(vault(hers).unwrap(token))).toBe('TOKEN_SPENT')

  // Of some that come at once one has it, and the others hear that they came too late.
  const second = await secrets.wrap('once more', { ttl: '1h' })
  const codes = await Promise.all([1, 2, 3].map(() => codeOf(secrets.unwrap(second))))
  expect(codes.sort()).toEqual(['TOKEN_SPENT', 'TOKEN_SPENT', 'none'])

  // The server says no more that it demands it: who relies on that reads no more.
  const relying = vault(hers, { audit: 'reads' }).secret('prod/db')
  await place.restart({ keyAccess: 'open' })
  while ((await codeOf(hers.refresh())) !== 'none') await new Promise((resume) => setTimeout(resume, 10))
  expect(hers.attachedKeys).toBe('open')
  expect(await codeOf(relying.get())).toBe('AUDIT_UNAVAILABLE')
  expect(await codeOf((async () => vault(hers, { audit: 'reads' }))())).toBe('AUDIT_UNAVAILABLE')
  expect((await vault(hers).secret('prod/db').get()).value).toBe('x')
  for (const one of [chain, hers]) await one.close()
})

async function answerOf(asked: Promise<Uint8Array | undefined>): Promise<string> {
  const code = await codeOf(asked)
  return code === 'none' ? String(await asked) : code
}
