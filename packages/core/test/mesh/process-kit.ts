/** Processes for tests: bundles of the sources, started with a state folder of their own, and read line by line. */
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

/** Bundles a program of this folder; its path. */
export async function bundle(name: string, folder: string): Promise<string> {
  const outfile = join(folder, `${name}.mjs`)
  await build({
    entryPoints: [fileURLToPath(new URL(`${name}.ts`, import.meta.url))],
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    conditions: ['@ate/source'],
    packages: 'external',
    alias: { '@ate/core': fileURLToPath(new URL('../../src/index.ts', import.meta.url)) },
    outfile,
    logLevel: 'error',
  })
  return outfile
}

export interface Child {
  readonly process: ChildProcess
  /** All that it said, on both outputs. */
  readonly said: string[]
  /** Resolves with the first line, now or later, that `fits`. */
  line(fits: (line: string) => boolean): Promise<string>
  ended: Promise<void>
  kill(): Promise<void>
  /** Ends its stdin, and waits for its end. */
  stop(): Promise<void>
}

export function start(script: string, args: readonly string[], home: string): Child {
  const env = { PATH: process.env['PATH'], ATE_HOME: home, NODE_NO_WARNINGS: '1' }
  const child = spawn(process.execPath, [script, ...args], { stdio: ['pipe', 'pipe', 'pipe'], env })
  const said: string[] = []
  const waiting = new Set<() => void>()
  const wake = (): void => {
    for (const look of [...waiting]) look()
  }
  let isOver = false
  for (const output of [child.stdout, child.stderr])
    createInterface({ input: output }).on('line', (line) => {
      said.push(line)
      wake()
    })
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => {
      isOver = true
      wake()
      resolve()
    })
  })
  return {
    process: child,
    said,
    ended,
    line(fits) {
      return new Promise((resolve, reject) => {
        const look = (): void => {
          const found = said.find(fits)
          if (found === undefined && !isOver) return
          waiting.delete(look)
          if (found === undefined) reject(new Error(`it ended, and said: ${said.slice(-10).join('\n')}`))
          else resolve(found)
        }
        waiting.add(look)
        look()
      })
    },
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
    async stop() {
      child.stdin.end()
      await ended
    },
  }
}
