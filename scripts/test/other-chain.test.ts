/**
 * A verb with the transaction of another chain is refused: a secret, an event or a transfer would be stored there, for those who
 * read that chain. A kit that has stored nothing yet must not begin there either.
 */
import { bus } from '@ate/bus'
import { cache, type Lock } from '@ate/cache'
import { type Chain, createIdentity, type Effect, effectsInto, openChain, type TxTarget } from '@ate/core'
import { currency, ledger, money } from '@ate/ledger'
import { purse } from '@ate/ledger/coin'
import { queue } from '@ate/queue'
import { vault } from '@ate/vault'
import { worm } from '@ate/worm'
import { afterAll, beforeAll, expect, it } from 'vitest'

const GOLD = currency('GOLD', 2)
const amount = money(GOLD, '1.00')

let own: Chain
let other: Chain
let lock: Lock
beforeAll(async () => {
  const as = await createIdentity()
  own = await openChain('memory:', { as })
  other = await openChain('memory:', { as })
  const archive = worm(own)
  await archive.put('known', 'body')
  lock = await cache(own, 'locks').lock('k')
})
afterAll(() => Promise.all([own.close(), other.close()]))

type Verb = (tx: TxTarget, chain: Chain) => Promise<unknown>

const verbs: readonly (readonly [string, Verb])[] = [
  ['queue add', (tx, chain) => queue(chain, 'q').add(1, { tx })],
  ['queue addMany', (tx, chain) => queue(chain, 'q').addMany([1], { tx })],
  ['queue pause', (tx, chain) => queue(chain, 'q').pause({ tx })],
  ['bus publish', (tx, chain) => bus(chain).publish('a', 1, { tx })],
  ['cache set', (tx, chain) => cache<number>(chain, 'c').set('k', 1, { tx })],
  ['cache guard', (tx) => lock.guard(tx)],
  ['ledger account', (tx, chain) => ledger(chain).account('a', { currency: GOLD }, { tx })],
  ['ledger close', (tx, chain) => ledger(chain).close('a', { tx })],
  ['ledger transfer', (tx, chain) => ledger(chain).transfer({ from: 'a', to: 'b', amount }, { tx })],
  ['coin mint', (tx, chain) => purse(chain, GOLD).mint(amount, chain, { tx })],
  ['vault put', (tx, chain) => vault(chain).secret('a').put('canary', { tx })],
  ['vault allow', (tx, chain) => vault(chain).role('crew').allow('a', ['read'], { tx })],
  ['worm put', (tx, chain) => worm(chain).put('a', 'body', { tx })],
  ['worm hold', (tx, chain) => worm(chain).hold('known', 'matter', { tx })],
]

it.each(verbs)('%s', async (_, verb) => {
  const before = other.head.seq
  await expect(other.transact((tx) => verb(tx, own))).rejects.toMatchObject({ code: 'BAD_ARGUMENT' })
  const effects: Effect[] = []
  await verb(
    effectsInto((effect) => effects.push(effect)),
    own,
  )
  const run = other.transact(async (tx) => {
    for (const effect of effects) await effect(tx)
  })
  await expect(run).rejects.toMatchObject({ code: 'BAD_ARGUMENT' })
  expect(other.head.seq).toBe(before)
})
