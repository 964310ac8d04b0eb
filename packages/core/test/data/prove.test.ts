/** Proofs: what they show, and that no changed, exchanged, cut or foreign part of one is taken (N4, N6). */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { toHex, utf8 } from '../../src/base/bytes.ts'
import { addCosignatures } from '../../src/data/checkpoints.ts'
import { openChain } from '../../src/data/open-chain.ts'
import { type ConsistencyProof, type Proof, proofText } from '../../src/data/proof-format.ts'
import {
  type ProvenConsistency,
  type ProvenRecord,
  type VerifyProofOptions,
  verifyProof,
} from '../../src/data/verify-proof.ts'
import { checkpointOrigin } from '../../src/event/checkpoint.ts'
import { encodeCheckpoint } from '../../src/event/checkpoint-encode.ts'
import { KIND } from '../../src/event/format.ts'
import { parseNote } from '../../src/event/note.ts'
import { memoryEngine } from '../../src/log/memory.ts'
import { identityCheckpointSeed } from '../../src/session/identity.ts'
import { rememberingProvider } from '../../src/testing/chain-kit.ts'
import { testWitness } from '../../src/testing/witness.ts'
import { copyOf } from '../log/stored-records.ts'
import { expectAllRefused, refusal } from './corrupt.ts'
import { codeOf, crypto, type Kit, memoryChain, Note, person, quickPlatform, reopen } from './kit.ts'

/** ML-DSA of what was judged before is not judged again: thousands of changed proofs share their certificates. */
const verifier = { crypto: rememberingProvider(crypto) }
const witnesses = ['one.example/w', 'two.example/w', 'three.example/w'].map((name) => testWitness(crypto, name))
const platform = quickPlatform()

let kit: Kit
/** Ids and receipts of what is proven. */
let made: { name: string; small: string; many: string; changed: string; texts: string[]; txId: string; old: string }
beforeAll(async () => {
  kit = await memoryChain({}, platform)
  const { chain } = kit
  const [alice, bob] = [person('alice'), person('bob')]
  const first = await chain.checkpoint()
  const named = await chain.transact((tx) =>
    tx.create(Note, { text: 'named' }, { name: 'it', write: [alice, bob], read: [alice, bob] }),
  )
  const small = await chain.transact((tx) => tx.create(Note, { text: 'small' }))
  const many = await chain.transact((tx) =>
    Array.from({ length: 50 }, (_, i) => tx.create(Note, { text: `many ${i}` })),
  )
  const texts = many.map(({ id }) => id)
  await chain.transact(async (tx) => {
    for (const { id } of many) await tx.update(Note, id, ({ text }) => ({ text: `${text}!` }))
  })
  platform.advance(2000)
  await kit.core.settled()
  const tx = chain.begin()
  tx.create(Note, { text: 'by hand' })
  const { txId } = await tx.commit()
  made = { name: named.id, small: small.id, many: texts[20]!, changed: texts[40]!, texts, txId, old: first.note }
  platform.advance(2000)
  await kit.core.settled()
  await chain.checkpoint()
})
afterAll(() => kit[Symbol.asyncDispose]())

function verify(proof: unknown, options: Partial<VerifyProofOptions> = {}): ProvenRecord {
  const proven = verifyProof(proof as Proof, { chain: kit.chain.id, ...options }, verifier)
  expect(proven.kind).toBe('record')
  return proven as ProvenRecord
}

describe('what a proof shows', () => {
  it('of each record: its number, kind and hash, and of a commit who signed it, and with which key', async () => {
    const { chain, core } = kit
    const kinds = new Set<string>()
    for await (const { seq, kind, hash, author } of chain.records()) {
      if (seq === chain.head.seq) continue
      const proof = await chain.prove({ record: seq })
      const proven = verify(proof)
      kinds.add(kind)
      expect({ ...proven.record, hash: toHex(proven.record.hash) }).toMatchObject({ seq, kind, hash: toHex(hash) })
      expect(proven.checkpoint).toMatchObject({ size: chain.head.seq, witnesses: [] })
      expect(proven.commit?.author).toBe(kind === 'commit' ? author : undefined)
      if (kind === 'commit') expect(proven.commit).toMatchObject({ postQuantum: 'author', author: chain.identity })
    }
    expect([...kinds].sort()).toEqual(['attestation', 'checkpoint', 'commit', 'genesis'])
    expect(core.replica.attestedSeq).toBe(chain.head.seq)
  })

  it('as text or as an object; the text is JSON in one order', async () => {
    const proof = await kit.chain.prove({ record: 3 })
    const text = proofText(proof)
    expect(text.endsWith('}\n')).toBe(true)
    expect(JSON.parse(text)).toEqual(proof)
    expect(verify(text)).toEqual(verify(proof))
  })

  it('of a transaction: all of its events', async () => {
    const proven = verify(await kit.chain.prove({ transaction: made.txId }))
    expect(proven.transaction).toMatchObject({ txId: made.txId, whole: true, events: [{ op: 'create', type: 'note' }] })
    expect(proven.event).toBe(undefined)
    const receipt = (await kit.chain.outcome(made.txId))!
    expect(verify(await kit.chain.prove({ transaction: receipt }))).toEqual(proven)
  })

  it('of an entity: the event that wrote its value, with the ciphertext if it is asked for', async () => {
    const cases = [
      ['name', 'create', true, 1],
      ['small', 'create', true, 1],
      ['changed', 'put', false, 16],
    ] as const
    for (const [which, op, whole, events] of cases) {
      const id = made[which]
      const proof = await kit.chain.prove({ entity: id }, { ciphertext: 'include' })
      const proven = verify(proof)
      expect(proven.event).toMatchObject({ op, entity: id })
      expect(proven.transaction).toMatchObject({ whole, events: { length: events } })
      const { hash, ciphertext, bytes } = proven.event!.value!
      expect(toHex(crypto.sha256(ciphertext!))).toBe(toHex(hash))
      expect(ciphertext).toHaveLength(bytes)
      // Without it the hash is there, and who is given the bytes elsewhere compares them.
      const bare = await kit.chain.prove({ entity: id })
      expect(verify(bare).event?.value).toEqual({ bytes, hash })
      expect(verify(bare, { ciphertext: ciphertext! }).event).toEqual(proven.event)
      ciphertext![0]! ^= 1
      expect(refusal(() => verify(bare, { ciphertext: ciphertext! }))).toBe('BAD_PROOF')
      expect(refusal(() => verify(proof, { ciphertext: ciphertext! }))).toBe('BAD_PROOF')
    }
  })

  it('of an entity without a name that was made deep in a transaction: all runs before come along, so its id follows', async () => {
    await using other = await memoryChain()
    const ids = await other.chain.transact((tx) => Array.from({ length: 50 }, () => tx.create(Note, { text: 'x' }).id))
    await other.chain.checkpoint()
    const proven = verifyProof(
      await other.chain.prove({ entity: ids[37]! }),
      { chain: other.chain.id },
      verifier,
    ) as ProvenRecord
    expect(proven.event?.entity).toBe(ids[37])
    expect(proven.transaction?.events.map(({ entity }) => entity)).toEqual(ids)
    // Not attested yet: the author's session key alone.
    expect(proven.commit?.postQuantum).toBe('none')
  })

  it('a manager in the place of the author, if one has adopted the commit', async () => {
    await using own = await memoryChain()
    const both = [person('alice'), person('bob')]
    const box = await own.chain.transact((tx) => tx.create(Note, { text: 'box' }, { read: both, write: both }))
    await using bob = await reopen(own, { as: person('bob') })
    const note = await bob.chain.transact((tx) => tx.create(Note, { text: 'by bob' }, { parent: box.id }))
    // Bob's process ends without its attestation.
    const dead = copyOf(bob.store)
    const alice = await openChain(memoryEngine(dead), { as: person('alice'), id: own.chain.id }, quickPlatform(3))
    const writer = alice.writers().find(({ identity }) => identity === person('bob').fingerprint)!
    expect(await alice.adopt(writer.id)).toBe(1)
    await alice.checkpoint()
    const proven = verifyProof(await alice.prove({ entity: note.id }), { chain: alice.id }, verifier) as ProvenRecord
    expect(proven.commit).toMatchObject({
      author: person('bob').fingerprint,
      postQuantum: 'adopted',
      adoptedBy: person('alice').fingerprint,
    })
    await alice.close()
  })

  it('of a compacted chain as before', async () => {
    await using own = await memoryChain()
    const { chain } = own
    const kept = await chain.transact((tx) =>
      Array.from({ length: 9 }, (_, i) => tx.create(Note, { text: `note ${i}` })),
    )
    await chain.transact((tx) => tx.update(Note, kept[3]!.id, () => ({ text: 'changed' })))
    await chain.checkpoint()
    const wanted = [{ record: 1 }, { entity: kept[5]!.id }, { entity: kept[3]!.id }]
    const before = await Promise.all(wanted.map((what) => chain.prove(what, { ciphertext: 'include' })))
    expect((await chain.compact()).records).toBe(1)
    const after = await Promise.all(wanted.map((what) => chain.prove(what, { ciphertext: 'include' })))
    expect(after).toEqual(before)
    const proven = verifyProof(after[1]!, { chain: chain.id }, verifier) as ProvenRecord
    expect(proven.event).toMatchObject({ entity: kept[5]!.id, value: { ciphertext: expect.any(Uint8Array) } })
  })

  it('says what is missing', async () => {
    const { chain } = kit
    await using fresh = await memoryChain()
    expect(await codeOf(fresh.chain.prove({ record: 0 }))).toBe('NO_CHECKPOINT')
    await fresh.chain.checkpoint()
    expect(await codeOf(fresh.chain.prove({ record: 0 }))).toBe('nothing was thrown')
    // A checkpoint does not cover itself, nor what comes later.
    expect(await codeOf(fresh.chain.prove({ record: 1 }))).toBe('NO_CHECKPOINT')
    expect(await codeOf(fresh.chain.proveConsistency(1))).toBe('nothing was thrown')
    for (const wrong of [
      { record: 1e6 },
      { record: -1 },
      { record: 0.5 },
      { transaction: '0'.repeat(26) },
      { entity: `${'z'.repeat(25)}0` },
    ])
      expect(await codeOf(chain.prove(wrong))).toBe('NOT_FOUND')
    for (const wrong of [undefined, {}, 5, { transaction: 5 }])
      expect(await codeOf(chain.prove(wrong as never))).toBe('BAD_ARGUMENT')
    expect(await codeOf(chain.prove({ record: 1 }, { witnesses: { keys: [witnesses[0]!.key], quorum: 1 } }))).toBe(
      'NOT_WITNESSED',
    )
  })
})

describe('checkpoints', () => {
  it('of keys that the root named later are trusted if they are given', async () => {
    await using own = await memoryChain()
    const key = crypto.ed25519Signer(new Uint8Array(32).fill(5))
    const { chain, core } = own
    // A checkpoint of a key that the genesis does not name, as another process of the root would write it.
    await chain.transact((tx) => tx.settings({ checkpointKeys: [key.publicKey] }))
    await core.appendOther(KIND.checkpoint, () =>
      encodeCheckpoint(
        crypto,
        { origin: checkpointOrigin(chain.id), size: core.replica.tree.size, root: core.replica.tree.root() },
        key,
      ),
    )
    const proof = await chain.prove({ record: 0 })
    expect(refusal(() => verifyProof(proof, { chain: chain.id }, verifier))).toBe('BAD_PROOF')
    const checkpointKeys = [key.publicKey]
    expect(verifyProof(proof, { chain: chain.id, checkpointKeys }, verifier)).toMatchObject({
      checkpoint: { key: key.publicKey },
    })
    expect(refusal(() => verifyProof(proof, { chain: chain.id, checkpointKeys: [] }, verifier))).toBe('BAD_PROOF')
    expect(refusal(() => verifyProof(proof, { chain: chain.id, checkpointKeys: ['x' as never] }, verifier))).toBe(
      'BAD_ARGUMENT',
    )
  })

  it('are cosigned before they are stored, and relied on by those who know the witnesses', async () => {
    await using own = await memoryChain()
    const { chain } = own
    const [w1, w2, w3] = witnesses
    const keys = witnesses.map(({ key }) => key)
    const two = { keys, quorum: 2 }
    const lines = (note: string): string[] => [w1!.cosign(note, 5000), w2!.cosign(note, 6000)]
    const { seq, note } = await chain.checkpoint({ cosign: async (text) => lines(text), witnesses: two })
    expect(parseNote(utf8(note)).lines).toHaveLength(3)
    await chain.checkpoint()
    const cosigned = [
      { name: 'one.example/w', at: 5000 },
      { name: 'two.example/w', at: 6000 },
    ]
    const proof = await chain.prove({ record: 0 }, { witnesses: two })
    expect(verifyProof(proof, { chain: chain.id, witnesses: two }, verifier)).toMatchObject({
      checkpoint: { size: seq, witnesses: cosigned },
    })
    expect(refusal(() => verifyProof(proof, { chain: chain.id, witnesses: { keys, quorum: 3 } }, verifier))).toBe(
      'NOT_WITNESSED',
    )
    // The newest one is not cosigned; a line that comes later is put beside it.
    const newest = await chain.prove({ record: 0 })
    expect(refusal(() => verifyProof(newest, { chain: chain.id, witnesses: two }, verifier))).toBe('NOT_WITNESSED')
    const late = {
      ...newest,
      checkpoint: addCosignatures(newest.checkpoint, [
        ...lines(newest.checkpoint),
        w3!.cosign(newest.checkpoint, 7000),
      ]),
    }
    expect(verifyProof(late, { chain: chain.id, witnesses: { keys, quorum: 3 } }, verifier)).toMatchObject({
      checkpoint: { witnesses: { length: 3 } },
    })
    const replayed = { ...newest, checkpoint: addCosignatures(newest.checkpoint, lines(note)) }
    expect(refusal(() => verifyProof(replayed, { chain: chain.id, witnesses: two }, verifier))).toBe('BAD_COSIGNATURE')
    expect(refusal(() => verifyProof(replayed, { chain: chain.id }, verifier))).toBe('nothing was thrown')
    expect(await chain.verify()).toMatchObject({ ok: true, checkpoints: 2 })
  })

  it('are demanded when a chain is opened or verified', async () => {
    await using own = await memoryChain()
    const { chain } = own
    const two = { keys: witnesses.map(({ key }) => key), quorum: 2 }
    const lines = (note: string): string[] => witnesses.slice(0, 2).map((witness) => witness.cosign(note, 5000))
    const openAgain = async (): Promise<Kit> => reopen(own, { witnesses: two })
    expect(await chain.verify({ witnesses: two })).toMatchObject({ ok: false, problems: [{ code: 'NOT_WITNESSED' }] })
    const { seq, note } = await chain.checkpoint({ cosign: lines })
    await chain.transact((tx) => tx.create(Note, { text: 'behind it' }))
    await chain.checkpoint()
    const by = ['one.example/w', 'two.example/w'].map((name) => ({ name, at: 5000 }))
    expect(await chain.verify({ witnesses: two })).toMatchObject({ ok: true, witnessed: { seq, size: seq, by } })
    expect((await chain.verify()).witnessed).toBe(undefined)
    await using again = await openAgain()
    expect(again.chain.witnessed).toEqual({ seq, size: seq, by })
    expect(await codeOf(reopen({ ...own, chain: again.chain }, { witnesses: { ...two, quorum: 3 } }))).toBe(
      'NOT_WITNESSED',
    )
    // A line that one of them has signed for another checkpoint, stored with this one, is found by whoever relies on it.
    await using third = await reopen(own)
    const wrong = await third.chain.checkpoint({ cosign: () => parseNote(utf8(note)).lines.slice(1) })
    const problems = [{ code: 'BAD_COSIGNATURE', seq: wrong.seq }]
    expect(await third.chain.verify({ witnesses: two })).toMatchObject({ ok: false, problems, witnessed: { seq } })
    expect(await third.chain.verify()).toMatchObject({ ok: true })
    expect(await codeOf(third.chain.prove({ record: 0 }, { witnesses: two }))).toBe('BAD_COSIGNATURE')
    expect(await codeOf(reopen({ ...own, chain: third.chain }, { witnesses: two }))).toBe('BAD_COSIGNATURE')
  })

  it('are not stored without the witnesses that were asked for, and writing goes on', async () => {
    await using own = await memoryChain()
    const { chain } = own
    const two = { keys: witnesses.map(({ key }) => key), quorum: 2 }
    const one = (note: string): string[] => [witnesses[0]!.cosign(note, 5000)]
    expect(await codeOf(chain.checkpoint({ cosign: one, witnesses: two }))).toBe('NOT_WITNESSED')
    expect(await codeOf(chain.checkpoint({ cosign: () => ['nonsense'] }))).toBe('BAD_CHECKPOINT')
    expect(await codeOf(chain.checkpoint({ cosign: () => 'x' as never }))).toBe('BAD_ARGUMENT')
    await expect(chain.checkpoint({ cosign: () => Promise.reject(new Error('unplugged')) })).rejects.toThrow(
      'unplugged',
    )
    const silent = codeOf(chain.checkpoint({ cosign: () => new Promise(() => undefined) }))
    const written = chain.transact((tx) => tx.create(Note, { text: 'waits' }))
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(chain.head.seq).toBe(0)
    own.platform.advance(10_000)
    expect(await silent).toBe('NOT_WITNESSED')
    await written
    expect(await chain.verify()).toMatchObject({ ok: true, checkpoints: 0, records: 2 })
  })
})

describe('consistency', () => {
  const check = (proof: unknown, options: Partial<VerifyProofOptions> = {}): ProvenConsistency =>
    verifyProof(proof as ConsistencyProof, { chain: kit.chain.id, ...options }, verifier) as ProvenConsistency

  it('of an older checkpoint with a newer one, by number or by note', async () => {
    const { chain } = kit
    const proof = await chain.proveConsistency(1)
    expect(check(proof)).toMatchObject({ kind: 'consistency', from: { size: 1 }, to: { size: chain.head.seq } })
    expect(await chain.proveConsistency(made.old)).toEqual(proof)
    expect(await chain.proveConsistency(1, chain.head.seq)).toEqual(proof)
    expect(check(await chain.proveConsistency(made.old, made.old)).to.size).toBe(1)
    expect(await codeOf(chain.proveConsistency(chain.head.seq, 1))).toBe('BAD_ARGUMENT')
    for (const wrong of [0, 2, -1, 1e9, undefined])
      expect(await codeOf(chain.proveConsistency(wrong as never))).toBe('BAD_ARGUMENT')
    expect(await codeOf(chain.proveConsistency('x'))).toBe('BAD_CHECKPOINT')
  })

  it('tells a note that a key of the chain signed over other records from one that is forged', async () => {
    const { chain, core } = kit
    const key = crypto.ed25519Signer(identityCheckpointSeed(core.identity, core.replica.genesis.parameters.nonce))
    const other = { origin: checkpointOrigin(chain.id), size: 3, root: new Uint8Array(32).fill(3) }
    const noteBy = (signer: typeof key): string => new TextDecoder().decode(encodeCheckpoint(crypto, other, signer))
    expect(await codeOf(chain.proveConsistency(noteBy(key)))).toBe('FORK')
    expect(await codeOf(chain.proveConsistency(noteBy(crypto.ed25519Signer(new Uint8Array(32)))))).toBe(
      'BAD_CHECKPOINT',
    )
  })

  it('is refused with any part changed', async () => {
    expectAllRefused(await kit.chain.proveConsistency(1), (proof) => check(proof))
    const swapped = await kit.chain.proveConsistency(1)
    expect(refusal(() => check({ ...swapped, from: swapped.to, to: swapped.from }))).toBe('BAD_PROOF')
  })
})

describe('a changed proof', () => {
  it('is refused at every element, or says the same', async () => {
    const { chain } = kit
    const proofs = [
      await chain.prove({ record: 0 }),
      await chain.prove({ transaction: made.txId }),
      await chain.prove({ entity: made.changed }, { ciphertext: 'include' }),
      await chain.prove({ entity: made.small }),
    ]
    let tried = 0
    for (const proof of proofs) {
      // Another index is another event of the same run, and as true; without its parts a proof says less.
      const mayDiffer = ['.event.index', '.event', '.event.ciphertext', '.attestation', '.transaction']
      tried += expectAllRefused(proof, (changed) => verify(changed), mayDiffer)
    }
    expect(tried).toBeGreaterThan(1000)
  })

  it('cannot be put together from two', async () => {
    const { chain } = kit
    const [a, b] = [await chain.prove({ entity: made.small }), await chain.prove({ transaction: made.txId })]
    for (const field of ['record', 'commit', 'attestation', 'transaction'] as const) {
      const mixed = { ...a, [field]: b[field] }
      expect(
        refusal(() => verify(mixed)),
        field,
      ).toBe('BAD_PROOF')
    }
    const { event: _, ...rest } = a
    expect(refusal(() => verify({ ...rest, event: { index: 50 } }))).toBe('BAD_PROOF')
  })

  it('of another chain is refused, also where the same identity made both', async () => {
    await using other = await memoryChain({}, quickPlatform(9))
    await other.chain.checkpoint()
    const foreign = await other.chain.prove({ record: 0 })
    expect(refusal(() => verify(foreign))).toBe('BAD_PROOF')
    expect(refusal(() => verify({ ...foreign, chain: kit.chain.id }))).toBe('BAD_PROOF')
    const own = await kit.chain.prove({ record: 0 })
    expect(refusal(() => verify({ ...own, checkpoint: foreign.checkpoint }))).toBe('BAD_PROOF')
    expect(refusal(() => verify({ ...own, genesis: foreign.genesis }))).toBe('BAD_PROOF')
    expect(refusal(() => verifyProof(own, { chain: other.chain.id }, verifier))).toBe('BAD_PROOF')
    expect(refusal(() => verifyProof(own, {} as never, verifier))).toBe('BAD_ID')
    expect(refusal(() => verifyProof(own, undefined as never, verifier))).toBe('BAD_ARGUMENT')
  })

  it('with a checkpoint of a key that the root did not name, of a session say, is refused', async () => {
    const own = await kit.chain.prove({ record: 2 })
    const { checkpoint } = parseNote(utf8(own.checkpoint))
    const forged = encodeCheckpoint(crypto, checkpoint, crypto.ed25519Signer(new Uint8Array(32).fill(8)))
    expect(refusal(() => verify({ ...own, checkpoint: new TextDecoder().decode(forged) }))).toBe('BAD_PROOF')
  })

  it('of any JSON, or of none, is refused with our own errors and in little time', async () => {
    const proof = await kit.chain.prove({ entity: made.small })
    const deep = '['.repeat(200_000) + ']'.repeat(200_000)
    const circle: { self?: unknown } = {}
    circle.self = circle
    const wrong: unknown[] = [
      '',
      'x',
      'null',
      '[]',
      '5',
      deep,
      `{"format":${deep}}`,
      circle,
      undefined,
      null,
      7,
      1n,
      () => 1,
      'x'.repeat(5_000_000),
    ]
    wrong.push({
      ...proof,
      record: { ...proof.record, path: Array.from({ length: 100_000 }, () => proof.record.path[0]) },
    })
    wrong.push(
      { ...proof, genesis: 'A'.repeat(3_000_000) },
      { ...proof, __proto__: { format: 'x' }, format: undefined },
    )
    for (const given of wrong) {
      const start = process.cpuUsage()
      expect(refusal(() => verify(given))).toBe('BAD_PROOF')
      expect(process.cpuUsage(start).user).toBeLessThan(1_500_000)
    }
    fc.assert(
      fc.property(fc.json({ maxDepth: 5 }), (text) => refusal(() => verify(text)) === 'BAD_PROOF'),
      { numRuns: 300 },
    )
    fc.assert(
      fc.property(fc.nat(), fc.nat(255), (at, byte) => {
        const bytes = utf8(proofText(proof))
        bytes[at % bytes.length] = byte
        const text = new TextDecoder().decode(bytes)
        const found = refusal(() => verify(text))
        return ['BAD_PROOF', 'nothing was thrown'].includes(found)
      }),
      { numRuns: 300 },
    )
  })
})
