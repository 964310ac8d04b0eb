/**
 * Verifying ahead changes nothing but the time: on random chains with changing certificates, writers whom nobody knows and
 * forged signatures, a reader with it and one without come to the same outcomes, the same error and the same state.
 */
import { describe, expect, it } from 'vitest'
import { isAteError } from '../../src/base/errors.ts'
import { Replica } from '../../src/chain/replica.ts'
import { SignatureAnswers } from '../../src/chain/signature-answers.ts'
import { verifyAhead } from '../../src/chain/verify-ahead.ts'
import type { CryptoProvider, Verifier } from '../../src/crypto/provider.ts'
import { COMMIT } from '../../src/event/format.ts'
import type { LogRecord } from '../../src/log/engine.ts'
import { create, type Forger } from '../../src/testing/chain-kit.ts'
import { type SeededRandom, seededRandom } from '../../src/testing/random.ts'
import { replicaText } from './digest.ts'
import { ann, boxChain, crypto, errorOf, eve, outcomesOf, root } from './kit.ts'

const SEED = Number(process.env['ATE_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const CHAINS = 2
const FORGERIES = 8
const RECORDS = 420

/** Counts what is asked ahead and what is verified in place. */
function counting(): { readonly counts: { ahead: number; inPlace: number }; readonly provider: CryptoProvider } {
  const counts = { ahead: 0, inPlace: 0 }
  const handles = new Map<Verifier, Verifier>()
  const wrap = (verifier: Verifier): Verifier => ({
    verify(message, signature) {
      counts.inPlace++
      return verifier.verify(message, signature)
    },
    verifyLater(message, signature) {
      counts.ahead++
      return verifier.verifyLater!(message, signature)
    },
  })
  const ed25519Verifier = (publicKey: Uint8Array): Verifier => {
    const verifier = crypto.ed25519Verifier(publicKey)
    const known = handles.get(verifier) ?? wrap(verifier)
    handles.set(verifier, known)
    return known
  }
  return { counts, provider: { ...crypto, ed25519Verifier } }
}

/** Writers take turns, take new certificates, and write under ones that the chain never saw. */
function randomChain(random: SeededRandom): Forger {
  const { chain } = boxChain()
  const actors = [root, ann, eve]
  const sessions = actors.map((actor) => chain.session(actor))
  while (chain.records.length < RECORDS) {
    const turn = random.oneIn(20) ? 2 : random.below(2)
    const dice = random.below(100)
    if (dice < 2) sessions[turn] = chain.session(actors[turn]!)
    const session = sessions[turn]!
    const transactions = [chain.tx(create({ collection: 'c', body: chain.body() }))]
    if (dice === 99) chain.write(chain.session(ann), transactions, { certificate: 'none' })
    else if (actors[turn] === eve) chain.write(session, transactions, { sequencer: root.id })
    else chain.write(session, transactions)
  }
  return chain
}

/** What a reader comes to: an outcome for each record, then the error that ended it, and the state. */
interface Reading {
  readonly outcomes: readonly string[]
  readonly error: unknown
  readonly state: string
}

function note(replica: Replica, outcomes: string[], record: LogRecord): void {
  outcomes.push(`${record.seq} ${outcomesOf(replica.accept(record)).join(' ')}`)
}

function read(records: readonly LogRecord[]): Reading {
  const replica = Replica.open({ crypto, seed: 3 }, records[0]!)
  const outcomes: string[] = []
  const error = told(
    errorOf(() => {
      for (const record of records.slice(1)) note(replica, outcomes, record)
    }),
  )
  return { outcomes, error, state: replicaText(replica) }
}

async function* chunked(records: readonly LogRecord[], random: SeededRandom): AsyncGenerator<readonly LogRecord[]> {
  for (let at = 0; at < records.length; ) {
    const size = 1 + random.below(400)
    yield records.slice(at, at + size)
    at += size
  }
}

async function readAhead(records: readonly LogRecord[], random: SeededRandom, provider = crypto): Promise<Reading> {
  let replica: Replica | undefined
  const outcomes: string[] = []
  let error: unknown = 'nothing was thrown'
  try {
    for await (const chunk of verifyAhead(chunked(records, random), () => replica)) {
      for (const record of chunk) {
        if (replica) note(replica, outcomes, record)
        else replica = Replica.open({ crypto: provider, seed: 3 }, record)
      }
    }
  } catch (caught) {
    error = caught
  }
  return { outcomes, error: told(error), state: replicaText(replica!) }
}

function told(error: unknown): unknown {
  return isAteError(error) ? { code: error.code, facts: error.facts } : error
}

/** A commit of the chain with another signature, its record's hash right, as an evil sequencer would store it. */
function forged(chain: Forger, seq: number, random: SeededRandom): LogRecord {
  const bytes = chain.records[seq]!.bytes.slice()
  const other = chain.records[1 + random.below(RECORDS - 1)]!.bytes
  const kind = random.below(3)
  if (kind === 0) bytes[COMMIT.sig + random.below(64)]! ^= 1 << random.below(8)
  else if (kind === 1) bytes.set(other.subarray(COMMIT.sig, COMMIT.sig + 64), COMMIT.sig)
  else bytes[COMMIT.at + 7]! ^= 1
  return chain.rehashed(bytes, seq)
}

describe('verifying ahead', () => {
  it('gives the outcomes, the errors and the state of verifying in place', async () => {
    console.log(`ATE_SEED=${SEED}`)
    const random = seededRandom(SEED)
    for (let count = 0; count < CHAINS; count++) {
      const chain = randomChain(random)
      const { counts, provider } = counting()
      const whole = await readAhead(chain.records, random, provider)
      expect(whole).toEqual(read(chain.records))
      expect(whole.error).toBe('nothing was thrown')
      // Some are answered ahead, or the test says nothing; how many depends on where the draw puts new certificates.
      expect(counts.ahead).toBeGreaterThan(0)
      for (let i = 0; i < FORGERIES; i++) {
        const seq = 1 + random.below(RECORDS - 1)
        const record = forged(chain, seq, random)
        const records = chain.records.map((honest) => (honest.seq === seq ? record : honest))
        expect(await readAhead(records, random), `record ${seq}`).toEqual(read(records))
      }
    }
  })

  it('asks in another thread under every certificate that the chain has, and verifies in place under new ones', async () => {
    const { chain, boss, writer } = boxChain()
    for (let i = 0; i < 300; i++) chain.write(i % 2 === 0 ? boss : writer, [chain.tx()])
    const { counts, provider } = counting()
    await readAhead(chain.records, seededRandom(1), provider)
    expect(counts.ahead).toBeGreaterThan(100)
    expect(counts.ahead + counts.inPlace).toBeGreaterThanOrEqual(chain.records.length - 1)
  })

  it('leaves no answer behind when the reader stops early', async () => {
    const { chain, boss } = boxChain()
    for (let i = 0; i < 300; i++) chain.write(boss, [chain.tx()])
    const replica = Replica.open({ crypto, seed: 3 }, chain.records[0]!)
    for (const record of chain.records.slice(1, 100)) replica.accept(record)
    const rest = chain.records.slice(100)
    for await (const group of verifyAhead(chunked(rest, seededRandom(1)), () => replica)) {
      replica.accept(group[0]!)
      break
    }
    for (const { seq } of rest) expect(replica.signatures.done(seq)).toBeUndefined()
  })
})

describe('answers', () => {
  const bytes = (fill: number, size: number): Uint8Array => new Uint8Array(size).fill(fill)
  /** Says yes ahead and no in place, so that a test sees who has answered. */
  const yesLater = (): Verifier => ({ verify: () => false, verifyLater: async () => true })

  async function asked(verifier: Verifier): Promise<SignatureAnswers> {
    const answers = new SignatureAnswers()
    answers.ask(5, verifier, bytes(1, 32), bytes(2, 64))
    await answers.done(5)
    return answers
  }

  it('count for what was asked, once', async () => {
    const verifier = yesLater()
    const answers = await asked(verifier)
    expect(answers.verify(5, verifier, bytes(1, 32), bytes(2, 64))).toBe(true)
    expect(answers.verify(5, verifier, bytes(1, 32), bytes(2, 64))).toBe(false)
  })

  it('do not count for another key, message, signature or record', async () => {
    const verifier = yesLater()
    expect((await asked(verifier)).verify(5, yesLater(), bytes(1, 32), bytes(2, 64))).toBe(false)
    expect((await asked(verifier)).verify(5, verifier, bytes(3, 32), bytes(2, 64))).toBe(false)
    expect((await asked(verifier)).verify(5, verifier, bytes(1, 32), bytes(3, 64))).toBe(false)
    expect((await asked(verifier)).verify(6, verifier, bytes(1, 32), bytes(2, 64))).toBe(false)
  })

  it('that are late, or that never come, are worked out in place', async () => {
    const answers = new SignatureAnswers()
    const never: Verifier = { verify: () => true, verifyLater: () => new Promise(() => undefined) }
    answers.ask(1, never, bytes(1, 32), bytes(2, 64))
    expect(answers.verify(1, never, bytes(1, 32), bytes(2, 64))).toBe(true)
    const broken: Verifier = { verify: () => true, verifyLater: async () => Promise.reject(new Error('no thread')) }
    answers.ask(2, broken, bytes(1, 32), bytes(2, 64))
    await answers.done(2)
    expect(answers.verify(2, broken, bytes(1, 32), bytes(2, 64))).toBe(true)
  })

  it('of signatures that were made here are there: once, for that message and that signature', () => {
    const never: Verifier = { verify: () => false, verifyLater: () => Promise.reject(new Error('nothing is asked')) }
    const answers = new SignatureAnswers()
    answers.made(bytes(1, 32), bytes(2, 64))
    answers.ask(1, never, bytes(1, 32), bytes(2, 64))
    expect(answers.done(1)).toBeUndefined()
    expect(answers.verify(1, never, bytes(1, 32), bytes(3, 64))).toBe(false)
    expect(answers.verify(1, never, bytes(3, 32), bytes(2, 64))).toBe(false)
    answers.clear()
    expect(answers.verify(1, never, bytes(1, 32), bytes(2, 64))).toBe(true)
    expect(answers.verify(1, never, bytes(1, 32), bytes(2, 64))).toBe(false)
  })

  it('are not asked of a verifier that has no other thread', () => {
    const answers = new SignatureAnswers()
    answers.ask(1, { verify: () => true }, bytes(1, 32), bytes(2, 64))
    expect(answers.done(1)).toBeUndefined()
  })
})
