/**
 * Workers in processes of their own, at a server: one is stopped with SIGSTOP past its lease, another does its job, and
 * the first goes on. Two handles share the work; a job is added here and awaited there.
 * @newest-node-only: runs the TypeScript sources
 */
import { type ChildProcess, fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Chain, createIdentity, type Identity, saveIdentity } from '@ate/core'
import { type Served, serve } from '@ate/core/server'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openChain, queue } from '../src/index.ts'
import { EffectOf } from './effect-of.ts'
import { codeOf } from './kit.ts'

let folder: string
let server: Served
let me: Identity

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ate-queue-server-'))
  server = await serve({ listen: 'ws://127.0.0.1:0/db', data: join(folder, 'served') })
  me = await createIdentity()
  await saveIdentity(me, join(folder, 'me.id'))
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

const open = (name: string, id?: string): Promise<Chain> =>
  openChain(`${server.url}/${name}`, {
    as: me,
    serverKey: server.fingerprint,
    ...(id === undefined ? { create: true } : { id }),
  })

/** A worker process, and what it says. */
class Worker {
  readonly child: ChildProcess
  readonly #said: Record<string, unknown>[] = []
  #heard = (): void => undefined

  constructor(chain: Chain, name: string) {
    const args = [`${server.url}/${name}`, chain.id, server.fingerprint, join(folder, 'me.id')]
    this.child = fork(join(import.meta.dirname, 'server-child.ts'), args, { execArgv: ['-C', '@ate/source'] })
    this.child.on('message', (message) => {
      this.#said.push(message as Record<string, unknown>)
      this.#heard()
    })
  }

  async says(what: string): Promise<Record<string, unknown>> {
    for (;;) {
      const found = this.#said.find((message) => what in message)
      if (found) return found
      await new Promise<void>((resolve) => {
        this.#heard = resolve
      })
    }
  }

  async kill(): Promise<void> {
    const gone = new Promise((resolve) => this.child.once('exit', resolve))
    this.child.kill('SIGKILL')
    await gone
  }
}

describe.skipIf(process.platform === 'win32')('a worker that is stopped past its lease', () => {
  it.each(['done', 'active'] as const)(
    'F4, F5: its job is %s elsewhere: LEASE_LOST, and none of its effects',
    async (still) => {
      const name = `zombie-${still}`
      const chain = await open(name)
      const jobs = queue<number>(chain, 'jobs', { lease: '1s' })
      await jobs.add(1, { id: 'j' })
      const zombie = new Worker(chain, name)
      expect(await zombie.says('attempt')).toEqual({ attempt: 1 })
      zombie.child.kill('SIGSTOP')

      let finish = (): void => undefined
      const finished = new Promise<void>((resolve) => {
        finish = resolve
      })
      let fence = 0n
      const begun = new Promise<void>((resolve) => {
        jobs.work(async (job) => {
          fence = job.fence
          job.effect((tx) => tx.create(EffectOf, { job: job.id, fence: job.fence }))
          resolve()
          if (still === 'active') await finished
        })
      })
      await begun
      if (still === 'done') await jobs.idle()

      zombie.child.send('go on')
      zombie.child.kill('SIGCONT')
      expect(await zombie.says('outcome')).toEqual({ outcome: 'lost', error: 'LEASE_LOST' })
      finish()
      await jobs.idle()
      const effects: bigint[] = []
      for await (const { value } of chain.children(EffectOf)) effects.push(value.fence)
      expect(effects).toEqual([fence])
      expect((await jobs.get('j'))?.errors.length).toBe(1)
      await zombie.kill()
      await jobs.close()
      await chain.close()
    },
  )
})

it('several handles work on one queue, each job once, and results come to who added', async () => {
  const first = await open('shared')
  const adder = queue<number, number>(first, 'jobs')
  const handles = await adder.addMany(Array.from({ length: 60 }, (_, n) => n))
  const others = [await open('shared', first.id), await open('shared', first.id)]
  let ran = 0
  const workers = others.map((chain) =>
    queue<number, number>(chain, 'jobs').work(
      (job) => {
        ran++
        return job.data * 2
      },
      { concurrency: 4 },
    ),
  )
  // Who knows only the ids, on a connection of his own, and asks for more than is there yet.
  const asks = await open('shared', first.id)
  const asking = queue<number, number>(asks, 'jobs')
  const late = adder.add(60, { id: 'late' }).then(() => asking.result('late'))
  const byId = Promise.all(handles.map(({ id }) => asking.result(id, { timeout: '1m' })))
  const results = await Promise.all(handles.map((handle) => handle.result()))
  expect([await byId, await late]).toEqual([results, 120])
  expect(await asking.result('nobody').catch(codeOf)).toBe('NOT_FOUND')
  expect(results).toEqual(handles.map((_, n) => n * 2))
  expect(ran).toBe(61)
  await Promise.all(workers.map((worker) => worker.stop()))
  await Promise.all([...others, asks, first].map((chain) => chain.close()))
})
