/** Examples behind the help of a group, and of its verbs those that are of theirs. A test runs each line, in this order. */
import type { Command } from 'commander'

/** What a line is for, and the line, as a shell takes it. What stands in capitals is for the reader to fill in. */
export type Example = readonly [what: string, line: string]

export const SERVE_EXAMPLES: readonly Example[] = [
  ['for programs on this machine, at ws://localhost:5000/db', 'ate serve ./served'],
  [
    'for others too: who they are is what `ate id` prints there',
    'ate serve ./served --url ws://ate.example:5000/db --listen 0.0.0.0 --create FINGERPRINT',
  ],
  [
    'in a container: the same from the environment',
    'ATE_SERVE_URL=ws://ate.example:5000/db ATE_SERVE_LISTEN=0.0.0.0 ATE_SERVE_CREATE=FINGERPRINT ate serve ./served',
  ],
]

export const VAULT_EXAMPLES: readonly Example[] = [
  [
    'from stdin, never from an argument; the first secret makes the chain ./vault',
    `echo '{"url":"postgres://db/app","user":"app"}' | ate vault put prod/db --json`,
  ],
  ['one field of it', 'ate vault get prod/db#url'],
  ['a program with DB_URL and DB_USER in its environment', 'ate vault run --from prod -- node server.js'],
  ['nothing else but PATH, and no secret in what it prints', 'ate vault run --pristine --mask -- node server.js'],
  ['variables that name secrets', `DB='ate://prod/db#url' ate vault run --references -- node server.js`],
]

export const QUEUE_EXAMPLES: readonly Example[] = [
  [
    'a job of the queue mails, once, however often it is tried',
    `ate queue add ./shop mails '{"to":"ann@example.org"}' --job-id welcome-ann`,
  ],
  ['in an hour', `ate queue add ./shop mails '{"to":"bob@example.org"}' --delay 1h`],
  ['what waits', 'ate queue list ./shop mails --state waiting'],
  ['what has failed for good', 'ate queue list ./shop mails --state dead'],
  ['one job: its data, errors and result', 'ate queue peek ./shop mails welcome-ann'],
]

export const LEDGER_EXAMPLES: readonly Example[] = [
  [
    'two accounts; the first one makes the chain ./books',
    'ate ledger account ./books world --currency USD --floor none',
  ],
  ['', 'ate ledger account ./books alice --currency USD'],
  ['posted once, however often it is tried', 'ate ledger transfer ./books world alice 100 --transfer-id deposit-1'],
  ['whether it would be posted', "ate ledger transfer ./books alice world '12.50 USD' --ref 'INV 7' --dry-run"],
  ['all balances', 'ate ledger balance ./books'],
  ['the journal of one account', 'ate ledger entries ./books --account alice'],
]

export const WORM_EXAMPLES: readonly Example[] = [
  ['kept for six years; the first object makes the chain ./archive', 'ate worm put mail/1.eml 1.eml --retain 6y'],
  ['from stdin; broken off, the same line goes on', 'gzip -c app.log | ate worm put logs/app.log.gz --key app-1'],
  ['how long it is kept', 'ate worm stat mail/1.eml'],
  ['a copy of it', 'ate worm get mail/1.eml --out copy.eml'],
  ['every byte, on a schedule', 'ate worm fsck --deep'],
]

export function addExamples(command: Command, examples: readonly Example[]): void {
  command.addHelpText('after', textOf(examples))
  for (const verb of command.commands) {
    const names = [verb.name(), ...verb.aliases()]
    const own = examples.filter(([, line]) => names.some((name) => line.includes(`ate ${command.name()} ${name} `)))
    if (own.length > 0) verb.addHelpText('after', textOf(own))
  }
}

function textOf(examples: readonly Example[]): string {
  const lines = examples.flatMap(([what, line]) => [...(what === '' ? [] : [`  # ${what}`]), `  ${line}`])
  return ['', 'Examples:', ...lines].join('\n')
}
