// A tour of what a chain does, on real files in a folder that is removed at the end: `npm run demo`.
// Every line that it prints is checked before it is printed; the exit code is 0 only if all of it held.
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AteError, createIdentity, defineType, openChain, role, verifyPlace } from '@ate/core'
import { z } from 'zod'

const folder = mkdtempSync(join(tmpdir(), 'ate-demo-'))
process.env['ATE_HOME'] = join(folder, 'home') // what this machine remembers goes with the demo
const begin = performance.now()

const place = (name: string) => `file:${join(folder, name)}`
const segmentOf = (name: string) => join(folder, name, 'seg-000000.ate')
const say = (text: string) => console.log(`   ${text}`)
const thousands = (count: number) => Math.round(count).toLocaleString('en-US')

async function step(title: string, run: () => Promise<void>): Promise<void> {
  console.log(title)
  const from = performance.now()
  await run()
  console.log(`   (${thousands(performance.now() - from)} ms)\n`)
}

/** The code of the refusal that must come. */
async function refusal(attempt: Promise<unknown>): Promise<string> {
  return attempt.then(
    () => assert.fail('this had to be refused'),
    (error) => (error instanceof AteError ? error.code : assert.fail(String(error))),
  )
}

const World = defineType('world', z.object({ commandment: z.string() }))
const Garage = defineType('garage', z.object({ city: z.string() }))
const Car = defineType('car', z.object({ plate: z.string() }))
const Coin = defineType('coin', z.object({ worth: z.number() }))
const Sale = defineType('sale', z.object({ item: z.string(), cents: z.number() }))

async function hello(): Promise<void> {
  const chain = await openChain(place('universe'))
  const world = await chain.transact((tx) => tx.create(World, { commandment: 'Hello' }))
  await chain.close()
  const again = await openChain(place('universe'))
  const { value } = await again.load(World, world.id)
  await again.close()
  assert.equal(value.commandment, 'Hello')
  say(`Written to disk, closed, opened again, read back: "${value.commandment}".`)
  const bytes = readFileSync(segmentOf('universe'))
  assert.ok(!bytes.includes('Hello'))
  say('The word does not stand in the file: values are encrypted, and every record is signed.')
}

async function garage(): Promise<void> {
  const [alice, bob, eve] = [await createIdentity(), await createIdentity(), await createIdentity()]
  const chain = await openChain(place('garage'), { as: alice })
  const made = await chain.transact((tx) => {
    tx.role('crew').add(bob.publicId)
    const garage = tx.create(Garage, { city: 'Delft' }, { read: [role('crew')], write: [role('crew')] })
    for (let i = 0; i < 100; i++) tx.create(Car, { plate: `NL-${i}` }, { parent: garage, in: 'cars' })
    return garage
  })
  await chain.close()

  const asBob = await openChain(place('garage'), { as: bob, id: chain.id })
  let cars = 0
  for await (const car of asBob.children(Car, made, 'cars')) if (car.value.plate.startsWith('NL-')) cars++
  await asBob.transact((tx) => tx.create(Car, { plate: 'NL-100' }, { parent: made, in: 'cars' }))
  await asBob.close()
  assert.equal(cars, 100)
  say(`Alice lets her crew read and write. Bob, of the crew, reads ${cars} cars and adds one.`)

  const asEve = await openChain(place('garage'), { as: eve, id: chain.id })
  const write = await refusal(asEve.transact((tx) => tx.create(Car, { plate: 'EVE' }, { parent: made, in: 'cars' })))
  const read = await refusal(asEve.get(Garage, made.id))
  await asEve.close()
  assert.deepEqual([write, read], ['NOT_AUTHORIZED', 'NO_READ_KEY'])
  say(`Eve has the files, and no key: writing is ${write}, reading is ${read}.`)
}

async function coin(): Promise<void> {
  const [mint, alice, bob] = [await createIdentity(), await createIdentity(), await createIdentity()]
  const chain = await openChain(place('coins'), { as: mint })
  const struck = await chain.transact((tx) =>
    tx.create(Coin, { worth: 5 }, { closed: true, read: 'everyone', write: [alice], manage: [alice] }),
  )
  const taken = await refusal(chain.transact((tx) => tx.setPolicy(struck, { write: [mint], manage: [mint] })))
  await chain.close()
  assert.equal(taken, 'NOT_AUTHORIZED')
  say(`A coin that belongs to alice. Even the mint, which made the chain, cannot take it: ${taken}.`)

  const asAlice = await openChain(place('coins'), { as: alice, id: chain.id })
  await asAlice.transact((tx) => tx.setPolicy(struck, { write: [bob], manage: [bob] }))
  const twice = await refusal(asAlice.transact((tx) => tx.setPolicy(struck, { write: [mint], manage: [mint] })))
  await asAlice.close()
  assert.equal(twice, 'NOT_AUTHORIZED')
  say(`She pays bob with it. Spending it again: ${twice}.`)
}

async function powerCut(): Promise<void> {
  const keeper = await createIdentity()
  const chain = await openChain(place('shop'), { as: keeper })
  for (let i = 1; i <= 50; i++) await chain.transact((tx) => tx.create(Sale, { item: `book ${i}`, cents: 100 * i }))
  const [acknowledged, before] = [chain.head.seq + 1, readFileSync(segmentOf('shop'))]
  await chain.transact((tx) => tx.create(Sale, { item: 'book 51', cents: 5100 }))
  // What the disk may hold if the power fails while the 51st sale is written: its frame only up to the middle.
  // (LOCK is a socket of the running process: it dies with it.)
  const withoutLock = (path: string) => !path.endsWith('LOCK')
  cpSync(join(folder, 'shop'), join(folder, 'after-the-cut'), { recursive: true, filter: withoutLock })
  const after = readFileSync(segmentOf('shop'))
  const first = after.findIndex((byte, i) => byte !== before[i])
  const last = after.findLastIndex((byte, i) => byte !== (before[i] ?? 0))
  writeFileSync(segmentOf('after-the-cut'), after.subarray(0, (first + last) >>> 1))
  await chain.close()
  say('50 sales are acknowledged on disk. We copy the files, and cut the copy in the middle of the 51st.')

  // This machine has seen the 51st, so it would refuse the copy as a rollback. We know of the loss, and say so.
  const rescued = await openChain(place('after-the-cut'), { as: keeper, rollback: 'accept' })
  const kept = rescued.head.seq + 1
  const sales = rescued.children(Sale).count()
  await rescued.transact((tx) => tx.create(Sale, { item: 'book 51, again', cents: 5100 }))
  const { ok } = await rescued.verify()
  await rescued.close()
  assert.deepEqual([kept, sales, ok], [acknowledged, 50, true])
  say(`Opened again: the torn record is cut off and kept aside, all ${sales} acknowledged sales are there.`)
  say('The next sale follows, and the whole log verifies.')
}

async function flippedBit(): Promise<void> {
  const good = await verifyPlace(place('garage'))
  assert.ok(good.ok)
  const file = segmentOf('garage')
  const bytes = readFileSync(file)
  const offset = 15_000
  bytes[offset]! ^= 1
  writeFileSync(file, bytes)
  const report = await verifyPlace(place('garage'))
  const [found] = report.problems
  assert.ok(!report.ok && found?.segment !== undefined && found.offset !== undefined && found.offset <= offset)
  say(`${good.records} records verified. Then one bit of byte ${thousands(offset)} of ${found.segment} is flipped:`)
  say(`${found.code} in ${found.segment}, in the frame at ${thousands(found.offset)}, from record ${found.seq} on.`)
  const opened = await refusal(openChain(place('garage'), { readOnly: true }))
  assert.equal(opened, 'DAMAGED')
  say(`It is never passed over: opening the chain is refused too (${opened}).`)
}

async function manyEvents(): Promise<void> {
  const [transactions, each] = [100, 1000]
  const chain = await openChain(place('log'))
  const from = performance.now()
  const writes = Array.from({ length: transactions }, (_, t) =>
    chain.transact((tx) => {
      for (let i = 0; i < each; i++) tx.create(Sale, { item: `item ${t}-${i}`, cents: i })
    }),
  )
  await Promise.all(writes)
  const seconds = (performance.now() - from) / 1000
  await chain.close()
  const events = transactions * each
  say(
    `${thousands(events)} events in ${transactions} transactions, encrypted, signed and on disk: ${thousands(events / seconds)} a second.`,
  )

  const again = performance.now()
  const opened = await openChain(place('log'), { readOnly: true })
  const there = opened.children(Sale).count()
  await opened.close()
  assert.equal(there, events)
  say(
    `Opened again, every signature and hash checked: ${thousands((events / (performance.now() - again)) * 1000)} a second.`,
  )
}

try {
  await step('1. Hello, world', hello)
  await step('2. Who may do what', garage)
  await step('3. A coin that only its owner can hand on', coin)
  await step('4. A power cut in the middle of a write', powerCut)
  await step('5. One flipped bit', flippedBit)
  await step('6. A hundred thousand events', manyEvents)
  console.log(`All of it held, in ${((performance.now() - begin) / 1000).toFixed(1)} s.`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

// Output:
// 1. Hello, world
//    Written to disk, closed, opened again, read back: "Hello".
//    The word does not stand in the file: values are encrypted, and every record is signed.
//    (<time> ms)
//
// 2. Who may do what
//    Alice lets her crew read and write. Bob, of the crew, reads 100 cars and adds one.
//    Eve has the files, and no key: writing is NOT_AUTHORIZED, reading is NO_READ_KEY.
//    (<time> ms)
//
// 3. A coin that only its owner can hand on
//    A coin that belongs to alice. Even the mint, which made the chain, cannot take it: NOT_AUTHORIZED.
//    She pays bob with it. Spending it again: NOT_AUTHORIZED.
//    (<time> ms)
//
// 4. A power cut in the middle of a write
//    50 sales are acknowledged on disk. We copy the files, and cut the copy in the middle of the 51st.
//    Opened again: the torn record is cut off and kept aside, all 50 acknowledged sales are there.
//    The next sale follows, and the whole log verifies.
//    (<time> ms)
//
// 5. One flipped bit
//    <count> records verified. Then one bit of byte 15,000 of seg-000000.ate is flipped:
//    DAMAGED in seg-000000.ate, in the frame at <offset>, from record <seq> on.
//    It is never passed over: opening the chain is refused too (DAMAGED).
//    (<time> ms)
//
// 6. A hundred thousand events
//    100,000 events in 100 transactions, encrypted, signed and on disk: <rate> a second.
//    Opened again, every signature and hash checked: <rate> a second.
//    (<time> ms)
//
// All of it held, in <time> s.
