/**
 * Proofs as C2SP has them (tlog-proof): the place of the record that locked an object in the tree of a checkpoint. What binds
 * the record to the body stands in `extra`: the core's proof of the transaction, without what the text says already, and
 * the manifest, whose hash the transaction carries in clear.
 *
 *   c2sp.org/tlog-proof@v1
 *   extra base64( { "format": "ate-worm-proof/1", "manifest": text, "proof": { .. } } )
 *   index N
 *   hashes, base64, one a line
 *
 *   the checkpoint, with the lines of the log and of its witnesses
 */
import { AteError, type ChainRecord, isAteError, type Proof, type Witnesses } from '@ate/core'
import type { CallOptions, Context } from './context.ts'
import { fromBase64, sha256Of, toBase64, toHex } from './hashing.ts'
import { type Found, find, type Ref } from './objects.ts'

const HEADER = 'c2sp.org/tlog-proof@v1'
const EXTRA_FORMAT = 'ate-worm-proof/1'
/** Characters: a transaction of 960 KiB, twice in base64, and what goes with it. */
const PROOF_TEXT_MAX: number = 8 * 1024 * 1024

export interface ProveOptions extends CallOptions {
  /** Takes the newest checkpoint that enough of these have cosigned. */
  readonly witnesses?: Witnesses
}

/**
 * Where no checkpoint covers the object yet, one is made if this session may.
 * @throws AteError NOT_FOUND | NO_CHECKPOINT | NOT_WITNESSED | NOT_AUTHORIZED
 */
export async function prove(context: Context, ref: Ref, options: ProveOptions): Promise<string> {
  const { chain } = context
  const found = await find(context, ref, options.signal)
  const transaction = await transactionOf(context, found)
  const wanted = options.witnesses ? { witnesses: options.witnesses } : {}
  try {
    return proofTextOf(await chain.prove({ transaction }, wanted), found.text)
  } catch (error) {
    if (!isAteError(error) || error.code !== 'NO_CHECKPOINT') throw error
    await chain.checkpoint().catch((failure: unknown) => {
      // Who only reads hears what is missing, not that he cannot make it.
      throw isAteError(failure) && failure.code === 'READ_ONLY' ? error : failure
    })
    return proofTextOf(await chain.prove({ transaction }, wanted), found.text)
  }
}

/** The one that locked it: its object carries the hash of the manifest. */
async function transactionOf({ chain }: Context, { id, text }: Found): Promise<string> {
  const digest = toHex(sha256Of(new TextEncoder().encode(text)))
  const record = await recordAt(chain, chain.seqOf(id))
  const found = record?.transactions.find(
    ({ refusal, events }) =>
      !refusal &&
      events.some(({ op, entity, clear }) => op === 'retain' && entity === id && clear['digest'] === digest),
  )
  if (!found) throw new AteError('DAMAGED', { version: id, what: 'no record carries the hash of its manifest' })
  return found.txId
}

async function recordAt(chain: Context['chain'], seq: number): Promise<ChainRecord | undefined> {
  for await (const record of chain.records({ from: seq })) return record
  return undefined
}

function proofTextOf({ checkpoint, record, ...rest }: Proof, manifest: string): string {
  const { path, ...head } = record
  const index = indexOf(record.head)
  const extra = JSON.stringify({ format: EXTRA_FORMAT, manifest, proof: { ...rest, record: head } })
  const lines = [
    HEADER,
    `extra ${toBase64(new TextEncoder().encode(extra))}`,
    `index ${index}`,
    ...path,
    '',
    checkpoint,
  ]
  return lines.join('\n')
}

/** Seq of a record: the first 8 bytes of its head. */
function indexOf(head: string): number {
  const bytes = fromBase64(head)!
  return Number(new DataView(bytes.buffer).getBigUint64(0))
}

export interface ParsedProof {
  readonly index: number
  readonly manifest: string
  /** As the core verifies it. */
  readonly proof: Proof
}

/** @throws AteError BAD_PROOF */
export function parseProof(text: string): ParsedProof {
  if (typeof text !== 'string' || text.length > PROOF_TEXT_MAX) throw badProof('text')
  const end = text.indexOf('\n\n')
  const [header, extra = '', index = '', ...path] = text.slice(0, end).split('\n')
  const number = /^index (0|[1-9][0-9]{0,15})$/.exec(index)?.[1]
  const encoded = /^extra ([A-Za-z0-9+/=]+)$/.exec(extra)?.[1]
  const bytes = encoded === undefined ? undefined : fromBase64(encoded)
  if (end < 0 || header !== HEADER || number === undefined || !bytes) throw badProof('form')
  const { manifest, proof } = extraOf(bytes)
  const { record, ...rest } = proof
  const whole = { ...rest, checkpoint: text.slice(end + 2), record: { ...record, path } } as unknown as Proof
  return { index: Number(number), manifest, proof: whole }
}

function extraOf(bytes: Uint8Array): {
  readonly manifest: string
  readonly proof: { readonly record: object } & Record<string, unknown>
} {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw badProof('extra')
  }
  const { format, manifest, proof } = (value ?? {}) as Record<string, unknown>
  const record = typeof proof === 'object' && proof !== null ? Reflect.get(proof, 'record') : undefined
  if (format !== EXTRA_FORMAT || typeof manifest !== 'string' || typeof record !== 'object' || record === null)
    throw badProof('extra')
  return { manifest, proof: proof as { readonly record: object } & Record<string, unknown> }
}

export function badProof(what: string): AteError {
  return new AteError('BAD_PROOF', { what })
}
