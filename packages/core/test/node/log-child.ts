/**
 * A process of its own for the tests of locks and kills: `node log-child.js MODE FOLDER SEED`.
 *
 *     hold    opens for writing, says `open` or the error's code, holds until it is killed or its stdin ends
 *     below   holds the folder as a server does, and the folder `chain` in it; says `open`
 *     write   opens, says `head N`, then appends for ever; says `ack N` when a record is synced
 */
import { randomFillSync } from 'node:crypto'
import { isAteError } from '../../src/base/errors.ts'
import { openFileLog } from '../../src/log/file-engine.ts'
import { nodeFileSystem } from '../../src/node/file-system.ts'
import { lockBelow, lockFolder } from '../../src/node/folder-lock.ts'
import { testBatch } from '../../src/testing/log-suite.ts'
import { seededRandom } from '../../src/testing/random.ts'

const [mode, folder, seed] = process.argv.slice(2) as [string, string, string]

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

async function main(): Promise<void> {
  if (mode === 'below') {
    const chain = `${folder}/chain`
    say((await lockFolder(folder)) && (await lockBelow(chain, folder)) ? 'open' : 'CHAIN_LOCKED')
    setInterval(() => undefined, 60_000)
    return
  }
  const log = await openFileLog({
    fs: nodeFileSystem(folder),
    clock: { now: () => Date.now(), monotonic: () => performance.now() },
    random: { fill: (bytes) => void randomFillSync(bytes) },
    create: true,
    segmentBytes: 40_000,
  })
  if (mode === 'hold') {
    say('open')
    process.stdin.on('end', () => void log.close().then(() => process.exit(0)))
    process.stdin.resume()
    return
  }
  if (mode === 'leave') {
    say('open')
    return
  }
  const random = seededRandom(Number(seed))
  let next = (log.head()?.seq ?? -1) + 1
  say(`head ${next}`)
  for (;;) {
    const batch = testBatch(
      next,
      Array.from({ length: 1 + random.below(4) }, (_, i) => (next + i) % 700),
    )
    const durability = random.oneIn(3) ? 'os' : 'disk'
    await log.append(batch, { after: log.head(), durability, load: random.oneIn(2) ? 'alone' : 'group' })
    next += batch.length
    // What the page cache holds survives the process: both levels are held to it.
    say(`ack ${next}`)
  }
}

main().catch((error) => {
  say(isAteError(error) ? error.code : String(error))
  process.exit(1)
})
