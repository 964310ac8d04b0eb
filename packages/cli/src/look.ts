/** Opens a chain for a command that only looks: without the lock, so it runs beside a writer. */
import type { Chain } from '@ate/core'
import { openPlace, type PlaceOptions } from './open-place.ts'

export interface LookOptions extends PlaceOptions {
  readonly json?: boolean
}

/** Runs `use` on the chain at `place`, and closes it. */
export async function look(place: string, options: LookOptions, use: (chain: Chain) => Promise<void>): Promise<void> {
  const chain = await openPlace(place, options, 'read')
  try {
    await use(chain)
  } finally {
    await chain.close()
  }
}
