/**
 * Cosignatures of witnesses (C2SP tlog-cosignature, cosignature/v1): a witness says that at a time this was the largest
 * tree of the log that it had seen, consistent with all before. Key type 4 is Ed25519.
 *   line = dash, name of the witness, base64( key id 4 | timestamp u64, seconds | signature 64 )
 */
import { fromBase64, toBase64, toHex, utf8 } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { WITNESSES_MAX } from '../base/limits.ts'
import type { CryptoProvider, Signer } from '../crypto/provider.ts'
import { KEY_TYPE, keyIdOf, type Note, noteLine, signatureIn } from './note.ts'

/** Whom one relies on: their keys as C2SP writes them (`NAME+KEYID+BASE64`), and how many of them must have cosigned. */
export interface Witnesses {
  readonly keys: readonly string[]
  readonly quorum: number
}

export interface Cosigned {
  /** Name of the witness. */
  readonly name: string
  /** The newest time at which it cosigned, Unix ms in whole seconds: what the witness says. */
  readonly at: number
}

interface Witness {
  readonly name: string
  readonly keyId: Uint8Array
  readonly key: Uint8Array
}

export interface ParsedWitnesses {
  readonly witnesses: readonly Witness[]
  readonly quorum: number
}

/** The text of a witness's key. */
export function witnessKeyText(crypto: Pick<CryptoProvider, 'sha256'>, name: string, key: Uint8Array): string {
  const typed = new Uint8Array(1 + key.length)
  typed[0] = KEY_TYPE.cosignature
  typed.set(key, 1)
  return `${name}+${toHex(keyIdOf(crypto, name, KEY_TYPE.cosignature, key))}+${toBase64(typed)}`
}

/** @throws AteError BAD_ARGUMENT: one witness twice would count twice, so each key is given once */
export function parseWitnesses(crypto: CryptoProvider, given: Witnesses): ParsedWitnesses {
  if (typeof given !== 'object' || given === null || !Array.isArray(given.keys) || given.keys.length > WITNESSES_MAX)
    throw new AteError('BAD_ARGUMENT', { what: `witnesses are { keys, quorum }, at most ${WITNESSES_MAX}` })
  const witnesses = given.keys.map((text: unknown) => parseWitness(crypto, text))
  if (new Set(witnesses.map(({ key }) => toHex(key))).size !== witnesses.length)
    throw new AteError('BAD_ARGUMENT', { what: 'a witness is named twice' })
  const { quorum } = given
  if (!Number.isSafeInteger(quorum) || quorum < 1 || quorum > witnesses.length)
    throw new AteError('BAD_ARGUMENT', { what: 'the quorum is from 1 to the count of witnesses', quorum })
  return { witnesses, quorum }
}

/** As signed-note has it: no space, no plus, no control character. */
export function isWitnessName(name: string): boolean {
  return /^[^\p{Z}\p{C}+]{1,255}$/u.test(name)
}

function parseWitness(crypto: CryptoProvider, text: unknown): Witness {
  const match = typeof text === 'string' && /^([^\p{Z}\p{C}+]{1,255})\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/u.exec(text)
  const typed = match ? fromBase64(match[3]!) : undefined
  if (!match || typed?.length !== 33 || typed[0] !== KEY_TYPE.cosignature)
    throw new AteError('BAD_ARGUMENT', { what: "a witness's key is NAME+KEYID+BASE64 of type 4 (cosignature/v1)" })
  const name = match[1]!
  const key = typed.slice(1)
  const keyId = keyIdOf(crypto, name, KEY_TYPE.cosignature, key)
  if (toHex(keyId) !== match[2]) throw new AteError('BAD_ARGUMENT', { what: "a witness's key id", witness: name })
  return { name, keyId, key }
}

/** What a witness signs. */
function cosignedMessage(text: string, seconds: bigint): Uint8Array {
  return utf8(`cosignature/v1\ntime ${seconds}\n${text}`)
}

/** A line as a witness writes it, for what it has found consistent. */
export function cosignatureLine(
  crypto: CryptoProvider,
  note: Pick<Note, 'text'>,
  { name, key, seconds }: { readonly name: string; readonly key: Signer; readonly seconds: number },
): string {
  const bytes = new Uint8Array(72)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(seconds))
  bytes.set(key.sign(cosignedMessage(note.text, BigInt(seconds))), 8)
  return noteLine(name, keyIdOf(crypto, name, KEY_TYPE.cosignature, key.publicKey), bytes)
}

/**
 * Which of the witnesses have cosigned the note, and when; lines of others are not looked at.
 * @throws AteError BAD_COSIGNATURE { witness } if a line of one of them does not verify
 */
export function cosignersOf(crypto: CryptoProvider, note: Note, { witnesses }: ParsedWitnesses): readonly Cosigned[] {
  const found: Cosigned[] = []
  for (const witness of witnesses) {
    const { name } = witness
    const times = lineTimes(crypto, note, witness).map((at) => {
      if (at === undefined) throw new AteError('BAD_COSIGNATURE', { witness: name })
      return at
    })
    if (times.length > 0) found.push({ name, at: Math.max(...times) })
  }
  return found
}

/** The newest time at which a witness has signed the note, Unix ms, by its lines that verify; undefined without one. */
export function cosignedAt(
  crypto: CryptoProvider,
  note: Note,
  { name, key }: { readonly name: string; readonly key: Uint8Array },
): number | undefined {
  const witness = { name, key, keyId: keyIdOf(crypto, name, KEY_TYPE.cosignature, key) }
  const times = lineTimes(crypto, note, witness).filter((at) => at !== undefined)
  return times.length === 0 ? undefined : Math.max(...times)
}

/** Of each line of a witness its time in Unix ms, or undefined if it does not verify. */
function lineTimes(crypto: CryptoProvider, note: Note, { name, keyId, key }: Witness): (number | undefined)[] {
  const signatures = note.lines.map((line) => signatureIn(line, name, keyId)).filter((bytes) => bytes !== undefined)
  if (signatures.length === 0) return []
  const verifier = crypto.ed25519Verifier(key)
  return signatures.map((bytes) => {
    const seconds = bytes.length === 72 ? new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0) : undefined
    // Over 2^43 s no number of ms is exact; that is 280,000 years.
    if (seconds === undefined || seconds >= 1n << 43n) return undefined
    return verifier.verify(cosignedMessage(note.text, seconds), bytes.subarray(8)) ? Number(seconds) * 1000 : undefined
  })
}

/** @throws AteError BAD_COSIGNATURE | NOT_WITNESSED */
export function requireQuorum(crypto: CryptoProvider, note: Note, witnesses: ParsedWitnesses): readonly Cosigned[] {
  const cosigned = cosignersOf(crypto, note, witnesses)
  if (cosigned.length < witnesses.quorum)
    throw new AteError('NOT_WITNESSED', { cosigned: cosigned.length, quorum: witnesses.quorum })
  return cosigned
}
