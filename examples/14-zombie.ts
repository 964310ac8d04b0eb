// A worker process that is stopped (SIGSTOP) past its lease, and goes on (SIGCONT) when another has done its job, or is
// still at it. Its commit is refused, and so are the effects in it: each bill is paid once. Over a server of this program.
import { fork } from 'node:child_process'
import { createIdentity, defineType, openIdentity, saveIdentity } from '@ate/core'
import { serve } from '@ate/core/server'
import { openChain, queue } from '@ate/queue'

const Paid = defineType<{ by: string }>('paid')
const [url, id, serverKey] = process.argv.slice(2)
if (url && id && serverKey) await workAndSay(url, id, serverKey)
else await show()

/** The worker process: it says when it has begun, goes on when it is told to, and says how it ended. */
async function workAndSay(place: string, id: string, serverKey: string) {
  const chain = await openChain(place, { as: await openIdentity('./worker.id'), id, serverKey })
  const told = new Promise<void>((resolve) => process.once('message', () => resolve()))
  const bills = queue<string>(chain, 'bills', {
    lease: '1s',
    observe: (one) => {
      if (one.kind === 'processed') process.send?.(`${one.outcome}, ${one['error.type']}`)
    },
  })
  bills.work(async (job) => {
    job.effect((tx) => tx.create(Paid, { by: 'the zombie' }))
    process.send?.('begun')
    await told
  })
}

async function show() {
  const server = await serve({ listen: 'ws://127.0.0.1:0/db', data: './served' })
  const me = await createIdentity()
  await saveIdentity(me, './worker.id')
  for (const still of ['done', 'active'] as const) {
    const place = `${server.url}/shop-${still}`
    const chain = await openChain(place, { as: me, create: true, serverKey: server.fingerprint })
    const bills = queue<string>(chain, 'bills', { lease: '1s' })
    await bills.add('o1')

    const zombie = fork(import.meta.filename, [place, chain.id, server.fingerprint])
    const says = () => new Promise<unknown>((resolve) => zombie.once('message', resolve))
    await says()
    zombie.kill('SIGSTOP')

    let finish = () => {}
    const finished = new Promise<void>((resolve) => {
      finish = resolve
    })
    await new Promise<void>((resolve) => {
      bills.work(async (job) => {
        console.log('the worker was not heard of, so another has its job: attempt', job.attempt)
        job.effect((tx) => tx.create(Paid, { by: 'the other' }))
        resolve()
        if (still === 'active') await finished
      })
    })
    if (still === 'done') await bills.idle()

    const end = says()
    zombie.send('go on')
    zombie.kill('SIGCONT')
    console.log(`it goes on while its job is ${still}: ${await end}`)
    finish()
    await bills.idle()
    for await (const { value } of chain.children(Paid)) console.log('paid by', value.by)

    const gone = new Promise((resolve) => zombie.once('exit', resolve))
    zombie.kill('SIGKILL')
    await gone
    await bills.close()
    await chain.close()
  }
  await server.close()
}

// Output:
// the worker was not heard of, so another has its job: attempt 2
// it goes on while its job is done: lost, LEASE_LOST
// paid by the other
// the worker was not heard of, so another has its job: attempt 2
// it goes on while its job is active: lost, LEASE_LOST
// paid by the other
