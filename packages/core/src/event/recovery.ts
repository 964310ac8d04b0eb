/**
 * A record of recovery: after a real loss, who manages the root says that what stood in other copies from seq `from` on
 * is lost. It is signed for its one place in the log, so that nobody can repeat it elsewhere.
 * payload = body (sized canonical CBOR) | signature 3373
 */
import { AteError, isAteError } from '../base/errors.ts'
import { RECOVER_LOST_MAX } from '../base/limits.ts'
import { decodeCanonical, encodeCanonical } from '../codec/cbor.ts'
import { ByteReader, ByteWriter } from '../codec/writer.ts'
import { COMPOSITE_SIGNATURE_BYTES } from '../crypto/composite.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { taggedHash } from '../crypto/tagged-hash.ts'
import { RECORD_HEAD_BYTES } from './format.ts'

export interface RecoveryBody {
  readonly chain: Uint8Array
  /** Fingerprint of who signs. */
  readonly by: Uint8Array
  /** Hash of the record before this one. */
  readonly prev: Uint8Array
  /** The first seq at which other copies may differ, from 1 to that of this record; and the hash of the record before it. */
  readonly from: number
  readonly hash: Uint8Array
  /** Heads of the lost branch, as far as they are known: seqs from `from` on, ascending. */
  readonly lost: readonly { readonly seq: number; readonly hash: Uint8Array }[]
}

const BODY_BYTES_MAX = 2048

/** `sign` signs the message under the context 'recover'. */
export function encodeRecovery(
  crypto: CryptoProvider,
  body: RecoveryBody,
  sign: (message: Uint8Array) => Uint8Array,
): Uint8Array {
  const encoded = encodeCanonical(body)
  const out = new ByteWriter(6144)
  out.sized(encoded)
  out.raw(sign(recoveryMessage(crypto, encoded)))
  return out.copy()
}

/** @throws AteError BAD_RECOVERY */
export function parseRecovery(
  crypto: CryptoProvider,
  record: Uint8Array,
): { readonly body: RecoveryBody; readonly message: Uint8Array; readonly signature: Uint8Array } {
  try {
    const input = new ByteReader(record, RECORD_HEAD_BYTES)
    const encoded = input.sized(BODY_BYTES_MAX)
    const signature = input.raw(COMPOSITE_SIGNATURE_BYTES)
    input.done()
    const body = decodeCanonical(encoded)
    if (!isBody(body)) throw new AteError('BAD_RECOVERY', { what: 'body' })
    return { body, message: recoveryMessage(crypto, encoded), signature }
  } catch (cause) {
    if (isAteError(cause) && cause.code === 'BAD_RECOVERY') throw cause
    throw new AteError('BAD_RECOVERY', { what: 'form' }, { cause })
  }
}

function recoveryMessage(crypto: CryptoProvider, body: Uint8Array): Uint8Array {
  return taggedHash(crypto, 'recover', body)
}

function isBody(body: unknown): body is RecoveryBody {
  if (typeof body !== 'object' || body === null || Object.keys(body).length !== 6) return false
  const { chain, by, prev, from, hash, lost } = body as RecoveryBody
  return (
    [chain, by, prev, hash].every(isHash) && isSeq(from) && from >= 1 && Array.isArray(lost) && isLostList(lost, from)
  )
}

function isLostList(lost: readonly unknown[], from: number): boolean {
  let least = from
  return (
    lost.length <= RECOVER_LOST_MAX &&
    lost.every((entry) => {
      if (typeof entry !== 'object' || entry === null || Object.keys(entry).length !== 2) return false
      const { seq, hash } = entry as RecoveryBody['lost'][number]
      if (!isSeq(seq) || seq < least || !isHash(hash)) return false
      least = seq + 1
      return true
    })
  )
}

function isHash(value: unknown): boolean {
  return value instanceof Uint8Array && value.length === 32
}

function isSeq(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
