/** Destroyed means gone: what stands in the folder, and what an older copy still holds. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { type Chain, createIdentity, openChain } from '@ate/core'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { vault } from '../src/vault.ts'
import { ValueType } from '../src/vault-records.ts'
import { all, codeOf } from './kit.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ate-vault-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function bytesBelow(at: string): Buffer {
  const files = readdirSync(at, { recursive: true, encoding: 'utf8' })
  return Buffer.concat(
    files
      .map((file) => join(at, file))
      .filter((file) => statSync(file).isFile())
      .map((file) => readFileSync(file)),
  )
}

/** All forms in which a text could stand in a file. */
function forms(text: string): Buffer[] {
  const raw = Buffer.from(text)
  return [
    raw,
    Buffer.from(raw.toString('hex')),
    Buffer.from(raw.toString('base64').replace(/=+$/, '')),
    Buffer.from(text, 'utf16le'),
  ]
}

const halfOf = async (chain: Chain, id: string): Promise<Uint8Array> => (await chain.attachedKey(id))!

async function valueIds(chain: Chain): Promise<string[]> {
  const ids: string[] = []
  for await (const record of chain.records())
    for (const { events } of record.transactions)
      for (const event of events) if (event.type === ValueType.name && event.op === 'create') ids.push(event.entity!)
  return ids
}

it('no value stands in the folder, in any form; after destroying, neither does its key', async () => {
  const at = `file:${join(folder, 'chain')}`
  const me = await createIdentity()
  const chain = await openChain(at, { as: me })
  const secrets = vault(chain)
  const canary = 'canary-7f3a9c51e2d84b60'
  await secrets.secret(`path-${canary}`).put(`value-${canary}`, { meta: { note: `meta-${canary}` } })
  const token = await secrets.wrap({ otp: canary }, { ttl: '1h' })
  await secrets.transit('release').rotate()
  await secrets.transit('release').encrypt(new TextEncoder().encode(canary))
  const [id] = await valueIds(chain)
  const half = Buffer.from(await halfOf(chain, id!))
  const whole = bytesBelow(folder)
  for (const form of forms(canary)) expect(whole.includes(form)).toBe(false)
  expect(whole.includes(half)).toBe(true)
  expect(whole.includes(Buffer.from(token.slice(-20)))).toBe(false)

  const receipt = await secrets.secret(`path-${canary}`).destroy('all')
  expect(receipt.versions).toEqual([1])
  expect(receipt.backups[0]!.from.getTime()).toBeLessThanOrEqual(receipt.backups[0]!.until.getTime())
  expect(bytesBelow(folder).includes(half)).toBe(false)
  await chain.close()
  expect(bytesBelow(folder).includes(half)).toBe(false)
})

it('what moves under a narrower pattern leaves no key of the wider one behind', async () => {
  const chain = await openChain(`file:${join(folder, 'chain')}`, { as: await createIdentity() })
  const secrets = vault(chain)
  await secrets.secret('prod/db').put('one')
  const [id] = await valueIds(chain)
  const half = Buffer.from(await halfOf(chain, id!))
  expect(bytesBelow(folder).includes(half)).toBe(true)
  await secrets.role('deploy').allow('prod/**', ['read'])
  expect(bytesBelow(folder).includes(half)).toBe(false)
  expect((await secrets.secret('prod/db').get()).value).toBe('one')
  await chain.close()
})

it('the old log with the new ring opens nothing; a backup with keys does, as the receipt says', async () => {
  const place = join(folder, 'chain')
  const me = await createIdentity()
  const chain = await openChain(`file:${place}`, { as: me })
  const secrets = vault(chain)
  await secrets.secret('prod/db').put('one')
  const { id } = chain
  await chain.backup(`file:${join(folder, 'with')}`)
  await chain.backup(`file:${join(folder, 'without')}`, { keys: 'omit' })
  await chain.close()
  cpSync(place, join(folder, 'old'), { recursive: true })

  const again = await openChain(`file:${place}`, { as: me, id })
  await vault(again).secret('prod/db').destroy([1])
  await again.close()
  // Who kept the log from before, and takes the ring of now.
  rmSync(join(folder, 'old/ring'), { recursive: true, force: true })
  try {
    cpSync(join(place, 'ring'), join(folder, 'old/ring'), { recursive: true })
  } catch {
    // The ring is empty, and so its folder may not be there.
  }
  const read = async (name: string): Promise<string> => {
    const copy = await openChain(`file:${join(folder, name)}`, { as: me, id, readOnly: true, rollback: 'accept' })
    try {
      return await codeOf(vault(copy).secret('prod/db').get())
    } finally {
      await copy.close()
    }
  }
  expect(await read('old')).toBe('KEY_MISSING')
  expect(await read('with')).toBe('none')
  expect(await read('without')).toBe('KEY_MISSING')
})

it('a key that a crash left behind goes at the next opening; one of a newer log stays', async () => {
  const place = join(folder, 'chain')
  const me = await createIdentity()
  const chain = await openChain(`file:${place}`, { as: me })
  await vault(chain).secret('a').put('one')
  const { id } = chain
  await chain.close()
  const slots = join(place, 'ring', '000000.slots')
  expect(readFileSync(slots).some((byte) => byte !== 0)).toBe(true)
  cpSync(join(place, 'ring'), join(folder, 'kept'), { recursive: true })
  const again = await openChain(`file:${place}`, { as: me, id })
  await vault(again).secret('a').destroy('all')
  await again.close()
  // As if the process had died between the record and the key.
  cpSync(join(folder, 'kept'), join(place, 'ring'), { recursive: true })
  const third = await openChain(`file:${place}`, { as: me, id })
  expect(readFileSync(slots).every((byte) => byte === 0)).toBe(true)
  expect(await codeOf(vault(third).secret('a').get())).toBe('VERSION_DESTROYED')
  expect((await all(vault(third).secret('a').versions())).map(({ state }) => state)).toEqual(['destroyed'])
  await third.close()
})

it('a ring half that was exchanged opens nothing', async () => {
  const place = join(folder, 'chain')
  const me = await createIdentity()
  const chain = await openChain(`file:${place}`, { as: me })
  await vault(chain).secret('a').put('one')
  await vault(chain).secret('b').put('two')
  const { id } = chain
  await chain.close()
  // The half of the first key under the name of the second, as whoever has the folder can write it: the commitment tells.
  const slots = join(place, 'ring', '000000.slots')
  const bytes = readFileSync(slots)
  bytes.copyWithin(512 + 40, 40, 72)
  bytes.writeUInt32BE(crc32(bytes.subarray(512, 512 + 72)), 512 + 72)
  writeFileSync(slots, bytes)
  const again = await openChain(`file:${place}`, { as: me, id })
  const codes = await Promise.all(['a', 'b'].map((path) => codeOf(vault(again).secret(path).get())))
  expect(codes.filter((code) => code === 'none')).toHaveLength(1)
  expect(codes.filter((code) => code === 'BAD_BODY')).toHaveLength(1)
  await again.close()
})
