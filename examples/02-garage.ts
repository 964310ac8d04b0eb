// Who may do what: a crew reads and writes a garage, and somebody outside of it can do neither.
import { z } from 'zod'
import { openChain, defineType, createIdentity, role } from '@ate/core'
const Garage = defineType('garage', z.object({ city: z.string() }))
const Car = defineType('car', z.object({ plate: z.string() }))
const alice = await createIdentity(), bob = await createIdentity(), eve = await createIdentity()
const chain = await openChain('file:./garage', { as: alice })
const garage = await chain.transact((tx) => {
  tx.role('crew').add(bob.publicId)                              // alice made the role: she is in it
  const g = tx.create(Garage, { city: 'Delft' }, { read: [role('crew')], write: [role('crew')] })
  for (let i = 0; i < 100; i++) tx.create(Car, { plate: `NL-${i}` }, { parent: g, in: 'cars' })
  return g
})
await chain.close()
const asBob = await openChain('file:./garage', { as: bob, id: chain.id })     // no root key
let n = 0
for await (const car of asBob.children(Car, garage, 'cars')) n += car.value.plate.length > 0 ? 1 : 0
await asBob.transact((tx) => tx.create(Car, { plate: 'NL-100' }, { parent: garage, in: 'cars' }))
const report = await asBob.verify()
await asBob.close()
const asEve = await openChain('file:./garage', { as: eve, id: chain.id })
await asEve.transact((tx) => tx.create(Car, { plate: 'EVE' }, { parent: garage, in: 'cars' })).catch((e) => console.log(e.code)) // NOT_AUTHORIZED
await asEve.get(Garage, garage.id).catch((e) => console.log(e.code))           // NO_READ_KEY
await asEve.close()
console.log(n, report.ok)                                                       // 100 true

// Output:
// NOT_AUTHORIZED
// NO_READ_KEY
// 100 true
