/** What the programs of this package have in common: their version, and what becomes of errors. */
import { readFileSync } from 'node:fs'
import process from 'node:process'
import { type Command, CommanderError, InvalidArgumentError } from 'commander'
import { printError } from './output.ts'

/** Of wrong arguments, as getopt has it. */
const USAGE = 2

export async function runProgram(program: Command): Promise<void> {
  // A reader that has seen enough (`ate dump . | head`) is no error; a full disk is.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    printError(error)
    process.exit(1)
  })
  try {
    if (process.argv.length === 2) program.help({ error: true })
    await program.parseAsync()
  } catch (error) {
    // Commander has printed its own; help and version are no errors.
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : USAGE
    else {
      printError(error)
      process.exitCode = 1
    }
  }
}

export function wholeNumber(text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new InvalidArgumentError('It must be a whole number.')
  return value
}

/** As `wholeNumber`, of an argument that may come several times. */
export function wholeNumbers(text: string, before: readonly number[] = []): readonly number[] {
  return [...before, wholeNumber(text)]
}

export function ownVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  return (manifest as { version: string }).version
}
