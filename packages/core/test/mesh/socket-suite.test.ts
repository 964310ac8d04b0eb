/**
 * The contract of sockets, kept by all of them.
 * @newest-node-only: the browser's transport runs on Node's own WebSocket
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { dial as browserDial } from '../../src/browser/sockets.ts'
import type { Socket } from '../../src/mesh/transport.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { simNetwork } from '../../src/testing/sim-network.ts'
import { simTime } from '../../src/testing/sim-time.ts'
import { type SocketHarness, socketSuite } from '../../src/testing/socket-suite.ts'
import { certificate } from './certificate.ts'
import { realHarness } from './kit.ts'

const runner = { describe, it, expect }
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ate-sockets-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('ws:', () => socketSuite(runner, () => realHarness('ws://127.0.0.1:0/db')))

describe('wss:', () => {
  socketSuite(runner, () => {
    const tls = certificate()
    return realHarness('wss://localhost:0', { listen: { tls }, dial: { ca: tls.cert } })
  })
})

describe('ws+unix:', () => {
  let count = 0
  socketSuite(runner, () => realHarness(`ws+unix:${join(folder, `${count++}.sock`)}:/db`))
})

describe("the browser's transport", () => {
  socketSuite(runner, () => realHarness('ws://127.0.0.1:0/db', { dialer: browserDial, pauses: 'server' }))
})

describe('the simulated network', () => {
  for (const seed of [1, 2, 3]) describe(`seed ${seed}`, () => socketSuite(runner, () => simHarness(seed)))
})

async function simHarness(seed: number): Promise<SocketHarness> {
  const time = simTime()
  const network = simNetwork({ ...time, random: seededRandom(seed) })
  const arrived: Socket[] = []
  const listening = await network.listen('beta')('ws://beta:0/db', { accept: (socket) => void arrived.push(socket) })
  return {
    pauses: 'both',
    async until(done, what) {
      if (!(await time.runUntil(done, 60_000))) throw new Error(`this did not come: ${what}`)
    },
    async connect() {
      const before = arrived.length
      const dialing = network.dial('alpha')(listening.url)
      await time.runUntil(() => arrived.length > before, 1000)
      await time.run(20)
      return { client: await dialing, server: arrived[before]! }
    },
    dispose: async () => {},
  }
}
