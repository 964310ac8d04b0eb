/**
 * Proofs out of handmade commits: which transaction, event and block of one a proof is about, what is not there to be proven,
 * and that no part of a transaction can be exchanged.
 */
import { describe, expect, it } from 'vitest'
import { toBase64, toBinaryText, utf8 } from '../../src/base/bytes.ts'
import { isAteError } from '../../src/base/errors.ts'
import { chainIdOf, toBase32 } from '../../src/base/ids.ts'
import type { ChainCore } from '../../src/chain/chain-core.ts'
import type { Proof, TransactionPart } from '../../src/data/proof-format.ts'
import { Prover } from '../../src/data/prove.ts'
import { type ProvenRecord, verifyProof } from '../../src/data/verify-proof.ts'
import { checkpointOrigin } from '../../src/event/checkpoint.ts'
import { encodeCheckpoint } from '../../src/event/checkpoint-encode.ts'
import { CommitCompactor } from '../../src/event/commit-compact.ts'
import { CommitParser } from '../../src/event/commit-parse.ts'
import { type EntityWords, ROOT_ENTITY, textOfWords } from '../../src/event/entity-words.ts'
import { OP } from '../../src/event/format.ts'
import { memoryEngine, memoryStore } from '../../src/log/memory.ts'
import { change, create, type ForgedSession, type Forger, nameKey } from '../../src/testing/chain-kit.ts'
import { testPlatform } from '../../src/testing/test-platform.ts'
import { testWitness } from '../../src/testing/witness.ts'
import { commits, creates, crypto, eve, forger, root } from '../chain/kit.ts'
import { slabsOf } from '../log/stored-records.ts'
import { codeOf, errorOf, memoryChain, Note } from './kit.ts'

const { environment } = testPlatform(1, { crypto })
const other = new Uint8Array(32).fill(9)

function begin(): { readonly chain: Forger; readonly boss: ForgedSession } {
  const chain = forger()
  return { chain, boss: chain.session(root) }
}

/** Proves from the records of `chain`; nothing is staged there. */
function proverOf({ records, replica, chainId }: Pick<Forger, 'records' | 'replica' | 'chainId'>): Prover {
  const engine = memoryEngine({ ...memoryStore(), records: slabsOf(records) }, { readOnly: true })
  const staging = { outcome: async () => undefined }
  const core = { crypto, replica, engine, environment, staging, chainId: chainIdOf(chainId), durability: 'memory' }
  return new Prover(core as unknown as ChainCore)
}

/** With a checkpoint over all of it. */
function proving(chain: Forger): Prover {
  chain.feed(chain.checkpoint())
  return proverOf(chain)
}

const verify = ({ chainId }: Forger, proof: Proof, ciphertext?: Uint8Array): ProvenRecord =>
  verifyProof(proof, { chain: chainIdOf(chainId), ...(ciphertext ? { ciphertext } : {}) }, { crypto }) as ProvenRecord

const textOf = (words: EntityWords): string => textOfWords(words)

/** What of a proof was refused. */
function refused(run: () => unknown): unknown {
  try {
    return run()
  } catch (error) {
    return isAteError(error) && error.code === 'BAD_PROOF' ? (error.facts['what'] ?? error.facts['field']) : error
  }
}

describe('a proof of one commit among many parts', () => {
  it('is of the transaction that is asked for', async () => {
    const { chain, boss } = begin()
    const all = Array.from({ length: 3 }, () => chain.tx(create({ collection: 'c', body: chain.body() })))
    chain.write(boss, all)
    const prover = proving(chain)
    for (const { nonce } of all) {
      const txId = toBase32(nonce)
      expect(verify(chain, await prover.prove({ transaction: txId }, {})).transaction).toMatchObject({ txId })
    }
  })

  it('is of the event that wrote the value, in whatever transaction and block, and behind events without one', async () => {
    const { chain, boss } = begin()
    const [a, b, c, gone] = [1, 2, 3, 4].map(() =>
      creates(chain, boss, create({ collection: 'c', body: chain.body() })),
    )
    const bodies = [1, 2, 3].map((part) => chain.body(ROOT_ENTITY, { part: part === 3 ? 2 : 1 }))
    chain.write(boss, [
      chain.tx(change(OP.delete, gone!), change(OP.put, a!, { body: bodies[0]! })),
      chain.tx(change(OP.put, b!, { body: bodies[1]! }), change(OP.put, c!, { body: bodies[2]! })),
    ])
    const prover = proving(chain)
    for (const [i, entity] of [a!, b!, c!].entries()) {
      const { event, transaction } = verify(chain, await prover.prove({ entity: textOf(entity) }, {}))
      expect(event).toMatchObject({ op: 'put', entity: textOf(entity) })
      expect(event!.value!.hash).toEqual(crypto.sha256(bodies[i]!.bytes))
      const deletion = transaction!.events.find(({ op }) => op === 'delete')
      expect(deletion === undefined).toBe(i > 0)
      if (deletion) expect('value' in deletion).toBe(false)
    }
  })

  it('of a commit whose writer nobody knows shows the record, and no author', async () => {
    const { chain, boss } = begin()
    commits(chain, boss)
    const unknown = chain.session(eve)
    chain.write(unknown, [chain.tx()], { certificate: 'none', sequencer: root.id })
    const { seq } = chain.replica.head
    const proof = await proving(chain).prove({ record: seq }, {})
    expect(Object.keys(proof.record).sort()).toEqual(['head', 'path', 'payload'])
    expect(verify(chain, proof).record).toMatchObject({ seq, kind: 'commit' })
    expect(verify(chain, proof).commit).toBe(undefined)
  })
})

describe('what is not there', () => {
  it('is a record of another number than those of the log, or nothing that can be asked for', async () => {
    const { chain } = begin()
    // Also where nothing could be proven of any record.
    expect(await codeOf(proverOf(chain).prove({ record: -1 }, {}))).toBe('NOT_FOUND')
    const prover = proving(chain)
    for (const record of [-1, 0.5, Number.NaN, chain.replica.head.seq + 1])
      expect(await errorOf(prover.prove({ record }, {}))).toMatchObject({ code: 'NOT_FOUND', facts: { seq: record } })
    for (const wrong of [null, undefined, 5, {}])
      expect(await codeOf(prover.prove(wrong as never, {}))).toBe('BAD_ARGUMENT')
  })

  it('is a value of the root, of what has none, and of what was deleted', async () => {
    const { chain, boss } = begin()
    const bare = creates(chain, boss, create({ collection: 'c' }))
    const gone = creates(chain, boss, create({ collection: 'c', body: chain.body() }))
    commits(chain, boss, change(OP.delete, gone))
    const prover = proving(chain)
    for (const entity of [textOf(ROOT_ENTITY), textOf(bare)])
      expect((await errorOf(prover.prove({ entity }, {}))).facts).toEqual({ entity, what: 'a value' })
    const entity = textOf(gone)
    expect((await errorOf(prover.prove({ entity }, {}))).facts).toEqual({ entity })
  })

  it('is a value that is on its way', async () => {
    await using kit = await memoryChain()
    await kit.chain.checkpoint()
    kit.engine.hold()
    let entity = ''
    const written = kit.chain.transact((tx) => {
      entity = tx.create(Note, { text: 'staged' }).id
    })
    await Promise.resolve()
    expect(await errorOf(kit.chain.prove({ entity }))).toMatchObject({ code: 'NOT_FOUND', facts: { entity } })
    kit.engine.release()
    await written
  })

  it('is a value that was dropped from the log since this replica was folded', async () => {
    const { chain, boss } = begin()
    const entity = creates(chain, boss, create({ collection: 'c', body: chain.body() }))
    chain.feed(chain.checkpoint())
    const { records, chainId } = chain
    const parsed = new CommitParser(crypto).parse(chainId, records[1]!.bytes)
    const bytes = new CommitCompactor().compact(parsed, () => false)!.slice()
    const compacted = {
      replica: chain.replica,
      chainId,
      records: records.map((record) => (record.seq === 1 ? { ...record, bytes } : record)),
    }
    expect(await errorOf(proverOf(compacted).prove({ entity: textOf(entity) }, {}))).toMatchObject({
      code: 'BODY_DROPPED',
      facts: { seq: 1 },
    })
  })

  it('is a checkpoint, or one that enough witnesses have signed: two answers', async () => {
    const { chain } = begin()
    const witnesses = { keys: [testWitness(crypto, 'one.example/w').key], quorum: 1 }
    const none = proverOf(chain)
    expect(await codeOf(none.prove({ record: 0 }, {}))).toBe('NO_CHECKPOINT')
    expect(await codeOf(none.prove({ record: 0 }, { witnesses }))).toBe('NO_CHECKPOINT')
    expect(await codeOf(proving(chain).prove({ record: 0 }, { witnesses }))).toBe('NOT_WITNESSED')
  })

  it('is a mistake of ours where a certificate is known that no record holds', async () => {
    const { chain, boss } = begin()
    commits(chain, boss)
    const foreign = chain.session(eve)
    chain.write(foreign, [chain.tx()], { certificate: 'none', sequencer: root.id })
    const { seq } = chain.replica.head
    const known = chain.replica.trust.certificates
    known.set(toBinaryText(foreign.id), known.get(toBinaryText(boss.id))!)
    expect(await errorOf(proving(chain).prove({ record: seq }, {}))).toMatchObject({
      code: 'INTERNAL',
      facts: { what: 'the certificate of a commit' },
    })
  })
})

describe('a checkpoint that is given', () => {
  it('is one of this log by its number', async () => {
    const { chain } = begin()
    const prover = proving(chain)
    for (const wrong of [0, -1, 0.5, 2, Number.NaN])
      expect(await errorOf(prover.proveConsistency(wrong))).toMatchObject({
        code: 'BAD_ARGUMENT',
        facts: { seq: wrong },
      })
    expect((await prover.proveConsistency(1)).format).toMatch(/^ate-/)
  })

  it('is a note of this chain over at least one of its records, and over no more than it has', async () => {
    const { chain, boss } = begin()
    commits(chain, boss)
    const prover = proving(chain)
    const { tree } = chain.replica
    const sound = { origin: checkpointOrigin(chainIdOf(chain.chainId)), size: tree.size, root: tree.root() }
    const given = (part: Partial<typeof sound>): Promise<unknown> => {
      const note = encodeCheckpoint(crypto, { ...sound, ...part }, chain.checkpointSigner)
      const text = new TextDecoder().decode(note)
      return prover.proveConsistency(text, text)
    }
    expect(await codeOf(given({}))).toBe('nothing was thrown')
    for (const [part, what] of [
      [{ origin: checkpointOrigin(chainIdOf(other)) }, 'origin or size'],
      [{ size: 0, root: crypto.sha256(utf8('')) }, 'origin or size'],
      [{ size: tree.size + 1 }, 'it covers records that are not here'],
    ] as const)
      expect(await errorOf(given(part))).toMatchObject({ code: 'BAD_CHECKPOINT', facts: { what } })
  })
})

describe('a transaction of several runs', () => {
  /** Twenty creations, of which one has a name: proven with its run alone, and with all of them. */
  async function several(): Promise<{
    readonly chain: Forger
    readonly named: string
    readonly alone: Proof
    readonly all: Proof
  }> {
    const { chain, boss } = begin()
    const key = nameKey('it')
    const tx = chain.tx(
      ...Array.from({ length: 20 }, (_, i) =>
        create({ collection: 'c', body: chain.body(), ...(i === 18 ? { key } : {}) }),
      ),
    )
    chain.write(boss, [tx])
    const named = textOf(chain.nameOf(ROOT_ENTITY, 'c', key))
    const prover = proving(chain)
    const alone = await prover.prove({ entity: named }, {})
    return { chain, named, alone, all: await prover.prove({ transaction: toBase32(tx.nonce) }, {}) }
  }
  const withPart = (proof: Proof, part: Partial<TransactionPart>): Proof => ({
    ...proof,
    transaction: { ...proof.transaction!, ...part },
  })

  it('shows of one that came alone what needs none of the others: ids of what was named', async () => {
    const { chain, named, alone, all } = await several()
    const { event, transaction } = verify(chain, alone)
    expect(event?.entity).toBe(named)
    expect(transaction?.whole).toBe(false)
    expect(transaction?.events.map(({ entity }) => entity)).toEqual([undefined, undefined, named, undefined])
    expect(verify(chain, all).transaction?.events.every(({ entity }) => entity !== undefined)).toBe(true)
  })

  it('is all of its runs, in their number', async () => {
    const { chain, all } = await several()
    const { runs } = all.transaction!
    for (const part of [{ runIndex: 1 }, { runCount: 3 }, { runCount: 1 }, { runs: runs.slice(1) }, { runs: [] }])
      expect(refused(() => verify(chain, withPart(all, part)))).toBe('count of the runs')
    expect(refused(() => verify(chain, withPart(all, { runs: runs.toReversed() })))).toBe('path of the transaction')
  })

  it('is one run that stands at its place, and nothing beside it', async () => {
    const { chain, alone, all } = await several()
    const [first, second] = all.transaction!.runs
    for (const runs of [[first!], [second!, first!], [second!, second!], []])
      expect(refused(() => verify(chain, withPart(alone, { runs })))).toBe('path of the events')
    for (const part of [{ runIndex: 0 }, { runCount: 1 }, { runPath: [] }, { runRoot: toBase64(other) }])
      expect(refused(() => verify(chain, withPart(alone, part)))).toBe('path of the events')
  })
})

it('a ciphertext is of an event that writes a value', async () => {
  const { chain, boss } = begin()
  const bare = chain.tx(create({ collection: 'c' }))
  chain.write(boss, [bare])
  const proof = { ...(await proving(chain).prove({ transaction: toBase32(bare.nonce) }, {})), event: { index: 0 } }
  expect(verify(chain, proof).event).toMatchObject({ op: 'create' })
  const what = 'a value of an event that writes none'
  expect(refused(() => verify(chain, proof, utf8('x')))).toBe(what)
  const own = { ...proof, event: { index: 0, ciphertext: toBase64(utf8('x')) } }
  expect(refused(() => verify(chain, own))).toBe(what)
})
