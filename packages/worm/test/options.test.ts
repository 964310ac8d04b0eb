/** A name that is no option is refused: a record whose `retain` is misspelt could be disposed of at any time. */

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { rejectionOf } from '../../../scripts/lib/rejection.ts'
import { type Worm, worm } from '../src/worm.ts'
import { all, newPlace, type Place, textOf } from './kit.ts'

const place: Place = newPlace()
let archive: Worm
beforeEach(async () => {
  archive = await place.open()
  await archive.put('a', 'body', { retain: '1d' })
})
afterEach(() => place.close())

describe('a name that is no option', () => {
  const calls: readonly (readonly [string, string, () => unknown])[] = [
    ['worm', 'witness', () => worm(archive.chain, { witness: {} } as never)],
    ['worm', 'reatin', () => worm(archive.chain, { defaults: { reatin: '7y' } } as never)],
    ['worm', 'qourum', () => worm(archive.chain, { witnesses: { keys: [], qourum: 3 } } as never)],
    ['put', 'reatin', () => archive.put('b', 'body', { reatin: '7y' } as never)],
    ['put', 'Mode', () => archive.put('b', 'body', { Mode: 'compliance' } as never)],
    ['get', 'rnage', () => archive.get('a', { rnage: [0, 1] } as never)],
    ['list', 'name', () => all(archive.list({ name: 'a' } as never))],
    ['list', 'prefix', () => all(archive.list({}, { prefix: 'a' } as never))],
    ['extend', 'modus', () => archive.extend('a', '2d', { modus: 'compliance' } as never)],
    ['hold', 'matter', () => archive.hold('a', 'case', { matter: 'x' } as never)],
    ['release', 'reasn', () => archive.release('a', 'case', { reasn: 'x' } as never)],
    ['dispose', 'bypass', () => archive.dispose('a', { reason: 'x', bypass: true } as never)],
    ['erase', 'dryRun', () => archive.erase('s', { dryRun: true } as never)],
    ['prove', 'witneses', () => archive.prove('a', { witneses: {} } as never)],
    ['audit', 'since', () => all(archive.audit({ since: 0 } as never))],
    ['export', 'subjct', () => textOf(archive.export({ subjct: 's' } as never, { format: 'tar' }))],
    ['export', 'proof', () => textOf(archive.export({}, { format: 'tar', proof: 'omit' } as never))],
    ['fsck', 'dep', () => all(archive.fsck({ dep: true } as never))],
    ['dropUploads', 'after', () => archive.dropUploads({ before: 0, after: 1 } as never)],
    ['nameWitnesses', 'key', () => archive.nameWitnesses({ keys: [], key: 'x' } as never)],
  ]
  it.each(calls)('of %s: %s', async (_, given, call) => {
    const { seq } = archive.chain.head
    expect(await rejectionOf(call)).toMatchObject({ code: 'BAD_ARGUMENT', facts: { given } })
    expect(archive.chain.head.seq).toBe(seq)
  })
})

/** A setting that was not there named nobody, without a word: nothing under compliance would ever have gone. */
it.each([undefined, {}, { quorum: 1 }])('witnesses that are none are refused: %j', async (witnesses) => {
  const { seq } = archive.chain.head
  expect(await rejectionOf(() => archive.nameWitnesses(witnesses as never))).toMatchObject({ code: 'BAD_ARGUMENT' })
  if (witnesses !== undefined) {
    const making = () => worm(archive.chain, { witnesses: witnesses as never })
    expect(await rejectionOf(making)).toMatchObject({ code: 'BAD_ARGUMENT' })
  }
  expect(archive.chain.head.seq).toBe(seq)
})
