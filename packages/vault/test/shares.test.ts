import { createHash } from 'node:crypto'
import { createIdentity, memoryEngine, memoryStore, openChain } from '@ate/core'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { drill, joinIdentity, shareInfo, splitIdentity, vault } from '../src/index.ts'
import { codeOf } from './kit.ts'

it('any threshold of shares really recovers: the identity opens the vault', async () => {
  const root = await createIdentity()
  const store = memoryStore()
  const chain = await openChain(memoryEngine(store), { as: root })
  await vault(chain).secret('prod/db').put('recovered')
  await chain.close()
  const shares = await splitIdentity(root, { shares: 5, threshold: 3 })
  await fc.assert(
    fc.asyncProperty(fc.shuffledSubarray(shares, { minLength: 3 }), async (some) => {
      const again = await joinIdentity(some)
      expect(again.publicId).toBe(root.publicId)
    }),
    { numRuns: 10 },
  )
  const again = await openChain(memoryEngine(store), { as: await joinIdentity([shares[4]!, shares[0]!, shares[2]!]) })
  expect((await vault(again).secret('prod/db').get()).value).toBe('recovered')
  await again.close()
})

it('fewer say nothing, and are told how many are needed', async () => {
  const root = await createIdentity()
  const shares = await splitIdentity(root, { shares: 3, threshold: 3 })
  const other = await splitIdentity(root, { shares: 3, threshold: 3 })
  expect(await codeOf(joinIdentity(shares.slice(1)))).toBe('SHARES_MISMATCH')
  expect(await codeOf(joinIdentity([shares[0]!, shares[0]!, shares[1]!]))).toBe('SHARES_MISMATCH')
  expect(await codeOf(joinIdentity([shares[0]!, shares[1]!, other[2]!]))).toBe('SHARES_MISMATCH')
  expect(await codeOf(joinIdentity([]))).toBe('SHARES_MISMATCH')
  expect(shareInfo(shares[0]!)).toMatchObject({ threshold: 3, shares: 3, fingerprint: root.fingerprint })
  expect(shareInfo(shares[0]!).set).not.toBe(shareInfo(other[0]!).set)
})

it('a share that was copied wrong is named as such', async () => {
  const [share] = await splitIdentity(await createIdentity(), { shares: 2, threshold: 2 })
  const at = share!.length - 30
  const wrong = share!.slice(0, at) + (share![at] === 'A' ? 'B' : 'A') + share!.slice(at + 1)
  for (const text of [wrong, '', 'ates-', share!.slice(0, -3), `${share}AAAA`, 'x'.repeat(9000), null])
    expect(await codeOf(joinIdentity([text as string, share!]))).toBe('BAD_SHARE')
  expect(shareInfo(`  ${share}\n`).threshold).toBe(2)
})

it('shares that name another identity than they make are none', async () => {
  const shares = await splitIdentity(await createIdentity(), { shares: 2, threshold: 2 })
  const forged = shares.map((share) => {
    const body = Buffer.from(share.slice('ates-'.length), 'base64url').subarray(0, -4)
    body[11]! ^= 1
    const sum = createHash('sha256').update(body).digest().subarray(0, 4)
    return `ates-${Buffer.concat([body, sum]).toString('base64url')}`
  })
  expect(await codeOf(joinIdentity(forged))).toBe('SHARES_MISMATCH')
})

it('a drill tries every share, and names the weak one', async () => {
  const root = await createIdentity()
  const shares = await splitIdentity(root, { shares: 4, threshold: 2 })
  expect(await drill(shares, root.fingerprint)).toMatchObject({ ok: true, tried: 4, weak: [] })
  const other = (await createIdentity()).fingerprint
  expect((await drill(shares, other)).ok).toBe(false)
  expect(await codeOf(drill(shares.slice(0, 1), root.fingerprint))).toBe('SHARES_MISMATCH')
})

it.each([
  [1, 1],
  [2, 3],
  [256, 2],
  [3, 1],
  [3, 2.5],
  [Number.NaN, 2],
])('%d shares of which %d are enough is refused', async (shares, threshold) => {
  expect(await codeOf(splitIdentity(await createIdentity(), { shares, threshold }))).toBe('BAD_ARGUMENT')
})
