/** Processes that are started again when they end, until all are told to. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { extname } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Ready } from './part.ts'
import type { Setting } from './parts.ts'

/** Beside this file, and of its kind: bundled it is JavaScript. */
const PART = fileURLToPath(new URL(`part${extname(import.meta.url)}`, import.meta.url))
const AGAIN_MS = 100

export class Children {
  readonly #running = new Map<string, ChildProcess>()
  #isClosing = false

  /** Resolves when it is ready for the first time. `again` is the setting of later starts. */
  keep(name: string, setting: Setting, again: (ready: Ready) => Setting = () => setting): Promise<Ready> {
    return new Promise((resolve) => {
      const start = (now: Setting): void => {
        if (this.#isClosing) return
        const child = fork(PART, [name.split(' ')[0]!, JSON.stringify(now)])
        this.#running.set(name, child)
        console.log(`${name}: process ${child.pid}`)
        let next = now
        child.once('message', (ready) => {
          next = again(ready as Ready)
          resolve(ready as Ready)
        })
        child.once('exit', () => void setTimeout(AGAIN_MS).then(() => start(next)))
      }
      start(setting)
    })
  }

  async close(): Promise<void> {
    this.#isClosing = true
    const names = [...this.#running.keys()]
    // The server last: the others have something to say to it.
    for (const group of [names.filter((name) => name !== 'server'), ['server']])
      await Promise.all(group.map((name) => ended(this.#running.get(name))))
  }
}

async function ended(child: ChildProcess | undefined): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill('SIGTERM')
  await exit
}
