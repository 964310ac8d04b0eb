/**
 * A replica that goes on from a snapshot is the one that folded the log: every field, and every outcome from there on.
 * Random programs as in fold-properties.test.ts; ATE_RUNS sets how many, ATE_SEED which.
 */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { equalBytes } from '../../src/base/bytes.ts'
import { isAteError } from '../../src/base/errors.ts'
import { knownCommit } from '../../src/chain/record-prints.ts'
import { type Accepted, Replica } from '../../src/chain/replica.ts'
import { bytesOfWords } from '../../src/event/entity-words.ts'
import { OP } from '../../src/event/format.ts'
import type { LogRecord } from '../../src/log/engine.ts'
import { change, create, nameKey } from '../../src/testing/chain-kit.ts'
import { replicaDigest } from '../../src/testing/view-digest.ts'
import { View } from '../../src/view/view.ts'
import { replicaText } from './digest.ts'
import { ann, boxChain, commits, creates, crypto, forger, refuses, root } from './kit.ts'
import { Program, type Step } from './programs.ts'
import { deepText, resumed, snapshotOf } from './snapshot-kit.ts'

const RUNS = Math.ceil(Number(process.env['ATE_RUNS'] ?? 50) / 2)
const SEED = Number(process.env['ATE_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
console.log(`ATE_SEED=${SEED}`)
const options = { numRuns: RUNS, seed: SEED, endOnFailure: process.env['ATE_SHRINK'] !== 'yes' }

const step: fc.Arbitrary<Step> = fc.array(fc.noBias(fc.nat(9999)), { minLength: 24, maxLength: 60, size: 'max' })
const program = fc.array(step, { minLength: 5, maxLength: 30, size: 'max' })

function outcomeOf(replica: Replica, record: LogRecord): unknown {
  try {
    const { time, outcomes, swept, identity }: Accepted = replica.accept(record)
    return { time, outcomes, swept, identity }
  } catch (error) {
    return isAteError(error) ? { code: error.code, facts: error.facts } : error
  }
}

function expectSame(found: Replica, wanted: Replica): void {
  expect(deepText(found)).toBe(deepText(wanted))
  expect(replicaText(found)).toBe(replicaText(wanted))
  expect(replicaDigest(found)).toBe(replicaDigest(wanted))
}

describe('a replica from a snapshot', () => {
  it('is the one that was folded, and goes on with the same outcomes', async () => {
    await fc.assert(
      fc.asyncProperty(program, fc.nat(1000), fc.nat(30), async (steps, seed, cut) => {
        const run = new Program(seed)
        const at = cut % (steps.length + 1)
        run.run(steps.slice(0, at))
        const { replica, records } = run.chain
        const bytes = await snapshotOf(replica)
        const found = await resumed(bytes, records[0]!)
        expectSame(found, replica)
        expect(equalBytes(await snapshotOf(found), bytes)).toBe(true)
        const known = records.length
        run.run(steps.slice(at))
        for (const record of records.slice(known)) expect(outcomeOf(found, record)).not.toBeInstanceOf(Error)
        expectSame(found, replica)
      }),
      options,
    )
  })

  it('judges each record behind it as the other does, also what is invalid', async () => {
    await fc.assert(
      fc.asyncProperty(program, fc.nat(1000), async (steps, seed) => {
        const run = new Program(seed)
        run.run(steps)
        const { records } = run.chain
        const at = 1 + (seed % records.length)
        const wanted = Replica.open({ crypto, seed: 1 }, records[0]!)
        for (const record of records.slice(1, at)) wanted.accept(record)
        const found = await resumed(await snapshotOf(wanted), records[0]!)
        for (const record of records.slice(at)) {
          const bent = { ...record, bytes: record.bytes.slice() }
          bent.bytes[seed % bent.bytes.length]! ^= 1
          expect(outcomeOf(found, bent)).toEqual(outcomeOf(wanted, bent))
          if (wanted.head.seq < record.seq) expect(outcomeOf(found, record)).toEqual(outcomeOf(wanted, record))
          expect(deepText(found)).toBe(deepText(wanted))
          if (found.head.seq !== record.seq || !equalBytes(found.head.hash, record.hash)) break
        }
      }),
      { ...options, numRuns: Math.ceil(RUNS / 4) },
    )
  })

  it('knows the bytes of the records of many events again', async () => {
    const chain = forger()
    const boss = chain.session(root)
    commits(chain, boss, ...Array.from({ length: 20 }, () => create({ collection: 'c', body: chain.body() })))
    commits(chain, boss, create({ collection: 'c', body: chain.body() }))
    const found = await resumed(await snapshotOf(chain.replica), chain.records[0]!)
    expectSame(found, chain.replica)
    const known = chain.records.filter((record) => knownCommit(crypto, found.prints, record)).map(({ seq }) => seq)
    expect(known).toEqual([chain.records.length - 2])
  })

  it('keeps apart a role that was deleted and one of its name that was made again', async () => {
    const chain = forger()
    const boss = chain.session(root)
    const key = nameKey('crew')
    const made = create({
      collection: 'ate:roles',
      key,
      rare: { identities: [ann.identity.keys], role: chain.role(0, [root, ann], { add: [root.id, ann.id] }) },
    })
    const role = creates(chain, boss, made)
    const policy = { write: [bytesOfWords(role)] }
    const box = creates(chain, boss, create({ collection: 'c', rare: { policy }, body: chain.body() }))
    commits(chain, boss, change(OP.delete, role))
    creates(chain, boss, made)
    const found = await resumed(await snapshotOf(chain.replica), chain.records[0]!)
    expectSame(found, chain.replica)
    const row = found.view.table.find(box.a, box.b, box.c, box.d)
    const [entry] = found.view.policyOf(row)!.write as readonly { readonly role?: { readonly dropped: boolean } }[]
    expect(entry?.role?.dropped).toBe(true)
    expect([...found.trust.roles.values()].map(({ dropped }) => dropped)).toEqual([false])
    expect(entry?.role).not.toBe([...found.trust.roles.values()][0])
  })

  it('has what few chains have: certificates of others, refusals with facts, sequencers, checkpoints, void records', async () => {
    const { chain, boss, writer, box } = boxChain()
    commits(chain, writer, create({ parent: box, collection: 'c', body: chain.body() }))
    refuses(chain, writer, [change(OP.policy, box, { rare: { policy: { write: 'everyone' } } })], 'NOT_AUTHORIZED')
    commits(
      chain,
      boss,
      change(OP.root, chain.replica.view.wordsOf(0), { rare: { root: { sequencers: [root.id, ann.id] } } }),
    )
    chain.feed(chain.attestation(boss))
    const found = await resumed(await snapshotOf(chain.replica), chain.records[0]!)
    expectSame(found, chain.replica)
    expect(found.voids.size).toBeGreaterThan(0)
    expect(found.trust.sequencers).toHaveLength(2)
    expect(found.trust.certificates.size).toBe(2)
  })

  it('keeps the facts of a refusal, the largest as text', async () => {
    const { chain } = boxChain()
    const facts = { sum: 2n ** 127n - 1n, least: -(2n ** 127n), over: 2n ** 127n, holds: ['a', 'b'], until: undefined }
    chain.replica.voids.set(1, new Map([[3, { code: 'NOT_CONSERVED', facts }]]))
    const found = await resumed(await snapshotOf(chain.replica), chain.records[0]!)
    const kept = { sum: facts.sum, least: facts.least, over: String(facts.over), holds: ['a', 'b'] }
    expect(found.voids.get(1)?.get(3)).toEqual({ code: 'NOT_CONSERVED', facts: kept })
  })

  it('has what random programs seldom reach', async () => {
    const { chain, box } = boxChain()
    const { replica } = chain
    const { view, trust } = replica
    const newestCheckpoint = { seq: 2, note: chain.bytes(90), tree: replica.tree.save() }
    Object.assign(replica, { adopted: 7, checkpoints: 3, newestCheckpoint })
    const wraps = new Map([[ann.key, { to: ann.id, generation: 1, wrapped: chain.bytes(9) }]])
    const first = { number: 0, publicKey: chain.bytes(32), wraps: new Map() }
    const second = { number: 1, publicKey: chain.bytes(32), wraps, link: chain.bytes(5) }
    const keys = new Map([
      [ann.key, { keys: chain.bytes(7), standing: 'removed' as const }],
      ['k'.repeat(32), { keys: chain.bytes(7), standing: 'owner' as const }],
    ])
    const someone = { name: ann.key, keys, generations: [first, second], rotatedAt: 8 }
    trust.persons.set(ann.key, someone)
    for (const key of keys.keys()) trust.personOfKey.set(key, someone)
    for (const certificate of trust.certificates.values()) certificate.ended = true
    const [list] = [...view.children.all()]
    list!.floor = 5
    view.children.loose.add(list!)
    const gone = { id: box, name: 'gone', node: 0, row: 1, members: new Set<string>(), generations: [], rotatedAt: 4 }
    const up = [{ role: { ...gone, dropped: true, stale: true } }]
    const counter = { name: 'n', value: -1n, floor: undefined, ceiling: 9n, unit: 1, up, down: [{ identity: ann.key }] }
    const { set } = view.witnesses.add([{ name: 'w', key: new Uint8Array(32).fill(7) }], 1)
    view.witnesses.times.set([...view.witnesses.times.keys()][0]!, 99)
    const lock = { mode: 'compliance', witnesses: set } as const
    view.setExtra(1, { counters: [counter], expires: 5, retain: 6, holds: ['h'], lock, witnesses: set })
    const bare = { counters: [], expires: undefined, retain: 0, holds: [], witnesses: undefined }
    view.setExtra(2, { ...bare, lock: { mode: 'governance', witnesses: -1 } })
    const found = await resumed(await snapshotOf(replica), chain.records[0]!)
    expect(deepText(found)).toBe(deepText(replica))
  })

  it('of more rows than a chunk has finds each by its id, and takes more', async () => {
    const chain = forger()
    const boss = chain.session(root)
    const made = Array.from({ length: 5000 }, () => create({ collection: 'c' }))
    commits(chain, boss, ...made)
    commits(chain, boss, ...made)
    const found = await resumed(await snapshotOf(chain.replica), chain.records[0]!)
    expect(found.view.table.rows).toBe(10_001)
    for (let row = 0; row < 10_001; row++) {
      const { a, b, c, d } = found.view.wordsOf(row)
      expect(found.view.table.find(a, b, c, d)).toBe(row)
    }
    commits(chain, boss, ...made)
    found.accept(chain.records.at(-1)!)
    expectSame(found, chain.replica)
  })
})

/** What stands in private fields is not found by looking at an object: their names are held here. */
describe('private fields of what a snapshot holds', () => {
  const FIELDS: Readonly<Record<string, readonly string[]>> = {
    'view/entity-table.ts': ['#chunks', '#counts', '#rows', '#seed', '#tables'],
    'view/child-lists.ts': ['#byParent', '#last'],
    'view/names.ts': ['#last', '#lastNumber', '#numbers', '#other', '#otherNumber', '#texts'],
    'view/view.ts': [],
    'view/witness-times.ts': [],
    'trust/trust-state.ts': [],
    'trust/policy.ts': [],
    'chain/record-hashes.ts': ['#chunks', '#size'],
    'chain/record-prints.ts': ['#chunks'],
    'crypto/merkle.ts': ['#crypto', '#peaks', '#size'],
    'chain/replica.ts': ['#isTrusting', '#parser'],
  }
  for (const [file, wanted] of Object.entries(FIELDS)) {
    it(`${file}: a new one goes into chain/snapshot-state.ts, then into this list`, () => {
      const source = readFileSync(new URL(`../../src/${file}`, import.meta.url), 'utf8')
      const found = [...source.matchAll(/^ {2}(?:readonly )?(#\w+)(?::| =)/gm)].map(([, name]) => name!)
      expect([...new Set(found)].sort()).toEqual(wanted)
    })
  }

  it('a view has no other fields than those that are written', () => {
    expect(Object.keys(new View(1)).sort()).toEqual([
      'children',
      'extras',
      'heights',
      'images',
      'names',
      'policies',
      'table',
      'witnesses',
    ])
  })
})
