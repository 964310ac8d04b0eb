/** Slow readers: what waits for one is bounded, in bytes and in time. */
import { describe, expect, it } from 'vitest'
import { OUTBOX_BYTES_MAX, OUTBOX_STALL_MS, SOCKET_LOW_BYTES } from '../../src/base/limits.ts'
import { Outbox, TOO_SLOW_TEXT } from '../../src/mesh/outbox-bound.ts'
import { CLOSE, type Socket } from '../../src/mesh/transport.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { simNetwork } from '../../src/testing/sim-network.ts'
import { type SimTime, simTime } from '../../src/testing/sim-time.ts'
import { type SocketLog, socketLog } from '../../src/testing/socket-suite.ts'

interface Reading {
  readonly time: SimTime
  readonly server: Socket
  readonly reader: Socket
  readonly outbox: Outbox
  readonly log: SocketLog
  readonly cuts: string[]
}

async function reading(
  options: { readonly bytesPerMs?: number; readonly windowBytes?: number } = {},
): Promise<Reading> {
  const time = simTime()
  const network = simNetwork({ ...time, random: seededRandom(5), link: options })
  const arrived: Socket[] = []
  const listening = await network.listen('server')('ws://x:0', { accept: (socket) => void arrived.push(socket) })
  const dialing = network.dial('reader')(listening.url)
  await time.run(20)
  const [reader, server] = [await dialing, arrived[0]!]
  const cuts: string[] = []
  const outbox = new Outbox(server, { timers: time.timers, onCut: (why) => void cuts.push(why) })
  server.start({ message: () => undefined, closed: () => outbox.closed(), drained: () => outbox.drained() })
  const log = socketLog()
  reader.start(log)
  return { time, server, reader, outbox, log, cuts }
}

const RECORD = new Uint8Array(100_000)

describe('a reader that stops', () => {
  it('is cut off when too much waits, and no byte more than that ever did', async () => {
    const { time, server, reader, outbox, log, cuts } = await reading()
    reader.pause()
    let most = 0
    for (let i = 0; i < 1000; i++) {
      outbox.send(RECORD)
      most = Math.max(most, server.bufferedBytes)
    }
    expect(most).toBeLessThanOrEqual(OUTBOX_BYTES_MAX)
    expect(most).toBeGreaterThan(OUTBOX_BYTES_MAX - 2 * RECORD.length)
    expect([cuts, outbox.isOver, outbox.roomBytes, outbox.send(RECORD)]).toEqual([['full'], true, 0, false])
    await time.run(60_000)
    expect(server.bufferedBytes).toBe(0)
    reader.resume()
    expect(log.reasons.map(({ code }) => code)).toEqual([CLOSE.ABNORMAL])
  })

  it('is cut off when it takes nothing for long, though little waits', async () => {
    const { time, reader, outbox, cuts } = await reading()
    reader.pause()
    for (let i = 0; i < 3; i++) outbox.send(RECORD)
    await time.run(OUTBOX_STALL_MS - 1000)
    expect(cuts).toEqual([])
    await time.run(2000)
    expect(cuts).toEqual(['stalled'])
  })

  it('and goes on in time, hears why it was cut off, and what to do', async () => {
    const { time, reader, outbox, log } = await reading()
    reader.pause()
    while (outbox.send(RECORD));
    reader.resume()
    await time.run(1000)
    expect(log.reasons).toEqual([{ code: CLOSE.TOO_SLOW, text: TOO_SLOW_TEXT }])
    expect(log.messages.length).toBeGreaterThan(30)
  })
})

describe('a reader that is slow', () => {
  it('is borne for as long as it takes something', async () => {
    const { time, outbox, cuts, log } = await reading({ bytesPerMs: 3 })
    for (let i = 0; i < 12; i++) outbox.send(RECORD)
    await time.run(10 * OUTBOX_STALL_MS)
    await time.run(10 * OUTBOX_STALL_MS)
    expect([cuts, log.messages.length]).toEqual([[], 12])
  })

  it('is sent all of a long history by a sender that waits for room', async () => {
    const { time, server, outbox, cuts, log } = await reading({ bytesPerMs: 100 })
    let most = 0
    const sending = (async () => {
      for (let i = 0; i < 200 && (await outbox.room()); i++) {
        outbox.send(RECORD)
        most = Math.max(most, server.bufferedBytes)
      }
    })()
    expect(await time.runUntil(() => log.messages.length === 200, 1_000_000)).toBe(true)
    await sending
    expect(cuts).toEqual([])
    expect(most).toBeLessThanOrEqual(SOCKET_LOW_BYTES + RECORD.length)
  })

  it('that goes away wakes the sender that waits for it', async () => {
    const { time, reader, outbox } = await reading({ bytesPerMs: 1 })
    outbox.send(RECORD)
    outbox.send(RECORD)
    const waiting = outbox.room()
    reader.terminate()
    await time.run(1000)
    expect([await waiting, await outbox.room(), outbox.send(RECORD)]).toEqual([false, false, false])
  })
})

describe('at its very bounds', () => {
  function bare(bytesMax: number): {
    readonly socket: { bufferedBytes: number; closes: number }
    readonly timers: (() => void)[]
    readonly cuts: string[]
    readonly outbox: Outbox
  } {
    const socket = { bufferedBytes: 0, closes: 0 }
    const timers: (() => void)[] = []
    const cuts: string[] = []
    const start = (_ms: number, run: () => void): { cancel(): void } => {
      timers.push(run)
      return { cancel: () => undefined }
    }
    const outbox = new Outbox(
      Object.assign(socket, {
        send(bytes: Uint8Array) {
          socket.bufferedBytes += bytes.length
        },
        close() {
          socket.closes++
        },
      }),
      {
        timers: { start } as never,
        bytesMax,
        onCut: (why) => void cuts.push(why),
      },
    )
    return { socket, timers, cuts, outbox }
  }

  it('what waits may be all of it, and not a byte more', () => {
    const { socket, cuts, outbox } = bare(100)
    expect([outbox.send(new Uint8Array(60)), outbox.send(new Uint8Array(40)), outbox.roomBytes]).toEqual([
      true,
      true,
      0,
    ])
    expect([outbox.send(new Uint8Array(1)), cuts, socket.closes]).toEqual([false, ['full'], 1])
  })

  it('little is little up to its last byte: there is room, and nobody looks', async () => {
    const { socket, timers, outbox, cuts } = bare(2 * SOCKET_LOW_BYTES)
    outbox.send(new Uint8Array(SOCKET_LOW_BYTES))
    expect([await outbox.room(), timers.length]).toEqual([true, 0])
    outbox.send(new Uint8Array(1))
    expect(timers.length).toBe(1)
    let hasRoom: boolean | undefined
    const waiting = outbox.room().then((answer) => {
      hasRoom = answer
    })
    await Promise.resolve()
    await Promise.resolve()
    expect(hasRoom).toBe(undefined)
    // It has taken one byte, so little waits: it is not looked at again.
    socket.bufferedBytes = SOCKET_LOW_BYTES
    timers[0]!()
    expect([timers.length, cuts]).toEqual([1, []])
    outbox.drained()
    await waiting
    expect(hasRoom).toBe(true)
    socket.bufferedBytes = SOCKET_LOW_BYTES + 1
    outbox.closed()
    expect(await outbox.room()).toBe(false)
  })
})
