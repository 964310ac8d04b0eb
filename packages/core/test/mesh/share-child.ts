/**
 * One of several processes that share a folder: `node share-child.js FOLDER IDENTITY NAME`. It says `open`, then writes for
 * ever, eight at a time, and says `ack N` of each that is in the log, or `CODE N`. When its stdin ends it closes, and says
 * `closed`; then nothing holds it.
 */
import { isAteError } from '../../src/base/errors.ts'
import { defineType } from '../../src/data/entity-type.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import { openIdentity } from '../../src/session/local-identity.ts'

const [folder, identity, name] = process.argv.slice(2) as [string, string, string]
const Mark = defineType<{ by: string; n: number }>('mark')
const say = (text: string): void => void process.stdout.write(`${text}\n`)

async function main(): Promise<void> {
  const as = await openIdentity(identity)
  const chain = await openChain(`file:${folder}`, { as, share: true })
  say('open')
  let isEnding = false
  process.stdin.on('end', () => {
    isEnding = true
  })
  process.stdin.resume()
  let count = 0
  const write = async (): Promise<void> => {
    while (!isEnding) {
      const n = count++
      try {
        await chain.transact((tx) => void tx.create(Mark, { by: name, n }))
        say(`ack ${n}`)
      } catch (error) {
        say(`${isAteError(error) ? error.code : String(error)} ${n}`)
        if (!isAteError(error) || error.code !== 'INDETERMINATE') throw error
      }
    }
  }
  await Promise.all(Array.from({ length: 8 }, write))
  await chain.close()
  say('closed')
}

await main()
