/**
 * Power cuts after operations of the disk, in twelve short lives of a chain. Whatever is left on the disk, the chain
 * opens, holds every transaction that was acknowledged at `disk`, verifies, and goes on; no entity is without its attached key. ATE_STRIDE looks at every Nth
 * operation: the third, or with 1, as in the long run, at each. (The engine alone is cut after each in file-power.test.ts.)
 */
import { describe, expect, it } from 'vitest'
import { AteError, isAteError } from '../../src/base/errors.ts'
import type { Chain } from '../../src/data/chain.ts'
import { role } from '../../src/data/policy-input.ts'
import type { Transaction } from '../../src/data/transaction.ts'
import type { Durability } from '../../src/log/engine.ts'
import { seededRandom } from '../../src/testing/random.ts'
import type { TestPlatform } from '../../src/testing/test-platform.ts'
import { assertReadable, assertSameAsLog, Count, coreOf, Note, open, person, quickPlatform, Thing } from './kit.ts'

const STRIDE = Number(process.env['ATE_STRIDE'] ?? (Number(process.versions.node.split('.')[0]) < 24 ? 7 : 4))
const TIMEOUT_MS = Number(process.env['ATE_TEST_TIMEOUT_MS'] ?? 600_000)
const PLACE = 'file:/chain'

/** One life: what it promised so far, over openings and cuts. */
class Life {
  readonly platform: TestPlatform
  readonly acknowledged: Map<string, Durability> = new Map()
  /** Keys of entities that were made with one, by their ids, whatever became of them. */
  readonly keys: Map<string, Uint8Array> = new Map()
  readonly #shredded: string[] = []
  chain: Chain | undefined

  constructor(seed: number) {
    this.platform = quickPlatform(seed)
  }

  async open(who = 'alice'): Promise<Chain> {
    const label = this.chain?.id
    this.chain = undefined
    this.chain = await open(
      PLACE,
      { as: person(who), ...(label && who !== 'alice' ? { id: label } : {}) },
      this.platform,
    )
    return this.chain
  }

  async close(): Promise<void> {
    await this.chain!.close()
  }

  async run<R>(work: (tx: Transaction) => R | Promise<R>, durability?: Durability): Promise<R> {
    let last: Transaction | undefined
    const result = await this.chain!.transact(
      (tx) => {
        last = tx
        return work(tx)
      },
      durability ? { durability } : {},
    )
    const receipt = last!.receipt!
    this.acknowledged.set(receipt.txId, receipt.durability)
    return result
  }

  /** Entities of one transaction, each with a key; their ids. */
  runKeyed(count: number, durability?: Durability): Promise<readonly string[]> {
    return this.run((tx) => {
      const made = Array.from({ length: count }, () => tx.create(Note, { text: 'keyed' }).id)
      for (const id of made) {
        const key = new Uint8Array(40).fill(1 + (this.keys.size % 250))
        tx.attachKey(id, key)
        this.keys.set(id, key)
      }
      return made
    }, durability)
  }

  async shred(id: string): Promise<void> {
    await this.run((tx) => tx.shred(id))
    this.keys.delete(id)
    this.#shredded.push(id)
  }

  /** A record is never there without the keys that it needs. What was destroyed stays so. */
  async assertKeys(): Promise<void> {
    for (const [id, key] of this.keys)
      if (this.chain!.has(id)) expect(await this.chain!.attachedKey(id), `key of ${id}`).toEqual(key)
    for (const id of this.#shredded) expect(await this.chain!.attachedKey(id), `key of ${id}`).toBeUndefined()
  }

  /** After the cut: everything that was promised is there, nothing is there twice, and life goes on. */
  async survive(): Promise<void> {
    const { platform } = this
    platform.disk('/chain').crash()
    await this.chain?.close().catch(() => undefined)
    const hasLasting = [...this.acknowledged.values()].includes('disk')
    this.chain = await open(PLACE, { as: person('alice') }, platform)
    const found = new Set<string>()
    for await (const { transactions } of this.chain.records()) {
      for (const { txId } of transactions) {
        expect(found.has(txId)).toBe(false)
        found.add(txId)
      }
    }
    for (const [txId, durability] of this.acknowledged) {
      if (durability === 'disk') expect(found.has(txId), `transaction ${txId}`).toBe(true)
    }
    if (hasLasting) expect(this.chain.head.seq).toBeGreaterThan(0)
    await assertSameAsLog(this.chain)
    await this.assertKeys()
    await assertReadable(this.chain)
    await this.run((tx) => tx.create(Note, { text: 'after the cut' }))
    await assertSameAsLog(this.chain)
    await this.close()
    await this.open()
    const report = await this.chain.verify()
    expect(report.problems).toEqual([])
    for (const { identity, unattested } of this.chain!.writers()) {
      if (identity === person('alice').fingerprint) expect(unattested).toBe(0)
    }
    await this.close()
  }

  /** The process dies, the machine goes on: what is in the page cache is read, and must not be promised to last. */
  async kill(): Promise<void> {
    this.platform.disk('/chain').kill()
    await this.chain?.close().catch(() => undefined)
    this.chain = await open(PLACE, { as: person('alice') }, this.platform)
    await assertSameAsLog(this.chain)
    await this.assertKeys()
    await this.close()
  }
}

const LIVES: Readonly<Record<string, (life: Life) => Promise<void>>> = {
  async 'is made and closed'(life) {
    await life.open()
    await life.close()
  },
  async 'writes one after the other'(life) {
    await life.open()
    for (let i = 0; i < 4; i++) await life.run((tx) => tx.create(Note, { text: `note ${i}` }))
    await life.close()
  },
  async 'writes many at once'(life) {
    await life.open()
    await Promise.all(Array.from({ length: 12 }, (_, i) => life.run((tx) => tx.create(Count, { n: i }))))
    const kept = await life.run((tx) => tx.create(Count, { n: 0 }))
    await Promise.all(
      Array.from({ length: 6 }, () => life.run((tx) => tx.update(Count, kept, ({ n }) => ({ n: n + 1 })))),
    )
    await life.close()
  },
  async 'gives roles and takes them back'(life) {
    await life.open()
    const garage = await life.run((tx) => {
      tx.role('crew').add(person('bob').publicId)
      return tx.create(Note, { text: 'garage' }, { read: [role('crew')], write: [role('crew')] })
    })
    await life.run((tx) => tx.role('crew').remove(person('bob').publicId))
    await life.run((tx) => tx.update(Note, garage, () => ({ text: 'closed' })))
    await life.close()
  },
  async 'is closed and opened again'(life) {
    await life.open()
    const note = await life.run((tx) => tx.create(Note, { text: 'one' }))
    await life.close()
    await life.open()
    await life.run((tx) => tx.update(Note, note, () => ({ text: 'two' })))
    await life.close()
    await life.open()
    await life.run((tx) => tx.delete(note))
    await life.close()
  },
  async 'writes values of hundreds of kilobytes'(life) {
    await life.open()
    for (let i = 1; i < 4; i++) await life.run((tx) => tx.create(Thing, new Uint8Array(i * 200_000)))
    await life.close()
  },
  async 'moves, deletes and names'(life) {
    await life.open()
    const [box, note] = await life.run((tx) => [tx.create(Thing, 'box'), tx.create(Note, { text: 'a' })])
    await life.run((tx) => tx.move(note!, { parent: box! }))
    await life.run((tx) => tx.put(Note, 'named', { text: '1' }, { parent: box! }))
    await life.run((tx) => tx.put(Note, 'named', { text: '2' }, { parent: box! }))
    await life.run((tx) => tx.delete(note!))
    await life.close()
  },
  async 'expires, sweeps and checkpoints'(life) {
    await life.open()
    await life.run((tx) => tx.create(Note, { text: 'short' }, { ttl: 5 }))
    life.platform.advance(10)
    await life.run((tx) => tx.create(Note, { text: 'long' }))
    await life.chain!.sweep()
    await life.chain!.checkpoint()
    await life.close()
  },
  async 'acknowledges at os, and at disk now and then'(life) {
    await life.open()
    for (let i = 0; i < 6; i++) await life.run((tx) => tx.create(Count, { n: i }), i % 3 === 2 ? 'disk' : 'os')
    await life.close()
    await life.open()
    await life.run((tx) => tx.create(Count, { n: 6 }), 'os')
    life.platform.advance(6000)
    await life.run((tx) => tx.create(Count, { n: 7 }), 'os')
    await life.close()
  },
  async 'attaches keys, and destroys some'(life) {
    await life.open()
    const [first] = await life.runKeyed(1)
    await Promise.all([life.runKeyed(1), life.runKeyed(1), life.run((tx) => tx.create(Count, { n: 0 }))])
    await life.runKeyed(3, 'os')
    await life.shred(first!)
    await life.close()
    await life.open()
    await life.runKeyed(1)
    await life.close()
  },
  async 'is compacted while it is written to'(life) {
    await life.open()
    const big = (i: number): Uint8Array => new Uint8Array(9000 + i)
    for (let i = 0; i < 3; i++) await life.run((tx) => tx.put(Thing, 'big', big(i)), i === 1 ? 'os' : 'disk')
    await Promise.all([life.chain!.compact(), life.run((tx) => tx.put(Thing, 'other', big(3)), 'os')])
    await life.run((tx) => tx.put(Thing, 'other', big(4)), 'os')
    await life.chain!.compact()
    await life.close()
    await life.open()
    await life.run((tx) => tx.put(Thing, 'big', big(5)))
    await life.chain!.compact()
    await life.close()
  },
  async 'attests while it writes, and is written to by another'(life) {
    await life.open()
    await life.run((tx) => {
      tx.role('crew').add(person('bob').publicId)
      tx.create(Note, { text: 'a' })
      tx.setPolicy('00000000000000000000000000', { write: [role('crew')], read: [role('crew')] })
    })
    life.platform.advance(1500)
    await coreOf(life.chain!).settled()
    await life.close()
    await life.open('bob')
    await life.run((tx) => tx.create(Note, { text: 'by bob' }))
    await life.close()
  },
}

/** What a power cut explains. */
const CUT: ReadonlySet<string> = new Set(['IO_ERROR', 'WRITER_POISONED', 'CHAIN_CLOSED', 'INDETERMINATE'])

async function untilCut(life: Life, live: (life: Life) => Promise<void>): Promise<void> {
  try {
    await live(life)
  } catch (error) {
    if (!isAteError(error) || !CUT.has(error.code) || !life.platform.disk('/chain').isCut) throw error
  }
}

describe(`a power cut after ${STRIDE === 1 ? 'every operation' : `one operation of ${STRIDE}`}`, () => {
  for (const [index, [name, live]] of Object.entries(LIVES).entries()) {
    it(name, { timeout: TIMEOUT_MS }, async () => {
      const whole = new Life(index)
      await live(whole)
      const { operations } = whole.platform.disk('/chain').counts
      expect(operations).toBeGreaterThan(5)
      for (let cutAfter = 1 + (index % STRIDE); cutAfter <= operations; cutAfter += STRIDE) {
        const life = new Life(index * 1000 + cutAfter)
        life.platform.disk('/chain').faults.cutAfter = cutAfter
        try {
          await untilCut(life, live)
          await life.survive()
        } catch (error) {
          throw new Error(`cut after operation ${cutAfter} of ${operations}: ${(error as Error).message}`, {
            cause: error,
          })
        }
      }
    })
  }
})

describe('random lives with random cuts', () => {
  const seeds = Number(process.env['ATE_RUNS'] ?? 6)
  it(
    `keep what they acknowledged, over ${seeds} seeds`,
    async () => {
      for (let seed = 1; seed <= seeds; seed++) {
        await randomLife(seed).catch((error) => {
          throw new Error(`seed ${seed}: ${error.message}`, { cause: error })
        })
      }
    },
    TIMEOUT_MS,
  )
})

async function randomLife(seed: number): Promise<void> {
  const random = seededRandom(seed)
  const life = new Life(seed)
  const fs = life.platform.disk('/chain')
  for (let round = 0; round < 3; round++) {
    fs.faults = {}
    if (random.oneIn(2)) fs.faults.cutAfter = fs.counts.operations + 1 + random.below(40)
    if (random.oneIn(4)) fs.faults.failSync = fs.counts.syncs + 1 + random.below(15)
    if (random.oneIn(3)) fs.faults.shortWrites = 2
    if (random.oneIn(4)) fs.faults.spaceBytes = 40_000 + random.below(300_000)
    try {
      await life.open()
      for (let step = 0, steps = 3 + random.below(12); step < steps; step++) await randomStep(life, random)
      await life.close()
    } catch (error) {
      if (!isAteError(error) || !(CUT.has(error.code) || error.code === 'DISK_FULL')) throw error
    }
    if (!fs.isCut && random.oneIn(3)) {
      fs.faults = {}
      await life.kill()
    }
    await life.survive()
  }
}

async function randomStep(life: Life, random: ReturnType<typeof seededRandom>): Promise<void> {
  const durability: Durability = random.oneIn(4) ? 'os' : 'disk'
  const count = random.oneIn(3) ? 1 + random.below(20) : 1
  const size = random.oneIn(6) ? random.below(100_000) : random.below(200)
  const isKeyed = random.oneIn(4)
  const write = (): Promise<unknown> =>
    isKeyed
      ? life.runKeyed(1, durability)
      : life.run((tx) => tx.put(Thing, `n${random.below(9)}`, new Uint8Array(size)), durability)
  const done = await Promise.allSettled(Array.from({ length: count }, write))
  for (const { status, reason } of done as { status: string; reason?: unknown }[]) {
    if (status === 'rejected' && !(reason instanceof AteError && reason.code === 'DISK_FULL')) throw reason
  }
  if (random.oneIn(5)) life.platform.advance(random.below(8000))
  if (random.oneIn(4)) await life.chain!.compact()
  // An attestation on its own may be what fails: no transaction tells, and its record may stand in the log all the same.
  await coreOf(life.chain!).settled()
  coreOf(life.chain!).assertWritable()
  await assertSameAsLog(life.chain!)
}
