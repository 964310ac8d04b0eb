/** Chains of a server that nobody uses, or that nobody writes: what they hold goes, and comes back when it is asked for. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { RECENT_IDLE_MS } from '../../src/base/limits.ts'
import { CLOSE, type Socket, type SocketEvents } from '../../src/base/socket.ts'
import { makeGenesis } from '../../src/data/create-chain.ts'
import { defineType } from '../../src/data/entity-type.ts'
import { openEngine, parsePlace } from '../../src/data/place.ts'
import { parseChainName } from '../../src/mesh/chain-name.ts'
import type { Asking } from '../../src/mesh/host.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import type { Listen } from '../../src/mesh/transport.ts'
import { platform } from '../../src/node/platform.ts'
import { openServerFolder } from '../../src/node/server-folder.ts'
import { simTime } from '../../src/testing/sim-time.ts'
import { until } from './kit.ts'
import { someone, startServer } from './net-kit.ts'
import { SimWorld, simPerson } from './sim-world.ts'

const Note = defineType<{ n: number }>('note')
const Text = defineType<{ text: string }>('text')
const CHAINS = Number(process.env['ATE_CHAINS'] ?? 60)

test('records leave memory some time after the newest, and a reader has them all the same', async () => {
  const world = new SimWorld(1)
  const { host } = await world.startServer()
  const [me, serverKey] = [simPerson('me'), simPerson('server')]
  const chain = await world.wait(openChain(`${world.url}/c`, { as: me, create: true, serverKey }, world.machine('a')))
  const write = (n: number): Promise<unknown> => world.wait(chain.transact((tx) => tx.create(Note, { n })))
  await write(0)
  const asking: Asking = { identity: me, admitCreate: async () => undefined }
  const hosted = await host.acquire('c', asking, undefined)
  const seq = hosted.sequencer.head.seq
  expect(hosted.recent(seq)).toBeDefined()
  // What comes in between keeps all of them for longer.
  await world.time.run(RECENT_IDLE_MS * 0.7)
  await write(1)
  await world.time.run(RECENT_IDLE_MS * 0.7)
  expect(hosted.recent(seq)).toBeDefined()
  await world.time.run(3 * RECENT_IDLE_MS)
  for (let at = 0; at <= hosted.sequencer.head.seq; at++) expect(hosted.recent(at)).toBe(undefined)
  const reader = await world.wait(openChain(`${world.url}/c`, { as: me, serverKey }, world.machine('b')))
  await write(2)
  await world.wait(reader.refresh())
  const seen: number[] = []
  const all = async (): Promise<void> => {
    for await (const { value } of reader.children(Note)) seen.push(value.n)
  }
  await world.wait(all())
  expect(seen).toEqual([0, 1, 2])
  host.release(hosted)
  await world.wait(Promise.all([chain.close(), reader.close()]))
})

test(`${CHAINS} chains in files are open with a bounded number of files, closed when idle, and opened again`, async () => {
  const root = mkdtempSync(join(tmpdir(), 'ate-idle-'))
  const folder = await openServerFolder(root, {}, platform)
  const files = (): number => (existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0)
  const chainPlatform = Object.create(platform, { openFolder: { value: folder.chainFiles.openFolder } })
  const store = {
    open: (name: string, { create }: { readonly create: boolean }) =>
      openEngine(parsePlace(`file:${folder.chainPath(parseChainName(name))}`, {}, chainPlatform), {
        create,
        label: undefined,
        known: undefined,
      }),
  }
  const time = simTime()
  const { crypto, environment } = platform
  const server = Object.create(platform, {
    environment: { value: { random: environment.random, clock: time.clock, timers: time.timers } },
  })
  await using served = await startServer({ store, platform: server })
  const { host } = served
  const identity = someone()
  const asking: Asking = { identity, admitCreate: async () => undefined }
  const servers = { sequencers: [served.identity.fingerprintBytes], checkpointKeys: [] }
  const before = files()
  for (let i = 0; i < CHAINS; i++) {
    const { record } = makeGenesis({ crypto, environment, identity }, 'disk', servers)
    host.release(await host.acquire(`c${i}`, asking, record.bytes))
  }
  expect(host.size).toBe(CHAINS)
  // Two of each, and no more than a server may have of all.
  expect(files() - before).toBeLessThanOrEqual(Math.min(2 * CHAINS, 5000))
  const one = await host.acquire('c0', asking, undefined)
  time.advance(61_000)
  await until(() => host.size === 1, 'that all but one were closed')
  await until(() => files() - before <= 4, 'that their files were closed')
  const again = await host.acquire(`c${CHAINS - 1}`, asking, undefined)
  expect([again.replica.head.seq, one.replica.head.seq]).toEqual([0, 0])
  for (const chain of [one, again]) host.release(chain)
  await host.close()
  await folder.close()
  rmSync(root, { recursive: true })
})

test('a connection that breaks while a chain is being opened on it does not hold the chain', async () => {
  const world = new SimWorld(6)
  let isArmed = false
  const inner = world.network.listen('server')
  const listen: Listen = (urls, options) =>
    inner(urls, { ...options, accept: (socket, arrival) => options.accept(breaking(socket), arrival) })
  const breaking = (socket: Socket): Socket => {
    let events: SocketEvents | undefined
    return Object.create(socket, {
      peer: { value: socket.peer },
      bufferedBytes: { get: () => socket.bufferedBytes },
      start: {
        value: (given: SocketEvents) => {
          events = given
          socket.start(given)
        },
      },
      send: {
        value: (bytes: Uint8Array) => {
          if (!isArmed || bytes.length < 64 * 1024) {
            socket.send(bytes)
            return
          }
          isArmed = false
          socket.terminate()
          events!.closed({ code: CLOSE.ABNORMAL, text: '' })
        },
      },
      ...Object.fromEntries(
        (['pause', 'resume', 'limit', 'ref', 'unref', 'close', 'terminate'] as const).map((name) => [
          name,
          { value: (...given: never[]) => (socket[name] as (...given: never[]) => void)(...given) },
        ]),
      ),
    }) as Socket
  }
  const server = await world.startServer({ listen })
  const options = { as: simPerson('me'), serverKey: simPerson('server') }
  const chain = await world.wait(openChain(`${world.url}/c`, { ...options, create: true }, world.machine('a')))
  const other = await world.wait(openChain(`${world.url}/c`, options, world.machine('b')))
  await world.wait(other.refresh())
  // The newest connection: it comes back a moment later.
  ;[...server.connections].at(-1)!.close()
  await world.wait(chain.transact((tx) => void tx.create(Text, { text: 'x'.repeat(100_000) })))
  isArmed = true
  // What it lacks is in memory, and is sent in the turn in which the chain is opened.
  expect(await world.time.runUntil(() => !isArmed, 60_000)).toBe(true)
  await world.time.run(5000)
  expect(other.children(Text).count()).toBe(1)
  await world.wait(Promise.all([chain.close(), other.close()]))
  await world.time.run(200_000)
  expect(server.host.size).toBe(0)
})
