/** Values that open once. With ATE_VAULT_SERVED over a server. */
import { createIdentity } from '@ate/core'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { all, codeOf, fieldSchema, newPlace, type Place } from './kit.ts'

let place: Place
beforeEach(async () => {
  place = await newPlace()
})
afterEach(() => place.close())

it('a token opens once, also for who is in no role; the second try is recorded', async () => {
  const vault = await place.open()
  const token = await vault.wrap({ otp: '491-220' }, { ttl: '10m' })
  const stranger = await createIdentity()
  const his = await place.open(stranger)
  expect(await his.unwrap(token, fieldSchema('otp'))).toEqual({ otp: '491-220' })
  expect(await codeOf(his.unwrap(token))).toBe('TOKEN_SPENT')
  const again = await place.open()
  expect(await codeOf(again.unwrap(token))).toBe('TOKEN_SPENT')
  const acts = (await all(again.audit())).map(({ act }) => act)
  expect(acts).toEqual(['join', 'wrap', 'unwrap', 'unwrap refused'])
})

it('of two that come at once one gets it', async () => {
  const vault = await place.open()
  const token = await vault.wrap('x', { ttl: '10m' })
  const codes = await Promise.all([1, 2, 3].map(() => codeOf(vault.unwrap(token))))
  expect(codes.sort()).toEqual(['TOKEN_SPENT', 'TOKEN_SPENT', 'none'])
})

it('is not spent by who expects another value', async () => {
  const vault = await place.open()
  const token = await vault.wrap({ otp: '491-220' }, { ttl: '10m' })
  expect(await codeOf(vault.unwrap(token, fieldSchema('pin')))).toBe('BAD_VALUE')
  expect(await vault.unwrap(token, fieldSchema('otp'))).toEqual({ otp: '491-220' })
})

it('ends with its time', async () => {
  const vault = await place.open()
  const token = await vault.wrap('x', { ttl: '10m' })
  place.makers.move(600_001)
  expect(await codeOf(vault.unwrap(token))).toBe('TOKEN_SPENT')
  for (const bad of [{ ttl: 0 }, {}, undefined])
    expect(await codeOf(vault.wrap('x', bad as { ttl: number }))).toBe('BAD_ARGUMENT')
})

it('takes no token that was altered, and none of somewhere else', async () => {
  const vault = await place.open()
  const token = await vault.wrap('x', { ttl: '10m' })
  const flip = (at: number): string => token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1)
  for (const text of [
    '',
    'atew1.',
    token.slice(1),
    token.slice(0, -1),
    `${token}A`,
    token.replace('atew1', 'atew2'),
    null,
  ])
    expect(await codeOf(vault.unwrap(text as string))).toBe('BAD_TOKEN')
  expect(['BAD_TOKEN', 'TOKEN_SPENT']).toContain(await codeOf(vault.unwrap(flip(10))))
  expect(await codeOf(vault.unwrap(flip(token.length - 5)))).toBe('BAD_BODY')
  // None of these tries spent it.
  expect(await vault.unwrap(token)).toBe('x')
})

it('a member who may only write wraps; what is wrapped in a transaction goes with it', async () => {
  const vault = await place.open()
  const alice = await createIdentity()
  await vault.role('ci').allow('x', ['write'])
  await vault.role('ci').add(alice.publicId)
  const hers = await place.open(alice)
  const token = await hers.wrap('from ci', { ttl: '1h' })
  const again = await place.open()
  expect(await again.unwrap(token)).toBe('from ci')
  let lost = ''
  await again.chain
    .transact(async (tx) => {
      lost = await again.wrap('lost', { ttl: '1h', tx })
      throw new Error('no')
    })
    .catch(() => undefined)
  expect(await codeOf(again.unwrap(lost))).toBe('TOKEN_SPENT')
})
