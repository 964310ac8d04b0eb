/** `ate ledger repl`: the verbs of `ate ledger`, one a line, on a ledger that stays open. */
import process from 'node:process'
import { createInterface } from 'node:readline'
import { AteError } from '@ate/core'
import { Command, CommanderError } from 'commander'
import { LEDGER_VERBS, withVerb } from './ledger-arguments.ts'
import type { LedgerContext, LedgerWords } from './ledger-commands.ts'
import * as verbs from './ledger-commands.ts'
import { type LedgerOptions, withLedger } from './ledger-open.ts'
import { printError } from './output.ts'

/** Characters of a line. */
const LINE_MAX = 10_000

export async function repl(place: string, options: LedgerOptions & { readonly command?: string }): Promise<void> {
  await withLedger(place, options, 'create', async (context) => {
    if (options.command !== undefined) {
      for (const line of verbsIn(options.command)) {
        if (!(await runLine(context, line))) process.exitCode = 1
      }
      return
    }
    const lines = createInterface({
      input: process.stdin,
      terminal: process.stdin.isTTY,
      prompt: 'ledger> ',
      output: process.stderr,
    })
    if (process.stdin.isTTY) lines.prompt()
    for await (const line of lines) {
      if (/^\s*(exit|quit)\s*$/.test(line)) break
      const isDone = await runLine(context, line)
      if (process.stdin.isTTY) lines.prompt()
      // Nobody reads what a script was told: it hears at its end that something was not done.
      else if (!isDone) process.exitCode = 1
    }
    lines.close()
  })
}

/** False if it failed: the next line runs all the same. */
async function runLine(context: LedgerContext, line: string): Promise<boolean> {
  if (line.length > LINE_MAX) {
    printError(new AteError('BAD_ARGUMENT', { what: 'a line is too long', characters: line.length, max: LINE_MAX }))
    return false
  }
  const words = wordsOf(line)
  if (words.length === 0 || words[0]!.startsWith('#')) return true
  try {
    await programOf(context).parseAsync(words, { from: 'user' })
    return true
  } catch (error) {
    // Commander has printed its own.
    if (error instanceof CommanderError) return error.exitCode === 0
    printError(error)
    return false
  }
}

function programOf(context: LedgerContext): Command {
  const program = new Command('ledger>').usage('VERB ...').exitOverride().helpCommand('help [verb]')
  for (const verb of LEDGER_VERBS) {
    const command = withVerb(program.command(verb.name), verb, []).exitOverride()
    command.action((...given: unknown[]) => {
      const args = given.slice(0, verb.args.length) as (string | undefined)[]
      return verb.run(context, verbs, args, given[verb.args.length] as LedgerWords)
    })
  }
  return program
}

/** Verbs between semicolons, which are none within quotes. */
export function verbsIn(text: string): string[] {
  const verbs = ['']
  for (const [part] of text.matchAll(/"(?:[^"\\]|\\.)*"|'[^']*'|[^;"']+|./gs)) {
    if (part === ';') verbs.push('')
    else verbs[verbs.length - 1] += part
  }
  return verbs
}

/** Words of a line; quotes hold together what has spaces. */
export function wordsOf(line: string): string[] {
  return [...line.matchAll(/"((?:[^"\\]|\\.)*)"|'([^']*)'|(\S+)/g)].map(
    ([, double, single, bare]) => double?.replace(/\\(.)/g, '$1') ?? single ?? bare ?? '',
  )
}
