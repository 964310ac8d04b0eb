/**
 * An archive on a file in a process of its own: `upload` puts a large body slowly, tells of its progress, and waits to be killed;
 * `dispose` does that under whatever clock the process has, and tells what came of it.
 */
import process from 'node:process'
import { isAteError, openChain, openIdentity, worm } from '../src/index.ts'
import { noise } from './kit.ts'

const [what, place, identity, mib = '1'] = process.argv.slice(2)
const chain = await openChain(place!, { as: await openIdentity(identity!), create: true })
const archive = worm(chain, { defaults: { mode: 'compliance', retain: '6y' } })

async function* body(): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < Number(mib); i++) {
    yield noise(1024 * 1024, i)
    if (what === 'upload') process.send?.(i + 1)
  }
}

async function tell(run: () => Promise<unknown>): Promise<void> {
  let code = 'done'
  try {
    await run()
  } catch (error) {
    code = isAteError(error) ? error.code : String(error)
  }
  process.stdout.write(`${code} ${new Date().getUTCFullYear()}\n`)
}

if (what === 'upload') await archive.put('large', body(), { key: 'k' })
else await tell(() => archive.dispose('a', { reason: 'r' }))
await chain.close()
