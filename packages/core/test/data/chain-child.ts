/**
 * A process of its own for the tests of kills, locks and kept certificates: `node chain-child.mjs MODE FOLDER IDENTITY`.
 *
 *     write   writes for ever; says `open`, then `ack TXID` for each transaction that was acknowledged
 *     once    one transaction, closes, says how many certificates the chain has; ends by itself
 *     leave   one transaction, does not close; ends by itself
 *     watch   waits in a stream, does not close; ends by itself
 *     hold    says `open` or the code, holds until it is killed or its stdin ends
 */
import { isAteError } from '../../src/base/errors.ts'
import { defineType } from '../../src/data/entity-type.ts'
import { openChain } from '../../src/data/open-chain.ts'
import type { Transaction } from '../../src/data/transaction.ts'
import { openIdentity } from '../../src/session/local-identity.ts'

const Count = defineType<{ n: number }>('count')
const [mode, folder, file] = process.argv.slice(2) as [string, string, string]

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

async function main(): Promise<void> {
  const as = await openIdentity(file, { create: true })
  const chain = await openChain(`file:${folder}`, { as })
  say('open')
  if (mode === 'hold') {
    process.stdin.on('end', () => void chain.close())
    process.stdin.resume()
    return
  }
  if (mode === 'watch') {
    for await (const _ of chain.watch()) say('change')
    return
  }
  for (let n = 0; ; n++) {
    let last: Transaction | undefined
    const write = (): Promise<unknown> =>
      chain.transact((tx) => {
        last = tx
        return tx.put(Count, `n${n % 7}`, { n })
      })
    if (n % 5 === 0) await Promise.all([write(), write(), write()])
    else await write()
    say(`ack ${last!.receipt!.txId}`)
    if (mode !== 'write') break
  }
  if (mode === 'leave') return
  await chain.close()
  say(`certificates ${chain.writers().length}`)
}

main().catch((error) => {
  say(isAteError(error) ? error.code : String(error?.stack ?? error))
  process.exit(1)
})
