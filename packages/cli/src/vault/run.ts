/** `ate vault run -- command`: the command with secrets in its environment, and nowhere else. */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import process from 'node:process'
import { AteError } from '@ate/core'
import { Mask } from './mask.ts'
import { usage, type VaultOptions, withVault } from './open.ts'
import { resolvedEnvironment, type VariableOptions, variablesFor } from './variables.ts'

export interface RunOptions extends VaultOptions, Omit<VariableOptions, 'path'> {
  readonly from?: string
  readonly mask?: boolean
  readonly pristine?: boolean
  readonly references?: boolean
}

const SIGNALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH']

/** Ends as the command ends. The vault is closed before it begins. */
export async function run(command: readonly string[], options: RunOptions): Promise<void> {
  const [program, ...args] = command
  if (program === undefined) throw usage('give a command: ate vault run -- COMMAND ...')
  const { only, prefix, from } = options
  const secrets = await withVault(options, 'read', async (vault) => {
    const references = await resolvedEnvironment(vault, process.env)
    // With references alone nothing else is given.
    const chosen = options.references
      ? {}
      : await variablesFor(vault, {
          ...(from ? { path: from } : {}),
          ...(only ? { only } : {}),
          ...(prefix ? { prefix } : {}),
        })
    return { ...references, ...chosen }
  })
  process.exitCode = await runWith(program, args, { secrets, ...options })
}

async function runWith(
  program: string,
  args: readonly string[],
  {
    secrets,
    mask,
    pristine,
  }: { readonly secrets: Readonly<Record<string, string>>; readonly mask?: boolean; readonly pristine?: boolean },
): Promise<number> {
  const { PATH, ...rest } = process.env
  const path = PATH === undefined ? {} : { PATH }
  // Our own keys are not for the command.
  const { ATE_IDENTITY: _, ATE_PASSPHRASE: _passphrase, ...inherited } = rest
  const env = pristine ? { ...path, ...secrets } : { ...inherited, ...path, ...secrets }
  const out = mask ? 'pipe' : 'inherit'
  const child = spawn(program, args, { env, stdio: ['inherit', out, out] })
  const masked = Object.values(secrets)
  const outlets = [child.stdout?.pipe(new Mask(masked)), child.stderr?.pipe(new Mask(masked))]
  outlets[0]?.pipe(process.stdout, { end: false })
  outlets[1]?.pipe(process.stderr, { end: false })
  const forward = (signal: NodeJS.Signals): void => void child.kill(signal)
  for (const signal of SIGNALS) process.on(signal, forward)
  try {
    return await new Promise<number>((resolve, reject) => {
      child.on('error', (cause: NodeJS.ErrnoException) =>
        reject(
          new AteError('IO_ERROR', { command: program, reason: cause.code }, { hint: 'the command cannot be started' }),
        ),
      )
      child.on('close', (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)))
    })
  } finally {
    for (const signal of SIGNALS) process.off(signal, forward)
  }
}
