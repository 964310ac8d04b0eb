/** Opens a chain and its ledger for a command, and closes it again. */
import { type Chain, openChain } from '@ate/core'
import { ledger } from '@ate/ledger'
import { type ActingOptions, actingIdentity } from './acting.ts'
import type { LedgerContext } from './ledger-commands.ts'
import { placeOf } from './place.ts'

export interface LedgerOptions extends ActingOptions {
  readonly id?: string
  readonly ledger?: string
  readonly amounts?: 'sealed' | 'clear'
  readonly json?: boolean
}

/** `look` opens beside a writer. A chain is made only where somebody opens an account. */
export type Opening = 'look' | 'write' | 'create'

export async function withChain(
  place: string,
  options: LedgerOptions,
  how: Opening,
  use: (chain: Chain) => Promise<void>,
): Promise<void> {
  const as = await actingIdentity(options)
  const id = options.id === undefined ? {} : { id: options.id }
  const mode = how === 'look' ? { readOnly: true } : how === 'write' ? { create: false } : {}
  const chain = await openChain(placeOf(place), { as, ...id, ...mode })
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
