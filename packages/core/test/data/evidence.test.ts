/** Evidence of rollback and fork: what a third party can check of it, and what it does not show (N1, N2). */
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { utf8 } from '../../src/base/bytes.ts'
import { AteError } from '../../src/base/errors.ts'
import type { Chain } from '../../src/data/chain.ts'
import { type Evidence, type VerifiedEvidence, verifyEvidence } from '../../src/data/evidence.ts'
import { proofText } from '../../src/data/proof-format.ts'
import { verifyPlace } from '../../src/data/verify-place.ts'
import { type MemoryStore, memoryEngine, memoryStore } from '../../src/log/memory.ts'
import { rememberedHead } from '../../src/session/remembered-heads.ts'
import { rememberingProvider } from '../../src/testing/chain-kit.ts'
import type { TestPlatform } from '../../src/testing/test-platform.ts'
import { copyOf, recordsOf, slabsOf } from '../log/stored-records.ts'
import { expectAllRefused, refusal } from './corrupt.ts'
import { codeOf, crypto, errorOf, Note, open, person, quickPlatform } from './kit.ts'

const verifier = { crypto: rememberingProvider(crypto) }

/** Opens, acts, closes: what is remembered then stands in the platform's state. */
async function session(
  store: MemoryStore,
  platform: TestPlatform,
  act: (chain: Chain) => Promise<unknown>,
  who = 'alice',
  id?: string,
): Promise<string> {
  const chain = await open(memoryEngine(store), { as: person(who), ...(id === undefined ? {} : { id }) }, platform)
  await act(chain)
  await chain.close()
  return chain.id
}

const note =
  (text: string, times = 1) =>
  async (chain: Chain): Promise<void> => {
    for (let i = 0; i < times; i++) await chain.transact((tx) => tx.create(Note, { text: `${text} ${i}` }))
  }
const checkpointed =
  (text: string, times = 1) =>
  async (chain: Chain): Promise<void> => {
    await note(text, times)(chain)
    await chain.checkpoint()
  }

/** Chains of one seed have one id. */
let seed = 100
/** The entity that bob may write below. */
let box = ''

interface Split {
  readonly id: string
  readonly error: AteError
  readonly evidence: Evidence
}

/**
 * A chain with a common beginning; then `ours` on this machine, and `theirs` on another one that has the same beginning.
 * What this machine says when it is shown theirs.
 */
async function split(
  ours: (chain: Chain) => Promise<unknown>,
  theirs: ((chain: Chain) => Promise<unknown>) | undefined,
  options: { readonly who?: string } = {},
): Promise<Split> {
  const store = memoryStore()
  const platform = quickPlatform(seed++)
  const both = [person('alice'), person('bob')]
  const id = await session(store, platform, async (chain) => {
    box = await chain.transact((tx) => tx.create(Note, { text: 'box' }, { read: both, write: both }).id)
  })
  const other = copyOf(store)
  store.written = false
  await session(store, platform, ours)
  if (theirs) await session(other, quickPlatform(2), theirs, options.who, id)
  const error = await errorOf(open(memoryEngine(copyOf(other)), { as: person('alice') }, platform))
  return { id, error, evidence: error.evidence as Evidence }
}

function verify({ id, evidence }: Pick<Split, 'id' | 'evidence'>, signers: readonly string[] = []): VerifiedEvidence {
  return verifyEvidence(JSON.parse(proofText(evidence)), { chain: id, signers }, verifier)
}

const byBob =
  (times: number) =>
  async (chain: Chain): Promise<void> => {
    for (let i = 0; i < times; i++) await chain.transact((tx) => tx.create(Note, { text: `bob ${i}` }, { parent: box }))
  }

describe('a fork', () => {
  it('is proven by two attestations of the chain’s root', async () => {
    const found = await split(note('ours', 3), note('theirs', 4))
    expect(found.error.code).toBe('FORK')
    expect(verify(found)).toMatchObject({
      kind: 'fork',
      verdict: 'proof',
      strangers: [],
      known: { kind: 'attestation', identity: person('alice').fingerprint },
      against: { identity: person('alice').fingerprint },
    })
  })

  it('is proven by two checkpoints, also of different sizes, and where the shown log is shorter', async () => {
    for (const [ours, theirs] of [
      [1, 1],
      [2, 7],
      [9, 6],
    ] as const) {
      const found = await split(checkpointed('ours', ours), checkpointed('theirs', theirs))
      expect(found.error.code).toBe('FORK')
      expect(verify(found)).toMatchObject({ verdict: 'proof', strangers: [] })
      const { known, against } = found.evidence
      if (ours > theirs) expect([known!.kind, against!.kind]).toEqual(['checkpoint', 'checkpoint'])
    }
  })

  it('signed by somebody whom the genesis does not name is a claim, until the caller says that he belongs to it', async () => {
    const found = await split(note('ours', 1), byBob(4), { who: 'bob' })
    expect(found.error.code).toBe('FORK')
    expect(verify(found)).toMatchObject({ verdict: 'claim', strangers: [person('bob').fingerprint] })
    expect(verify(found, [person('bob').fingerprint])).toMatchObject({ verdict: 'proof', strangers: [] })
  })

  it('is proven by a commit of a writer who was stopped before his attestation', async () => {
    const store = memoryStore()
    const platform = quickPlatform(1)
    const id = await session(store, platform, note('start'))
    const other = copyOf(store)
    store.written = false
    await session(store, platform, note('ours', 2))
    const dying = await open(memoryEngine(other), { as: person('alice') }, quickPlatform(2))
    await note('theirs', 5)(dying)
    const error = await errorOf(open(memoryEngine(copyOf(other)), { as: person('alice') }, platform))
    expect(verify({ id, evidence: error.evidence as Evidence })).toMatchObject({
      verdict: 'proof',
      against: { kind: 'commit' },
    })
    await dying.close()
  })

  it('without a signature on the shown side is a claim', async () => {
    const found = await split(note('ours', 1), async (chain) => {
      await note('theirs', 1)(chain)
    })
    expect(verify(found).verdict).toBe('proof')
    const store = memoryStore()
    const platform = quickPlatform(1)
    const id = await session(store, platform, note('start'))
    const other = copyOf(store)
    store.written = false
    await session(store, platform, note('ours', 1))
    await session(other, quickPlatform(2), note('theirs', 1))
    // Up to the record that differs: nothing behind it names it.
    const shown = { ...copyOf(other), records: slabsOf(recordsOf(other).slice(0, 4)) }
    const error = await errorOf(open(memoryEngine(shown), { as: person('alice') }, platform))
    expect(error.code).toBe('FORK')
    const verified = verify({ id, evidence: error.evidence as Evidence })
    expect(verified).toMatchObject({ verdict: 'claim', known: { kind: 'attestation' }, records: { first: 3, last: 3 } })
    expect(verified.against).toBe(undefined)
  })

  it('that the remembered statements do not reach is an alarm with a claim', async () => {
    const found = await split(checkpointed('ours', 9), checkpointed('theirs', 4))
    expect(['FORK', 'ROLLBACK']).toContain(found.error.code)
    expect(verify(found).verdict).toBe('claim')
  })
})

describe('a rollback', () => {
  it('shows that the records were there, by a signature; that they were not shown is a claim', async () => {
    const found = await split(checkpointed('ours', 5), undefined)
    expect(found.error.code).toBe('ROLLBACK')
    const verified = verify(found)
    expect(verified).toMatchObject({ kind: 'rollback', verdict: 'claim', strangers: [], known: {} })
    expect(verified.against).toBe(undefined)
    expect(verified.records!.last).toBeGreaterThan(verified.shown.seq)
    expect(verified.remembered.seq).toBe(found.error.facts['remembered'])
  })

  it('is seen for every older beginning of the log', async () => {
    const store = memoryStore()
    const platform = quickPlatform(1)
    const id = await session(store, platform, async (chain) => {
      await checkpointed('a', 3)(chain)
      await checkpointed('b', 3)(chain)
    })
    for (let count = 1; count < store.records.size; count++) {
      const older = { ...copyOf(store), records: slabsOf(recordsOf(store).slice(0, count)) }
      const error = await errorOf(open(memoryEngine(older), { as: person('alice') }, platform))
      expect(error.code).toBe('ROLLBACK')
      const verified = verify({ id, evidence: error.evidence as Evidence })
      expect(verified).toMatchObject({ kind: 'rollback', verdict: 'claim', shown: { seq: count - 1 } })
      // The newest record, an attestation, is named by nobody yet: nothing signed speaks of it.
      if (count < store.records.size - 1) expect(verified.records!.last).toBeGreaterThanOrEqual(count)
    }
    store.written = false
    await session(store, platform, note('goes on'))
  })
})

describe('what is remembered', () => {
  it('of an earlier version, without statements, gives an alarm all the same', async () => {
    const store = memoryStore()
    const platform = quickPlatform(1)
    const id = await session(store, platform, note('a'))
    const older = { ...copyOf(store), records: slabsOf(recordsOf(store).slice(0, 2)) }
    const [name] = await platform.state.list(`heads/${id}/`)
    for (const text of [
      '1700000000000\n',
      '1700000000000\n{"checkpoint"',
      '1700000000000\n{"checkpoint":5,"commit":{}}\n',
    ]) {
      await platform.state.put(name!, utf8(text))
      const error = await errorOf(open(memoryEngine(copyOf(older)), { as: person('alice') }, platform))
      expect(error.code).toBe('ROLLBACK')
      const { known, ...verified } = verify({ id, evidence: error.evidence as Evidence })
      expect({ known, verdict: verified.verdict }).toEqual({ known: undefined, verdict: 'claim' })
    }
  })

  it('keeps the statements of kinds that the newest records lack, and nothing secret', async () => {
    const store = memoryStore()
    const platform = quickPlatform(1)
    const id = await session(store, platform, checkpointed('a'))
    store.written = false
    const other = quickPlatform(2, { state: platform.state })
    await session(store, other, note('b', 80))
    const head = await rememberedHead(platform.state, id as never)
    const { checkpoint, attestation, commit } = JSON.parse(head!.statements!)
    expect(checkpoint.note).toContain(id)
    expect(attestation.keys).toHaveLength(4268)
    expect(Object.keys(commit)).toEqual(['head', 'signature', 'rides', 'certificate', 'keys'])
    expect(head!.statements!.length).toBeLessThan(50_000)
  })

  it('does not print evidence, and a report carries it', async () => {
    const { error } = await split(note('ours', 3), note('theirs', 4))
    expect(inspect(error, { depth: 9 })).not.toContain('ate-evidence')
    expect(JSON.stringify(error)).not.toContain('ate-evidence')
    expect(error.message.length).toBeLessThan(400)
    expect(proofText(error.evidence!).length).toBeLessThan(60_000)
  })

  it('is in the report of a verified place', async () => {
    const store = memoryStore()
    const platform = quickPlatform(1)
    const id = await session(store, platform, note('a', 3))
    const older = { ...copyOf(store), records: slabsOf(recordsOf(store).slice(0, 2)) }
    const report = await verifyPlace(memoryEngine(older), { id }, platform)
    expect(report.problems).toMatchObject([{ code: 'ROLLBACK', seq: store.records.size - 1 }])
    expect(verify({ id, evidence: report.evidence! }).kind).toBe('rollback')
  })
})

describe('changed evidence', () => {
  /** What the machine says of itself is a claim, and may be anything. */
  const CLAIMED = ['.remembered.seq', '.remembered.hash', '.shown.seq', '.shown.hash', '.known', '.against', '.kind']

  it('is refused at every element of every kind of statement, or says the same', async () => {
    const found = [
      await split(note('ours', 3), note('theirs', 4)),
      await split(checkpointed('ours', 9), checkpointed('theirs', 6)),
      await split(checkpointed('ours', 5), undefined),
    ]
    for (const each of found) {
      const { verdict } = verify(each)
      const check = (evidence: unknown): object => {
        const changed = verifyEvidence(evidence as Evidence, { chain: each.id }, verifier)
        // Other keys make the signer a stranger, which is a claim by its own words.
        if (changed.verdict !== verdict || changed.strangers.length > 0) throw new AteError('BAD_PROOF')
        return changed
      }
      expect(expectAllRefused(each.evidence, check, CLAIMED)).toBeGreaterThan(200)
    }
  })

  it('does not become a proof by statements that agree, or that speak of other records', async () => {
    const found = await split(checkpointed('ours', 9), checkpointed('theirs', 6))
    const { known, against } = found.evidence
    const other = await split(note('ours', 3), note('theirs', 4))
    const bad = (evidence: object): void =>
      expect(refusal(() => verifyEvidence(evidence, { chain: found.id }, verifier))).toBe('BAD_PROOF')
    bad({ ...found.evidence, against: known })
    bad({ ...found.evidence, known: against })
    bad({ ...found.evidence, known: other.evidence.known })
    bad({ ...found.evidence, from: 0, count: 1 })
    bad({ ...other.evidence })
    bad({ ...found.evidence, kind: 'rollback', shown: { ...found.evidence.shown, seq: 1 } })
    expect(refusal(() => verifyEvidence(found.evidence, { chain: other.id }, verifier))).toBe('BAD_PROOF')
    for (const nothing of ['', '{}', 5, null, []]) bad(nothing as never)
  })

  it('of chains that are as they were is none', async () => {
    const store = memoryStore()
    const platform = quickPlatform(1)
    await session(store, platform, checkpointed('a', 3))
    store.written = false
    expect(await codeOf(session(store, platform, note('b')))).toBe('nothing was thrown')
  })
})
