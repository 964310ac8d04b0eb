/**
 * A checkpoint: an RFC 9162 tree head over the hashes of all records before it, as a signed note of C2SP
 * (tlog-checkpoint, signed-note): origin, size and root, then one line a signature. Key type 1 is Ed25519.
 * It vouches for order, never for authorship.
 */
import { fromUtf8, utf8 } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { RECORD_HEAD_BYTES } from './format.ts'

const CHECKPOINT_BYTES_MAX = 16 * 1024
const SIGNATURES_MAX = 32

export interface Checkpoint {
  readonly origin: string
  readonly size: number
  readonly root: Uint8Array
}

export function checkpointOrigin(chainIdText: string): string {
  return `ate/${chainIdText}`
}

/** `sign` is the Ed25519 key that the root named; `publicKey` its 32 bytes. */
export function encodeCheckpoint(
  crypto: CryptoProvider,
  checkpoint: Checkpoint,
  key: { readonly publicKey: Uint8Array; sign(message: Uint8Array): Uint8Array },
): Uint8Array {
  const text = bodyText(checkpoint)
  const signature = key.sign(utf8(text))
  const line = new Uint8Array(4 + signature.length)
  line.set(keyHash(crypto, checkpoint.origin, key.publicKey), 0)
  line.set(signature, 4)
  return utf8(`${text}\n— ${checkpoint.origin} ${toBase64(line)}\n`)
}

/**
 * The checkpoint of a record, verified by one of `keys`; lines of others (witnesses) are not judged here.
 * @throws AteError BAD_CHECKPOINT
 */
export function parseCheckpoint(
  crypto: CryptoProvider,
  record: Uint8Array,
  origin: string,
  keys: readonly Uint8Array[],
): Checkpoint {
  if (record.length - RECORD_HEAD_BYTES > CHECKPOINT_BYTES_MAX)
    throw new AteError('BAD_CHECKPOINT', { bytes: record.length })
  const text = decodeText(record.subarray(RECORD_HEAD_BYTES))
  const match = /^([^\n]+)\n(0|[1-9][0-9]{0,15})\n([A-Za-z0-9+/]{43}=)\n\n((?:— [^\n]+\n)+)$/.exec(text)
  const root = match && fromBase64(match[3]!)
  const size = Number(match?.[2])
  if (!match || !root || match[1] !== origin || !Number.isSafeInteger(size))
    throw new AteError('BAD_CHECKPOINT', { what: 'form' })
  const checkpoint = { origin, size, root }
  const message = utf8(bodyText(checkpoint))
  const lines = match[4]!.split('\n').slice(0, -1)
  if (lines.length > SIGNATURES_MAX)
    throw new AteError('BAD_CHECKPOINT', { signatures: lines.length, max: SIGNATURES_MAX })
  if (!lines.some((line) => isSigned(crypto, line, origin, message, keys)))
    throw new AteError('BAD_CHECKPOINT', { what: 'signature' })
  return checkpoint
}

function isSigned(
  crypto: CryptoProvider,
  line: string,
  origin: string,
  message: Uint8Array,
  keys: readonly Uint8Array[],
): boolean {
  const prefix = `— ${origin} `
  const bytes = line.startsWith(prefix) ? fromBase64(line.slice(prefix.length)) : undefined
  if (bytes?.length !== 68) return false
  return keys.some((key) => {
    const hash = keyHash(crypto, origin, key)
    return hash.every((byte, i) => byte === bytes[i]) && crypto.ed25519Verifier(key).verify(message, bytes.subarray(4))
  })
}

function bodyText({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${toBase64(root)}\n`
}

/** The first 4 bytes of SHA-256(name, newline, key type 1, key): signed-note's key id. */
function keyHash(crypto: CryptoProvider, name: string, publicKey: Uint8Array): Uint8Array {
  const head = utf8(`${name}\n`)
  const bytes = new Uint8Array(head.length + 1 + publicKey.length)
  bytes.set(head, 0)
  bytes[head.length] = 1
  bytes.set(publicKey, head.length + 1)
  return crypto.sha256(bytes).subarray(0, 4)
}

function decodeText(bytes: Uint8Array): string {
  try {
    return fromUtf8(bytes)
  } catch (cause) {
    throw new AteError('BAD_CHECKPOINT', { what: 'not UTF-8' }, { cause })
  }
}

function toBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
}

/** Undefined unless the text is the one encoding of its bytes. */
function fromBase64(text: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) return undefined
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0))
  return toBase64(bytes) === text ? bytes : undefined
}
