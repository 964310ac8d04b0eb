/** What an archive does: bodies of all kinds and sizes, versions, ranges, retention, holds, disposal, erasure. */
import { createHash } from 'node:crypto'
import { defineType, type Effect, effectsInto } from '@ate/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type PutOptions, RetentionError } from '../src/index.ts'
import { limits } from '../src/uploads.ts'
import { CHUNK_BYTES, SMALL_BYTES } from '../src/worm-records.ts'
import { all, bytesOf, codeOf, fourWitnesses, newPlace, noise, type Place, textOf, YEAR } from './kit.ts'

const NoteOfTest = defineType<{ n: number }>('note')

let place: Place
beforeEach(() => {
  place = newPlace()
})
afterEach(() => place.close())

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

describe('what a transaction has put', () => {
  it('is extended, held and released in the same, and kept so', async () => {
    const archive = await place.open()
    const { chain } = archive
    await archive.put('book', 'older', { retain: '1y' })
    const [put, held, released] = await chain.transact(async (tx) => {
      const put = await archive.put('book', 'newer', { tx, retain: '1y', hold: 'audit' })
      await archive.extend('book', '2y', { tx, mode: 'compliance', reason: 'asked for' })
      const held = await archive.hold({ name: 'book', version: put!.version }, 'case', { tx })
      await archive.hold('book', 'case', { tx })
      await archive.hold('book', 'other', { tx })
      return [put, held, await archive.release('book', 'audit', { tx, reason: 'over' })]
    })
    expect([put?.holds, held?.holds, released?.holds]).toEqual([['audit'], ['audit', 'case'], ['case', 'other']])
    expect(put!.retainUntil!.getTime()).toBeLessThan(released!.retainUntil!.getTime())
    const stored = await archive.stat('book')
    expect(stored).toMatchObject({ ...released, holds: expect.arrayContaining(['case', 'other']), mode: 'compliance' })
    expect(stored.holds.length).toBe(2)
    const [older] = await all(archive.versions('book'))
    expect([older!.holds, older!.mode]).toEqual([[], 'governance'])
    const acts = (await all(archive.audit({ name: 'book' }))).map(({ act }) => act)
    for (const act of ['extend', 'hold', 'release']) expect(acts).toContain(act)
    expect((await all(archive.fsck({ deep: true }))).map(({ ok }) => ok)).toEqual([true, true])
  })

  it('is not made weaker, nor seen by another transaction, nor by that which runs again', async () => {
    const archive = await place.open()
    const { chain } = archive
    await archive.put('there', 'x')
    const refused = chain.transact(async (tx) => {
      await archive.put('book', 'x', { tx, retain: '2y' })
      await archive.extend('book', '1y', { tx })
    })
    expect(await codeOf(refused)).toBe('RETAIN_SHRINKS')
    const twice = chain.transact(async (tx) => {
      await archive.put('book', 'x', { tx, retain: '1y' })
      await archive.extend('book', '3y', { tx })
      await archive.extend('book', '2y', { tx })
    })
    expect(await codeOf(twice)).toBe('RETAIN_SHRINKS')
    const other = chain.transact(async (tx) => {
      await archive.put('book', 'x', { tx })
      return chain.transact((inner) => archive.hold('book', 'case', { tx: inner }))
    })
    expect(await codeOf(other)).toBe('NOT_FOUND')
    expect(await codeOf(chain.transact((tx) => archive.hold('book', 'case', { tx })))).toBe('NOT_FOUND')
    let runs = 0
    const note = await chain.transact((tx) => tx.create(NoteOfTest, { n: 0 }))
    await chain.transact(async (tx) => {
      const staged = runs === 0 ? await archive.put('once', 'x', { tx }) : undefined
      await archive.hold(staged ?? 'there', 'case', { tx })
      await tx.update(note, ({ n }) => ({ n: n + 1 }))
      if (runs++ === 0) await chain.transact((inner) => inner.update(note, () => ({ n: 10 })))
    })
    expect([runs, (await archive.stat('there')).holds]).toEqual([2, ['case']])
    expect(await codeOf(archive.stat('once'))).toBe('NOT_FOUND')
  })

  it('is held by an effect behind the put, and what is not there fails what the effect is of', async () => {
    const archive = await place.open()
    const { chain } = archive
    await archive.put('there', 'x')
    const effects: Effect[] = []
    const tx = effectsInto((effect) => void effects.push(effect))
    const run = (): Promise<void> =>
      chain.transact(async (real) => {
        for (const effect of effects) await effect(real)
      })
    await archive.put('book', 'x', { tx })
    expect(await archive.hold('book', 'case', { tx })).toBeUndefined()
    await run()
    expect((await archive.stat('book')).holds).toEqual(['case'])
    effects.length = 0
    await archive.release('nothing', 'case', { tx, reason: 'over' })
    expect(await codeOf(run())).toBe('NOT_FOUND')
  })
})

describe('put and get', () => {
  it('of every kind of body, and of the sizes around a chunk', async () => {
    const archive = await place.open()
    const bytes = noise(CHUNK_BYTES + 1)
    const sizes = [0, 1, SMALL_BYTES, SMALL_BYTES + 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1]
    for (const size of sizes) {
      const body = bytes.subarray(0, size)
      const stored = await archive.put(`of ${size}`, body)
      expect([stored.size, stored.digest, stored.mode]).toEqual([BigInt(size), sha256(body), 'governance'])
      expect(sha256(await bytesOf((await archive.get(stored)).body))).toBe(sha256(body))
    }
    const body = bytes.subarray(0, 300_000)
    const kinds = [body, new Blob([body as BlobPart]), new Blob([body as BlobPart]).stream(), pieces(body, 777)]
    for (const [i, kind] of kinds.entries()) expect((await archive.put(`kind ${i}`, kind)).digest).toBe(sha256(body))
    await archive.put('text', 'grüße')
    expect(await textOf((await archive.get('text')).body)).toBe('grüße')
    expect(await codeOf(archive.put('nothing', 7 as never))).toBe('BAD_ARGUMENT')
    expect((await all(archive.uploads())).length).toBe(0)
  })

  it('of a range, across chunks', async () => {
    const archive = await place.open()
    const bytes = noise(2 * CHUNK_BYTES + 100)
    const stored = await archive.put('ranges', bytes)
    const edge = CHUNK_BYTES
    const ranges = [
      [0, 0],
      [5, 9],
      [edge - 1, edge],
      [edge, edge],
      [0, 2 * edge],
      [2 * edge + 99, 2 * edge + 99],
    ] as const
    for (const [from, to] of ranges) {
      const { body } = await archive.get(stored, { range: [BigInt(from), to] })
      expect(Buffer.compare(await bytesOf(body), bytes.subarray(from, to + 1))).toBe(0)
    }
    expect((await bytesOf((await archive.get(stored, { range: [2 * edge] })).body)).length).toBe(100)
    for (const range of [[-1], [3, 2], [bytes.length], [0.5]] as const)
      expect(await codeOf(archive.get(stored, { range }))).toBe('BAD_ARGUMENT')
  })

  it('is of nobody else: whoever changes what he gave or got changes it for himself', async () => {
    const archive = await place.open()
    const bytes = noise(4 * CHUNK_BYTES + 5)
    async function* reused(): AsyncGenerator<Uint8Array> {
      const piece = new Uint8Array(100_000)
      for (let at = 0; at < bytes.length; at += piece.length) {
        const part = bytes.subarray(at, at + piece.length)
        piece.set(part)
        yield piece.subarray(0, part.length)
        piece.fill(0)
      }
    }
    const large = await archive.put('large', reused(), { subject: 's' })
    const small = await archive.put('small', bytes.subarray(0, 1000))
    for (const ref of [large, small]) {
      for (const piece of [1, 2]) {
        const read = createHash('sha256')
        for await (const chunk of (await archive.get(ref)).body as unknown as AsyncIterable<Uint8Array>) {
          read.update(chunk)
          chunk.fill(piece)
        }
        expect(read.digest('hex')).toBe(ref.digest)
      }
      const range = [3, 99] as const
      expect(Buffer.compare(await bytesOf((await archive.get(ref, { range })).body), bytes.subarray(3, 100))).toBe(0)
    }
  })

  it('makes versions: the newest by its name, each by its own', async () => {
    const archive = await place.open()
    const one = await archive.put('a/report', 'one', { type: 'text/plain', meta: { page: [1, null] } })
    const two = await archive.put('a/report', 'two')
    await archive.put('b', 'three')
    expect(await textOf((await archive.get('a/report')).body)).toBe('two')
    expect(await textOf((await archive.get(one)).body)).toBe('one')
    expect((await all(archive.versions('a/report'))).map(({ version }) => version)).toEqual([one.version, two.version])
    expect((await all(archive.list({ prefix: 'a/' }))).length).toBe(2)
    const { type, meta, at, seq } = await archive.stat(one)
    expect([type, meta]).toEqual(['text/plain', { page: [1, null] }])
    expect([at.getTime() > 0, seq > 0]).toEqual([true, true])
    expect(await codeOf(archive.get('none'))).toBe('NOT_FOUND')
    expect(await codeOf(archive.get({ name: 'b', version: one.version }))).toBe('NOT_FOUND')
  })

  it('refuses names and terms that are none', async () => {
    const archive = await place.open()
    for (const name of ['', 'x'.repeat(513), 7 as never, '\ud800'])
      expect(await codeOf(archive.put(name, ''))).toBe('BAD_ARGUMENT')
    const terms = [
      { mode: 'x' as never },
      { mode: 'compliance' },
      { retain: new Date(Number.NaN) },
      { hold: '' },
    ] as const
    for (const keep of terms) expect(await codeOf(archive.put('a', '', keep))).toBe('BAD_ARGUMENT')
    expect(await codeOf(archive.put('a', '', { meta: 'x'.repeat(70_000) }))).toBe('BAD_ARGUMENT')
    expect(await codeOf(archive.put('a', '', { retain: Object.create(null) as never }))).toBe('BAD_ARGUMENT')
    for (const meta of [Number.NaN, { a: [1, Number.POSITIVE_INFINITY] }])
      expect(await codeOf(archive.put('a', '', { meta }))).toBe('BAD_ARGUMENT')
    expect(await all(archive.list())).toEqual([])
  })

  it('within a transaction: with it, or not at all', async () => {
    const archive = await place.open({ defaults: { mode: 'compliance', retain: '1y' } })
    const { chain } = archive
    const big = noise(SMALL_BYTES + 5)
    const failing = chain.transact(async (tx) => {
      await archive.put('small', 'x', { tx })
      await archive.put('big', big, { tx })
      throw new Error('no')
    })
    expect(await codeOf(failing)).toBe('Error: no')
    expect(await all(archive.list())).toEqual([])
    expect((await all(archive.uploads())).map(({ name, chunks }) => [name, chunks])).toEqual([['big', 1]])
    const staged = await chain.transact((tx) => archive.put('big', big, { tx }))
    expect((await archive.stat(staged!)).digest).toBe(sha256(big))
    expect(await archive.dropUploads({ before: chain.head.seq + 1 })).toBe(1)
    expect((await all(archive.uploads())).length).toBe(0)
  })

  it('goes on where it was broken off, with the same key and the same body', async () => {
    const archive = await place.open()
    const bytes = noise(3 * CHUNK_BYTES)
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(0, 2 * CHUNK_BYTES + 7)
      throw new Error('cut')
    }
    expect(await codeOf(archive.put('large', broken(), { key: 'k1' }))).toBe('Error: cut')
    expect(await all(archive.list())).toEqual([])
    const again = await place.open()
    expect((await all(again.uploads())).map(({ chunks }) => chunks)).toEqual([2])
    const other = bytes.slice()
    other[5]! ^= 1
    expect(await codeOf(again.put('large', other, { key: 'k1' }))).toBe('ID_REUSED')
    expect(await codeOf(again.put('large', bytes.subarray(0, CHUNK_BYTES), { key: 'k1' }))).toBe('ID_REUSED')
    expect(await codeOf(again.put('elsewhere', bytes, { key: 'k1' }))).toBe('ID_REUSED')
    const stored = await again.put('large', bytes, { key: 'k1' })
    expect(sha256(await bytesOf((await again.get(stored)).body))).toBe(sha256(bytes))
    expect((await again.put('large', pieces(bytes, 1000), { key: 'k1' })).version).toBe(stored.version)
    expect(await codeOf(again.put('large', other, { key: 'k1' }))).toBe('ID_REUSED')
    expect((await all(again.list())).length).toBe(1)
  })

  it('with one key twice at the same time is one object', async () => {
    const archive = await place.open()
    await archive.put('before', 'x')
    for (const subject of [{}, { subject: 's' }]) {
      const body = noise(CHUNK_BYTES + 7)
      const key = `twice ${Object.keys(subject).length}`
      const [one, two, three] = await Promise.all(
        [1, 2, 3].map(() => archive.put(key, pieces(body, 100_000), { key, ...subject })),
      )
      expect([two!.version, three!.version]).toEqual([one!.version, one!.version])
      expect((await all(archive.versions(key))).length).toBe(1)
      expect(sha256(await bytesOf((await archive.get(key)).body))).toBe(sha256(body))
    }
    expect(await all(archive.uploads())).toEqual([])
  })

  it('is not found again by who asks for more than it got', async () => {
    const archive = await place.open()
    const stored = await archive.put('n', 'x', {
      key: 'k',
      retain: '1y',
      hold: 'm',
      type: 'text/plain',
      meta: { a: 1 },
    })
    const again = async (more: Omit<PutOptions, 'tx'>): Promise<string> =>
      codeOf(archive.put('n', 'x', { key: 'k', ...more }))
    const sound: readonly Omit<PutOptions, 'tx'>[] = [
      {},
      { retain: '30d' },
      { hold: 'm', retain: '1y' },
      { type: 'text/plain', meta: { a: 1 } },
    ]
    for (const same of sound) expect(await again(same), JSON.stringify(same)).toBe('none')
    for (const more of [
      { mode: 'compliance', retain: '1y' },
      { retain: '2y' },
      { hold: 'other' },
      { subject: 's' },
      { type: 'text/html' },
      { meta: { a: 2 } },
    ] as const)
      expect(await again(more), JSON.stringify(more)).toBe('ID_REUSED')
    await archive.extend(stored, '2y')
    expect(await again({ retain: '2y' })).toBe('none')
  })

  it('takes only what has bytes, and meta that JSON can say', async () => {
    const archive = await place.open()
    expect(await codeOf(archive.put('n', 'half \ud800'))).toBe('BAD_ARGUMENT')
    for (const meta of [5n, () => 1, 'x'.repeat(70_000)])
      expect(await codeOf(archive.put('n', 'x', { meta: meta as never }))).toBe('BAD_ARGUMENT')
    expect(await codeOf(all(archive.list({ expiredBy: 'x' as never })))).toBe('BAD_ARGUMENT')
    expect(await all(archive.list())).toEqual([])
  })

  it('ends with its signal, and leaves nothing that is seen', async () => {
    const archive = await place.open()
    const abort = new AbortController()
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (let i = 0; ; i++) {
        if (i === 3) abort.abort()
        yield noise(CHUNK_BYTES, i)
      }
    }
    expect(await codeOf(archive.put('endless', endless(), { signal: abort.signal }))).toMatch(/AbortError/)
    expect(await all(archive.list())).toEqual([])
  })
})

describe('retention', () => {
  it('only grows, in time and in mode', async () => {
    const archive = await place.open()
    const stored = await archive.put('a', 'x', { retain: '1y' })
    const until = stored.retainUntil!.getTime()
    expect(await codeOf(archive.extend(stored, new Date(until - 1)))).toBe('RETAIN_SHRINKS')
    const later = await archive.extend(stored, new Date(until + 1000), { mode: 'compliance', reason: 'asked for' })
    expect([later.retainUntil!.getTime(), later.mode]).toEqual([until + 1000, 'compliance'])
    expect(await codeOf(archive.extend(stored, later.retainUntil!, { mode: 'governance' as never }))).toBe(
      'BAD_ARGUMENT',
    )
  })

  it('RetentionError says until when and by whom', async () => {
    const archive = await place.open({ defaults: { mode: 'compliance', retain: '6y' } })
    const stored = await archive.put('a', 'x', { hold: 'SEC-1' })
    await archive.hold(stored, 'HR-2', { reason: 'inquiry' })
    const error = await archive.dispose(stored, { reason: 'cleanup' }).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(RetentionError)
    const { until, holds, code } = error as RetentionError
    expect([until!.getTime(), [...holds].sort(), code]).toEqual([
      stored.retainUntil!.getTime(),
      ['HR-2', 'SEC-1'],
      'RETAINED',
    ])
  })

  it('governance ends early for managers who say so, and on the record', async () => {
    const archive = await place.open()
    const stored = await archive.put('a', 'x', { retain: '1y' })
    expect(await codeOf(archive.dispose(stored, { reason: 'cleanup' }))).toBe('RETAINED')
    await archive.dispose(stored, { reason: 'mistake', bypassGovernance: true })
    expect(await codeOf(archive.stat(stored))).toBe('NOT_FOUND')
    const [, gone] = await all(archive.audit({ name: 'a' }))
    expect(gone).toMatchObject({ act: 'dispose', bypass: true, reason: 'mistake', digest: stored.digest })
  })

  it('ends with its time, and leaves a note; the name takes new versions', async () => {
    const archive = await place.open()
    const stored = await archive.put('a', noise(CHUNK_BYTES + 9), { retain: 1000 })
    place.platform.advance(1000)
    const tombstone = await archive.dispose(stored, { reason: 'schedule R-7' })
    expect(tombstone).toMatchObject({ name: 'a', version: stored.version })
    expect(tombstone.seq).toBeGreaterThan(stored.seq)
    expect(await all(archive.list())).toEqual([])
    await archive.put('a', 'again')
    expect(await textOf((await archive.get('a')).body)).toBe('again')
  })

  it('waits for each matter', async () => {
    const archive = await place.open()
    const stored = await archive.put('a', 'x')
    await archive.hold(stored, 'one')
    await archive.hold(stored, 'one')
    await archive.hold(stored, 'two')
    expect((await archive.stat('a')).holds).toEqual(['one', 'two'])
    expect((await all(archive.list({ hold: 'two' }))).length).toBe(1)
    expect(await codeOf(archive.dispose(stored, { reason: 'r', bypassGovernance: true }))).toBe('RETAINED')
    await archive.release(stored, 'one', { reason: 'settled' })
    expect(await codeOf(archive.release(stored, 'one', { reason: 'settled' }))).toBe('NOT_FOUND')
    expect(await codeOf(archive.dispose(stored, { reason: 'r' }))).toBe('RETAINED')
    expect((await archive.hold(stored, 'one')).holds).toEqual(['two', 'one'])
    await archive.release(stored, 'one', { reason: 'settled' })
    await archive.release(stored, 'two', { reason: 'settled' })
    expect((await all(archive.list({ expiredBy: new Date(archive.chain.now) }))).length).toBe(1)
    await archive.dispose(stored, { reason: 'r' })
    expect((await all(archive.audit({ name: 'a' }))).map(({ act, matter }) => [act, matter])).toEqual([
      ['put', undefined],
      ['hold', 'one'],
      ['hold', 'two'],
      ['release', 'one'],
      ['hold', 'one'],
      ['release', 'one'],
      ['release', 'two'],
      ['dispose', undefined],
    ])
  })

  it('under compliance ends when a quorum of witnesses says so', async () => {
    const { witnesses, cosign } = fourWitnesses(place.platform)
    const archive = await place.open({ witnesses })
    expect(await archive.info()).toEqual({ witnesses: undefined, warnings: ['NO_WITNESSES'] })
    const stored = await archive.put('a', 'x', { mode: 'compliance', retain: 1000 })
    const until = stored.retainUntil!.getTime()
    await place.close()
    place.platform.advance(100 * YEAR)
    const late = await place.open({ witnesses })
    expect(await codeOf(late.dispose(stored, { reason: 'r' }))).toBe('TIME_UNPROVEN')
    await late.checkpoint({ cosign: cosign(until + 5000, 2) })
    expect(await codeOf(late.dispose(stored, { reason: 'r', bypassGovernance: true }))).toBe('TIME_UNPROVEN')
    await late.checkpoint({ cosign: cosign(until + 5000) })
    const info = await late.info()
    expect(info.witnesses).toMatchObject({ names: ['w1', 'w2', 'w3', 'w4'], quorum: 3, tolerates: 1 })
    expect(info.warnings).toEqual([])
    await late.dispose(stored, { reason: 'r' })
  })
})

describe('erase', () => {
  it('destroys the keys of a subject where nothing forbids it, and lists what is kept', async () => {
    const archive = await place.open()
    const free = await archive.put('a', noise(CHUNK_BYTES + 3), { subject: 'person:42' })
    const small = await archive.put('b', 'mine', { subject: 'person:42' })
    const kept = await archive.put('c', 'kept', { subject: 'person:42', mode: 'compliance', retain: '1y' })
    const held = await archive.put('d', 'held', { subject: 'person:42', hold: 'm' })
    const other = await archive.put('e', 'other', { subject: 'person:4' })
    expect(await textOf((await archive.get(small)).body)).toBe('mine')
    expect((await bytesOf((await archive.get(free)).body)).length).toBe(CHUNK_BYTES + 3)
    const { shredded, blocked } = await archive.erase('person:42')
    expect(shredded).toBe(2)
    expect(blocked.map(({ version }) => version).sort()).toEqual([kept.version, held.version].sort())
    expect(await textOf((await archive.get(kept)).body)).toBe('kept')
    expect(await textOf((await archive.get(other)).body)).toBe('other')
    expect((await all(archive.list({ subject: 'person:42' }))).length).toBe(2)
  })
})

it('drops uploads that were begun before a record, however many chunks they have, and never all by mistake', async () => {
  const archive = await place.open()
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield noise(3 * CHUNK_BYTES)
    throw new Error('the line broke')
  }
  await expect(archive.put('a', broken())).rejects.toThrow('the line broke')
  const [upload] = await all(archive.uploads())
  expect(upload!.chunks).toBe(3)
  for (const before of [undefined, Number.NaN, '9', -1, 1.5])
    expect(await codeOf(archive.dropUploads({ before } as never))).toBe('BAD_ARGUMENT')
  expect(await codeOf(archive.dropUploads(undefined as never))).toBe('BAD_ARGUMENT')
  expect(await archive.dropUploads({ before: upload!.seq })).toBe(0)
  const { deletions } = limits
  try {
    limits.deletions = 2
    expect(await archive.dropUploads({ before: upload!.seq + 1 })).toBe(1)
  } finally {
    limits.deletions = deletions
  }
  expect(await all(archive.uploads())).toEqual([])
})

it('refuses questions that are none, in place of answering with nothing or with all', async () => {
  const archive = await place.open()
  await archive.put('a', 'x')
  for (const query of [{ prefix: 7 }, { hold: 7 }, { subject: /s/ }, { prefix: null }] as never[])
    expect(await codeOf(all(archive.list(query)))).toBe('BAD_ARGUMENT')
  for (const query of [{ from: 'x' }, { from: -1 }, { name: 7 }, { version: 7 }] as never[])
    expect(await codeOf(all(archive.audit(query)))).toBe('BAD_ARGUMENT')
  expect(await codeOf(all(archive.fsck({ prefix: 7 } as never)))).toBe('BAD_ARGUMENT')
})

it('erases what puts of a subject have begun, and lets nobody end them', async () => {
  const archive = await place.open()
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield noise(CHUNK_BYTES + 1)
    throw new Error('cut')
  }
  for (const subject of ['person:9', 'person:1'])
    expect(await codeOf(archive.put(`cv/${subject}`, broken(), { key: subject, subject }))).toBe('Error: cut')
  expect(await codeOf(archive.put('cv/person:9', 'x', { key: 'person:9', subject: 'person:1' }))).toBe('ID_REUSED')
  expect(await archive.erase('person:9')).toEqual({ shredded: 0, uploads: 1, blocked: [] })
  expect((await all(archive.uploads())).map(({ name }) => name)).toEqual(['cv/person:1'])
})

describe('witnesses', () => {
  it('are those that were named, or it says so; later ones are named on purpose', async () => {
    const { witnesses, all: four } = fourWitnesses(place.platform)
    const archive = await place.open()
    await archive.put('a', 'x')
    const wrong = await place.open({ witnesses })
    expect(await codeOf(wrong.put('b', 'x'))).toBe('BAD_ARGUMENT')
    const named = await wrong.nameWitnesses({ keys: four.slice(0, 3).map(({ key }) => key) })
    await named.put('b', 'x')
    expect((await named.info()).witnesses).toMatchObject({ quorum: 3, tolerates: 2 })
    const weak = await named.nameWitnesses({ keys: witnesses.keys.slice(0, 3), quorum: 2 })
    expect((await weak.info()).warnings).toEqual(['WEAK_QUORUM'])
  })
})
