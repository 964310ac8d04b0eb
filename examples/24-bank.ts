// A bank: 200 persons with an account each, who pay each other 2,000 times. Whoever looks, at any moment, finds the same sum,
// and nobody below zero: money moves, and none is made or lost. The journal says so again at the end.
import { defineType, openChain } from '@ate/core'
import { isAteError, ledger, money, USD } from '@ate/ledger'

const Person = defineType<{ name: string; account: string }>('person')
const chain = await openChain('file:./bank')
const bank = ledger(chain)

// A person and the account are made in one transaction, with a first deposit, or not at all.
await bank.account('vault', { currency: USD, floor: 'none' })
await chain.transact(async (tx) => {
  for (let i = 0; i < 200; i++) {
    const account = `person:${i}`
    tx.create(Person, { name: `Person ${i}`, account })
    await bank.account(account, { currency: USD }, { tx })
    await bank.transfer({ from: 'vault', to: account, amount: money(USD, '100.00') }, { tx })
  }
})

/** What all persons have together. A look between two records is true; one that a record fell into is made again. */
async function look(): Promise<bigint> {
  for (;;) {
    const at = chain.head.seq
    let total = 0n
    for await (const { name, posted } of bank.accounts()) {
      if (name === 'vault') continue
      if (posted < 0n) throw new Error(`${name} is below zero`)
      total += posted
    }
    if (chain.head.seq === at) return total
  }
}

// Ten rounds: all pay at once, sometimes more than there is, and a reader looks on meanwhile.
const outcomes = { paid: 0, refused: 0 }
async function pay(person: number, round: number): Promise<void> {
  const to = `person:${(person + 1 + ((round * 37) % 199)) % 200}`
  const amount = money(USD, `${1 + ((person * 13 + round * 31) % 60)}.50`)
  try {
    await bank.transfer({ id: `pay:${person}:${round}`, from: `person:${person}`, to, amount })
    outcomes.paid++
  } catch (error) {
    if (!isAteError(error) || error.code !== 'INSUFFICIENT') throw error
    outcomes.refused++
  }
}
const looks: bigint[] = []
for (let round = 0; round < 10; round++) {
  const payments = Array.from({ length: 200 }, (_, person) => pay(person, round))
  looks.push(await look())
  await Promise.all(payments)
}

const { paid, refused } = outcomes
console.log('paid and refused:', paid + refused, '- some of both:', paid > 0 && refused > 0)
console.log('at every look:', [...new Set(looks)])
for (const [code, { debits, credits }] of await bank.trial()) console.log(code, 'adds up:', debits === credits)
console.log('entries that agree:', (await bank.verify()).entries === 200 + paid)
await chain.close()

// Output:
// paid and refused: 2000 - some of both: true
// at every look: [ 2000000n ]
// USD adds up: true
// entries that agree: true
