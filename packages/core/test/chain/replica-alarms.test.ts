/**
 * Every alarm of a replica, reached by a crafted record: it names the record, and the state is as before, so that the
 * sound record of that place is taken afterwards.
 */
import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { COMMIT_EVENTS_MAX, RECORD_BYTES_MAX } from '../../src/base/limits.ts'
import { Replica } from '../../src/chain/replica.ts'
import { COMPOSITE_SIGNATURE_BYTES } from '../../src/crypto/composite.ts'
import { CommitEncoder } from '../../src/event/commit-encode.ts'
import { COMMIT, FOLD_LEVEL, KIND, OP, RECORD_HEAD_BYTES } from '../../src/event/format.ts'
import {
  encodeGenesis,
  encodeParameters,
  type GenesisParameters,
  genesisMessage,
  hashParameters,
} from '../../src/event/genesis.ts'
import { hashRecord } from '../../src/event/record.ts'
import { encodeSweep } from '../../src/event/sweep.ts'
import { TransactionEvent } from '../../src/event/transaction-event.ts'
import type { LogRecord } from '../../src/log/engine.ts'
import { actorOf, change, create, type Forger } from '../../src/testing/chain-kit.ts'
import { alarms, ann, bob, boxChain, commits, creates, crypto, errorOf, eve, forger, outcomesOf, root } from './kit.ts'

/** Bytes of a good commit with a body, changed and signed again by its writer. */
function changedCommit(
  chain: Forger,
  session: ReturnType<Forger['session']>,
  edit: (bytes: Uint8Array) => void,
  sign = true,
): LogRecord {
  const record = chain.commit(session, [chain.tx(create({ collection: 'c', body: chain.body() }))])
  const bytes = record.bytes.slice()
  edit(bytes)
  return sign ? chain.resigned(bytes, record.seq, session.signer) : chain.rehashed(bytes, record.seq)
}

describe('links', () => {
  it('LINK_MISMATCH: another place, another predecessor, another hash', () => {
    const { chain, boss } = boxChain()
    const { seq } = chain.replica.head
    const honest = chain.commit(boss, [chain.tx()])
    const facts = { seq: seq + 1 }
    alarms(chain, () => chain.feed(chain.commit(boss, [], { seq: seq + 2 })), 'LINK_MISMATCH', { seq: seq + 2 })
    alarms(chain, () => chain.feed(chain.commit(boss, [], { seq })), 'LINK_MISMATCH', { seq })
    alarms(chain, () => chain.feed(chain.commit(boss, [], { prev: chain.bytes(32) })), 'LINK_MISMATCH', facts)
    alarms(chain, () => chain.feed({ ...honest, seq: seq + 2 }), 'LINK_MISMATCH')
    alarms(chain, () => chain.feed({ ...honest, hash: chain.bytes(32) }), 'LINK_MISMATCH', facts)
    alarms(chain, () => chain.feed({ ...chain.checkpoint(), hash: chain.bytes(32) }), 'LINK_MISMATCH', facts)
    alarms(chain, () => chain.feed(chain.records[seq]!), 'LINK_MISMATCH', { seq })
    expect(outcomesOf(chain.feed(honest))).toEqual(['committed'])
  })

  it('BAD_SEQUENCER: strangers under `writers`, everyone else under a list', () => {
    const { chain, boss, writer } = boxChain()
    const by = (sequencer: Uint8Array): LogRecord => chain.commit(boss, [chain.tx()], { sequencer })
    alarms(chain, () => chain.feed(by(eve.id)), 'BAD_SEQUENCER', { seq: chain.replica.head.seq + 1 })
    alarms(chain, () => chain.feed(chain.other(KIND.sweep, Uint8Array.of(0), { sequencer: eve.id })), 'BAD_SEQUENCER')
    expect(outcomesOf(chain.feed(by(bob.id)))).toEqual(['committed'])
    commits(chain, Object.assign(boss, { mark: boss.mark + 1 }), {
      op: 11,
      entity: chain.replica.view.wordsOf(0),
      rare: { root: { sequencers: [ann.id] } },
    })
    // From the next record on.
    alarms(chain, () => chain.feed(chain.commit(boss, [chain.tx()])), 'BAD_SEQUENCER')
    alarms(chain, () => chain.feed(chain.checkpoint()), 'BAD_SEQUENCER')
    expect(outcomesOf(chain.write(boss, [chain.tx()], { sequencer: ann.id }))).toEqual(['committed'])
    commits(chain, writer)
    commits(
      chain,
      writer,
      create({ parent: chain.nameOf(chain.replica.view.wordsOf(0), 'boxes', nameBox()), collection: 'c' }),
    )
  })

  it('a stranger orders his own commits only, until he has written', () => {
    const { chain, boss } = boxChain()
    const open = creates(chain, boss, create({ rare: { policy: { write: 'everyone' } } }))
    const stranger = chain.session(eve)
    alarms(chain, () => chain.feed(chain.commit(boss, [chain.tx()], { sequencer: eve.id })), 'BAD_SEQUENCER')
    expect(outcomesOf(chain.write(stranger, [chain.tx(create({ parent: open, collection: 'c' }))]))).toEqual([
      'committed',
    ])
    chain.feed(chain.other(KIND.sweep, Uint8Array.of(0), { sequencer: eve.id }))
  })
})

function nameBox(): Uint8Array {
  const bytes = new Uint8Array(16)
  bytes.set(new TextEncoder().encode('box'))
  return bytes
}

describe('commits', () => {
  it('BAD_SIGNATURE, BAD_ROOT, BAD_BODY, BAD_RECORD', () => {
    const { chain, boss } = boxChain()
    const seq = chain.replica.head.seq + 1
    const bad = (edit: (bytes: Uint8Array) => void, code: Parameters<typeof alarms>[2], sign = true): void =>
      alarms(chain, () => chain.feed(changedCommit(chain, boss, edit, sign)), code, { seq })
    bad((bytes) => (bytes[COMMIT.sig]! ^= 1), 'BAD_SIGNATURE', false)
    bad((bytes) => (bytes[COMMIT.at + 7]! ^= 1), 'BAD_SIGNATURE', false)
    bad((bytes) => (bytes[COMMIT.root]! ^= 1), 'BAD_ROOT')
    bad((bytes) => (bytes[bytes.length - 1]! ^= 1), 'BAD_BODY')
    bad((bytes) => (bytes[COMMIT.clearLength + 3]! ^= 1), 'BAD_RECORD')
    bad((bytes) => (bytes[COMMIT.certificateLength + 3]! ^= 1), 'BAD_RECORD')
    alarms(
      chain,
      () => chain.feed(chain.commit(boss, [chain.tx()], { signer: chain.session(ann).signer })),
      'BAD_SIGNATURE',
      { seq },
    )
    // A good signature of a certificate that does not sign here.
    alarms(
      chain,
      () => chain.feed(chain.commit(chain.session(ann), [chain.tx()], { writer: boss.id, certificate: 'none' })),
      'BAD_SIGNATURE',
    )
    expect(outcomesOf(chain.feed(changedCommit(chain, boss, () => undefined)))).toEqual(['committed'])
  })

  it('BAD_RECORD: what no honest encoder writes', () => {
    const { chain, boss, box } = boxChain()
    const { head } = chain.replica
    const bad = (record: LogRecord, what: string): void =>
      alarms(chain, () => chain.feed(record), 'BAD_RECORD', { what })
    bad(chain.commit(boss, [chain.tx(change(OP.delete, box, { body: chain.body() }))]), 'flags of an event')
    bad(chain.commit(boss, [chain.tx({ kind: 7 as never, entity: box, collection: '', count: 0 })]), 'guard kind')
    bad(chain.commit(boss, [chain.tx(change(15 as never, box))]), 'operation')
    // A block of `held` bytes of which an event claims `claimed`.
    const withBlock = (held: number, claimed: number, mode = 0): LogRecord => {
      const event = Object.assign(new TransactionEvent(OP.create), { collection: 'c', body: true, size: claimed })
      const { node, epoch } = chain.body()
      const seal = { salt: chain.bytes(32), commitment: chain.bytes(32), tag: chain.bytes(16), encapsulated: undefined }
      const unsigned = new CommitEncoder(crypto).encode(chain.chainId, {
        record: { seq: head.seq + 1, prev: head.hash, admittedAt: chain.time, sequencer: root.id },
        writer: boss.id,
        writerSeq: boss.mark + 1,
        base: head,
        at: chain.time,
        certificate: undefined,
        transactions: [{ nonce: chain.nonce(), guards: [], events: [event] }],
        blocks: [{ node, epoch, mode, ...seal, size: held, ciphertext: chain.bytes(held) }],
      })
      return { ...unsigned.finish(boss.signer.sign(unsigned.commitHash)), seq: head.seq + 1 }
    }
    bad(withBlock(9, 8), 'a block and its slices differ in size')
    bad(withBlock(8, 9), 'slices are longer than their block')
    bad(withBlock(8, 8, 2), 'block mode')
    const large = chain.commit(boss, [
      chain.tx(create({ body: { ...chain.body(), bytes: chain.bytes(RECORD_BYTES_MAX) } })),
    ])
    alarms(chain, () => chain.feed(large), 'BAD_RECORD', { bytes: large.bytes.length, max: RECORD_BYTES_MAX })
    expect(outcomesOf(chain.feed(withBlock(8, 8)))).toEqual(['committed'])
  })

  it('UNSUPPORTED_FORMAT', () => {
    const { chain, boss } = boxChain()
    for (const at of [COMMIT.format, COMMIT.suite]) {
      alarms(chain, () => chain.feed(changedCommit(chain, boss, (bytes) => (bytes[at] = 2))), 'UNSUPPORTED_FORMAT', {
        seq: chain.replica.head.seq + 1,
      })
    }
  })

  it('BAD_RECORD: a kind that is none', () => {
    const { chain } = boxChain()
    for (const kind of [0, 7, 255])
      alarms(
        chain,
        () => chain.replica.accept({ ...chain.checkpoint(), bytes: chain.other(kind as never, chain.bytes(4)).bytes }),
        'BAD_RECORD',
        { kind },
      )
  })

  it('CERT_ENDED: a certificate that would live longer than a day', () => {
    const { chain } = boxChain()
    const long = chain.session(ann, { until: chain.time + 86_400_001 })
    const accepted = chain.write(long, [chain.tx()])
    expect(accepted.outcomes?.[0]).toMatchObject({ code: 'CERT_ENDED', facts: { max: chain.time + 86_400_000 } })
    expect(chain.replica.trust.certificates.size).toBe(1)
    // What the author says of the time does not help.
    expect(outcomesOf(chain.write(long, [chain.tx()], { at: chain.time + 1e9 }))).toEqual(['CERT_ENDED'])
    commits(chain, chain.session(ann, { until: chain.time + 86_400_000 }))
  })
})

describe('checkpoints', () => {
  it('BAD_CHECKPOINT: size, root, origin, key, form', () => {
    const { chain, boss } = boxChain()
    const { size } = chain.replica.tree
    const seq = chain.replica.head.seq + 1
    const bad = (record: LogRecord, what: string): void =>
      alarms(chain, () => chain.feed(record), 'BAD_CHECKPOINT', { what, seq })
    const stranger = crypto.ed25519Signer(chain.bytes(32))
    bad(chain.checkpoint({ size: size + 1 }), 'root')
    bad(chain.checkpoint({ size: size - 1 }), 'root')
    bad(chain.checkpoint({ root: chain.bytes(32) }), 'root')
    bad(chain.checkpoint({ origin: 'ate/another' }), 'form')
    bad(chain.checkpoint({}, stranger), 'signature')
    bad(
      chain.checkpoint({}, { publicKey: chain.checkpointSigner.publicKey, sign: (message) => stranger.sign(message) }),
      'signature',
    )
    // The key of a session, however good, is no key of checkpoints.
    bad(chain.checkpoint({}, boss.signer), 'signature')
    const text = new TextDecoder().decode(chain.checkpoint().bytes.subarray(RECORD_HEAD_BYTES))
    const payload = (changed: string): LogRecord => chain.other(KIND.checkpoint, new TextEncoder().encode(changed))
    bad(payload(''), 'form')
    bad(payload(text.slice(0, -1)), 'form')
    bad(payload(text.replace(`\n${size}\n`, `\n0${size}\n`)), 'form')
    bad(payload(text.replace(/\n— .*\n$/, '\n')), 'form')
    bad(chain.other(KIND.checkpoint, Uint8Array.of(0xff)), 'not UTF-8')
    alarms(chain, () => chain.feed(payload('x'.repeat(20_000))), 'BAD_CHECKPOINT', { bytes: 20_000 })
    const line = text.slice(text.indexOf('— '))
    alarms(chain, () => chain.feed(payload(text + line.repeat(32))), 'BAD_CHECKPOINT', { signatures: 33, max: 32 })
    // Lines of witnesses beside the one that counts are not judged.
    chain.feed(payload(`${text}— witness.example AAAAAAAA\n`))
    chain.feed(chain.checkpoint())
    expect(chain.replica.checkpoints).toBe(2)
    commits(chain, boss, {
      op: 11,
      entity: chain.replica.view.wordsOf(0),
      rare: { root: { checkpointKeys: [stranger.publicKey] } },
    })
    bad2(chain)
    chain.feed(chain.checkpoint({}, stranger))
  })

  /** The key that was named before is named no more. */
  function bad2(chain: Forger): void {
    alarms(chain, () => chain.feed(chain.checkpoint()), 'BAD_CHECKPOINT', { what: 'signature' })
  }
})

describe('other records', () => {
  it('BAD_RECORD: a sweep that is not what it says', () => {
    const { chain } = boxChain()
    for (const payload of [
      Uint8Array.of(),
      Uint8Array.of(1),
      Uint8Array.of(0, 0),
      Uint8Array.of(2, ...chain.bytes(16)),
      Uint8Array.of(255, 255, 255, 1),
    ]) {
      alarms(chain, () => chain.feed(chain.other(KIND.sweep, payload)), 'BAD_RECORD', {
        seq: chain.replica.head.seq + 1,
      })
    }
    const many = encodeSweep(Array.from({ length: COMMIT_EVENTS_MAX + 1 }, () => chain.replica.view.wordsOf(0)))
    alarms(chain, () => chain.feed(chain.other(KIND.sweep, many)), 'BAD_RECORD', { what: 'sweep' })
  })

  it('BAD_GENESIS: a second one', () => {
    const { chain } = boxChain()
    const payload = chain.records[0]!.bytes.slice(RECORD_HEAD_BYTES)
    alarms(chain, () => chain.feed(chain.other(KIND.genesis, payload)), 'BAD_GENESIS', {
      what: 'a second one',
      seq: chain.replica.head.seq + 1,
    })
  })

  it('BAD_ATTESTATION: bytes that are none', () => {
    const { chain, boss } = boxChain()
    const good = chain.attestation(boss)
    for (const size of [0, 1, 100, good.bytes.length - RECORD_HEAD_BYTES - 1]) {
      const payload = good.bytes.slice(RECORD_HEAD_BYTES, RECORD_HEAD_BYTES + size)
      alarms(chain, () => chain.feed(chain.other(KIND.attestation, payload)), 'BAD_ATTESTATION')
    }
    alarms(
      chain,
      () => chain.feed(chain.other(KIND.attestation, Uint8Array.of(...good.bytes.subarray(RECORD_HEAD_BYTES), 0))),
      'BAD_ATTESTATION',
    )
    chain.feed(good)
  })
})

describe('the first record', () => {
  const chain = forger()
  const makers = { crypto, seed: 1 }
  const parameters: GenesisParameters = chain.replica.genesis.parameters
  const codeOf = (record: LogRecord): unknown => {
    const caught = errorOf(() => Replica.open(makers, record)) as { code?: string; facts?: object }
    return caught.code ?? caught
  }
  const honest = (): LogRecord => chain.genesis(parameters)

  it('opens', () => {
    expect(toHex(Replica.open(makers, honest()).chainId)).toBe(toHex(chain.chainId))
  })

  it.each<[string, () => LogRecord]>([
    ['is no genesis', () => chain.commit(chain.session(root), [])],
    ['has another place', () => ({ ...honest(), bytes: edited(honest().bytes, 7, 1) })],
    ['has a predecessor', () => ({ ...honest(), bytes: edited(honest().bytes, 9, 1) })],
    ['has an epoch of another number', () => chain.genesis(parameters, chain.epoch(1, [root.id]))],
    ['has an epoch for others', () => chain.genesis(parameters, chain.epoch(0, [eve.id]))],
    ['has an epoch for everyone', () => chain.genesis(parameters, chain.epoch(0, 'everyone'))],
    ['has no roots', () => chain.genesis({ ...parameters, roots: [] }, chain.epoch(0, []))],
    ['has roots of a wrong size', () => chain.genesis({ ...parameters, roots: [root.identity.keys.slice(1)] })],
    ['has a short nonce', () => chain.genesis({ ...parameters, nonce: new Uint8Array(31) })],
    ['has no sequencer', () => chain.genesis({ ...parameters, sequencers: [] })],
    ['names a durability that is none', () => chain.genesis({ ...parameters, durability: 'paper' as never })],
    ['has a level that is no number', () => chain.genesis({ ...parameters, level: 1.5 })],
    [
      'has checkpoint keys of a wrong size',
      () => chain.genesis({ ...parameters, checkpointKeys: [new Uint8Array(31)] }),
    ],
    ['has fields that nobody knows', () => chain.genesis({ ...parameters, more: 1 } as never)],
    ['has a signature too many', () => withSignatures(2)],
    ['has no signature', () => withSignatures(0)],
    ['says that it has two signatures and has one', () => withSignatures(1, 2)],
    ['is cut', () => ({ ...honest(), bytes: honest().bytes.slice(0, 200) })],
    ['has bytes left over', () => ({ ...honest(), bytes: Uint8Array.of(...honest().bytes, 0) })],
  ])('BAD_GENESIS: it %s', (_, make) => {
    expect(codeOf(make())).toBe('BAD_GENESIS')
  })

  it('BAD_SIGNATURE: by another, over another epoch, in another place', () => {
    const epoch = chain.epoch(0, [root.id])
    const encoded = encodeParameters(parameters)
    const message = genesisMessage(crypto, hashParameters(crypto, encoded), epoch)
    const of = (signature: Uint8Array, over = epoch): LogRecord => record(encodeGenesis(encoded, over, [signature]))
    expect(codeOf(of(root.identity.sign(message, 'genesis')))).toBe('nothing was thrown')
    expect(codeOf(of(eve.identity.sign(message, 'genesis')))).toBe('BAD_SIGNATURE')
    expect(codeOf(of(root.identity.sign(message, 'genesis'), chain.epoch(0, [root.id])))).toBe('BAD_SIGNATURE')
    expect(codeOf(of(root.identity.sign(message, 'certificate')))).toBe('BAD_SIGNATURE')
  })

  it('every root signs', () => {
    const two = forger({ roots: [root, actorOf(crypto, 'second')], seed: 3 })
    expect(two.replica.trust.identities.size).toBe(2)
    const { bytes } = two.records[0]!
    const forged = bytes.slice()
    forged[forged.length - 1]! ^= 1
    expect(codeOf({ seq: 0, bytes: forged, hash: bytes })).toBe('BAD_SIGNATURE')
  })

  it('UNSUPPORTED_FORMAT, NEEDS_UPGRADE, LINK_MISMATCH', () => {
    expect(codeOf(chain.genesis({ ...parameters, format: 2 }))).toBe('UNSUPPORTED_FORMAT')
    expect(codeOf(chain.genesis({ ...parameters, suite: 2 }))).toBe('UNSUPPORTED_FORMAT')
    expect(codeOf(chain.genesis({ ...parameters, level: FOLD_LEVEL + 1 }))).toBe('NEEDS_UPGRADE')
    expect(codeOf({ ...honest(), hash: chain.bytes(32) })).toBe('LINK_MISMATCH')
  })

  function withSignatures(count: number, said: number = count): LogRecord {
    const epoch = chain.epoch(0, [root.id])
    const encoded = encodeParameters(parameters)
    const message = genesisMessage(crypto, hashParameters(crypto, encoded), epoch)
    const payload = encodeGenesis(
      encoded,
      epoch,
      Array.from({ length: count }, () => root.identity.sign(message, 'genesis')),
    )
    // The count stands before the signatures, in one byte.
    payload[payload.length - count * COMPOSITE_SIGNATURE_BYTES - 1] = said
    return record(payload)
  }

  function record(payload: Uint8Array): LogRecord {
    const bytes = Uint8Array.of(...honest().bytes.subarray(0, RECORD_HEAD_BYTES), ...payload)
    return { seq: 0, bytes, hash: hashRecord(crypto, chain.chainId, bytes, KIND.genesis) }
  }
})

function edited(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = bytes.slice()
  copy[at] = value
  return copy
}
