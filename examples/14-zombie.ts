// A worker that is stopped past its lease, and goes on when another has its job. Its commit is refused, and so are the
// effects in it: `paid` is written once. Both workers are in this program; the first one's timers stand still.
import { defineType } from '@ate/core'
import { openChain, type QueueEnvironment, queue } from '@ate/queue'

const Paid = defineType<{ by: string }>('paid')

/** Timers that never come, as of a process that was stopped: its lease is not renewed. */
const stopped: QueueEnvironment = {
  start: () => ({ cancel: () => undefined }),
  pause: () => new Promise((resolve) => setImmediate(resolve)),
  random: () => 0.5,
  monotonic: () => 0,
}
const options = { lease: '500ms' } as const

for (const still of ['done', 'active'] as const) {
  const chain = await openChain('memory:')
  const first = queue<string>(chain, 'bills', options, stopped)
  const second = queue<string>(chain, 'bills', options)
  await first.add('o1', { id: 'bill:o1' })

  const { value: zombie } = await first.leases().next()
  if (!zombie) throw new Error('there is no job')
  zombie.effect((tx) => tx.create(Paid, { by: 'the zombie' }))

  let finish = () => {}
  const finished = new Promise<void>((resolve) => {
    finish = resolve
  })
  const started = new Promise<void>((resolve) => {
    second.work(async (job) => {
      console.log(`another worker has it: attempt ${job.attempt}, a higher fence: ${job.fence > zombie.fence}`)
      job.effect((tx) => tx.create(Paid, { by: 'the other' }))
      resolve()
      if (still === 'active') await finished
    })
  })
  await started
  if (still === 'done') await second.idle()

  const refused = await zombie.complete('paid twice?').then(
    () => 'committed',
    (error) => error.code,
  )
  console.log(`the zombie completes while the other is ${still}: ${refused}`)
  finish()
  await second.idle()
  for await (const { value } of chain.children(Paid)) console.log('paid by', value.by)
  await second.close()
  await chain.close()
}

// Output:
// another worker has it: attempt 2, a higher fence: true
// the zombie completes while the other is done: LEASE_LOST
// paid by the other
// another worker has it: attempt 2, a higher fence: true
// the zombie completes while the other is active: LEASE_LOST
// paid by the other
