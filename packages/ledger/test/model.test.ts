/**
 * Random programs against the model: balances, bounds, holds by the clock, ids, groups, reversals, and books that agree.
 * L1 to L9 in the titles of these tests are what a ledger promises; docs/RELIABILITY.md lists them.
 */
import { type Chain, openChain } from '@ate/core'
import { describe, expect, it } from 'vitest'
import { person, platformOf, Shared } from './kit.ts'
import { type Kept, type Place, Program } from './program.ts'

const SEEDS = Number(process.env['ATE_LEDGER_SEEDS'] ?? 6)
/** Seeds that run on files too: one, or all of a long run. */
const SEEDS_ON_FILES = process.env['ATE_LEDGER_SEEDS'] === undefined ? 1 : SEEDS
const STEPS = 60

function inMemory(): Place {
  const shared = new Shared()
  return { open: () => shared.open('alice'), advance: (ms) => shared.platform.advance(ms) }
}

function onFiles(): Place {
  const platform = platformOf()
  const open = async (): Promise<Chain> => openChain('file:/books', { as: await person('alice') }, platform)
  return { open, advance: (ms) => platform.advance(ms) }
}

/** The hash of all sums at the end. */
async function play(seed: number, kept: Kept, place: Place): Promise<string> {
  const program = new Program(seed, kept, place)
  await program.begin()
  for (let i = 0; i < STEPS; i++) await program.step()
  return program.end()
}

describe.each(['sealed', 'paged', 'clear'] as const)('%s', (kept) => {
  it.each(Array.from({ length: SEEDS }, (_, i) => i + 1))(
    'L1 to L5, L7, L9: a random program does what the model does, in memory and on files, seed %i',
    async (seed) => {
      const root = await play(seed, kept, inMemory())
      if (seed <= SEEDS_ON_FILES) expect(await play(seed, kept, onFiles())).toBe(root)
    },
  )
})
