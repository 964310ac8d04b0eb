/** Changes every part of a proof in turn: for the tests of proofs and of evidence. */
import { fromBase64, toBase64, toHex } from '../../src/base/bytes.ts'
import { isAteError } from '../../src/base/errors.ts'

/** The code of what a call throws. */
export function refusal(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    return isAteError(error) ? error.code : `not one of ours: ${String(error)}`
  }
  return 'nothing was thrown'
}

/** Every leaf of the object changed in turn, every list cut, grown and swapped: each is refused, or says the same. */
export function expectAllRefused(
  proof: object,
  check: (changed: unknown) => object,
  mayDiffer: readonly string[] = [],
): number {
  const told = JSON.stringify(check(proof), bytesAsHex)
  let tried = 0
  for (const { path, value } of changesOf(proof)) {
    tried++
    let now: string
    try {
      now = JSON.stringify(check(value), bytesAsHex)
    } catch (error) {
      if (!isAteError(error) || error.code === 'INTERNAL') throw new Error(`${path}: ${String(error)}`)
      continue
    }
    if (now !== told && !mayDiffer.includes(path))
      throw new Error(`a changed ${path} was taken: ${now} instead of ${told}`)
  }
  return tried
}

function bytesAsHex(_: string, value: unknown): unknown {
  return value instanceof Uint8Array ? toHex(value) : value
}

/** The object with one part of it changed, for each part and way. */
export function* changesOf(root: object): Generator<{ readonly path: string; readonly value: unknown }> {
  for (const { path, change } of spots(root, '')) yield { path, value: change }
  yield { path: 'unknown field', value: { ...root, more: 1 } }
}

/** The value with one spot changed, for each spot and way. */
function* spots(value: unknown, path: string): Generator<{ readonly path: string; readonly change: unknown }> {
  if (Array.isArray(value)) {
    yield { path, change: value.slice(1) }
    yield { path, change: value.slice(0, -1) }
    yield { path, change: [...value, toBase64(new Uint8Array(32))] }
    yield { path, change: [toBase64(new Uint8Array(32)), ...value] }
    yield { path, change: [...value, ...Array.from({ length: 200 }, () => toBase64(new Uint8Array(32)))] }
    if (value.length > 1) yield { path, change: [value[1], value[0], ...value.slice(2)] }
    yield { path, change: {} }
    for (const [i, item] of value.entries())
      for (const { path: inner, change } of spots(item, `${path}[]`))
        yield { path: inner, change: value.with(i, change) }
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, item] of Object.entries(value)) {
      const { [name]: _, ...rest } = value as Record<string, unknown>
      yield { path: `${path}.${name}`, change: rest }
      yield { path: `${path}.${name}`, change: { ...value, [name]: null } }
      for (const { path: inner, change } of spots(item, `${path}.${name}`))
        yield { path: inner, change: { ...value, [name]: change } }
    }
  } else if (typeof value === 'number') {
    for (const change of [value + 1, value - 1, -1, 2 ** 53, 0.5, `${value}`, value + 2 ** 32]) yield { path, change }
  } else if (typeof value === 'string') {
    yield* texts(value, path)
  }
}

function* texts(value: string, path: string): Generator<{ readonly path: string; readonly change: unknown }> {
  const bytes = fromBase64(value)
  yield { path, change: '' }
  yield { path, change: 5 }
  yield { path, change: `${value} ` }
  if (bytes && bytes.length > 0) {
    const places = new Set([
      ...Array(10).keys(),
      ...[1, 3, 5, 7].map((part) => Math.floor((bytes.length * part) / 8)),
      bytes.length - 1,
    ])
    for (const at of places) if (at < bytes.length) yield { path, change: toBase64(bytes.with(at, bytes[at]! ^ 1)) }
    yield { path, change: toBase64(bytes.subarray(1)) }
    yield { path, change: toBase64(new Uint8Array([...bytes, 0])) }
  } else {
    for (let at = 0; at < value.length; at += Math.max(1, Math.floor(value.length / 60))) {
      const code = value.charCodeAt(at)
      yield { path, change: value.slice(0, at) + String.fromCharCode(code ^ 1) + value.slice(at + 1) }
      yield { path, change: value.slice(0, at) + value.slice(at + 1) }
    }
  }
}
