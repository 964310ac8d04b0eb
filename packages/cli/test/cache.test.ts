/**
 * `ate cache`: an operator looks into a cache and does something about it.
 * @newest-node-only: runs the TypeScript sources
 */
import { join } from 'node:path'
import { cache, openChain } from '@ate/cache'
import { createIdentity, saveIdentity } from '@ate/core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Machine, newMachine, onShop } from './run-ate.ts'

let machine: Machine
let chainId: string

beforeAll(async () => {
  machine = newMachine()
  const me = await createIdentity()
  await saveIdentity(me, join(machine.folder, 'me.id'))
  const chain = await openChain(`file:${join(machine.folder, 'shop')}`, { as: me })
  chainId = chain.id
  const prices = cache<unknown>(chain, 'prices')
  await prices.set('tea', { cents: 490 }, { tags: ['drinks', 'hot'], ttl: '1d' })
  await prices.set('milk', 120, { tags: ['drinks'] })
  await prices.set('salt', 80)
  await chain.close()
})
afterAll(() => machine.remove())

const whole = onShop('cache', () => chainId)
const ate = (verb: string, ...args: string[]) => machine.quick(whole(verb, ...args))

it('lists, counts and shows', async () => {
  expect((await machine.run(whole('ls'))).stdout).toMatch(/^prices {2}3 entries, \d+ bytes\n$/)
  expect((await ate('ls', 'prices', '--prefix', 'm')).stdout).toBe('milk\n')
  expect((await ate('get', 'prices', 'tea')).stdout).toMatch(
    /^value {5}\{"cents":490\}\nuntil {5}.+\ntags {6}drinks hot\nversion {3}1\n$/,
  )
  expect(JSON.parse((await ate('stats', 'prices', '--json')).stdout)).toMatchObject({ cache: 'prices', entries: 3 })
  expect(await ate('stats', 'pricez')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('`ate cache ls` lists them'),
  })
})

it('sets, removes and invalidates', async () => {
  expect((await machine.run(whole('set', 'prices', 'tea', '500', '--ttl', '1h', '--tag', 'drinks'))).stdout).toBe(
    'version 2\n',
  )
  expect((await ate('set', 'prices', 'tea', 'much')).stderr).toContain('BAD_ARGUMENT')
  expect((await ate('rm', 'prices', 'salt', 'nothing')).stdout).toBe('1 removed\n')
  expect((await ate('invalidate', 'prices', '--tag', 'drinks')).stdout).toBe('2 void\n')
  expect((await machine.run(whole('ls'))).stdout).toBe('prices  0 entries, 0 bytes\n')
})
