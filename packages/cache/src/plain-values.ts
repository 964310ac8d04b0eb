/**
 * Values as a reader gets them: a copy, so that who wrote one cannot change it behind the back of who reads it, and frozen,
 * because readers share it. Measured on the way, by a rule that is the same for everybody: so bounds in bytes are too.
 */

/** What an item takes beside its content, more or less: heads are one to nine bytes. */
const HEAD_BYTES = 2
const NUMBER_BYTES = 5
const DATE_BYTES = 9
/** Deeper than anything that the chain stores: a value that holds itself is refused there. */
const DEPTH_MAX = 256

export interface Measured {
  readonly value: unknown
  readonly bytes: number
}

/** A frozen copy of what can be stored, and its size. What cannot be stored stays as it is, and the chain refuses it. */
export function frozenCopy(value: unknown, depth = 0): Measured {
  if (typeof value !== 'object' || value === null) return { value, bytes: bytesOfPlain(value) }
  if (depth > DEPTH_MAX) return { value, bytes: HEAD_BYTES }
  if (value instanceof Uint8Array) return { value: Uint8Array.from(value), bytes: value.length + HEAD_BYTES }
  if (Array.isArray(value)) return copyOfArray(value, depth)
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) return copyOfObject(value as Record<string, unknown>, depth)
  if (value instanceof Date) return { value: Object.freeze(new Date(value)), bytes: DATE_BYTES }
  return { value, bytes: HEAD_BYTES }
}

/** The size alone, of what the chain gave. */
export function bytesOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return bytesOfPlain(value)
  if (value instanceof Uint8Array) return value.length + HEAD_BYTES
  if (value instanceof Date) return DATE_BYTES
  let bytes = HEAD_BYTES
  if (Array.isArray(value)) for (const item of value) bytes += bytesOf(item)
  else for (const key of Object.keys(value)) bytes += key.length + 1 + bytesOf((value as Record<string, unknown>)[key])
  return bytes
}

function copyOfArray(array: readonly unknown[], depth: number): Measured {
  let bytes = HEAD_BYTES
  // Holes stay undefined, which the chain refuses as it refuses holes.
  const copy: unknown[] = []
  for (const from of array) {
    const item = frozenCopy(from, depth + 1)
    copy.push(item.value)
    bytes += item.bytes
  }
  return { value: Object.freeze(copy), bytes }
}

function copyOfObject(object: Readonly<Record<string, unknown>>, depth: number): Measured {
  let bytes = HEAD_BYTES
  const copy: Record<string, unknown> = {}
  for (const key of Object.keys(object)) {
    const from = object[key]
    // As the chain does: what is undefined is not there.
    if (from === undefined) continue
    const item = frozenCopy(from, depth + 1)
    if (key === '__proto__') Object.defineProperty(copy, key, { value: item.value, enumerable: true })
    else copy[key] = item.value
    bytes += key.length + 1 + item.bytes
  }
  return { value: Object.freeze(copy), bytes }
}

function bytesOfPlain(value: unknown): number {
  if (typeof value === 'string') return value.length + HEAD_BYTES
  if (typeof value === 'number') return NUMBER_BYTES
  if (typeof value === 'bigint') return HEAD_BYTES + Math.ceil(value.toString(16).length / 2)
  return 1
}
