// A queue: what a job does to the chain is in the same commit as "done", so it happens exactly once, however often the
// handler runs.
import { defineType } from '@ate/core'
import { openChain, queue } from '@ate/queue'

const Paid = defineType<{ order: string }>('paid')

const chain = await openChain('file:./shop')
const invoices = queue<{ order: string; cents: number }>(chain, 'invoices', {
  retry: { max: 3, backoff: '10ms' },
  lease: '5s',
})
const adding = Array.from({ length: 200 }, (_, i) => invoices.add({ order: `o${i}`, cents: i }, { id: `bill:o${i}` }))
await Promise.all(adding)
await invoices.add({ order: 'o0', cents: 0 }, { id: 'bill:o0' }) // same id: same job

let runs = 0
const worker = invoices.work(
  (job) => {
    runs++
    job.effect((tx) => tx.create(Paid, { order: job.data.order }))
    if (job.attempt === 1 && job.data.cents % 10 === 0) throw new Error('flaky') // drops the effect, and runs again
  },
  { concurrency: 32 },
)
await invoices.idle()

const { done, dead } = await invoices.counts()
console.log('handlers ran:', runs)
console.log('done:', done, 'dead:', dead, 'paid:', chain.children(Paid).count())

// A flow, a step that is recorded, and a result that comes from the handler.
const packing = await invoices.add({ order: 'o1', cents: 1 }, { after: [{ id: 'bill:o1' }], id: 'pack:o1' })
await packing.result()
console.log((await invoices.get('pack:o1'))?.state)
await worker.stop()
await chain.close()

// Output:
// handlers ran: 220
// done: 200 dead: 0 paid: 200
// done
