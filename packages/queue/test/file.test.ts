/**
 * On files, with real processes: a worker is killed with SIGKILL, and another finishes what it had; a program that stops
 * its worker and closes its chain ends by itself.
 * @newest-node-only: runs the TypeScript sources
 */
import { fork, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { openChain, queue } from '../src/index.ts'
import { findingsOf } from './history.ts'
import { EffectOf } from './kit.ts'

let folder: string
afterEach(() => rmSync(folder, { recursive: true, force: true }))

it('F1, F8: a worker that is killed: its jobs are done by the next, what was done is not done again', async () => {
  folder = mkdtempSync(join(tmpdir(), 'ate-queue-'))
  const place = `file:${join(folder, 'chain')}`
  const child = fork(join(import.meta.dirname, 'file-child.ts'), [place], { execArgv: ['-C', '@ate/source'] })
  const stuck = new Set<number>()
  await new Promise<void>((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', (code) => reject(new Error(`the worker ended with ${code}`)))
    child.on('message', (n) => {
      stuck.add(Number(n))
      if (stuck.size === 10) resolve()
    })
  })
  child.removeAllListeners('exit')
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone

  const chain = await openChain(place)
  const jobs = queue<number>(chain, 'jobs', { lease: '1s', retry: { backoff: 0 } })
  const ran: number[] = []
  const worker = jobs.work(
    (job) => {
      ran.push(job.data)
      job.effect((tx) => tx.create(EffectOf, { job: job.id, fence: job.fence }))
    },
    { concurrency: 4 },
  )
  await jobs.idle()
  await worker.stop()
  // Handlers that had returned when the process was killed run again, unless their commit had come first.
  expect(ran).toEqual(expect.arrayContaining([...stuck]))
  expect(new Set(ran).size).toBe(ran.length)
  expect((await jobs.counts()).done).toBe(30)
  expect((await chain.verify()).ok).toBe(true)
  const ids = new Set(Array.from({ length: 30 }, (_, n) => `j${n}`))
  // Those that were done by the first worker had no effects to register.
  const { lost, duplicated, open } = await findingsOf(chain, { acknowledged: ids, attempted: ids })
  expect([lost, duplicated, open]).toEqual([[], [], 0])
  await chain.close()
})

it('a program that closes what it opened ends by itself', async () => {
  folder = mkdtempSync(join(tmpdir(), 'ate-queue-'))
  const program = `
    import { openChain, queue } from ${JSON.stringify(join(import.meta.dirname, '../src/index.ts'))}
    const chain = await openChain('memory:')
    const jobs = queue(chain, 'jobs', { timeout: '1h' })
    const worker = jobs.work(() => undefined)
    const handle = await jobs.add(1)
    await jobs.add(2, { delay: '1h' })
    await jobs.repeat('r', { every: '1h' }, 3)
    await handle.result()
    await worker.stop()
    await jobs.close()
    await chain.close()
    console.log('end of program')`
  const child = spawn(process.execPath, ['-C', '@ate/source', '--input-type=module', '-e', program], { cwd: folder })
  let text = ''
  child.stdout.on('data', (data) => {
    text += data
  })
  child.stderr.on('data', (data) => {
    text += data
  })
  const code = await new Promise((resolve) => child.once('exit', resolve))
  expect([code, text]).toEqual([0, 'end of program\n'])
})
