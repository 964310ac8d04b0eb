/** The commands below `ate worm`: their arguments. What they do is loaded when it is needed. */
import { Command } from 'commander'
import { actingOptions } from '../command-options.ts'
import { addExamples, WORM_EXAMPLES } from '../examples.ts'
import { wholeNumber } from '../run-program.ts'

const NAME = 'name of an object, such as mail/1.eml'
const REVISION = ['--revision <version>', 'one of its versions; the newest if left out'] as const

/** `global` gives the options that stand before the command's name. */
export function wormCommand(global: () => object): Command {
  const worm = new Command('worm')
    .description('Keep records that nobody alters or deletes early: retention, holds, proofs.')
    .helpCommand(false)
    .exitOverride()
  const sub = (name: string, description: string): Command => common(worm.command(name).description(description))
  const all = <O extends object>(options: O): O => ({ ...global(), ...options })
  objects(sub, all)
  keeping(sub, all)
  proving(sub, all)
  whole(sub, all)
  addExamples(worm, WORM_EXAMPLES)
  return worm
}

type Sub = (name: string, description: string) => Command
type All = <O extends object>(options: O) => O

function common(command: Command): Command {
  return actingOptions(
    command
      .option('-C, --at <place>', 'the chain of the archive; else ATE_WORM, else ./archive')
      .option('--name <archive>', 'one of several archives on the chain'),
  )
}

function objects(sub: Sub, all: All): void {
  sub('put', 'Store a file, or what comes from stdin, of any size.')
    .argument('<name>', NAME)
    .argument('[file]', 'stdin if left out, or -')
    .option('--retain <when>', 'kept until a date, or for a duration such as 6y')
    .option('--mode <mode>', 'governance or compliance')
    .option('--hold <matter>', 'held by a matter from the start')
    .option('--subject <subject>', 'whose data it is: `erase` destroys its key')
    .option('--type <type>', 'media type')
    .option('--meta <json>', 'what goes with it, sealed')
    .option('--key <key>', 'a put that was broken off goes on with the same key')
    .action((name, file, options) => import('./objects.ts').then((it) => it.putCommand(name, file, all(options))))
  sub('get', 'Print an object, or write it to a new file. Each part is verified before it is given out.')
    .argument('<name>', NAME)
    .option(...REVISION)
    .option('--range <bytes>', 'first and last byte, both included: 0-1023, 1024-')
    .option('--out <file>', 'write to a new file')
    .action((name, options) => import('./objects.ts').then((it) => it.getCommand(name, all(options))))
  sub('ls', 'List all versions of all objects.')
    .argument('[prefix]', 'only names that begin with it')
    .option('--due', 'only those that may be disposed of')
    .option('--hold <matter>', 'only those that the matter holds')
    .option('--subject <subject>', 'only those of the subject')
    .action((prefix, options) => import('./objects.ts').then((it) => it.listCommand(prefix, all(options))))
  sub('stat', 'Say what is known of an object, and how long it is kept.')
    .argument('<name>', NAME)
    .option(...REVISION)
    .action((name, options) => import('./objects.ts').then((it) => it.statCommand(name, all(options))))
}

function keeping(sub: Sub, all: All): void {
  sub('extend', 'Keep an object longer, or under compliance; never less.')
    .argument('<name>', NAME)
    .argument('<until>', 'a date, or a duration from now')
    .option(...REVISION)
    .option('--compliance', 'nobody may end it early any more')
    .option('--reason <text>', 'goes on the record')
    .action((name, until, options) => import('./keeping.ts').then((it) => it.extendCommand(name, until, all(options))))
  sub('hold', 'Hold an object for a matter, until that is released.')
    .argument('<name>', NAME)
    .argument('<matter>', 'such as SEC-2026-041')
    .option(...REVISION)
    .option('--reason <text>', 'goes on the record')
    .action((name, matter, options) => import('./keeping.ts').then((it) => it.holdCommand(name, matter, all(options))))
  sub('release', 'End the hold of a matter.')
    .argument('<name>', NAME)
    .argument('<matter>', 'as it was given')
    .option(...REVISION)
    .requiredOption('--reason <text>', 'goes on the record')
    .action((name, matter, options) =>
      import('./keeping.ts').then((it) => it.releaseCommand(name, matter, all(options))),
    )
  sub('dispose', 'Delete an object whose time is over; a note of it stays.')
    .argument('<name>', NAME)
    .option(...REVISION)
    .requiredOption('--reason <text>', 'goes on the record')
    .option('--bypass-governance', 'before its time: for who manages the chain, and on the record')
    .option('--dry-run', 'only say what would go')
    .option('--yes', 'do it: there is no way back')
    .action((name, options) => import('./keeping.ts').then((it) => it.disposeCommand(name, all(options))))
  sub('erase', 'Destroy the keys of all objects of a subject, and list what is kept by law.')
    .argument('<subject>', 'as it was given with put')
    .option('--yes', 'do it: there is no way back')
    .action((subject, options) => import('./keeping.ts').then((it) => it.eraseCommand(subject, all(options))))
}

function witnessed(command: Command): Command {
  return command
    .option('--witness <key...>', 'who must have cosigned: NAME+KEYID+BASE64')
    .option('--quorum <n>', 'how many of them; 3 of 4 if left out, 5 of 7', wholeNumber)
}

function proving(sub: Sub, all: All): void {
  witnessed(sub('prove', 'Make a proof (C2SP tlog-proof) that others verify without the chain.'))
    .argument('<name>', NAME)
    .option(...REVISION)
    .option('--out <file>', 'write to a new file')
    .action((name, options) => import('./proving.ts').then((it) => it.proveCommand(name, all(options))))
  witnessed(sub('verify', 'Check a proof against a body. Needs no chain and no key.'))
    .argument('<proof>', 'a file')
    .argument('<body>', 'a file; or its SHA-256 with --sha256')
    .requiredOption('--origin <origin>', 'of the log: ate/ and the id of the chain')
    .requiredOption('--log <key>', 'its key: ORIGIN+KEYID+BASE64')
    .option('--sha256', 'the body is given by its hash, in hexadecimal')
    .action((proof, body, options) => import('./proving.ts').then((it) => it.verifyCommand(proof, body, all(options))))
  witnessed(sub('checkpoint', 'Sign the tree of the log so far.'))
    .option(
      '--cosign <command>',
      'a program that gets the note on stdin and prints lines of witnesses; it has 10 seconds',
    )
    .action((options) => import('./proving.ts').then((it) => it.checkpointCommand(all(options))))
  sub('witness', 'Name the witnesses of what is put from now on; or print those that count.')
    .argument('[keys...]', 'NAME+KEYID+BASE64 of each')
    .option('--quorum <n>', 'how many must have signed; 3 of 4 if left out, 5 of 7', wholeNumber)
    .action((keys, options) => import('./proving.ts').then((it) => it.witnessCommand(keys, all(options))))
}

function whole(sub: Sub, all: All): void {
  sub('fsck', 'Look the archive over, and name what is not as it was put. Exit code 1 if there is any.')
    .argument('[prefix]', 'only names that begin with it')
    .option('--deep', 'read every byte, and the whole log')
    .action((prefix, options) => import('./whole.ts').then((it) => it.fsckCommand(prefix, all(options))))
  sub('audit', 'Print what was done, by whom and when, and what was refused.')
    .argument('[name]', 'only of this object')
    .option('--from <seq>', 'from this record on', wholeNumber)
    .option('--csv', 'for a spreadsheet')
    .action((name, options) => import('./whole.ts').then((it) => it.auditCommand(name, all(options))))
  sub('export', 'Write bodies, manifests, proofs and the trail as tar or zip.')
    .argument('[prefix]', 'only names that begin with it')
    .option('--format <format>', 'tar or zip', 'tar')
    .option('--no-proofs', 'leave the proofs out')
    .option('--out <file>', 'write to a new file; else to stdout')
    .action((prefix, options) => import('./whole.ts').then((it) => it.exportCommand(prefix, all(options))))
}
