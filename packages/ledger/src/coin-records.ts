/**
 * What coins are on a chain. A currency is an entity that nobody writes and everybody reads, the first of its code (a name
 * would be blinded, and found by those only who read the root); it says where its unit, its mint and its pool
 * stand. The mint has one counter, `issued`, which goes below 0 by what is out. A coin is an entity of the pool with a counter
 * of the unit; only its owner writes and manages it. So all counters of the unit add up to 0, and coins are worth what was
 * issued: the rules of the chain say so, and every replica checks them.
 */
import { defineType, type EntityType } from '@ate/core'
import { isCoinCurrencyValue } from './stored-shapes.ts'

export interface CoinCurrencyValue {
  readonly code: string
  readonly scale: number
  readonly unit: string
  readonly mint: string
  readonly pool: string
}

export const CoinCurrency: EntityType<CoinCurrencyValue> = defineType<CoinCurrencyValue>('coin-currency', {
  shape: isCoinCurrencyValue,
})
export const CoinUnit: EntityType<{ readonly code: string }> = defineType<{ readonly code: string }>('coin-unit')
export const CoinMint: EntityType<{ readonly code: string }> = defineType<{ readonly code: string }>('coin-mint')
export const CoinPool: EntityType<{ readonly code: string }> = defineType<{ readonly code: string }>('coin-pool')
export const CoinType: EntityType<null> = defineType<null>('coin')

/** The counter of a coin, and that of the mint. */
export const WORTH = 'worth'
export const ISSUED = 'issued'
