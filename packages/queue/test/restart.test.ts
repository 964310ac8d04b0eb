/** A restart with many jobs that wait: what it reads grows as the jobs do, whether they were added alone or together. */
import { type LogEngine, memoryEngine, memoryStore, openChain } from '@ate/core'
import { testPlatform } from '@ate/core/testing'
import { expect, it } from 'vitest'
import { queue } from '../src/index.ts'
import { JobTable } from '../src/job-table.ts'
import { person } from './kit.ts'

interface Work {
  /** Reads of parts of records, and their bytes. */
  reads: number
  bytes: number
}

function counted(engine: LogEngine, work: Work): LogEngine {
  return new Proxy(engine, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target)
      if (typeof value !== 'function') return value
      if (property !== 'readPart') return value.bind(target)
      return (seq: number, offset: number, size: number) => {
        work.reads++
        work.bytes += size
        return target.readPart(seq, offset, size)
      }
    },
  })
}

/** What is read from the opening of the chain to the first job, with so many waiting. */
async function workOfRestart(jobs: number, adds: 'alone' | 'together'): Promise<Work> {
  const store = memoryStore()
  const as = await person()
  const first = await openChain(memoryEngine(store), { as }, testPlatform(1))
  const adder = queue<number>(first, 'jobs')
  const all = Array.from({ length: jobs }, (_, n) => n)
  if (adds === 'together') await adder.addMany(all)
  else for (const n of all) await adder.add(n)
  await first.close()
  const work: Work = { reads: 0, bytes: 0 }
  const chain = await openChain(counted(memoryEngine(store), work), { as, id: first.id }, testPlatform(2))
  const leases = queue<number>(chain, 'jobs').leases()
  expect((await leases.next()).value?.data).toBe(0)
  const read = { ...work }
  await leases.return()
  await chain.close()
  return read
}

for (const adds of ['alone', 'together'] as const) {
  it(`reads no more of each job when there are more, added ${adds}`, async () => {
    const some = await workOfRestart(60, adds)
    const twice = await workOfRestart(120, adds)
    expect(some.bytes).toBeGreaterThan(0)
    expect(twice.reads).toBeLessThan(2.1 * some.reads)
    expect(twice.bytes).toBeLessThan(2.1 * some.bytes)
    expect(twice.reads).toBeLessThan(adds === 'alone' ? 4 * 120 : 60)
  })
}

it('orders what waits with a few comparisons a job, in whatever order it comes', () => {
  const comparisons = (count: number): number => {
    const table = new JobTable()
    let looked = 0
    const { priority } = table.rows
    expect(priority.length).toBeLessThan(count)
    for (let i = 0; i < count; i++)
      table.put(`${String(i).padStart(25, '0')}0`, { data: undefined, added: i, priority: (i * 7919) % 1000 }, 0)
    table.rows.priority = new Proxy(table.rows.priority, {
      get(target, property) {
        looked++
        return Reflect.get(target, property, target)
      },
    })
    for (let i = 0; i < count; i++) expect(table.take('s')).toBeDefined()
    return looked
  }
  const few = comparisons(1000)
  // A heap: n log n.
  expect(comparisons(4000)).toBeLessThan(4 * few * 1.4)
})
