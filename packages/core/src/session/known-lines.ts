/**
 * A file of this machine's state that people read and mend: one `NAME ID` a line, `#` begins a comment. The id has 52
 * characters. A line that cannot be read is never passed over.
 */
import { fromUtf8, utf8 } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { fromBase32 } from '../base/ids.ts'
import { STATE_BYTES_MAX } from '../base/limits.ts'
import type { StateStore } from './state-store.ts'

export interface KnownLines {
  /** Of the state's entry. */
  readonly file: string
  /** What a line is, for people. */
  readonly form: string
}

export interface KnownLine {
  readonly name: string
  readonly id: Uint8Array
}

/** In the order of the file; undefined for comments and empty lines. @throws AteError DAMAGED { file, line } */
export function parseKnownLines(
  state: StateStore,
  { file, form }: KnownLines,
  lines: readonly string[],
): readonly (KnownLine | undefined)[] {
  return lines.map((line, index) => {
    const text = line.trim()
    if (text === '' || text.startsWith('#')) return undefined
    const match = /^(.+?)\s+([0-9a-z]{52})$/.exec(text)
    const id = match ? fromBase32(match[2]!, 32) : undefined
    if (match && id) return { name: match[1]!, id }
    const hint = `a line of ${file} is no \`${form}\`; mend or remove it`
    throw new AteError('DAMAGED', { file, location: state.location, line: index + 1 }, { hint })
  })
}

/** @throws AteError DAMAGED { file } */
export async function readKnownLines(state: StateStore, { file }: KnownLines): Promise<readonly string[]> {
  const bytes = await state.get(file)
  if (!bytes) return []
  try {
    const lines = fromUtf8(bytes).split(/\r?\n/)
    if (lines.at(-1) === '') lines.pop()
    return lines
  } catch (cause) {
    throw new AteError('DAMAGED', { file, location: state.location, what: 'no UTF-8' }, { cause })
  }
}

/**
 * Reads, changes and replaces the lines under a lock: another process may add one at the same time. The same array back
 * writes nothing.
 */
export async function changeKnownLines(
  state: StateStore,
  known: KnownLines,
  change: (lines: readonly string[]) => readonly string[],
): Promise<void> {
  const { file } = known
  const lock = await state.lock(file, { waitMs: LOCK_WAIT_MS })
  if (!lock)
    throw new AteError('STATE_UNWRITABLE', { location: state.location, what: `${file} is locked by another process` })
  try {
    const before = await readKnownLines(state, known)
    const after = change(before)
    if (after === before) return
    const bytes = utf8(after.map((line) => `${line}\n`).join(''))
    if (bytes.length > STATE_BYTES_MAX)
      throw new AteError('STATE_UNWRITABLE', { location: state.location, what: `${file} is full` })
    await state.put(file, bytes)
  } finally {
    await lock.release()
  }
}

/** What a line gives back as it was: no breaks, no space at the ends, no `#` first. */
export function assertLineName(argument: string, name: string): void {
  const printable = name !== '' && name.length <= 4096 && name.trim() === name && !name.startsWith('#')
  if (!printable || /\p{Cc}|\u2028|\u2029/u.test(name))
    throw new AteError('BAD_ARGUMENT', { argument, length: name.length })
}

const LOCK_WAIT_MS = 5000
