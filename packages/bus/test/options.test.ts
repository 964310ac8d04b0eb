/** A name that is no option is refused where it is given: a slip in `retain` must not keep everything for ever. */

import { isAteError } from '@ate/core'
import { afterEach, describe, expect, it } from 'vitest'
import { rejectionOf } from '../../../scripts/lib/rejection.ts'
import { type Bus, bus } from '../src/index.ts'
import { closeAll, closeLater, open } from './kit.ts'

afterEach(closeAll)

const nothing = (): void => {}

describe('a name that is no option', () => {
  it.each([
    ['reatin', { reatin: { count: 1 } }],
    ['cout', { retain: { cout: 1 } }],
    ['raed', { access: { raed: 'everyone' } }],
  ])('of a bus: %s', async (given, options) => {
    const chain = closeLater(await open())
    const error = await rejectionOf(() => bus(chain, options as never))
    expect(error).toMatchObject({ code: 'BAD_ARGUMENT', facts: { given } })
  })

  type Events = Bus<Record<string, unknown>, Record<string, unknown>>
  const calls: readonly (readonly [string, string, (events: Events) => unknown])[] = [
    ['publish', 'idd', (events) => events.publish('a', 1, { idd: 'x' } as never)],
    ['publish', 'signal', (events) => events.publish('a', 1, { signal: undefined } as never)],
    ['on', 'bufer', (events) => events.on('a', nothing, { bufer: 1 } as never)],
    ['subscribe', 'form', (events) => events.subscribe('s', 'a', nothing, { form: 'end' } as never)],
    ['subscribe', 'tries', (events) => events.subscribe('s', 'a', nothing, { retry: { tries: 1 } } as never)],
    ['read', 'limit', (events) => events.read('a', { limit: 1 } as never)],
    ['request', 'timeuot', (events) => events.request('a', 1, { timeuot: 5 } as never)],
    ['respond', 'gruop', (events) => events.respond('a', nothing, { gruop: 'g' } as never)],
    ['redrive', 'max', (events) => events.redrive('s', { max: 1 } as never)],
  ]
  it.each(calls)('of %s: %s', async (_, given, call) => {
    const chain = closeLater(await open())
    const events = closeLater(bus(chain))
    const before = chain.head.seq
    const error = await rejectionOf(() => call(events))
    expect(isAteError(error), String(error)).toBe(true)
    expect(error).toMatchObject({ code: 'BAD_ARGUMENT', facts: { given } })
    expect(chain.head.seq).toBe(before)
  })

  it('nor is a value without a text: it is refused by its name', async () => {
    const events = closeLater(bus(closeLater(await open())))
    const concurrency = Object.create(null) as never
    expect(await rejectionOf(() => events.subscribe('s', 'a', nothing, { concurrency }))).toMatchObject({
      code: 'BAD_ARGUMENT',
    })
  })

  it('is not what all of them take: nothing that is an option is refused', async () => {
    const chain = closeLater(await open())
    const options = { name: 'b', access: {}, retain: { for: '1d', count: 9, bytes: 9999 }, ephemeral: [] } as const
    const events = closeLater(bus(chain, { ...options, observe: nothing }))
    await events.publish('a', 1, { key: 'k', id: 'i', headers: {} })
    await events.subscribe('s', 'a', nothing, {
      from: 'start',
      order: 'key',
      concurrency: 1,
      prefetch: 1,
      retry: { max: 1, backoff: 1 },
      onPoison: 'dead',
      lease: '1s',
      timeout: '1s',
      grace: '1s',
    }).ready
    expect(await events.redrive('s', { limit: 1 })).toBe(0)
  })
})
