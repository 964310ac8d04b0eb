/** What a record of recovery may say, and who may say it: each edge of it, where nothing was lost. */
import { expect, it } from 'vitest'
import { RECOVER_LOST_MAX } from '../../src/base/limits.ts'
import { appendRecovery } from '../../src/data/append-recovery.ts'
import { backup, restore } from '../../src/data/backup.ts'
import { recover } from '../../src/data/recover.ts'
import { memoryEngine, memoryStore } from '../../src/log/memory.ts'
import { addKnownChain } from '../../src/session/known-chains.ts'
import { memoryState } from '../../src/session/memory-state.ts'
import { makeChain, write } from './copies.ts'
import { codeOf, errorOf, memoryChain, Note, open, person, quickPlatform } from './kit.ts'

const hash = new Uint8Array(32).fill(9)
const ROOT = '0'.repeat(26)

it('is of a seq from 1 to the one behind the newest record', async () => {
  await using kit = await memoryChain()
  await write(kit.chain, 2)
  for (const from of [0, -1, 1.5, Number.NaN, '1', kit.chain.head.seq + 2])
    expect(await errorOf(kit.chain.recover({ from: from as never }))).toMatchObject({
      code: 'BAD_ARGUMENT',
      facts: { what: 'from' },
    })
  expect(kit.chain.head.seq).toBe(2)
  expect(await kit.chain.recover({ from: 1 })).toMatchObject({ from: 1, seq: 3 })
})

it('names lost heads from its seq on, each of a seq and 32 bytes, and not more than it holds', async () => {
  await using kit = await memoryChain()
  await write(kit.chain, 2)
  const from = 2
  const wrong: unknown[] = [
    { seq: 1, hash },
    { seq: 2.5, hash },
    { seq: '3', hash },
    { seq: 3, hash: [...hash] },
    { seq: 3, hash: '9'.repeat(32) },
    { seq: 3, hash: hash.subarray(1) },
    { seq: 3, hash: new Uint8Array(33) },
  ]
  for (const lost of wrong)
    expect(await errorOf(kit.chain.recover({ from, lost: [lost as never] }))).toMatchObject({
      code: 'BAD_ARGUMENT',
      facts: { what: expect.stringContaining('lost: ') },
    })
  // As large as numbers get, so that the largest record of recovery is one that is taken.
  const many = (count: number): { seq: number; hash: Uint8Array }[] =>
    Array.from({ length: count }, (_, i) => ({ seq: Number.MAX_SAFE_INTEGER - i, hash }))
  expect(await errorOf(kit.chain.recover({ lost: many(RECOVER_LOST_MAX + 1) }))).toMatchObject({
    code: 'BAD_ARGUMENT',
    facts: { what: 'lost', heads: RECOVER_LOST_MAX + 1, max: RECOVER_LOST_MAX },
  })
  expect(kit.chain.head.seq).toBe(2)
  expect((await kit.chain.recover({ lost: many(RECOVER_LOST_MAX) })).lost).toEqual(many(RECOVER_LOST_MAX).reverse())
  expect((await kit.chain.recover({ from, lost: [{ seq: from, hash }] })).lost).toEqual([{ seq: from, hash }])
})

it('is refused under rules that do not know it, and taken under the first that do', async () => {
  await using kit = await memoryChain()
  const { trust } = kit.core.replica
  const own = trust.level
  trust.level = 1
  const error = await errorOf(kit.chain.recover())
  expect(error).toMatchObject({ code: 'LEVEL_TOO_LOW', facts: { level: 1, needs: 2 } })
  expect(kit.chain.head.seq).toBe(0)
  trust.level = 2
  await kit.chain.recover()
  trust.level = own
})

it('is told to be for managers of the root before anything else is said about it', async () => {
  await using kit = await memoryChain()
  const both = [person('alice'), person('bob')]
  await kit.chain.transact((tx) => tx.setPolicy(ROOT, { read: both, write: both }))
  await kit.chain.close()
  await using bob = await open(memoryEngine(kit.store), { as: person('bob'), id: kit.chain.id }, kit.platform)
  expect(await codeOf(bob.recover({ from: 99 }))).toBe('NOT_AUTHORIZED')
})

it('is not written by somebody who has given the root away while it waited', async () => {
  await using kit = await memoryChain()
  const state = memoryState()
  let give = (): void => undefined
  const given = new Promise<void>((resolve) => {
    give = resolve
  })
  const slow = { ...state, list: (prefix: string) => given.then(() => state.list(prefix)) }
  const waiting = codeOf(appendRecovery(kit.core, {}, slow))
  await kit.chain.transact((tx) => tx.setPolicy(ROOT, { manage: [person('bob')] }))
  const { size } = kit.store.records
  give()
  expect(await waiting).toBe('NOT_AUTHORIZED')
  expect(kit.store.records.size).toBe(size)
  expect(kit.core.replica.trust.recoveries).toEqual([])
})

it('of a chain that is live follows another: only a copy was interrupted', async () => {
  const store = memoryStore()
  const platform = quickPlatform()
  const chain = await open(memoryEngine(store), { as: person('alice') }, platform)
  await chain.transact((tx) => tx.create(Note, { text: 'a' }))
  await chain.close()
  const { seq } = await recover(memoryEngine(store), { as: person('alice') }, platform)
  expect(await recover(memoryEngine(store), { as: person('alice') }, platform)).toMatchObject({ seq: seq + 1 })
})

it('of an engine that is none to recover leaves it open, as it was given', async () => {
  const as = person('alice')
  const empty = memoryStore()
  expect(await codeOf(recover(memoryEngine(empty), { as }, quickPlatform()))).toBe('CHAIN_NOT_FOUND')
  expect(empty.written).toBe(true)
  const store = memoryStore()
  await (await open(memoryEngine(store), { as })).close()
  store.standing = { state: 'backup', note: '' }
  expect(await codeOf(recover(memoryEngine(store), { as }, quickPlatform()))).toBe('CHAIN_COPY')
  expect(store.written).toBe(true)
  expect(store.records.size).toBe(1)
})

it('goes by the id that is given, whatever this machine knows of the place', async () => {
  const platform = quickPlatform()
  const as = person('alice')
  const id = await makeChain(platform)
  await backup('file:/chain', 'file:/backup', { id }, platform)
  await restore('file:/backup', 'file:/restored', { id }, platform)
  await using other = await memoryChain({}, quickPlatform(2))
  await addKnownChain(platform.state, 'file:/restored', other.chain.id)
  expect(await codeOf(recover('file:/restored', { as }, platform))).toBe('WRONG_CHAIN')
  expect(await codeOf(recover('file:/restored', { as, id: other.chain.id }, platform))).toBe('WRONG_CHAIN')
  expect(await recover('file:/restored', { as, id }, platform)).toMatchObject({ chain: id })
})
