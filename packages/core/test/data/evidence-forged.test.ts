/** Evidence that somebody puts together of sound signatures: what they do not say together is not taken as proven. */
import { describe, expect, it } from 'vitest'
import { toBase64 } from '../../src/base/bytes.ts'
import { AteError, isAteError } from '../../src/base/errors.ts'
import { chainIdOf } from '../../src/base/ids.ts'
import { asProof } from '../../src/chain/signed-parts.ts'
import { ByteWriter } from '../../src/codec/writer.ts'
import { EVIDENCE_FORMAT, type VerifiedEvidence, verifyEvidence } from '../../src/data/evidence.ts'
import { KIND } from '../../src/event/format.ts'
import { encodeParameters } from '../../src/event/genesis.ts'
import { hashRecordHead, writeRecordHead } from '../../src/event/record.ts'
import { ann, crypto, forger, root } from '../chain/kit.ts'
import { acknowledgementOf, attestationOf, other } from './evidence-kit.ts'

const chain = forger({ parameters: { sequencers: [root.id, ann.id] } })
const { chainId } = chain
const hash = new Uint8Array(32).fill(1)

const common = {
  format: EVIDENCE_FORMAT,
  chain: chainIdOf(chainId),
  genesis: toBase64(encodeParameters(chain.replica.genesis.parameters)),
  remembered: { seq: 9, hash: toBase64(hash) },
}
const fork = { ...common, kind: 'fork', shown: { seq: 9, hash: toBase64(other) }, from: 4, count: 1 }
const rollback = { ...common, kind: 'rollback', shown: { seq: 3, hash: toBase64(other) }, from: 9, count: 1 }

const attested = (seq: number, of: Uint8Array) => ({ kind: 'attestation', ...attestationOf(chain, { seq, hash: of }) })
const said = (seq: number, more: Parameters<typeof acknowledgementOf>[2] = {}) => ({
  kind: 'acknowledgement',
  ...acknowledgementOf(chain, { seq, hash }, more),
})

const verify = (evidence: object): VerifiedEvidence => verifyEvidence(evidence, { chain: common.chain }, { crypto })

/** What of it was refused, or the verdict. */
function found(evidence: object): unknown {
  try {
    return verify(evidence).verdict
  } catch (error) {
    if (!isAteError(error) || error.code !== 'BAD_PROOF') return error
    return error.facts['what'] ?? error.facts['field']
  }
}

/** A record as links show it: 81 bytes of head, and the hash of its payload. Its own hash beside it. */
function linkOf(seq: number, prev: Uint8Array): { readonly link: string; readonly hash: Uint8Array } {
  const head = new ByteWriter()
  writeRecordHead(head, { seq, prev, admittedAt: 1, sequencer: root.id, kind: KIND.sweep })
  head.raw(other)
  const bytes = head.copy()
  const own = hashRecordHead(crypto, chainId, bytes.subarray(0, -32), bytes.subarray(-32))
  return { link: toBase64(bytes), hash: own }
}

describe('evidence', () => {
  it('is of a rollback or of a fork', () => {
    expect(found({ ...fork, known: attested(4, hash), against: attested(4, other) })).toBe('proof')
    const { from: _, count: __, ...bare } = fork
    expect([found(bare), found({ ...bare, kind: 'other' })]).toEqual(['claim', 'kind'])
  })

  it('of a rollback is of a log that is shorter than what is remembered', () => {
    const { from: _, count: __, ...bare } = rollback
    const shown = (seq: number): unknown => found({ ...bare, shown: { ...rollback.shown, seq } })
    expect([8, 9, 10].map(shown)).toEqual(['claim', ...Array(2).fill('the log that was shown is not shorter')])
  })

  it('is about records that there can be', () => {
    for (const wrong of [{ count: 0 }, { from: Number.MAX_SAFE_INTEGER }, { count: Number.MAX_SAFE_INTEGER }])
      expect(found({ ...fork, known: attested(4, hash), ...wrong })).toBe('records')
  })
})

describe('links', () => {
  const record = linkOf(5, other)
  const withLinks = (seq: number, of: Uint8Array, links: readonly string[]): unknown =>
    found({ ...fork, known: attested(4, hash), against: { ...attested(seq, of), links } })

  it('lead back from the record that was signed to the one that differs', () => {
    expect(withLinks(5, record.hash, [record.link])).toBe('proof')
    const next = linkOf(6, record.hash)
    expect(withLinks(6, next.hash, [next.link, record.link])).toBe('proof')
    expect(withLinks(6, next.hash, [record.link, next.link])).toBe('link')
    expect(withLinks(6, next.hash, [next.link])).toBe('the record that a statement names')
  })

  it('are of the records that were signed, and not of any that somebody makes', () => {
    expect(withLinks(5, hash, [record.link])).toBe('link')
    expect(withLinks(5, record.hash, [linkOf(5, new Uint8Array(32)).link])).toBe('link')
  })

  it('are of the number that is claimed of them', () => {
    const far = linkOf(8, other)
    expect(withLinks(5, far.hash, [far.link])).toBe('number of a link')
  })
})

describe('a server that has gone back', () => {
  const against = (shorter: object, known: object = said(9)): unknown => found({ ...rollback, known, against: shorter })

  it('is proven by two of its own words, of which the later is of the earlier record', () => {
    expect(against(said(3, { at: 6 }))).toBe('proof')
    expect(against(said(8, { at: 6 }))).toBe('proof')
  })

  it('is not proven by words that it may have signed in the order of its records, also in one ms', () => {
    for (const at of [4, 5]) {
      const evidence = { ...rollback, known: said(9), against: said(8, { at }) }
      expect(verify(evidence)).toMatchObject({ verdict: 'claim', known: { kind: 'acknowledgement' } })
      expect(verify(evidence).against).toBe(undefined)
    }
  })

  it('is not proven by the words of two, nor by two of one record', () => {
    const none = 'the statements do not contradict each other'
    expect(against(said(3, { server: ann, at: 6 }))).toBe(none)
    for (const seq of [9, 10]) expect(against(said(seq, { at: 6 }))).toBe(none)
  })

  it('is not proven where another signed the first, or with a statement of another kind', () => {
    const one = 'a rollback has one statement'
    expect(against(said(3, { at: 6 }), attested(9, hash))).toBe(one)
    expect(against(attested(3, hash))).toBe(one)
  })
})

describe('a statement', () => {
  it('of a server is about this chain', () => {
    const foreign = { kind: 'acknowledgement', ...acknowledgementOf({ chainId: other }, { seq: 4, hash }) }
    expect(found({ ...fork, known: foreign })).toBe('chain of the acknowledgement')
    expect(found({ ...fork, known: said(4) })).toBe('claim')
  })

  it('that cannot be read is no proof, and a mistake of ours is told as it is', () => {
    const thrown = (error: Error): unknown => {
      try {
        return asProof('part', () => {
          throw error
        })
      } catch (caught) {
        return caught
      }
    }
    expect(thrown(new AteError('BAD_RECORD'))).toMatchObject({
      code: 'BAD_PROOF',
      facts: { what: 'part', why: 'BAD_RECORD' },
    })
    for (const own of [new TypeError('x'), new AteError('INTERNAL')]) expect(thrown(own)).toBe(own)
  })
})
