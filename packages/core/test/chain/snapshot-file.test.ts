/** The bytes of a snapshot: whatever is not exactly what this machine wrote is refused before it is believed. */
import { describe, expect, it } from 'vitest'
import { equalBytes } from '../../src/base/bytes.ts'
import { isAteError } from '../../src/base/errors.ts'
import { SNAPSHOT_BYTES_MAX } from '../../src/base/limits.ts'
import { RecordHashes } from '../../src/chain/record-hashes.ts'
import type { FoldedState, Replica } from '../../src/chain/replica.ts'
import { SealedSnapshot, snapshotParts } from '../../src/chain/snapshot-file.ts'
import { contextBytes } from '../../src/crypto/contexts.ts'
import { leafHash, TreeFrontier } from '../../src/crypto/merkle.ts'
import { FOLD_LEVEL } from '../../src/event/format.ts'
import type { Head, StoredSnapshot } from '../../src/log/engine.ts'
import type { Forger } from '../../src/testing/chain-kit.ts'
import { create } from '../../src/testing/chain-kit.ts'
import { CHUNK_BYTES, ROW_BYTES } from '../../src/view/entity-table.ts'
import { commits, crypto, forger, root } from './kit.ts'
import { MAKERS, resumed, snapshotOf, stored } from './snapshot-kit.ts'

const FOOT = 144

function smallChain(): Forger {
  const chain = forger()
  commits(
    chain,
    chain.session(root),
    ...Array.from({ length: 20 }, () => create({ collection: 'c', body: chain.body() })),
  )
  return chain
}

const chain = smallChain()
const whole = await snapshotOf(chain.replica)

/** What is wrong, or `good`. */
async function found(bytes: Uint8Array, makers = MAKERS): Promise<unknown> {
  try {
    await resumed(bytes, chain.records[0]!, { makers })
    return 'good'
  } catch (error) {
    return isAteError(error) ? (error.facts['what'] ?? error.code) : error
  }
}

function changed(at: number, change: (view: DataView) => void): Uint8Array {
  const bytes = whole.slice()
  change(new DataView(bytes.buffer, at < 0 ? bytes.length + at : at))
  return bytes
}

/** Sealed anew, as only this machine can. */
function resealed(bytes: Uint8Array, hashesAt: number): Uint8Array {
  const fields = bytes.subarray(bytes.length - FOOT, bytes.length - 32)
  const hashes = bytes.subarray(hashesAt, bytes.length - FOOT)
  const context = contextBytes('snapshot')
  const signed = new Uint8Array(context.length + fields.length + hashes.length)
  signed.set(context)
  signed.set(fields, context.length)
  signed.set(hashes, context.length + fields.length)
  bytes.set(crypto.hmacSha256(MAKERS.key, signed), bytes.length - 32)
  return bytes
}

describe('the bytes of a snapshot', () => {
  it('are those of the format', () => {
    const foot = new DataView(whole.buffer, whole.length - FOOT)
    const { head, chainId, view } = chain.replica
    expect(String.fromCharCode(...whole.subarray(whole.length - FOOT, whole.length - FOOT + 4))).toBe('ATEV')
    expect(foot.getUint32(4)).toBe(3)
    expect(foot.getBigUint64(8)).toBe(BigInt(FOLD_LEVEL))
    expect(whole.subarray(whole.length - FOOT + 16, whole.length - FOOT + 48)).toEqual(chainId)
    expect(foot.getBigUint64(48)).toBe(BigInt(head.seq))
    expect(whole.subarray(whole.length - FOOT + 56, whole.length - FOOT + 88)).toEqual(head.hash)
    expect(foot.getBigUint64(88)).toBe(BigInt(view.table.rows))
    const restBytes = Number(foot.getBigUint64(96))
    expect(whole.length).toBe(21 * ROW_BYTES + restBytes + 2 * 32 + FOOT)
    const rows = crypto.sha256(whole.subarray(0, 21 * ROW_BYTES))
    expect(whole.subarray(whole.length - FOOT - 64, whole.length - FOOT - 32)).toEqual(rows)
    const again = whole.slice()
    expect(equalBytes(resealed(again, whole.length - FOOT - 64), whole)).toBe(true)
  })

  it('are refused if any byte is another', async () => {
    for (let at = 0; at < whole.length; at += at > whole.length - 400 || at < 200 ? 1 : 61) {
      const bytes = whole.slice()
      bytes[at]! ^= 1 << (at % 8)
      const problem = await resumed(bytes, chain.records[0]!).catch((error) => error)
      expect(['BAD_SNAPSHOT', 'BAD_RECORD'], `byte ${at}`).toContain(problem.code)
    }
  })

  it('are refused if they end early or go on', async () => {
    for (let size = 0; size < whole.length; size += size > whole.length - 300 || size < 200 ? 1 : 97)
      expect(await found(whole.slice(0, size)), `${size} bytes`).not.toBe('good')
    const longer = new Uint8Array(whole.length + 8)
    longer.set(whole, 8)
    expect(await found(longer)).toBe('size')
    longer.set(whole)
    expect(await found(longer)).not.toBe('good')
  })

  it('are refused under another key, and of another format', async () => {
    expect(await found(whole)).toBe('good')
    expect(await found(whole, { ...MAKERS, key: new Uint8Array(32).fill(8) })).toBe('tag')
    for (const at of [0, 4]) {
      const other = changed(-FOOT + at, (foot) => foot.setUint32(0, 1))
      expect(await found(resealed(other, other.length - FOOT - 64))).toBe('format')
    }
  })

  it('are refused if the tag is right and what is said twice differs', async () => {
    const seq = changed(-FOOT + 48, (foot) => foot.setBigUint64(0, 9n))
    expect(await found(resealed(seq, seq.length - FOOT - 64))).toBe('head')
    const hash = changed(-FOOT + 56, (foot) => foot.setUint8(0, foot.getUint8(0) ^ 1))
    expect(await found(resealed(hash, hash.length - FOOT - 64))).toBe('head')
  })

  it('are refused for each thing alone that is said twice and differs', async () => {
    const { replica } = chain
    const { head, hashes } = replica
    const replicaWith = (parts: Partial<FoldedState>): Replica =>
      ({ ...replica, chainId: replica.chainId, ...parts }) as Partial<Replica> as Replica
    const listOf = (...last: readonly Uint8Array[]): RecordHashes => {
      const list = new RecordHashes()
      for (let seq = 0; seq < hashes.size - 1; seq++) list.push(hashes.at(seq)!)
      for (const hash of last) list.push(hash)
      return list
    }
    const treeOf = (list: RecordHashes): TreeFrontier => {
      const tree = new TreeFrontier(crypto)
      for (let seq = 0; seq < list.size; seq++) tree.append(leafHash(crypto, list.at(seq)!))
      return tree
    }
    /** With the foot saying another seq and hash than the state's head. */
    const withFoot = async (parts: Partial<FoldedState>, { seq, hash }: Head): Promise<Uint8Array> => {
      const bytes = await snapshotOf(replicaWith(parts))
      const foot = new DataView(bytes.buffer, bytes.length - FOOT)
      foot.setBigUint64(48, BigInt(seq))
      bytes.set(hash, bytes.length - FOOT + 56)
      return resealed(bytes, bytes.length - FOOT - 64)
    }
    const other = new Uint8Array(32).fill(5)
    const [same, longer] = [listOf(head.hash), listOf(head.hash, head.hash)]
    expect(await found(await withFoot({ hashes: same, tree: treeOf(same) }, head))).toBe('good')
    const cases: readonly (readonly [Partial<FoldedState>, Head])[] = [
      [
        { hashes: longer, tree: treeOf(longer) },
        { seq: head.seq + 1, hash: head.hash },
      ],
      [{ hashes: longer }, head],
      [{ tree: treeOf(longer) }, head],
      [{ head: { ...head, hash: other } }, head],
      [{ hashes: listOf(other) }, head],
    ]
    for (const [i, [parts, foot]] of cases.entries())
      expect(await found(await withFoot(parts, foot)), `case ${i}`).toBe('head')
  })

  it('are refused with a tree that is none, and with an epoch without its fields', async () => {
    const { replica } = chain
    const none = { save: () => new Uint8Array(7) } as Partial<TreeFrontier> as TreeFrontier
    expect(await found(await snapshotOf({ ...replica, tree: none } as Partial<Replica> as Replica))).toBe('tree')
    const before = new Map(replica.trust.epochs)
    replica.trust.epochs.set(0, [{ number: 0, fields: undefined as never, tick: 1 }])
    const bytes = await snapshotOf(replica)
    replica.trust.epochs.clear()
    for (const [node, epochs] of before) replica.trust.epochs.set(node, epochs)
    expect(await found(bytes)).toBe('an epoch without its fields')
  })

  it('may end where a piece does', async () => {
    const large = smallChain()
    const { replica } = large
    const pad = async (size: number): Promise<Uint8Array> => {
      replica.voids.set(1, new Map([[0, { code: 'NOT_FOUND', facts: { pad: 'x'.repeat(size) } }]]))
      return snapshotOf(replica)
    }
    const restOf = (bytes: Uint8Array): number =>
      Number(new DataView(bytes.buffer, bytes.length - FOOT).getBigUint64(96))
    const missing = CHUNK_BYTES - (restOf(await pad(70_000)) % CHUNK_BYTES)
    const even = await pad(70_000 + missing)
    expect(restOf(even) % CHUNK_BYTES).toBe(0)
    expect((await resumed(even, large.records[0]!)).voids.get(1)?.get(0)?.facts['pad']).toHaveLength(70_000 + missing)
  })

  it('are as large as a foot at least, and no larger than they may be', async () => {
    /** A foot that says nothing of rows, and of so many bytes; the hashes of its pieces are zeros. */
    const footOf = (restBytes: number): Uint8Array => {
      const hashes = Math.ceil(restBytes / CHUNK_BYTES) * 32
      const bytes = new Uint8Array(hashes + FOOT)
      bytes.set(whole.subarray(-FOOT), hashes)
      const foot = new DataView(bytes.buffer, hashes)
      foot.setBigUint64(88, 0n)
      foot.setBigUint64(96, BigInt(restBytes))
      return resealed(bytes, 0)
    }
    const storedAs = (bytes: Uint8Array, sizeBytes: number): StoredSnapshot => ({
      ...stored(bytes),
      sizeBytes,
      read(target, at) {
        expect(at).toBeGreaterThanOrEqual(0)
        return stored(bytes).read(target, at - (sizeBytes - bytes.length))
      },
    })
    for (const size of [0, 1, FOOT - 1])
      await expect(SealedSnapshot.open(MAKERS, storedAs(whole, size))).rejects.toMatchObject({
        facts: { what: 'size' },
      })
    expect((await SealedSnapshot.open(MAKERS, stored(footOf(0)))).foot.restBytes).toBe(0)
    // Pieces of the largest: each with its hash, but for the last, which is shorter.
    const pieces = Math.ceil((SNAPSHOT_BYTES_MAX - FOOT) / (CHUNK_BYTES + 32))
    const restBytes = SNAPSHOT_BYTES_MAX - FOOT - pieces * 32
    const largest = footOf(restBytes)
    expect((await SealedSnapshot.open(MAKERS, storedAs(largest, SNAPSHOT_BYTES_MAX))).foot.restBytes).toBe(restBytes)
    const over = SealedSnapshot.open(MAKERS, storedAs(footOf(restBytes + 1), SNAPSHOT_BYTES_MAX + 1))
    await expect(over).rejects.toMatchObject({ facts: { what: 'size' } })
  })

  it('cost no memory before the tag is checked, whatever they say of sizes', async () => {
    const reads: number[] = []
    const watched = (bytes: Uint8Array, sizeBytes = bytes.length): StoredSnapshot => ({
      ...stored(bytes),
      sizeBytes,
      read(target, at) {
        reads.push(target.length)
        return at < sizeBytes - bytes.length
          ? target.length
          : stored(bytes).read(target, at - (sizeBytes - bytes.length))
      },
    })
    for (const rows of [2 ** 40, Math.floor((15 * 2 ** 30) / ROW_BYTES)]) {
      const restBytes = whole.length - FOOT - 64 - 21 * ROW_BYTES
      const pieces = Math.ceil(rows / (CHUNK_BYTES / ROW_BYTES)) + 1
      const huge = changed(-FOOT + 88, (foot) => foot.setBigUint64(0, BigInt(rows)))
      for (const size of [whole.length, rows * ROW_BYTES + restBytes + pieces * 32 + FOOT, 2 ** 53 - 1]) {
        await expect(SealedSnapshot.open(MAKERS, watched(huge, size))).rejects.toMatchObject({ code: 'BAD_SNAPSHOT' })
      }
    }
    expect(Math.max(...reads)).toBeLessThan(2 ** 20)
  })

  it('are refused where the disk gives less than it said', async () => {
    const short: StoredSnapshot = { ...stored(whole), read: (target, at) => Number(stored(whole).read(target, at)) - 1 }
    await expect(SealedSnapshot.open(MAKERS, short)).rejects.toMatchObject({ facts: { what: 'it ends early' } })
  })

  it('come in parts of a piece at most, with a pause behind each', async () => {
    const large = forger()
    const boss = large.session(root)
    const made = Array.from({ length: 5000 }, () => create({ collection: 'c' }))
    for (let i = 0; i < 2; i++) commits(large, boss, ...made)
    let pauses = 0
    const makers = { ...MAKERS, pause: async () => void pauses++ }
    let parts = 0
    for await (const part of snapshotParts(makers, large.replica, 0)) {
      expect(part.length).toBeLessThanOrEqual(CHUNK_BYTES)
      parts++
    }
    expect(pauses).toBe(parts - 2)
    pauses = 0
    await resumed(await snapshotOf(large.replica), large.records[0]!, { makers })
    expect(pauses).toBeGreaterThan(parts - 2)
  })
})
