/** Which attestation covers a commit: of its own writer, over its number, and with the commit in its tree; else none. */
import { describe, expect, it } from 'vitest'
import { equalBytes, fromBase64, toBase64, toBinaryText } from '../../src/base/bytes.ts'
import { attestationOf } from '../../src/chain/covering-attestation.ts'
import { commitHashOf, commitHeadAt } from '../../src/chain/log-parts.ts'
import { leafHash, treeRoot, verifyInclusion } from '../../src/crypto/merkle.ts'
import { parseAttestationPayload } from '../../src/event/attestation.ts'
import { RECORD_HEAD_BYTES } from '../../src/event/format.ts'
import { memoryEngine, memoryStore } from '../../src/log/memory.ts'
import type { ForgedSession, Forger } from '../../src/testing/chain-kit.ts'
import { slabsOf } from '../log/stored-records.ts'
import { crypto, forger, root } from './kit.ts'

type Covering = Awaited<ReturnType<typeof attestationOf>>

/** What covers the commit of that record, with the commit's own hash. */
async function coveringOf(
  chain: Forger,
  seq: number,
): Promise<{ covering: Covering; hash: Uint8Array; index: number }> {
  const { records, replica, chainId } = chain
  const engine = memoryEngine({ ...memoryStore(), records: slabsOf(records) }, { readOnly: true })
  const parts = { crypto, engine, replica }
  const head = await commitHeadAt(parts, seq)
  const certificate = replica.trust.certificates.get(toBinaryText(head.writer))!
  return {
    covering: await attestationOf(parts, seq, head, certificate),
    hash: commitHashOf(crypto, chainId, head),
    index: head.writerSeq,
  }
}

/** That record `by` is what covers it, and that its path leads to the root that was signed. */
async function expectCovered(chain: Forger, seq: number, by: number): Promise<void> {
  const { covering, hash, index } = await coveringOf(chain, seq)
  const payload = chain.records[by]!.bytes.subarray(RECORD_HEAD_BYTES)
  expect([seq, covering?.payload, covering?.keys]).toEqual([seq, toBase64(payload), toBase64(root.identity.keys)])
  const { body } = parseAttestationPayload(crypto, payload)
  const path = covering!.path.map((text) => fromBase64(text)!)
  const size = body.to - body.from + 1
  expect(
    verifyInclusion(crypto, {
      index: index - body.from,
      size,
      root: body.root,
      leafHash: leafHash(crypto, hash),
      path,
    }),
  ).toBe(true)
}

const write = (chain: Forger, session: ForgedSession, writerSeq?: number): number => {
  chain.write(session, [chain.tx()], writerSeq === undefined ? {} : { writerSeq })
  return chain.replica.head.seq
}

const attest = (chain: Forger, session: ForgedSession): number => {
  chain.feed(chain.attestation(session))
  return chain.replica.head.seq
}

describe('the attestation that covers a commit', () => {
  it('is that of its own writer, the first that has its number, among those of another', async () => {
    const chain = forger()
    const [one, two] = [chain.session(root), chain.session(root)]
    const first = [write(chain, one), write(chain, one)]
    const others = [write(chain, two), write(chain, two), write(chain, two)]
    const middle = write(chain, one)
    const byTwo = attest(chain, two)
    const byOne = attest(chain, one)
    const later = [write(chain, one), write(chain, two)]
    const late = attest(chain, one)
    const lateTwo = attest(chain, two)
    for (const seq of [...first, middle]) await expectCovered(chain, seq, byOne)
    for (const seq of others) await expectCovered(chain, seq, byTwo)
    await expectCovered(chain, later[0]!, late)
    await expectCovered(chain, later[1]!, lateTwo)
  })

  it('is none for one that waits for it, whatever stands behind it', async () => {
    const chain = forger()
    const [one, two] = [chain.session(root), chain.session(root)]
    const covered = write(chain, one)
    write(chain, two)
    attest(chain, one)
    const waiting = write(chain, one)
    attest(chain, two)
    expect((await coveringOf(chain, waiting)).covering).toBe(undefined)
    await expectCovered(chain, covered, covered + 2)
  })

  it('is not one that ends before its number, though it stands behind it', async () => {
    const chain = forger()
    const one = chain.session(root)
    const commits = [write(chain, one), write(chain, one), write(chain, one)]
    const { unattested } = chain.replica.trust.certificates.get(toBinaryText(one.id))!
    const two = treeRoot(
      crypto,
      unattested.slice(0, 2).map(({ hash }) => hash),
    )
    chain.feed(chain.attestation(one, { to: 2, root: two }))
    const early = chain.replica.head.seq
    expect((await coveringOf(chain, commits[2]!)).covering).toBe(undefined)
    const late = attest(chain, one)
    for (const [i, by] of [early, early, late].entries()) await expectCovered(chain, commits[i]!, by)
  })

  it('is none for a copy of a number that was taken, which does not stand in the way of the one that counts', async () => {
    const chain = forger()
    const one = chain.session(root)
    const taken = [write(chain, one), write(chain, one)]
    const copy = write(chain, one, 2)
    const last = write(chain, one)
    const by = attest(chain, one)
    expect([...chain.replica.voids.get(copy)!.values()].map(({ code }) => code)).toEqual(['SEQ_USED'])
    for (const seq of [...taken, last]) await expectCovered(chain, seq, by)
    const { covering, hash } = await coveringOf(chain, copy)
    expect(covering).toBe(undefined)
    expect(equalBytes(hash, (await coveringOf(chain, taken[1]!)).hash)).toBe(false)
  })
})
