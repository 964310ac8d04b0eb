/** The simulated network: a seed replays a run, and what goes wrong in it goes wrong as on a real one. */
import { describe, expect, it } from 'vitest'
import { equalBytes } from '../../src/base/bytes.ts'
import { SOCKET_LOW_BYTES } from '../../src/base/limits.ts'
import { CLOSE, type Listening, type ListenOptions, type Socket } from '../../src/mesh/transport.ts'
import { codeOf } from '../../src/testing/log-suite.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { type SimLink, type SimNetwork, simNetwork } from '../../src/testing/sim-network.ts'
import { type SimTime, simTime } from '../../src/testing/sim-time.ts'
import { type SocketLog, socketLog, testMessage } from '../../src/testing/socket-suite.ts'
import { testPlatform } from '../../src/testing/test-platform.ts'

interface World {
  readonly time: SimTime
  readonly network: SimNetwork
  readonly listening: Listening
  readonly arrived: Socket[]
  dial(host?: string): Promise<Socket>
}

async function world(link: Partial<SimLink> = {}, seed = 7, options: Partial<ListenOptions> = {}): Promise<World> {
  const time = simTime()
  const network = simNetwork({ ...time, random: seededRandom(seed), link })
  const arrived: Socket[] = []
  const accept = (socket: Socket): void => void arrived.push(socket)
  const listening = await network.listen('server')('ws://0.0.0.0:0/db', { accept, ...options })
  return {
    time,
    network,
    listening,
    arrived,
    async dial(host = 'client') {
      const dialing = network.dial(host)(listening.url)
      dialing.catch(() => undefined)
      await time.run(20_000)
      return dialing
    },
  }
}

/** A connection and what both ends are told. */
async function connected(
  made: World,
  host?: string,
): Promise<{ client: Socket; server: Socket; own: SocketLog; other: SocketLog }> {
  const client = await made.dial(host)
  const server = made.arrived.at(-1)!
  const [own, other] = [socketLog(), socketLog()]
  client.start(own)
  server.start(other)
  return { client, server, own, other }
}

describe('time', () => {
  it('runs timers in the order of their times, of one time in the order of their starts, cancelled ones never', () => {
    const time = simTime(1000)
    const random = seededRandom(3)
    const ran: (readonly [number, number])[] = []
    const wanted: (readonly [number, number])[] = []
    for (let i = 0; i < 500; i++) {
      const at = random.below(50)
      const timer = time.timers.start(at, () => ran.push([time.clock.monotonic(), i]))
      if (i % 7 === 0) timer.cancel()
      else wanted.push([at, i])
    }
    time.advance(20)
    expect(time.clock.now()).toBe(1020)
    time.advance(30)
    expect(ran).toEqual(wanted.sort((a, b) => a[0] - b[0] || a[1] - b[1]))
  })

  it('is one for the platforms of several machines, and only a wall clock is set alone', () => {
    const time = simTime()
    const [a, b] = [testPlatform(1, { time }), testPlatform(2, { time })]
    const ran: string[] = []
    a.environment.timers.start(10, () => ran.push('a'))
    b.environment.timers.start(5, () => ran.push('b'))
    a.setWallClock(5)
    time.advance(10)
    expect([ran, a.environment.clock.now(), b.environment.clock.now()]).toEqual([['b', 'a'], 15, 1_700_000_000_010])
  })
})

describe('a run', () => {
  async function trace(seed: number): Promise<string> {
    const made = await world({ delayMs: [1, 40], breakOneIn: 40 }, seed)
    const lines: string[] = []
    const told = (
      name: string,
    ): { message(b: Uint8Array): void; closed(r: { code: number }): void; drained(): void } => ({
      message: (bytes) => lines.push(`${made.time.clock.monotonic()} ${name} ${bytes.length}`),
      closed: ({ code }) => lines.push(`${made.time.clock.monotonic()} ${name} closed ${code}`),
      drained: () => lines.push(`${made.time.clock.monotonic()} ${name} drained`),
    })
    for (let i = 0; i < 5; i++) {
      const client = await made.dial()
      client.start(told(`client ${i}`))
      made.arrived.at(-1)!.start(told(`server ${i}`))
      for (let j = 0; j < 20; j++) client.send(testMessage(j, j * 5000))
      await made.time.run(5)
      made.arrived.at(-1)!.send(testMessage(1, 10))
    }
    await made.time.run(200_000)
    return lines.join('\n')
  }

  it('is the same for the same seed, and another for another', async () => {
    expect(await trace(5)).toBe(await trace(5))
    expect(await trace(5)).not.toBe(await trace(6))
  })

  it('with breaks ends every connection that broke at both ends, what came before being whole', async () => {
    for (let seed = 0; seed < 20; seed++) {
      const made = await world({ breakOneIn: 15 }, seed)
      const { client, own, other } = await connected(made)
      for (let i = 0; i < 100; i++) client.send(testMessage(i, 30_000))
      await made.time.run(300_000)
      const isBroken = own.reasons.length > 0
      expect([seed, other.reasons.length > 0]).toEqual([seed, isBroken])
      for (const [i, bytes] of other.messages.entries()) expect(equalBytes(bytes, testMessage(i, 30_000))).toBe(true)
      if (!isBroken) expect(other.messages.length).toBe(100)
      expect(made.network.connections).toBe(isBroken ? 0 : 1)
    }
  })
})

describe('bandwidth and a window', () => {
  it('a transfer takes its bytes over the bandwidth', async () => {
    const made = await world({ delayMs: [0, 0], bytesPerMs: 100, windowBytes: 1_000_000 })
    const { client, other } = await connected(made)
    client.send(testMessage(1, 100_000))
    await made.time.run(100)
    expect(other.messages.length).toBe(0)
    await made.time.run(1000)
    expect(other.messages.length).toBe(1)
  })

  it('a reader that stops leaves the rest with the sender, byte by byte', async () => {
    const made = await world({ windowBytes: 1000 })
    const { client, server, other } = await connected(made)
    server.pause()
    client.send(testMessage(1, 100_000))
    await made.time.run(60_000)
    expect([client.bufferedBytes, other.messages.length]).toEqual([99_000, 0])
    server.resume()
    await made.time.run(60_000)
    expect([client.bufferedBytes, other.messages.length]).toEqual([0, 1])
  })

  it('a drain is told once', async () => {
    const made = await world({ windowBytes: 1000 })
    const { client, own } = await connected(made)
    client.send(testMessage(1, 2 * SOCKET_LOW_BYTES))
    await made.time.run(60_000)
    expect(own.drains).toBe(1)
  })
})

describe('a partition', () => {
  it('holds everything back, and lets it go on when it heals', async () => {
    const made = await world()
    const { client, server, own, other } = await connected(made)
    made.network.partition('client', 'server')
    client.send(testMessage(1, 10))
    server.send(testMessage(2, 10))
    await made.time.run(50_000)
    expect([own.messages.length, other.messages.length]).toEqual([0, 0])
    made.network.heal('server', 'client')
    await made.time.run(200_000)
    expect([own.messages.length, other.messages.length, own.reasons, other.reasons]).toEqual([1, 1, [], []])
  })

  it('that lasts is found at both ends', async () => {
    const made = await world({ deadMs: 1000 })
    const { own, other } = await connected(made)
    made.network.partition('client', 'server')
    await made.time.run(2000)
    expect([own.reasons[0]?.code, other.reasons[0]?.code]).toEqual([CLOSE.ABNORMAL, CLOSE.ABNORMAL])
    expect(made.network.connections).toBe(0)
  })

  it('keeps others alone, and lets nobody dial until it heals', async () => {
    const made = await world()
    made.network.partition('client', 'server')
    const third = await connected(made, 'third')
    third.client.send(testMessage(1, 1))
    const dialing = made.network.dial('client')(made.listening.url, { timeout: 5000 })
    dialing.catch(() => undefined)
    await made.time.run(4000)
    made.network.heal('client', 'server')
    await made.time.run(4000)
    expect(third.other.messages.length).toBe(1)
    ;(await dialing).terminate()
    made.network.partition('client', 'server')
    expect(await codeOf(() => made.dial())).toBe('SERVER_UNREACHABLE')
  })
})

describe('a machine', () => {
  it('whose process dies resets its connections, and refuses new ones', async () => {
    const made = await world()
    const { own } = await connected(made)
    made.network.kill('server')
    await made.time.run(100)
    expect(own.reasons.map(({ code }) => code)).toEqual([CLOSE.ABNORMAL])
    expect(await codeOf(() => made.dial())).toBe('SERVER_UNREACHABLE')
  })

  it('without power leaves the other end half-open until it is found dead', async () => {
    const made = await world({ deadMs: 5000 })
    const { client, own, other } = await connected(made)
    made.network.vanish('server')
    client.send(testMessage(1, 1))
    await made.time.run(4000)
    expect(own.reasons).toEqual([])
    await made.time.run(2000)
    expect([own.reasons.length, other.reasons.length, other.messages.length]).toEqual([1, 0, 0])
  })

  it('that comes back resets what it knows nothing of, and can listen again', async () => {
    const made = await world({ deadMs: 1_000_000 })
    const { client, own } = await connected(made)
    made.network.vanish('server')
    await made.time.run(1000)
    made.network.restart('server')
    client.send(testMessage(1, 1))
    await made.time.run(100)
    expect(own.reasons.length).toBe(1)
    const again = await made.network.listen('server')(made.listening.url, { accept: () => undefined })
    ;(await made.dial()).terminate()
    expect(await codeOf(() => made.network.listen('server')(again.url, { accept: () => undefined }))).toBe(
      'CANNOT_LISTEN',
    )
  })

  it('knows its own programs, is asked before it takes a connection, and serves its paths alone', async () => {
    const made = await world({}, 1, { admits: (peer) => peer !== 'stranger', socketsMax: 2 })
    const local = await made.dial('server')
    expect([local.isLoopback, made.arrived[0]!.isLoopback, made.arrived[0]!.peer]).toEqual([true, true, 'server'])
    await made.dial()
    expect([made.arrived[1]!.isLoopback, made.arrived[1]!.peer]).toEqual([false, 'client'])
    expect(await codeOf(() => made.dial('stranger'))).toBe('SERVER_UNREACHABLE')
    expect(await codeOf(() => made.dial('third'))).toBe('SERVER_UNREACHABLE')
    const wrong = made.network.dial('client')(made.listening.url.replace('/db', '/other'))
    const code = codeOf(() => wrong)
    await made.time.run(100)
    expect(await code).toBe('SERVER_UNREACHABLE')
  })

  it('stops as a real one does', async () => {
    const made = await world()
    const { own } = await connected(made)
    const closing = made.listening.close()
    await made.time.run(100)
    await closing
    expect([own.reasons, made.listening.sockets]).toEqual([[{ code: CLOSE.GOING_AWAY, text: 'the server stops' }], 0])
  })
})
