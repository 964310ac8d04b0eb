/** `ate vault run -- command`: the command with secrets in its environment, and nowhere else. */
import { type ChildProcess, spawn } from 'node:child_process'
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

/** Those that a terminal sends to all programs in its foreground. */
const FROM_TERMINAL: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT', 'SIGWINCH']

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
  assertFits(secrets)
  process.exitCode = await runWith(program, args, { secrets, ...options })
}

/** What Node throws quotes the environment, and with it a secret. */
function spawned(program: string, spawn: () => ChildProcess): ChildProcess {
  try {
    return spawn()
  } catch (cause) {
    throw cannotStart(program, cause as NodeJS.ErrnoException)
  }
}

function cannotStart(command: string, { code: reason }: NodeJS.ErrnoException): AteError {
  return new AteError('IO_ERROR', { command, reason }, { hint: 'the command cannot be started' })
}

/** No environment holds a zero byte. @throws AteError BAD_VALUE */
function assertFits(secrets: Readonly<Record<string, string>>): void {
  for (const [variable, value] of Object.entries(secrets))
    if (value.includes('\0'))
      throw new AteError(
        'BAD_VALUE',
        { variable, what: 'holds a zero byte' },
        { hint: 'an environment cannot hold this secret; leave it out with --only, or store it with --binary' },
      )
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
  const child = spawned(program, () => spawn(program, args, { env, stdio: ['inherit', out, out] }))
  const masked = Object.values(secrets)
  const outlets = [child.stdout?.pipe(new Mask(masked)), child.stderr?.pipe(new Mask(masked))]
  outlets[0]?.pipe(process.stdout, { end: false })
  outlets[1]?.pipe(process.stderr, { end: false })
  // A terminal gives these to all programs in its foreground: a second one tells many of them to end without tidying up.
  const isOnTerminal = [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY)
  const forward = (signal: NodeJS.Signals): void => {
    if (!isOnTerminal || !FROM_TERMINAL.includes(signal)) child.kill(signal)
  }
  for (const signal of SIGNALS) process.on(signal, forward)
  try {
    return await new Promise<number>((resolve, reject) => {
      child.on('error', (cause: NodeJS.ErrnoException) => reject(cannotStart(program, cause)))
      child.on('close', (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)))
    })
  } finally {
    for (const signal of SIGNALS) process.off(signal, forward)
  }
}
