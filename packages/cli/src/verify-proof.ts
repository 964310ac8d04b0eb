/**
 * `ate verify-proof`: checks a proof or an evidence in a file, without a chain. Exit code 0 if it proves what it says, 1 if it
 * does not.
 */
import { readFileSync, statSync } from 'node:fs'
import process from 'node:process'
import {
  AteError,
  type ProvenConsistency,
  type ProvenRecord,
  type VerifiedEvidence,
  verifyEvidence,
  verifyProof,
} from '@ate/core'
import { print, printable, timeText, toHex, toJson } from './output.ts'

export interface VerifyProofCommandOptions {
  readonly chain: string
  readonly witness?: readonly string[]
  readonly quorum?: number
  readonly checkpointKey?: readonly string[]
  readonly signer?: readonly string[]
  readonly json?: boolean
}

/** Larger than any proof: what is not one is not read into memory. */
const FILE_BYTES_MAX: number = 16 * 1024 * 1024

export async function verifyProofFile(file: string, options: VerifyProofCommandOptions): Promise<void> {
  const proven = verified(textOf(file), options)
  await print(options.json ? toJson(proven) : provenText(proven))
  if (proven.kind !== 'record' && proven.kind !== 'consistency' && proven.verdict !== 'proof') process.exitCode = 1
}

function textOf(file: string): string {
  try {
    if (statSync(file).size <= FILE_BYTES_MAX) return readFileSync(file, 'utf8')
  } catch (cause) {
    const { code: reason } = cause as NodeJS.ErrnoException
    throw new AteError('IO_ERROR', { file, reason }, { cause, hint: 'the file cannot be read' })
  }
  throw new AteError('BAD_PROOF', { file, what: 'the file is too large to be one' })
}

function verified(
  text: string,
  { chain, witness, quorum, checkpointKey, signer }: VerifyProofCommandOptions,
): ProvenRecord | ProvenConsistency | VerifiedEvidence {
  const trust = { chain, ...(checkpointKey ? { checkpointKeys: checkpointKey.map(keyOf) } : {}) }
  if (/"format":\s*"ate-evidence\//.test(text))
    return verifyEvidence(text, { ...trust, ...(signer ? { signers: signer } : {}) })
  const witnesses = witness ? { witnesses: { keys: witness, quorum: quorum ?? witness.length } } : {}
  return verifyProof(text, { ...trust, ...witnesses })
}

function keyOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64'))
}

function provenText(proven: ProvenRecord | ProvenConsistency | VerifiedEvidence): string {
  if (proven.kind === 'record') return recordText(proven)
  if (proven.kind === 'consistency') return consistencyText(proven)
  return evidenceText(proven)
}

function recordText({ chain, record, checkpoint, commit, transaction, event }: ProvenRecord): string {
  const lines = [
    `ok: record ${record.seq} stands in the log, as it was signed`,
    `chain       ${chain}`,
    `record      ${record.kind}, hash ${toHex(record.hash)}`,
    `checkpoint  over ${checkpoint.size} records, root ${toHex(checkpoint.root)}`,
    ...checkpoint.witnesses.map(({ name, at }) => `witness     ${name}, at ${timeText(at)}`),
  ]
  if (commit) {
    lines.push(`author      ${commit.author}, who says ${timeText(commit.at)}`)
    lines.push(`signature   ${SIGNATURES[commit.postQuantum]}${commit.adoptedBy ? ` ${commit.adoptedBy}` : ''}`)
  }
  if (transaction) lines.push(`transaction ${transactionText(transaction)}`)
  if (event) {
    lines.push(`event       ${eventText(event)}`)
    if (event.value)
      lines.push(`value       ${event.value.bytes} bytes, SHA-256 of the ciphertext ${toHex(event.value.hash)}`)
  }
  lines.push('not shown   whether the rules let it through, and whether something newer exists')
  return lines.join('\n')
}

function transactionText({ txId, events, whole }: NonNullable<ProvenRecord['transaction']>): string {
  return `${txId}, ${events.length} ${events.length === 1 ? 'event' : 'events'}${whole ? '' : ' shown'}`
}

function eventText({ op, type, entity, version }: NonNullable<ProvenRecord['event']>): string {
  return `${op} ${printable(type)} ${entity ?? 'without its id'}${version > 0 ? `, version ${version}` : ''}`
}

const SIGNATURES = {
  author: 'Ed25519 of the session, and the post-quantum signature of the author',
  adopted: 'Ed25519 of the session, and the post-quantum signature of a manager:',
  none: 'Ed25519 of the session alone',
} as const

function consistencyText({ chain, from, to }: ProvenConsistency): string {
  return [
    `ok: the first ${from.size} of ${to.size} records are those of the older checkpoint`,
    `chain       ${chain}`,
    `from        root ${toHex(from.root)}`,
    `to          root ${toHex(to.root)}`,
    ...to.witnesses.map(({ name, at }) => `witness     ${name}, at ${timeText(at)}`),
  ].join('\n')
}

function evidenceText({
  kind,
  chain,
  verdict,
  remembered,
  shown,
  records,
  known,
  against,
  strangers,
}: VerifiedEvidence): string {
  const proof = 'PROOF: keys of this chain have signed two histories of it'
  const claim = `claim: a ${kind}, by the word of whoever made this`
  const lines = [verdict === 'proof' ? proof : claim, `chain       ${chain}`]
  lines.push(`remembered  record ${remembered.seq}, hash ${toHex(remembered.hash)}`)
  lines.push(`was shown   record ${shown.seq}, hash ${toHex(shown.hash)}`)
  const what =
    records &&
    (records.first === records.last ? `record ${records.first}` : `records ${records.first} to ${records.last}`)
  if (known) lines.push(`signed      ${what}, by ${signerText(known)}`)
  if (against) lines.push(`and another ${what}, by ${signerText(against)}`)
  for (const stranger of strangers)
    lines.push(`not known   ${stranger}: give it with --signer if it belongs to the chain`)
  return lines.join('\n')
}

function signerText({ kind, identity, key }: NonNullable<VerifiedEvidence['known']>): string {
  return `${kind} of ${identity ?? `the key ${toHex(key!)}`}`
}
