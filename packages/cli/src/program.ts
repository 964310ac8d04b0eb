/** The arguments of `ate`. Each command has a file of its own. */
import { Command } from 'commander'
import { addBus } from './bus.ts'
import { addCache } from './cache.ts'
import { addCoin } from './coin-arguments.ts'
import { SERVER_KEY } from './command-options.ts'
import { compact } from './compact.ts'
import { backupCommand, pushCommand, restoreCommand, salvageCommand } from './copies.ts'
import { destroyCommand } from './destroy.ts'
import { doctor } from './doctor.ts'
import { dump } from './dump.ts'
import { id } from './id.ts'
import { addLedger } from './ledger-arguments.ts'
import { ls } from './ls.ts'
import { consent, person } from './person.ts'
import { prove } from './prove.ts'
import { addQueue } from './queue.ts'
import { recoverCommand } from './recover.ts'
import { ownVersion, wholeNumber } from './run-program.ts'
import { addServe } from './serve-arguments.ts'
import { stats } from './stats.ts'
import { vaultCommand } from './vault/commands.ts'
import { verify } from './verify.ts'
import { verifyProofFile } from './verify-proof.ts'
import { wormCommand } from './worm/commands.ts'

/** Before or after the command's name. */
const AS = ['--as <file>', 'act as the identity in this file, not as this machine'] as const
const PASSPHRASE_FILE = ['--passphrase-file <file>', 'the passphrase is the first line of this file'] as const

const PLACE = 'a folder that holds a chain, as a path or as file:PATH'
const CHAIN = `${PLACE}; or ws://HOST:PORT/NAME`

export function program(): Command {
  const ate = new Command('ate')
    .description(
      'Look into chains, verify, copy, move, recover and serve them, manage identities, and use what kits keep on them.',
    )
    .version(ownVersion(), '--version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .option(...AS)
    .exitOverride()
    .showHelpAfterError("Run `ate --help` for help; after a command's name for help with it.")
  ate
    .command('dump')
    .description('Print every record: who wrote it, and what of it this identity can read.')
    .argument('<place>', CHAIN)
    .option('--id <id>', 'the id of the chain that is meant')
    .option('--from <seq>', 'begin at this record', wholeNumber, 0)
    .option('--limit <n>', 'print at most this many records', wholeNumber)
    .option(...SERVER_KEY)
    .option(...AS)
    .option(...PASSPHRASE_FILE)
    .option('--json', 'one JSON object a record')
    .action((place: string, options) => dump(place, { ...ate.opts(), ...options }))
  ate
    .command('verify')
    .description('Read every byte of a chain and check it: damage, links, signatures, history. Needs no key.')
    .argument('<place>', PLACE)
    .option('--id <id>', 'the id of the chain that is meant')
    .option('--json', 'the report as one JSON object')
    .option('--save-evidence <file>', 'of a rollback or a fork: write what others can check to a new file')
    .action(verify)
  ate
    .command('stats')
    .description('Print the numbers of a chain: records, bytes, entities, signatures, checkpoints, writers.')
    .argument('<place>', CHAIN)
    .option('--id <id>', 'the id of the chain that is meant')
    .option(...SERVER_KEY)
    .option(...AS)
    .option(...PASSPHRASE_FILE)
    .option('--json', 'one JSON object')
    .action((place: string, options) => stats(place, { ...ate.opts(), ...options }))
  ate
    .command('doctor')
    .description('Look a chain over, with the keys of this identity: what is wrong, and what waits for somebody.')
    .argument('<place>', CHAIN)
    .option('--id <id>', 'the id of the chain that is meant')
    .option(...SERVER_KEY)
    .option(...AS)
    .option(...PASSPHRASE_FILE)
    .option('--json', 'the report as one JSON object')
    .action((place: string, options) => doctor(place, { ...ate.opts(), ...options }))
  ate
    .command('compact')
    .description('Drop from the log the values that were replaced or deleted. Signatures and proofs stay.')
    .argument('<place>', CHAIN)
    .option('--id <id>', 'the id of the chain that is meant')
    .option(...SERVER_KEY)
    .option(...AS)
    .option(...PASSPHRASE_FILE)
    .option('--json', 'the report as one JSON object')
    .action((place: string, options) => compact(place, { ...ate.opts(), ...options }))
  ate
    .command('prove')
    .description('Make a proof of a record, a transaction or a value that others verify without the chain.')
    .argument('<place>', CHAIN)
    .argument('[what]', 'the number of a record, or the id of a transaction')
    .option('--entity <id>', 'the value that this entity has now')
    .option('--ciphertext', 'of an entity: with its sealed value')
    .option('--since <seq>', 'that the newest checkpoint continues the one in this record', wholeNumber)
    .option('--out <file>', 'write to a new file, not to stdout')
    .option('--id <id>', 'the id of the chain that is meant')
    .option(...SERVER_KEY)
    .option(...AS)
    .option(...PASSPHRASE_FILE)
    .action((place: string, what: string | undefined, options) => prove(place, what, { ...ate.opts(), ...options }))
  ate
    .command('verify-proof')
    .description(
      'Check a proof, or the evidence of a rollback or fork. Needs no chain and no key. Exit code 1 if it proves nothing.',
    )
    .argument('<file>', 'what `ate prove` or `ate verify --save-evidence` wrote')
    .requiredOption('--chain <id>', 'the id of the chain that is meant')
    .option('--witness <key...>', 'witnesses who must have cosigned, as NAME+KEYID+BASE64')
    .option('--quorum <n>', 'how many of them; all if left out', wholeNumber)
    .option(
      '--checkpoint-key <base64...>',
      'keys that sign checkpoints now, if the root has named others since the genesis',
    )
    .option('--signer <fingerprint...>', 'of an evidence: identities that are known to belong to the chain')
    .option('--json', 'what it proves as one JSON object')
    .action(verifyProofFile)
  ate
    .command('id')
    .description("Show this machine's identity, which is made on first use; or make, or show, one in a file.")
    .option('--new <file>', 'make an identity in a new file, sealed if a passphrase is given')
    .option('--show <file>', 'show the identity in this file')
    .option(...AS)
    .option(...PASSPHRASE_FILE)
    .option('--json', 'one JSON object')
    .action((options) => id({ ...ate.opts(), ...options }))
  ate
    .command('person')
    .description('List who has more than one key on a chain; or change the keys of a person.')
    .argument('<place>', CHAIN)
    .argument('[action]', 'add, remove, rotate or renew')
    .argument('[key]', 'of add and rotate a file with a consent; of remove a fingerprint')
    .option('--of <person>', 'the person, by a public id or fingerprint; who acts, if left out')
    .option('--owner', 'the added key may change the person too')
    .option('--id <id>', 'the id of the chain that is meant')
    .option(...SERVER_KEY)
    .option(...AS)
    .option(...PASSPHRASE_FILE)
    .option('--json', 'one JSON object')
    .action((place: string, action: string | undefined, key: string | undefined, options) =>
      person(place, action, key, { ...ate.opts(), ...options }),
    )
  ate
    .command('consent')
    .description("On a new device: print the consent of its key to belong to a person. The person's owner adds it.")
    .requiredOption('--chain <id>', 'the id of the chain')
    .requiredOption('--person <person>', 'the public id or fingerprint of the person')
    .option(...AS)
    .option(...PASSPHRASE_FILE)
    .action((options) => consent({ ...ate.opts(), ...options }))
  ate
    .command('ls')
    .description('List the chains that this machine knows, and whether they are there.')
    .option('--json', 'one JSON array')
    .action(ls)
  addCopies(ate)
  addServe(ate, 'serve')
  addBus(ate, (command) =>
    command
      .option(...SERVER_KEY)
      .option(...AS)
      .option(...PASSPHRASE_FILE),
  )
  addCache(ate, () => ate.opts())
  addQueue(ate, () => ate.opts())
  ate.addCommand(vaultCommand(() => ate.opts()))
  ate.addCommand(wormCommand(() => ate.opts()))
  addLedger(ate)
  addCoin(ate)
  return ate
}

const ID = ['--id <id>', 'the id of the chain that is meant'] as const
const EMPTY = 'an empty or new folder'

function addCopies(ate: Command): void {
  ate
    .command('backup')
    .description('Copy a chain into a folder, with a list of its files and hashes, beside its writer. Needs no key.')
    .argument('<place>', PLACE)
    .argument('<to>', EMPTY)
    .option(...ID)
    .option('--no-keys', 'leave the wrapped keys of the ring out: what they open cannot be restored')
    .option('--json', 'one JSON object')
    .action(backupCommand)
  ate
    .command('restore')
    .description('Make a chain of a backup, everything verified. It is read-only until `ate recover`.')
    .argument('<from>', 'the folder of a backup')
    .argument('<to>', EMPTY)
    .option(...ID)
    .option('--json', 'one JSON object')
    .action(restoreCommand)
  ate
    .command('push')
    .description('Move a chain that nobody has open to another place. Interrupted, it is finished by the same command.')
    .argument('<from>', PLACE)
    .argument('<to>', EMPTY)
    .option(...ID)
    .option('--to-server', 'to is DATA/chains/NAME of a server: from now on that server orders the records')
    .option(...AS)
    .option(...PASSPHRASE_FILE)
    .option('--json', 'one JSON object')
    .action((from: string, to: string, options) => pushCommand(from, to, { ...ate.opts(), ...options }))
  ate
    .command('salvage')
    .description(
      'Copy what can be trusted of a damaged chain, and say what is lost. The damaged folder is left as it is.',
    )
    .argument('<from>', 'the folder of a damaged chain')
    .argument('<to>', EMPTY)
    .option(...ID)
    .option('--json', 'the report as one JSON object')
    .action(salvageCommand)
  ate
    .command('recover')
    .description(
      'Make a restored or salvaged chain the one that is written. Only when the original is lost: else use push.',
    )
    .argument('<place>', `${PLACE}; or ws://HOST:PORT/NAME, of a chain that was restored on its server`)
    .option(...ID)
    .option('--from <seq>', 'other copies may differ from this record on; the next one if left out', wholeNumber)
    .option(...SERVER_KEY)
    .option(...AS)
    .option(...PASSPHRASE_FILE)
    .option('--json', 'one JSON object')
    .action((place: string, options) => recoverCommand(place, { ...ate.opts(), ...options }))
  ate
    .command('destroy')
    .description(
      'Destroy a chain or a copy: its wrapped keys first, overwritten, then everything. There is no way back.',
    )
    .argument('<place>', PLACE)
    .option(...ID)
    .option('--yes', 'whatever chain stands there')
    .option('--json', 'one JSON object')
    .action(destroyCommand)
}
