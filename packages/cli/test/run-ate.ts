/** Runs the command as users do: a process of its own, from a bundle of the sources, with a state folder of its own. */
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, cpSync, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { bundledOnce } from '../../../scripts/lib/bundle.ts'

const SHARED: string = process.env['ATE_TEST_FOLDER']!
/** `ate` reads its version from the package, one folder up. */
const BUNDLE: string = join(SHARED, 'cli', 'bundle')
const COMPILED: string = join(SHARED, 'compiled')
/** A module that Node runs as `ate`. */
export const ATE: string = join(BUNDLE, 'ate.mjs')
const CHILD: string = join(BUNDLE, 'ate-child.mjs')
export const ATEDB: string = join(BUNDLE, 'atedb.mjs')
export const SERVE_CHILD: string = join(BUNDLE, 'serve-child.mjs')

mkdirSync(join(SHARED, 'cli'), { recursive: true })
cpSync(resolve(import.meta.dirname, '../package.json'), join(SHARED, 'cli', 'package.json'))
await bundledOnce(BUNDLE, {
  entryPoints: {
    ate: resolve(import.meta.dirname, '../src/ate.ts'),
    atedb: resolve(import.meta.dirname, '../src/atedb.ts'),
    'ate-child': resolve(import.meta.dirname, 'ate-child.ts'),
    'serve-child': resolve(import.meta.dirname, 'serve-child.ts'),
  },
})

export interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface Machine {
  readonly folder: string
  /** `stdout`: a file that takes it, or `closed` for a reader that goes away at once; caught if left out. `input`: its stdin. */
  run(
    args: readonly string[],
    env?: Readonly<Record<string, string>>,
    stdout?: string,
    input?: string | Uint8Array,
  ): Promise<Outcome>
  /**
   * In a process that stays for the next: starting one takes most of the time of a command. One at a time. Of each command
   * something has to go through `run` too: only there it shows that a process ends, and finds again what it has stored.
   */
  quick(args: readonly string[]): Promise<Outcome>
  remove(): void
}

/** A temporary folder, and in it `home`, which is this machine's state. */
export function newMachine(): Machine {
  const folder = mkdtempSync(join(tmpdir(), 'ate-cli-'))
  let standing: ChildProcess | undefined
  return {
    folder,
    run(args, variables = {}, stdout, input) {
      const env = { ...environmentOf(folder), ...variables }
      const sink = stdout === undefined || stdout === 'closed' ? 'pipe' : openSync(stdout, 'w')
      const child = spawn(process.execPath, [ATE, ...args], {
        cwd: folder,
        env,
        stdio: [input === undefined ? 'ignore' : 'pipe', sink, 'pipe'],
      })
      child.stdin?.end(input)
      if (stdout === 'closed') child.stdout?.destroy()
      return outcomeOf(child).finally(() => typeof sink === 'number' && closeSync(sink))
    },
    async quick(args) {
      standing ??= fork(CHILD, {
        cwd: folder,
        env: environmentOf(folder),
        execArgv: [],
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      })
      const child = standing
      const answered = new AbortController()
      const { signal } = answered
      const ended = once(child, 'exit', { signal }).then(([code]) => {
        throw new Error(`the process of the commands ended with ${code}`)
      })
      ended.catch(() => undefined)
      child.send(args)
      const [outcome] = await Promise.race([once(child, 'message', { signal }), ended])
      answered.abort()
      return outcome
    },
    remove() {
      standing?.disconnect()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function environmentOf(folder: string): NodeJS.ProcessEnv {
  const { ATE_PASSPHRASE: _, ATE_IDENTITY: _identity, NODE_OPTIONS: _options, ...rest } = process.env
  return { ...rest, NODE_COMPILE_CACHE: COMPILED, ATE_HOME: join(folder, 'home') }
}

function outcomeOf(child: ChildProcess): Promise<Outcome> {
  const out: string[] = []
  const err: string[] = []
  child.stdout?.setEncoding('utf8').on('data', (text: string) => out.push(text))
  child.stderr?.setEncoding('utf8').on('data', (text: string) => err.push(text))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code: code ?? -1, stdout: out.join(''), stderr: err.join('') }))
  })
}

/** Words of a command of a kit on the chain in `shop`, as the identity in `me.id`. */
export function onShop(kit: string, chainId: () => string): (verb: string, ...args: string[]) => string[] {
  return (verb, ...args) => [kit, verb, 'shop', ...args, '--as', 'me.id', '--id', chainId()]
}
