/**
 * The bytes of records: what is encoded is parsed back, no byte is free, nothing that is cut, flipped or random does more
 * than throw an AteError, and in no time.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { equalBytes } from '../../src/base/bytes.ts'
import { isAteError } from '../../src/base/errors.ts'
import { Replica } from '../../src/chain/replica.ts'
import { bodyBytes, checkBodies } from '../../src/event/commit-bodies.ts'
import { CommitCompactor } from '../../src/event/commit-compact.ts'
import { CommitEncoder } from '../../src/event/commit-encode.ts'
import { CommitParser, commitHoldsValues, parseBlockPlaces, placesEnd } from '../../src/event/commit-parse.ts'
import { EntityWords, ROOT_ENTITY, wordsOf } from '../../src/event/entity-words.ts'
import { COMMIT, GUARD, KIND, OP, RECORD_HEAD_BYTES } from '../../src/event/format.ts'
import { sliceAt } from '../../src/event/kept-runs.ts'
import { encodeRare, type RareFields } from '../../src/event/rare-fields.ts'
import { hashRecord } from '../../src/event/record.ts'
import type { LogRecord } from '../../src/log/engine.ts'
import { nativeAlgorithms } from '../../src/node/crypto-node.ts'
import {
  create,
  type ForgedEvent,
  type ForgedTransaction,
  type Forger,
  sameRecord,
} from '../../src/testing/chain-kit.ts'
import { ann, boxChain, commits, crypto, errorOf, outcomesOf, root } from '../chain/kit.ts'

const RUNS = Number(process.env['ATE_RUNS'] ?? 40)
const SEED = Number(process.env['ATE_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
console.log(`ATE_SEED=${SEED}`)
// Shrinking can take many minutes: a failure is reported as it is, with its seed; ATE_SHRINK=yes makes it small.
const options = { numRuns: RUNS, seed: SEED, endOnFailure: process.env['ATE_SHRINK'] !== 'yes' }

const word = fc.integer()
const entity = fc.tuple(word, word, word, word).map(([a, b, c, d]) => new EntityWords(a, b, c, d))
const name = fc.oneof(fc.constantFrom('', 'c', 'things', 'ünïcode ☃'), fc.string({ unit: 'grapheme', maxLength: 20 }))
/** Keys are long and nobody looks into them: one value fills all of it, which keeps shrinking quick. */
const bytes = (size: number): fc.Arbitrary<Uint8Array> =>
  size > 64
    ? fc.nat(255).map((value) => new Uint8Array(size).fill(value))
    : fc.uint8Array({ minLength: size, maxLength: size })
const count = fc.oneof(fc.nat(3), fc.maxSafeNat())
const amount = fc.bigInt(-(2n ** 127n) + 1n, 2n ** 127n - 1n)
const list = fc.oneof(
  fc.constantFrom('everyone' as const, 'nobody' as const, 'inherit' as const),
  fc.array(fc.oneof(bytes(16), bytes(32)), { maxLength: 4 }),
)
const wrap = fc.record(
  { to: fc.oneof(bytes(16), bytes(32)), generation: count, wrapped: fc.uint8Array({ maxLength: 40 }) },
  { requiredKeys: ['to', 'wrapped'] },
)

const rare: fc.Arbitrary<RareFields> = fc.record(
  {
    identities: fc.array(bytes(3200), { maxLength: 1 }),
    policy: fc.record(
      {
        read: list,
        write: list,
        manage: list,
        allow: fc.array(bytes(32), { maxLength: 2 }),
        closed: fc.constant(true),
        history: fc.constantFrom('all' as const, 'live' as const),
      },
      { requiredKeys: [] },
    ),
    epoch: fc.record(
      {
        number: count,
        commitment: bytes(32),
        wraps: fc.array(wrap, { maxLength: 3 }),
        published: bytes(64),
        writeKey: bytes(1216),
        link: fc.uint8Array({ maxLength: 256 }),
      },
      { requiredKeys: ['number', 'commitment', 'wraps'] },
    ),
    role: fc.record(
      {
        generation: count,
        publicKey: bytes(1216),
        name,
        add: fc.array(bytes(32), { maxLength: 2 }),
        remove: fc.array(bytes(32), { maxLength: 2 }),
        wraps: fc.array(wrap, { maxLength: 2 }),
      },
      { requiredKeys: ['generation', 'publicKey', 'wraps'] },
    ),
    counters: fc.array(
      fc.record(
        { name, value: amount, floor: amount, ceiling: amount, unit: bytes(16), up: list, down: list },
        { requiredKeys: ['name', 'value'] },
      ),
      { maxLength: 3 },
    ),
    counter: name,
    amount,
    expires: count,
    ttl: count,
    retain: count,
    holds: fc.array(name, { maxLength: 3 }),
    lock: fc.constantFrom('governance' as const, 'compliance' as const),
    witnesses: fc.record({
      keys: fc.uniqueArray(fc.record({ name: fc.constantFrom('w1', 'ü', 'a.example/w'), key: bytes(32) }), {
        minLength: 1,
        maxLength: 3,
        selector: ({ key }) => key.join(),
      }),
      quorum: fc.constant(1),
    }),
    digest: bytes(32),
    bypass: fc.constant('governance' as const),
    root: fc.record(
      {
        level: count,
        sequencers: fc.oneof(fc.constant('writers' as const), fc.array(bytes(32), { maxLength: 2 })),
        checkpointKeys: fc.array(bytes(32), { maxLength: 2 }),
      },
      { requiredKeys: [] },
    ),
    certificate: bytes(32),
  },
  { requiredKeys: [] },
)

const node = fc.constantFrom(new EntityWords(0, 0, 0, 0), new EntityWords(1, 2, 3, 4))
const body = fc.record({ node, epoch: fc.nat(2), bytes: fc.uint8Array({ maxLength: 50 }) })
const op = fc.constantFrom(...Object.values(OP).filter((value) => value !== OP.create))
const event: fc.Arbitrary<ForgedEvent> = fc.oneof(
  fc.record(
    {
      op: fc.constant(OP.create),
      parent: entity,
      collection: name,
      type: name,
      key: bytes(16),
      version: count,
      rare,
      body,
    },
    { requiredKeys: ['op'] },
  ),
  fc.record({ op: fc.constant(OP.put), entity, version: count, rare, body }, { requiredKeys: ['op', 'entity'] }),
  fc.record(
    { op: fc.constant(OP.move), entity, parent: entity, collection: name, version: count, rare },
    { requiredKeys: ['op', 'entity'] },
  ),
  fc.record(
    { op: op.filter((value) => value !== OP.put && value !== OP.move), entity, version: count, rare },
    { requiredKeys: ['op', 'entity'] },
  ),
)
const aGuard = fc.record({ kind: fc.constantFrom(...Object.values(GUARD)), entity, collection: name, count })
const transaction: fc.Arbitrary<ForgedTransaction> = fc.record({
  nonce: bytes(16),
  guards: fc.array(aGuard, { maxLength: 4 }),
  events: fc.array(event, { maxLength: 40 }),
})
const transactions = fc.array(transaction, { maxLength: 5 })

describe('commits', () => {
  const { chain, boss } = boxChain()
  const parser = new CommitParser(crypto)

  it('are held against what others have hashed, each body against its own', () => {
    const bodies = [1, 2].map((value) => ({ ...chain.body(), bytes: new Uint8Array(40).fill(value) }))
    const record = chain.commit(boss, [chain.tx(...bodies.map((body) => create({ body })))])
    const commit = parser.parse(chain.chainId, record.bytes)
    const hashed = commit.transactions[0]!.events.map(({ block, offset, size }) => {
      const at = sliceAt(commit.blocks[block]!, offset, size)!
      return { at, size, hash: crypto.sha256(commit.bytes.subarray(at, at + size)) }
    })
    expect(hashed[0]!.size).toBe(hashed[1]!.size)
    for (const given of [hashed, [...hashed].reverse(), [hashed[0]!], []]) checkBodies(crypto, commit, given)
    const [one, two] = hashed as [(typeof hashed)[0], (typeof hashed)[0]]
    for (const given of [[{ ...one, hash: two.hash }], [one, { ...two, hash: one.hash }]])
      expect(errorOf(() => checkBodies(crypto, commit, given))).toMatchObject({ code: 'BAD_BODY' })
  })

  it('tell before they are parsed whether they bring values; what is none brings none', () => {
    const sealed = chain.commit(boss, [chain.tx(create({ body: chain.body() }))]).bytes
    const bare = chain.commit(boss, [chain.tx(create({}))]).bytes
    const payload = (record: Uint8Array): Uint8Array => record.subarray(RECORD_HEAD_BYTES)
    expect([sealed, bare].map((record) => commitHoldsValues(payload(record)))).toEqual([true, false])
    expect(commitHoldsValues(payload(sealed).subarray(0, 40))).toBe(false)
    expect(commitHoldsValues(new Uint8Array(0))).toBe(false)
  })

  it('come back as they were written', () => {
    fc.assert(
      fc.property(transactions, count, (given, at) => {
        const record = chain.commit(boss, given, { at })
        const commit = parser.parse(chain.chainId, record.bytes)
        checkBodies(crypto, commit)
        expect(commit.at).toBe(at)
        expect(commit.transactions.length).toBe(given.length)
        commit.transactions.forEach((parsed, i) => {
          const wanted = given[i]!
          expect(parsed.nonce).toEqual(wanted.nonce)
          expect(parsed.guards).toEqual(wanted.guards)
          for (let j = 0; j < parsed.events.length; j++)
            expectEvent(parsed.events[j]!, wanted.events[j]!, record.bytes, commit.blocks)
          expect(parsed.events.length).toBe(wanted.events.length)
        })
        // Written again, it is the same bytes: one meaning, one encoding.
        const again = new CommitEncoder(crypto).encode(chain.chainId, {
          ...commit,
          blocks: commit.blocks.map((block) => ({
            ...block,
            ciphertext: record.bytes.subarray(block.at, block.at + block.size),
          })),
        })
        expect(sameRecord({ ...again.finish(commit.signature), seq: record.seq }, record)).toBe(true)
        expect(parseBlockPlaces(record.bytes.subarray(0, placesEnd(record.bytes))).blocks).toEqual(commit.blocks)
      }),
      options,
    )
  })

  it('say the same without the bodies that were dropped, in one form for each set that is kept', () => {
    const compactor = new CommitCompactor()
    fc.assert(
      fc.property(
        transactions,
        fc.infiniteStream(fc.boolean()),
        fc.infiniteStream(fc.boolean()),
        (given, keep, more) => {
          const record = chain.commit(boss, given, {})
          const whole = parser.parse(chain.chainId, record.bytes)
          const kept = new Set<string>()
          const isKept = (block: number, offset: number): boolean => kept.has(`${block}:${offset}`)
          const bodies = whole.transactions.flatMap(({ events }) => events).filter(({ body, size }) => body && size > 0)
          for (const { block, offset } of bodies) if (keep.next().value) kept.add(`${block}:${offset}`)
          const once = compactor.compact(whole, isKept)?.slice()
          if (!once) return
          expect(once.length).toBeLessThan(record.bytes.length)
          const commit = parser.parse(chain.chainId, once)
          checkBodies(crypto, commit)
          expect(hashRecord(crypto, chain.chainId, once, KIND.commit, commit.commitHash)).toEqual(record.hash)
          expect(bodyBytes(commit.blocks)).toBe(sumOf(bodies.filter(({ block, offset }) => isKept(block, offset))))
          for (const { block, offset, size } of bodies) {
            const at = sliceAt(commit.blocks[block]!, offset, size)
            expect(at !== undefined).toBe(isKept(block, offset))
            const from = whole.blocks[block]!.at + offset
            if (at !== undefined)
              expect(equalBytes(once.subarray(at, at + size), record.bytes.subarray(from, from + size))).toBe(true)
          }
          expect(parseBlockPlaces(placesOf(once)).blocks).toEqual(commit.blocks)
          // Compacted twice is compacted once to what both keep.
          for (const place of [...kept]) if (more.next().value) kept.delete(place)
          const twice = compactor.compact(commit, isKept)?.slice()
          if (twice) expect(equalBytes(twice, compactor.compact(whole, isKept)!)).toBe(true)
        },
      ),
      options,
    )
  })

  it('are refused where the table of kept runs is not what a compaction writes', () => {
    const body = (size: number): ForgedEvent => ({
      op: OP.create,
      collection: 'c',
      type: 't',
      body: { node: ROOT_ENTITY, epoch: 0, bytes: new Uint8Array(size) },
    })
    const record = chain.commit(boss, [{ nonce: new Uint8Array(16), guards: [], events: [30, 40, 50].map(body) }], {})
    const whole = parser.parse(chain.chainId, record.bytes)
    const [first, second, third] = whole.transactions[0]!.events.map(({ size }) => size) as [number, number, number]
    const table = (runs: readonly number[], bytes: number): Uint8Array =>
      Uint8Array.of(
        ...record.bytes.subarray(0, whole.clearEnd),
        ...[0, 0, 0, runs.length],
        ...runs,
        ...record.bytes.subarray(whole.clearEnd, whole.clearEnd + bytes),
      )
    const codeOfTable = (runs: readonly number[], bytes: number): string => {
      const given = table(runs, bytes)
      given[COMMIT.clearLength] = given[COMMIT.clearLength]! | 0x80
      const caught = errorOf(() => parser.parse(chain.chainId, given))
      return isAteError(caught) ? caught.code : String(caught)
    }
    const size = first + second + third
    expect(codeOfTable([1, 0, first], first)).toBe('nothing was thrown')
    expect(codeOfTable([0], 0)).toBe('nothing was thrown')
    expect(codeOfTable([2, 0, first, second, third], first + third)).toBe('nothing was thrown')
    for (const [what, runs, bytes] of [
      ['nothing is dropped', [1, 0, size], size],
      ['two runs that are one', [2, 0, first, 0, second], first + second],
      ['an empty run', [1, 0, 0], 0],
      ['a slice in part, its beginning', [1, 0, first + 5], first + 5],
      ['a slice in part, its end', [1, first + 5, second - 5], second - 5],
      ['a slice in part, its middle', [1, first + 5, 5], 5],
      ['beyond the block', [1, first + second, third + 1], third + 1],
      ['more bytes than it says', [1, 0, first], first + 1],
      ['fewer bytes than it says', [1, 0, first], first - 1],
      ['bytes left in the table', [1, 0, first, 7], first],
      ['no block', [], 0],
      ['more runs than the table holds', [9, 0, first], first],
    ] as const)
      expect(codeOfTable(runs, bytes), what).toBe('BAD_RECORD')
  })

  const sumOf = (bodies: readonly { readonly size: number }[]): number =>
    bodies.reduce((sum, { size }) => sum + size, 0)

  /** As the body reader asks for them. */
  function placesOf(record: Uint8Array): Uint8Array {
    let prefix = record.subarray(0, COMMIT.certificate)
    while (placesEnd(prefix) > prefix.length) prefix = record.subarray(0, placesEnd(prefix))
    return prefix
  }

  function expectEvent(
    read: ReturnType<CommitParser['parse']>['transactions'][number]['events'][number],
    wanted: ForgedEvent,
    record: Uint8Array,
    blocks: ReturnType<CommitParser['parse']>['blocks'],
  ): void {
    const { op, version = 0, rare = null, body } = wanted
    expect([read.op, read.version, read.rare === null]).toEqual([op, version, rare === null])
    // By their bytes: to compare keys of kilobytes as values takes most of a minute.
    if (rare) expect(equalBytes(encodeRare(read.rare!), encodeRare(rare))).toBe(true)
    if (op === OP.create || op === OP.move)
      expect([read.parent, read.collection]).toEqual([
        wanted.parent ?? new EntityWords(0, 0, 0, 0),
        wanted.collection ?? '',
      ])
    if (op === OP.create)
      expect([read.type, read.key]).toEqual([wanted.type ?? '', wanted.key ? wordsOf(wanted.key) : null])
    else expect(new EntityWords(read.a, read.b, read.c, read.d)).toEqual(wanted.entity)
    expect(read.body).toBe(body !== undefined)
    if (!body) return
    const block = blocks[read.block]!
    expect([block.node, block.epoch]).toEqual([body.node, body.epoch])
    expect(record.subarray(block.at + read.offset, block.at + read.offset + read.size)).toEqual(body.bytes)
  }

  it('are judged or refused, never more: whatever they hold', () => {
    fc.assert(
      fc.property(transactions, (given) => {
        const accepted = chain.write(boss, given)
        expect(outcomesOf(accepted).length).toBe(given.length)
      }),
      options,
    )
  })
})

/** A chain with one record of each kind behind the first, and the replica that stands before each. */
function oneOfEach(): { chain: Forger; kinds: Map<string, LogRecord>; before: (record: LogRecord) => Replica } {
  const { chain, boss } = boxChain()
  const writer = chain.session(ann)
  const from = chain.records.length
  chain.write(writer, [chain.tx(create({ collection: 'c' })), chain.tx()])
  const rest: RareFields = { counters: [{ name: 'n', value: 5n }], ttl: 9 }
  commits(
    chain,
    boss,
    create({ collection: 'c', type: 't', key: new Uint8Array(16), body: chain.body(), rare: rest }),
    create({ collection: 'd', body: chain.body() }),
  )
  chain.feed(chain.attestation(boss))
  chain.feed(chain.checkpoint())
  const [certified, commit, attestation, checkpoint] = chain.records.slice(from)
  const kinds = new Map([
    ['commit with a certificate', certified!],
    ['commit', commit!],
    ['attestation', attestation!],
    ['checkpoint', checkpoint!],
  ])
  const before = (record: LogRecord): Replica => {
    const replica = Replica.open({ crypto, seed: 3 }, chain.records[0]!)
    for (const one of chain.records.slice(1, record.seq)) replica.accept(one)
    return replica
  }
  return { chain, kinds, before }
}

describe('no byte is free', () => {
  // Each flip in a certificate or an attestation costs a post-quantum verification: 0.2 ms native, 2 ms in JavaScript.
  const isNative = nativeAlgorithms().includes('mlDsa65' as never)
  const stride = !isNative ? 11 : process.env['ATE_RUNS'] === undefined ? 5 : 1
  const { chain, kinds, before } = oneOfEach()
  const flips = function* (record: LogRecord): Generator<[number, Uint8Array]> {
    const dense = record.bytes.length < 1500 ? 1 : stride
    for (let at = 0; at < record.bytes.length; at += at < 600 ? 1 : dense) {
      const flipped = record.bytes.slice()
      flipped[at]! ^= 1 << (at % 8)
      yield [at, flipped]
    }
  }
  /** Of the head of a record these are the sequencer's words, which nobody signs: the time at which he took it in. */
  const admittedAt = [41, 42, 43, 44, 45, 46, 47]

  it.each([...kinds])('%s', (_, record) => {
    let replica = before(record)
    const free = new Set<number>()
    for (const [at, bytes] of flips(record)) {
      // The hash that readers know: any change breaks the link.
      const caught = errorOf(() => replica.accept({ ...record, bytes }))
      expect(isAteError(caught), `byte ${at}: ${caught}`).toBe(true)
      // The hash made to fit by who orders records: an alarm; or void, if it names a writer whom nobody knows.
      const forged = rehash(bytes)
      if (!forged || isAteError(errorOf(() => replica.accept(forged)))) continue
      const reasons = [...(replica.voids.get(record.seq)?.values() ?? [])].map(({ code }) => code)
      if (
        !(
          at >= COMMIT.writer &&
          at < COMMIT.writerSeq &&
          reasons.length > 0 &&
          reasons.every((code) => code === 'CERT_UNKNOWN')
        )
      )
        free.add(at)
      replica = before(record)
    }
    expect([...free].filter((at) => !admittedAt.includes(at))).toEqual([])
    replica.accept(record)
  })

  function rehash(bytes: Uint8Array): LogRecord | undefined {
    try {
      return chain.rehashed(bytes, new DataView(bytes.buffer).getUint32(4))
    } catch {
      return undefined // lengths that reach beyond the bytes: no hash of it is ever made
    }
  }

  it('genesis: its head names a time and a sequencer that nobody signs', () => {
    const record = chain.records[0]!
    const free = new Set<number>()
    for (const [at, bytes] of flips(record)) {
      expect(isAteError(errorOf(() => Replica.open({ crypto, seed: 1 }, { ...record, bytes }))), `byte ${at}`).toBe(
        true,
      )
      if (at >= 2000 && at % 7 !== 0) continue
      const forged = rehash(bytes)
      if (forged && !isAteError(errorOf(() => Replica.open({ crypto, seed: 1 }, forged)))) free.add(at)
    }
    const sequencer = Array.from({ length: 32 }, (_, i) => 48 + i)
    expect([...free].filter((at) => !admittedAt.includes(at) && !sequencer.includes(at))).toEqual([])
  })
})

describe('bytes from outside', () => {
  // Behind the first fields stand keys and signatures of kilobytes; the long run cuts them everywhere.
  const step = process.env['ATE_RUNS'] === undefined ? 7 : 1
  const { chain, kinds, before } = oneOfEach()

  it.each([['genesis', chain.records[0]!] as const, ...kinds])('%s cut short', (_, record) => {
    const replica = record.seq === 0 ? undefined : before(record)
    for (let size = 0; size < record.bytes.length; size += size < 600 ? 1 : step) {
      const cut = record.bytes.slice(0, size)
      const caught = errorOf(() =>
        replica
          ? replica.accept({ ...record, bytes: cut })
          : Replica.open({ crypto, seed: 1 }, { ...record, bytes: cut }),
      )
      expect(isAteError(caught), `${size} bytes: ${caught}`).toBe(true)
      const parsed = errorOf(() => new CommitParser(crypto).parse(chain.chainId, cut))
      expect(isAteError(parsed), `${size} bytes: ${parsed}`).toBe(true)
    }
  })

  it('random and spliced bytes throw an AteError, within 50 ms', () => {
    const replica = before(kinds.get('commit')!)
    const samples = [chain.records[0]!, ...kinds.values()].map((record) => record.bytes)
    const spliced = fc
      .record({
        sample: fc.nat(samples.length - 1),
        at: fc.nat(6000),
        drop: fc.nat(40),
        insert: fc.uint8Array({ maxLength: 40 }),
      })
      .map(({ sample, at, drop, insert }) => {
        const base = samples[sample]!
        const from = at % base.length
        return Uint8Array.of(...base.subarray(0, from), ...insert, ...base.subarray(from + drop))
      })
    const { seq, hash } = replica.head
    // Behind a right head, so that they reach the readers of the payload.
    const headed = fc
      .record({ kind: fc.integer({ min: 1, max: 5 }), payload: fc.uint8Array({ maxLength: 600 }) })
      .map(({ kind, payload }) => {
        const head = chain.other(KIND.sweep, new Uint8Array(0)).bytes.slice(0, RECORD_HEAD_BYTES)
        new DataView(head.buffer).setUint32(4, seq + 1)
        head.set(hash, 8)
        head.set(root.id, 48)
        head[80] = kind
        return Uint8Array.of(...head, ...payload)
      })
    let worst = 0
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 700 }), spliced, headed), (given) => {
        const attempt = (): number => {
          const started = performance.now()
          for (const run of [
            () => replica.accept({ seq: seq + 1, hash, bytes: given }),
            () => Replica.open({ crypto, seed: 1 }, { seq: 0, hash, bytes: given }),
            () => new CommitParser(crypto).parse(chain.chainId, given),
            () => parseBlockPlaces(given),
            () => chain.replica.readCertificate(given),
          ]) {
            const caught = errorOf(run)
            if (caught !== 'nothing was thrown') expect(isAteError(caught), `${caught}`).toBe(true)
          }
          return performance.now() - started
        }
        // A machine that does other things in between is no slow parser: the best of three counts.
        let spent = attempt()
        for (let more = 0; more < 2 && spent >= 50; more++) spent = Math.min(spent, attempt())
        expect(spent).toBeLessThan(50)
        worst = Math.max(worst, spent)
      }),
      { ...options, numRuns: RUNS * 10 },
    )
    console.log(`slowest: ${worst.toFixed(1)} ms`)
    expect(replica.head.seq).toBe(seq)
  })

  it('counts that promise more than there is cost nothing', () => {
    const { bytes } = kinds.get('commit')!
    const parser = new CommitParser(crypto)
    const clear = COMMIT.certificate
    for (let at = clear; at < Math.min(bytes.length, clear + 200); at++) {
      const bomb = bytes.slice()
      bomb.set([0xff, 0xff, 0xff, 0x7f], Math.min(at, bomb.length - 4))
      // As many steps, or bytes, as one of them promises would not end before the time of this test is over.
      expect(isAteError(errorOf(() => parser.parse(chain.chainId, bomb)))).toBe(true)
    }
  })
})
