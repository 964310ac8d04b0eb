/**
 * The commands below `ate vault`: their arguments. Each does its work in a file of its subject, which is loaded when it is needed:
 * starting takes half as long.
 */
import { Command } from 'commander'
import { actingOptions } from '../command-options.ts'
import { addExamples, VAULT_EXAMPLES } from '../examples.ts'
import { wholeNumber, wholeNumbers } from '../run-program.ts'
import { DIALECTS, FORMATS, TRANSIT_VERBS } from './words.ts'

const REFERENCE = 'path of a secret, and a field of it: prod/db, prod/db#url, ate://prod/db#url'
const PATH = 'path of a secret, such as prod/db'

/** `global` gives the options that stand before the command's name. */
export function vaultCommand(global: () => object): Command {
  const vault = new Command('vault')
    .description('Keep secrets: versions, roles, and a command that gets them in its environment.')
    .helpCommand(false)
    .exitOverride()
  const sub = (name: string, description: string): Command => common(vault.command(name).description(description))
  const all = <O extends object>(options: O): O => ({ ...global(), ...options })
  values(sub, all)
  lifecycle(sub, all)
  running(sub, all)
  access(sub, all)
  tokens(sub, all)
  shares(vault, all)
  addExamples(vault, VAULT_EXAMPLES)
  return vault
}

type Sub = (name: string, description: string) => Command
type All = <O extends object>(options: O) => O

function common(command: Command): Command {
  return actingOptions(
    command
      .option('-C, --at <place>', 'the chain of the vault; else ATE_VAULT, else ./vault')
      .option('--name <vault>', 'one of several vaults on the chain'),
  )
}

/** Where `--json` says what the value is, too. */
function json(command: Command): Command {
  command.options.find(({ long }) => long === '--json')!.description = 'the value is JSON; print for programs'
  return valued(command)
}

/** Options that say where a value comes from. There is none that is the value. */
function valued(command: Command): Command {
  return command
    .option('--file <file>', 'the value is this file; else stdin, or asked for on a terminal')
    .option('--binary', 'the value is bytes')
    .option('--raw', 'the line break at the end belongs to the value')
}

function values(sub: Sub, all: All): void {
  json(sub('put', 'Write the next version of a secret, from stdin or a file; with --json it is JSON.'))
    .argument('<path>', PATH)
    .option('--cas <version>', 'only if this is the newest version; 0: only if there is none', wholeNumber)
    .option('--expires <when>', 'a date, or a duration such as 30d')
    .option('--meta <name=value...>', 'notes that who may list the secret sees')
    .action((path, options) => import('./change.ts').then((it) => it.put(path, all(options))))
  valued(sub('patch', 'Change fields of a JSON secret: a JSON object from stdin; null takes a field away.'))
    .argument('<path>', PATH)
    .option('--expires <when>', 'a date, or a duration such as 30d')
    .option('--meta <name=value...>', 'notes that who may list the secret sees')
    .action((path, options) => import('./change.ts').then((it) => it.patch(path, all(options))))
  sub('get', 'Print the newest version of a secret, or a field of it.')
    .argument('<path>', REFERENCE)
    .option('--revision <n>', 'another version', wholeNumber)
    .option('--out <file>', 'write to a new file of mode 0600')
    .option('--raw', 'no line break behind it')
    .action((path, options) => import('./show.ts').then((it) => it.get(path, all(options))))
  sub('ls', 'List the secrets at and below a path.')
    .argument('[prefix]', 'such as prod, or prod/**')
    .option('--all', 'those whose versions are all destroyed, too')
    .action((prefix, options) => import('./show.ts').then((it) => it.list(prefix, all(options))))
  sub('edit', 'Change a secret in $EDITOR.')
    .argument('<path>', PATH)
    .action((path, options) => import('./change.ts').then((it) => it.edit(path, all(options))))
}

function lifecycle(sub: Sub, all: All): void {
  sub('rm', 'Delete versions; `restore` brings them back.')
    .argument('<path>', PATH)
    .argument('[versions...]', 'their numbers; the newest if none is given', wholeNumbers)
    .action((path, versions = [], options) =>
      import('./change.ts').then((it) => it.mark('delete', path, versions, all(options))),
    )
  sub('restore', 'Bring deleted versions back.')
    .argument('<path>', PATH)
    .argument('[versions...]', 'their numbers; the newest if none is given', wholeNumbers)
    .action((path, versions = [], options) =>
      import('./change.ts').then((it) => it.mark('restore', path, versions, all(options))),
    )
  sub('destroy', 'Destroy the keys of versions: nobody reads them again.')
    .argument('<path>', PATH)
    .argument('[versions...]', 'their numbers', wholeNumbers)
    .option('--all', 'all versions')
    .option('--yes', 'do it: there is no way back')
    .action((path, versions = [], options) =>
      import('./change.ts').then((it) => it.destroy(path, versions, all(options))),
    )
  sub('history', 'List the versions of a secret.')
    .argument('<path>', PATH)
    .action((path, options) => import('./show.ts').then((it) => it.history(path, all(options))))
  sub('diff', 'Say which fields of two versions differ.')
    .argument('<path>', PATH)
    .argument('<from>', 'a version', wholeNumber)
    .argument('[to]', 'another; the newest if left out', wholeNumber)
    .option('--reveal', 'with what they hold')
    .action((path, from, to, options) => import('./show.ts').then((it) => it.diff(path, from, to, all(options))))
}

function running(sub: Sub, all: All): void {
  const chosen = (command: Command): Command =>
    command
      .option('--only <names>', 'only these variables, with commas between them', names)
      .option('--prefix <text>', 'in front of each name')
  chosen(sub('run', 'Run a command with secrets in its environment: prod/db with a field url is DB_URL below prod.'))
    .argument('<command...>', 'after --')
    .option('--from <path>', 'only secrets at and below this path')
    .option('--mask', 'take secrets out of what the command prints')
    .option('--pristine', 'nothing else in its environment but PATH')
    .option('--references', 'only resolve variables of the form ate://path#field')
    .action((command, options) => import('./run.ts').then((it) => it.run(command, all(options))))
  chosen(sub('export', 'Print secrets as variables for a shell, docker, node, or as JSON.'))
    .argument('[path]', 'only secrets at and below this path')
    .requiredOption('--format <format>', DIALECTS.join(', '))
    .option('--out <file>', 'write to a new file of mode 0600')
    .action((path, options) => import('./export.ts').then((it) => it.exportSecrets(path, all(options))))
  sub('inject', 'Replace {{ ate://path#field }} in a template.')
    .argument('<template>', 'a file, or - for stdin')
    .option('--out <file>', 'write to a new file of mode 0600')
    .action((template, options) => import('./export.ts').then((it) => it.inject(template, all(options))))
  sub('import', 'Import a file of another tool: dotenv, JSON, YAML, SOPS, `vault kv get -format=json`.')
    .argument('<file>', 'a file, or - for stdin')
    .option('--format <format>', FORMATS.join(', '), 'auto')
    .option('--to <path>', 'where it goes')
    .option('--dry-run', 'only say which secrets it would write')
    .option('--overwrite', 'also write new versions of secrets that are there')
    .action((file, options) => import('./import.ts').then((it) => it.importSecrets(file, all(options))))
}

function access(sub: Sub, all: All): void {
  sub('grant', 'Say what a role may do at a pattern, or add a member to it.')
    .argument('<role>', 'its name')
    .argument('[pattern]', 'a path, prefix/**, or **')
    .argument('[rights]', 'list,read,write,destroy,grant; none takes them away')
    .option('--member <id>', 'a public id, or a file that holds one')
    .option('--until <when>', 'a date, or a duration such as 30d')
    .action((role, pattern, rights, options) =>
      import('./change.ts').then((it) => it.grant(role, pattern, rights, all(options))),
    )
  sub('revoke', 'Take what was said for a pattern away, or a member out; says what could be read.')
    .argument('<role>', 'its name')
    .argument('[pattern]', 'as it was granted')
    .option('--member <id>', 'a public id, or a file that holds one')
    .action((role, pattern, options) => import('./change.ts').then((it) => it.revoke(role, pattern, all(options))))
  sub('who', 'Say who may do what with a secret.')
    .argument('<path>', PATH)
    .action((path, options) => import('./show.ts').then((it) => it.who(path, all(options))))
  sub('audit', 'Print who wrote, destroyed, granted and took what.')
    .argument('[path]', PATH)
    .option('--from <seq>', 'from this record on', wholeNumber)
    .action((path, options) => import('./show.ts').then((it) => it.audit(path, all(options))))
}

function tokens(sub: Sub, all: All): void {
  json(sub('wrap', 'Make a token that opens a value once; the value comes from stdin or a file.'))
    .requiredOption('--ttl <duration>', 'how long the token is good, such as 10m')
    .action((options) => import('./tokens.ts').then((it) => it.wrap(all(options))))
  sub('unwrap', 'Open a token, which comes from stdin or a file, and with it spend it.')
    .option('--file <file>', 'a file that holds the token')
    .option('--out <file>', 'write to a new file of mode 0600')
    .action((options) => import('./tokens.ts').then((it) => it.unwrap(all(options))))
  sub('transit', 'Use a key that stays in the vault.')
    .argument('<verb>', TRANSIT_VERBS.join(', '))
    .argument('<key>', 'its name')
    .option('--file <file>', 'the data; stdin if left out')
    .option('--context <text>', 'what the data is bound to')
    .option('--signature <file>', 'of verify')
    .option('--min-decrypt <version>', 'of rotate: older versions are not used any more', wholeNumber)
    .option('--out <file>', 'write to a new file of mode 0600')
    .action((verb, name, options) => import('./tokens.ts').then((it) => it.transit(verb, name, all(options))))
}

function shares(vault: Command, all: All): void {
  vault
    .command('split')
    .description('Split the identity that acts into shares: any few of them make it again.')
    .requiredOption('--shares <n>', 'how many', wholeNumber)
    .requiredOption('--threshold <n>', 'how many are enough', wholeNumber)
    .requiredOption('--out <folder>', 'a file of mode 0600 for each share goes there')
    .option('--as <file>', 'the identity in this file, not that of this machine')
    .option('--passphrase-file <file>', 'the passphrase is the first line of this file')
    .option('--json', 'for programs')
    .action((options) => import('./shares.ts').then((it) => it.split(all(options))))
  vault
    .command('join')
    .description('Make the identity of shares again.')
    .argument('<files...>', 'one for each share')
    .requiredOption('--out <file>', 'the identity goes to this new file')
    .option('--passphrase-file <file>', 'seal it with the first line of this file')
    .option('--json', 'for programs')
    .action((files, options) => import('./shares.ts').then((it) => it.join(files, all(options))))
  vault
    .command('drill')
    .description('Try whether shares really make an identity again, and forget it.')
    .argument('<files...>', 'one for each share')
    .requiredOption('--fingerprint <fingerprint>', 'of the identity; `ate id` prints it')
    .option('--json', 'for programs')
    .action((files, options) => import('./shares.ts').then((it) => it.drillCommand(files, all(options))))
}

function names(text: string): string[] {
  return text.split(',').map((one) => one.trim())
}
