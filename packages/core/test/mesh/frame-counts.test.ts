/** What a commit costs on the wire in messages: one there and one back, and one to each who follows. */
import { expect, test } from 'vitest'
import { equalBytes } from '../../src/base/bytes.ts'
import { READ_WINDOW_BYTES } from '../../src/base/limits.ts'
import type { Dial, Socket } from '../../src/base/socket.ts'
import type { CryptoProvider } from '../../src/crypto/provider.ts'
import type { Chain } from '../../src/data/chain.ts'
import { defineType } from '../../src/data/entity-type.ts'
import { ChainQuota, Holdings } from '../../src/mesh/holdings.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import type { Platform } from '../../src/session/platform.ts'
import { machine, someone, startServer } from './net-kit.ts'

const Note = defineType<{ text: string }>('note')

interface Counts {
  sent: number
  received: number
}

/** A machine whose messages are counted. */
function counted(): { readonly platform: Platform; readonly counts: Counts } {
  const own = machine()
  const counts: Counts = { sent: 0, received: 0 }
  const dial: Dial = async (url, options) => {
    const socket = await own.dial(url, options)
    return new Proxy(socket, {
      get(target, name) {
        if (name === 'send')
          return (bytes: Uint8Array) => {
            counts.sent++
            target.send(bytes)
          }
        if (name === 'start')
          return (events: Parameters<Socket['start']>[0]) =>
            target.start({
              message(bytes) {
                counts.received++
                events.message(bytes)
              },
              closed: (reason) => events.closed(reason),
              drained: () => events.drained(),
            })
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }
  // Time stands still: an attestation that falls due is a message of its own.
  const { timers, clock, random } = own.environment
  const [now, monotonic] = [clock.now(), clock.monotonic()]
  const environment = {
    random,
    clock: { now: () => now, monotonic: () => monotonic },
    timers: { start: () => ({ cancel: () => undefined }), pause: () => timers.pause() },
  }
  return { platform: Object.create(own, { dial: { value: dial }, environment: { value: environment } }), counts }
}

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20))

test('a commit is one message to the server and one back, and one to who follows, who says nothing', async () => {
  await using server = await startServer()
  const [writing, reading] = [counted(), counted()]
  const options = { as: someone(), serverKey: server.identity, create: true }
  await using writer = await openChain(`${server.url}/notes`, options, writing.platform)
  await writer.transact((tx) => tx.create(Note, { text: 'first' }))
  await using reader = await openChain(`${server.url}/notes`, options, reading.platform)
  // A server counts what it stores; that takes some turns of promises more.
  const holdings = new Holdings()
  const hosted = await server.host.acquire(
    'notes',
    { identity: options.as, admitCreate: async () => undefined },
    undefined,
  )
  const quota = new ChainQuota({
    holdings,
    name: 'notes',
    owner: options.as.fingerprint,
    sizeBytes: () => 0,
    storedBytesMax: READ_WINDOW_BYTES,
  })
  const { sequencer } = hosted
  hosted.submit = (entries, by) => quota.submit(entries, (fitting) => sequencer.submit(fitting, by))
  // It attests what its identity has written.
  while (writer.stats().records < 3) await turn()
  await turn()
  Object.assign(writing.counts, { sent: 0, received: 0 })
  Object.assign(reading.counts, { sent: 0, received: 0 })
  await writer.transact((tx) => tx.create(Note, { text: 'second' }))
  await reader.refresh()
  await turn()
  expect(writing.counts).toEqual({ sent: 1, received: 1 })
  // And its own question whether that is all, with the answer.
  expect(reading.counts).toEqual({ sent: 1, received: 2 })
  server.host.release(hosted)
})

test.each([
  ['who only follows is told first', 1, ['follower 1', 'writer']],
  [
    'of many followers a writer does not wait',
    8,
    ['writer', ...Array.from({ length: 8 }, (_, i) => `follower ${i + 1}`)],
  ],
])('%s', async (_, followers, order) => {
  await using server = await startServer()
  const options = { as: someone(), serverKey: server.identity, create: true }
  const open = () => openChain(`${server.url}/notes`, options, machine())
  await using writer = await open()
  const others: Chain[] = []
  for (let i = 0; i < followers; i++) others.push(await open())
  const asker = { identity: options.as, admitCreate: async () => undefined }
  const hosted = await server.host.acquire('notes', asker, undefined)
  const told: string[] = []
  const names = ['writer', ...Array.from({ length: followers }, (_, i) => `follower ${i + 1}`)]
  for (const follower of hosted.followers) {
    const name = names.shift()!
    const stored = follower.stored.bind(follower)
    follower.stored = (acknowledgement) => {
      told.push(name)
      stored(acknowledgement)
    }
  }
  await writer.transact((tx) => tx.create(Note, { text: 'one' }))
  expect(told.slice(0, order.length)).toEqual(order)
  for (const other of others) await other.close()
  server.host.release(hosted)
})

test('who follows sees a record before its acknowledgement is verified, and its writer has his answer', async () => {
  await using server = await startServer()
  const options = { as: someone(), serverKey: server.identity, create: true }
  const verified = { writer: 0, reader: 0 }
  const watched = (who: keyof typeof verified): Platform => {
    const own = machine()
    const ed25519Verifier: CryptoProvider['ed25519Verifier'] = (key) => {
      const verifier = own.crypto.ed25519Verifier(key)
      if (!equalBytes(key, server.signer.publicKey)) return verifier
      return {
        verify(message, signature) {
          verified[who]++
          return verifier.verify(message, signature)
        },
      }
    }
    return Object.create(own, { crypto: { value: { ...own.crypto, ed25519Verifier } } })
  }
  await using writer = await openChain(`${server.url}/notes`, options, watched('writer'))
  await using reader = await openChain(`${server.url}/notes`, options, watched('reader'))
  await writer.transact((tx) => tx.create(Note, { text: 'first' }))
  await reader.refresh()
  await turn()
  const before = { ...verified }
  expect(Math.min(before.writer, before.reader)).toBeGreaterThan(0)
  // What an application does with it, without waiting for anything else.
  const work = async (): Promise<void> => {
    for (let i = 0; i < 30; i++) await undefined
  }
  const seen = (async () => {
    for await (const event of reader.events({ from: reader.head.seq + 1 })) {
      await event.value(Note)
      await work()
      return verified.reader
    }
    return undefined
  })()
  const answered = writer
    .transact((tx) => tx.create(Note, { text: 'second' }))
    .then(async () => {
      await work()
      return verified.writer
    })
  expect([await answered, await seen]).toEqual([before.writer, before.reader])
  await turn()
  expect(verified).toEqual({ writer: before.writer + 1, reader: before.reader + 1 })
})

test('a reader without bodies takes what with them is far more than the window holds', async () => {
  await using server = await startServer()
  const options = { as: someone(), serverKey: server.identity, create: true }
  await using writer = await openChain(`${server.url}/notes`, options, machine())
  const write = (): Promise<unknown> => writer.transact((tx) => tx.create(Note, { text: 'x'.repeat(700_000) }))
  const count = Math.ceil(READ_WINDOW_BYTES / 700_000) + 2
  for (let i = 0; i < count; i++) await write()
  await using reader = await openChain(`${server.url}/notes`, { ...options, bodies: 'on-demand' }, machine())
  expect(reader.stats().entities).toBe(writer.stats().entities)
  for (let i = 0; i < count; i++) await write()
  await reader.refresh()
  expect(reader.stats().entities).toBe(writer.stats().entities)
})
