/** The types that users rely on; what must not compile says so. */
import type { Chain } from '@ate/core'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { type Handle, type Queue, queue } from '../src/index.ts'

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(_: Same<A, B>): void => undefined

/** Never run: it is for the compiler. */
export function checked(chain: Chain): void {
  const plain = queue<{ order: string }, number>(chain, 'a')
  same<typeof plain, Queue<{ order: string }, { order: string }, number>>(true)
  void plain.add({ order: 'x' }).then((handle) => same<typeof handle, Handle<number>>(true))
  plain.work(async (job) => job.data.order.length)
  // @ts-expect-error the data is of another shape
  void plain.add({ order: 1 })
  // @ts-expect-error handlers return what the queue says
  plain.work(() => 'text')
  // @ts-expect-error there is no such option
  void plain.add({ order: 'x' }, { when: 5 })
  // @ts-expect-error there is no ack
  plain.work((job) => job.ack())

  const checkedQueue = queue(chain, 'b', { data: z.object({ at: z.coerce.date() }), result: z.string() })
  checkedQueue.work((job) => {
    same<typeof job.data, { at: Date }>(true)
    return 'done'
  })
  // @ts-expect-error what the schema does not take
  void checkedQueue.add({})
  // @ts-expect-error the result schema gives text
  checkedQueue.work(() => 5)
  // @ts-expect-error a limit is of one kind
  queue(chain, 'c', { limit: { every: '1s' } })
  // @ts-expect-error durations have a unit
  queue(chain, 'd', { lease: '5 seconds' })
  void chain.transact(async (tx) => {
    const bill = await plain.add({ order: 'x' }, { tx })
    await plain.add({ order: 'y' }, { tx, after: [bill] })
  })
  plain.work(async (job) => {
    await plain.add({ order: 'z' }, { tx: job.tx })
    const n = await job.step('n', () => 5)
    same<typeof n, number>(true)
    return n
  })
}

it('compiles', () => {
  expect(typeof checked).toBe('function')
})
