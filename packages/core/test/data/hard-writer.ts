/**
 * A process for the tests of the command line, which writes a chain hard, in small segments, until its stdin ends:
 * `node hard-writer.ts FOLDER IDENTITY`.
 * Says `open` with the chain's id, then the number of segments each time there is a new one.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { defineType, openChain, openIdentity } from '../../src/index.ts'
import { openFileLog } from '../../src/log/file-engine.ts'
import { platform } from '../../src/node/platform.ts'

const Note = defineType<{ text: string }>('note')
const SEGMENT_BYTES: number = 128 * 1024
const IN_FLIGHT = 8
/** Between two segments, ms: keeps the chain small enough for a reader to keep up, however long it runs. */
const BREATH_MS = 200

const [folder, file] = process.argv.slice(2) as [string, string]
const as = await openIdentity(file)
// Once by its place, so that this machine knows the chain.
await (await openChain(`file:${folder}`, { as })).close()
const { random, clock } = platform.environment
const fs = await platform.openFolder(folder)
const engine = await openFileLog({ fs, random, clock, segmentBytes: SEGMENT_BYTES })
const chain = await openChain(engine, { as })
process.stdout.write(`open ${chain.id}\n`)

let isEnding = false
process.stdin.on('end', () => {
  isEnding = true
})
process.stdin.resume()

let segments = 1
for (let round = 0; !isEnding; round++) {
  const text = 'x'.repeat(1 + ((round * 7919) % 4000))
  const write = (n: number): Promise<unknown> =>
    chain.transact((tx) => tx.put(Note, `n${(round + n) % 50}`, { text }), {
      durability: round % 3 === 0 ? 'disk' : 'os',
    })
  await Promise.all(Array.from({ length: 1 + (round % IN_FLIGHT) }, (_, n) => write(n)))
  while (existsSync(join(folder, `seg-${String(segments).padStart(6, '0')}.ate`))) {
    process.stdout.write(`${++segments}\n`)
    await sleep(BREATH_MS)
  }
}
await chain.close()
