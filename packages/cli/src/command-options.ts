/** Options that commands of several subjects have, so that they are called and told the same everywhere. */
import type { Command } from 'commander'

/** Where a chain is, for commands that take it as their first argument. */
const PLACE = ['<place>', 'a chain: a folder, as a path or as file:PATH, or ws://HOST:PORT/NAME'] as const

/** Of commands that take the address of a chain. */
export const SERVER_KEY = [
  '--server-key <key>',
  'the key of the server, as `ate serve` prints it; needed once a machine. Else ATE_SERVER_KEY',
] as const

/** Which chain, as whom, and for whom to print: of commands that find their chain by an option. */
export function actingOptions(command: Command): Command {
  return command
    .option('--id <id>', 'the id of the chain that is meant')
    .option(...SERVER_KEY)
    .option('--as <file>', 'act as the identity in this file, not as this machine')
    .option('--passphrase-file <file>', 'the passphrase is the first line of this file')
    .option('--json', 'for programs')
}

/** Makes the verbs of a group whose first argument is the chain. */
export function verbsOf(group: Command): (name: string, description: string) => Command {
  return (name, description) =>
    group
      .command(name)
      .description(description)
      .argument(...PLACE)
      .option('--id <id>', 'the id of the chain that is meant')
      .option(...SERVER_KEY)
      .option('--as <file>', "act as the identity in this file, not as this machine's")
      .option('--passphrase-file <file>', 'the passphrase is the first line of this file')
      .option('--json', 'print for programs')
}
