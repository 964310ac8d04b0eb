/** Large bodies that wait are sealed while others are written, under the numbers that come next: used if those are theirs. */
import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import type { CommitBuilder } from '../../src/chain/commit-builder.ts'
import { sealAhead, sealEarly } from '../../src/chain/large-bodies.ts'
import type { Replica } from '../../src/chain/replica.ts'
import type { Batch } from '../../src/chain/staged.ts'
import type { CryptoProvider } from '../../src/crypto/provider.ts'
import type { SealingAhead } from '../../src/crypto/seal.ts'
import type { Chain } from '../../src/data/chain.ts'
import { coreOf, crypto, freshReplica, open, person, quickPlatform, Thing } from '../data/kit.ts'

/** Two of them fit in no record. */
const SIZE = 600 * 1024
const writer = new Uint8Array(32).fill(1)

function largeBatch(): Batch {
  const buffer = new Uint8Array(SIZE)
  const event = { body: true, stagedAt: 0, size: SIZE, readNode: 3, epoch: 5 }
  const staged = { draft: { events: [event], bodies: { buffer } } }
  return { sizeBytes: SIZE, events: 1, transactions: [staged] } as unknown as Batch
}

/** Notes under which numbers blocks are sealed. */
function sealing() {
  const seen: number[] = []
  const digests: string[] = []
  const builder = {
    sealUnderKey(
      _: unknown,
      { writerSeq }: { readonly writerSeq: number },
      plaintext: Uint8Array,
      ahead: SealingAhead,
    ) {
      seen.push(writerSeq)
      digests.push(toHex(ahead.digest(new Uint8Array(32))!))
      return { ciphertext: plaintext }
    },
  } as unknown as CommitBuilder
  const replica = { view: { wordsOf: () => ({}) } } as unknown as Replica
  return { seen, digests, parts: { builder, replica, crypto } }
}

it('what stands for a body in its hedge follows from its bytes', async () => {
  const { digests, parts } = sealing()
  const batches = [largeBatch(), largeBatch(), largeBatch()]
  batches[1]!.transactions[0]!.draft.bodies.buffer[SIZE - 1] = 1
  await sealAhead(batches, parts, () => ({ writer, writerSeq: 1 }))
  expect([digests[0] === digests[1], digests[0] === digests[2]]).toEqual([false, true])
})

describe('a batch that was sealed early', () => {
  it('is not sealed again under its number', async () => {
    const { seen, parts } = sealing()
    const batches = [largeBatch(), largeBatch()]
    sealEarly(batches, parts, { writer, writerSeq: 7 })
    const large = await sealAhead(batches, parts, () => ({ writer, writerSeq: 7 }))
    expect(seen).toEqual([7, 8])
    expect(large!.map((one) => one!.block!.sliceHash)).toEqual([0, 1].map(() => crypto.sha256(new Uint8Array(SIZE))))
    // Once: a second time its buffers may be another's.
    await sealAhead(batches, parts, () => ({ writer, writerSeq: 7 }))
    expect(seen).toEqual([7, 8, 7, 8])
  })

  it.each<[string, (batch: Batch) => { writer: Uint8Array; writerSeq: number }]>([
    ['writer', () => ({ writer: writer.slice(), writerSeq: 7 })],
    ['number', () => ({ writer, writerSeq: 8 })],
    [
      'transaction',
      (batch) => {
        batch.transactions[0] = { ...batch.transactions[0]! }
        return { writer, writerSeq: 7 }
      },
    ],
    [
      'epoch',
      (batch) => {
        batch.transactions[0]!.draft.events[0]!.epoch++
        return { writer, writerSeq: 7 }
      },
    ],
    [
      'node',
      (batch) => {
        batch.transactions[0]!.draft.events[0]!.readNode++
        return { writer, writerSeq: 7 }
      },
    ],
  ])('is sealed anew with another %s', async (_, change) => {
    const { seen, parts } = sealing()
    const batch = largeBatch()
    sealEarly([batch], parts, { writer, writerSeq: 7 })
    const place = change(batch)
    await sealAhead([batch], parts, () => place)
    expect(seen).toEqual([7, place.writerSeq])
  })

  it('is one of a few: each takes memory', () => {
    const { seen, parts } = sealing()
    sealEarly(Array.from({ length: 9 }, largeBatch), parts, { writer, writerSeq: 1 })
    expect(seen).toEqual([1, 2, 3, 4])
  })
})

describe('while a large body is written, another one that waits', () => {
  /** The first hash waits until it is let go: what is staged meanwhile waits behind its commit. */
  async function held(seed: number) {
    const seen = { hashes: 0 }
    let go = (): void => {}
    let first: Promise<void> | undefined = new Promise((resolve) => {
      go = resolve
    })
    const provider: CryptoProvider = {
      ...crypto,
      async sha256Later(data) {
        seen.hashes++
        const wait = first
        first = undefined
        await wait
        return crypto.sha256Later!(data)
      },
    }
    const platform = quickPlatform(seed, { crypto: provider })
    const chain = await open('file:early', { as: person('alice') }, platform)
    await chain.transact((tx) => tx.create(Thing, 'before'))
    return { chain, platform, seen, go }
  }

  const put = (chain: Chain, byte: number): Promise<string> =>
    chain.transact((tx) => tx.create(Thing, new Uint8Array(SIZE).fill(byte)).id)

  async function expectBytes(chain: Chain, ids: readonly string[]): Promise<void> {
    for (const [i, id] of ids.entries()) {
      const value = (await chain.load(Thing, id, { use: 'once' })).value as Uint8Array
      expect([value.length, value[0], value[SIZE - 1]]).toEqual([SIZE, i + 1, i + 1])
    }
    expect(await chain.verify()).toMatchObject({ ok: true, problems: [] })
    expect((await freshReplica(coreOf(chain).engine)).head.seq).toBe(coreOf(chain).replica.head.seq)
  }

  it('is hashed once', async () => {
    const { chain, seen, go } = await held(1)
    const one = put(chain, 1)
    while (seen.hashes === 0) await Promise.resolve()
    const others = [put(chain, 2), put(chain, 3)]
    go()
    const ids = await Promise.all([one, ...others])
    expect(seen.hashes).toBe(3)
    await expectBytes(chain, ids)
    await chain.close()
  })

  it('is sealed again if the writer has another certificate by then', async () => {
    const { chain, platform, seen, go } = await held(2)
    const one = put(chain, 1)
    while (seen.hashes === 0) await Promise.resolve()
    platform.advance(25 * 3_600_000)
    const two = put(chain, 2)
    go()
    const ids = await Promise.all([one, two])
    expect(seen.hashes).toBe(3)
    await expectBytes(chain, ids)
    await chain.close()
  })
})
