/** Many more chains than a server has open at a time: files and chains are bounded, and each is there when it is asked for. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { isAteError } from '../../src/base/errors.ts'
import { makeGenesis } from '../../src/data/create-chain.ts'
import { openEngine, parsePlace } from '../../src/data/place.ts'
import type { Asking, ChainStore, Host } from '../../src/mesh/host.ts'
import { platform } from '../../src/node/platform.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { someone, startServer } from './net-kit.ts'

const OPENS = Number(process.env['ATE_RUNS'] ?? 120)
const CHAINS = 14
const OPEN_MAX = 6
/** Of one that is open, or just being closed: its lock, its segments, its folder, and what is being read. */
const FILES_EACH = 6
let root = ''

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'ate-bounds-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const store: ChainStore = {
  open: async (name, { create }) =>
    openEngine(parsePlace(`file:${join(root, name)}`, {}, platform), { create, label: undefined, known: undefined }),
}

function files(): number {
  return existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0
}

test(`${OPENS} openings of ${CHAINS} chains, ${OPEN_MAX} of them at a time`, async () => {
  await using server = await startServer({ store, openMax: OPEN_MAX })
  const { host } = server
  const identity = someone()
  const asking: Asking = { identity, admitCreate: async () => undefined }
  const servers = { sequencers: [server.identity.fingerprintBytes], checkpointKeys: [] }
  const { crypto, environment } = platform
  const before = files()
  for (let i = 0; i < CHAINS; i++) {
    const { record } = makeGenesis({ crypto, environment, identity }, 'disk', servers)
    host.release(await host.acquire(`chain-${i}`, asking, record.bytes))
  }
  const random = seededRandom(1)
  let most = 0
  const held: Awaited<ReturnType<Host['acquire']>>[] = []
  for (let i = 0; i < OPENS; i++) {
    const name = `chain-${random.below(CHAINS)}`
    const asked = await Promise.allSettled([
      host.acquire(name, asking, undefined),
      host.acquire(name, asking, undefined),
    ])
    for (const one of asked) {
      if (one.status === 'fulfilled') held.push(one.value)
      else expect(isAteError(one.reason) && one.reason.code).toBe('BUSY')
    }
    while (held.length > random.below(2 * OPEN_MAX)) host.release(held.shift()!)
    expect(host.size).toBeLessThanOrEqual(OPEN_MAX)
    most = Math.max(most, files())
  }
  expect(most - before).toBeLessThan(OPEN_MAX * FILES_EACH * 2)
  for (const chain of held) host.release(chain)
  // When all are in use, one more is refused, and goes when one is given back.
  const all = await Promise.all(
    Array.from({ length: OPEN_MAX }, (_, i) => host.acquire(`chain-${i}`, asking, undefined)),
  )
  await expect(host.acquire('chain-9', asking, undefined)).rejects.toMatchObject({ code: 'BUSY' })
  host.release(all[0]!)
  expect((await host.acquire('chain-9', asking, undefined)).name).toBe('chain-9')
})
