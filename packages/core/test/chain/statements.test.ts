/** Which commit is remembered as a statement: the newest whose certificate stands in sight, found by reading each record once. */
import { describe, expect, it } from 'vitest'
import { equalBytes, fromBase64, toBinaryText } from '../../src/base/bytes.ts'
import type { ChainId } from '../../src/base/ids.ts'
import { commitHeadOf } from '../../src/chain/log-parts.ts'
import { parseStatements, type StatementSource, statementsFor } from '../../src/chain/statements.ts'
import { COMPOSITE_SIGNATURE_BYTES } from '../../src/crypto/composite.ts'
import { makeCertificate } from '../../src/event/certificate.ts'
import { COMMIT, KIND, RECORD_HEAD_BYTES } from '../../src/event/format.ts'
import { memoryState } from '../../src/session/memory-state.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { crypto } from '../data/kit.ts'

const SIGHT = 64
const CHAIN = 'x'.repeat(52) as ChainId
const BASE = new Uint8Array(32).fill(5)

interface Stored {
  readonly writer: number
  readonly rides: 'its own' | 'garbage' | 'another' | 'nothing'
  /** Whether it names a base of this log. */
  readonly follows: boolean
}

const WRITERS = [0, 1, 2].map((number) =>
  makeCertificate(
    crypto,
    {
      chain: new Uint8Array(32),
      identity: new Uint8Array(32).fill(number),
      session: new Uint8Array(32).fill(number),
      until: 1,
    },
    () => new Uint8Array(COMPOSITE_SIGNATURE_BYTES),
  ),
)

function ridesIn({ writer, rides }: Stored): Uint8Array {
  if (rides === 'nothing') return new Uint8Array(0)
  if (rides === 'garbage') return new Uint8Array(50).fill(255)
  return WRITERS[rides === 'another' ? (writer + 1) % 3 : writer]!.bytes
}

function bytesOf(stored: Stored, seq: number): Uint8Array {
  const certificate = ridesIn(stored)
  const bytes = new Uint8Array(COMMIT.certificate + certificate.length)
  bytes[RECORD_HEAD_BYTES - 1] = KIND.commit
  bytes.set(WRITERS[stored.writer]!.id, COMMIT.writer)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(COMMIT.writerSeq, BigInt(seq))
  bytes.set(stored.follows ? BASE : new Uint8Array(32).fill(6), COMMIT.baseHash)
  view.setUint32(COMMIT.certificateLength, certificate.length)
  bytes.set(certificate, COMMIT.certificate)
  return bytes
}

/** A log whose record 0 is no commit. */
function sourceOf(log: readonly Stored[]): { readonly source: StatementSource; readonly reads: () => number } {
  const records = [new Uint8Array(RECORD_HEAD_BYTES), ...log.map((stored, at) => bytesOf(stored, at + 1))]
  const certificates = new Map(WRITERS.map(({ id }, at) => [toBinaryText(id), { keys: new Uint8Array(1).fill(at) }]))
  let reads = 0
  const engine = {
    readPart(seq: number, offset: number, size: number) {
      reads++
      return records[seq]!.subarray(offset, offset + size)
    },
  }
  const replica = { trust: { certificates }, hashes: { at: () => BASE }, newestCheckpoint: undefined }
  const source = { crypto, engine, replica, chainId: CHAIN } as unknown as StatementSource
  return { source, reads: () => reads }
}

async function remembered(log: readonly Stored[]): Promise<number | undefined> {
  const { commit } = parseStatements(await statementsFor(sourceOf(log).source, memoryState(), log.length))
  if (!commit) return undefined
  const head = commitHeadOf(fromBase64(commit.head)!)
  const writer = WRITERS.findIndex(({ id }) => equalBytes(id, head.writer))
  expect(fromBase64(commit.certificate)).toEqual(WRITERS[writer]!.bytes)
  return head.writerSeq
}

/** The same by the rule as it is said: for each commit, from the newest back, its certificate is looked for behind it. */
function expected(log: readonly Stored[]): number | undefined {
  const last = Math.max(1, log.length - SIGHT)
  for (let seq = log.length; seq >= last; seq--) {
    const { writer, follows } = log[seq - 1]!
    const behind = log.slice(last - 1, seq)
    if (follows && behind.some((one) => one.writer === writer && one.rides === 'its own')) return seq
  }
  return undefined
}

describe('the commit that is remembered', () => {
  it('is the newest whose certificate is in sight, whatever rides in others', async () => {
    const random = seededRandom(11)
    const pick = (count: number): number => {
      const bytes = new Uint8Array(1)
      random.fill(bytes)
      return bytes[0]! % count
    }
    const kinds = ['its own', 'garbage', 'another', 'nothing', 'nothing', 'nothing', 'nothing', 'nothing'] as const
    const found = new Set<string>()
    for (let run = 0; run < 300; run++) {
      const log = Array.from({ length: pick(90) }, () => ({
        writer: pick(3),
        rides: pick(8) > 0 ? ('nothing' as const) : kinds[pick(kinds.length)]!,
        follows: pick(4) > 0,
      }))
      const want = expected(log)
      found.add(want === undefined ? 'none' : want === log.length ? 'newest' : 'older')
      expect([run, await remembered(log)]).toEqual([run, want])
    }
    expect(found.size).toBe(3)
  })

  it('takes two reads a record at most where no certificate is in sight', async () => {
    const log = Array.from({ length: 200 }, () => ({ writer: 0, rides: 'nothing' as const, follows: true }))
    const { source, reads } = sourceOf(log)
    await statementsFor(source, memoryState(), log.length)
    expect(reads()).toBeLessThanOrEqual(2 * (SIGHT + 1))
  })
})
