/** What an identity may have on a server: chains and bytes, counted honestly, across restarts, moves and refusals. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Fingerprint } from '../../src/base/ids.ts'
import { QUOTA_SLACK_BYTES } from '../../src/base/limits.ts'
import type { Entry } from '../../src/chain/sequencer.ts'
import { defineType } from '../../src/data/entity-type.ts'
import { KIND } from '../../src/event/format.ts'
import { createIdentity, openChain, role } from '../../src/index.ts'
import { ChainQuota, Holdings } from '../../src/mesh/holdings.ts'
import type { Asking } from '../../src/mesh/host.ts'
import { platform } from '../../src/node/platform.ts'
import { type Served, type ServeOptions, serve } from '../../src/server.ts'
import { type Actor, actorOf, Forger } from '../../src/testing/chain-kit.ts'
import { startServer } from './net-kit.ts'

const Note = defineType<{ text: string }>('note')
let root = ''
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ate-quotas-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

function serveHere(limits: NonNullable<ServeOptions['limits']>, more: Partial<ServeOptions> = {}): Promise<Served> {
  return serve({ listen: 'ws://127.0.0.1:0/db', data: join(root, 'served'), limits, ...more })
}

type Me = Awaited<ReturnType<typeof createIdentity>>

function opening(server: Served, as: Me): (name: string, create?: boolean) => ReturnType<typeof openChain> {
  return (name, create = true) =>
    openChain(`${server.url}/${name}`, { as, serverKey: server.publicKey, ...(create ? { create } : {}) })
}

async function metric(server: Served, name: string): Promise<number | undefined> {
  const { host } = new URL(server.url)
  const text = await new Promise<string>((resolve, reject) => {
    get(`http://${host}/metrics`, { agent: false }, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('end', () => resolve(Buffer.concat(parts).toString()))
    }).on('error', reject)
  })
  const line = text.split('\n').find((one) => one.startsWith(`${name} `))
  return line === undefined ? undefined : Number(line.slice(name.length + 1))
}

/** Of the segments on the disk, without the zeros that may be ahead. */
function bytesOf(name: string): number {
  const folder = join(root, 'served', 'chains', name)
  return readdirSync(folder)
    .filter((file) => file.startsWith('seg-'))
    .reduce((sum, file) => sum + statSync(join(folder, file)).size, 0)
}

test('an identity makes so many chains and no more, also at once, and after a restart; another one has its own', async () => {
  const me = await createIdentity()
  const other = await createIdentity()
  const limits = { chainsPerIdentity: 3 }
  const first = await serveHere(limits)
  const mine = opening(first, me)
  const tried = await Promise.allSettled(['a', 'b', 'c', 'd', 'e'].map((name) => mine(name)))
  const made = tried.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  expect(made).toHaveLength(3)
  for (const one of tried)
    if (one.status === 'rejected')
      expect(one.reason).toMatchObject({ code: 'QUOTA_EXCEEDED', facts: { what: 'chains' } })
  await (await opening(first, other)('x')).close()
  for (const chain of made) await chain.close()
  expect(await metric(first, 'ate_chains')).toBe(4)
  expect(await metric(first, 'ate_refused_total{reason="chains"}')).toBe(2)
  await first.close()

  await using second = await serveHere(limits)
  expect(await metric(second, 'ate_chains')).toBe(4)
  await expect(opening(second, me)('f')).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' })
  // What was refused left no folder behind.
  expect(readdirSync(join(root, 'served', 'chains'))).toHaveLength(4)
  await (await opening(second, other)('y')).close()
})

test('a chain that could not be made is not counted', async () => {
  const me = await createIdentity()
  let blocked = true
  const admit = ({ kind }: { readonly kind: string }): boolean => !(kind === 'create' && blocked)
  await using server = await serveHere({ chainsPerIdentity: 1 }, { admit })
  const open = opening(server, me)
  await expect(open('a')).rejects.toMatchObject({ code: 'NOT_AUTHORIZED' })
  blocked = false
  // Something of somebody else's where it would be.
  mkdirSync(join(root, 'served', 'chains', 'b'))
  writeFileSync(join(root, 'served', 'chains', 'b', 'foreign'), '')
  await expect(open('b')).rejects.toMatchObject({ code: 'NOT_A_CHAIN' })
  await (await open('c')).close()
  await expect(open('d')).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' })
})

test('bytes are counted for who made the chain, whoever writes; beyond, values are refused and deletions are not', async () => {
  const me = await createIdentity()
  const guest = await createIdentity()
  const limits = { storedBytesPerIdentity: 200_000 }
  const first = await serveHere(limits)
  const mine = await opening(first, me)('mine')
  await mine.transact(async (tx) => {
    tx.role('crew')
    await tx.role('crew').add(guest.publicId)
  })
  const box = await mine.transact((tx) =>
    tx.create(Note, { text: 'box' }, { read: [role('crew')], write: [role('crew')] }),
  )
  const his = await openChain(`${first.url}/mine`, { as: guest, serverKey: first.publicKey, id: mine.id })
  const text = 'x'.repeat(20_000)
  const notes: { readonly id: string }[] = []
  let error: unknown
  for (let i = 0; i < 20 && error === undefined; i++) {
    try {
      notes.push(await his.transact((tx) => tx.create(Note, { text }, { parent: box })))
    } catch (thrown) {
      error = thrown
    }
  }
  expect(error).toMatchObject({ code: 'QUOTA_EXCEEDED', facts: { what: 'stored-bytes', max: 200_000 } })
  expect(notes.length).toBeGreaterThan(5)
  expect(notes.length).toBeLessThan(10)
  // The chain goes on: what holds no values has room, for a while.
  await his.transact(async (tx) => tx.delete(await tx.load(Note, notes[0]!.id as never)))
  await expect(his.transact((tx) => tx.create(Note, { text }, { parent: box }))).rejects.toMatchObject({
    code: 'QUOTA_EXCEEDED',
  })
  // The guest's own quota is untouched.
  const own = await opening(first, guest)('his')
  await own.transact((tx) => tx.create(Note, { text }))
  expect(await metric(first, 'ate_refused_total{reason="stored-bytes"}')).toBe(2)
  for (const chain of [mine, his, own]) await chain.close()
  await first.close()

  await using second = await serveHere({ ...limits })
  // From the disk alone, to the byte.
  expect(await metric(second, 'ate_stored_bytes')).toBe(bytesOf('mine') + bytesOf('his'))
  const again = await opening(second, me)('mine', false)
  await expect(again.transact((tx) => tx.create(Note, { text }))).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' })
  await again.close()
})

test('a compaction gives room back', async () => {
  const me = await createIdentity()
  await using server = await serveHere(
    { storedBytesPerIdentity: 170_000 },
    { compact: { growth: 1.5, growthFromBytes: 60_000, every: '2s' } },
  )
  const chain = await opening(server, me)('c')
  const note = await chain.transact((tx) => tx.create(Note, { text: '' }))
  // Replaced again and again, it is over the quota several times; each compaction drops what was replaced.
  let written = 0
  for (let i = 0; i < 60 && written < 30; i++) {
    try {
      await chain.transact((tx) => tx.update(note, () => ({ text: `${i} ${'y'.repeat(10_000)}` })))
      written++
    } catch (error) {
      expect(error).toMatchObject({ code: 'QUOTA_EXCEEDED' })
      await new Promise((resume) => setTimeout(resume, 1100))
    }
  }
  expect(written).toBe(30)
  // Also while nobody writes.
  await chain.transact((tx) => tx.update(note, () => ({ text: 'z'.repeat(60_000) })))
  const stored = async (): Promise<number> => (await metric(server, 'ate_stored_bytes'))!
  const before = await stored()
  await chain.transact((tx) => tx.delete(note))
  const end = performance.now() + 20_000
  while ((await stored()) > before - 40_000) {
    expect(performance.now()).toBeLessThan(end)
    await new Promise((resume) => setTimeout(resume, 100))
  }
  await chain.close()
})

test("a chain that cannot be read is nobody's, and does not keep the server from starting", async () => {
  const me = await createIdentity()
  const first = await serveHere({})
  await (await opening(first, me)('good')).close()
  await (await opening(first, me)('bad')).close()
  await (await opening(first, me)('cut')).close()
  await first.close()
  truncateSync(join(root, 'served', 'chains', 'bad', 'MANIFEST'), 100)
  truncateSync(join(root, 'served', 'chains', 'cut', 'seg-000000.ate'), 5000)
  await using second = await serveHere({ chainsPerIdentity: 2 })
  expect(await metric(second, 'ate_chains')).toBe(3)
  await (await opening(second, me)('more')).close()
  await expect(opening(second, me)('one too many')).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' })
})

test('what is submitted at once counts together, and what holds no values has some room beyond, not more', async () => {
  const holdings = new Holdings()
  const owner = 'me' as Fingerprint
  let size = 100
  const parts = { holdings, owner, storedBytesMax: 1000 }
  const a = new ChainQuota({ ...parts, name: 'a', sizeBytes: () => size })
  const b = new ChainQuota({ ...parts, name: 'b', sizeBytes: () => 0 })
  expect(holdings.of(owner)).toEqual({ chains: 2, storedBytes: 100 })
  const release: (() => void)[] = []
  const refusedOf = (entries: readonly Entry[]): number =>
    entries.filter(({ payload }) => typeof payload === 'function').length
  const submit = async (quota: ChainQuota, entries: readonly Entry[]): Promise<number> => {
    let refused = 0
    await quota.submit(entries, (fitting) => {
      refused = refusedOf(fitting)
      return new Promise((resolve) => release.push(() => resolve([])))
    })
    return refused
  }
  // Attestations hold no values; what is no commit at all is for the fold to refuse.
  const entry = (bytes: number): Entry => ({ kind: KIND.attestation, payload: new Uint8Array(bytes) })
  const one = submit(a, [entry(500)])
  const two = submit(b, [entry(400 + QUOTA_SLACK_BYTES), entry(1)])
  size = 600
  for (const go of release.splice(0)) go()
  expect([await one, await two]).toEqual([0, 1])
  expect(holdings.of(owner)).toEqual({ chains: 2, storedBytes: 600 })
  expect([holdings.chains, holdings.storedBytes]).toEqual([2, 600])
  holdings.remove('a')
  holdings.remove('b')
  expect([holdings.of(owner), holdings.chains, holdings.storedBytes]).toEqual([{ chains: 0, storedBytes: 0 }, 0, 0])
})

test('of several roots the first makes a chain, since it counts for him', async () => {
  await using server = await startServer()
  const [alice, bob] = ['alice', 'bob'].map((name) => actorOf(platform.crypto, name)) as [Actor, Actor]
  const parameters = { sequencers: [server.identity.fingerprintBytes] }
  const genesis = new Forger({ crypto: platform.crypto, roots: [alice, bob], parameters }).records[0]!.bytes
  const asking = ({ identity }: Actor): Asking => ({ identity, admitCreate: async () => undefined })
  await expect(server.host.acquire('c', asking(bob), genesis)).rejects.toMatchObject({
    code: 'NOT_AUTHORIZED',
    facts: { needs: 'to be the first root of the chain' },
  })
  server.host.release(await server.host.acquire('c', asking(alice), genesis))
  server.host.release(await server.host.acquire('c', asking(bob), undefined))
})
