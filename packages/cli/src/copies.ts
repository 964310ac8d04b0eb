/** `ate backup`, `restore`, `push` and `salvage`: copies of a chain, and what became of them. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import {
  AteError,
  backup,
  type CopyReceipt,
  type ErrorCode,
  isAteError,
  openChain,
  openIdentity,
  push,
  restore,
  type SalvageReport,
  salvage,
  verifyPlace,
} from '@ate/core'
import { type ActingOptions, actingIdentity } from './acting.ts'
import { counted, print, printable, toHex, toJson } from './output.ts'
import { storedPlaceOf } from './place.ts'
import { openProgress, type Progress } from './progress.ts'

interface CopyCommandOptions {
  readonly id?: string
  readonly json?: boolean
}

interface PushCommandOptions extends CopyCommandOptions, ActingOptions {
  readonly toServer?: boolean
}

export async function backupCommand(
  from: string,
  to: string,
  options: CopyCommandOptions & { readonly keys: boolean },
): Promise<void> {
  const keys = options.keys ? 'include' : 'omit'
  const receipt = await withProgress('backing up', ({ update }) =>
    backup(storedPlaceOf(from), storedPlaceOf(to), { keys, onProgress: update, ...idOf(options) }),
  )
  const files = `${counted(receipt.files, 'file')}, ${receipt.bytes} bytes`
  await printReceipt(receipt, options, `backed up to ${to}: ${files}`)
}

export async function restoreCommand(from: string, to: string, options: CopyCommandOptions): Promise<void> {
  const receipt = await withProgress('restoring', ({ update }) =>
    restore(storedPlaceOf(from), storedPlaceOf(to), { onProgress: update, ...idOf(options) }),
  )
  await printReceipt(receipt, options, `restored to ${to}: ${READ_ONLY}`)
}

export async function pushCommand(from: string, to: string, options: PushCommandOptions): Promise<void> {
  if (options.toServer) await nameServer(storedPlaceOf(from), to, options)
  const receipt = await withProgress('moving', ({ update }) =>
    push(storedPlaceOf(from), storedPlaceOf(to), { onProgress: update, ...idOf(options) }),
  )
  await printReceipt(receipt, options, `moved to ${to}; ${from} is read-only from now on`)
}

/** Exit code 0 also where records are lost: that is what it was asked to do, and it says so. */
export async function salvageCommand(from: string, to: string, options: CopyCommandOptions): Promise<void> {
  const report = await withProgress('salvaging', ({ update }) =>
    salvage(storedPlaceOf(from), storedPlaceOf(to), { onProgress: update, ...idOf(options) }),
  )
  if (options.json) await print(toJson({ ...report, head: headJson(report) }))
  else
    await print(
      [`salvaged to ${printable(to)}: ${READ_ONLY}`, ...receiptLines(report), ...lossLines(report)].join('\n'),
    )
}

/**
 * Behind this record nobody else orders any: the chain goes on where that server is, and nowhere if there is none of that
 * name. So it has to be the one whose folder it goes to.
 */
async function nameServer(at: string, to: string, options: PushCommandOptions): Promise<void> {
  const server = await serverOf(to)
  const as = await actingIdentity(options)
  try {
    await using chain = await openChain(at, { as, create: false, ...idOf(options) })
    await chain.transact((tx) => tx.settings({ sequencers: [server] }))
  } catch (error) {
    if (!isAteError(error) || (error.code !== 'READ_ONLY' && error.code !== 'CHAIN_MOVED')) throw error
    await assertNamed(at, server, { options, refused: error })
  }
}

/**
 * What is written here no more may go to the server that a try before has named; what has named another one, or none, could
 * be written nowhere. @throws AteError READ_ONLY | CHAIN_MOVED
 */
async function assertNamed(
  at: string,
  server: string,
  { options, refused }: { readonly options: PushCommandOptions; readonly refused: AteError },
): Promise<void> {
  const { chain, sequencers } = await verifyPlace(at, idOf(options))
  const isOrdered = sequencers !== undefined && sequencers !== 'writers'
  if (isOrdered && sequencers.some((named) => named === server)) return
  // The disk is read-only, and nothing else.
  if (!isOrdered && refused.code === 'READ_ONLY') throw refused
  const facts = { ...refused.facts, chain, server, ...(isOrdered ? { named: sequencers } : {}) }
  throw new AteError(refused.code as ErrorCode, facts, { hint: isOrdered ? OTHER_SERVER : NO_SERVER, cause: refused })
}

const OTHER_SERVER =
  "the root has named other servers (named), which alone order this chain's records: move it into the folder of one of them; " +
  'or let who manages the root name this one (server) too, by the address of one of them, and move it then'
const NO_SERVER =
  'it was moved before the root had named a server: move it from there to an empty folder, and from that one here, with --to-server'

/** The fingerprint of the server of that folder, which says it of itself: also of a sealed identity, whose passphrase is not ours. */
async function serverOf(to: string): Promise<string> {
  const file = join(to.replace(/^file:/, ''), '..', '..', 'server-identity')
  if (existsSync(file))
    return openIdentity(file).then(
      ({ fingerprint }) => fingerprint,
      (error: unknown) => {
        const said = isAteError(error) && error.code === 'PASSPHRASE_NEEDED' ? error.facts['fingerprint'] : undefined
        if (typeof said === 'string') return said
        throw error
      },
    )
  const hint = 'with --to-server the new place is DATA/chains/NAME, in the folder of a server that was started once'
  throw new AteError('BAD_ARGUMENT', { to }, { hint })
}

const READ_ONLY = 'read-only until `ate recover`, which is for when the original is lost'

async function printReceipt(receipt: CopyReceipt, { json }: CopyCommandOptions, what: string): Promise<void> {
  await print(
    json ? toJson({ ...receipt, head: headJson(receipt) }) : [printable(what), ...receiptLines(receipt)].join('\n'),
  )
}

function receiptLines({ chain, head, records, keys }: CopyReceipt): string[] {
  return [
    `chain      ${chain}`,
    `head       record ${head.seq}, hash ${toHex(head.hash)}`,
    `copied     ${counted(records, 'record')}, ${counted(keys, 'wrapped key')}`,
  ]
}

function lossLines({ lost, refused, problems, beyond, badKeys }: SalvageReport): string[] {
  return [
    lost ? `LOST       records ${lost.firstSeq} to ${lost.lastSeq}` : 'lost       nothing',
    ...(refused ? [`refused    record ${refused.seq}: ${refused.code}`] : []),
    ...problems.map(({ segment, offset, what, firstSeq, lastSeq }) => {
      const seqs =
        lastSeq === undefined
          ? firstSeq === undefined
            ? ''
            : `, from record ${firstSeq} on`
          : `, records ${firstSeq} to ${lastSeq}`
      return `damaged    ${segment} at ${offset}: ${printable(what)}${seqs}`
    }),
    ...beyond.map(
      ({ segment, offset, firstSeq, lastSeq }) =>
        `not taken  ${segment} at ${offset}: records ${firstSeq} to ${lastSeq} stand behind what is lost`,
    ),
    ...badKeys.map((name) => `damaged    wrapped key ${name}`),
  ]
}

function headJson({ head }: CopyReceipt): object {
  return { seq: head.seq, hash: toHex(head.hash) }
}

function idOf({ id }: CopyCommandOptions): { readonly id?: string } {
  return id === undefined ? {} : { id }
}

async function withProgress<R>(what: string, run: (progress: Progress) => Promise<R>): Promise<R> {
  const progress = openProgress(what)
  try {
    return await run(progress)
  } finally {
    progress.stop()
  }
}
