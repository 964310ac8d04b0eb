/** The edges of a replica's rules about records, each alone and quickly. */
import { describe, expect, it } from 'vitest'
import { toBinaryText } from '../../src/base/bytes.ts'
import { CERTIFICATE_MS } from '../../src/base/limits.ts'
import { Replica } from '../../src/chain/replica.ts'
import { verifyAhead } from '../../src/chain/verify-ahead.ts'
import { CommitCompactor } from '../../src/event/commit-compact.ts'
import { CommitParser } from '../../src/event/commit-parse.ts'
import { bytesOfWords, type EntityWords, ROOT_ENTITY } from '../../src/event/entity-words.ts'
import { COMMIT, KIND, OP } from '../../src/event/format.ts'
import type { CounterFields } from '../../src/event/rare-fields.ts'
import { hashRecord } from '../../src/event/record.ts'
import type { LogRecord } from '../../src/log/engine.ts'
import { change, create, type Forger } from '../../src/testing/chain-kit.ts'
import { DROPPED, ROW } from '../../src/view/entity-table.ts'
import { stateText } from './digest.ts'
import { alarms, ann, boxChain, commits, creates, crypto, errorOf, eve, forger, outcomesOf, root } from './kit.ts'

const rowOf = ({ replica }: Forger, { a, b, c, d }: EntityWords): number => replica.view.table.find(a, b, c, d)

/** A replica that has read all but the last `less` records. */
function reader(chain: Forger, less = 0, trust?: 'centralized'): Replica {
  const replica = Replica.open({ crypto, seed: 3, ...(trust && { trust }) }, chain.records[0]!)
  for (const record of chain.records.slice(1, chain.records.length - less)) replica.accept(record)
  return replica
}

describe('links', () => {
  it('each part of a link counts alone', () => {
    const { chain, boss } = boxChain()
    const honest = chain.commit(boss, [chain.tx()])
    const { seq } = honest
    alarms(chain, () => chain.feed(chain.commit(boss, [], { seq: seq + 1 })), 'LINK_MISMATCH')
    alarms(chain, () => chain.feed({ ...honest, seq: seq + 1 }), 'LINK_MISMATCH')
    alarms(chain, () => chain.feed(chain.commit(boss, [], { prev: chain.bytes(32) })), 'LINK_MISMATCH')
    alarms(chain, () => chain.feed({ ...honest, hash: chain.bytes(32) }), 'LINK_MISMATCH')
    alarms(chain, () => chain.feed({ ...chain.checkpoint(), hash: chain.bytes(32) }), 'LINK_MISMATCH')
    chain.feed(honest)
  })

  it('a first record of another kind is no genesis, whatever it holds', () => {
    const { chain } = boxChain()
    const bytes = chain.records[0]!.bytes.slice()
    bytes[80] = KIND.sweep
    const record = { seq: 0, bytes, hash: hashRecord(crypto, chain.chainId, bytes, KIND.genesis) }
    expect(errorOf(() => Replica.open({ crypto, seed: 1 }, record))).toMatchObject({
      code: 'BAD_GENESIS',
      facts: { what: 'head' },
    })
  })
})

describe('certificates', () => {
  it('count once, and on: one that is brought again begins no new count', () => {
    const { chain, boss } = boxChain()
    for (let i = 0; i < 3; i++)
      expect(outcomesOf(chain.write(boss, [chain.tx()], { certificate: boss.bytes }))).toEqual(['committed'])
    expect(chain.replica.trust.certificates.get(toBinaryText(boss.id))?.mark).toBe(4)
  })

  it('are those of identities that the chain knows, or that they bring', () => {
    const { chain } = boxChain()
    const bad = (session: ReturnType<Forger['session']>, what: string, options = {}): void =>
      alarms(chain, () => chain.feed(chain.commit(session, [chain.tx()], options)), 'BAD_CERTIFICATE', { what })
    bad(chain.session(eve, { keys: undefined } as never), 'chain or keys')
    bad(chain.session(eve, { keys: ann.identity.keys }), 'fingerprint')
    bad(chain.session(ann, {}, eve), 'signature')
    bad(chain.session(ann), 'writer', { writer: chain.bytes(32) })
  })

  it('last to their time, and no commit leaves out a number', () => {
    const { chain } = boxChain()
    const short = chain.session(root, { until: chain.time + 5 })
    chain.time += 5
    commits(chain, short)
    expect(outcomesOf(chain.write(short, [chain.tx()], { writerSeq: 3 }))).toEqual(['SEQ_GAP'])
    chain.time += 1
    expect(outcomesOf(chain.write(short, [chain.tx()]))).toEqual(['CERT_ENDED'])
    const long = chain.session(root, { until: chain.time + CERTIFICATE_MS + 1 })
    expect(outcomesOf(chain.write(long, [chain.tx()]))).toEqual(['CERT_ENDED'])
    commits(chain, chain.session(root, { until: chain.time + CERTIFICATE_MS }))
    expect(outcomesOf(chain.write(chain.session(root), [chain.tx()], { certificate: 'none' }))).toEqual([
      'CERT_UNKNOWN',
    ])
  })

  it('of strangers count once they have changed something', () => {
    const { chain, boss } = boxChain()
    const open = creates(chain, boss, create({ rare: { policy: { write: 'everyone' } } }))
    const stranger = chain.session(eve)
    const good = create({ parent: open, collection: 'c' })
    for (const parts of [[], [create({ collection: 'c' })]])
      expect(outcomesOf(chain.write(stranger, [chain.tx(...parts)]))).toEqual(['UNKNOWN_WRITER'])
    // One that changes something beside one that does not, in either order.
    const both = [chain.tx(create({ collection: 'c' })), chain.tx(), chain.tx(good)]
    expect(outcomesOf(chain.write(stranger, both))).toEqual(['NOT_AUTHORIZED', 'committed', 'committed'])
  })
})

describe('an offer', () => {
  it('is refused as a whole if nothing of it would count, and taken if something does, or if it holds nothing', () => {
    const { chain, boss, writer } = boxChain()
    commits(chain, writer)
    const bad = (): ReturnType<Forger['tx']> => chain.tx(create({ collection: 'c' }))
    const offer = (transactions: ReturnType<Forger['tx']>[], session = writer): unknown => {
      const record = chain.commit(session, transactions)
      const offered = chain.replica.offer(record)
      if ('refused' in offered) return { refused: offered.refused.map(({ code }) => code) }
      chain.records.push(record)
      session.mark++
      return offered.outcomes?.map((outcome) => outcome?.code)
    }
    const before = stateText(chain.replica)
    const { head } = chain.replica
    expect(offer([bad(), bad()])).toEqual({ refused: ['NOT_AUTHORIZED', 'NOT_AUTHORIZED'] })
    expect(offer([chain.tx()], Object.assign(chain.session(ann), { fresh: false }))).toEqual({
      refused: ['CERT_UNKNOWN'],
    })
    expect([stateText(chain.replica), chain.replica.head]).toEqual([before, head])
    expect(offer([bad(), chain.tx()])).toEqual(['NOT_AUTHORIZED', undefined])
    expect(offer([])).toEqual([])
    expect(offer([chain.tx()], boss)).toEqual([undefined])
    expect([...chain.replica.voids.keys()]).toEqual([head.seq + 1])
  })
})

describe('attested', () => {
  it('is what stands before the first commit that is not, of whichever writer', () => {
    const { chain, boss, writer } = boxChain()
    commits(chain, writer)
    const { seq } = chain.replica.head
    commits(chain, boss)
    expect(chain.replica.attestedSeq).toBe(0)
    chain.feed(chain.attestation(boss))
    expect(chain.replica.attestedSeq).toBe(seq - 1)
    chain.feed(chain.attestation(writer))
    expect(chain.replica.attestedSeq).toBe(chain.replica.head.seq)
  })

  it('is only for writers, and by managers, that are known', () => {
    const { chain, writer } = boxChain()
    commits(chain, writer)
    const bad = (attempt: object, what: string): void =>
      alarms(chain, () => chain.feed(chain.attestation(writer, attempt, root)), 'BAD_ATTESTATION', { what })
    bad({ by: eve.id }, 'who adopts must manage the root')
    bad({ by: ann.id }, 'who adopts must manage the root')
    bad({}, 'signature')
    chain.feed(chain.attestation(writer, { by: root.id }, root))
  })
})

describe('a record of recovery', () => {
  it('is by who manages the root, with his own signature, from level 2 on', () => {
    const chain = forger({ parameters: { level: 2 } })
    const rare = { identities: [ann.identity.keys], policy: { write: [ann.id] } }
    commits(chain, chain.session(root), create({ rare }))
    const manager = { what: 'who recovers must manage the root' }
    alarms(chain, () => chain.feed(chain.recovery(eve)), 'BAD_RECOVERY', manager)
    alarms(chain, () => chain.feed(chain.recovery(ann)), 'BAD_RECOVERY', manager)
    alarms(chain, () => chain.feed(chain.recovery(root, {}, 'recover', eve)), 'BAD_RECOVERY', { what: 'signature' })
    chain.feed(chain.recovery(root))
  })
})

describe('a sweep', () => {
  it('takes what has expired to the millisecond, keeps what is retained to its own, and never the root', () => {
    const { chain, boss } = boxChain()
    const at = chain.time + 10
    const lease = creates(chain, boss, create({ collection: 'c', rare: { expires: at } }))
    const kept = creates(chain, boss, create({ collection: 'c', rare: { expires: at, retain: at + 5 } }))
    const alone = forger()
    const session = alone.session(root)
    commits(alone, session, change(OP.expire, ROOT_ENTITY, { rare: { ttl: 1 } }))
    alone.time += 5
    commits(alone, session)
    expect(alone.feed(alone.sweep([ROOT_ENTITY])).swept).toEqual([])
    const swept = (time: number): unknown => {
      chain.time = time
      commits(chain, boss)
      return chain.feed(chain.sweep([lease, kept])).swept
    }
    expect([swept(at - 1), swept(at), swept(at + 4), swept(at + 5)]).toEqual([
      [],
      [rowOf(chain, lease)],
      [],
      [rowOf(chain, kept)],
    ])
  })

  it('burns no money: what holds units stays, what holds none of them or plain numbers goes', () => {
    const { chain, boss } = boxChain()
    const unit = bytesOfWords(creates(chain, boss, create({ collection: 'u' })))
    const holding = (counters: CounterFields[]): EntityWords =>
      creates(chain, boss, create({ collection: 'c', rare: { counters, ttl: 1 } }))
    const [rich, poor, plain] = [
      holding([
        { name: 'a', value: 0n, unit },
        { name: 'b', value: 5n, unit },
      ]),
      holding([{ name: 'a', value: 0n, unit }]),
      holding([{ name: 'a', value: 5n }]),
    ] as const
    chain.time += 10
    commits(chain, boss)
    const rows = [poor, plain].map((one) => rowOf(chain, one))
    expect(chain.feed(chain.sweep([rich, poor, plain])).swept).toEqual(rows)
  })
})

describe('a reader', () => {
  it('that trusts who ordered the records verifies no signatures of commits, any other does', () => {
    const { chain, boss } = boxChain()
    const bytes = chain.commit(boss, [chain.tx(create({ collection: 'c' }))]).bytes.slice()
    bytes[COMMIT.sig]! ^= 1
    const forged = chain.rehashed(bytes, chain.replica.head.seq + 1)
    expect(errorOf(() => reader(chain).accept(forged))).toMatchObject({ code: 'BAD_SIGNATURE' })
    expect(reader(chain, 0, 'centralized').accept(forged).outcomes).toEqual([undefined])
  })

  it('knows of each body whether compaction has dropped it, and packs what was left', () => {
    const { chain, boss, box } = boxChain()
    const big = { bytes: chain.bytes(200) }
    const tx = chain.tx(
      ...[1, 2].map(() => create({ parent: box, collection: 'c', body: chain.body(ROOT_ENTITY, big) })),
    )
    const accepted = chain.write(boss, [tx])
    const compact = new CommitCompactor().compact(accepted.commit!, (_, offset) => offset === 0)!.slice()
    expect(new CommitParser(crypto).parse(chain.chainId, compact).isCompacted).toBe(true)
    const replica = reader(chain, 1)
    replica.accept({ ...chain.records.at(-1)!, bytes: compact })
    const dropped = [1, 2].map((n) => {
      const { a, b, c, d } = chain.idOf(root, tx, n)
      return (replica.view.table.get(replica.view.table.find(a, b, c, d), ROW.blockAndFlags) & DROPPED) !== 0
    })
    expect(dropped).toEqual([false, true])
    const many = chain.tx(...Array.from({ length: 100 }, () => create({ parent: box, collection: 'm' })))
    chain.write(boss, [many])
    commits(chain, boss, ...Array.from({ length: 80 }, (_, i) => change(OP.delete, chain.idOf(root, many, i + 1))))
    const { view } = chain.replica
    expect(view.children.find(rowOf(chain, box), view.names.find('m')!)).toMatchObject({ live: 20, length: 20 })
  })

  it('that asks ahead takes records of any kind and size in groups, and asks for commits of known writers only', async () => {
    const { chain, boss } = boxChain()
    for (let i = 0; i < 200; i++) chain.write(boss, [])
    chain.feed(chain.checkpoint())
    chain.feed(chain.sweep([]))
    const groups: number[] = []
    const replica = reader(chain, chain.records.length - 1)
    const chunks = async function* (): AsyncGenerator<readonly LogRecord[]> {
      yield chain.records.slice(1)
      yield []
    }
    for await (const group of verifyAhead(chunks(), () => replica)) {
      groups.push(group.length)
      for (const record of group) replica.accept(record)
    }
    expect(groups).toEqual([128, chain.records.length - 1 - 128])
    expect(stateText(replica)).toBe(stateText(chain.replica))
    // What is no commit, or too short to be one, is nobody's signature: nothing is asked, and the fold says what it is.
    const cut = { ...chain.records.at(-1)!, bytes: chain.records[2]!.bytes.slice(0, COMMIT.certificate - 1) }
    const given = async function* (): AsyncGenerator<readonly LogRecord[]> {
      yield [cut, chain.checkpoint()]
    }
    const again: number[] = []
    for await (const group of verifyAhead(given(), () => replica)) again.push(group.length)
    expect(again).toEqual([2])
  })
})
