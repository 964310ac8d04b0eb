/**
 * Random programs: the fold and the model agree on every outcome and on the state after every record; every reader of the
 * log comes to the same; what is staged and taken back leaves nothing. ATE_RUNS sets how many programs, ATE_SEED which.
 */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { toBinaryText } from '../../src/base/bytes.ts'
import { isAteError } from '../../src/base/errors.ts'
import { applyTransaction } from '../../src/chain/fold.ts'
import { Replica } from '../../src/chain/replica.ts'
import { CommitParser } from '../../src/event/commit-parse.ts'
import { crc32 } from '../../src/log/crc32.ts'
import type { LogEngine, LogRecord } from '../../src/log/engine.ts'
import { openFileLog } from '../../src/log/file-engine.ts'
import { memoryEngine } from '../../src/log/memory.ts'
import { SessionKeys } from '../../src/session/epoch-keys.ts'
import type { Forger } from '../../src/testing/chain-kit.ts'
import { manualClock } from '../../src/testing/clock.ts'
import { type SeededRandom, seededRandom } from '../../src/testing/random.ts'
import { SimFileSystem } from '../../src/testing/sim-file-system.ts'
import { Journal } from '../../src/view/journal.ts'
import { replicaText, stateText } from './digest.ts'
import { ann, bob, crypto, eve, root } from './kit.ts'
import { Program, type Step } from './programs.ts'

const RUNS = Number(process.env['ATE_RUNS'] ?? 30)
const SEED = Number(process.env['ATE_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
console.log(`ATE_SEED=${SEED}`)
// Shrinking can take many minutes: a failure is reported as it is, with its seed; ATE_SHRINK=yes makes it small.
const options = { numRuns: RUNS, seed: SEED, endOnFailure: process.env['ATE_SHRINK'] !== 'yes' }

// 24 numbers are as many as most steps ask for; small ones make small programs when a failure shrinks.
const step: fc.Arbitrary<Step> = fc.array(fc.noBias(fc.nat(9999)), { minLength: 24, maxLength: 60, size: 'max' })
const program = fc.array(step, { minLength: 5, maxLength: 40, size: 'max' })

function replay(records: readonly LogRecord[], seed = 99): Replica {
  const replica = Replica.open({ crypto, seed }, records[0]!)
  for (const record of records.slice(1)) replica.accept(record)
  return replica
}

it('the fold and the model agree, and a fresh reader agrees with both', () => {
  const codes = new Map<string, number>()
  fc.assert(
    fc.property(program, fc.nat(1000), (steps, seed) => {
      const run = new Program(seed)
      run.run(steps)
      for (const [code, count] of run.counts.codes) codes.set(code, (codes.get(code) ?? 0) + count)
      expect(replicaText(replay(run.chain.records))).toBe(replicaText(run.chain.replica))
    }),
    options,
  )
  const shown = [...codes].sort((x, y) => y[1] - x[1]).map(([code, count]) => `${code} ${count}`)
  console.log(`outcomes: ${shown.join(', ')}`)
  // Programs that only fail, or only succeed, would prove nothing. What few programs come to needs many of them.
  const usual = RUNS < 20 ? [] : ['committed', 'NOT_AUTHORIZED', 'CONFLICT', 'NOT_FOUND']
  const rare = RUNS < 500 ? [] : ['STALE_EPOCH', 'EPOCH_SHAPE', 'KEY_REMOVED']
  for (const code of [...usual, ...rare]) {
    expect(codes.get(code) ?? 0, code).toBeGreaterThan(0)
  }
})

/** Applies the transactions of a commit one on top of the other, then takes them back, newest first. */
function stageAndUndo(chain: Forger, record: LogRecord, mode: 'staged' | 'replayed', prefix: number): void {
  const { replica } = chain
  const commit = new CommitParser(crypto).parse(replica.chainId, record.bytes)
  const certificate = replica.trust.certificates.get(toBinaryText(commit.writer))
  const author = certificate ?? replica.readCertificate(commit.certificate!).certificate
  const judge = replica.judgeFor(
    author,
    replica.timeOf(commit.record.admittedAt, commit.at),
    record.seq,
    commit.base.seq,
  )
  const before = stateText(replica)
  const journals: Journal[] = []
  const texts: string[] = []
  for (const transaction of commit.transactions.slice(0, prefix)) {
    const journal = new Journal(replica.view, mode === 'staged')
    const held = stateText(replica)
    const refusal = applyTransaction(
      replica,
      transaction,
      judge,
      journal,
      mode === 'staged' ? undefined : commit.blocks,
    )
    if (refusal) expect(stateText(replica), refusal.code).toBe(held)
    else {
      journals.push(journal)
      texts.push(held)
    }
  }
  while (journals.length > 0) {
    journals.pop()!.undo()
    expect(stateText(replica)).toBe(texts.pop())
  }
  expect(stateText(replica)).toBe(before)
  expect(replica.view.images.size).toBe(0)
}

it('what is staged and taken back leaves nothing, for any prefix', () => {
  fc.assert(
    fc.property(program, fc.nat(1000), fc.nat(3), (steps, seed, prefix) => {
      const run = new Program(seed, (chain, record) => {
        stageAndUndo(chain, record, 'staged', prefix + 1)
        stageAndUndo(chain, record, 'replayed', prefix + 1)
      })
      run.run(steps)
      expect(replicaText(replay(run.chain.records))).toBe(replicaText(run.chain.replica))
    }),
    { ...options, numRuns: Math.ceil(RUNS / 3) },
  )
})

function fileLog(random: SeededRandom): Promise<LogEngine> {
  const fs = new SimFileSystem({ seed: random.next() } as never)
  return openFileLog({ fs, random, clock: manualClock(), crc32, readOnly: false, create: true } as never)
}

/** Appends in batches of random sizes, reads in chunks of random sizes, and folds as they come. */
async function throughEngine(engine: LogEngine, records: readonly LogRecord[], random: SeededRandom): Promise<Replica> {
  let after: LogRecord | undefined
  for (let at = 0; at < records.length; ) {
    const batch = records.slice(at, at + 1 + random.below(5))
    const durability = random.oneIn(4) ? engine.durability : 'memory'
    await engine.append(batch, {
      after,
      durability: engine.kind === 'memory' ? 'memory' : durability === 'memory' ? 'os' : durability,
      load: 'group',
    })
    after = batch[batch.length - 1]
    at += batch.length
  }
  let replica: Replica | undefined
  for await (const chunk of engine.read(0, { chunkBytes: 1 + random.below(20_000) })) {
    for (const record of chunk) {
      if (replica) replica.accept(record)
      else replica = Replica.open({ crypto, seed: random.next() }, record)
    }
  }
  await engine.close()
  return replica!
}

it('every engine and every size of batch gives the same state', async () => {
  await fc.assert(
    fc.asyncProperty(program, fc.nat(1000), async (steps, seed) => {
      const run = new Program(seed)
      run.run(steps)
      const wanted = replicaText(run.chain.replica)
      const random = seededRandom(seed)
      for (const engine of [memoryEngine(), await fileLog(random)]) {
        expect(replicaText(await throughEngine(engine, run.chain.records, random)), engine.kind).toBe(wanted)
      }
    }),
    { ...options, numRuns: Math.ceil(RUNS / 8) },
  )
})

it('readers come to the same state whatever keys they hold', () => {
  fc.assert(
    fc.property(program, fc.nat(1000), (steps, seed) => {
      const run = new Program(seed)
      run.run(steps)
      const wanted = replicaText(run.chain.replica)
      for (const { identity } of [root, ann, bob, eve]) {
        const replica = Replica.open({ crypto, seed }, run.chain.records[0]!)
        const keys = new SessionKeys(
          { crypto, random: seededRandom(seed), chainId: replica.chainId, identity },
          replica.trust,
        )
        for (const record of run.chain.records.slice(1)) {
          replica.accept(record)
          // Looks for every key that it could hold, between records.
          for (const [row, epochs] of replica.trust.epochs) {
            try {
              keys.secretsOf({ row, id: replica.view.wordsOf(row) }, epochs.length - 1)
            } catch (error) {
              if (!isAteError(error)) throw error
            }
          }
        }
        expect(replicaText(replica)).toBe(wanted)
      }
    }),
    { ...options, numRuns: Math.ceil(RUNS / 25) },
  )
})
