/** Opening goes on from the snapshot, or from the start: what counts as wrong, when one is written, and what it never does. */
import { describe, expect, it } from 'vitest'
import { AteError } from '../../src/base/errors.ts'
import type { ChainId } from '../../src/base/ids.ts'
import { Replica } from '../../src/chain/replica.ts'
import { contextBytes } from '../../src/crypto/contexts.ts'
import type { Chain } from '../../src/data/chain.ts'
import { type OpenOptions, openChain } from '../../src/data/open-chain.ts'
import { verifyPlace } from '../../src/data/verify-place.ts'
import { FOLD_LEVEL } from '../../src/event/format.ts'
import { crc32 } from '../../src/log/crc32.ts'
import { openFileLog } from '../../src/log/file-engine.ts'
import { memoryEngine } from '../../src/log/memory.ts'
import { type Identity, markKept, newIdentity } from '../../src/session/identity.ts'
import { memoryState } from '../../src/session/memory-state.ts'
import type { StateStore } from '../../src/session/state-store.ts'
import { GatedEngine } from '../../src/testing/gated-engine.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { SimFileSystem } from '../../src/testing/sim-file-system.ts'
import type { TestPlatform } from '../../src/testing/test-platform.ts'
import { assertSameAsLog, Count, codeOf, crypto, Note, open, person, quickPlatform, Thing, turns } from './kit.ts'

const PLACE = 'file:/c'
const alice: Identity = markKept(newIdentity({ crypto, random: seededRandom(77) }))

/** Copies of one machine's disk and state, so that each test begins with the same long chain. */
interface Saved {
  readonly id: ChainId
  readonly fs: SimFileSystem
  readonly entries: ReadonlyMap<string, Uint8Array>
}
let long: Promise<Saved> | undefined

/** A chain whose snapshot stands at its newest record. */
async function longChain(): Promise<Saved> {
  const platform = quickPlatform(3)
  const chain = await open(PLACE, { as: alice }, platform)
  await chain.transact((tx) => tx.create(Note, { text: 'first' }))
  await fill(chain)
  await chain.close()
  expect(chain.stats().snapshot).toEqual({ openedFrom: undefined, seq: chain.head.seq, problem: undefined })
  return { ...(await save(platform)), id: chain.id }
}

async function save(platform: TestPlatform): Promise<Omit<Saved, 'id'>> {
  const entries = new Map<string, Uint8Array>()
  const names = ['snapshot-key', 'known-chains', ...(await platform.state.list('heads/'))]
  for (const name of [...names, ...(await platform.state.list('certificates/'))]) {
    const bytes = await platform.state.get(name)
    if (bytes) entries.set(name, bytes)
  }
  return { fs: copyOf(platform.disk('/c')), entries }
}

function copyOf(fs: SimFileSystem): SimFileSystem {
  const copy = new SimFileSystem(5)
  for (const name of fs.files()) fs.copyTo(copy, name, name)
  return copy
}

let machines = 3

/** Each draws its own randomness: two that begin as one do not make the same ids. */
async function machine(given?: Omit<Saved, 'id'>): Promise<TestPlatform> {
  long ??= longChain()
  const saved = given ?? (await long)
  const state = memoryState()
  for (const [name, bytes] of saved.entries) await state.put(name, bytes)
  return quickPlatform(++machines, { state, disks: new Map([['/c', copyOf(saved.fs)]]) })
}

const openLong = (platform: TestPlatform, options: OpenOptions = {}): Promise<Chain> =>
  open(PLACE, { as: alice, ...options }, platform)

/** As many bytes as make a snapshot worth its writing. */
async function fill(chain: Chain): Promise<void> {
  for (let i = 0; i < 10; i++) await chain.transact((tx) => tx.create(Thing, new Uint8Array(900_000).fill(i)))
}

/** Records that `run` verifies. */
async function verifiedBy<T>(run: () => Promise<T>): Promise<readonly [count: number, result: T]> {
  const { accept } = Replica.prototype
  let count = 0
  Replica.prototype.accept = function (record) {
    count++
    return accept.call(this, record)
  }
  try {
    const result = await run()
    return [count, result]
  } finally {
    Replica.prototype.accept = accept
  }
}

describe('opening with a snapshot', () => {
  it('verifies only what is new, and is the chain that it was', async () => {
    const platform = await machine()
    const [verified, chain] = await verifiedBy(() => openLong(platform))
    expect(verified).toBe(0)
    const { seq } = chain.head
    expect(chain.stats().snapshot).toEqual({ openedFrom: seq, seq, problem: undefined })
    await assertSameAsLog(chain)
    const [note] = await chain.children(Note).page({ limit: 1 })
    expect(note?.value.text).toBe('first')
    await chain.transact((tx) => tx.update(Note, note!, () => ({ text: 'second' })))
    await assertSameAsLog(chain)
    await chain.close()
    // One more record and its attestation are not worth a snapshot: they are verified.
    const [more, again] = await verifiedBy(() => openLong(platform))
    expect(more).toBe(2)
    expect(again.stats().snapshot).toEqual({ openedFrom: seq, seq, problem: undefined })
    await assertSameAsLog(again)
    await again.close()
  })

  it('writes one at close when enough is new', async () => {
    const platform = await machine()
    const chain = await openLong(platform)
    const before = chain.head.seq
    await fill(chain)
    expect(chain.stats().snapshot?.seq).toBe(before)
    await chain.close()
    expect(chain.stats().snapshot?.seq).toBe(chain.head.seq)
    const [verified, again] = await verifiedBy(() => openLong(platform))
    expect(verified).toBe(0)
    await assertSameAsLog(again)
    await again.close()
  })

  it('writes one after an opening that verified a lot, for those who are killed and never close', async () => {
    const platform = await machine()
    platform.disk('/c').drop('SNAPSHOT')
    const chain = await openLong(platform)
    expect(chain.stats().snapshot).toEqual({ openedFrom: undefined, seq: chain.head.seq, problem: undefined })
    platform.disk('/c').kill()
    await chain.close().catch(() => undefined)
    const again = await openLong(platform)
    expect(again.stats().snapshot?.openedFrom).toBe(again.head.seq)
    await again.close()
  })

  it('counts records as well as bytes', async () => {
    const platform = quickPlatform(3)
    const chain = await open(PLACE, { as: alice }, platform)
    for (let i = 0; i < 350; i++) await chain.transact((tx) => tx.create(Count, { n: i }))
    await chain.close()
    expect(chain.stats().snapshot?.seq).toBe(undefined)
    const again = await openLong(platform)
    for (let i = 0; i < 170; i++) await again.transact((tx) => tx.create(Count, { n: i }))
    await again.close()
    expect(again.stats().snapshot?.seq).toBe(again.head.seq)
  })

  it('takes up the certificate that it wrote under, and attests what a dead process left', async () => {
    const platform = await machine()
    const first = await openLong(platform)
    await first.transact((tx) => tx.create(Count, { n: 1 }))
    platform.disk('/c').kill()
    await first.close().catch(() => undefined)
    const chain = await openLong(platform)
    await turns()
    await chain.transact((tx) => tx.create(Count, { n: 2 }))
    expect(chain.writers()).toHaveLength(1)
    await chain.close()
    expect(chain.stats().attestedSeq).toBe(chain.head.seq)
  })
})

describe('a snapshot and compaction', () => {
  it('do not mind each other, also where the record that it stands at lost its bodies', async () => {
    const platform = await machine()
    const killed = await openLong(platform)
    const doomed = await killed.transact((tx) => tx.create(Thing, new Uint8Array(900_000)))
    const { seq } = killed.head
    platform.disk('/c').kill()
    await killed.close().catch(() => undefined)
    platform.disk('/c').drop('SNAPSHOT')
    const chain = await openLong(platform)
    expect(chain.stats().snapshot).toEqual({ openedFrom: undefined, seq, problem: undefined })
    await chain.transact((tx) => tx.delete(doomed))
    expect((await chain.compact()).records).toBeGreaterThan(0)
    await chain.close()
    const again = await openLong(platform)
    expect(again.stats().snapshot).toEqual({ openedFrom: seq, seq, problem: undefined })
    await assertSameAsLog(again)
    for await (const { value } of again.children(Thing)) expect((value as Uint8Array).length).toBe(900_000)
    expect((await again.verify()).problems).toEqual([])
    await again.close()
  })
})

describe('a snapshot that is wrong', () => {
  const cases: Readonly<Record<string, (platform: TestPlatform) => Promise<unknown> | unknown>> = {
    'has another byte'(platform) {
      platform.disk('/c').poke('SNAPSHOT', (bytes) => bytes.with(500, bytes[500]! ^ 1))
    },
    'is cut'(platform) {
      platform.disk('/c').poke('SNAPSHOT', (bytes) => bytes.slice(0, -7))
    },
    'is empty'(platform) {
      platform.disk('/c').poke('SNAPSHOT', () => new Uint8Array(0))
    },
    'is of another machine': (platform) => platform.state.put('snapshot-key', new Uint8Array(32).fill(1)),
    'is of a machine that has no key': (platform) => platform.state.remove('snapshot-key'),
    'is under a key of a wrong size': (platform) => platform.state.put('snapshot-key', new Uint8Array(31)),
  }
  for (const [name, spoil] of Object.entries(cases)) {
    it(`because it ${name}: the log is verified from its start, and a new one is written`, async () => {
      const platform = await machine()
      await spoil(platform)
      const reader = await openLong(platform, { readOnly: true })
      expect(reader.stats().snapshot).toEqual({ openedFrom: undefined, seq: undefined, problem: 'BAD_SNAPSHOT' })
      await reader.close()
      const [verified, chain] = await verifiedBy(() => openLong(platform))
      expect(verified).toBe(chain.head.seq)
      expect(chain.stats().snapshot).toEqual({ openedFrom: undefined, seq: chain.head.seq, problem: undefined })
      await assertSameAsLog(chain)
      await chain.close()
      expect((await platform.state.get('snapshot-key'))?.length).toBe(32)
      const again = await openLong(platform)
      expect(again.stats().snapshot?.openedFrom).toBe(again.head.seq)
      await again.close()
    })
  }

  it('because the log is shorter, or holds another record there, is not gone on from', async () => {
    const platform = await machine()
    const longer = await openLong(platform)
    await longer.transact((tx) => tx.create(Note, { text: 'one way' }))
    await fill(longer)
    await longer.close()
    const newer = platform.disk('/c').peek('SNAPSHOT')
    // The folder as it was, with the newer snapshot.
    const back = await machine({ fs: (await long!).fs, entries: (await save(platform)).entries })
    back.disk('/c').poke('SNAPSHOT', () => newer)
    expect(await codeOf(openLong(back))).toBe('ROLLBACK')
    const shorter = await openLong(back, { rollback: 'accept' })
    expect(shorter.stats().snapshot).toEqual({ openedFrom: undefined, seq: shorter.head.seq, problem: undefined })
    // The other way: the records that follow differ.
    await shorter.transact((tx) => tx.create(Note, { text: 'the other' }))
    await fill(shorter)
    await fill(shorter)
    await shorter.close()
    expect(shorter.head.seq).toBeGreaterThan(longer.head.seq)
    back.disk('/c').poke('SNAPSHOT', () => newer)
    const chain = await openLong(back)
    expect(chain.stats().snapshot?.openedFrom).toBe(undefined)
    await assertSameAsLog(chain)
    await chain.close()
  })

  it('because the record that it names was altered in the log is not gone on from, whatever the frame says', async () => {
    const platform = await machine()
    const fs = platform.disk('/c')
    const chain = await openLong(platform)
    const { seq } = chain.head
    await chain.close()
    // The bytes of the record that the snapshot stands at, under the checksums that fit.
    const parts = { fs, random: platform.environment.random, clock: platform.environment.clock, crc32 }
    const engine = await openFileLog({ ...parts, readOnly: true })
    const place = engine.place(seq)!
    await engine.close()
    const frame = frameAround(fs.peek(place.segment), place.offset)
    fs.poke(place.segment, (bytes) => {
      bytes[place.offset + 100]! ^= 1
      const view = new DataView(bytes.buffer)
      const size = view.getUint32(frame + 4)
      view.setUint32(frame + 56, crc32(bytes.subarray(frame + 64, frame + 64 + size)))
      view.setUint32(frame + 60, crc32(bytes.subarray(frame, frame + 60)))
      return bytes
    })
    expect(['LINK_MISMATCH', 'BAD_ATTESTATION', 'BAD_CBOR', 'BAD_RECORD']).toContain(await codeOf(openLong(platform)))
  })

  it('because the software that made it knew other rules is not gone on from', async () => {
    const platform = await machine()
    const key = (await platform.state.get('snapshot-key'))!
    platform.disk('/c').poke('SNAPSHOT', (bytes) => {
      const foot = bytes.length - 144
      const view = new DataView(bytes.buffer)
      const rowsBytes = Number(view.getBigUint64(foot + 88)) * 92
      const hashesAt = rowsBytes + Number(view.getBigUint64(foot + 96))
      view.setBigUint64(foot + 8, BigInt(FOLD_LEVEL + 1))
      const fields = bytes.slice(foot, foot + 112)
      const hashes = bytes.slice(hashesAt, foot)
      bytes.set(
        crypto.hmacSha256(key, Uint8Array.from([...contextBytes('snapshot'), ...fields, ...hashes])),
        foot + 112,
      )
      return bytes
    })
    const reader = await openLong(platform, { readOnly: true })
    expect(reader.stats().snapshot?.problem).toBe('BAD_SNAPSHOT')
    await reader.close()
  })

  it('because it is of another chain is not gone on from', async () => {
    const other = quickPlatform(9, { state: (await machine()).state })
    await other.state.remove('known-chains')
    const chain = await open(PLACE, { as: alice }, other)
    await fill(chain)
    await chain.close()
    const platform = await machine()
    platform.disk('/c').poke('SNAPSHOT', () => other.disk('/c').peek('SNAPSHOT'))
    const found = await openLong(platform)
    expect(found.stats().snapshot?.openedFrom).toBe(undefined)
    await found.close()
  })

  it('because the log begins as another chain is not gone on from', async () => {
    const platform = await machine()
    const { random, clock } = platform.environment
    const other = memoryEngine()
    const first = await open(other, { as: alice }, platform)
    const engine = await openFileLog({ fs: platform.disk('/c'), random, clock, crc32 })
    const read = engine.read.bind(engine)
    // Who asks for the first record alone gets that of the other chain.
    engine.read = (from, options) => (from === 0 && options?.chunkBytes === 1 ? other : { read }).read(from, options)
    const chain = await open(engine, { as: alice }, platform)
    expect(chain.id).not.toBe(first.id)
    expect(chain.stats().snapshot?.openedFrom).toBe(undefined)
    await assertSameAsLog(chain)
    await chain.close()
    await first.close()
  })

  it('because what follows does not fit it is not gone on from; what does not fit the log either is an alarm', async () => {
    const platform = await machine()
    const chain = await openLong(platform)
    await chain.transact((tx) => tx.create(Count, { n: 1 }))
    await chain.close()
    const { accept } = Replica.prototype
    let failures = 1
    Replica.prototype.accept = function (record) {
      if (record.seq === chain.head.seq && failures-- > 0) throw new AteError('BAD_ROOT', { seq: record.seq })
      return accept.call(this, record)
    }
    try {
      const found = await openLong(platform, { readOnly: true })
      expect(found.stats().snapshot).toEqual({ openedFrom: undefined, seq: undefined, problem: 'BAD_ROOT' })
      await found.close()
      failures = 2
      expect(await codeOf(openLong(platform))).toBe('BAD_ROOT')
    } finally {
      Replica.prototype.accept = accept
    }
  })
})

describe('no snapshot', () => {
  it('is read or written with `ignore`, by identities of one process, or by readers of what is attested', async () => {
    const bare = await machine()
    bare.disk('/c').drop('SNAPSHOT')
    const cases: readonly OpenOptions[] = [
      { snapshot: 'ignore' },
      { as: person('bob') },
      { readOnly: true, pq: 'required' },
    ]
    for (const options of cases) {
      for (const platform of [bare, await machine()]) {
        const files = platform.disk('/c').files()
        const chain = await openLong(platform, { id: (await long!).id, ...options })
        expect(chain.stats().snapshot).toBe(undefined)
        await assertSameAsLog(chain)
        await chain.close()
        expect(platform.disk('/c').files()).toEqual(files)
      }
    }
    const reader = await openLong(bare, { readOnly: true })
    expect(reader.stats().snapshot).toEqual({ openedFrom: undefined, seq: undefined, problem: undefined })
    await reader.close()
    expect(bare.disk('/c').files()).not.toContain('SNAPSHOT')
    expect(await codeOf(openLong(bare, { snapshot: 'yes' as never }))).toBe('BAD_ARGUMENT')
  })

  it('takes part in verify() or verifyPlace()', async () => {
    const platform = await machine()
    const chain = await openLong(platform)
    const records = chain.head.seq + 1
    const [byChain, report] = await verifiedBy(() => chain.verify())
    expect([byChain, report.ok]).toEqual([records - 1, true])
    await chain.close()
    const [byPlace, placeReport] = await verifiedBy(() => verifyPlace(PLACE, {}, platform))
    expect([byPlace, placeReport.ok]).toEqual([records - 1, true])
  })

  it('is there for an engine that keeps none', async () => {
    const chain = await openChain('memory:', { as: alice }, quickPlatform())
    expect(chain.stats().snapshot).toBe(undefined)
    await chain.close()
  })

  it('keeps an older copy, or another one, from being an alarm', async () => {
    const platform = await machine()
    const chain = await openLong(platform)
    await chain.transact((tx) => tx.create(Count, { n: 1 }))
    await chain.close()
    const back = await machine({ fs: (await long!).fs, entries: (await save(platform)).entries })
    expect(await codeOf(openLong(back))).toBe('ROLLBACK')
    const other = await machine()
    const fork = await openLong(other)
    for (let i = 0; i < 3; i++) await fork.transact((tx) => tx.create(Count, { n: 2 }))
    await fork.close()
    const forked = await machine({ fs: other.disk('/c'), entries: (await save(platform)).entries })
    expect(await codeOf(openLong(forked))).toBe('FORK')
  })
})

describe('a snapshot that cannot be read or written', () => {
  it('is told, and the chain goes on', async () => {
    const platform = await machine()
    const chain = await openLong(platform)
    await fill(chain)
    const fs = platform.disk('/c')
    const { open: openFile } = fs
    fs.open = (path, mode) => {
      if (path === 'SNAPSHOT.new' && mode === 'create') throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
      return openFile.call(fs, path, mode)
    }
    await chain.close()
    expect(chain.stats().snapshot).toMatchObject({ seq: chain.stats().snapshot?.openedFrom, problem: 'DISK_FULL' })
    fs.open = openFile
    const again = await openLong(platform)
    expect(again.head.seq).toBe(chain.head.seq)
    expect(again.stats().snapshot).toEqual({
      openedFrom: chain.stats().snapshot?.openedFrom,
      seq: again.head.seq,
      problem: undefined,
    })
    await again.close()
  })

  it('for lack of a key is told', async () => {
    const failing = (state: StateStore, code: 'INSECURE_FILE' | 'STATE_UNWRITABLE'): StateStore => ({
      ...state,
      async get(name) {
        if (name === 'snapshot-key') throw new AteError(code)
        return state.get(name)
      },
    })
    for (const code of ['INSECURE_FILE', 'STATE_UNWRITABLE'] as const) {
      const { state } = await machine()
      const platform = quickPlatform(3, {
        state: failing(state, code),
        disks: new Map([['/c', copyOf((await long!).fs)]]),
      })
      const chain = await openLong(platform)
      expect(chain.stats().snapshot).toEqual({ openedFrom: undefined, seq: undefined, problem: code })
      await assertSameAsLog(chain)
      await chain.close()
    }
  })

  it('because reads fail is told', async () => {
    const platform = await machine()
    const fs = platform.disk('/c')
    const read = fs.open.bind(fs)
    fs.open = (path, mode) => {
      if (path === 'SNAPSHOT' && mode === 'read') throw Object.assign(new Error('EIO'), { code: 'EIO' })
      return read(path, mode)
    }
    const chain = await openLong(platform, { readOnly: true })
    expect(chain.stats().snapshot?.problem).toBe('IO_ERROR')
    await chain.close()
  })

  it('ends with the signal that ends the opening', async () => {
    const platform = await machine()
    const controller = new AbortController()
    const reason = new Error('enough')
    const get = platform.state.get
    platform.state.get = (name) => {
      if (name === 'snapshot-key') controller.abort(reason)
      return get(name)
    }
    await expect(openLong(platform, { signal: controller.signal })).rejects.toBe(reason)
  })
})

describe('while a snapshot is written at close', () => {
  it('nothing is appended, not even an attestation that found no room before', async () => {
    const platform = await machine()
    const { random, clock } = platform.environment
    const engine = new GatedEngine(await openFileLog({ fs: platform.disk('/c'), random, clock, crc32 }))
    const { snapshot } = engine.inner
    const during: number[] = []
    async function* watched(parts: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      for await (const part of parts) {
        platform.advance(2000)
        await turns()
        during.push(engine.takeAppends().length)
        yield part
      }
    }
    Object.defineProperty(engine, 'snapshot', {
      value: { ...snapshot, write: (parts: AsyncIterable<Uint8Array>) => snapshot!.write(watched(parts)) },
    })
    const chain = await open(engine, { as: alice }, platform)
    await fill(chain)
    engine.takeAppends()
    engine.failNext = new AteError('DISK_FULL')
    await chain.close()
    expect(during.length).toBeGreaterThan(2)
    // The attestation that failed, before the first part.
    expect(during.reduce((sum, count) => sum + count, 0)).toBe(1)
    expect(during[0]).toBe(1)
    const again = await openLong(platform)
    await assertSameAsLog(again)
    await again.close()
  })

  it('is not written by a handle whose writing has failed', async () => {
    const platform = await machine()
    const { random, clock } = platform.environment
    const engine = new GatedEngine(await openFileLog({ fs: platform.disk('/c'), random, clock, crc32 }))
    const chain = await open(engine, { as: alice }, platform)
    const { seq } = chain.head
    await fill(chain)
    engine.failNext = new AteError('WRITER_FENCED')
    expect(await codeOf(chain.transact((tx) => tx.create(Count, { n: 1 })))).toBe('WRITER_FENCED')
    await chain.close()
    expect(chain.stats().snapshot?.seq).toBe(seq)
  })
})

describe('a power cut at any moment of writing a snapshot', () => {
  it('leaves the chain as it was promised, and the next opening right', async () => {
    const { state } = await machine()
    const begun = async (): Promise<TestPlatform> => {
      // One that is wrong is written anew at open, however short the log.
      const fs = new SimFileSystem(1, { folder: 'missing' })
      const platform = quickPlatform(4, { state: memoryState(), disks: new Map([['/c', fs]]) })
      await platform.state.put('snapshot-key', (await state.get('snapshot-key'))!)
      const chain = await open(PLACE, { as: alice }, platform)
      await chain.transact((tx) => tx.create(Note, { text: 'kept' }))
      await chain.close()
      const garbage = new SimFileSystem(1)
      garbage.open('x', 'create').close()
      garbage.copyTo(fs, 'x', 'SNAPSHOT')
      return platform
    }
    const work = async (platform: TestPlatform): Promise<void> => {
      const chain = await open(PLACE, { as: alice }, platform)
      await chain.transact((tx) => tx.create(Count, { n: 1 }))
      await chain.close()
    }
    const trial = await begun()
    const from = trial.disk('/c').counts.operations
    await work(trial)
    const operations = trial.disk('/c').counts.operations - from
    for (let cut = 1; cut <= operations; cut++) {
      const platform = await begun()
      const fs = platform.disk('/c')
      fs.faults.cutAfter = fs.counts.operations + cut
      await work(platform).catch(() => undefined)
      fs.crash()
      const chain = await open(PLACE, { as: alice }, platform)
      expect(chain.stats().entities).toBeGreaterThan(0)
      expect(fs.files()).not.toContain('SNAPSHOT.new')
      await assertSameAsLog(chain)
      await chain.close()
      const again = await open(PLACE, { as: alice }, platform)
      expect(again.stats().snapshot?.problem, `cut ${cut}`).toBe(undefined)
      await assertSameAsLog(again)
      await again.close()
    }
  })
})

/** Where the frame begins that holds the byte at `offset`. */
function frameAround(bytes: Uint8Array, offset: number): number {
  const view = new DataView(bytes.buffer)
  let at = 4096
  for (;;) {
    const next = at + 64 + view.getUint32(at + 4)
    if (next > offset) return at
    at = next
  }
}
