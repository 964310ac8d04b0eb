/** Random programs against the model: balances, bounds, holds by the clock, ids, groups, reversals, and books that agree. */
import { describe, it } from 'vitest'
import { Shared } from './kit.ts'
import { Program } from './program.ts'

const SEEDS = Number(process.env['ATE_LEDGER_SEEDS'] ?? 6)
const STEPS = 60

describe.each(['sealed', 'clear'] as const)('%s', (amounts) => {
  it.each(Array.from({ length: SEEDS }, (_, i) => i + 1))(
    'a random program does what the model does, seed %i',
    async (seed) => {
      const shared = new Shared()
      const program = new Program(seed, amounts, {
        open: () => shared.open('alice'),
        advance: (ms) => shared.platform.advance(ms),
      })
      await program.begin()
      for (let i = 0; i < STEPS; i++) await program.step()
      await program.end()
    },
  )
})
