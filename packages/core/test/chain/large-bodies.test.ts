/**
 * Large bodies: sealed ahead of their commits, in memory that is used again. Whatever is shared, each body comes back as it was
 * written, everybody else verifies it, and an append that fails leaves nothing behind.
 */
import { describe, expect, it } from 'vitest'
import { nobleProvider } from '../../src/crypto/noble.ts'
import type { CryptoProvider } from '../../src/crypto/provider.ts'
import type { Chain } from '../../src/data/chain.ts'
import type { ReadOptions } from '../../src/data/values.ts'
import { codeOf, coreOf, crypto, freshReplica, open, person, quickPlatform, Thing } from '../data/kit.ts'

const KIB = 1024
/** Around what is large, and about as large as a body may be. */
const SIZES: readonly number[] = [10, 63, 64, 65, 100, 890, 700, 500, 880, 66].map((size) => size * KIB)

function filled(size: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(size)
  for (let i = 0; i < size; i += 97) bytes[i] = seed + i
  return bytes
}

/** All at once, each out of a buffer that its owner changes as soon as the transaction has it. */
function writeAll(chain: Chain, sizes: readonly number[]): Promise<string[]> {
  return Promise.all(
    sizes.map(async (size, seed) => {
      const bytes = filled(size, seed)
      return chain.transact((tx) => {
        const { id } = tx.create(Thing, bytes)
        bytes.fill(255)
        return id
      })
    }),
  )
}

async function valuesOf(chain: Chain, ids: readonly string[]): Promise<Uint8Array[]> {
  const values: Uint8Array[] = []
  for (const id of ids) values.push((await chain.load(Thing, id, { use: 'once' })).value as Uint8Array)
  return values
}

function expectFilled(values: readonly Uint8Array[], sizes: readonly number[]): void {
  const differ = values.flatMap((value, i) => (Buffer.compare(value, filled(sizes[i]!, i)) === 0 ? [] : [i]))
  expect([values.length, differ]).toEqual([sizes.length, []])
}

const providers: readonly (readonly [string, CryptoProvider, readonly number[]])[] = [
  ['beside this thread', crypto, SIZES],
  ['in this thread', nobleProvider, SIZES.slice(2, 5)],
]

describe('large bodies', () => {
  for (const [where, provider, sizes] of providers) {
    it(`come back as they were written, hashed ${where}, and others verify them`, async () => {
      const platform = quickPlatform(3, { crypto: provider })
      const chain = await open('file:large', { as: person('alice') }, platform)
      const first = await writeAll(chain, sizes)
      const second = await writeAll(chain, sizes)
      // All values are held at a time: none of them is memory that the next one is read into.
      expectFilled(await valuesOf(chain, first), sizes)
      expect(await chain.verify()).toMatchObject({ ok: true, problems: [] })
      expect((await freshReplica(coreOf(chain).engine)).head.seq).toBe(coreOf(chain).replica.head.seq)
      await chain.close()
      const again = await open('file:large', { as: person('alice') }, platform)
      for (const ids of [first, second]) expectFilled(await valuesOf(again, ids), sizes)
      await again.close()
    })
  }

  it('come with others in one record, or in one transaction', async () => {
    const chain = await open('file:mixed', { as: person('alice') }, quickPlatform(4))
    const sizes = [70 * KIB, 80 * KIB, 5]
    const ids = await chain.transact((tx) => sizes.map((size, seed) => tx.create(Thing, filled(size, seed)).id))
    const seq = chain.seqOf(ids[0]!)
    const [large, small] = await Promise.all([
      chain.transact((tx) => tx.create(Thing, filled(90 * KIB, 0)).id),
      chain.transact((tx) => tx.create(Thing, filled(9, 1)).id),
    ])
    expect([chain.seqOf(large!), chain.seqOf(small!)]).toEqual([seq + 1, seq + 1])
    expectFilled(await valuesOf(chain, ids), sizes)
    expectFilled(await valuesOf(chain, [large!, small!]), [90 * KIB, 9])
    expect((await chain.verify()).ok).toBe(true)
    await chain.close()
  })

  it('come behind much else in one record', async () => {
    const chain = await open('file:guarded', { as: person('alice') }, quickPlatform(11))
    const ids = await chain.transact((tx) => Array.from({ length: 1500 }, (_, n) => tx.create(Thing, n).id))
    const sizes = [700 * KIB, 100 * KIB]
    const large: string[] = []
    for (const [seed, size] of sizes.entries()) {
      const put = chain.transact(async (tx) => {
        // A guard each: together they need more room than a large record has for what comes first.
        await tx.getMany(Thing, ids)
        return tx.create(Thing, filled(size, seed)).id
      })
      large.push(await put)
    }
    large.push(...(await writeAll(chain, [90 * KIB])))
    expectFilled(await valuesOf(chain, large.slice(0, 2)), sizes)
    expectFilled(await valuesOf(chain, large.slice(2)), [90 * KIB])
    expect((await chain.verify()).ok).toBe(true)
    await chain.close()
  })

  it('that a full disk refuses leave nothing, and what comes next is whole', async () => {
    const platform = quickPlatform(5)
    const chain = await open('file:full', { as: person('alice') }, platform)
    const ids = await writeAll(chain, SIZES.slice(4, 6))
    const disk = platform.disk('full')
    const used = disk.files().reduce((sum, name) => sum + disk.peek(name).length, 0)
    disk.faults.spaceBytes = used + 100 * KIB
    const refused = await Promise.all([1, 2, 3].map(() => codeOf(writeAll(chain, [800 * KIB]))))
    expect(refused).toEqual(['DISK_FULL', 'DISK_FULL', 'DISK_FULL'])
    disk.faults = {}
    const next = await writeAll(chain, SIZES)
    expectFilled(
      await valuesOf(chain, ids),
      SIZES.slice(4, 6).map((size) => size),
    ) // seeds 0 and 1
    expectFilled(await valuesOf(chain, next), SIZES)
    expect((await chain.verify()).ok).toBe(true)
    await chain.close()
  })

  it('are not kept for the next reader where one reads once, and else are', async () => {
    const chain = await open('file:once', { as: person('alice') }, quickPlatform(6))
    const [id] = await writeAll(chain, [100 * KIB])
    const read = (use?: 'once') => chain.load(Thing, id!, use ? { use } : {})
    const once = await read('once')
    expect((await read('once')) === once).toBe(false)
    const kept = await read()
    expect([(await read()) === kept, (await read('once')) === kept]).toEqual([true, true])
    await chain.close()
  })

  it('that are read at the same time have memory of their own, also while others are written', async () => {
    const chain = await open('file:at once', { as: person('alice') }, quickPlatform(7))
    const ids = await writeAll(chain, SIZES)
    const [values] = await Promise.all([
      Promise.all(ids.map(async (id) => (await chain.load(Thing, id, { use: 'once' })).value as Uint8Array)),
      writeAll(chain, SIZES),
    ])
    expectFilled(values, SIZES)
    await chain.close()
  })

  it.each([
    ['is hashed in another thread', 700 * KIB],
    ['is hashed in this one', 70 * KIB],
  ])('of which one was altered is refused each time, and others are read: what %s', async (_, size) => {
    const platform = quickPlatform(8)
    const writer = await open('file:altered', { as: person('alice') }, platform)
    const ids: string[] = []
    for (let i = 0; i < 3; i++) ids.push(...(await writeAll(writer, [size])))
    await writer.close()
    const chain = await open('file:altered', { as: person('alice') }, platform)
    const { segment, offset } = coreOf(chain).engine.place(chain.seqOf(ids[1]!)!)!
    const [disk, at] = [platform.disk('altered'), offset + size / 2]
    disk.pokeByte(segment, at, disk.peek(segment)[at]! ^ 1)
    const codes = await Promise.all([...ids, ...ids].map((id) => codeOf(chain.load(Thing, id, { use: 'once' }))))
    const [good, bad] = ['nothing was thrown', 'BAD_BODY']
    expect(codes).toEqual([good, bad, good, good, bad, good])
    await chain.close()
  })

  it('come to where the reader wants them, if they fit and are bytes, and are his alone', async () => {
    const platform = quickPlatform(9)
    const writer = await open('file:into', { as: person('alice') }, platform)
    const sizes = [10, 700 * KIB]
    const [small, large] = await writeAll(writer, sizes)
    const text = await writer.transact((tx) => tx.create(Thing, 'text').id)
    await writer.close()
    const chain = await open('file:into', { as: person('alice') }, platform)
    const into = new Uint8Array(700 * KIB)
    const read = async (id: string, options: ReadOptions): Promise<unknown> =>
      (await chain.load(Thing, id, options)).value
    const views = []
    for (const id of [large!, small!]) {
      const value = (await read(id, { use: 'once', into })) as Uint8Array
      views.push([
        value.buffer === into.buffer,
        value.length,
        Buffer.compare(value, filled(value.length, id === large ? 1 : 0)),
      ])
    }
    expect(views).toEqual([
      [true, 700 * KIB, 0],
      [true, 10, 0],
    ])
    expect(await read(text, { use: 'once', into })).toBe('text')
    const short = (await read(large!, { use: 'once', into: new Uint8Array(700 * KIB - 1) })) as Uint8Array
    // What is kept for others is never the memory of one reader.
    const kept = (await read(large!, { into })) as Uint8Array
    into.fill(0)
    for (const value of [short, kept]) expect(Buffer.compare(value, filled(700 * KIB, 1))).toBe(0)
    await chain.close()
  })

  it('are hashed by other threads a few at a time, however many are read at once, and after one that was altered', async () => {
    let [now, most, all] = [0, 0, 0]
    const provider: CryptoProvider = {
      ...crypto,
      async sha256Later(data) {
        most = Math.max(most, ++now)
        all++
        const hash = await crypto.sha256Later!(data)
        now--
        return hash
      },
    }
    const platform = quickPlatform(12, { crypto: provider })
    const chain = await open('file:many', { as: person('alice') }, platform)
    const ids: string[] = []
    for (let i = 0; i < 3; i++) ids.push(...(await writeAll(chain, [300 * KIB])))
    const { segment, offset } = coreOf(chain).engine.place(chain.seqOf(ids[1]!)!)!
    const [disk, at] = [platform.disk('many'), offset + 150 * KIB]
    disk.pokeByte(segment, at, disk.peek(segment)[at]! ^ 1)
    for (let round = 0; round < 3; round++) {
      most = 0
      all = 0
      const many = Array.from({ length: 12 }, (_, i) => ids[i % 3]!)
      const codes = await Promise.all(many.map((id) => codeOf(chain.load(Thing, id, { use: 'once' }))))
      expect(codes.map((code) => code === 'BAD_BODY')).toEqual(many.map((id) => id === ids[1]))
      expect([most, all]).toEqual([4, 4])
    }
    await chain.close()
  })
})
