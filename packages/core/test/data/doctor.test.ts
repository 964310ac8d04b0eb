/** chain.doctor(): each finding appears when it is true, and is gone when it is not true any more. */
import { describe, expect, it } from 'vitest'
import { AteError } from '../../src/base/errors.ts'
import type { Chain } from '../../src/data/chain.ts'
import { FINDINGS, type FindingCode, type Severity } from '../../src/data/findings.ts'
import { role } from '../../src/data/policy-input.ts'
import { FOLD_LEVEL, KIND } from '../../src/event/format.ts'
import { memoryEngine, memoryStore } from '../../src/log/memory.ts'
import type { NewEpoch } from '../../src/session/epoch-keys.ts'
import { actorOf, Forger } from '../../src/testing/chain-kit.ts'
import { copyOf } from '../log/stored-records.ts'
import { Count, codeOf, coreOf, crypto, memoryChain, Note, open, person, quickPlatform, reopen, turns } from './kit.ts'

const HOUR = 3_600_000
/** The id of the root of every chain's tree. */
const ROOT = '0'.repeat(26)

async function codesOf(chain: Chain): Promise<FindingCode[]> {
  const { findings } = await chain.doctor()
  return findings.map(({ code }) => code)
}

async function factsOf(chain: Chain, code: FindingCode): Promise<unknown> {
  const { findings } = await chain.doctor()
  return findings.find((found) => found.code === code)?.facts
}

/** A shop that the crew (alice, bob) reads and writes. */
async function crewChain(): Promise<Awaited<ReturnType<typeof memoryChain>> & { readonly shop: string }> {
  const kit = await memoryChain()
  const shop = await kit.chain.transact((tx) => {
    tx.role('crew').add(person('bob').publicId)
    return tx.create(Note, { text: 'shop' }, { read: [role('crew')], write: [role('crew')] })
  })
  return { ...kit, shop: shop.id }
}

describe('a chain that is well', () => {
  it('has no finding but that one identity alone manages it', async () => {
    await using kit = await memoryChain()
    const report = await kit.chain.doctor()
    expect(report).toMatchObject({ ok: true, chain: kit.chain.id, identity: kit.chain.identity, head: 0 })
    expect(report.findings).toEqual([
      { code: 'SINGLE_MANAGER', severity: 'note', facts: { identity: kit.chain.identity }, advice: expect.any(String) },
    ])
    await kit.chain.transact((tx) => {
      tx.role('bosses').add(person('bob').publicId)
      tx.setPolicy(ROOT, { manage: [role('bosses')] })
    })
    expect(await codesOf(kit.chain)).toEqual([])
  })

  it('is told so by who has closed it or given up: not at all', async () => {
    await using kit = await memoryChain()
    const reason = new Error('enough')
    await expect(kit.chain.doctor({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    await kit.chain.close()
    expect(await codeOf(kit.chain.doctor())).toBe('CHAIN_CLOSED')
  })

  it('names what is worst first, and is not ok with an error or a warning', async () => {
    const ranks: readonly Severity[] = ['error', 'warning', 'note']
    const table = Object.values(FINDINGS).map(([severity]) => ranks.indexOf(severity))
    expect(table).toEqual([...table].sort())
    await using kit = await memoryChain()
    kit.platform.setWallClock(kit.platform.environment.clock.now() - 61_000)
    const { ok, findings } = await kit.chain.doctor()
    expect([ok, findings.map(({ code }) => code)]).toEqual([false, ['CLOCK_BEHIND', 'SINGLE_MANAGER']])
    kit.platform.setWallClock(kit.platform.environment.clock.now() + 2000)
    expect(await codesOf(kit.chain)).toEqual(['SINGLE_MANAGER'])
  })
})

describe('keys', () => {
  it('STALE_KEYS: a reader has left, and nobody has written since who may replace the key', async () => {
    await using kit = await crewChain()
    const { chain, shop } = kit
    await chain.transact((tx) => tx.setPolicy(ROOT, { manage: [person('alice').publicId, person('carol').publicId] }))
    // Carol manages the role and reads nothing: she cannot replace the key.
    const carol = await reopen(kit, { as: person('carol') })
    await carol.chain.transact((tx) => tx.role('crew').remove(person('bob').publicId))
    expect(await factsOf(carol.chain, 'STALE_KEYS')).toEqual({ nodes: 1, first: [shop], mine: 0 })
    const alice = await reopen(carol)
    expect(await factsOf(alice.chain, 'STALE_KEYS')).toEqual({ nodes: 1, first: [shop], mine: 1 })
    await alice.chain.transact((tx) => tx.create(Note, { text: 'again' }, { parent: shop }))
    expect(await codesOf(alice.chain)).toEqual([])
    await alice.chain.close()
  })

  it('KEYS_MISSING: who is a member now waits for a key where history is live', async () => {
    await using kit = await memoryChain()
    await kit.chain.transact((tx) =>
      tx.setPolicy(ROOT, { manage: [person('alice').publicId, person('carol').publicId] }),
    )
    const shop = await kit.chain.transact((tx) => {
      tx.role('crew').add(person('bob').publicId)
      return tx.create(Note, { text: 'shop' }, { read: [role('crew')], write: [role('crew')], history: 'live' })
    })
    const carol = await reopen(kit, { as: person('carol') })
    await carol.chain.transact((tx) => tx.role('crew').remove(person('bob').publicId))
    const alice = await reopen(carol)
    // Added in a transaction that does not reach the node: the role turns to a new key, the node is stale.
    expect(await codesOf(alice.chain)).toContain('STALE_KEYS')
    const dave = await withMember(alice, 'dave')
    expect(await factsOf(dave.chain, 'KEYS_MISSING')).toEqual({ nodes: 1, first: [shop.id] })
    const again = await reopen(dave)
    await again.chain.transact((tx) => tx.put(Note, 'n', { text: 'x' }, { parent: shop }))
    const last = await reopen(again, { as: person('dave') })
    expect(await factsOf(last.chain, 'KEYS_MISSING')).toBeUndefined()
    await last.chain.close()
  })

  it('BAD_WRAP: a key of a node that was wrapped wrongly for this identity, mended by the next epoch', async () => {
    await using kit = await memoryChain()
    const { keys } = kit.core
    const makeEpoch = keys.makeEpoch.bind(keys)
    keys.makeEpoch = (...given): NewEpoch => {
      const made = makeEpoch(...given)
      const wraps = made.fields.wraps.map(spoiled)
      const fields = { ...made.fields, wraps }
      keys.remember({ fields, secrets: made.secrets })
      return { fields, secrets: made.secrets }
    }
    const both = [person('alice').publicId, person('bob').publicId]
    const shop = await kit.chain.transact((tx) => tx.create(Note, { text: 'a' }, { read: both, write: both }))
    keys.makeEpoch = makeEpoch
    const bob = await reopen(kit, { as: person('bob') })
    expect(await factsOf(bob.chain, 'BAD_WRAP')).toEqual({ places: 1, first: [shop.id] })
    expect((await bob.chain.doctor()).findings[0]).toMatchObject({ code: 'BAD_WRAP', severity: 'error' })
    const alice = await reopen(bob)
    await alice.chain.transact((tx) => tx.setPolicy(shop, { read: both }))
    const again = await reopen(alice, { as: person('bob') })
    expect(await factsOf(again.chain, 'BAD_WRAP')).toBeUndefined()
    await again.chain.close()
  })

  it('BAD_WRAP: the secret of a role that was wrapped wrongly, and with it what the role reads', async () => {
    await using kit = await memoryChain()
    const { keys } = kit.core
    const makeRoleKey = keys.makeRoleKey.bind(keys)
    keys.makeRoleKey = (...given) => {
      const made = makeRoleKey(...given)
      const wraps = made.wraps.map(spoiled)
      return { ...made, wraps }
    }
    const shop = await kit.chain.transact((tx) => {
      tx.role('crew').add(person('bob').publicId)
      return tx.create(Note, { text: 'shop' }, { read: [role('crew')], write: [role('crew')] })
    })
    keys.makeRoleKey = makeRoleKey
    expect(await factsOf(kit.chain, 'BAD_WRAP')).toBeUndefined()
    const bob = await reopen(kit, { as: person('bob') })
    expect(await factsOf(bob.chain, 'BAD_WRAP')).toEqual({ places: 2, first: [expect.any(String), shop.id] })
    const alice = await reopen(bob)
    await alice.chain.transact((tx) => tx.role('crew').remove(person('bob').publicId))
    await alice.chain.transact((tx) => tx.role('crew').add(person('bob').publicId))
    const again = await reopen(alice, { as: person('bob') })
    expect(await factsOf(again.chain, 'BAD_WRAP')).toBeUndefined()
    await again.chain.close()
  })
})

/** All wraps but the first, which is for alice. */
function spoiled<W extends { readonly wrapped: Uint8Array }>(wrap: W, i: number): W {
  return i === 0 ? wrap : { ...wrap, wrapped: wrap.wrapped.map((byte) => byte ^ 1) }
}

async function withMember(kit: Parameters<typeof reopen>[0], name: string): ReturnType<typeof reopen> {
  const alice = await reopen(kit)
  const { keys } = alice.core
  // As a manager who reads nothing of the node would: the role turns to a new key, the node keeps its old one.
  const secretsOf = keys.secretsOf.bind(keys)
  keys.secretsOf = () => undefined
  await alice.chain.transact((tx) => tx.role('crew').add(person(name).publicId))
  keys.secretsOf = secretsOf
  return reopen(alice, { as: person(name) })
}

describe('roles and managers', () => {
  it('EMPTY_ROLE: the last member has left', async () => {
    await using kit = await memoryChain()
    await kit.chain.transact((tx) => tx.role('crew').add(person('bob').publicId))
    await kit.chain.transact((tx) => {
      tx.role('crew').remove(person('bob').publicId)
      tx.role('crew').remove(person('alice').publicId)
    })
    expect(await factsOf(kit.chain, 'EMPTY_ROLE')).toEqual({ roles: 1, first: [expect.any(String)] })
    const again = await reopen(kit)
    await again.chain.transact((tx) => tx.role('crew').add(person('bob').publicId))
    expect(await factsOf(again.chain, 'EMPTY_ROLE')).toBeUndefined()
    await again.chain.close()
  })

  it('NO_MANAGER: the role that alone managed a closed node is empty', async () => {
    await using kit = await memoryChain()
    const node = await kit.chain.transact((tx) => {
      tx.role('guards').add(person('bob').publicId)
      return tx.create(Note, { text: 'a' }, { closed: true, manage: [role('guards')] })
    })
    expect(await factsOf(kit.chain, 'NO_MANAGER')).toBeUndefined()
    await kit.chain.transact((tx) => {
      tx.role('guards').remove(person('bob').publicId)
      tx.role('guards').remove(person('alice').publicId)
    })
    expect(await factsOf(kit.chain, 'NO_MANAGER')).toEqual({ nodes: 1, first: [node.id] })
    await kit.chain.transact((tx) => tx.role('guards').add(person('bob').publicId))
    expect(await factsOf(kit.chain, 'NO_MANAGER')).toBeUndefined()
  })
})

describe('what is deleted', () => {
  it('is no finding any more: an empty role, a node with a stale key, one without managers', async () => {
    await using kit = await memoryChain()
    const { chain } = kit
    const made = await chain.transact((tx) => {
      tx.role('crew').add(person('bob').publicId)
      return ['a', 'b'].map((text) =>
        tx.create(Note, { text }, { closed: true, manage: [role('crew')], read: [role('crew')] }),
      )
    })
    const { keys } = kit.core
    const secretsOf = keys.secretsOf.bind(keys)
    keys.secretsOf = () => undefined
    for (const name of ['bob', 'alice']) await chain.transact((tx) => tx.role('crew').remove(person(name).publicId))
    keys.secretsOf = secretsOf
    const found = await codesOf(chain)
    expect(found).toEqual(['NO_MANAGER', 'STALE_KEYS', 'EMPTY_ROLE', 'SINGLE_MANAGER'])
    const { first } = (await factsOf(chain, 'EMPTY_ROLE')) as { first: string[] }
    for (const { id } of made) await chain.transact((tx) => tx.delete(id))
    expect(await codesOf(chain)).toEqual(['EMPTY_ROLE', 'RECLAIMABLE', 'SINGLE_MANAGER'])
    await chain.transact((tx) => tx.delete(first[0]!))
    expect(await codesOf(chain)).toEqual(['RECLAIMABLE', 'SINGLE_MANAGER'])
  })
})

describe('writers', () => {
  it('UNATTESTED while the certificate lives, UNADOPTED when it is over, and nothing once somebody vouches', async () => {
    await using kit = await memoryChain()
    // Another machine, whose clock alone moves on.
    const platform = quickPlatform(2)
    const only = [person('alice').publicId, person('bob').publicId]
    await kit.chain.transact((tx) => tx.setPolicy(ROOT, { manage: only, write: only }))
    const bob = await reopen(kit, { as: person('bob') })
    await bob.chain.transact((tx) => tx.create(Count, { n: 1 }))
    // He is gone without closing: what he wrote last has no hybrid signature.
    const store = memoryStore()
    store.records = copyOf(kit.store).records
    store.label = kit.store.label
    const reader = await open(
      memoryEngine(store, { readOnly: true }),
      { as: person('alice'), readOnly: true },
      platform,
    )
    expect(await codesOf(reader)).toEqual([])
    platform.advance(9000)
    expect(await codesOf(reader)).toEqual([])
    platform.advance(2000)
    const facts = { identity: bob.chain.identity, commits: 1, seconds: 11, from: bob.chain.writers().length + 1 }
    expect(await factsOf(reader, 'UNATTESTED')).toMatchObject(facts)
    platform.advance(22 * HOUR + 30 * 60_000)
    expect(await codesOf(reader)).toEqual(['UNATTESTED'])
    platform.advance(HOUR)
    expect(await codesOf(reader)).toEqual(['UNATTESTED', 'CERTIFICATE_ENDING'])
    platform.advance(HOUR)
    expect(await codesOf(reader)).toEqual(['UNADOPTED'])
    await reader.close()
    const alice = await open(memoryEngine(store), { as: person('alice') }, platform)
    const { writer } = (await factsOf(alice, 'UNADOPTED')) as { writer: string }
    expect(await alice.adopt(writer)).toBe(1)
    expect(await codesOf(alice)).toEqual([])
    await alice.close()
    await bob.chain.close()
  })

  it('looks at what a live writer has attested meanwhile before it calls it late', async () => {
    const platform = quickPlatform()
    await using kit = await memoryChain({}, platform)
    await kit.chain.transact((tx) => tx.create(Count, { n: 1 }))
    const beside = await open(
      memoryEngine(kit.store, { readOnly: true }),
      { as: person('alice'), readOnly: true },
      platform,
    )
    platform.advance(60_000)
    await turns()
    expect(await factsOf(beside, 'UNATTESTED')).toBeUndefined()
    expect(beside.stats().unattested).toBe(0)
    await beside.close()
  })

  it('WRITER_STOPPED: until it is opened again', async () => {
    await using kit = await memoryChain()
    kit.engine.failNext = new AteError('WRITER_POISONED')
    expect(await codeOf(kit.chain.transact((tx) => tx.create(Count, { n: 1 })))).toBe('WRITER_POISONED')
    expect(await factsOf(kit.chain, 'WRITER_STOPPED')).toEqual({ error: 'WRITER_POISONED' })
    const again = await reopen(kit)
    expect(await factsOf(again.chain, 'WRITER_STOPPED')).toBeUndefined()
    await again.chain.close()
  })

  it('OBSERVER_FAILED: how often', async () => {
    await using kit = await memoryChain({
      observe: ({ kind }) => {
        if (kind === 'fold') throw new Error('no')
      },
    })
    expect(await factsOf(kit.chain, 'OBSERVER_FAILED')).toBeUndefined()
    await kit.chain.transact((tx) => tx.create(Count, { n: 1 }))
    expect(await factsOf(kit.chain, 'OBSERVER_FAILED')).toEqual({ times: 1 })
  })
})

describe('entities and records', () => {
  it('EXPIRED: until they are swept', async () => {
    await using kit = await memoryChain()
    const gone = await kit.chain.transact((tx) => tx.create(Note, { text: 'a' }, { ttl: 1000 }))
    kit.platform.advance(2000)
    await kit.chain.transact((tx) => tx.create(Note, { text: 'b' }))
    expect(await factsOf(kit.chain, 'EXPIRED')).toEqual({ entities: 1, first: [gone.id] })
    await kit.chain.sweep()
    expect(await factsOf(kit.chain, 'EXPIRED')).toBeUndefined()
  })

  it('RECLAIMABLE: bodies that were replaced, until they are compacted', async () => {
    await using kit = await memoryChain()
    const note = await kit.chain.transact((tx) => tx.create(Note, { text: 'a' }))
    expect(await factsOf(kit.chain, 'RECLAIMABLE')).toBeUndefined()
    await kit.chain.transact((tx) => tx.update(note, () => ({ text: 'b' })))
    const { bytes, of } = (await factsOf(kit.chain, 'RECLAIMABLE')) as { bytes: number; of: number }
    expect(bytes).toBeGreaterThan(0)
    expect(of).toBe(2 * bytes)
    await kit.chain.compact()
    expect(await factsOf(kit.chain, 'RECLAIMABLE')).toBeUndefined()
  })

  it('COMPACTION_FAILED: until one ends well', async () => {
    await using kit = await memoryChain()
    const compact = kit.engine.compact.bind(kit.engine)
    kit.engine.compact = async () => {
      throw new AteError('DISK_FULL')
    }
    expect(await codeOf(kit.chain.compact())).toBe('DISK_FULL')
    expect(await factsOf(kit.chain, 'COMPACTION_FAILED')).toEqual({ error: 'DISK_FULL' })
    kit.engine.compact = compact
    await kit.chain.compact()
    expect(await factsOf(kit.chain, 'COMPACTION_FAILED')).toBeUndefined()
  })

  it('CHECKPOINT_DUE: more than 1,000 records without one', async () => {
    await using kit = await memoryChain()
    for (let i = 0; i < 999; i++)
      await kit.chain.sweep().then(() => kit.core.appendOther(KIND.sweep, () => Uint8Array.of(0)))
    expect(await codesOf(kit.chain)).toEqual(['SINGLE_MANAGER'])
    for (let i = 0; i < 2; i++) await kit.core.appendOther(KIND.sweep, () => Uint8Array.of(0))
    expect(await factsOf(kit.chain, 'CHECKPOINT_DUE')).toEqual({ records: 1002 })
    await kit.chain.checkpoint()
    expect(await codesOf(kit.chain)).toEqual(['SINGLE_MANAGER'])
  })

  it('LEVEL_OLD: until the root raises it', async () => {
    const root = actorOf(crypto, 'root')
    const forger = new Forger({ crypto, roots: [root], parameters: { level: 1 } })
    const store = memoryStore()
    const engine = memoryEngine(store)
    engine.setLabel(forger.chainId)
    await engine.append(forger.records, { after: undefined, durability: 'memory', load: 'alone' })
    await engine.close()
    const chain = await open(memoryEngine(store), { as: root.identity })
    expect(await factsOf(chain, 'LEVEL_OLD')).toEqual({ level: 1, known: FOLD_LEVEL })
    await chain.transact((tx) => tx.settings({ level: FOLD_LEVEL }))
    expect(await factsOf(chain, 'LEVEL_OLD')).toBeUndefined()
    await chain.close()
  })
})

describe('the folder', () => {
  it('QUARANTINE, LEFTOVERS and DAMAGED_KEYS: what stands there beside the log', async () => {
    const platform = quickPlatform()
    const chain = await open('file:/c', { as: person('alice') }, platform)
    await chain.transact((tx) => tx.create(Note, { text: 'a' }))
    const { ring } = coreOf(chain).engine
    // The key of a file of its own, as they all were once.
    await ring.put(new Uint8Array(32).fill(7), new Uint8Array(499))
    expect(await codesOf(chain)).toEqual(['SINGLE_MANAGER'])
    const fs = platform.disk('/c')
    const write = (name: string, bytes: Uint8Array): void => {
      const file = fs.open(name, 'create')
      file.write([bytes], 0)
      file.syncNow()
      file.close()
    }
    const key = `ring/${'07'.repeat(32)}.key`
    const whole = fs.peek(key)
    const file = fs.open(key, 'write')
    file.write([Uint8Array.of(1)], 50)
    file.close()
    write(`ring/${'08'.repeat(32)}.tmp`, whole)
    for (const name of ['seg-000001.ate', 'seg-000000.ate.new']) write(name, new Uint8Array(4096))
    expect(await factsOf(chain, 'DAMAGED_KEYS')).toEqual({ files: 1, first: [key] })
    expect(await factsOf(chain, 'LEFTOVERS')).toEqual({
      files: 3,
      first: [`ring/${'08'.repeat(32)}.tmp`, 'seg-000000.ate.new', 'seg-000001.ate'],
    })
    expect(await factsOf(chain, 'QUARANTINE')).toBeUndefined()
    await chain.close()
    // A torn tail: what a crash left of a frame that was never durable.
    const segment = fs.open('seg-000000.ate', 'write')
    segment.write([new Uint8Array(100).fill(5)], segment.size())
    segment.syncNow()
    segment.close()
    fs.syncFolder('')
    const again = await open('file:/c', { as: person('alice') }, platform)
    expect(await factsOf(again, 'LEFTOVERS')).toBeUndefined()
    const [kept] = fs.list('quarantine')
    expect(await factsOf(again, 'QUARANTINE')).toEqual({ files: 1, first: [`quarantine/${kept}`], bytes: 100 })
    fs.remove(`quarantine/${kept}`)
    await coreOf(again).engine.ring.erase(new Uint8Array(32).fill(7))
    expect(await codesOf(again)).toEqual(['SINGLE_MANAGER'])
    await again.close()
  })
})

it('every code of the table is looked for above', async () => {
  const { readFileSync } = await import('node:fs')
  const text = readFileSync(import.meta.filename, 'utf8')
  for (const code of Object.keys(FINDINGS)) expect(text.includes(`'${code}'`), code).toBe(true)
})
