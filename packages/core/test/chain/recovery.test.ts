/** Records of recovery at a replica: each guard reached by a crafted record, and what a sound one ends. */
import { describe, expect, it } from 'vitest'
import { toBinaryText } from '../../src/base/bytes.ts'
import { RECOVER_LOST_MAX } from '../../src/base/limits.ts'
import { encodeCanonical } from '../../src/codec/cbor.ts'
import { ByteWriter } from '../../src/codec/writer.ts'
import { taggedHash } from '../../src/crypto/tagged-hash.ts'
import { KIND } from '../../src/event/format.ts'
import type { RecoveryBody } from '../../src/event/recovery.ts'
import type { LogRecord } from '../../src/log/engine.ts'
import { create, type Forger } from '../../src/testing/chain-kit.ts'
import { alarms, ann, boxChain, commits, crypto, eve, forger, outcomesOf, root } from './kit.ts'

/** Anything as a body, with a signature of root that fits. */
function signedAs(chain: Forger, body: unknown, more = 0): LogRecord {
  const encoded = encodeCanonical(body)
  const out = new ByteWriter(16_384)
  out.sized(encoded)
  out.raw(root.identity.sign(taggedHash(crypto, 'recover', encoded), 'recover'))
  out.raw(new Uint8Array(more))
  return chain.other(KIND.recover, out.copy())
}

function honest(chain: Forger): RecoveryBody {
  const { head } = chain.replica
  return { chain: chain.chainId, by: root.id, prev: head.hash, from: head.seq + 1, hash: head.hash, lost: [] }
}

describe('a record of recovery', () => {
  it('ends every certificate of before, and nothing else; its writer takes a new one', () => {
    const { chain, boss, writer, box } = boxChain()
    commits(chain, writer, create({ parent: box, collection: 'c' }))
    const { seq, hash } = chain.replica.head
    const time = chain.replica.chainTime
    chain.time += 5000
    const record = chain.recovery(root)
    chain.feed(record)
    expect(chain.replica.trust.recoveries).toEqual([{ seq: seq + 1, hash: record.hash, from: seq + 1 }])
    expect(chain.replica.chainTime).toBe(time)
    for (const session of [boss, writer]) {
      const certificate = chain.replica.trust.certificates.get(toBinaryText(session.id))!
      expect([certificate.ended, certificate.mark]).toEqual([true, 1])
      expect(outcomesOf(chain.write(session, [chain.tx()], { base: { seq, hash } }))).toEqual(['CERT_ENDED'])
    }
    // What was signed before can still be attested.
    chain.feed(chain.attestation(boss))
    commits(chain, chain.session(ann), create({ parent: box, collection: 'c' }))
  })

  it('BAD_RECOVERY: by who does not manage the root, or with a signature that is not its own', () => {
    const { chain } = boxChain()
    alarms(chain, () => chain.feed(chain.recovery(ann)), 'BAD_RECOVERY', { what: 'who recovers must manage the root' })
    alarms(chain, () => chain.feed(chain.recovery(eve)), 'BAD_RECOVERY', { what: 'who recovers must manage the root' })
    for (const record of [
      chain.recovery(root, {}, 'recover', ann),
      chain.recovery(root, {}, 'attestation'),
      changedSignature(chain),
    ]) {
      alarms(chain, () => chain.feed(record), 'BAD_RECOVERY', { what: 'signature', seq: record.seq })
    }
    chain.feed(chain.recovery(root))
  })

  it('BAD_RECOVERY: for another chain, another place, or with another common part', () => {
    const { chain } = boxChain()
    const { seq } = chain.replica.head
    const other = (change: Partial<RecoveryBody>, what: string): void =>
      alarms(chain, () => chain.feed(chain.recovery(root, change)), 'BAD_RECOVERY', { what })
    other({ chain: chain.bytes(32) }, 'chain')
    other({ prev: chain.bytes(32) }, 'place')
    other({ hash: chain.bytes(32) }, 'common part')
    other({ from: seq }, 'common part')
    other({ from: seq + 2 }, 'common part')
    other({ from: seq + 2, hash: new Uint8Array(32) }, 'common part')
    other({ from: 1 }, 'common part')
    chain.feed(chain.recovery(root, { from: 1, hash: chain.records[0]!.hash }))
    // The same payload once more, in the place behind it: who stores the chain cannot end certificates at will.
    const payload = chain.records.at(-1)!.bytes.slice(81)
    alarms(chain, () => chain.feed(chain.other(KIND.recover, payload)), 'BAD_RECOVERY', { what: 'place' })
  })

  it('BAD_RECOVERY: of another form', () => {
    const { chain } = boxChain()
    const head = (seq: number): { seq: number; hash: Uint8Array } => ({ seq, hash: chain.bytes(32) })
    const next = chain.replica.head.seq + 1
    const full = Array.from({ length: RECOVER_LOST_MAX }, (_, i) => head(next + i))
    const bad = (change: Record<string, unknown>): void =>
      alarms(chain, () => chain.feed(signedAs(chain, { ...honest(chain), ...change })), 'BAD_RECOVERY')
    bad({ lost: [...full, head(next + 99)] })
    bad({ lost: [head(next), head(next)] })
    bad({ lost: [head(next + 1), head(next)] })
    bad({ lost: [head(next - 1)] })
    bad({ lost: [{ seq: next, hash: chain.bytes(31) }] })
    bad({ lost: [{ ...head(next), more: 1 }] })
    bad({ lost: [null] })
    bad({ lost: {} })
    bad({ from: 0 })
    bad({ from: 1.5 })
    bad({ by: chain.bytes(31) })
    bad({ hash: 'x' })
    bad({ more: 1 })
    alarms(chain, () => chain.feed(signedAs(chain, [])), 'BAD_RECOVERY')
    alarms(chain, () => chain.feed(signedAs(chain, honest(chain), 1)), 'BAD_RECOVERY')
    alarms(chain, () => chain.feed(signedAs(chain, { ...honest(chain), by: chain.bytes(3000) })), 'BAD_RECOVERY')
    alarms(chain, () => chain.feed(chain.other(KIND.recover, new Uint8Array(40))), 'BAD_RECOVERY')
    chain.feed(signedAs(chain, { ...honest(chain), lost: full }))
  })

  it('BAD_RECORD below level 2, which does not know the kind; BAD_SEQUENCER from a stranger', () => {
    const old = forger({ parameters: { level: 1 } })
    commits(old, old.session(root), create({ collection: 'c' }))
    alarms(old, () => old.feed(old.recovery(root)), 'BAD_RECORD', { level: 1 })
    const { chain } = boxChain()
    const record = chain.other(KIND.recover, chain.recovery(root).bytes.slice(81), { sequencer: eve.id })
    alarms(chain, () => chain.feed(record), 'BAD_SEQUENCER')
  })
})

function changedSignature(chain: Forger): LogRecord {
  const bytes = chain.recovery(root).bytes.slice()
  bytes[bytes.length - 1]! ^= 1
  return chain.rehashed(bytes, chain.replica.head.seq + 1)
}
