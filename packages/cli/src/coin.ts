/** `ate coin`: coins of a chain. */
import { decimalText, money, moneyText } from '@ate/ledger'
import { type Coin, type Purse, purse } from '@ate/ledger/coin'
import { publicIdOf } from './acting.ts'
import { currencyOf, show } from './ledger-commands.ts'
import { type LedgerOptions, type Opening, withChain } from './ledger-open.ts'

export interface CoinWords extends LedgerOptions {
  readonly currency: string
  readonly scale?: number
  readonly owner?: string
}

function withPurse(place: string, words: CoinWords, how: Opening, use: (coins: Purse) => Promise<void>): Promise<void> {
  return withChain(place, words, how, (chain) => use(purse(chain, currencyOf(words.currency, words.scale))))
}

export function listCoins(place: string, words: CoinWords): Promise<void> {
  return withPurse(place, words, 'look', async (coins) => {
    for await (const coin of coins.coins(words.owner === undefined ? {} : { owner: words.owner }))
      await showCoin(words, coin)
  })
}

export function mintCoin(place: string, amount: string, to: string, words: CoinWords): Promise<void> {
  return withPurse(place, words, 'create', async (coins) =>
    showCoin(words, await coins.mint(money(coins.currency, amount), publicIdOf(to))),
  )
}

export function giveCoin(place: string, coin: string, to: string, words: CoinWords): Promise<void> {
  return withPurse(place, words, 'write', async (coins) => showCoin(words, await coins.give(coin, publicIdOf(to))))
}

export function carveCoin(place: string, coin: string, amounts: readonly string[], words: CoinWords): Promise<void> {
  return withPurse(place, words, 'write', async (coins) => {
    const values = amounts.map((amount) => money(coins.currency, amount))
    for (const made of await coins.carve(coin, values)) await showCoin(words, made)
  })
}

export function joinCoins(place: string, ids: readonly string[], words: CoinWords): Promise<void> {
  return withPurse(place, words, 'write', async (coins) => showCoin(words, await coins.join(ids)))
}

export function burnCoin(place: string, coin: string, words: CoinWords): Promise<void> {
  return withPurse(place, words, 'write', async (coins) => {
    await coins.burn(coin)
    await show({ json: words.json ?? false }, { burnt: coin }, `${coin} burnt`)
  })
}

export function coinSupply(place: string, words: CoinWords): Promise<void> {
  return withPurse(place, words, 'look', async (coins) => {
    const supply = await coins.supply()
    await show(
      { json: words.json ?? false },
      { supply: decimalText(supply), currency: supply.currency.code },
      moneyText(supply),
    )
  })
}

async function showCoin({ json = false }: CoinWords, { id, value, owner }: Coin): Promise<void> {
  const plain = { coin: id, worth: decimalText(value), currency: value.currency.code, owner }
  await show({ json }, plain, `${id}  ${moneyText(value)}${owner === undefined ? '' : `  of ${owner}`}`)
}
