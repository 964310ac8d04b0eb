/** Processes for tests, which run the sources: started with a state folder of their own, and read line by line. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

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

/** Starts a program of this folder. */
export function start(program: string, args: readonly string[], home: string): Child {
  const script = fileURLToPath(new URL(`${program}.ts`, import.meta.url))
  const env = { PATH: process.env['PATH'], ATE_HOME: home, NODE_NO_WARNINGS: '1' }
  const child = spawn(process.execPath, ['--conditions=@ate/source', script, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env,
  })
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
