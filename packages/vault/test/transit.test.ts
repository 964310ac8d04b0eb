/** Keys that encrypt and sign. With ATE_VAULT_SERVED over a server. */
import { createIdentity } from '@ate/core'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { all, codeOf, newPlace, type Place } from './kit.ts'

let place: Place
beforeEach(async () => {
  place = await newPlace()
})
afterEach(() => place.close())

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (data: Uint8Array): string => new TextDecoder().decode(data)

it('encrypts under the newest version, decrypts under all, and gives old ones up', async () => {
  const vault = await place.open()
  const key = vault.transit('cards')
  expect(await codeOf(key.encrypt(bytes('x')))).toBe('NOT_FOUND')
  expect(await key.rotate()).toBe(1)
  const one = await key.encrypt(bytes('4111'), { context: 'card/7' })
  expect(await key.encrypt(bytes('4111'), { context: 'card/7' })).not.toBe(one)
  expect(text(await key.decrypt(one, { context: 'card/7' }))).toBe('4111')
  expect(await codeOf(key.decrypt(one))).toBe('BAD_TOKEN')
  expect(await codeOf(key.decrypt(one, { context: 'card/8' }))).toBe('BAD_TOKEN')
  expect(await key.rotate()).toBe(2)
  const two = await key.rewrap(one, { context: 'card/7' })
  expect(text(await key.decrypt(two, { context: 'card/7' }))).toBe('4111')
  expect(await codeOf(key.rotate({ minDecrypt: 9 }))).toBe('BAD_ARGUMENT')
  expect(await key.rotate({ minDecrypt: 2 })).toBe(3)
  expect(await codeOf(key.decrypt(one, { context: 'card/7' }))).toBe('KEY_RETIRED')
  expect(text(await key.decrypt(two, { context: 'card/7' }))).toBe('4111')
  // A later rotation does not take it up again.
  await key.rotate()
  expect(await codeOf(key.decrypt(one, { context: 'card/7' }))).toBe('KEY_RETIRED')
  expect((await all(vault.audit({ path: 'transit/cards' }))).map(({ act, version }) => [act, version])).toEqual([
    ['rotate', 1],
    ['rotate', 2],
    ['rotate', 3],
    ['retire', 2],
    ['rotate', 4],
  ])
})

it('is encrypted to and verified by who may list it; decrypts and signs for who may read it', async () => {
  const vault = await place.open()
  const alice = await createIdentity()
  const key = vault.transit('release')
  await key.rotate()
  await vault.role('ci').allow('transit/release', ['list'])
  await vault.role('ci').add(alice.publicId)
  const signature = await vault.transit('release').sign(bytes('v1.2.3'))
  const hers = await place.open(alice)
  const token = await hers.transit('release').encrypt(bytes('for the owners'))
  expect(token.length).toBeGreaterThan(1400)
  expect(await hers.transit('release').verify(bytes('v1.2.3'), signature)).toBe(true)
  expect(await hers.transit('release').verify(bytes('v1.2.4'), signature)).toBe(false)
  expect(await codeOf(hers.transit('release').decrypt(token))).toBe('NO_READ_KEY')
  expect(await codeOf(hers.transit('release').sign(bytes('x')))).toBe('NO_READ_KEY')
  expect((await hers.transit('release').publicKey()).lattice.length).toBe(1952)
  const again = await place.open()
  expect(text(await again.transit('release').decrypt(token))).toBe('for the owners')
})

it('takes nothing that was altered: each part of a signature counts', async () => {
  const vault = await place.open()
  const key = vault.transit('k')
  await key.rotate()
  const token = await key.encrypt(bytes('x'))
  const signature = await key.sign(bytes('x'))
  const flip = (of: string, at: number): string => of.slice(0, at) + (of[at] === 'A' ? 'B' : 'A') + of.slice(at + 1)
  for (const at of [8, 14, 30, token.length - 4]) expect(await codeOf(key.decrypt(flip(token, at)))).toBe('BAD_TOKEN')
  // Ed25519 stands in the first characters, ML-DSA-65 behind them: breaking one of the two is not enough.
  for (const at of [20, 60, 200, 4000]) expect(await key.verify(bytes('x'), flip(signature, at))).toBe(false)
  for (const bad of ['', 'ates1.', token, signature.slice(0, -4), null, 7])
    expect(await key.verify(bytes('x'), bad as string)).toBe(false)
  expect(await codeOf(key.decrypt(signature))).toBe('BAD_TOKEN')
  const other = vault.transit('other')
  await other.rotate()
  expect(await codeOf(other.decrypt(token))).toBe('BAD_TOKEN')
  expect(await other.verify(bytes('x'), signature)).toBe(false)
})

it('verifies bytes only: text that is copied into bytes is zeros', async () => {
  const key = (await place.open()).transit('k')
  await key.rotate()
  const signature = await key.sign(new Uint8Array(4))
  expect(await key.verify(new Uint8Array(4), signature)).toBe(true)
  for (const data of ['text', [0, 0, 0, 0], { length: 4 }])
    expect(await codeOf(key.verify(data as never, signature))).toBe('BAD_ARGUMENT')
})

it('is gone when its version is destroyed', async () => {
  const vault = await place.open()
  const key = vault.transit('k')
  await key.rotate()
  const token = await key.encrypt(bytes('x'))
  await vault.secret('transit/k').destroy([1])
  expect(await codeOf(key.decrypt(token))).toBe('VERSION_DESTROYED')
  expect(await codeOf(vault.secret('transit/k').put('mine'))).toBe('WRONG_TYPE')
  for (const name of ['', 'a/b', '..', 'a*']) expect(() => vault.transit(name)).toThrow('BAD_PATH')
})
