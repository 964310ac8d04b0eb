/**
 * `ate queue`: an operator looks into a queue and does something about it.
 * @newest-node-only: runs the TypeScript sources
 */
import { join } from 'node:path'
import { createIdentity, saveIdentity } from '@ate/core'
import { openChain, queue } from '@ate/queue'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Machine, newMachine, onShop } from './run-ate.ts'

let machine: Machine
let chainId: string

beforeAll(async () => {
  machine = newMachine()
  const me = await createIdentity()
  await saveIdentity(me, join(machine.folder, 'me.id'))
  const chain = await openChain(`file:${join(machine.folder, 'shop')}`, { as: me })
  chainId = chain.id
  const mails = queue<{ to: string }, object>(chain, 'mails', { retry: { max: 1 } })
  await mails.addMany([
    [{ to: 'a' }, { id: 'a' }],
    [{ to: 'b' }, { id: 'b' }],
    [{ to: 'c' }, { id: 'c', delay: '1h' }],
  ])
  const worker = mails.work((job) => {
    if (job.data.to === 'b') throw new Error('no such address')
    return { sent: job.data.to }
  })
  await mails.idle()
  await worker.stop()
  await chain.close()
})
afterAll(() => machine.remove())

const whole = onShop('queue', () => chainId)
const ate = (verb: string, ...args: string[]) => machine.quick(whole(verb, ...args))

it('lists and counts', async () => {
  expect(await machine.run(whole('ls'))).toMatchObject({ code: 0, stdout: 'mails  1 scheduled, 1 done, 1 dead\n' })
  expect(JSON.parse((await ate('counts', 'mails', '--json')).stdout)).toMatchObject({ done: 1, dead: 1, scheduled: 1 })
  expect((await ate('list', 'mails', '--state', 'dead')).stdout).toBe('dead      b\n')
  expect((await ate('peek', 'mails', 'b')).stdout).toContain('error     Error: no such address\n')
  expect(await ate('counts', 'mailz')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('`ate queue ls` lists them'),
  })
  expect((await ate('list', 'mails', '--state', 'gone')).code).toBe(2)
})

it('gives the result of a job, or says why there is none', async () => {
  expect(await ate('result', 'mails', 'a')).toMatchObject({ code: 0, stdout: '{"sent":"a"}\n' })
  expect(await ate('result', 'mails', 'b')).toMatchObject({ code: 1, stderr: expect.stringContaining('JOB_FAILED') })
  expect((await ate('result', 'mails', 'c', '--timeout', '50ms')).stderr).toContain('NO_RESULT')
  expect((await ate('result', 'mails', 'z')).stderr).toContain('NOT_FOUND')
})

it('runs again, cancels, pauses and adds', async () => {
  expect((await machine.run(whole('redrive', 'mails'))).stdout).toBe('1 job to run again\n')
  expect((await ate('cancel', 'mails', 'c', '--reason', 'no more')).stdout).toBe('cancelled\n')
  expect((await ate('pause', 'mails')).stdout).toBe('paused\n')
  expect((await ate('publish', 'mails', '{"to":"d"}', '--job-id', 'd')).stdout).toBe('d\n')
  expect((await ate('publish', 'mails', 'to d')).stderr).toContain('BAD_ARGUMENT')
  expect((await machine.run(whole('ls'))).stdout).toMatch(
    /^mails {2}2 waiting, 1 done, 1 cancelled, the oldest waits for [\d.]+ s, paused\n$/,
  )
})
