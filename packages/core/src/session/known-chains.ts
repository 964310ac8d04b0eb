/**
 * Which chain this machine knows at which place: text for people, one `PLACE CHAINID` a line, `#` begins a comment.
 * A place that is known and empty, or that holds another chain, is an alarm; so a line is never replaced in silence.
 */
import { AteError } from '../base/errors.ts'
import { type ChainId, chainIdOf, parseId } from '../base/ids.ts'
import { assertLineName, changeKnownLines, type KnownLines, parseKnownLines, readKnownLines } from './known-lines.ts'
import type { StateStore } from './state-store.ts'

export interface KnownChain {
  readonly place: string
  readonly chainId: ChainId
}

const LINES: KnownLines = { file: 'known-chains', form: 'PLACE CHAINID' }

/** The chain that is known at `place`. @throws AteError DAMAGED { file, line } */
export async function lookUpChain(state: StateStore, place: string): Promise<ChainId | undefined> {
  return (await knownChains(state)).find((chain) => chain.place === place)?.chainId
}

/** All of them, in the order of the file. @throws AteError DAMAGED { file, line } */
export async function knownChains(state: StateStore): Promise<readonly KnownChain[]> {
  return chainsIn(state, await readKnownLines(state, LINES)).filter((chain) => chain !== undefined)
}

/**
 * Remembers that `place` holds `chainId`.
 * @throws AteError WRONG_CHAIN { place, known, given } if it is known to hold another: forget that first. BAD_ARGUMENT
 * for a place with line breaks. DAMAGED.
 */
export async function addKnownChain(state: StateStore, place: string, chainId: ChainId): Promise<void> {
  assertLineName('place', place)
  parseId(chainId, 'chain')
  await changeKnownLines(state, LINES, (lines) => {
    const known = chainsIn(state, lines).find((chain) => chain?.place === place)
    if (!known) return [...lines, `${place} ${chainId}`]
    if (known.chainId === chainId) return lines
    throw new AteError('WRONG_CHAIN', { place, known: known.chainId, given: chainId })
  })
}

/** Forgets what is known of `place`; no error if nothing is. @throws AteError DAMAGED { file, line } */
export async function forgetKnownChain(state: StateStore, place: string): Promise<void> {
  await changeKnownLines(state, LINES, (lines) => {
    const chains = chainsIn(state, lines)
    const left = lines.filter((_, index) => chains[index]?.place !== place)
    return left.length === lines.length ? lines : left
  })
}

function chainsIn(state: StateStore, lines: readonly string[]): readonly (KnownChain | undefined)[] {
  return parseKnownLines(state, LINES, lines).map((line) => line && { place: line.name, chainId: chainIdOf(line.id) })
}
