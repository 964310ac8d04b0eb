/** Runs one job in a child process, in a folder of its own that is removed afterwards. */
import { fork } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Job } from './child.ts'
import type { Figures } from './workloads.ts'

const CHILD_MS_MAX = 600_000
const ERROR_CHARS_MAX = 20_000
/** statfs's number for tmpfs: a disk benchmark must not run in memory. */
const TMPFS_MAGIC = 0x01021994

/** What a child answered, or the one line that says why it did not. */
export type Answer = { readonly figures: Figures } | { readonly failure: string }

export const CHILD_FILE: string = fileURLToPath(new URL('./child.ts', import.meta.url))
/** Arguments that areas of the bench share, for `parseArgs`. */
export const COMMON_OPTIONS = {
  json: { type: 'string' },
  scale: { type: 'string', default: '1' },
  runs: { type: 'string', default: '3' },
  only: { type: 'string', default: '' },
} as const

export const NODE_OPTIONS: readonly string[] = ['-C', '@ate/source', '--expose-gc', '--no-warnings']

export function runChild(job: Job): Promise<Answer> {
  return new Promise((resolve) => {
    const child = fork(CHILD_FILE, [JSON.stringify(job)], { execArgv: [...NODE_OPTIONS], silent: true })
    const timer = setTimeout(() => child.kill('SIGKILL'), CHILD_MS_MAX)
    let figures: Figures | undefined
    let errors = ''
    child.on('message', (message) => {
      figures = message as Figures
    })
    child.stdout?.resume()
    child.stderr?.on('data', (data) => {
      errors = (errors + data).slice(-ERROR_CHARS_MAX)
    })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      resolve(figures ? { figures } : { failure: reason(errors, code, signal) })
    })
  })
}

function reason(errors: string, code: number | null, signal: string | null): string {
  const line = errors.split('\n').find((text) => /^(Uncaught )?\w*Error\b.*: /.test(text))
  return (line ?? (signal ? `ended by ${signal}` : `ended with code ${code}`)).trim().slice(0, 200)
}

/** A new folder on a real disk: the system's temporary folder, or bench/.data if that one is in memory. */
export function makeDataFolder(): string {
  const inMemory = statfsSync(tmpdir()).type === TMPFS_MAGIC
  const parent = inMemory ? fileURLToPath(new URL('./.data', import.meta.url)) : tmpdir()
  mkdirSync(parent, { recursive: true })
  return mkdtempSync(join(parent, 'ate-bench-'))
}

export async function withFolder<Result>(
  base: string,
  name: string,
  run: (folder: string) => Promise<Result>,
): Promise<Result> {
  const folder = join(base, name)
  mkdirSync(folder, { recursive: true })
  try {
    return await run(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
