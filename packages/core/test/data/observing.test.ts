/** What observers and channels are told, that it holds nothing that is sealed, and that they cannot hurt the chain. */
import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, expect, it } from 'vitest'
import { AteError } from '../../src/base/errors.ts'
import type { Observation, ObservationKind } from '../../src/chain/observation.ts'
import { OBSERVATION_KINDS } from '../../src/chain/observation.ts'
import { Observing } from '../../src/chain/observing.ts'
import type { Chain } from '../../src/data/chain.ts'
import { openChain } from '../../src/data/open-chain.ts'
import { role } from '../../src/data/policy-input.ts'
import { memoryEngine, memoryStore } from '../../src/log/memory.ts'
import { platform as node } from '../../src/node/platform.ts'
import type { Channel } from '../../src/session/platform.ts'
import { recordsOf, slabsOf } from '../log/stored-records.ts'
import { Count, codeOf, coreOf, memoryChain, Note, open, person, quickPlatform, reopen, turns } from './kit.ts'

/** Words that a user chose: values, and names of entities, types, collections and roles. */
const SECRETS = ['Xq7-planted-value', 'Kz3-planted-name', 'Rf5-planted-role', 'note', 'count', 'Cc1-collection']

function kindsOf(seen: readonly Observation[]): ObservationKind[] {
  return [...new Set(seen.map(({ kind }) => kind))].sort()
}

function only<K extends ObservationKind>(seen: readonly Observation[], kind: K): Extract<Observation, { kind: K }>[] {
  return seen.filter((one): one is Extract<Observation, { kind: K }> => one.kind === kind)
}

/** Everything that a chain on a disk can tell, with planted names and values. */
async function workload(observe: (observation: Observation) => void): Promise<Chain> {
  const platform = quickPlatform(5)
  const chain = await open('file:/c', { as: person('alice'), observe }, platform)
  const made = await chain.transact((tx) => {
    tx.role('Rf5-planted-role').add(person('bob').publicId)
    const readers = [role('Rf5-planted-role')]
    return tx.create(
      Note,
      { text: 'Xq7-planted-value' },
      { name: 'Kz3-planted-name', read: readers, in: 'Cc1-collection' },
    )
  })
  const add = (): Promise<unknown> =>
    chain.transact(async (tx) => {
      const { value } = (await tx.get(Note, made.id))!
      await Promise.resolve()
      await tx.update(made, () => ({ text: `${value.text}.` }))
    })
  await Promise.all([add(), add(), add()])
  await codeOf(
    chain.transact((tx) => tx.create(Note, { text: 'x' }, { name: 'Kz3-planted-name', in: 'Cc1-collection' })),
  )
  await codeOf(chain.transact((tx) => tx.add(made, 'none', 1n)))
  await chain.checkpoint()
  platform.advance(2000)
  await turns()
  const reader = await open('file:/c', { as: person('bob'), id: chain.id, readOnly: true, observe }, platform)
  await chain.transact((tx) => tx.create(Count, { n: 1 }))
  await reader.refresh()
  await reader.get(Note, made.id)
  await reader.verify()
  await reader.close()
  platform.disk('/c').faults.spaceBytes = 1
  await codeOf(chain.transact((tx) => tx.put(Note, 'Kz3-planted-name', { text: 'y'.repeat(500_000) })))
  platform.disk('/c').faults = {}
  await turns()
  return chain
}

describe('an observer', () => {
  it('is told of all that happens, in counts, sizes and times', async () => {
    const seen: Observation[] = []
    const chain = await workload((observation) => seen.push(observation))
    // A chain that this process orders has no connection.
    expect(kindsOf(seen)).toEqual(OBSERVATION_KINDS.filter((kind) => kind !== 'connection').sort())
    for (const { chain: id, kind } of seen) expect(id, kind).toBe(kind === 'sync' && !id ? undefined : chain.id)
    for (const one of seen) if ('ms' in one) expect(one.ms).toBeGreaterThanOrEqual(0)
    const appends = only(seen, 'append')
    expect(appends[0]).toMatchObject({ seq: 1, records: 1, transactions: 1, durability: 'disk' })
    // One append a record, together all that was written after the genesis.
    expect(appends.reduce((count, { records }) => count + records, 0)).toBe(chain.stats().records - 1)
    expect(appends.reduce((count, { transactions }) => count + transactions, 0)).toBe(5)
    expect(only(seen, 'seal').reduce((count, { transactions }) => count + transactions, 0)).toBe(6)
    expect(only(seen, 'open').map(({ records }) => records)).toEqual([1, chain.stats().records - 1])
    expect(only(seen, 'attest').length).toBe(1)
    expect(only(seen, 'rerun').map(({ run }) => run)).toEqual([2, 2, 2])
    expect(only(seen, 'refusal').map(({ code, where }) => `${where} ${code}`)).toEqual([
      'staged CONFLICT',
      'staged CONFLICT',
      'staged NAME_TAKEN',
      'staged NAME_TAKEN',
      'staged NO_COUNTER',
    ])
    expect(only(seen, 'verify').map(({ cause, records }) => [cause, records])).toEqual([
      ['refresh', 1],
      ['verify', chain.stats().records],
    ])
    expect(only(seen, 'read').every(({ seq, bytes }) => seq > 0 && bytes > 10)).toBe(true)
    expect(only(seen, 'alarm')).toEqual([
      { kind: 'alarm', chain: chain.id, code: 'DISK_FULL', segment: 'seg-000000.ate', offset: expect.any(Number) },
    ])
    await chain.close()
  })

  it('is told nothing that a user wrote or named, nor anything that is longer than a chain id', async () => {
    const seen: Observation[] = []
    await (await workload((observation) => seen.push(observation))).close()
    for (const observation of seen) {
      for (const [field, value] of Object.entries(observation)) {
        expect(['string', 'number', 'undefined']).toContain(typeof value)
        if (typeof value === 'string') expect(value, field).toMatch(/^[A-Za-z0-9_.:-]{1,52}$/)
        for (const secret of SECRETS) expect(String(value).includes(secret), `${secret} in ${field}`).toBe(false)
      }
    }
  })

  it('learns codes and places of alarms and void transactions, and no other fact', async () => {
    const seen: Observation[] = []
    const observing = new Observing({
      clock: { now: () => 0, monotonic: () => 0 },
      observe: (observation) => seen.push(observation),
      channel: () => undefined,
      warn: () => undefined,
    })
    observing.alarm(new AteError('BAD_WRAP', { role: 'Rf5-planted-role', seq: 7, offset: 3, segment: 'a' }))
    observing.alarm(new AteError('NAME_TAKEN', { name: 'Kz3-planted-name' }))
    observing.alarm(new Error('Xq7-planted-value'))
    observing.judged([undefined, { code: 'CERT_ENDED', facts: { name: 'Kz3-planted-name' } }])
    await turns()
    expect(seen.pop()).toEqual({ kind: 'refusal', chain: undefined, where: 'stored', code: 'CERT_ENDED' })
    expect(seen).toEqual([{ kind: 'alarm', chain: undefined, code: 'BAD_WRAP', seq: 7, offset: 3, segment: 'a' }])
  })

  it('hears an alarm of an opening that fails, and of a body that was altered', async () => {
    const seen: Observation[] = []
    const observe = (observation: Observation): void => void seen.push(observation)
    await using kit = await memoryChain()
    const note = await kit.chain.transact((tx) => tx.create(Note, { text: 'a' }))
    await kit.chain.close()
    const { records } = kit.store
    const all = recordsOf(kit.store)
    const altered = (at: number): typeof records => {
      const bytes = all[1]!.bytes.slice()
      bytes[at]! ^= 1
      return slabsOf(all.with(1, { ...all[1]!, bytes }))
    }
    kit.store.records = altered(100)
    const as = person('alice')
    expect(await codeOf(open(memoryEngine(kit.store), { as, observe }, kit.platform))).toBe('LINK_MISMATCH')
    kit.store.records = records
    expect(records.size).toBe(all.length)
    const again = await open(memoryEngine(kit.store), { as, observe }, kit.platform)
    kit.store.records = altered(all[1]!.bytes.length - 1)
    expect(await codeOf(again.get(Note, note.id))).toBe('BAD_BODY')
    await turns()
    expect(only(seen, 'alarm')).toMatchObject([{ code: 'LINK_MISMATCH' }, { code: 'BAD_BODY', seq: 1 }])
    kit.store.records = records
    await again.close()
  })

  it('that throws or rejects does not hurt the chain: one warning, and all are counted', async () => {
    const platform = quickPlatform()
    const error = new Error('of the observer')
    let calls = 0
    const observe = (): void => {
      calls++
      throw error
    }
    await using kit = await memoryChain({ observe }, platform)
    for (let i = 0; i < 3; i++) await kit.chain.transact((tx) => tx.create(Count, { n: i }))
    await turns()
    expect(calls).toBeGreaterThan(6)
    expect([platform.warnings, kit.core.observing.failures]).toEqual([[error], calls])
    const quiet = quickPlatform()
    const rejecting = (async () => {
      throw error
    }) as () => void
    const other = await open('memory:', { as: person('alice'), observe: rejecting }, quiet)
    await other.transact((tx) => tx.create(Count, { n: 1 }))
    await turns()
    expect(quiet.warnings).toEqual([error])
    await other.close()
  })

  it('may call the chain: what it is told of is over', async () => {
    const holder: { chain?: Chain } = {}
    const wrote: Promise<unknown>[] = []
    let left = 3
    const observe = ({ kind }: Observation): void => {
      if (!holder.chain || left === 0 || (kind !== 'seal' && kind !== 'attest')) return
      left--
      wrote.push(holder.chain.transact((tx) => tx.create(Note, { text: kind })))
    }
    await using kit = await memoryChain({ observe, pq: 'commit' })
    holder.chain = kit.chain
    await kit.chain.transact((tx) => tx.create(Count, { n: 1 }))
    await turns()
    expect(wrote.length).toBe(3)
    await Promise.all(wrote)
    expect(kit.chain.stats().entities).toBe(4)
  })

  it('is called in a turn of its own, in order, and also of what it causes itself', async () => {
    const seen: number[] = []
    const observing: Observing = new Observing({
      clock: { now: () => 0, monotonic: () => 0 },
      observe: (observation) => {
        if (observation.kind === 'rerun') seen.push(observation.run)
        if (seen.length === 2) observing.tell({ kind: 'rerun', run: 4 })
      },
      channel: () => undefined,
      warn: () => undefined,
    })
    for (const run of [1, 2, 3]) observing.tell({ kind: 'rerun', run })
    expect(seen).toEqual([])
    await turns()
    expect(seen).toEqual([1, 2, 3, 4])
  })

  it('is not told of an append that only waits for the disk, as compaction asks for', async () => {
    const seen: Observation[] = []
    const observe = (observation: Observation): void => void seen.push(observation)
    const chain = await open('file:/c', { as: person('alice'), observe }, quickPlatform(5))
    const note = await chain.transact((tx) => tx.create(Note, { text: 'a'.repeat(5000) }))
    await chain.transact((tx) => tx.update(note, () => ({ text: 'b' })), { durability: 'os' })
    await chain.compact()
    await chain.transact((tx) => tx.update(note, () => ({ text: 'c' })))
    await turns()
    expect(only(seen, 'append').map(({ records }) => records)).toEqual([1, 1, 1])
    expect(only(seen, 'alarm')).toEqual([])
    await chain.close()
  })

  it('is a function', async () => {
    expect(await codeOf(openChain('memory:', { observe: 'all' as never }, quickPlatform()))).toBe('BAD_ARGUMENT')
  })
})

describe('channels', () => {
  it('are looked at, and nothing else, while nobody subscribes', async () => {
    const published: string[] = []
    const made: Channel & { hasSubscribers: boolean } = {
      hasSubscribers: false,
      publish: (message) => void published.push((message as Observation).kind),
    }
    const channels = new Map([['ate:chain:append', made]])
    const platform = quickPlatform(1, { channel: (name) => channels.get(name) })
    await using kit = await memoryChain({}, platform)
    const { observing } = coreOf(kit.chain)
    expect(OBSERVATION_KINDS.filter((kind) => observing.wants(kind))).toEqual([])
    await kit.chain.transact((tx) => tx.create(Count, { n: 1 }))
    made.hasSubscribers = true
    expect(OBSERVATION_KINDS.filter((kind) => observing.wants(kind))).toEqual(['append'])
    await kit.chain.transact((tx) => tx.create(Count, { n: 2 }))
    made.hasSubscribers = false
    await kit.chain.transact((tx) => tx.create(Count, { n: 3 }))
    await turns()
    expect(published).toEqual(['append'])
  })

  it('cost no look at the clock while nobody listens', async () => {
    let published = 0
    const observing = new Observing({
      clock: { now: () => 0, monotonic: () => expect.unreachable('the clock is read') },
      observe: undefined,
      channel: () => ({ hasSubscribers: false, publish: () => void published++ }),
      warn: () => undefined,
    })
    for (const kind of OBSERVATION_KINDS) expect(observing.start(kind)).toBeLessThan(0)
    observing.ended(observing.start('append'), { kind: 'sync' })
    observing.tell({ kind: 'sync', ms: 1 })
    await turns()
    expect(published).toBe(0)
  })

  it('are those of node:diagnostics_channel on Node', async () => {
    const seen: unknown[] = []
    const listen = (message: unknown): void => void seen.push(message)
    const quiet = Object.create(node, { state: { value: quickPlatform().state } })
    const chain = await openChain(memoryEngine(memoryStore()), { as: person('alice') }, quiet)
    subscribe('ate:chain:append', listen)
    await chain.transact((tx) => tx.create(Count, { n: 1 }))
    await turns()
    unsubscribe('ate:chain:append', listen)
    await chain.transact((tx) => tx.create(Count, { n: 2 }))
    await turns()
    expect(seen).toMatchObject([{ kind: 'append', chain: chain.id, seq: 1 }])
    expect(channel('ate:chain:append').hasSubscribers).toBe(false)
    await chain.close()
  })
})

describe('stats', () => {
  it('say what is in the log, also after opening again', async () => {
    await using kit = await memoryChain()
    expect(kit.chain.stats()).toMatchObject({ voids: 0, unattested: 0, writers: 0, checkpoints: 0 })
    expect(kit.chain.stats().newestCheckpoint).toBeUndefined()
    const note = await kit.chain.transact((tx) => tx.create(Note, { text: 'a' }))
    await kit.chain.transact((tx) => tx.update(note, () => ({ text: 'b' })))
    await kit.chain.checkpoint()
    expect(kit.chain.stats()).toMatchObject({
      records: 4,
      unattested: 2,
      writers: 1,
      checkpoints: 1,
      newestCheckpoint: 3,
      headTime: kit.platform.environment.clock.now(),
    })
    const again = await reopen(kit)
    expect(again.chain.stats()).toMatchObject({
      records: 5,
      unattested: 0,
      newestCheckpoint: 3,
    })
    kit.platform.advance(25 * 3_600_000)
    expect(again.chain.stats().writers).toBe(0)
    await again.chain.close()
  })
})
