/** What the compiler knows: checked by `tsc`, which is part of every check; nothing here runs. */
import type { Chain } from '@ate/core'
import { describe, expectTypeOf, it } from 'vitest'
import { type Bus, bus, type Cursor, type Match } from '../src/index.ts'
import { shape } from './kit.ts'

type Shop = {
  'order.placed': { id: string; cents: number }
  'order.shipped': { id: string; at: Date }
  'order.line.added': { line: number }
  'stock.query': { sku: string }
  plain: 1
}
type Topic = keyof Shop

describe('patterns', () => {
  it('resolve to the union of their topics', () => {
    expectTypeOf<Match<'order.*', Topic>>().toEqualTypeOf<'order.placed' | 'order.shipped'>()
    expectTypeOf<Match<'order.>', Topic>>().toEqualTypeOf<'order.placed' | 'order.shipped' | 'order.line.added'>()
    expectTypeOf<Match<'>', Topic>>().toEqualTypeOf<Topic>()
    expectTypeOf<Match<'*', Topic>>().toEqualTypeOf<'plain'>()
    expectTypeOf<Match<'*.query', Topic>>().toEqualTypeOf<'stock.query'>()
    expectTypeOf<Match<'*.*.*', Topic>>().toEqualTypeOf<'order.line.added'>()
    expectTypeOf<Match<'order', Topic>>().toEqualTypeOf<never>()
    expectTypeOf<Match<'order.*.>', Topic>>().toEqualTypeOf<'order.line.added'>()
    expectTypeOf<Match<'a.*', string>>().toEqualTypeOf<string>()
  })
})

// Never called.
export function program(chain: Chain, events: Bus<Shop, Shop>): void {
  events.subscribe('s', 'order.*', (event) => {
    expectTypeOf(event.topic).toEqualTypeOf<'order.placed' | 'order.shipped'>()
    if (event.topic === 'order.placed') expectTypeOf(event.data).toEqualTypeOf<{ id: string; cents: number }>()
    else expectTypeOf(event.data.at).toEqualTypeOf<Date>()
    expectTypeOf(event.cursor).toEqualTypeOf<Cursor>()
    // @ts-expect-error not narrowed
    void event.data.cents
    // @ts-expect-error it is no topic of this pattern
    void (event.topic === 'plain')
  })
  events.on('stock.query', ({ data, cursor }) => {
    expectTypeOf(data).toEqualTypeOf<{ sku: string }>()
    expectTypeOf(cursor).toEqualTypeOf<Cursor | undefined>()
  })
  void events.publish('order.placed', { id: 'a', cents: 1 }, { key: 'a' })
  // @ts-expect-error unknown topic
  void events.publish('order.nope', {})
  // @ts-expect-error a pattern is no topic
  void events.publish('order.*', { id: 'a', cents: 1 })
  // @ts-expect-error wrong payload
  void events.publish('order.placed', { id: 1 })
  // @ts-expect-error a pattern that no topic fits
  events.on('orders.*', () => undefined)
  // @ts-expect-error a pattern that no topic fits
  events.subscribe('s', 'order', () => undefined)
  // @ts-expect-error a pattern that no topic fits
  events.read('*.*.*.*')
  // @ts-expect-error no topic
  events.respond('stock.*', () => 1)

  void (async () => {
    const left = await events.request('stock.query', { sku: 'x' }, shape<{ left: number }>({ left: 'number' }))
    expectTypeOf(left).toEqualTypeOf<{ left: number }>()
    expectTypeOf(await events.request('stock.query', { sku: 'x' })).toEqualTypeOf<unknown>()
    for await (const event of events.read('order.>')) expectTypeOf(event.topic).not.toEqualTypeOf<string>()
  })

  // By schema: what goes in, and what comes out.
  const dates = bus(chain, { topics: { 'order.shipped': shape<{ at: string }>({ at: 'string' }) } })
  void dates.publish('order.shipped', { at: '2026-01-01' })
  // @ts-expect-error wrong payload
  void dates.publish('order.shipped', { at: 1 })
  // By type arguments, of an interface too.
  interface Plain {
    'invoice.paid': { order: string }
  }
  const plain = bus<Plain>(chain)
  plain.subscribe('s', 'invoice.*', ({ data }) => data.order)
  // Without either, everything is unknown.
  const loose = bus(chain)
  void loose.publish('anything', 1)
  loose.on('any.>', ({ data }) => expectTypeOf(data).toEqualTypeOf<unknown>())
}
