/** Opens a chain for a command that only looks: without the lock, so it runs beside a writer. */
import { type Chain, openChain } from '@ate/core'
import { type ActingOptions, actingIdentity } from './acting.ts'
import { placeOf } from './place.ts'

export interface LookOptions extends ActingOptions {
  readonly id?: string
  readonly json?: boolean
}

/** Runs `use` on the chain at `place`, and closes it. */
export async function look(place: string, options: LookOptions, use: (chain: Chain) => Promise<void>): Promise<void> {
  const { id } = options
  const as = await actingIdentity(options)
  const chain = await openChain(placeOf(place), { as, readOnly: true, ...(id === undefined ? {} : { id }) })
  try {
    await use(chain)
  } finally {
    await chain.close()
  }
}
