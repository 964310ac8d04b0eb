/** What is said of a log that is not the remembered one: which statement is shown, against which, and when there is none. */
import { describe, expect, it } from 'vitest'
import { toBase64, toBinaryText } from '../../src/base/bytes.ts'
import { chainIdOf } from '../../src/base/ids.ts'
import { EVIDENCE_LINKS_MAX } from '../../src/base/limits.ts'
import type { ChainCore } from '../../src/chain/chain-core.ts'
import type { AcknowledgementPart } from '../../src/chain/signed-parts.ts'
import type { StatementSource, Statements } from '../../src/chain/statements.ts'
import { treeRoot } from '../../src/crypto/merkle.ts'
import { alarmOf, headBeyond } from '../../src/data/check-head.ts'
import { compareHead } from '../../src/data/compare-head.ts'
import { type Evidence, verifyEvidence } from '../../src/data/evidence.ts'
import { acknowledged, evidenceOf } from '../../src/data/head-evidence.ts'
import { HEAD_FORMAT } from '../../src/data/head-statement.ts'
import { KIND, RECORD_HEAD_BYTES } from '../../src/event/format.ts'
import type { Head, LogEngine } from '../../src/log/engine.ts'
import { memoryEngine, memoryStore } from '../../src/log/memory.ts'
import { memoryState } from '../../src/session/memory-state.ts'
import type { Platform } from '../../src/session/platform.ts'
import { rememberHead } from '../../src/session/remembered-heads.ts'
import type { StateStore } from '../../src/session/state-store.ts'
import type { Actor, ForgedSession, Forger } from '../../src/testing/chain-kit.ts'
import { crypto, eve, forger, root } from '../chain/kit.ts'
import { slabsOf } from '../log/stored-records.ts'
import { acknowledgementOf, attestationOf, headOf, other } from './evidence-kit.ts'

/** A chain whose root orders its records, with two commits. */
function serverChain(): { readonly chain: Forger; readonly boss: ForgedSession } {
  const chain = forger({ parameters: { sequencers: [root.id] } })
  const boss = chain.session(root)
  for (let i = 0; i < 2; i++) chain.write(boss, [chain.tx()])
  return { chain, boss }
}

function sourceOf({ records, replica, chainId }: Forger, acknowledgement?: AcknowledgementPart): StatementSource {
  const engine = memoryEngine({ ...memoryStore(), records: slabsOf(records) }, { readOnly: true })
  return { crypto, engine, replica, chainId: chainIdOf(chainId), acknowledgement }
}

const remembering = (seq: number, statements: Statements = {}) => ({
  ...{ seq, hash: other, at: 0 },
  statements: JSON.stringify(statements),
})
const verdictOf = ({ chainId }: Forger, evidence: Evidence): string =>
  verifyEvidence(JSON.stringify(evidence), { chain: chainIdOf(chainId) }, { crypto }).verdict

describe('the evidence of a shorter log', () => {
  const { chain } = serverChain()
  const { head } = chain.replica
  const attestation = attestationOf(chain, { seq: head.seq + 5, hash: other })
  const acknowledgement = acknowledgementOf(chain, { seq: head.seq + 3, hash: other })
  const now = acknowledgementOf(chain, head, { at: 6 })

  it('shows no statement that the log does not contradict, up to its newest record', async () => {
    const agreed = {
      acknowledgement: acknowledgementOf(chain, head),
      attestation: attestationOf(chain, headOf(chain, 1)),
    }
    const evidence = await evidenceOf(sourceOf(chain, now), remembering(head.seq + 5, agreed))
    expect(evidence).toMatchObject({ kind: 'rollback', shown: { seq: head.seq } })
    expect([evidence.known, evidence.against, evidence.from]).toEqual([undefined, undefined, undefined])
  })

  it('is both words of the server that has gone back, where it said both', async () => {
    const both = { attestation, acknowledgement }
    const evidence = await evidenceOf(sourceOf(chain, now), remembering(head.seq + 5, both))
    expect(evidence).toMatchObject({ from: head.seq + 3, known: { kind: 'acknowledgement' }, against: now })
    expect(verdictOf(chain, evidence)).toBe('proof')
  })

  it('is else the statement that reaches furthest, alone', async () => {
    for (const [given, source] of [
      [{ attestation, acknowledgement }, sourceOf(chain)],
      [{ attestation }, sourceOf(chain, now)],
    ] as const) {
      const evidence = await evidenceOf(source, remembering(head.seq + 5, given))
      expect(evidence).toMatchObject({ kind: 'rollback', from: head.seq + 5, known: { kind: 'attestation' } })
      expect(evidence.against).toBe(undefined)
      expect(verdictOf(chain, evidence)).toBe('claim')
    }
  })
})

describe('the evidence of another log', () => {
  it('says so where only the newest record differs, also without a statement', async () => {
    const { chain } = serverChain()
    const evidence = await evidenceOf(sourceOf(chain), remembering(chain.replica.head.seq))
    expect(evidence).toMatchObject({ kind: 'fork' })
    expect(evidence.known).toBe(undefined)
  })

  it('is the word of the server about a record against its word about the same, or a later one', async () => {
    const { chain } = serverChain()
    const { seq } = chain.replica.head
    for (const at of [seq - 1, seq]) {
      const known = { acknowledgement: acknowledgementOf(chain, { seq: at, hash: other }) }
      const evidence = await evidenceOf(
        sourceOf(chain, acknowledgementOf(chain, headOf(chain, seq))),
        remembering(at, known),
      )
      expect(evidence.against).toMatchObject({ kind: 'acknowledgement', links: { length: seq - at } })
      expect(verdictOf(chain, evidence)).toBe('proof')
    }
  })

  it('has nothing against it where the server has said less, and nothing behind the record names it', async () => {
    const { chain } = serverChain()
    const { seq } = chain.replica.head
    const known = { acknowledgement: acknowledgementOf(chain, { seq, hash: other }) }
    const said = acknowledgementOf(chain, headOf(chain, seq - 1))
    const evidence = await evidenceOf(sourceOf(chain, said), remembering(seq, known))
    expect(evidence).toMatchObject({ kind: 'fork', from: seq, known: { kind: 'acknowledgement' } })
    expect(evidence.against).toBe(undefined)
    expect(verdictOf(chain, evidence)).toBe('claim')
  })

  it('is a commit that names the record, and none that names one before it', async () => {
    const { chain, boss } = serverChain()
    const { seq } = chain.replica.head
    const base = headOf(chain, seq)
    chain.write(boss, [chain.tx()], { base: headOf(chain, seq - 1) })
    chain.write(boss, [chain.tx()], { base })
    const known = { attestation: attestationOf(chain, { seq, hash: other }) }
    const evidence = await evidenceOf(sourceOf(chain), remembering(seq, known))
    expect(evidence).toMatchObject({ from: seq, against: { kind: 'commit', links: [] } })
    expect(verdictOf(chain, evidence)).toBe('proof')
  })

  it('is an attestation that names the record or one behind it, of which the links lead back through any kind', async () => {
    const { chain, boss } = serverChain()
    const { seq } = chain.replica.head
    const [first] = chain.replica.trust.certificates.get(toBinaryText(boss.id))!.unattested
    const one = { to: 1, root: treeRoot(crypto, [first!.hash]) }
    chain.feed(chain.attestation(boss, { ...one, ...headOf(chain, seq - 1) }))
    chain.feed(chain.attestation(boss, headOf(chain, seq + 1)))
    const known = { attestation: attestationOf(chain, { seq, hash: other }) }
    const source = sourceOf(chain)
    const evidence = await evidenceOf(source, remembering(seq, known))
    const payload = toBase64(chain.records.at(-1)!.bytes.subarray(RECORD_HEAD_BYTES))
    expect(evidence.against).toMatchObject({ kind: 'attestation', payload, links: { length: 1 } })
    expect(verdictOf(chain, evidence)).toBe('proof')
    // Where nobody has the keys of who signed, there is nothing that others could verify.
    const trust = { ...chain.replica.trust, certificates: new Map(), keysOf: () => undefined }
    const keyless = { ...source, replica: { ...chain.replica, trust } as never }
    expect((await evidenceOf(keyless, remembering(seq, known))).against).toBe(undefined)
  })
})

describe('the word of a server about a later record', () => {
  /** A log of any number of records that say nothing. */
  function longLog(head: number, named: number): StatementSource {
    const { chain } = serverChain()
    const bytes = new Uint8Array(RECORD_HEAD_BYTES)
    bytes[RECORD_HEAD_BYTES - 1] = KIND.sweep
    const engine = {
      readPart: (_seq: number, offset: number, size: number) => bytes.subarray(offset, offset + size),
      read: async function* () {
        yield [{ bytes }]
      },
    } as Partial<LogEngine> as LogEngine
    const replica = { ...chain.replica, head: { seq: head, hash: other } } as never
    return { ...sourceOf(chain, acknowledgementOf(chain, { seq: named, hash: other })), engine, replica }
  }

  it('is shown with as many links as evidence may have, and not with more', async () => {
    const most = await acknowledged(longLog(5000, 7 + EVIDENCE_LINKS_MAX), 7)
    expect(most).toMatchObject({ kind: 'acknowledgement', links: { length: EVIDENCE_LINKS_MAX } })
    expect(await acknowledged(longLog(5000, 8 + EVIDENCE_LINKS_MAX), 7)).toBe(undefined)
  })

  it('is not shown where it is about an earlier one, or one that the log does not have', async () => {
    expect(await acknowledged(longLog(50, 6), 7)).toBe(undefined)
    expect(await acknowledged(longLog(50, 51), 7)).toBe(undefined)
    expect(await acknowledged(longLog(50, 50), 50)).toMatchObject({ links: [] })
    expect(await acknowledged({ ...longLog(50, 7), acknowledgement: undefined }, 7)).toBe(undefined)
  })
})

describe('a log that a server shows', () => {
  const { chain } = serverChain()
  const { replica } = chain
  const id = chainIdOf(chain.chainId)
  const platformOf = (state: StateStore): Platform => ({ state, crypto }) as Partial<Platform> as Platform
  async function remembered(head: Head | undefined): Promise<Platform> {
    const state = memoryState()
    if (head) await rememberHead(state, id, { ...head, at: 0 })
    return platformOf(state)
  }
  const beyond = { seq: replica.head.seq + 1, hash: other }

  it('is less than what this machine remembers only where that is behind its newest record', async () => {
    expect(await headBeyond(replica, await remembered(undefined))).toBe(undefined)
    expect(await headBeyond(replica, await remembered(headOf(chain, 1)))).toBe(undefined)
    expect(await headBeyond(replica, await remembered(replica.head))).toBe(undefined)
    expect(await headBeyond(replica, await remembered(beyond))).toEqual(beyond)
  })

  it('is not less than what a recovery has said to be lost', async () => {
    const again = serverChain().chain
    again.feed(again.recovery(root))
    const lost = { seq: again.replica.head.seq + 1, hash: other }
    expect(await headBeyond(again.replica, await remembered(lost))).toBe(undefined)
  })

  it('is an alarm while the server is away where it has another record, and not where it has less', async () => {
    const { engine } = sourceOf(chain)
    const away = async (head: Head) => alarmOf(replica, engine, await remembered(head), 'whole', { isAway: true })
    expect(await away(beyond)).toBe(undefined)
    expect(await away(replica.head)).toBe(undefined)
    expect(await away({ seq: replica.head.seq, hash: other })).toMatchObject({ code: 'FORK' })
    expect(await away({ seq: 1, hash: other })).toMatchObject({ code: 'FORK' })
  })
})

describe('a head that another member shows', () => {
  let asked = 0
  const coreOf = (chain: Forger): ChainCore => {
    const { replica, chainId } = chain
    const core = { ...sourceOf(chain), crypto, replica, chainId: chainIdOf(chainId), refresh: async () => ++asked }
    return core as Partial<ChainCore> as ChainCore
  }
  const shown = (chain: Forger, head: Head, server: Actor = root): string =>
    JSON.stringify({
      format: HEAD_FORMAT,
      chain: chainIdOf(chain.chainId),
      ...acknowledgementOf(chain, head, { server }),
    })

  it('is held against what is here, and the server is asked only for what is not', async () => {
    asked = 0
    const { chain } = serverChain()
    const { head } = chain.replica
    expect(await compareHead(coreOf(chain), shown(chain, head))).toBe('same')
    expect(await compareHead(coreOf(chain), shown(chain, headOf(chain, 1)))).toBe('same')
    expect(asked).toBe(0)
    expect(await compareHead(coreOf(chain), shown(chain, { seq: head.seq + 1, hash: other }))).toBe('behind')
    expect(asked).toBe(1)
  })

  it('counts only by the word of who orders the records', async () => {
    const { chain } = serverChain()
    const wrong = { seq: 1, hash: other }
    await expect(compareHead(coreOf(chain), shown(chain, wrong))).rejects.toMatchObject({ code: 'FORK' })
    const refused = { code: 'NOT_AUTHORIZED' }
    await expect(compareHead(coreOf(chain), shown(chain, wrong, eve))).rejects.toMatchObject(refused)
    // Where writers order them, no server does.
    const writers = forger()
    await expect(compareHead(coreOf(writers), shown(writers, wrong))).rejects.toMatchObject(refused)
  })
})
