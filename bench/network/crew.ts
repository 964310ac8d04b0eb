/** Clients at work: each in a process of its own, begun together. */
import { type ChildProcess, fork } from 'node:child_process'
import { mkdirSync, mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { NODE_OPTIONS } from '../run.ts'
import type { Figures } from '../workloads.ts'
import { stopProcess } from './processes.ts'
import type { Address } from './service.ts'
import type { Task } from './worker.ts'

const WORKER_FILE = fileURLToPath(new URL('./worker.ts', import.meta.url))
const ERROR_CHARS_MAX = 4_000

export interface Crew {
  readonly service: string
  readonly folder: string
  readonly address: Address
  readonly seconds: number
  readonly warmSeconds: number
}

export interface Worker {
  readonly child: ChildProcess
  run(): Promise<Figures>
  end(): Promise<void>
}

/** Starts a client; ready when it is connected. */
export async function startWorker(crew: Crew, work: Pick<Task, 'job' | 'count' | 'role'>): Promise<Worker> {
  const { folder: parent, ...rest } = crew
  mkdirSync(parent, { recursive: true })
  const task: Task = { ...rest, ...work, folder: mkdtempSync(join(parent, 'client-')) }
  const child = fork(WORKER_FILE, [JSON.stringify(task)], { execArgv: [...NODE_OPTIONS], silent: true })
  let errors = ''
  child.stdout?.resume()
  child.stderr?.on('data', (data) => {
    errors = (errors + data).slice(-ERROR_CHARS_MAX)
  })
  function heard<T>(): Promise<T> {
    return new Promise((resolve, reject) => {
      const onExit = (code: number | null): void => reject(new Error(`${work.job}: ${lineOf(errors, code)}`))
      child.once('exit', onExit)
      child.once('message', (message) => {
        child.removeListener('exit', onExit)
        resolve(message as T)
      })
    })
  }
  await heard()
  return {
    child,
    async run() {
      child.send('go')
      const answer = await heard<{ readonly figures: Figures } | { readonly failure: string }>()
      if ('failure' in answer) throw new Error(`${work.job}: ${answer.failure}`)
      return answer.figures
    },
    end: () => stopProcess(child),
  }
}

function lineOf(errors: string, code: number | null): string {
  const line = errors.split('\n').find((text) => /Error\b.*: /.test(text))
  return (line ?? `ended with ${code}`).trim().slice(0, 300)
}

/** Runs one client from its start to its end. */
export async function runWorker(crew: Crew, work: Pick<Task, 'job' | 'count' | 'role'>): Promise<Figures> {
  const worker = await startWorker(crew, work)
  try {
    return await worker.run()
  } finally {
    await worker.end()
  }
}
