/** Runs the command as users do: a process of its own, from the sources, with a state folder of its own. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const ATE: string = resolve(import.meta.dirname, '../src/ate.ts')

export interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface Machine {
  readonly folder: string
  run(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Outcome>
  remove(): void
}

/** A temporary folder, and in it `home`, which is this machine's state. */
export function newMachine(): Machine {
  const folder = mkdtempSync(join(tmpdir(), 'ate-cli-'))
  return {
    folder,
    run: (args, env = {}) =>
      new Promise((done) => {
        const { ATE_PASSPHRASE: _, ATE_IDENTITY: _identity, NODE_OPTIONS: _options, ...rest } = process.env
        const options = { cwd: folder, env: { ...rest, ATE_HOME: join(folder, 'home'), ...env } }
        const child = execFile(
          process.execPath,
          ['-C', '@ate/source', ATE, ...args],
          options,
          (error, stdout, stderr) => {
            const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
            done({ code, stdout, stderr })
          },
        )
        child.stdin?.end()
      }),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}
