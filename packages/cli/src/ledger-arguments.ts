/** The arguments of `ate ledger`. Its verbs are loaded when one of them runs: other commands start without them. */
import { type Command, Option } from 'commander'
import { SERVER_KEY } from './command-options.ts'
import { addExamples, LEDGER_EXAMPLES } from './examples.ts'
import type { LedgerContext, LedgerWords } from './ledger-commands.ts'
import type { LoadWords } from './ledger-load.ts'
import type { LedgerOptions, Opening } from './ledger-open.ts'
import { wholeNumber } from './run-program.ts'

type Verbs = typeof import('./ledger-commands.ts')
type Run = (
  context: LedgerContext,
  verbs: Verbs,
  args: readonly (string | undefined)[],
  words: LedgerWords & LoadWords,
) => Promise<void>

export interface Verb {
  readonly name: string
  readonly description: string
  readonly args: readonly string[]
  readonly options: readonly Option[]
  readonly how: (args: readonly (string | undefined)[], words: LedgerWords & LoadWords) => Opening
  readonly run: Run
}

const option = (flags: string, description: string): Option => new Option(flags, description)
const TRANSFER_ID = option('--transfer-id <id>', 'the same id twice has one effect')
const DRY_RUN = option('--dry-run', 'say what would happen, and change nothing')
const PERIOD = [option('--since <time>', 'from this time on'), option('--until <time>', 'before this time')]
/** What stands where, by its name. */
const ARGUMENTS: Readonly<Record<string, string>> = {
  account: 'its name',
  from: 'the account that is debited',
  to: 'the account that is credited',
  amount: 'of the currency of the accounts: 12.34, or with its code in quotes: "12.34 USD"',
  hold: 'the id of the hold',
  id: 'the id of the transfer',
  file: 'the file, or - for stdin, with --format',
}
const AT = option('--at <time>', 'as it was at a time, or at the number of a record')
const look = (): Opening => 'look'
const write = (): Opening => 'write'

export const LEDGER_VERBS: readonly Verb[] = [
  {
    name: 'account',
    description: 'List accounts; show one; open one with --currency; close one with --close.',
    args: ['[account]'],
    options: [
      option('--currency <code>', 'open it, with this currency'),
      option('--scale <digits>', 'digits behind the point, of a currency that is not in ISO 4217').argParser(
        wholeNumber,
      ),
      option('--normal <side>', 'the side on which it grows').choices(['credit', 'debit']),
      option('--floor <amount>', 'its lowest balance, or none; 0 if left out'),
      option('--ceiling <amount>', 'its highest balance'),
      option('--debitor <publicIds...>', 'only these debit it: public ids, or files that hold them'),
      option('--close', 'close it for good'),
    ],
    how: ([name], words) =>
      words.currency !== undefined && name !== undefined ? 'create' : words.close ? 'write' : 'look',
    run: (context, { accountVerb }, [name], words) => accountVerb(context, name, words),
  },
  {
    name: 'transfer',
    description: 'Debit the first account, credit the second.',
    args: ['<from>', '<to>', '<amount>'],
    options: [
      TRANSFER_ID,
      option('--code <code>', 'what kind it is'),
      option('--ref <ref>', 'what it is about'),
      DRY_RUN,
    ],
    how: write,
    run: (context, { transferVerb }, [from, to, amount], words) => transferVerb(context, from!, to!, amount!, words),
  },
  {
    name: 'hold',
    description: 'Keep an amount for a later capture.',
    args: ['<from>', '<to>', '<amount>'],
    options: [
      option('--expires <duration>', 'free again after this: 30m, 7d').makeOptionMandatory(),
      TRANSFER_ID,
      option('--code <code>', 'what kind it is'),
      option('--ref <ref>', 'what it is about'),
    ],
    how: write,
    run: (context, { transferVerb }, [from, to, amount], words) => transferVerb(context, from!, to!, amount!, words),
  },
  {
    name: 'capture',
    description: 'Post what a hold keeps, or a part of it.',
    args: ['<hold>', '[amount]'],
    options: [],
    how: write,
    run: (context, { captureVerb }, [hold, amount]) => captureVerb(context, hold!, amount),
  },
  {
    name: 'void',
    description: 'Set free what a hold keeps.',
    args: ['<hold>'],
    options: [],
    how: write,
    run: (context, { voidVerb }, [hold]) => voidVerb(context, hold!),
  },
  {
    name: 'reverse',
    description: 'Post the opposite of a transfer, once.',
    args: ['<id>'],
    options: [option('--reason <text>', 'why')],
    how: write,
    run: (context, { reverseVerb }, [id], words) => reverseVerb(context, id!, words),
  },
  {
    name: 'balance',
    description: 'Print the balance of an account, or of all.',
    args: ['[account]'],
    options: [AT],
    how: look,
    run: (context, { balanceVerb }, [name], words) => balanceVerb(context, name, words),
  },
  {
    name: 'entries',
    description: 'Print the journal, checked on the way.',
    args: [],
    options: [
      option('--account <account>', 'of this account'),
      option('--kind <kind>', 'of this kind').choices(['post', 'hold', 'capture', 'void', 'expire', 'reverse']),
      option('--code <code>', 'of this code'),
      option('--ref <ref>', 'of this reference'),
      ...PERIOD,
      option('--desc', 'newest first'),
      option('--limit <n>', 'at most this many').argParser(wholeNumber),
      option('--format <format>', 'text, if left out; jsonl with --json').choices(['text', 'csv', 'jsonl']),
    ],
    how: look,
    run: (context, { entriesVerb }, _, words) => entriesVerb(context, words),
  },
  {
    name: 'trial',
    description: 'Print debits and credits of each currency; they are equal.',
    args: [],
    options: [AT],
    how: look,
    run: (context, { trialVerb }, _, words) => trialVerb(context, words),
  },
  {
    name: 'statement',
    description: 'Print the statement of an account.',
    args: ['<account>'],
    options: [
      ...PERIOD,
      option('--format <format>', 'text, if left out; json with --json').choices(['text', 'json', 'camt053']),
    ],
    how: look,
    run: (context, { statementVerb }, [name], words) => statementVerb(context, name!, words),
  },
  {
    name: 'export',
    description: 'Print the books for other programs.',
    args: [],
    options: [
      option('--format <format>', 'for which').choices(['beancount', 'hledger', 'csv', 'jsonl']).default('beancount'),
    ],
    how: look,
    run: (context, { exportVerb }, _, words) => exportVerb(context, words),
  },
  {
    name: 'load',
    description:
      'Post the transfers of a file, or of - for stdin: CSV, JSON lines, OFX, MT940, camt.053, beancount or hledger.',
    args: ['<file>'],
    options: [
      option('--format <format>', 'of the file, where its name does not say it').choices([
        'csv',
        'jsonl',
        'ofx',
        'mt940',
        'camt053',
        'beancount',
        'hledger',
      ]),
      option('--rules <file>', 'of statements: JSON that says which account they are of, and where lines go'),
      option('--charset <name>', 'of the file, such as windows-1252; UTF-8 if left out'),
      option('--open', 'open the accounts that a journal names and the ledger lacks, without a floor'),
      DRY_RUN,
    ],
    how: (_, words) => (words.dryRun ? 'look' : words.open ? 'create' : 'write'),
    run: async (context, _verbs, [file], words) => (await import('./ledger-load.ts')).loadVerb(context, file!, words),
  },
  {
    name: 'verify',
    description: 'Apply the whole journal again, and compare every balance.',
    args: [],
    options: [],
    how: look,
    run: (context, { verifyVerb }) => verifyVerb(context),
  },
]

const COMMON = [
  option('--ledger <name>', 'one of several ledgers of the chain'),
  option('--amounts <how>', 'of a ledger that is made: sealed, or clear for all to check').choices(['sealed', 'clear']),
  option('--id <id>', 'the id of the chain that is meant'),
  option(...SERVER_KEY),
  option('--as <file>', 'act as the identity in this file, not as this machine'),
  option('--passphrase-file <file>', 'the passphrase is the first line of this file'),
  option('--json', 'for programs'),
]
const PLACE = 'a chain: a folder, as a path or as file:PATH, or the address of one on a server'

export function addLedger(ate: Command): void {
  const ledger = ate.command('ledger').description('Accounts, transfers, holds and statements.').helpCommand(false)
  for (const verb of LEDGER_VERBS) {
    const command = withVerb(ledger.command(verb.name), verb, ['<place>'])
    for (const one of COMMON) command.addOption(one)
    command.action(async (...given: unknown[]) => {
      const [place, ...args] = given.slice(0, verb.args.length + 1) as [string, ...(string | undefined)[]]
      const words = { ...ate.opts(), ...(given[verb.args.length + 1] as LedgerOptions & LedgerWords) }
      const [{ withLedger }, verbs] = await Promise.all([import('./ledger-open.ts'), import('./ledger-commands.ts')])
      await withLedger(place, words, verb.how(args, words), (context) => verb.run(context, verbs, args, words))
    })
  }
  const repl = ledger
    .command('repl')
    .description('Type verbs, one a line, on a ledger that stays open; `help` lists them.')
    .argument('<place>', PLACE)
    .option('--command <verbs>', 'run these instead, separated by ;')
  for (const one of COMMON) repl.addOption(one)
  repl.action(async (place: string, words: LedgerOptions & { command?: string }) =>
    (await import('./ledger-repl.ts')).repl(place, { ...ate.opts(), ...words }),
  )
  ledger
    .command('bench')
    .description('Measure transfers on this machine, on a chain of its own in the folder for temporary files.')
    .option('--transfers <n>', 'how many a round', wholeNumber, 20_000)
    .addOption(option('--amounts <how>', 'sealed or clear').choices(['sealed', 'clear']).default('sealed'))
    .option('--json', 'for programs')
    .action(async (words) => (await import('./ledger-bench.ts')).ledgerBench(words))
  addExamples(ledger, LEDGER_EXAMPLES)
}

/** Adds what a verb takes to a command. */
export function withVerb(command: Command, verb: Verb, before: readonly string[]): Command {
  command.description(verb.description)
  for (const arg of before) command.argument(arg, PLACE)
  for (const arg of verb.args) command.argument(arg, ARGUMENTS[arg.slice(1, -1)])
  for (const one of verb.options) command.addOption(one)
  return command
}
