/**
 * A client in a process of its own, which writes until its stdin ends: `client-child.mjs URL KEY IDENTITY NAME`. Says
 * `open`, then `ack MARK` for what was acknowledged and `no MARK CODE` for what was not.
 */
import process from 'node:process'
import { isAteError } from '../../src/base/errors.ts'
import { defineType } from '../../src/data/entity-type.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import { openIdentity } from '../../src/session/local-identity.ts'

const Mark = defineType<{ of: string }>('mark')
const IN_FLIGHT = 8

const [url, serverKey, file, name] = process.argv.slice(2) as [string, string, string, string]
const chain = await openChain(url, { as: await openIdentity(file), serverKey })
process.stdout.write('open\n')
let isEnding = false
process.stdin.on('end', () => {
  isEnding = true
})
process.stdin.resume()

async function write(mark: string): Promise<void> {
  try {
    await chain.transact((tx) => void tx.create(Mark, { of: mark }))
    process.stdout.write(`ack ${mark}\n`)
  } catch (error) {
    process.stdout.write(`no ${mark} ${isAteError(error) ? error.code : String(error)}\n`)
  }
}

for (let n = 0; !isEnding; n += IN_FLIGHT)
  await Promise.all(Array.from({ length: IN_FLIGHT }, (_, i) => write(`${name}/${n + i}`)))
await chain.close()
process.stdout.write('closed\n')
