/** Redis 7: one stream, XADD; a client of a hundred lines over a plain socket, so that none of its own costs count. */
import { mkdirSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { connected, freePort, residentMemory, startPeer, stopProcess } from './processes.ts'
import type { Address, Connecting, NetworkClient, NetworkService, Running } from './service.ts'

const STREAM = 's'
const READ_COUNT = '1000'

type Reply = string | number | null | Error | readonly Reply[]

export const always: NetworkService = serviceOf('redis-always', 'disk', 'always')
export const everySecond: NetworkService = serviceOf('redis-everysec', 'os', 'everysec')

function serviceOf(name: string, durability: 'disk' | 'os', fsync: string): NetworkService {
  return {
    name,
    durability,
    note: `redis-server 7, XADD, appendonly with appendfsync ${fsync}; nothing signed, linked or encrypted`,
    start: (folder) => start(folder, fsync),
    connect: async ({ address }) => openClient(await openRedis(address), address),
    readAll,
    async idle(address) {
      const redis = await openRedis(address)
      await redis.ask('PING')
      return redis
    },
  }
}

async function start(folder: string, fsync: string): Promise<Running> {
  const port = await freePort()
  const data = join(folder, 'redis')
  mkdirSync(data, { recursive: true })
  const options = { port: `${port}`, bind: '127.0.0.1', dir: data, save: '', appendonly: 'yes', appendfsync: fsync }
  const args = Object.entries(options).flatMap(([option, value]) => [`--${option}`, value])
  const child = await startPeer('redis-server', args, port)
  const { pid } = child as { pid: number }
  return {
    pid,
    address: { port: `${port}` },
    memory: async () => residentMemory(pid),
    stop: () => stopProcess(child),
  }
}

async function readAll({ address }: Connecting, expected: number): Promise<number> {
  const redis = await openRedis(address)
  let count = 0
  for (let from = '0'; count < expected; ) {
    const read = entriesOf(await redis.ask('XREAD', 'COUNT', READ_COUNT, 'STREAMS', STREAM, from))
    if (read.length === 0) break
    count += read.length
    from = read[read.length - 1]!.id
  }
  redis.close()
  return count
}

function openClient(redis: Redis, address: Address): NetworkClient {
  const commit = (value: string): Promise<Reply> => redis.ask('XADD', STREAM, '*', 'v', value)
  let reader: Redis | undefined
  return {
    commit,
    commitAll: (values) => Promise.all(values.map(commit)),
    async follow(onValue) {
      reader = await openRedis(address)
      void readOn(reader, '$', onValue)
      // The order in which a connection is served is the order in which it asks: the read stands.
      await redis.ask('PING')
    },
    async close() {
      reader?.close()
      redis.close()
    },
  }
}

async function readOn(reader: Redis, first: string, onValue: (value: string) => void): Promise<void> {
  for (let from = first; ; ) {
    const entries = entriesOf(await reader.ask('XREAD', 'BLOCK', '0', 'STREAMS', STREAM, from))
    for (const { id, value } of entries) {
      from = id
      onValue(value)
    }
  }
}

/** Of [[stream, [[id, ['v', value]], ...]]], or null. */
function entriesOf(reply: Reply): readonly { readonly id: string; readonly value: string }[] {
  const streams = reply as readonly (readonly [string, readonly (readonly [string, readonly string[]])[]])[] | null
  return streams?.[0]?.[1].map(([id, fields]) => ({ id, value: fields[1] ?? '' })) ?? []
}

interface Redis {
  ask(...words: readonly string[]): Promise<Reply>
  close(): void
}

async function openRedis(address: Address): Promise<Redis> {
  const socket = await connected(Number(address['port']))
  const waiting: { readonly resolve: (reply: Reply) => void; readonly reject: (error: Error) => void }[] = []
  takeReplies(socket, (reply) => {
    const one = waiting.shift()
    if (reply instanceof Error) one?.reject(reply)
    else one?.resolve(reply)
  })
  let out = ''
  function flush(): void {
    socket.write(out, 'latin1')
    out = ''
  }
  return {
    ask(...words) {
      if (out === '') queueMicrotask(flush)
      out += `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }))
    },
    close: () => void socket.destroy(),
  }
}

/** RESP2: what begins with + - : $ or *. */
function takeReplies(socket: Socket, take: (reply: Reply) => void): void {
  let text = ''
  socket.on('data', (data) => {
    text += data.toString('latin1')
    let at = 0
    for (let found = parseReply(text, 0); found; found = parseReply(text, at)) {
      take(found.reply)
      at = found.end
    }
    text = text.slice(at)
  })
}

function parseReply(text: string, at: number): { readonly reply: Reply; readonly end: number } | undefined {
  const lineEnd = text.indexOf('\r\n', at)
  if (lineEnd < 0) return undefined
  const line = text.slice(at + 1, lineEnd)
  const end = lineEnd + 2
  const size = Number(line)
  switch (text[at]) {
    case '+':
      return { reply: line, end }
    case ':':
      return { reply: size, end }
    case '-':
      return { reply: new Error(line), end }
    case '$':
      if (size < 0) return { reply: null, end }
      return text.length < end + size + 2 ? undefined : { reply: text.slice(end, end + size), end: end + size + 2 }
    default:
      return size < 0 ? { reply: null, end } : parseReplies(text, end, size)
  }
}

function parseReplies(
  text: string,
  from: number,
  count: number,
): { readonly reply: Reply; readonly end: number } | undefined {
  const items: Reply[] = []
  let end = from
  for (let i = 0; i < count; i++) {
    const item = parseReply(text, end)
    if (!item) return undefined
    items.push(item.reply)
    end = item.end
  }
  return { reply: items, end }
}
