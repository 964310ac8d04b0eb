// Anybody can check a chain, without a key and without trusting whoever stored it: one flipped bit is found and named.
import { readFileSync, writeFileSync } from 'node:fs'
import { defineType, openChain, verifyPlace } from '@ate/core'

const Deed = defineType<{ house: number }>('deed')

const chain = await openChain('file:./deeds')
for (let house = 1; house <= 20; house++) await chain.transact((tx) => tx.create(Deed, { house }))
await chain.close()
const { ok, records } = await verifyPlace('file:./deeds')
console.log(ok, records > 20)

const file = './deeds/seg-000000.ate'
const bytes = readFileSync(file)
bytes[20_000]! ^= 1
writeFileSync(file, bytes)
const report = await verifyPlace('file:./deeds')
for (const { code, segment, offset } of report.problems) console.log(report.ok, code, 'in', segment, 'at', offset)
await openChain('file:./deeds', { readOnly: true }).catch((error) => console.log(error.code))

// Output:
// true true
// false DAMAGED in <segment> at <offset>
// DAMAGED
