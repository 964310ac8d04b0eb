/**
 * Whoever attacks here is the root of the chain, has every key, calls every verb of the kit and of the chain below it, and sets
 * the clock as he likes. Records that are made by hand stand in core: test/chain/fold-locks.test.ts.
 */
import { defineType, type Transaction } from '@ate/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Stored, Worm } from '../src/index.ts'
import {
  ArchiveType,
  CHUNK_BYTES,
  ChunkType,
  HoldType,
  IN,
  KeyType,
  NameType,
  NoteType,
  ObjectType,
  StoreType,
} from '../src/worm-records.ts'
import { all, bytesOf, codeOf, fourWitnesses, newPlace, noise, type Place, person, textOf, YEAR } from './kit.ts'

let place: Place
beforeEach(() => {
  place = newPlace()
})
afterEach(() => place.close())

const REFUSED = ['RETAINED', 'WRITE_ONCE', 'RETAIN_SHRINKS', 'TIME_UNPROVEN', 'NOT_EMPTY', 'BAD_ARGUMENT', 'NOT_FOUND']
const REFUSALS = new Set([...REFUSED, 'RESERVED_NAME', 'NAMED_MOVE', 'NOT_AUTHORIZED', 'NAME_TAKEN', 'ID_REUSED'])

/** All that stands of an object: the object, its chunks, its key, its holds. */
function partsOf({ chain }: Worm, { version }: Stored): string[] {
  return [
    version,
    ...chain.children(ChunkType, version, IN.chunks).ids(),
    ...chain.children(KeyType, version, IN.key).ids(),
    ...chain.children(HoldType, version, 'ate:holds').ids(),
  ]
}

/** What whoever has the chain can try on one entity. */
function attacksOn(archive: Worm, entity: string): [string, (tx: Transaction) => unknown][] {
  const ref = entity
  return [
    ['delete', (tx) => tx.delete(ref)],
    ['delete with a bypass', (tx) => tx.delete(ref, { bypass: 'governance' })],
    ['shred', (tx) => tx.shred(ref)],
    ['shred with a bypass', (tx) => tx.shred(ref, { bypass: 'governance' })],
    ['retain less', (tx) => tx.retain(ref, { retain: 1, lock: 'compliance' })],
    ['weaken', (tx) => tx.retain(ref, { lock: 'governance' })],
    ['expire', (tx) => tx.expire(ref, { ttl: 1 })],
    ['update an object', (tx) => tx.update(ObjectType, ref, () => ({ manifest: '{}' }))],
    ['update a chunk', (tx) => tx.update(ChunkType, ref, () => new Uint8Array(1))],
    ['update a key', (tx) => tx.update(KeyType, ref, () => ({ half: new Uint8Array(32) }))],
    ['move away', (tx) => tx.move(ref, { in: 'elsewhere' })],
    ['forget', (tx) => tx.forget(ref)],
    ['add below', (tx) => tx.create(ChunkType, new Uint8Array(1), { parent: ref, in: IN.chunks, name: '9' })],
    ['another key', (tx) => tx.attachKey(ref, new Uint8Array(32))],
    [
      'delete after giving it to nobody',
      (tx) => {
        tx.setPolicy(ref, { write: 'everyone' })
        tx.delete(ref)
      },
    ],
    [
      'all at once',
      (tx) => {
        for (const part of [...archive.chain.children(ChunkType, ref, IN.chunks).ids()]) tx.delete(part)
        for (const part of [...archive.chain.children(KeyType, ref, IN.key).ids()]) tx.shred(part)
        tx.delete(ref)
      },
    ],
  ]
}

describe('W1, W2: what is locked', () => {
  it('is not altered, weakened or removed by any verb, of the kit or of the chain', async () => {
    const archive = await place.open()
    const stored = await archive.put('a', 'kept', { mode: 'compliance', retain: '6y', subject: 's', hold: 'm' })
    const { chain } = archive
    const before = partsOf(archive, stored)
    const holds = new Set(chain.children(HoldType, stored.version, 'ate:holds').ids())
    for (const entity of before) {
      // A hold may be released: that is the one thing of a locked object that may go.
      for (const [name, attack] of attacksOn(archive, entity)) {
        if (holds.has(entity) && /^(delete|shred|weaken|all at once|retain less)/.test(name)) continue
        const code = await codeOf(chain.transact((tx) => attack(tx) as Promise<void>))
        // A transaction that only asks for what is so already (a lock of the same mode) commits, and changes nothing.
        if (code !== 'none')
          expect(`${name} ${REFUSALS.has(code) || code === 'WRONG_TYPE'} ${code}`).toContain(' true ')
        expect([name, partsOf(archive, stored)]).toEqual([name, before])
      }
    }
    const kit: [string, () => Promise<unknown>][] = [
      ['dispose', () => archive.dispose(stored, { reason: 'r' })],
      ['bypass', () => archive.dispose(stored, { reason: 'r', bypassGovernance: true })],
      ['extend to less', () => archive.extend(stored, new Date(stored.at.getTime() + 1))],
      ['weaker', () => archive.extend(stored, '9y', { mode: 'governance' as never })],
    ]
    for (const [name, run] of kit) expect([name, REFUSALS.has(await codeOf(run()))]).toEqual([name, true])
    expect(await archive.erase('s')).toMatchObject({ shredded: 0, blocked: [{ version: stored.version }] })
    expect(await archive.dropUploads({ before: Number.MAX_SAFE_INTEGER })).toBe(0)
    for (const node of [chain.children(NameType, archiveOf(archive), IN.names).ids()[0]!, archiveOf(archive)])
      expect(await codeOf(chain.transact((tx) => tx.delete(node)))).toBe('NOT_EMPTY')
    await chain.sweep()
    await chain.compact()
    const again = await place.open()
    expect(await textOf((await again.get('a')).body)).toBe('kept')
    const { mode, retainUntil } = await again.stat('a')
    expect([mode, retainUntil]).toEqual(['compliance', stored.retainUntil])
    const events = await all(again.audit({ name: 'a' }))
    expect(events.map(({ act }) => act).filter((act) => act !== 'refused')).toEqual(['put'])
  })

  it('is held by a matter whatever its time, and governance does not open it', async () => {
    const archive = await place.open()
    const stored = await archive.put('a', 'held', { hold: 'm' })
    const parts = partsOf(archive, stored).slice(0, 2)
    for (const part of parts)
      for (const how of [{}, { bypass: 'governance' }] as const)
        expect(await codeOf(archive.chain.transact((tx) => tx.delete(part, how)))).toBe('RETAINED')
  })

  it('is not hidden by an expiry that came before the lock', async () => {
    const archive = await place.open()
    const { chain } = archive
    const body = noise(CHUNK_BYTES + 1)
    async function* slow(): AsyncGenerator<Uint8Array> {
      yield body
      const [upload] = await all(archive.uploads())
      const ids = (): string[] => chain.children(ChunkType, upload!.version, IN.chunks).ids()
      while (ids().length === 0) await new Promise((resolve) => setImmediate(resolve))
      const chunks = ids()
      await chain.transact((tx) => {
        tx.expire(upload!.version, { ttl: 1000 })
        for (const chunk of chunks) tx.expire(chunk, { ttl: 1000 })
      })
    }
    const stored = await archive.put('a', slow(), { retain: '1y' })
    place.platform.advance(5000)
    await archive.put('later', 'x')
    expect(await chain.sweep()).toBe(0)
    expect(Buffer.compare(await bytesOf((await archive.get(stored)).body), body)).toBe(0)
    expect((await all(archive.list())).length).toBe(2)
  })

  it('what a later default says goes for later puts', async () => {
    const archive = await place.open({ defaults: { retain: 1000 } })
    const stored = await archive.put('a', 'x')
    const later = await place.open({ defaults: { retain: '9y', mode: 'compliance' } })
    expect((await later.stat(stored)).retainUntil).toEqual(stored.retainUntil)
    expect((await later.stat(stored)).mode).toBe('governance')
  })

  it('a note of what was done is never taken back', async () => {
    const archive = await place.open()
    const stored = await archive.put('a', 'x')
    await archive.dispose(stored, { reason: 'r' })
    const [note] = archive.chain.children(NoteType, archiveOf(archive), IN.notes).ids()
    for (const how of [{}, { bypass: 'governance' }] as const)
      expect(await codeOf(archive.chain.transact((tx) => tx.delete(note!, how)))).toBe('RETAINED')
  })
})

function archiveOf({ chain }: Worm): string {
  const [archive] = chain.children(ArchiveType, undefined, IN.archives).ids()
  return chain.children(StoreType, archive, IN.store).ids()[0]!
}

describe('W5: the clock', () => {
  it('a hundred years ahead opens nothing that is under compliance; a hundred years back shortens nothing', async () => {
    const { witnesses, cosign } = fourWitnesses(place.platform)
    const archive = await place.open({ witnesses })
    const stored = await archive.put('a', 'x', { mode: 'compliance', retain: '6y' })
    const now = place.platform.environment.clock.now()
    await place.close()
    place.platform.setWallClock(now - 100 * YEAR)
    const early = await place.open({ witnesses })
    expect(await codeOf(early.dispose(stored, { reason: 'r' }))).toBe('RETAINED')
    const second = await early.put('b', 'x', { retain: '6y' })
    expect(second.retainUntil!.getTime()).toBeGreaterThanOrEqual(stored.retainUntil!.getTime())
    await place.close()
    place.platform.setWallClock(now + 100 * YEAR)
    const late = await place.open({ witnesses })
    const { chain } = late
    for (const how of [{ reason: 'r' }, { reason: 'r', bypassGovernance: true }] as const)
      expect(await codeOf(late.dispose(stored, how))).toBe('TIME_UNPROVEN')
    for (const part of partsOf(late, stored))
      expect(await codeOf(chain.transact((tx) => tx.delete(part)))).toBe('TIME_UNPROVEN')
    // Witnesses of his own, named now, are not those that were named when it was put.
    const own = await late.nameWitnesses({ keys: fourWitnesses(place.platform).witnesses.keys.slice(0, 1), quorum: 1 })
    await chain.checkpoint({ cosign: cosign(now + 99 * YEAR, 1) })
    expect(await codeOf(own.dispose(stored, { reason: 'r' }))).toBe('TIME_UNPROVEN')
  })

  it('what comes while the clock is behind is kept from the time that witnesses have signed', async () => {
    const { witnesses, cosign } = fourWitnesses(place.platform)
    const archive = await place.open({ witnesses })
    await archive.put('first', 'x')
    const later = place.platform.environment.clock.now() + 5 * YEAR
    await archive.checkpoint({ cosign: cosign(later) })
    const stored = await archive.put('a', 'x', { mode: 'compliance', retain: 1000 })
    expect(stored.retainUntil!.getTime()).toBeGreaterThanOrEqual(Math.floor(later / 1000) * 1000 + 1000)
  })

  it('without witnesses nothing under compliance ever goes', async () => {
    const archive = await place.open()
    const stored = await archive.put('a', 'x', { mode: 'compliance', retain: 1000 })
    await place.close()
    place.platform.advance(100 * YEAR)
    const late = await place.open()
    expect(await codeOf(late.dispose(stored, { reason: 'r' }))).toBe('TIME_UNPROVEN')
    const { witnesses, cosign } = fourWitnesses(place.platform)
    const named = await late.nameWitnesses(witnesses)
    await named.checkpoint({ cosign: cosign(stored.retainUntil!.getTime() + YEAR) })
    expect(await codeOf(named.dispose(stored, { reason: 'r' }))).toBe('TIME_UNPROVEN')
  })
})

describe('others', () => {
  it('put where they are writers, read where they are readers, and bypass nothing', async () => {
    const [ann, bob, eve] = await Promise.all(['ann', 'bob', 'eve'].map(person))
    const archive = await place.open()
    const mine = await archive.put('a', 'x', { retain: '1y' })
    await archive.addWriter(ann!.publicId)
    await archive.addReader(bob!.publicId)
    await archive.addReader(eve!.publicId)
    await archive.removeReader(eve!.publicId)
    await archive.put('later', 'not for eve')

    const writer = await place.open({}, 'ann')
    const hers = await writer.put('b', noise(CHUNK_BYTES + 1), { retain: '1y', mode: 'governance' })
    await writer.hold(mine, 'm')
    await writer.release(mine, 'm', { reason: 'r' })
    for (const stored of [mine, hers])
      expect(await codeOf(writer.dispose(stored, { reason: 'r', bypassGovernance: true }))).toBe('RETAINED')
    expect(await codeOf(writer.addWriter(bob!.publicId))).toBe('NOT_AUTHORIZED')

    const reader = await place.open({}, 'bob')
    expect((await bytesOf((await reader.get(hers)).body)).length).toBe(CHUNK_BYTES + 1)
    expect(await codeOf(reader.put('c', 'x'))).toBe('NOT_AUTHORIZED')
    expect(await codeOf(reader.hold(mine, 'm'))).toBe('NOT_AUTHORIZED')

    const former = await place.open({}, 'eve')
    expect(await codeOf(former.get('later'))).not.toBe('none')
    const root = await place.open()
    await root.removeWriter(ann!.publicId)
    const again = await place.open({}, 'ann')
    expect(await codeOf(again.put('d', 'x'))).toBe('NOT_AUTHORIZED')
    const last = await place.open()
    await last.dispose(hers, { reason: 'r', bypassGovernance: true })
  })
})

it('a writer who locks what is no manifest keeps nobody from the rest: it is told, and named', async () => {
  const archive = await place.open()
  await archive.put('name', 'sound', { subject: 's' })
  const { chain } = archive
  const [node] = [...chain.children(NameType, await findStore(archive), IN.names).ids()]
  const manifests = [
    'nonsense',
    '{"subject":"s"}',
    await manifestWith(archive, { chunkBytes: 0 }),
    await manifestWith(archive, { chunks: 7 }),
    await manifestWith(archive, { at: 8.65e15 }),
  ]
  for (const manifest of manifests)
    await chain.transact((tx) => {
      const { id } = tx.create(ObjectType, { manifest }, { parent: node!, in: IN.versions })
      tx.retain(id, { lock: 'governance', retain: 8.7e15, digest: new Uint8Array(32) })
    })
  expect((await archive.stat('name')).size).toBe(5n)
  expect((await all(archive.list())).map(({ name }) => name)).toEqual(['name'])
  expect((await all(archive.versions('name'))).length).toBe(1)
  const told = await all(archive.audit())
  expect(told.map(({ act }) => act)).toEqual(['put', ...manifests.map(() => 'put')])
  for (const { at, until } of told)
    expect([at, until ?? at].map((date) => Number.isNaN(date.getTime()))).toEqual([false, false])
  const found = await all(archive.fsck())
  expect(found.filter(({ ok }) => !ok)).toHaveLength(manifests.length)
  expect(found.every((finding) => finding.ok || finding.code === 'BAD_VALUE')).toBe(true)
  for await (const _ of archive.export({}, { format: 'tar' }) as unknown as AsyncIterable<Uint8Array>);
  expect((await archive.erase('s')).shredded).toBe(1)
})

it('a writer who makes a name or an object of null keeps nobody from the rest: both are named', async () => {
  const archive = await place.open()
  await archive.put('name', 'sound', { subject: 's' })
  const { chain } = archive
  const store = await findStore(archive)
  const [node] = [...chain.children(NameType, store, IN.names).ids()]
  await chain.transact((tx) => {
    tx.create(defineType<unknown>('worm.name'), null, { parent: store, in: IN.names })
    tx.create(defineType<unknown>('worm.object'), null, { parent: node!, in: IN.versions })
  })
  expect((await all(archive.list())).map(({ name }) => name)).toEqual(['name'])
  expect((await all(archive.versions('name'))).length).toBe(1)
  expect(await all(archive.uploads())).toEqual([])
  expect((await archive.stat('name')).size).toBe(5n)
  const bad = (await all(archive.fsck())).filter(({ ok }) => !ok)
  expect(bad.map((finding) => !finding.ok && finding.code)).toEqual(['BAD_VALUE', 'BAD_VALUE'])
  for await (const _ of archive.export({}, { format: 'tar' }) as unknown as AsyncIterable<Uint8Array>);
  expect((await archive.erase('s')).shredded).toBe(1)
})

async function findStore(archive: Worm): Promise<string> {
  const { chain } = archive
  const [made] = chain.children(ArchiveType, undefined, IN.archives).ids()
  return chain.children(StoreType, made!, IN.store).ids()[0]!
}

/** That of the object, changed. */
async function manifestWith(archive: Worm, change: object): Promise<string> {
  const { version } = await archive.stat('name')
  const { manifest } = (await archive.chain.load(ObjectType, version)).value
  return JSON.stringify({ ...(JSON.parse(manifest!) as object), ...change })
}
