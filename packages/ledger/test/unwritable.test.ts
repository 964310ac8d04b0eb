/** What cannot be written is refused by itself, before anything is judged: no other call of its turn fails, and the books stand. */
import { expect, it } from 'vitest'
import { ledger, type Transfer } from '../src/index.ts'
import type { Json } from '../src/ledger-records.ts'
import { codeOf, GOLD, gold, Shared } from './kit.ts'

const HALF = '\ud800'

function nested(levels: number): Json {
  let meta: Json = 'x'
  for (let i = 0; i < levels; i++) meta = i % 2 === 0 ? [meta] : { a: meta }
  return meta
}

const BAD: readonly (readonly [string, Partial<Transfer>])[] = [
  ['an id with half a character', { id: `x${HALF}` }],
  ['an account with half a character', { to: `a${HALF}` }],
  ['a code with half a character', { code: HALF }],
  ['a reference with half a character', { ref: HALF }],
  ['meta with half a character', { meta: ['a', { b: HALF }] }],
  ['meta with half a character in a key', { meta: { [HALF]: 1 } }],
  ['meta with the key __proto__', { meta: [JSON.parse('{"__proto__":1}')] }],
  ['meta that is too deep', { meta: nested(32) }],
]

it.each(BAD)('%s', async (_, bad) => {
  const chain = await new Shared().open('boss')
  const bank = ledger(chain)
  for (const name of ['world', 'a']) await bank.account(name, { currency: GOLD, floor: 'none' })
  let made = 0
  const good = (): Transfer => ({ id: `good-${++made}`, from: 'world', to: 'a', amount: gold(1n) })
  const wrong = (): Transfer => ({ ...good(), ...bad })
  const outcomes = await Promise.all([
    codeOf(bank.transfer(wrong())),
    codeOf(bank.transfer(good())),
    codeOf(bank.hold(wrong(), { expires: '1h' })),
    codeOf(bank.atomic([good(), wrong()])),
    codeOf(bank.transfer(good())),
  ])
  expect(outcomes).toEqual(['BAD_ARGUMENT', 'none', 'BAD_ARGUMENT', 'BAD_ARGUMENT', 'none'])
  const [first, second] = [wrong(), good()]
  const loaded: boolean[] = []
  for await (const { ok } of bank.load([first, second])) loaded.push(ok)
  expect(loaded).toEqual([false, true])
  await bank.verify()
  expect(await bank.balance('a')).toMatchObject({ posted: 3n, pending: 3n })
  await chain.close()
})

it('a reason of a reversal, too', async () => {
  const chain = await new Shared().open('boss')
  const bank = ledger(chain)
  for (const name of ['world', 'a']) await bank.account(name, { currency: GOLD, floor: 'none' })
  await bank.transfer({ id: 'one', from: 'world', to: 'a', amount: gold(1n) })
  expect(await codeOf(bank.reverse('one', { reason: HALF }))).toBe('BAD_ARGUMENT')
  expect(await codeOf(bank.capture(`one${HALF}`))).toBe('BAD_ARGUMENT')
  await bank.verify()
  await chain.close()
})

it('and what is as deep as it may be is written', async () => {
  const chain = await new Shared().open('boss')
  const bank = ledger(chain)
  for (const name of ['world', 'a']) await bank.account(name, { currency: GOLD, floor: 'none' })
  const meta = nested(31)
  await bank.transfer({ id: 'deep', from: 'world', to: 'a', amount: gold(1n), meta })
  for await (const entry of bank.entries()) expect(entry.meta).toEqual(meta)
  await bank.verify()
  await chain.close()
})
