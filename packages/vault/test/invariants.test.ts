/** V4, V5, V6 and V8 of docs/RELIABILITY.md, each against somebody who holds every key. V1 to V3 and V7 stand in destroy, roles, served and audit. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { type Chain, createIdentity, openChain, saveIdentity } from '@ate/core'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { joinIdentity, splitIdentity } from '../src/shares.ts'
import { vault } from '../src/vault.ts'
import { IN, type SecretRecord, SecretType, WrapType } from '../src/vault-records.ts'
import { all, codeOf } from './kit.ts'
import { servedPlace } from './kit-served.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ate-vault-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

it('V4: of writers on several machines one wins each version, and nobody writes over what he has not seen', async () => {
  await using place = await servedPlace()
  const people = [await createIdentity(), await createIdentity(), await createIdentity()]
  const first = await place.open(people[0]!)
  await vault(first).secret('race').put('start')
  await vault(first).role('team').allow('**', ['read', 'write'])
  for (const one of people.slice(1)) await vault(first).role('team').add(one.publicId)
  const chains = [first, await place.open(people[1]!), await place.open(people[2]!)]
  for (const cas of [1, 2]) {
    for (const chain of chains) await chain.refresh()
    const codes = await Promise.all(
      chains.map((chain, i) => codeOf(vault(chain).secret('race').put(`by ${i}`, { cas }))),
    )
    expect(codes.sort()).toEqual(['CAS_MISMATCH', 'CAS_MISMATCH', 'none'])
  }
  // By hand, with every right to write, from a version that is not the newest any more: the chain refuses it.
  const [mine, hers] = chains as [Chain, Chain, Chain]
  await hers.refresh()
  const stale = hers.begin()
  const read = await recordOf(hers, 'race', (type, name, options) => stale.named(type, name, options))
  stale.replace(read, { ...read.value, meta: { by: 'hand' } })
  await vault(mine).secret('race').put('newer', { cas: 3 })
  expect(await codeOf(stale.commit())).toBe('CONFLICT')
  expect((await vault(mine).secret('race').info())?.latest).toBe(4)
  for (const chain of chains) await chain.close()
})

async function recordOf(
  chain: Chain,
  path: string,
  named: (type: typeof SecretType, name: string, at: { parent: string; in: string }) => ReturnType<Chain['named']>,
) {
  for await (const { parent, op } of chain.events({ until: 'end', type: SecretType }))
    if (op === 'create' && parent !== undefined) {
      const found = await named(SecretType, path, { parent, in: IN.secrets })
      if (found) return found as NonNullable<Awaited<ReturnType<typeof chain.named<SecretRecord>>>>
    }
  throw new Error(`no record of ${path}`)
}

it('V5: who kept the log, the token and every key of before opens no token that was spent', async () => {
  const place = join(folder, 'chain')
  const me = await createIdentity()
  const chain = await openChain(`file:${place}`, { as: me })
  const token = await vault(chain).wrap('491-220', { ttl: '10m' })
  const { id } = chain
  await chain.close()
  cpSync(place, join(folder, 'old'), { recursive: true })
  const again = await openChain(`file:${place}`, { as: me, id })
  expect(await vault(again).unwrap(token)).toBe('491-220')
  expect(await codeOf(vault(again).unwrap(token))).toBe('TOKEN_SPENT')
  expect((await all(vault(again).audit())).map(({ act }) => act).slice(-2)).toEqual(['unwrap', 'unwrap refused'])
  await again.close()
  // The log in which it is not spent, beside the ring of now.
  rmSync(join(folder, 'old/ring'), { recursive: true })
  cpSync(join(place, 'ring'), join(folder, 'old/ring'), { recursive: true })
  const old = await openChain(`file:${join(folder, 'old')}`, { as: me, id, rollback: 'accept', readOnly: true })
  expect(await Promise.all((await idsOf(old, WrapType.name)).map((wrap) => old.attachedKey(wrap)))).toEqual([undefined])
  expect(await codeOf(vault(old).unwrap(token))).toBe('KEY_MISSING')
  await old.close()
})

async function idsOf(chain: Chain, type: string): Promise<string[]> {
  const ids: string[] = []
  for await (const event of chain.events({ until: 'end' }))
    if (event.op === 'create' && event.type === type) ids.push(event.entity)
  return ids
}

it('V6: a vault that was put back to before a change does not open, nor does one that went on otherwise', async () => {
  const place = join(folder, 'chain')
  const me = await createIdentity()
  const chain = await openChain(`file:${place}`, { as: me })
  await vault(chain).secret('prod/db').put('one')
  const { id } = chain
  await chain.close()
  cpSync(place, join(folder, 'before'), { recursive: true })
  const next = await openChain(`file:${place}`, { as: me, id })
  await vault(next).secret('prod/db').put('two')
  await vault(next).secret('prod/db').destroy([1])
  await next.close()
  // With log and ring of before, the destroyed version would open again.
  rmSync(place, { recursive: true })
  cpSync(join(folder, 'before'), place, { recursive: true })
  expect(await codeOf(openChain(`file:${place}`, { as: me, id }))).toBe('ROLLBACK')
  expect(await codeOf(openChain(`file:${place}`, { as: me, id, readOnly: true }))).toBe('ROLLBACK')
  // Another machine, which has seen nothing of it, goes on from there with all keys: this one takes no other end for its own.
  const key = join(folder, 'me.id')
  await saveIdentity(me, key)
  const program = `import { openChain, openIdentity, vault } from '@ate/vault'
const chain = await openChain(${JSON.stringify(`file:${place}`)}, { as: await openIdentity(${JSON.stringify(key)}), id: '${id}' })
for (const value of ['three', 'four', 'five', 'six']) await vault(chain).secret('prod/db').put(value)
await chain.close()`
  const at = { cwd: import.meta.dirname, env: { ...process.env, ATE_HOME: join(folder, 'elsewhere') } }
  execFileSync(process.execPath, ['-C', '@ate/source', '--no-warnings', '--input-type=module', '-e', program], at)
  expect(await codeOf(openChain(`file:${place}`, { as: me, id }))).toBe('FORK')
})

it('V8: shares that claim a lower threshold make nothing', async () => {
  const shares = await splitIdentity(await createIdentity(), { shares: 4, threshold: 3 })
  const lowered = shares.map((share) => {
    const body = Buffer.from(share.slice('ates-'.length), 'base64url').subarray(0, -4)
    body[1] = 2
    const sum = createHash('sha256').update(body).digest().subarray(0, 4)
    return `ates-${Buffer.concat([body, sum]).toString('base64url')}`
  })
  for (const pair of [lowered.slice(0, 2), lowered.slice(2), [lowered[0]!, lowered[3]!]])
    expect(await codeOf(joinIdentity(pair))).toBe('SHARES_MISMATCH')
  expect(await codeOf(joinIdentity(shares.slice(1)))).toBe('none')
})

it('V8: what stands on fewer shares than the threshold follows from chance alone', async () => {
  const root = await createIdentity()
  const header = 3 + 8 + 32
  // The same identity again and again: of two shares of three no byte is the same each time, nor the difference of any two.
  const seen: Set<number>[] = []
  for (let i = 0; i < 24; i++) {
    const [a, b] = (await splitIdentity(root, { shares: 3, threshold: 3 })).map((share) =>
      Buffer.from(share.slice('ates-'.length), 'base64url').subarray(header, -4),
    )
    for (let at = 0; at < a!.length - 1; at++) {
      for (const [k, byte] of [a![at]!, b![at]!, a![at]! ^ b![at]!].entries()) {
        seen[3 * at + k] ??= new Set()
        seen[3 * at + k]!.add(byte)
      }
    }
  }
  // 24 of 256: fewer than 8 different ones would come once in 10^20.
  for (const values of seen) expect(values.size).toBeGreaterThan(7)
})
