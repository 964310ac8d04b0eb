/** The Node program of examples/todo as a process of its own, and what it prints. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const PROGRAM = fileURLToPath(new URL('../../../../examples/todo/serve.ts', import.meta.url))

export class TodoProgram {
  readonly #child: ChildProcess
  readonly printed: string[] = []
  /** The page's address, with the invitation. */
  readonly link: string

  private constructor(child: ChildProcess, link: string) {
    this.#child = child
    this.link = link
  }

  static async start(folder: string, port = 0): Promise<TodoProgram> {
    const args = ['-C', '@ate/source', PROGRAM, '--port', String(port), '--data', join(folder, 'data')]
    const env = { ...process.env, ATE_HOME: join(folder, 'home') }
    const child = spawn(process.execPath, args, { cwd: folder, env, stdio: ['pipe', 'pipe', 'inherit'] })
    const lines = createInterface({ input: child.stdout! })
    const [first] = (await Promise.race([
      once(lines, 'line'),
      once(child, 'exit').then(() => Promise.reject(new Error('the program ended'))),
    ])) as [string]
    const program = new TodoProgram(child, first.replace(/^open /, ''))
    lines.on('line', (line) => program.printed.push(line))
    return program
  }

  get origin(): string {
    return new URL(this.link).origin
  }

  type(text: string): void {
    this.#child.stdin!.write(`${text}\n`)
  }

  async stop(): Promise<number | null> {
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGTERM')
    const [code] = (await ended) as [number | null]
    return code
  }
}
