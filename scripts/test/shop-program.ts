/** The program of examples/shop as a process of its own, with those that it starts, and customers who do not give up. */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const PROGRAM = fileURLToPath(new URL('../../examples/shop/main.ts', import.meta.url))
const POLL_MS = 50
const ANSWER_MS = 20_000

export interface ShopOptions {
  readonly folder: string
  readonly processes: 'one' | 'many'
  /** Where it served before; a free one if left out. */
  readonly port?: number
}

export class ShopProgram {
  readonly #child: ChildProcess
  /** The newest process of each name. */
  readonly processes = new Map<string, number>()
  #origin = ''

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  static async start({ folder, processes, port = 0 }: ShopOptions): Promise<ShopProgram> {
    const args = ['-C', '@ate/source', PROGRAM, '--port', String(port), '--data', `${folder}/data`]
    if (processes === 'many') args.push('--processes')
    const env = { ...process.env, ATE_HOME: `${folder}/home` }
    const child = spawn(process.execPath, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'ignore'] })
    const program = new ShopProgram(child)
    await Promise.race([
      program.#read(child),
      once(child, 'exit').then(([code]) => Promise.reject(new Error(`the program ended with ${code}`))),
    ])
    return program
  }

  /** Resolves when it says where it serves. */
  #read(child: ChildProcess): Promise<void> {
    return new Promise((resolve) => {
      createInterface({ input: child.stdout! }).on('line', (line) => {
        const [, name, pid] = /^(.*): process (\d+)$/.exec(line) ?? []
        if (name) this.processes.set(name, Number(pid))
        const [, origin] = /^open (.*)\/$/.exec(line) ?? []
        if (!origin) return
        this.#origin = origin
        resolve()
      })
    })
  }

  get origin(): string {
    return this.#origin
  }

  get port(): number {
    return Number(new URL(this.#origin).port)
  }

  /** As `kill -9`; resolves when the one that replaces it has begun. */
  async killPart(name: string): Promise<void> {
    const pid = this.processes.get(name)!
    process.kill(pid, 'SIGKILL')
    while (this.processes.get(name) === pid) await setTimeout(POLL_MS)
  }

  async kill(): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }

  async stop(): Promise<number | null> {
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGTERM')
    const [code] = (await ended) as [number | null]
    return code
  }
}

export interface Asked {
  readonly id: string
  readonly cents: number
  readonly status: number
}

/** Orders one after the other until told to stop, each with an id of its own, and sent until it is answered. */
export async function buy(origin: string, signal: AbortSignal, cents: number): Promise<Asked[]> {
  const asked: Asked[] = []
  while (!signal.aborted) {
    // Every eighth is more than anybody has.
    const isTooMuch = asked.length % 8 === 7
    const what = isTooMuch ? { item: 'teapot', pieces: 100 } : { item: 'tea', pieces: 1 }
    const order = { id: randomUUID(), customer: 'alice', ...what }
    asked.push({ id: order.id, cents: isTooMuch ? 0 : cents, status: await place(origin, order) })
  }
  return asked
}

/** Sent until it is answered, and then sometimes once more; the status of the first answer. */
export async function place(origin: string, order: { readonly id: string; readonly [name: string]: unknown }) {
  const send = (): Promise<number> => answer(() => post(origin, order))
  const status = await send()
  if (order.id.endsWith('0')) await send()
  return status
}

async function post(origin: string, order: object): Promise<number> {
  const headers = { 'content-type': 'application/json' }
  const signal = AbortSignal.timeout(ANSWER_MS)
  const response = await fetch(`${origin}/orders`, { method: 'POST', headers, body: JSON.stringify(order), signal })
  await response.text()
  if (response.status >= 500) throw new Error(`answered ${response.status}`)
  return response.status
}

export function look<T>(origin: string, path: string): Promise<T> {
  return answer(async () => {
    const response = await fetch(`${origin}${path}`, { signal: AbortSignal.timeout(ANSWER_MS) })
    if (!response.ok) throw new Error(`answered ${response.status}`)
    return (await response.json()) as T
  })
}

/** Tries until there is an answer. */
async function answer<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask()
    } catch {
      await setTimeout(POLL_MS)
    }
  }
}
