/** The program of examples/shop as a process of its own, with those that it starts, and customers who do not give up. */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { bundle, linkModules } from '../lib/bundle.ts'

const SHOP = fileURLToPath(new URL('../../examples/shop', import.meta.url))
const POLL_MS = 20
const ANSWER_MS = 20_000
/** Between two orders of a customer. */
const THINK_MS = 150

export interface ShopOptions {
  /** The bundle, what machines remember and what was compiled is here, and the shop's data in a folder of it. */
  readonly folder: string
  readonly data: string
  readonly processes: 'one' | 'many'
  /** Where it served before; a free one if left out. */
  readonly port?: number
}

/** The example in few files, and compiled: Node keeps what it has compiled, once a process has ended that was not killed. */
export async function bundleShop(folder: string): Promise<void> {
  const bundled = join(folder, 'shop')
  await bundle(bundled, {
    entryPoints: [join(SHOP, 'main.ts'), join(SHOP, 'part.ts')],
    stdin: { contents: "export * from './parts.ts'\nexport * from '@ate/core/server'", resolveDir: SHOP },
  })
  linkModules(folder)
  cpSync(join(SHOP, 'page'), join(bundled, 'page'), { recursive: true })
  cpSync(join(SHOP, '../page.css'), join(folder, 'page.css'))
  await once(
    spawn(process.execPath, [join(bundled, 'stdin.mjs')], { env: environmentOf(folder), stdio: 'ignore' }),
    'exit',
  )
}

function environmentOf(folder: string): NodeJS.ProcessEnv {
  return { ...process.env, ATE_HOME: join(folder, 'home'), NODE_COMPILE_CACHE: join(folder, 'compiled') }
}

export class ShopProgram {
  static readonly #running = new Set<ShopProgram>()
  readonly #child: ChildProcess
  /** The newest process of each name. */
  readonly processes = new Map<string, number>()
  #origin = ''

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  static async start({ folder, data, processes, port = 0 }: ShopOptions): Promise<ShopProgram> {
    const args = [join(folder, 'shop', 'main.mjs'), '--port', String(port), '--data', join(folder, data)]
    if (processes === 'many') args.push('--processes')
    const child = spawn(process.execPath, args, {
      cwd: folder,
      env: environmentOf(folder),
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const program = new ShopProgram(child)
    ShopProgram.#running.add(program)
    child.once('exit', () => ShopProgram.#running.delete(program))
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

  /** What a test that failed has left. */
  static async killAll(): Promise<void> {
    await Promise.all([...ShopProgram.#running].map((program) => program.kill()))
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

/** What the tea costs that customers buy. */
const TEA_CENTS = 450
const CUSTOMERS = 4
/** Every so many orders one that is more than anybody has. */
const TOO_MUCH = 5

export interface Asked {
  readonly id: string
  /** 0 of what nobody can pay. */
  readonly cents: number
  readonly status: number
}

/** They order, each one thing after the other, with an id of its own that is sent until it is answered. */
export class Customers {
  readonly #origin: string
  readonly #asked: Asked[] = []
  readonly #customers: Promise<void>[]
  #isLeaving = false

  constructor(origin: string) {
    this.#origin = origin
    this.#customers = Array.from({ length: CUSTOMERS }, (_, i) => this.#buy(i))
  }

  /** Resolves when `count` more orders were answered. */
  async served(count: number): Promise<void> {
    const until = this.#asked.length + count
    while (this.#asked.length < until) await setTimeout(POLL_MS)
  }

  /** What they asked for; all of it was answered. */
  async leave(): Promise<Asked[]> {
    this.#isLeaving = true
    await Promise.all(this.#customers)
    return this.#asked
  }

  async #buy(customer: number): Promise<void> {
    for (let i = customer; !this.#isLeaving; i++) {
      const isTooMuch = i % TOO_MUCH === TOO_MUCH - 1
      const what = isTooMuch ? { item: 'teapot', pieces: 100 } : { item: 'tea', pieces: 1 }
      const order = { id: randomUUID(), customer: customer % 2 === 0 ? 'alice' : 'bob', ...what }
      const status = await answer(() => post(this.#origin, order))
      // Some send it again although they were answered.
      if (i % 3 === 0) await answer(() => post(this.#origin, order))
      this.#asked.push({ id: order.id, cents: isTooMuch ? 0 : TEA_CENTS, status })
      await setTimeout(THINK_MS)
    }
  }
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
