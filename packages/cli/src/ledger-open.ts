/** Opens a chain and its ledger for a command, and closes it again. */
import type { Chain } from '@ate/core'
import { ledger } from '@ate/ledger'
import type { LedgerContext } from './ledger-commands.ts'
import { openPlace, type PlaceOptions } from './open-place.ts'
import type { Purpose } from './place.ts'

export interface LedgerOptions extends PlaceOptions {
  readonly ledger?: string
  readonly amounts?: 'sealed' | 'clear'
  readonly json?: boolean
}

/** `look` opens beside a writer. A chain is made only where somebody opens an account. */
export type Opening = 'look' | 'write' | 'create'

const PURPOSES: Readonly<Record<Opening, Purpose>> = { look: 'read', write: 'write', create: 'make' }

export async function withChain(
  place: string,
  options: LedgerOptions,
  how: Opening,
  use: (chain: Chain) => Promise<void>,
): Promise<void> {
  const chain = await openPlace(place, options, PURPOSES[how])
  try {
    await use(chain)
  } finally {
    await chain.close()
  }
}

export function withLedger(
  place: string,
  options: LedgerOptions,
  how: Opening,
  use: (context: LedgerContext) => Promise<void>,
): Promise<void> {
  return withChain(place, options, how, (chain) => use(contextOf(chain, options)))
}

function contextOf(chain: Chain, { ledger: name, amounts, json = false }: LedgerOptions): LedgerContext {
  const bank = ledger(chain, { ...(name === undefined ? {} : { name }), ...(amounts === undefined ? {} : { amounts }) })
  return { chain, bank, json }
}
