/**
 * Large bodies hashed beside the fold: nothing changes but the time. Whatever was asked about and whatever comes, a record is taken
 * or refused as it is without.
 */
import { expect, it } from 'vitest'
import { Replica } from '../../src/chain/replica.ts'
import { verifyAhead } from '../../src/chain/verify-ahead.ts'
import type { CryptoProvider } from '../../src/crypto/provider.ts'
import { COMMIT, KIND, RECORD_HEAD_BYTES } from '../../src/event/format.ts'
import type { LogRecord } from '../../src/log/engine.ts'
import { codeOf, coreOf, crypto, open, person, quickPlatform, Thing } from '../data/kit.ts'

const KIB = 1024

/** Three large bodies, a small one, and a block of 300 KiB that has two. */
async function records(): Promise<LogRecord[]> {
  const chain = await open('file:answers', { as: person('alice') }, quickPlatform(11))
  for (const size of [700, 300, 1, 800]) await chain.transact((tx) => tx.create(Thing, new Uint8Array(size * KIB)).id)
  await chain.transact((tx) => [1, 2].map((n) => tx.create(Thing, new Uint8Array(150 * KIB).fill(n)).id))
  const found: LogRecord[] = []
  for await (const chunk of coreOf(chain).engine.read(0))
    found.push(...chunk.map(({ seq, hash, bytes }) => ({ seq, hash: hash.slice(), bytes: bytes.slice() })))
  await chain.close()
  return found
}

/** Bytes of large bodies that were hashed in this thread and in another. */
function counting(later: CryptoProvider['sha256Later']): {
  counts: { here: number; beside: number }
  provider: CryptoProvider
} {
  const counts = { here: 0, beside: 0 }
  const provider: CryptoProvider = {
    ...crypto,
    sha256Into(data, out, at) {
      if (data.length > 100 * KIB) counts.here++
      crypto.sha256Into(data, out, at)
    },
    sha256Later(data) {
      counts.beside++
      return later!(data)
    },
  }
  return { counts, provider }
}

/** The code of what ended it, and how many records were taken. */
async function judged(all: readonly LogRecord[], provider: CryptoProvider): Promise<readonly [string, number]> {
  const replica = Replica.open({ crypto: provider, seed: 3 }, all[0]!)
  async function* chunks(): AsyncGenerator<readonly LogRecord[]> {
    yield all.slice(1)
  }
  const code = await codeOf(async () => {
    for await (const group of verifyAhead(chunks(), () => replica)) for (const record of group) replica.accept(record)
  })
  return [code, replica.head.seq]
}

/** The record with one bit of its last body changed. */
function altered(record: LogRecord): LogRecord {
  const bytes = record.bytes.slice()
  bytes[bytes.length - 1000]! ^= 1
  return { ...record, bytes }
}

it('are hashed once, beside this thread, where each has a block of its own', async () => {
  const all = await records()
  const { counts, provider } = counting(crypto.sha256Later)
  expect(await judged(all, provider)).toEqual(['nothing was thrown', all.length - 1])
  // The block of two parts was asked about in vain: both are hashed here.
  expect(counts).toEqual({ here: 2, beside: 4 })
})

it('are hashed here if the other thread gives no answer', async () => {
  const all = await records()
  const { counts, provider } = counting(() => Promise.reject(new Error('no thread')))
  expect(await judged(all, provider)).toEqual(['nothing was thrown', all.length - 1])
  expect(counts.here).toBe(5)
})

it('that were altered are refused, wherever they are hashed', async () => {
  const all = await records()
  const large = all.filter(({ bytes }) => bytes.length > 200 * KIB).map(({ seq }) => seq)
  expect(large.length).toBe(4)
  const { sha256Later: _, ...withoutLater } = crypto
  for (const seq of large)
    for (const provider of [crypto, withoutLater])
      expect(
        await judged(
          all.map((record) => (record.seq === seq ? altered(record) : record)),
          provider,
        ),
      ).toEqual(['BAD_BODY', seq - 1])
})

it('are judged by their own bytes: an answer about others of the same number says nothing', async () => {
  const all = await records()
  const at = all.findIndex(({ bytes }) => bytes.length > 200 * KIB)
  const replica = Replica.open({ crypto, seed: 3 }, all[0]!)
  for (const record of all.slice(1, at)) replica.accept(record)
  replica.hashedBodies.ask(crypto, all[at]!)
  await replica.hashedBodies.done(all[at]!.seq)
  expect(await codeOf(() => replica.accept(altered(all[at]!)))).toBe('BAD_BODY')
  replica.accept(all[at]!)
  expect(replica.head.seq).toBe(all[at]!.seq)
})

it('that no commit holds are none: who judges the bytes says what is wrong', async () => {
  const all = await records()
  const replica = Replica.open({ crypto, seed: 3 }, all[0]!)
  const bytes = new Uint8Array(400 * KIB).fill(255)
  bytes[RECORD_HEAD_BYTES - 1] = KIND.commit
  replica.hashedBodies.ask(crypto, { seq: 1, hash: new Uint8Array(32), bytes })
  expect(replica.hashedBodies.done(1)).toBe(undefined)
  const short = all.find(({ bytes: whole }) => whole.length > 600 * KIB)!
  for (const size of [COMMIT.certificate + 100, 400 * KIB])
    replica.hashedBodies.ask(crypto, { ...short, bytes: short.bytes.slice(0, size) })
  expect(replica.hashedBodies.done(short.seq)).toBe(undefined)
})
