/**
 * Over a server, which holds no key that opens anything, and refuses all the same.
 * @newest-node-only: a server needs native post-quantum code to be quick
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Chain, openChain } from '@ate/core'
import { type Served, serve } from '@ate/core/server'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { RetentionError, verifyProof, worm } from '../src/index.ts'
import { CHUNK_BYTES, ChunkType, IN, KeyType } from '../src/worm-records.ts'
import { all, bytesOf, codeOf, noise, person } from './kit.ts'

let folder = ''
let server: Served
let id: string | undefined
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ate-worm-'))
  server = await serve({ listen: 'ws://127.0.0.1:0/db', data: folder })
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

async function connect(as: string): Promise<Chain> {
  const wanted = id === undefined ? { create: true } : { id }
  const chain = await openChain(`${server.url}/acme`, { as: await person(as), serverKey: server.publicKey, ...wanted })
  id = chain.id
  return chain
}

it('puts, reads, holds, refuses and proves; two see the same', async () => {
  const chain = await connect('root')
  const archive = worm(chain, { defaults: { mode: 'compliance', retain: '6y' } })
  const body = noise(2 * CHUNK_BYTES + 5)
  const stored = await archive.put('a', body, { key: 'k' })
  await archive.addWriter((await person('ann')).publicId)
  const other = await connect('ann')
  const hers = worm(other)
  await hers.hold(stored, 'SEC-1', { reason: 'inquiry' })
  expect(Buffer.compare(await bytesOf((await hers.get('a')).body), body)).toBe(0)
  const error = await hers.dispose(stored, { reason: 'r' }).catch((caught: unknown) => caught)
  expect(error).toBeInstanceOf(RetentionError)
  for (const one of [chain, other]) {
    const [chunk] = one.children(ChunkType, stored.version, IN.chunks).ids()
    expect(await codeOf(one.transact((tx) => tx.delete(chunk!)))).toBe('RETAINED')
    expect(await codeOf(one.transact((tx) => tx.update(ChunkType, chunk!, () => body.subarray(0, 1))))).toMatch(
      /RETAINED|WRITE_ONCE/,
    )
  }
  await archive.release(stored, 'SEC-1', { reason: 'settled' })
  // Half of a key goes to the server, which keeps it in its ring, and destroys it there.
  await archive.put('b', 'mine', { subject: 's', mode: 'governance', retain: new Date(0) })
  await other.refresh()
  const theirs = (await hers.get('b')).body
  expect(new TextDecoder().decode(await bytesOf(theirs))).toBe('mine')
  expect(await archive.erase('s')).toMatchObject({ shredded: 1, blocked: [] })
  expect(await codeOf(archive.get('b'))).toBe('NOT_FOUND')
  expect((await verifyProof(await archive.prove(stored), body, archive.trust())).version).toBe(stored.version)
  expect((await all(archive.fsck({ deep: true }))).every(({ ok }) => ok)).toBe(true)
  expect((await all(archive.audit({ name: 'a' }))).map(({ act }) => act)).toEqual(['put', 'hold', 'release'])
  await other.close()
  await chain.close()
})

it('of a server that records reads: writers read what belongs to a subject, each read is told, and readers cannot', async () => {
  const at = mkdtempSync(join(tmpdir(), 'ate-worm-'))
  await using strict = await serve({ listen: 'ws://127.0.0.1:0/db', data: at, keyAccess: 'recorded' })
  const open = async (as: string, wanted: object): Promise<Chain> =>
    openChain(`${strict.url}/acme`, { as: await person(as), serverKey: strict.publicKey, ...wanted })
  const chain = await open('root', { create: true })
  const archive = worm(chain)
  await archive.put('a', 'open to readers')
  const stored = await archive.put('b', 'of a subject', { subject: 's' })
  await archive.addReader((await person('ann')).publicId)
  const reader = await open('ann', { id: chain.id })
  expect(new TextDecoder().decode(await bytesOf((await worm(reader).get('a')).body))).toBe('open to readers')
  expect(await codeOf(worm(reader).get('b'))).toBe('NOT_AUTHORIZED')
  expect(await codeOf(reader.attachedKey(reader.children(KeyType, stored.version, IN.key).ids()[0]!))).toBe(
    'KEY_NOT_RECORDED',
  )
  expect(new TextDecoder().decode(await bytesOf((await archive.get('b')).body))).toBe('of a subject')
  expect((await all(archive.audit({ name: 'b' }))).map(({ act }) => act)).toEqual(['put', 'read'])
  expect(await archive.erase('s')).toMatchObject({ shredded: 1 })
  await reader.close()
  await chain.close()
  rmSync(at, { recursive: true, force: true })
})
