/** A name that is no option is refused: a value without the time that was meant would stay for good. */

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { rejectionOf } from '../../../scripts/lib/rejection.ts'
import type { Cache } from '../src/index.ts'
import { openWorld, type World } from './kit.ts'

let world: World
beforeEach(async () => {
  world = await openWorld()
})
afterEach(() => world.close())

describe('a name that is no option', () => {
  it.each([
    ['tlt', { tlt: '1h' }],
    ['maxbytes', { memory: { maxbytes: 1 } }],
    ['raed', { access: { raed: 'everyone' } }],
  ])('of a cache: %s', async (given, options) => {
    const error = await rejectionOf(() => world.cache(options as never))
    expect(error).toMatchObject({ code: 'BAD_ARGUMENT', facts: { given } })
  })

  const calls: readonly (readonly [string, string, (c: Cache<number>) => unknown])[] = [
    ['set', 'tlt', (c) => c.set('k', 1, { tlt: '1h' } as never)],
    ['set', 'ifAbsent', (c) => c.set('k', 1, { ifAbsent: true } as never)],
    ['setMany', 'tlt', (c) => c.setMany([['k', 1, { tlt: '1h' } as never]])],
    ['setMany', 'ttl', (c) => c.setMany([['k', 1]], { ttl: '1h' } as never)],
    ['getOrSet', 'stale', (c) => c.getOrSet('l', () => 1, { stale: '1h' } as never)],
    ['delete', 'if', (c) => c.delete('k', { if: 3 } as never)],
    ['touch', 'tlt', (c) => c.touch('k', { tlt: '1h' } as never)],
    ['incr', 'tlt', (c) => c.incr('k', 1, { tlt: '1h' } as never)],
    ['lock', 'wiat', (c) => c.lock('k', { wiat: 0 } as never)],
    ['invalidate', 'tag', (c) => c.invalidate({ tag: 'x' } as never)],
    ['clear', 'prefix', (c) => c.clear({ prefix: 'x' } as never)],
    ['watch', 'key', (c) => c.watch({ key: 'x' } as never)],
    ['configure', 'mx', (c) => c.configure({ mx: 1 } as never)],
  ]
  it.each(calls)('of %s: %s', async (_, given, call) => {
    const c = world.cache<number>()
    await c.set('k', 1)
    const { seq } = c.chain.head
    expect(await rejectionOf(() => call(c))).toMatchObject({ code: 'BAD_ARGUMENT', facts: { given } })
    expect(c.chain.head.seq).toBe(seq)
    expect(c.get('k')).toBe(1)
  })
})
