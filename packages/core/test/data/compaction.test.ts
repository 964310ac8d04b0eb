/** Compaction of a chain: what goes, what stays, and that nobody can tell by what the chain says. */
import { describe, expect, it } from 'vitest'
import { AteError } from '../../src/base/errors.ts'
import type { Chain } from '../../src/data/chain.ts'
import type { Durability, LogEngine } from '../../src/log/engine.ts'
import { type MemoryStore, memoryEngine, memoryStore } from '../../src/log/memory.ts'
import { GatedEngine } from '../../src/testing/gated-engine.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { replicaDigest } from '../../src/testing/view-digest.ts'
import { copyOf, recordsOf, slabsOf } from '../log/stored-records.ts'
import {
  assertReadable,
  assertSameAsLog,
  codeOf,
  coreOf,
  freshReplica,
  memoryChain,
  Note,
  open,
  person,
  quickPlatform,
  Thing,
  turns,
} from './kit.ts'

const PLACE = 'file:/chain'

async function textsOf(chain: Chain): Promise<string[]> {
  const texts: string[] = []
  for await (const { value } of chain.children(Note)) texts.push(value.text)
  return texts
}

/** Each value that events ever wrote: its text, or the code of why it does not open. */
async function valuesOf(chain: Chain): Promise<string[]> {
  const values: string[] = []
  for await (const event of chain.events({ until: 'end' })) {
    if (event.op !== 'create' && event.op !== 'put') continue
    let text = ''
    const code = await codeOf(async () => {
      text = (await event.value(Note)).text
    })
    values.push(code === 'nothing was thrown' ? text : code)
  }
  return values
}

describe('compaction', () => {
  it('drops values that were replaced, deleted or void, and nothing else', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    const [a, b] = await chain.transact((tx) => ['a', 'b', 'c'].map((text) => tx.create(Note, { text })))
    await chain.transact((tx) => tx.update(Note, a!, () => ({ text: 'a2' })))
    await chain.transact((tx) => tx.delete(b!))
    await chain.transact((tx) => tx.create(Note, { text: 'short' }, { ttl: 5 }))
    const seq = chain.head.seq
    const before = coreOf(chain).engine.sizeBytes()
    expect(await valuesOf(chain)).toEqual(['a', 'b', 'c', 'a2', 'short'])

    const report = await chain.compact()
    expect(report.records).toBe(1)
    expect(report.bytesFreed).toBeGreaterThan(0)
    expect(report).toMatchObject({ bytesBefore: before, bytesAfter: before - report.bytesFreed, filesInUse: 0 })
    expect(chain.stats().compaction).toEqual({ running: false, last: report, failed: undefined })
    expect(chain.head.seq).toBe(seq)
    expect(await textsOf(chain)).toEqual(['a2', 'c', 'short'])
    expect(await valuesOf(chain)).toEqual(['BODY_DROPPED', 'BODY_DROPPED', 'c', 'a2', 'short'])
    expect(await chain.compact()).toMatchObject({ records: 0, bytesFreed: 0 })

    kit.platform.advance(10)
    await chain.transact((tx) => tx.create(Note, { text: 'later' }))
    expect(await chain.sweep()).toBe(1)
    expect(await chain.compact()).toMatchObject({ records: 1 })
    expect(await valuesOf(chain)).toEqual(['BODY_DROPPED', 'BODY_DROPPED', 'c', 'a2', 'BODY_DROPPED', 'later'])
    expect(await chain.verify()).toMatchObject({ ok: true, problems: [] })
  })

  it('keeps what is still pointed to while its successor is staged, also when that is taken back', async () => {
    await using kit = await memoryChain()
    const { chain, engine } = kit
    const note = await chain.transact((tx) => tx.create(Note, { text: 'first' }))
    engine.hold()
    const staged = chain.transact((tx) => tx.update(Note, note, () => ({ text: 'second' })))
    await turns()
    const compacting = chain.compact()
    await turns()
    engine.failNext = new AteError('DISK_FULL')
    engine.release()
    expect(await codeOf(staged)).toBe('DISK_FULL')
    await compacting
    expect((await chain.load(Note, note)).value.text).toBe('first')
    expect(await valuesOf(chain)).toEqual(['first'])
    // A cache may not be what answers.
    expect(await assertReadable(chain)).toBe(1)
  })

  it('is noticed by who knows where bodies stood, also when it comes between two of his reads', async () => {
    await using kit = await memoryChain()
    const { chain, engine, core } = kit
    const notes = await chain.transact((tx) => ['a', 'b', 'c'].map((text) => tx.create(Note, { text })))
    await chain.transact((tx) => tx.delete(notes[0]!))
    expect(await assertReadable(chain)).toBe(2)
    await chain.compact()
    engine.slowReads = true
    expect(await assertReadable(chain)).toBe(2)
    engine.slowReads = false
    await chain.transact((tx) => tx.delete(notes[1]!))
    expect(await assertReadable(chain)).toBe(1)
    // A reader's engine finds out while it reads: here the store changes just before it does.
    const copy = copyOf(kit.store)
    const inner = memoryEngine(copy, { readOnly: true })
    const watched = new SurprisedEngine(inner)
    const reader = await open(watched, { as: person('alice'), id: chain.id, readOnly: true }, quickPlatform(3))
    expect(await assertReadable(reader)).toBe(1)
    await chain.compact()
    watched.surprise = () => {
      const { generation } = copy.records
      copy.records = slabsOf(recordsOf(kit.store))
      copy.records.generation = generation + 1
    }
    expect(await assertReadable(reader)).toBe(1)
    expect(watched.surprise).toBe(undefined)
    await reader.close()
    expect(core.isClosed).toBe(false)
  })

  it('leaves a record alone that is stored and not acknowledged yet', async () => {
    const engine = new LateEngine(memoryStore())
    const platform = quickPlatform()
    const chain = await open(engine, { as: person('alice') }, platform)
    engine.late = true
    const writing = chain.transact((tx) => tx.create(Note, { text: 'on its way' }))
    await turns()
    expect(engine.head()!.seq).toBe(1)
    expect(coreOf(chain).replica.head.seq).toBe(0)
    const compacting = chain.compact()
    await turns()
    engine.answer()
    await Promise.all([writing, compacting])
    expect(await valuesOf(chain)).toEqual(['on its way'])
    await assertSameAsLog(chain)
    await chain.close()
  })

  it('goes on beside writers, who never see it', async () => {
    const seed = Number(process.env['ATE_SEED'] ?? 5)
    const random = seededRandom(seed)
    await using kit = await memoryChain()
    const { chain } = kit
    const wanted = new Map<string, string>()
    const compactions: Promise<unknown>[] = []
    for (let round = 0; round < 60; round++) {
      const writes = Array.from({ length: 1 + random.below(5) }, async (_, i) => {
        const name = `n${random.below(12)}`
        const text = `${round}.${i}`
        const last = await chain.transact((tx) => tx.put(Note, name, { text }))
        return { name, text, version: last }
      })
      if (random.oneIn(3)) compactions.push(chain.compact())
      if (random.oneIn(2)) await turns(random.below(3))
      // Of one round's writes to one name the last that was staged is the newest.
      for (const { name, text } of await Promise.all(writes)) wanted.set(name, text)
    }
    await Promise.all(compactions)
    await chain.compact()
    for (const [name, text] of wanted) expect((await chain.named(Note, name))?.value.text, `seed ${seed}`).toBe(text)
    expect(await assertReadable(chain)).toBe(wanted.size)
    expect((await valuesOf(chain)).filter((value) => value !== 'BODY_DROPPED').length).toBe(wanted.size)
    expect(await chain.verify()).toMatchObject({ ok: true })
  })

  it('of two replicas at different times ends with the same state, which is that of the whole log', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    for (let i = 0; i < 6; i++) await chain.transact((tx) => tx.put(Note, `n${i % 3}`, { text: `${i}` }))
    const whole = copyOf(kit.store)
    await chain.compact()
    await chain.transact((tx) => tx.put(Note, 'n0', { text: 'after' }))
    const other = copyOf(kit.store)
    await chain.compact()
    await chain.checkpoint()
    const digests = []
    for (const store of [kit.store, withTail(other, kit.store), withTail(whole, kit.store)]) {
      const fresh = await freshReplica(memoryEngine(store, { readOnly: true }))
      digests.push(replicaDigest(fresh))
    }
    expect(new Set(digests).size).toBe(1)
    const late = withTail(whole, kit.store)
    const chainOfCopy = await open(memoryEngine(late), { as: person('alice'), id: chain.id }, quickPlatform(4))
    await chainOfCopy.compact()
    const bytes = (store: MemoryStore): string[] =>
      recordsOf(store)
        .slice(0, 9)
        .map((record) => String(record.bytes))
    expect(bytes(late)).toEqual(bytes(kit.store))
    await chainOfCopy.close()
  })

  it('that took what lives is found by verify and by who reads it', async () => {
    await using kit = await memoryChain()
    const { chain, store } = kit
    const note = await chain.transact((tx) => tx.create(Note, { text: 'kept' }))
    const gone = await chain.transact((tx) => tx.create(Note, { text: 'taken' }))
    await chain.transact((tx) => tx.delete(gone))
    const lost = await chain.transact((tx) => tx.create(Note, { text: 'lost' }))
    const stolen = copyOf(store)
    const thief = await open(memoryEngine(stolen), { as: person('alice'), id: chain.id }, quickPlatform(2))
    await thief.transact((tx) => tx.delete(lost))
    await thief.compact()
    await thief.close()
    const copy = { ...copyOf(store), records: slabsOf(recordsOf(stolen).slice(0, store.records.size)) }
    const reader = await open(
      memoryEngine(copy, { readOnly: true }),
      { as: person('alice'), id: chain.id, readOnly: true },
      quickPlatform(3),
    )
    const report = await reader.verify()
    expect(report.problems).toEqual([{ code: 'BODY_DROPPED', seq: 4, segment: 'memory', offset: 4 }])
    expect(await codeOf(reader.load(Note, lost.id))).toBe('BODY_DROPPED')
    expect((await reader.load(Note, note.id)).value.text).toBe('kept')
    await reader.close()
  })

  it('ends with its signal, and with the chain', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    for (let i = 0; i < 3; i++) await chain.transact((tx) => tx.put(Note, 'n', { text: `${i}` }))
    const abort = new AbortController()
    const aborted = chain.compact({ signal: abort.signal })
    abort.abort(new Error('enough'))
    await expect(aborted).rejects.toThrow('enough')
    const compacting = codeOf(chain.compact())
    await chain.close()
    expect(['CHAIN_CLOSED', 'nothing was thrown']).toContain(await compacting)
    expect(await codeOf(() => chain.compact())).toBe('CHAIN_CLOSED')
  })

  it('is not for readers', async () => {
    await using kit = await memoryChain()
    const engine = memoryEngine(kit.store, { readOnly: true })
    const reader = await open(engine, { as: person('alice'), id: kit.chain.id, readOnly: true }, quickPlatform(3))
    expect(await codeOf(() => reader.compact())).toBe('READ_ONLY')
    await reader.close()
  })
})

describe('a policy', () => {
  const big = (i: number): string => 'x'.repeat(6000) + i

  async function fileChain(compact: object): Promise<{ chain: Chain; platform: ReturnType<typeof quickPlatform> }> {
    const platform = quickPlatform(6)
    return { chain: await open(PLACE, { as: person('alice'), compact }, platform), platform }
  }

  async function writeBig(chain: Chain, platform: ReturnType<typeof quickPlatform>): Promise<void> {
    for (let i = 0; i < 12; i++) {
      await chain.transact((tx) => tx.put(Note, 'n', { text: big(i) }))
      platform.advance(1100)
    }
    await turns()
  }

  it.each([
    ['by growth', { growth: 2, growthFromBytes: 10_000 }],
    ['by bytes', { bytes: 20_000 }],
    ['by time', { every: '5s' }],
  ])('%s', async (_name, policy) => {
    const { chain, platform } = await fileChain(policy)
    await writeBig(chain, platform)
    expect(chain.stats().compaction.last?.bytesFreed).toBeGreaterThan(10_000)
    expect((await chain.named(Note, 'n'))?.value.text).toBe(big(11))
    await chain.close()
  })

  it('at the end', async () => {
    const { chain, platform } = await fileChain({ onClose: true })
    await writeBig(chain, platform)
    expect(chain.stats().compaction.last).toBe(undefined)
    const before = chain.stats().logBytes
    await chain.close()
    const again = await open(PLACE, { as: person('alice') }, platform)
    expect(again.stats().logBytes).toBeLessThan(before - 50_000)
    expect((await again.named(Note, 'n'))?.value.text).toBe(big(11))
    expect(await again.verify()).toMatchObject({ ok: true })
    await again.close()
  })

  it('that fails says so, and the chain goes on', async () => {
    const { chain, platform } = await fileChain({ bytes: 20_000 })
    for (let i = 0; i < 3; i++) await chain.transact((tx) => tx.put(Note, 'n', { text: big(i) }))
    const { faults, counts } = platform.disk('/chain')
    faults.failWrite = { at: counts.writes + 3, code: 'ENOSPC', written: 0 }
    platform.advance(1100)
    await chain.transact((tx) => tx.put(Note, 'n', { text: big(3) }))
    await turns()
    expect(chain.stats().compaction).toMatchObject({ running: false, failed: 'DISK_FULL' })
    expect(
      platform
        .disk('/chain')
        .list('')
        .filter((name) => name.endsWith('.new')),
    ).toEqual([])
    await writeBig(chain, platform)
    expect(chain.stats().compaction).toMatchObject({ failed: undefined })
    expect(chain.stats().compaction.last?.bytesFreed).toBeGreaterThan(0)
    await chain.close()
  })

  it.each([
    { growth: 1 },
    { growth: Number.NaN },
    { bytes: 0 },
    { bytes: 1.5 },
    { growthFromBytes: -1 },
    { every: 10 },
    { every: '30d' },
  ])('of %o is refused', async (compact) => {
    expect(await codeOf(open('memory:', { as: person('alice'), compact: compact as object }))).toBe('BAD_ARGUMENT')
  })
})

describe('on files', () => {
  it('waits until what took the place of a dropped value is durable', async () => {
    const platform = quickPlatform(7)
    const chain = await open(PLACE, { as: person('alice') }, platform)
    await chain.transact((tx) => tx.put(Thing, 'n', 'x'.repeat(20_000)))
    await chain.transact((tx) => tx.put(Thing, 'n', 'newest'), { durability: 'os' })
    const report = await chain.compact()
    expect(report.bytesFreed).toBeGreaterThan(19_000)
    platform.disk('/chain').crash()
    await chain.close().catch(() => undefined)
    const again = await open(PLACE, { as: person('alice') }, platform)
    expect((await again.named(Thing, 'n'))?.value).toBe('newest')
    await again.close()
  })

  it('readers beside it go on: with what they have open, after a look for news, and those that open later', async () => {
    const platform = quickPlatform(8)
    const chain = await open(PLACE, { as: person('alice') }, platform)
    const names = Array.from({ length: 9 }, (_, i) => `n${i}`)
    for (let i = 0; i < 40; i++) await chain.transact((tx) => tx.put(Thing, names[i % 9]!, `${i}`.padEnd(900)))
    const readers: Chain[] = []
    const openReader = async (): Promise<Chain> => {
      const reader = await open(PLACE, { as: person('alice'), readOnly: true }, platform)
      readers.push(reader)
      return reader
    }
    const warm = await openReader()
    expect(await assertReadable(warm)).toBe(9)
    const cold = await openReader()
    await chain.compact()
    for (const name of names) await chain.transact((tx) => tx.put(Thing, name, `${name} again`.padEnd(900)))
    const report = await chain.compact()
    expect(report.records).toBeGreaterThan(0)
    // What it has open is the old file, whole; what it must open anew lacks what was replaced since it looked.
    expect(await assertReadable(warm)).toBe(9)
    expect(await codeOf(assertReadable(cold))).toBe('BODY_DROPPED')
    const late = await openReader()
    for (const reader of [warm, cold, late]) {
      await reader.refresh()
      expect(await assertReadable(reader)).toBe(9)
      expect((await reader.named(Thing, 'n0'))?.value).toBe('n0 again'.padEnd(900))
      expect(await reader.verify()).toMatchObject({ ok: true })
      await reader.close()
    }
    await chain.close()
  })
})

/** A copy that has heard of the records that came since. */
function withTail(copy: MemoryStore, newest: MemoryStore): MemoryStore {
  return { ...copyOf(copy), records: slabsOf([...recordsOf(copy), ...recordsOf(newest).slice(copy.records.size)]) }
}

/** Stores at once, and answers when it is told to. */
class LateEngine extends GatedEngine {
  late = false
  #answer: (() => void) | undefined

  constructor(store: MemoryStore) {
    super(memoryEngine(store))
  }

  override async append(...args: Parameters<LogEngine['append']>): Promise<{ readonly durability: Durability }> {
    const done = await super.append(...args)
    if (this.late) {
      await new Promise<void>((resolve) => {
        this.#answer = resolve
      })
    }
    return done
  }

  answer(): void {
    this.late = false
    this.#answer?.()
  }
}

/** Something happens to the store just before a part of it is read. */
class SurprisedEngine extends GatedEngine {
  surprise: (() => void) | undefined

  override readPart(seq: number, offset: number, size: number): Uint8Array | Promise<Uint8Array> {
    this.surprise?.()
    this.surprise = undefined
    return super.readPart(seq, offset, size)
  }
}

describe('values read while their records are put anew', () => {
  it('are found again, in this call and in later ones', async () => {
    const store = memoryStore()
    const platform = quickPlatform()
    const as = person('alice')
    const first = await open(memoryEngine(store), { as }, platform)
    const texts = Array.from({ length: 60 }, (_, i) => `note ${i} `.repeat(20))
    const notes = await first.transact((tx) => texts.map((text) => tx.create(Note, { text })))
    // Each third one is replaced, so that the record of all is put anew, and the bodies of the others move in it.
    await first.transact(async (tx) => {
      for (let i = 0; i < notes.length; i += 3) await tx.update(notes[i]!, ({ text }) => ({ text: `${text}!` }))
    })
    await first.close()
    const wanted = texts.map((text, i) => (i % 3 === 0 ? `${text}!` : text))
    for (let call = 1; call <= 8; call++) {
      const engine = new GatedEngine(memoryEngine(copyOf(store)))
      const chain = await open(engine, { as, id: first.id }, platform)
      const readPart = engine.readPart.bind(engine)
      let calls = 0
      let compacted: Promise<unknown> = Promise.resolve()
      // That call, and those behind it, are answered from the records as they are afterwards.
      engine.readPart = async (...part) => {
        if (++calls === call) compacted = chain.compact()
        await compacted
        return readPart(...part)
      }
      for (const [i, note] of notes.slice(0, 12).entries())
        expect([call, i, (await chain.load(Note, note.id)).value.text]).toEqual([call, i, wanted[i]])
      await compacted
      expect(await textsOf(chain)).toEqual(wanted)
      await chain.close()
    }
  })

  it('are not looked for where they were before, however late the answer of that time came', async () => {
    const store = memoryStore()
    const platform = quickPlatform()
    const as = person('alice')
    const first = await open(memoryEngine(store), { as }, platform)
    const texts = Array.from({ length: 12 }, (_, i) => `note ${i} `.repeat(20))
    const notes = await first.transact((tx) => texts.map((text) => tx.create(Note, { text })))
    await first.transact((tx) => tx.update(notes[0]!, ({ text }) => ({ text })))
    await first.close()
    for (let late = 1; late <= 4; late++) {
      const engine = new GatedEngine(memoryEngine(copyOf(store)))
      const chain = await open(engine, { as, id: first.id }, platform)
      const readPart = engine.readPart.bind(engine)
      let calls = 0
      let deliver = (): void => undefined
      const held = new Promise<void>((resolve) => {
        deliver = resolve
      })
      engine.readPart = async (...part) => {
        const isLate = ++calls === late
        const bytes = await readPart(...part)
        if (isLate) await held
        return bytes
      }
      const slow = chain.load(Note, notes[1]!.id)
      await turns(20)
      await chain.compact()
      // Somebody reads meanwhile, so that what was known before is forgotten already.
      const other = chain.load(Note, notes[2]!.id)
      await turns(20)
      deliver()
      expect((await other).value.text).toBe(texts[2])
      expect((await slow).value.text).toBe(texts[1])
      expect(await textsOf(chain)).toEqual(texts)
      await chain.close()
    }
  })
})

describe('a log that is compacted again and again', () => {
  it('stays a few files, which hold all that they held', async () => {
    const platform = quickPlatform()
    const disk = platform.disk('/chain')
    let chain = await open(PLACE, { as: person('alice') }, platform)
    for (let i = 0; i < 60; i++) {
      for (const size of [9000, 5000])
        await chain.transact((tx) => tx.put(Thing, `big ${i % 3}`, new Uint8Array(size + i)))
      expect((await chain.compact()).filesInUse).toBe(0)
      if (i % 20 !== 10) continue
      await chain.close()
      chain = await open(PLACE, { as: person('alice') }, platform)
    }
    expect(disk.files().filter((name) => name.startsWith('seg-')).length).toBeLessThanOrEqual(3)
    await assertSameAsLog(chain)
    await assertReadable(chain)
    expect((await chain.verify()).problems).toEqual([])
    await chain.close()
  })
})
