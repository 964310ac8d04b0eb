/** NATS JetStream 2.9: one stream on files, one copy; a small client over a plain socket. */
import { mkdirSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { connected, freePort, residentMemory, startPeer, stopProcess } from './processes.ts'
import type { Address, Connecting, NetworkClient, NetworkService } from './service.ts'

const STREAM = 'bench'
const SUBJECT = 'bench.v'
const INBOX_SID = 1

export const service: NetworkService = {
  name: 'jetstream',
  durability: 'os',
  note: 'nats-server 2.9 with JetStream: file storage, one replica, publish acks; it syncs its files every 2 minutes',
  async start(folder) {
    const port = await freePort()
    const data = join(folder, 'nats')
    mkdirSync(data, { recursive: true })
    const child = await startPeer('nats-server', ['-a', '127.0.0.1', '-p', `${port}`, '-js', '-sd', data], port)
    const { pid } = child as { pid: number }
    return {
      pid,
      address: { port: `${port}` },
      memory: async () => residentMemory(pid),
      stop: () => stopProcess(child),
    }
  },
  connect,
  readAll,
  async idle(address) {
    const nats = await openNats(address)
    await nats.ping()
    return nats
  },
}

async function connect({ address, role }: Connecting): Promise<NetworkClient> {
  const nats = await openNats(address)
  if (role === 'first') {
    const config = { name: STREAM, subjects: [`${STREAM}.>`], storage: 'file', retention: 'limits', num_replicas: 1 }
    await nats.ask(`$JS.API.STREAM.CREATE.${STREAM}`, JSON.stringify(config))
  }
  const commit = (value: string): Promise<string> => nats.ask(SUBJECT, value)
  return {
    commit,
    commitAll: (values) => Promise.all(values.map(commit)),
    follow: (onValue) => consume(nats, 'new', onValue),
    close: async () => nats.close(),
  }
}

async function readAll({ address }: Connecting, expected: number): Promise<number> {
  const nats = await openNats(address)
  let count = 0
  await new Promise<void>((resolve, reject) => {
    consume(nats, 'all', () => {
      if (++count === expected) resolve()
    }).catch(reject)
  })
  nats.close()
  return count
}

async function consume(nats: Nats, policy: 'new' | 'all', onValue: (value: string) => void): Promise<void> {
  const deliver = nats.listen(onValue)
  const config = { deliver_subject: deliver, deliver_policy: policy, ack_policy: 'none' }
  await nats.ask(`$JS.API.CONSUMER.CREATE.${STREAM}`, JSON.stringify({ stream_name: STREAM, config }))
}

interface Nats {
  /** Publishes, and waits for the answer. */
  ask(subject: string, text: string): Promise<string>
  /** A subject of our own, whose messages are given to `take`. */
  listen(take: (value: string) => void): string
  ping(): Promise<void>
  close(): void
}

async function openNats(address: Address): Promise<Nats> {
  const socket = await connected(Number(address['port']))
  const inbox = `_INBOX.${process.pid}${Math.random().toString(36).slice(2)}`
  const waiting = new Map<string, { resolve(text: string): void; reject(error: Error): void }>()
  const listeners = new Map<string, (value: string) => void>()
  const pings: (() => void)[] = []
  let count = 0
  let out = ''
  function write(text: string): void {
    if (out === '') {
      queueMicrotask(() => {
        socket.write(out, 'latin1')
        out = ''
      })
    }
    out += text
  }
  takeMessages(socket, {
    message({ subject, sid, text }) {
      // What a consumer delivers keeps the subject under which it was published.
      const listener = listeners.get(sid)
      if (listener) {
        listener(text)
        return
      }
      const one = waiting.get(subject)
      waiting.delete(subject)
      if (text.includes('"error"')) one?.reject(new Error(text.slice(0, 200)))
      else one?.resolve(text)
    },
    ping: () => write('PONG\r\n'),
    pong: () => pings.shift()?.(),
  })
  write(`CONNECT {"verbose":false,"pedantic":false,"lang":"bench","version":"1"}\r\nSUB ${inbox}.* ${INBOX_SID}\r\n`)
  return {
    ask(subject, text) {
      const reply = `${inbox}.${++count}`
      write(`PUB ${subject} ${reply} ${text.length}\r\n${text}\r\n`)
      return new Promise((resolve, reject) => waiting.set(reply, { resolve, reject }))
    },
    listen(take) {
      const sid = `${++count + INBOX_SID}`
      const subject = `${inbox}.for.${sid}`
      listeners.set(sid, take)
      write(`SUB ${subject} ${sid}\r\n`)
      return subject
    },
    ping() {
      write('PING\r\n')
      return new Promise((resolve) => pings.push(resolve))
    },
    close: () => void socket.destroy(),
  }
}

interface Taking {
  message(message: { readonly subject: string; readonly sid: string; readonly text: string }): void
  ping(): void
  pong(): void
}

/** `MSG subject sid [reply] size`, then the bytes; everything else is a line. */
function takeMessages(socket: Socket, taking: Taking): void {
  let text = ''
  socket.on('data', (data) => {
    text += data.toString('latin1')
    let at = 0
    for (;;) {
      const lineEnd = text.indexOf('\r\n', at)
      if (lineEnd < 0) break
      const line = text.slice(at, lineEnd)
      if (line.startsWith('MSG ')) {
        const words = line.split(' ')
        const size = Number(words[words.length - 1])
        if (text.length < lineEnd + 2 + size + 2) break
        const body = text.slice(lineEnd + 2, lineEnd + 2 + size)
        taking.message({ subject: words[1]!, sid: words[2]!, text: body })
        at = lineEnd + 2 + size + 2
        continue
      }
      if (line === 'PING') taking.ping()
      if (line === 'PONG') taking.pong()
      at = lineEnd + 2
    }
    text = text.slice(at)
  })
}
