/** A worker in a process of its own, at a server: it says what it does, and goes on in its handler when it is told to. */
import process from 'node:process'
import { openIdentity } from '@ate/core'
import { openChain, queue } from '../src/index.ts'
import { EffectOf } from './effect-of.ts'

const [place, id, serverKey, file] = process.argv.slice(2) as [string, string, string, string]
const chain = await openChain(place, { as: await openIdentity(file), id, serverKey })
const goes = new Promise<void>((resolve) => process.once('message', () => resolve()))
const jobs = queue<number>(chain, 'jobs', {
  lease: '1s',
  observe: (one) => {
    if (one.kind === 'processed') process.send?.({ outcome: one.outcome, error: one['error.type'] })
  },
})
jobs.work(async (job) => {
  job.effect((tx) => tx.create(EffectOf, { job: job.id, fence: job.fence }))
  process.send?.({ attempt: job.attempt })
  await goes
})
