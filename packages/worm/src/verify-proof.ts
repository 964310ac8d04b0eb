/**
 * Verifies a proof without a chain, a place or a key: that a record which locked this very body stands in the log whose
 * origin and key are trusted, under a checkpoint that enough of the trusted witnesses have signed.
 */
import { AteError, type Cosigned, verifyProof as verifyRecord, type Witnesses } from '@ate/core'
import { type Body, piecesOf } from './body.ts'
import type { CallOptions } from './context.ts'
import { fromBase64, newHasher, sha256Of, toBase64, toHex } from './hashing.ts'
import { dateOf, type Manifest, type Mode, parseManifest } from './manifest.ts'
import { badProof, parseProof } from './proofs.ts'

/** What a verifier knows beforehand. */
export interface Trust {
  /** As checkpoints have it: `ate/` and the chain's id. */
  readonly origin: string
  /** The log's key as C2SP writes it: `ORIGIN+KEYID+BASE64`. */
  readonly log: string
  /** Whose cosignatures count, and how many of them must be there: 3 of 4 stand one that lies, or is away. */
  readonly witnesses?: Witnesses
}

export interface Verified {
  /** Number of the record in the log, and how many records the checkpoint covers. */
  readonly index: bigint
  readonly size: bigint
  readonly name: string
  readonly version: string
  /** SHA-256 of the body, hexadecimal. */
  readonly digest: string
  readonly mode: Mode
  readonly retainUntil: Date | undefined
  /** Fingerprint of who put it. */
  readonly by: string
  /** `author`: his post-quantum key has signed it too. */
  readonly postQuantum: 'author' | 'adopted' | 'none'
  /** By then it was there: the time that a quorum has signed. Undefined if no witnesses are trusted. */
  readonly notAfter: Date | undefined
  /** Trusted witnesses that have cosigned. */
  readonly witnesses: number
}

const ORIGIN = 'ate/'
const ED25519 = 1

/** The text of a log's key. */
export function logKey(origin: string, key: Uint8Array): string {
  return `${origin}+${toHex(keyIdOf(origin, key))}+${toBase64(typed(key))}`
}

/**
 * `body` is what the proof is to be of, or the hexadecimal SHA-256 of it as `{ sha256 }`.
 * @throws AteError BAD_PROOF | BAD_COSIGNATURE | NOT_WITNESSED | BAD_ARGUMENT | BAD_ID
 */
export async function verifyProof(
  proof: string,
  body: Body | { readonly sha256: string },
  trust: Trust,
  options: CallOptions = {},
): Promise<Verified> {
  const { chain, key } = readTrust(trust)
  const parsed = parseProof(proof)
  const witnesses = trust.witnesses ? { witnesses: trust.witnesses } : {}
  const proven = verifyRecord(parsed.proof, { chain, checkpointKeys: [key], ...witnesses })
  if (proven.kind !== 'record' || proven.record.seq !== parsed.index) throw badProof('index')
  const { commit, transaction, checkpoint, record } = proven
  if (!commit || !transaction?.whole) throw badProof('the transaction is not shown whole')
  const leaf = toHex(sha256Of(new TextEncoder().encode(parsed.manifest)))
  const lock = transaction.events.find(
    ({ op, retention }) => op === 'retain' && retention?.digest !== undefined && toHex(retention.digest) === leaf,
  )
  if (!lock?.retention?.lock || lock.entity === undefined) throw badProof('no lock carries the hash of the manifest')
  const manifest = parseManifest(parsed.manifest)
  await checkBody(manifest, body, options)
  return {
    index: BigInt(record.seq),
    size: BigInt(checkpoint.size),
    name: manifest.name,
    version: lock.entity,
    digest: manifest.sha256,
    mode: lock.retention.lock,
    retainUntil: lock.retention.until === undefined ? undefined : dateOf(lock.retention.until),
    by: commit.author,
    postQuantum: commit.postQuantum,
    notAfter: trust.witnesses ? quorumTime(checkpoint.witnesses, trust.witnesses.quorum) : undefined,
    witnesses: checkpoint.witnesses.length,
  }
}

/** The time by which a quorum had signed. */
function quorumTime(cosigned: readonly Cosigned[], quorum: number): Date {
  const times = cosigned.map(({ at }) => at).sort((a, b) => a - b)
  return new Date(times[quorum - 1]!)
}

async function checkBody(
  manifest: Manifest,
  body: Body | { readonly sha256: string },
  options: CallOptions,
): Promise<void> {
  if (isDigest(body)) {
    if (body.sha256 !== manifest.sha256) throw badProof('it is of another body')
    return
  }
  const hasher = newHasher()
  let size = 0n
  for await (const piece of piecesOf(body)) {
    options.signal?.throwIfAborted()
    hasher.update(piece)
    size += BigInt(piece.length)
  }
  if (hasher.hex() !== manifest.sha256 || String(size) !== manifest.size) throw badProof('it is of another body')
}

function isDigest(body: unknown): body is { readonly sha256: string } {
  return typeof body === 'object' && body !== null && typeof Reflect.get(body, 'sha256') === 'string'
}

function readTrust(trust: Trust): { readonly chain: string; readonly key: Uint8Array } {
  const { origin, log } = trust ?? {}
  if (typeof origin !== 'string' || !origin.startsWith(ORIGIN) || typeof log !== 'string')
    throw new AteError('BAD_ARGUMENT', { what: 'trust is { origin, log, witnesses }' })
  const prefix = `${origin}+`
  const [id, encoded] = log.startsWith(prefix) ? log.slice(prefix.length).split(/\+(.*)/s) : []
  const bytes = encoded === undefined ? undefined : fromBase64(encoded)
  const key = bytes?.slice(1)
  if (!key || bytes?.[0] !== ED25519 || key.length !== 32 || id !== toHex(keyIdOf(origin, key)))
    throw new AteError('BAD_ARGUMENT', {
      what: "a log's key is ORIGIN+KEYID+BASE64 of type 1 (Ed25519), of the same origin",
    })
  return { chain: origin.slice(ORIGIN.length), key }
}

function typed(key: Uint8Array): Uint8Array {
  return Uint8Array.of(ED25519, ...key)
}

/** signed-note: the first 4 bytes of SHA-256(name, newline, key type, key). */
function keyIdOf(origin: string, key: Uint8Array): Uint8Array {
  const name = new TextEncoder().encode(`${origin}\n`)
  return sha256Of(Uint8Array.of(...name, ...typed(key))).subarray(0, 4)
}
