/**
 * Objects that come from outside as JSON (proofs, evidence): size first, then exactly the fields that are asked for, each
 * of its type. Bytes are base64 in its one encoding. What was read is ours: no getter, proxy or prototype comes along.
 */
import { fromBase64 } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { PROOF_PATH_MAX, PROOF_TEXT_MAX } from '../base/limits.ts'

/** The value of a text, or of an object that is JSON. @throws AteError BAD_PROOF */
export function jsonOf(given: unknown): unknown {
  let text: unknown
  try {
    text = typeof given === 'string' ? given : JSON.stringify(given)
  } catch (cause) {
    throw new AteError('BAD_PROOF', { what: 'no JSON' }, { cause })
  }
  if (typeof text !== 'string') throw new AteError('BAD_PROOF', { what: 'no JSON' })
  if (text.length > PROOF_TEXT_MAX) throw new AteError('BAD_PROOF', { characters: text.length, max: PROOF_TEXT_MAX })
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new AteError('BAD_PROOF', { what: 'no JSON' }, { cause })
  }
}

/** Reads the fields of one object; every method throws AteError BAD_PROOF { field }. */
export class Fields {
  readonly #values: Readonly<Record<string, unknown>>
  readonly #left: Set<string>
  readonly #name: string

  constructor(value: unknown, name: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new AteError('BAD_PROOF', { field: name, what: 'no object' })
    this.#values = value as Record<string, unknown>
    this.#left = new Set(Object.keys(value))
    this.#name = name
  }

  has(field: string): boolean {
    return Object.hasOwn(this.#values, field)
  }

  text(field: string, max: number): string {
    const value = this.#take(field)
    return typeof value === 'string' && value.length <= max ? value : this.#refuse(field)
  }

  count(field: string, max: number = Number.MAX_SAFE_INTEGER): number {
    const value = this.#take(field)
    return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= max
      ? value
      : this.#refuse(field)
  }

  bytes(field: string, size: { readonly min: number; readonly max: number } | number): Uint8Array {
    return this.#bytesOf(this.#take(field), field, size)
  }

  /** A list of hashes, 32 bytes each. */
  hashes(field: string, max: number = PROOF_PATH_MAX): readonly Uint8Array[] {
    return this.bytesList(field, 32, max)
  }

  bytesList(field: string, size: { readonly min: number; readonly max: number } | number, max: number): Uint8Array[] {
    const value = this.#take(field)
    if (!Array.isArray(value) || value.length > max) return this.#refuse(field)
    return value.map((item) => this.#bytesOf(item, field, size))
  }

  object(field: string): Fields {
    return new Fields(this.#take(field), `${this.#name}.${field}`)
  }

  /** Fields that nobody has asked for are none of ours: two readers could make two things of them. */
  done(): void {
    for (const field of this.#left) this.#refuse(field)
  }

  #take(field: string): unknown {
    this.#left.delete(field)
    return this.has(field) ? this.#values[field] : undefined
  }

  #bytesOf(value: unknown, field: string, size: { readonly min: number; readonly max: number } | number): Uint8Array {
    const { min, max } = typeof size === 'number' ? { min: size, max: size } : size
    // Base64 is four characters for three bytes: its length is judged before it is decoded.
    if (typeof value !== 'string' || value.length > Math.ceil(max / 3) * 4) return this.#refuse(field)
    const bytes = fromBase64(value)
    return bytes && bytes.length >= min && bytes.length <= max ? bytes : this.#refuse(field)
  }

  #refuse(field: string): never {
    throw new AteError('BAD_PROOF', { field: `${this.#name}.${field}`.slice(0, 100) })
  }
}
