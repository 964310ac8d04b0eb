/** What openChain believes and refuses: pins, places, older and other copies, kept certificates, readers beside. */
import { describe, expect, it } from 'vitest'
import { toBinaryText } from '../../src/base/bytes.ts'
import { AteError } from '../../src/base/errors.ts'
import { ByteWriter } from '../../src/codec/writer.ts'
import type { makeGenesis } from '../../src/data/create-chain.ts'
import { openChain } from '../../src/data/open-chain.ts'
import { ROOT_ENTITY } from '../../src/event/entity-words.ts'
import { FOLD_LEVEL, FORMAT, KIND, SUITE } from '../../src/event/format.ts'
import { encodeGenesis, encodeParameters, genesisMessage, hashParameters } from '../../src/event/genesis.ts'
import { hashRecord, NO_HASH, parseRecordHead, writeRecordHead } from '../../src/event/record.ts'
import { type MemoryStore, memoryEngine, memoryStore } from '../../src/log/memory.ts'
import { SessionKeys } from '../../src/session/epoch-keys.ts'
import { type Identity, markKept, newIdentity } from '../../src/session/identity.ts'
import { memoryState } from '../../src/session/memory-state.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { SimFileSystem } from '../../src/testing/sim-file-system.ts'
import type { TestPlatform } from '../../src/testing/test-platform.ts'
import { TrustState } from '../../src/trust/trust-state.ts'
import { copyOf as copyOfStore, recordsOf } from '../log/stored-records.ts'
import {
  assertSameAsLog,
  codeOf,
  type coreOf,
  crypto,
  errorOf,
  memoryChain,
  Note,
  open,
  person,
  quickPlatform,
  turns,
} from './kit.ts'

const NOTHING = 'nothing was thrown'
const OTHER = `${'0'.repeat(50)}10`

/** An identity that outlives its process, as one of a file does. */
function kept(name: string): Identity {
  return markKept(newIdentity({ crypto, random: seededRandom(name.length * 77) }))
}

function copyOf(fs: SimFileSystem): Map<string, Uint8Array> {
  return new Map(fs.files().map((path) => [path, fs.peek(path)]))
}

function putBack(platform: TestPlatform, path: string, files: Map<string, Uint8Array>): void {
  const fs = platform.disk(path)
  for (const name of fs.files()) if (!files.has(name)) fs.drop(name)
  for (const [name, bytes] of files) {
    if (fs.files().includes(name)) fs.poke(name, () => bytes)
    else throw new Error(`no file ${name}`)
  }
}

describe('arguments', () => {
  it('are places and options that make sense', async () => {
    const platform = quickPlatform()
    for (const at of ['', 'file:', 'http://x', './x', 5, null, {}, undefined]) {
      expect([at, await codeOf(openChain(at as never, {}, platform))]).toEqual([at, 'BAD_URL'])
    }
    for (const options of [
      null,
      5,
      { as: {} },
      { as: person('alice').publicId },
      { pq: 'required' },
      { readOnly: true, create: true },
    ]) {
      expect(await codeOf(openChain('memory:', options as never, platform))).toBe('BAD_ARGUMENT')
    }
    expect(await codeOf(openChain('memory:', { id: 'x', as: person('alice') }, platform))).toBe('BAD_ID')
    const reason = new Error('enough')
    const opening = openChain('memory:', { signal: AbortSignal.abort(reason), as: person('alice') }, platform)
    await expect(opening).rejects.toBe(reason)
  })
})

describe('a place', () => {
  it('without a chain is one made, unless the options say no', async () => {
    const platform = quickPlatform()
    const as = person('alice')
    expect(await codeOf(open('file:/c', { as, create: false }, platform))).toBe('CHAIN_NOT_FOUND')
    expect(await codeOf(open('file:/c', { as, readOnly: true }, platform))).toBe('CHAIN_NOT_FOUND')
    expect(await codeOf(open('file:/c', { as, id: OTHER }, platform))).toBe('CHAIN_NOT_FOUND')
    const chain = await open('file:/c', { as }, platform)
    expect(await codeOf(open('file:/c', { as }, platform))).toBe('CHAIN_LOCKED')
    await chain.close()
    await (await open('file:/c', { as, create: true }, platform)).close()
  })

  it('with other files is no place for a chain', async () => {
    const platform = quickPlatform()
    platform.disk('/c').makeFolder('')
    platform.disk('/c').open('letter.txt', 'create').close()
    expect(await codeOf(open('file:/c', { as: person('alice') }, platform))).toBe('NOT_A_CHAIN')
  })

  it('is pinned by its root, by an id, or by what this machine knows of it', async () => {
    const platform = quickPlatform()
    const chain = await open('file:/c', { as: person('alice') }, platform)
    await chain.close()
    const bob = kept('bob')
    expect(await codeOf(open('file:/c', { as: bob }, platform))).toBe('NOT_PINNED')
    expect(await codeOf(open('file:/c', { as: bob, id: OTHER }, platform))).toBe('WRONG_CHAIN')
    await (await open('file:/c', { as: bob, id: chain.id }, platform)).close()
    // Bob is one whom the machine keeps: from now on the place is known.
    await (await open('file:/c', { as: bob }, platform)).close()
    await (await open('file:/c', { as: person('carol') }, platform)).close()
    const elsewhere = quickPlatform(2, { disks: new Map([['/c', platform.disk('/c')]]) })
    expect(await codeOf(open('file:/c', { as: bob }, elsewhere))).toBe('NOT_PINNED')
  })

  it('that is known and empty is an alarm, or begun anew on demand; another chain there is one too', async () => {
    const disks = new Map<string, SimFileSystem>()
    const platform = quickPlatform(1, { disks })
    const as = kept('alice')
    const chain = await open('file:/c', { as }, platform)
    await chain.close()
    disks.set('/c', new SimFileSystem(7, { folder: 'missing' }))
    expect(await codeOf(open('file:/c', { as }, platform))).toBe('CHAIN_GONE')
    expect(await codeOf(open('file:/c', { as, id: chain.id }, platform))).toBe('CHAIN_NOT_FOUND')
    const fresh = await open('file:/c', { as, create: true }, platform)
    expect(fresh.id).not.toBe(chain.id)
    await fresh.close()
    await (await open('file:/c', { as }, platform)).close()
    disks.set('/c', new SimFileSystem(8, { folder: 'missing' }))
    const other = quickPlatform(5, { disks })
    await (await open('file:/c', { as: kept('mallory') }, other)).close()
    expect(await codeOf(open('file:/c', { as }, platform))).toBe('WRONG_CHAIN')
    // Not even where the caller says that a chain may be made: what stands here was made by others.
    expect(await codeOf(open('file:/c', { as, create: true }, platform))).toBe('WRONG_CHAIN')
  })

  it('of an engine or in memory is neither known nor remembered as a place', async () => {
    const platform = quickPlatform()
    const store = memoryStore()
    const chain = await open(memoryEngine(store), { as: kept('alice') }, platform)
    await chain.close()
    expect(await platform.state.get('known-chains')).toBeUndefined()
    expect(await codeOf(open(memoryEngine(store), { as: person('bob') }, platform))).toBe('NOT_PINNED')
    const found = await open(memoryEngine(store), { as: person('bob'), id: chain.id }, platform)
    await found.close()
    await (await open('memory:', { as: person('alice') }, platform)).close()
  })

  it('makes this machine’s identity on first use', async () => {
    const platform = quickPlatform()
    const chain = await openChain('memory:', {}, platform)
    const again = await openChain('memory:', {}, platform)
    expect(chain.identity).toBe(again.identity)
    await chain.close()
    await again.close()
  })
})

describe('rollback and fork', () => {
  it('an older copy that is put back is ROLLBACK; another history on it is FORK; `accept` takes it', async () => {
    const platform = quickPlatform()
    const as = person('alice')
    const first = await open('file:/c', { as }, platform)
    await first.transact((tx) => tx.create(Note, { text: '1' }))
    await first.close()
    const older = copyOf(platform.disk('/c'))
    const second = await open('file:/c', { as }, platform)
    await second.transact((tx) => tx.create(Note, { text: '2' }))
    await second.close()
    putBack(platform, '/c', older)
    const error = await errorOf(open('file:/c', { as }, platform))
    expect([error.code, error.facts['remembered']]).toEqual(['ROLLBACK', 4])
    expect(await codeOf(open('file:/c', { as, readOnly: true }, platform))).toBe('ROLLBACK')
    // Another machine goes on from the older copy: as long, and longer, but not the same.
    const elsewhere = quickPlatform(2, { disks: new Map([['/c', platform.disk('/c')]]) })
    const other = await open('file:/c', { as }, elsewhere)
    await other.transact((tx) => tx.create(Note, { text: 'other 2' }))
    await other.transact((tx) => tx.create(Note, { text: 'other 3' }))
    await other.close()
    expect(await codeOf(open('file:/c', { as }, platform))).toBe('FORK')
    const taken = await open('file:/c', { as, rollback: 'accept' }, platform)
    expect(taken.stats().entities).toBe(3)
    await taken.transact((tx) => tx.create(Note, { text: '4' }))
    await assertSameAsLog(taken)
    await taken.close()
    await (await open('file:/c', { as }, platform)).close()
  })

  it('an older copy that is accepted is gone on from, and remembered', async () => {
    const platform = quickPlatform()
    const as = kept('alice')
    const first = await open('file:/c', { as }, platform)
    await first.transact((tx) => tx.create(Note, { text: '1' }))
    await first.close()
    const older = copyOf(platform.disk('/c'))
    const second = await open('file:/c', { as }, platform)
    await second.transact((tx) => tx.create(Note, { text: '2' }))
    await second.close()
    putBack(platform, '/c', older)
    const back = await open('file:/c', { as, rollback: 'accept' }, platform)
    await back.transact((tx) => tx.create(Note, { text: 'again 2' }))
    await assertSameAsLog(back)
    await back.close()
    const again = await open('file:/c', { as }, platform)
    expect((await again.verify()).problems).toEqual([])
    await again.close()
  })
})

describe('writer certificates', () => {
  const count = (chain: Parameters<typeof coreOf>[0]): number => chain.writers().length

  it('are kept by this device and taken up again, for identities that outlive the process', async () => {
    const platform = quickPlatform()
    for (const [as, certificates] of [
      [kept('alice'), 1],
      [person('bob'), 4],
    ] as const) {
      let written = 0
      for (let life = 0; life < 4; life++) {
        const chain = await open(`file:/${certificates}`, { as }, platform)
        await chain.transact((tx) => tx.create(Note, { text: `${life}` }))
        written = count(chain)
        await assertSameAsLog(chain)
        await chain.close()
      }
      expect(written).toBe(certificates)
    }
    expect(await platform.state.list('certificates/')).toHaveLength(1)
  })

  it('are never used by two processes: who comes second takes another', async () => {
    const state = memoryState()
    const as = kept('alice')
    const store = memoryStore()
    const platform = quickPlatform(1, { state })
    const first = await open(memoryEngine(store), { as }, platform)
    await first.transact((tx) => tx.create(Note, { text: 'a' }))
    // A copy of the log, as a second device of a shared folder might have it, and one state of the machine.
    const twin = copyOfStore(store)
    const second = await open(memoryEngine(twin), { as }, quickPlatform(2, { state }))
    await second.transact((tx) => tx.create(Note, { text: 'b' }))
    expect([count(first), count(second)]).toEqual([1, 2])
    await first.close()
    await second.close().catch((error) => expect(error.code).toBe('FORK'))
  })

  it('are renewed after a day of chain time, by a successor that ends the one before', async () => {
    const platform = quickPlatform()
    const as = kept('alice')
    const chain = await open('file:/c', { as }, platform)
    await chain.transact((tx) => tx.create(Note, { text: '0' }))
    platform.advance(22 * 3_600_000)
    await chain.transact((tx) => tx.create(Note, { text: '22' }))
    expect(count(chain)).toBe(1)
    platform.advance(2 * 3_600_000)
    await chain.transact((tx) => tx.create(Note, { text: '24' }))
    expect(chain.writers().map(({ ended }) => ended)).toEqual([true, false])
    await assertSameAsLog(chain)
    await chain.close()
    platform.advance(48 * 3_600_000)
    const later = await open('file:/c', { as }, platform)
    await later.transact((tx) => tx.create(Note, { text: '72' }))
    await later.transact((tx) => tx.create(Note, { text: '73' }))
    expect(later.writers().map(({ commits }) => commits)).toEqual([2, 1, 2])
    await assertSameAsLog(later)
    expect(await later.verify()).toMatchObject({ ok: true, voids: 0 })
    await later.close()
  })

  it('that were never used are made anew when the clock has gone back: their life would be too long', async () => {
    await using kit = await memoryChain()
    kit.platform.advance(20 * 3_600_000)
    kit.engine.failNext = new AteError('DISK_FULL')
    expect(await codeOf(kit.chain.transact((tx) => tx.create(Note, { text: 'a' })))).toBe('DISK_FULL')
    kit.platform.setWallClock(1_700_000_000_000)
    await kit.chain.transact((tx) => tx.create(Note, { text: 'b' }))
    await assertSameAsLog(kit.chain)
  })

  it('that a successor on its way will end may be ended once more', async () => {
    await using kit = await memoryChain()
    await kit.chain.transact((tx) => tx.create(Note, { text: 'a' }))
    const [writer] = kit.chain.writers()
    kit.platform.advance(23.5 * 3_600_000)
    await turns()
    kit.engine.hold()
    const renewing = kit.chain.transact((tx) => tx.create(Note, { text: 'b' }))
    await turns()
    const ending = kit.chain.transact((tx) => tx.endWriter(writer!.id))
    await turns()
    kit.engine.release()
    await Promise.all([renewing, ending])
    await assertSameAsLog(kit.chain)
  })

  it('a crashed writer’s commits are attested by the next session of its author, with its first write or at close', async () => {
    for (const write of [true, false]) {
      const platform = quickPlatform()
      const chain = await open('file:/c', { as: person('alice') }, platform)
      await chain.transact((tx) => tx.create(Note, { text: 'a' }))
      platform.disk('/c').kill()
      await chain.close().catch(() => undefined)
      const next = await open('file:/c', { as: person('alice') }, platform)
      expect(next.stats().attestedSeq).toBe(0)
      if (write) await next.transact((tx) => tx.create(Note, { text: 'b' }))
      if (write) expect(next.stats().attestedSeq).toBe(next.head.seq)
      await next.close()
      const last = await open('file:/c', { as: person('alice') }, platform)
      expect(last.stats().attestedSeq).toBe(last.head.seq)
      await last.close()
    }
  })
})

describe('post-quantum signatures', () => {
  it('commit: stand behind every commit; range: within a second; required: bounds what is read', async () => {
    const kinds = (store: MemoryStore): number[] => recordsOf(store).map((record) => parseRecordHead(record.bytes).kind)
    {
      await using kit = await memoryChain({ pq: 'commit' })
      await kit.chain.transact((tx) => tx.create(Note, { text: 'a' }))
      await kit.chain.transact((tx) => tx.create(Note, { text: 'b' }))
      expect(kinds(kit.store)).toEqual([KIND.genesis, KIND.commit, KIND.attestation, KIND.commit, KIND.attestation])
    }
    await using kit = await memoryChain()
    const { chain, store, platform } = kit
    await chain.transact((tx) => tx.create(Note, { text: 'a' }))
    platform.advance(999)
    await turns()
    expect(kinds(store)).toEqual([KIND.genesis, KIND.commit])
    platform.advance(1)
    await turns()
    expect(kinds(store)).toEqual([KIND.genesis, KIND.commit, KIND.attestation])
    await chain.transact((tx) => tx.create(Note, { text: 'b' }))
    const reader = await open(
      memoryEngine(store, { readOnly: true }),
      { as: person('alice'), readOnly: true, pq: 'required' },
      quickPlatform(3),
    )
    expect([reader.head.seq, reader.stats().entities]).toEqual([2, 1])
    expect(await reader.refresh()).toBe(0)
    platform.advance(1000)
    await turns()
    expect(await reader.refresh()).toBe(2)
    expect(reader.stats().entities).toBe(2)
    await reader.close()
  })
})

describe('a reader beside a writer', () => {
  it('refreshes, streams what came, and refuses to write', async () => {
    const platform = quickPlatform()
    const writer = await open('file:/c', { as: person('alice') }, platform)
    const note = await writer.transact((tx) => tx.create(Note, { text: 'a' }))
    const reader = await open('file:/c', { as: person('alice'), readOnly: true }, platform)
    expect((await reader.load(Note, note.id)).value.text).toBe('a')
    const watch = reader.watch()
    const events = reader.events({ from: 2 })
    const next = events.next()
    await writer.transact((tx) => tx.update(note, () => ({ text: 'b' })))
    expect((await reader.load(Note, note.id)).value.text).toBe('a')
    // Two at once take nothing in twice.
    expect(await Promise.all([reader.refresh(), reader.refresh()])).toEqual([1, 0])
    expect(await reader.refresh()).toBe(0)
    expect((await reader.load(Note, note.id)).value.text).toBe('b')
    expect((await next).value).toMatchObject({ op: 'put', entity: note.id })
    expect((await watch.next()).value).toMatchObject({ kind: 'changed', id: note.id })
    await watch.return()
    await events.return()
    for (const call of [
      () => reader.transact(() => 1),
      () => reader.begin(),
      () => reader.checkpoint(),
      () => reader.sweep(),
      () => reader.adopt(''),
      () => reader.reseal(note.id),
    ]) {
      expect(await codeOf(call)).toBe('READ_ONLY')
    }
    expect(await reader.verify()).toMatchObject({ ok: true })
    await assertSameAsLog(reader)
    await reader.close()
    await writer.close()
  })
})

describe('this machine’s state', () => {
  it('that cannot be written ends the opening of a kept identity, never a transaction that was acknowledged', async () => {
    const state = memoryState()
    const broken = { ...state, put: () => Promise.reject(new AteError('STATE_UNWRITABLE', { location: 'memory' })) }
    const platform = quickPlatform(1, { state: broken })
    expect(await codeOf(open('file:/c', { as: kept('alice') }, platform))).toBe('STATE_UNWRITABLE')
    const chain = await open('file:/d', { as: person('alice') }, platform)
    await chain.transact((tx) => tx.create(Note, { text: 'a' }))
    platform.advance(10_000)
    expect(await codeOf(chain.transact((tx) => tx.create(Note, { text: 'b' })))).toBe(NOTHING)
    expect(await codeOf(chain.transact((tx) => tx.create(Note, { text: 'c' })))).toBe(NOTHING)
    expect(chain.stats().entities).toBe(3)
    // The lock is free again all the same.
    expect(await codeOf(chain.close())).toBe('STATE_UNWRITABLE')
    const again = await open(
      'file:/d',
      { as: person('alice') },
      quickPlatform(1, { disks: new Map([['/d', platform.disk('/d')]]) }),
    )
    expect(again.stats().entities).toBe(3)
    await again.close()
  })

  it('remembers the newest head at close and now and then, so that a copy cannot be older', async () => {
    const platform = quickPlatform()
    const chain = await open('file:/c', { as: person('alice') }, platform)
    await chain.transact((tx) => tx.create(Note, { text: 'a' }))
    const remembered = async (): Promise<number[]> => {
      const names = await platform.state.list(`heads/${chain.id}/`)
      return names.map((name) => Number(name.split('/')[2]!.slice(0, 16)))
    }
    await turns()
    expect(await remembered()).toEqual([])
    platform.advance(6000)
    await turns()
    expect(await remembered()).toEqual([2])
    await chain.transact((tx) => tx.create(Note, { text: 'b' }))
    expect(await remembered()).toEqual([2])
    await chain.close()
    expect(await remembered()).toEqual([4])
  })
})

describe('newer rules', () => {
  it('NEEDS_UPGRADE, and the engine is closed again', async () => {
    const platform = quickPlatform()
    const store = memoryStore()
    const engine = memoryEngine(store)
    const { record, chainId } = genesisOfLevel(FOLD_LEVEL + 1, person('alice'), platform)
    engine.setLabel(chainId)
    await engine.append([record], { after: undefined, durability: 'memory', load: 'alone' })
    const error = await errorOf(open(engine, { as: person('alice') }, platform))
    expect([error.code, error.facts['level'], error.facts['known']]).toEqual([
      'NEEDS_UPGRADE',
      FOLD_LEVEL + 1,
      FOLD_LEVEL,
    ])
    expect(store.written).toBe(false)
  })
})

/** A chain of a newer fold level, as newer software would begin it. */
function genesisOfLevel(
  level: number,
  identity: Identity,
  { environment }: TestPlatform,
): ReturnType<typeof makeGenesis> {
  const parameters = encodeParameters({
    format: FORMAT,
    suite: SUITE,
    level,
    nonce: new Uint8Array(32).fill(7),
    roots: [identity.keys],
    sequencers: 'writers',
    durability: 'memory',
    checkpointKeys: [],
  })
  const chainId = hashParameters(crypto, parameters)
  const trust = new TrustState()
  trust.identities.set(toBinaryText(identity.fingerprintBytes), identity.keys)
  const keys = new SessionKeys({ crypto, random: environment.random, chainId, identity }, trust)
  const { fields } = keys.makeEpoch(ROOT_ENTITY, 0, [{ identity: toBinaryText(identity.fingerprintBytes) }], {})
  const signature = identity.sign(genesisMessage(crypto, chainId, fields), 'genesis')
  const out = new ByteWriter(16_384)
  const sequencer = identity.fingerprintBytes
  writeRecordHead(out, { seq: 0, prev: NO_HASH, admittedAt: 0, sequencer, kind: KIND.genesis })
  out.raw(encodeGenesis(parameters, fields, [signature]))
  const bytes = out.copy()
  return { record: { seq: 0, bytes, hash: hashRecord(crypto, chainId, bytes, KIND.genesis) }, chainId }
}

describe('the event loop', () => {
  it('turns before the engine of files is loaded, and before the log is looked at', async () => {
    const platform = quickPlatform()
    let pauses = 0
    const timers = { ...platform.environment.timers, pause: async () => void pauses++ }
    const counting = { ...platform, environment: { ...platform.environment, timers } }
    await (await openChain('file:/c', { as: kept('a') }, counting)).close()
    expect(pauses).toBe(2)
  })
})
