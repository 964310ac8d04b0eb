/** The arguments of `ate serve`. Each can come from the environment as well; what is on the command line goes before. */
import process from 'node:process'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { addExamples, SERVE_EXAMPLES } from './examples.ts'
import { printable } from './output.ts'
import { wholeNumber } from './run-program.ts'
import { serveCommand } from './serve.ts'

export function addServe(program: Command, name: string): void {
  const environment = process.env
  forgetEmpty(environment)
  const command = program
    .command(name)
    .description(
      'Serve the chains of a folder over the network. It holds no keys of theirs, and lets nobody write what he may not.',
    )
    .argument('[path]', 'the folder of the server; made if there is none (env: ATE_SERVE_PATH, or ./served)')
  for (const option of serveArguments()) command.addOption(option)
  command.addHelpText(
    'after',
    `
What is on the command line goes before what is in the environment, where what is empty is not given. Several values of one are separated by commas.
The first start makes the server's identity, the file server-identity in the folder. Clients pin its fingerprint,
which is printed at each start. SIGTERM and SIGINT stop the server once what is being written is written; a second
one ends it at once.`,
  )
  if (name === 'serve') addExamples(command, SERVE_EXAMPLES)
  command.hook('preAction', () => {
    const known = new Set(command.options.map(({ envVar }) => envVar))
    for (const variable of Object.keys(environment))
      if (variable.startsWith(PREFIX) && variable !== 'ATE_SERVE_PATH' && !known.has(variable))
        process.stderr.write(`${printable(variable)} is no variable of this command, and means nothing.\n`)
  })
  command.action(serveCommand)
}

function serveArguments(): readonly Option[] {
  return [
    new Option('--url <url>', 'the address that clients use, and, without --listen, where to listen')
      .env('ATE_SERVE_URL')
      .default('ws://localhost:5000/db'),
    list(
      '--listen <address>',
      'listen there instead: a URL, or an address such as 0.0.0.0 or ::; several with commas',
    ).env('ATE_SERVE_LISTEN'),
    new Option('--cert <file>', 'certificate chain in PEM, for wss:').env('ATE_SERVE_CERT'),
    new Option('--key <file>', 'its key in PEM').env('ATE_SERVE_KEY'),
    list('--connect <who>', 'who may connect: loopback, anyone, or fingerprints and public ids').env(
      'ATE_SERVE_CONNECT',
    ),
    list('--create <who>', 'who may create chains: the same; loopback if left out, and nobody behind a proxy').env(
      'ATE_SERVE_CREATE',
    ),
    list(
      '--proxies <addresses>',
      'proxies in front: addresses, networks such as 10.0.0.0/8, or loopback; X-Forwarded-For of theirs says whose a connection is',
    ).env('ATE_SERVE_PROXIES'),
    new Option('--wire-encryption <mode>', 'encrypt between client and server, also inside TLS')
      .choices(['on', 'off'])
      .env('ATE_SERVE_WIRE_ENCRYPTION')
      .default('on'),
    new Option(
      '--no-wire-encryption',
      'the same as --wire-encryption off; only where all addresses are of this machine',
    ),
    new Option('--durability <level>', 'answer a writer once his record is on the disk, or once the system has it (os)')
      .choices(['disk', 'os'])
      .env('ATE_SERVE_DURABILITY')
      .default('disk'),
    new Option(
      '--key-access <who>',
      'whom keys beside a log are given to: who may read (open), or of these only who has recorded that he asks (recorded)',
    )
      .choices(['open', 'recorded'])
      .env('ATE_SERVE_KEY_ACCESS')
      .default('open'),
    new Option('--compact <mode>', 'drop values that were replaced or deleted, now and then')
      .choices(['on', 'off'])
      .env('ATE_SERVE_COMPACT')
      .default('on'),
    new Option('--no-compact', 'the same as --compact off'),
    new Option(
      '--compact-growth <times>',
      'when a chain is so many times as long as after the last time; 2 if nothing is given',
    )
      .env('ATE_SERVE_COMPACT_GROWTH')
      .argParser(positive),
    new Option('--compact-bytes <bytes>', 'when so many bytes have come')
      .env('ATE_SERVE_COMPACT_BYTES')
      .argParser(wholeNumber),
    new Option('--compact-every <duration>', 'when so much time has passed, such as 6h')
      .env('ATE_SERVE_COMPACT_EVERY')
      .argParser(duration),
    new Option('--idle <duration>', 'close a chain that nobody uses after this time; 1m if left out')
      .env('ATE_SERVE_IDLE')
      .argParser(duration),
    new Option('--quota-chains <count>', 'chains that one identity may have made here; 10000 if left out')
      .env('ATE_SERVE_QUOTA_CHAINS')
      .argParser(wholeNumber),
    new Option(
      '--quota-bytes <bytes>',
      'bytes that the chains of one identity may hold together; 1099511627776 if left out',
    )
      .env('ATE_SERVE_QUOTA_BYTES')
      .argParser(wholeNumber),
    list('--nodes-list <urls>', 'all servers among which chains are spread, this one included, with commas').env(
      'ATE_SERVE_NODES_LIST',
    ),
    new Option('--node <url>', 'which of them this one is; --url if left out').env('ATE_SERVE_NODE'),
    new Option('--metrics <who>', 'who sees /metrics; loopback if left out, and nobody behind a proxy')
      .choices(['never', 'loopback', 'anyone'])
      .env('ATE_SERVE_METRICS'),
    list(
      '--follows <files>',
      'identity files of what this server was before: clients that know one of them take the new key',
    ).env('ATE_SERVE_FOLLOWS'),
    new Option('--passphrase-file <file>', "the passphrase of the server's identity is the first line of this file"),
  ]
}

const PREFIX = 'ATE_SERVE_'

function duration(text: string): string {
  if (!/^\d{1,15}(ms|s|m|h|d|y)$/.test(text))
    throw new InvalidArgumentError('It must be a number and a unit: 500ms, 90s, 15m, 24h, 30d.')
  return text
}

/** Commas, or the flag again. A flag that took all words behind it would take the path as well. */
function list(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text: string, before: readonly string[] | undefined) => {
    const given = text
      .split(',')
      .map((one) => one.trim())
      .filter((one) => one !== '')
    // Nobody at all is not what somebody means who gives nothing.
    if (given.length === 0) throw new InvalidArgumentError('It must not be empty.')
    return [...(before ?? []), ...given]
  })
}

/** Files for containers set a variable that they leave empty: it is not given. */
function forgetEmpty(environment: NodeJS.ProcessEnv): void {
  for (const [name, value] of Object.entries(environment))
    if (name.startsWith(PREFIX) && value === '') delete environment[name]
}

function positive(text: string): number {
  const value = Number(text)
  if (!/^\d+(\.\d+)?$/.test(text) || !(value > 0)) throw new InvalidArgumentError('It must be a number over 0.')
  return value
}
