/**
 * NATS JetStream, as Debian has it: started here, in the folder of the run, and ended with it. 2.9 answers a publish before
 * anything is synced, so its class is `os`.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { BusEngine, BusStore } from './engine.ts'

/** The parts of the client that are called; it is loaded from bench/peers, which need not be installed. */
interface Connection {
  subscribe(subject: string, options: { callback(error: unknown, message: Message): void }): unknown
  publish(subject: string, data?: string): void
  request(subject: string, data: string, options: { timeout: number }): Promise<unknown>
  flush(): Promise<void>
  close(): Promise<void>
}
interface Message {
  readonly data: Uint8Array
  ack(): void
  respond(data: string): void
}
interface JetStream {
  publish(subject: string, data: string): Promise<unknown>
  readonly consumers: { get(stream: string, consumer?: string | object): Promise<Consumer> }
}
interface Consumer {
  consume(options: { max_messages: number }): Promise<AsyncIterable<Message> & { close(): Promise<void> }>
}
interface Manager {
  readonly streams: {
    add(config: object): Promise<unknown>
    info(stream: string): Promise<{ state: { messages: number } }>
  }
  readonly consumers: { add(stream: string, config: object): Promise<unknown> }
}

const STREAM = 'bench'
const SUBJECT = 'bench.event'
const START_MS = 10_000

export const engine: BusEngine = {
  name: 'nats',
  durability: 'os',
  note: 'nats-server of Debian, one stream in files; acknowledged before it is synced; consume: pull, 500 at a time, an ack each',
  open,
}

async function open(folder: string): Promise<BusStore> {
  const port = await freePort()
  const server = spawn('nats-server', ['-a', '127.0.0.1', '-p', String(port), '-js', '-sd', join(folder, 'js')], {
    stdio: 'ignore',
  })
  server.on('error', () => undefined)
  const require = createRequire(new URL('../peers/package.json', import.meta.url))
  const load = (name: string): Promise<unknown> => import(pathToFileURL(require.resolve(name)).href)
  const { connect } = (await load('@nats-io/transport-node')) as { connect(options: object): Promise<Connection> }
  const { jetstream, jetstreamManager } = (await load('@nats-io/jetstream')) as {
    jetstream(connection: Connection): JetStream
    jetstreamManager(connection: Connection): Promise<Manager>
  }
  const connection = await connected(() => connect({ servers: `127.0.0.1:${port}` }), server)
  const manager = await jetstreamManager(connection)
  await manager.streams.add({ name: STREAM, subjects: ['bench.>'], storage: 'file' })
  const stream = jetstream(connection)
  let isAnswering = false
  const read = async (consumer: Consumer, count: number, each: (message: Message) => void): Promise<void> => {
    const messages = await consumer.consume({ max_messages: 500 })
    let seen = 0
    if (count === 0) return
    for await (const message of messages) {
      if (message.data.length === 0) throw new Error('empty')
      each(message)
      if (++seen === count) break
    }
    await messages.close()
  }
  return {
    publish: (text) => stream.publish(SUBJECT, text),
    async consume(count, name) {
      await manager.consumers.add(STREAM, {
        durable_name: name,
        ack_policy: 'explicit',
        filter_subject: SUBJECT,
        max_ack_pending: 1000,
      })
      await read(await stream.consumers.get(STREAM, name), count, (message) => message.ack())
      await connection.flush()
    },
    async replay() {
      const { messages } = (await manager.streams.info(STREAM)).state
      await read(await stream.consumers.get(STREAM, {}), messages, () => undefined)
      return messages
    },
    async listen(heard) {
      connection.subscribe(SUBJECT, { callback: heard })
      await connection.flush()
    },
    async listenSlowly() {
      await manager.consumers.add(STREAM, { durable_name: 'slow', ack_policy: 'explicit', filter_subject: SUBJECT })
    },
    async request() {
      if (!isAnswering) connection.subscribe('query', { callback: (_, message) => message.respond('x') })
      isAnswering = true
      return connection.request('query', 'x', { timeout: 10_000 })
    },
    emit: (text) => connection.publish('passing.event', text),
    async listenPassing(heard) {
      connection.subscribe('passing.event', { callback: heard })
      await connection.flush()
    },
    bytes: () => bytesBelow(join(folder, 'js')),
    async close() {
      await connection.close()
      await ended(server)
    },
  }
}

async function connected(connect: () => Promise<Connection>, server: ChildProcess): Promise<Connection> {
  for (const started = Date.now(); ; ) {
    try {
      return await connect()
    } catch (error) {
      if (server.pid === undefined) throw new Error('nats-server is not on this machine', { cause: error })
      if (Date.now() - started > START_MS) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

function ended(server: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    server.once('close', () => resolve())
    server.kill('SIGTERM')
  })
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

function bytesBelow(folder: string): number {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).reduce((sum, name) => {
    const found = statSync(join(folder, name), { throwIfNoEntry: false })
    return sum + (found?.isFile() ? found.size : 0)
  }, 0)
}
