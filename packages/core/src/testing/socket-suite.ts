/** What every transport must do: the contract of base/socket.ts as tests, for both ends of a connection. */
import { SOCKET_LOW_BYTES, SOCKET_MESSAGE_BYTES_MAX, SOCKET_REASON_BYTES_MAX } from '../base/limits.ts'
import { CLOSE, type CloseReason, type Socket, type SocketEvents } from '../base/socket.ts'
import type { SuiteRunner } from './log-suite.ts'

export interface SocketPair {
  readonly client: Socket
  readonly server: Socket
}

/** A way to make connections, whose two ends are both here. */
export interface SocketHarness {
  /** Neither end is started. */
  connect(): Promise<SocketPair>
  /** Waits, or moves simulated time on, until `done`; rejects with `what` if that does not come. */
  until(done: () => boolean, what: string): Promise<void>
  /** The clients of a browser cannot be made to wait. */
  readonly pauses: 'both' | 'server'
  dispose(): Promise<void>
}

/** What a socket told, as a list. */
export interface SocketLog extends SocketEvents {
  readonly messages: Uint8Array[]
  readonly reasons: CloseReason[]
  readonly drains: number
}

export function socketLog(onMessage?: (bytes: Uint8Array) => void): SocketLog {
  const messages: Uint8Array[] = []
  const reasons: CloseReason[] = []
  let drains = 0
  return {
    messages,
    reasons,
    get drains() {
      return drains
    },
    message(bytes) {
      if (reasons.length > 0) throw new Error('a message after the end')
      messages.push(bytes.slice())
      onMessage?.(bytes)
    },
    closed: (reason) => void reasons.push(reason),
    drained: () => void drains++,
  }
}

/** Bytes that tell their own number and size. */
export function testMessage(number: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  for (let i = 0; i < size; i++) bytes[i] = number * 31 + i * 7 + (i >> 8)
  return bytes
}

type Side = 'client' | 'server'
const SIDES: readonly Side[] = ['client', 'server']

export function socketSuite({ describe, it, expect }: SuiteRunner, open: () => Promise<SocketHarness>): void {
  function withHarness(name: string, body: (harness: SocketHarness) => Promise<void>): void {
    it(name, async () => {
      const harness = await open()
      try {
        await body(harness)
      } finally {
        await harness.dispose()
      }
    })
  }

  function ends(pair: SocketPair, side: Side): { readonly near: Socket; readonly far: Socket } {
    return side === 'client' ? { near: pair.client, far: pair.server } : { near: pair.server, far: pair.client }
  }

  for (const side of SIDES) {
    describe(`what the ${side} sends`, () => {
      withHarness('arrives whole, in order, whatever its size', async (harness) => {
        const { near, far } = ends(await harness.connect(), side)
        const log = socketLog()
        far.start(log)
        near.start(socketLog())
        const sizes = [0, 1, 125, 126, 65_535, 65_536, 200_000, 3, SOCKET_MESSAGE_BYTES_MAX, 0]
        const sent = sizes.map((size, i) => testMessage(i, size))
        for (const bytes of sent) near.send(bytes.slice())
        await harness.until(() => log.messages.length === sizes.length, 'all messages')
        expect(log.messages.map((bytes, i) => sameBytes(bytes, sent[i]!))).toEqual(sizes.map(() => true))
        expect(log.reasons).toEqual([])
      })

      withHarness('waits for start', async (harness) => {
        const { near, far } = ends(await harness.connect(), side)
        const log = socketLog()
        const back = socketLog()
        near.start(back)
        for (let i = 0; i < 20; i++) near.send(testMessage(i, 10))
        // What is sent back shows that the first ones are there.
        far.send(testMessage(0, 1))
        await harness.until(() => back.messages.length === 1, 'a message back')
        far.start(log)
        await harness.until(() => log.messages.length === 20, 'all messages')
        expect(log.messages.map((bytes, i) => sameBytes(bytes, testMessage(i, 10)))).toEqual(Array(20).fill(true))
      })

      withHarness('arrives before the end that follows it, started late or not', async (harness) => {
        const { near, far } = ends(await harness.connect(), side)
        const log = socketLog()
        const own = socketLog()
        near.start(own)
        near.send(testMessage(1, 300_000))
        near.close(4321, 'enough')
        near.send(testMessage(2, 1))
        near.close(CLOSE.NORMAL, 'again')
        far.start(log)
        await harness.until(() => log.reasons.length > 0 && own.reasons.length > 0, 'both ends closed')
        expect(log.messages.map((bytes) => bytes.length)).toEqual([300_000])
        expect(log.reasons).toEqual([{ code: 4321, text: 'enough' }])
        expect(own.reasons).toEqual([{ code: 4321, text: 'enough' }])
        far.send(testMessage(3, 1))
        far.close(CLOSE.NORMAL, '')
        near.terminate()
        far.resume()
        expect([far.bufferedBytes, near.bufferedBytes, log.reasons.length, own.reasons.length]).toEqual([0, 0, 1, 1])
      })

      withHarness('is refused where it is over the limit of the other end', async (harness) => {
        const { near, far } = ends(await harness.connect(), side)
        const [log, own] = [socketLog(), socketLog()]
        far.limit(1000)
        far.start(log)
        near.start(own)
        near.send(testMessage(1, 1000))
        near.send(testMessage(2, 1001))
        near.send(testMessage(3, 1))
        await harness.until(() => log.reasons.length > 0 && own.reasons.length > 0, 'both ends closed')
        expect(log.messages.map((bytes) => bytes.length)).toEqual([1000])
        expect(log.reasons.map(({ code }) => code)).toEqual([CLOSE.TOO_LARGE])
      })

      withHarness('ends when the other end is cut off', async (harness) => {
        const { near, far } = ends(await harness.connect(), side)
        const [log, own] = [socketLog(), socketLog()]
        far.start(log)
        near.start(own)
        far.terminate()
        await harness.until(() => log.reasons.length > 0 && own.reasons.length > 0, 'both ends closed')
        expect([log.reasons[0]!.code, own.reasons[0]!.code]).toEqual([CLOSE.ABNORMAL, CLOSE.ABNORMAL])
      })
    })

    describe(`a ${side} that pauses`, () => {
      withHarness('is given nothing until it resumes, and misses nothing', async (harness) => {
        const { near, far } = ends(await harness.connect(), side)
        const log = socketLog(() => log.messages.length === 3 && near.pause())
        const back = socketLog()
        near.start(log)
        far.start(back)
        for (let i = 0; i < 50; i++) far.send(testMessage(i, 100))
        near.send(testMessage(0, 1))
        await harness.until(() => log.messages.length === 3 && back.messages.length === 1, 'three messages')
        expect(log.messages.length).toBe(3)
        near.resume()
        await harness.until(() => log.messages.length === 50, 'the others')
        expect(log.messages.map((bytes, i) => sameBytes(bytes, testMessage(i, 100)))).toEqual(Array(50).fill(true))
      })

      withHarness('makes the other end wait, which hears when it goes on', async (harness) => {
        if (side === 'client' && harness.pauses === 'server') return
        const { near, far } = ends(await harness.connect(), side)
        const log = socketLog()
        const back = socketLog()
        near.start(log)
        far.start(back)
        near.pause()
        let sent = 0
        // A system takes some megabytes at once; what it does not take shows here.
        while (far.bufferedBytes <= 4 * SOCKET_LOW_BYTES && sent < 1000) far.send(testMessage(sent++, 256 * 1024))
        expect(far.bufferedBytes > 4 * SOCKET_LOW_BYTES).toBe(true)
        expect(log.messages.length).toBe(0)
        near.resume()
        await harness.until(() => log.messages.length === sent && back.drains > 0, 'everything, and a drain')
        expect(far.bufferedBytes <= SOCKET_LOW_BYTES).toBe(true)
        expect(log.messages.every((bytes, i) => sameBytes(bytes, testMessage(i, 256 * 1024)))).toBe(true)
      })

      withHarness('can still close', async (harness) => {
        const { near, far } = ends(await harness.connect(), side)
        const [log, other] = [socketLog(), socketLog()]
        near.start(log)
        far.start(other)
        near.pause()
        for (let i = 0; i < 5; i++) far.send(testMessage(i, 1000))
        near.close(4002, 'too slow')
        await harness.until(() => log.reasons.length > 0 && other.reasons.length > 0, 'both ends closed')
        expect(log.messages.length).toBe(0)
        expect([log.reasons[0], other.reasons[0]]).toEqual([
          { code: 4002, text: 'too slow' },
          { code: 4002, text: 'too slow' },
        ])
      })
    })

    describe(`a ${side} that closes`, () => {
      withHarness('gives no message any more', async (harness) => {
        const { near, far } = ends(await harness.connect(), side)
        const log: SocketLog = socketLog(() => near.close(CLOSE.NORMAL, ''))
        const other = socketLog()
        near.start(log)
        far.start(other)
        for (let i = 0; i < 10; i++) far.send(testMessage(i, 10))
        await harness.until(() => log.reasons.length > 0 && other.reasons.length > 0, 'both ends closed')
        expect(log.messages.length).toBe(1)
      })

      withHarness('has its reason cut between characters', async (harness) => {
        const { near, far } = ends(await harness.connect(), side)
        const other = socketLog()
        near.start(socketLog())
        far.start(other)
        near.close(4000, 'é'.repeat(SOCKET_REASON_BYTES_MAX))
        await harness.until(() => other.reasons.length > 0, 'the other end closed')
        expect(other.reasons).toEqual([{ code: 4000, text: 'é'.repeat((SOCKET_REASON_BYTES_MAX - 1) / 2) }])
      })

      withHarness('agrees with another that closes at the same time', async (harness) => {
        const { near, far } = ends(await harness.connect(), side)
        const [log, other] = [socketLog(), socketLog()]
        near.start(log)
        far.start(other)
        near.close(4010, 'near')
        far.close(4011, 'far')
        await harness.until(() => log.reasons.length > 0 && other.reasons.length > 0, 'both ends closed')
        expect([log.reasons, other.reasons]).toEqual([[{ code: 4010, text: 'near' }], [{ code: 4011, text: 'far' }]])
      })
    })
  }

  withHarness('a socket is started once, and closes with codes that browsers allow', async (harness) => {
    const { client, server } = await harness.connect()
    for (const socket of [client, server]) {
      socket.start(socketLog())
      for (const wrong of [
        () => socket.start(socketLog()),
        () => socket.close(1001, ''),
        () => socket.close(2999, ''),
        () => socket.close(5000, ''),
        () => socket.send(new Uint8Array(SOCKET_MESSAGE_BYTES_MAX + 1)),
      ]) {
        expect(thrown(wrong)).toBe('AteError')
      }
    }
  })
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

function thrown(run: () => void): string {
  try {
    run()
    return 'nothing'
  } catch (error) {
    return (error as Error).name
  }
}
