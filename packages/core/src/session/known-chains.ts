/**
 * Which chain this machine knows at which place: text for people, one `PLACE CHAINID` a line, `#` begins a comment.
 * A place that is known and empty, or that holds another chain, is an alarm; so a line is never replaced in silence.
 */
import { fromUtf8, utf8 } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { type ChainId, chainIdOf, fromBase32, parseId } from '../base/ids.ts'
import { STATE_BYTES_MAX } from '../base/limits.ts'
import type { StateStore } from './state-store.ts'

export interface KnownChain {
  readonly place: string
  readonly chainId: ChainId
}

/** The chain that is known at `place`. @throws AteError DAMAGED { file, line } */
export async function lookUpChain(state: StateStore, place: string): Promise<ChainId | undefined> {
  return (await knownChains(state)).find((chain) => chain.place === place)?.chainId
}

/** All of them, in the order of the file. @throws AteError DAMAGED { file, line } */
export async function knownChains(state: StateStore): Promise<readonly KnownChain[]> {
  return (await readLines(state)).flatMap((line, index) => parseLine(line, index, state) ?? [])
}

/**
 * Remembers that `place` holds `chainId`.
 * @throws AteError WRONG_CHAIN { place, known, given } if it is known to hold another: forget that first. BAD_ARGUMENT
 * for a place with line breaks. DAMAGED.
 */
export async function addKnownChain(state: StateStore, place: string, chainId: ChainId): Promise<void> {
  assertPlace(place)
  parseId(chainId, 'chain')
  await changeLines(state, (lines) => {
    for (const [index, line] of lines.entries()) {
      const known = parseLine(line, index, state)
      if (known?.place !== place) continue
      if (known.chainId === chainId) return lines
      throw new AteError('WRONG_CHAIN', { place, known: known.chainId, given: chainId })
    }
    return [...lines, `${place} ${chainId}`]
  })
}

/** Forgets what is known of `place`; no error if nothing is. @throws AteError DAMAGED { file, line } */
export async function forgetKnownChain(state: StateStore, place: string): Promise<void> {
  await changeLines(state, (lines) => lines.filter((line, index) => parseLine(line, index, state)?.place !== place))
}

const NAME = 'known-chains'
const LOCK_WAIT_MS = 5000

/** Read, change and replace under a lock: another process may add a line at the same time. */
async function changeLines(state: StateStore, change: (lines: readonly string[]) => readonly string[]): Promise<void> {
  const lock = await state.lock(NAME, { waitMs: LOCK_WAIT_MS })
  if (!lock)
    throw new AteError('STATE_UNWRITABLE', { location: state.location, what: `${NAME} is locked by another process` })
  try {
    const before = await readLines(state)
    const after = change(before)
    if (after === before || after.length === before.length) return
    const bytes = utf8(after.map((line) => `${line}\n`).join(''))
    if (bytes.length > STATE_BYTES_MAX)
      throw new AteError('STATE_UNWRITABLE', { location: state.location, what: `${NAME} is full` })
    await state.put(NAME, bytes)
  } finally {
    await lock.release()
  }
}

async function readLines(state: StateStore): Promise<readonly string[]> {
  const bytes = await state.get(NAME)
  if (!bytes) return []
  try {
    const lines = fromUtf8(bytes).split(/\r?\n/)
    if (lines.at(-1) === '') lines.pop()
    return lines
  } catch (cause) {
    throw new AteError('DAMAGED', { file: NAME, location: state.location, what: 'no UTF-8' }, { cause })
  }
}

/** Undefined for comments and empty lines. A line that cannot be read is no line that may be passed over. */
function parseLine(line: string, index: number, state: StateStore): KnownChain | undefined {
  const text = line.trim()
  if (text === '' || text.startsWith('#')) return undefined
  const match = /^(.+?)\s+([0-9a-z]{52})$/.exec(text)
  const id = match ? fromBase32(match[2]!, 32) : undefined
  if (!match || !id) {
    const hint = 'a line of the known chains is no `PLACE CHAINID`; mend or remove it'
    throw new AteError('DAMAGED', { file: NAME, location: state.location, line: index + 1 }, { hint })
  }
  return { place: match[1]!, chainId: chainIdOf(id) }
}

/** What a line gives back as it was: no breaks, no space at the ends, no `#` first. */
function assertPlace(place: string): void {
  const printable = place !== '' && place.length <= 4096 && place.trim() === place && !place.startsWith('#')
  if (!printable || /\p{Cc}|\u2028|\u2029/u.test(place)) {
    throw new AteError('BAD_ARGUMENT', { argument: 'place', length: place.length })
  }
}
