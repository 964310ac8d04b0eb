/** A name that is no option is refused: a member whose end is misspelt would stay for good. */

import { createIdentity } from '@ate/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { rejectionOf } from '../../../scripts/lib/rejection.ts'
import { type Vault, vault } from '../src/vault.ts'
import { newPlace, type Place } from './kit.ts'

let place: Place
let secrets: Vault
beforeEach(async () => {
  place = await newPlace()
  secrets = await place.open()
  await secrets.secret('a').put('1')
  await secrets.role('crew').allow('a', ['read'])
})
afterEach(() => place.close())

const issuer = { name: 'db', issue: async () => 'x', revoke: async () => undefined }
const drain = async (list: AsyncIterable<unknown>): Promise<void> => {
  for await (const _ of list);
}

describe('a name that is no option', () => {
  const calls: readonly (readonly [string, string, () => unknown])[] = [
    ['vault', 'adit', () => vault(secrets.chain, { adit: 'reads' } as never)],
    ['put', 'csa', () => secrets.secret('a').put('2', { csa: 0 } as never)],
    ['put', 'expire', () => secrets.secret('a').put('2', { expire: '1d' } as never)],
    ['patch', 'cas', () => secrets.secret('a').patch(() => '2', { cas: 1 } as never)],
    ['get', 'versoin', () => secrets.secret('a').get({ versoin: 1 } as never)],
    ['delete', 'versions', () => secrets.secret('a').delete(undefined, { versions: [1] } as never)],
    ['destroy', 'dryRun', () => secrets.secret('a').destroy('all', { dryRun: true } as never)],
    ['annotate', 'cas', () => secrets.secret('a').annotate({}, { cas: 1 } as never)],
    ['allow', 'untill', () => secrets.role('crew').allow('a', ['read'], { untill: new Date() } as never)],
    ['add', 'unitl', async () => secrets.role('crew').add((await createIdentity()).publicId, { unitl: 0 } as never)],
    ['revoke', 'until', () => secrets.role('crew').revoke('a', { until: new Date() } as never)],
    ['remove', 'at', () => secrets.role('crew').remove(place.root.publicId, { at: 1 } as never)],
    ['wrap', 'max', () => secrets.wrap('x', { ttl: '1h', max: 1 } as never)],
    ['lease', 'expires', () => secrets.lease(issuer, { ttl: '1h', expires: '2h' } as never)],
    ['rotate', 'rotations', () => secrets.rotate({ rotations: [] } as never)],
    ['audit', 'since', () => drain(secrets.audit({ since: 0 } as never))],
    ['env', 'time', () => secrets.env('a', { time: new Date() } as never)],
    ['encrypt', 'contxt', () => secrets.transit('k').encrypt(new Uint8Array(1), { contxt: 'c' } as never)],
    ['decrypt', 'contxt', () => secrets.transit('k').decrypt('x', { contxt: 'c' } as never)],
    ['rotate of a key', 'min', () => secrets.transit('k').rotate({ min: 1 } as never)],
  ]
  it.each(calls)('of %s: %s', async (_, given, call) => {
    const { seq } = secrets.chain.head
    expect(await rejectionOf(call)).toMatchObject({ code: 'BAD_ARGUMENT', facts: { given } })
    expect(secrets.chain.head.seq).toBe(seq)
  })
})

it('versions that are no list are refused', async () => {
  const secret = secrets.secret('a')
  for (const given of [1, '1', {}] as never[]) {
    for (const call of [() => secret.delete(given), () => secret.restore(given), () => secret.destroy(given)])
      expect(await rejectionOf(call)).toMatchObject({ code: 'BAD_ARGUMENT' })
  }
  expect((await secret.get()).value).toBe('1')
})

it('a name of a transit key that has no text is refused', () => {
  expect(() => secrets.transit(Object.create(null) as never)).toThrow(expect.objectContaining({ code: 'BAD_PATH' }))
})
