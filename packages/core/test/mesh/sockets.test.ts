/** Sockets of this machine among those who break the rules, fall silent, read nothing, or come in crowds. */
import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer as createHttp, request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import WebSocket from 'ws'
import { SOCKET_FRAGMENTS_MAX, SOCKET_LOW_BYTES, SOCKET_MESSAGE_BYTES_MAX } from '../../src/base/limits.ts'
import { CLOSE, type ListenOptions, type Socket } from '../../src/mesh/transport.ts'
import { dial } from '../../src/node/dial.ts'
import { listen } from '../../src/node/listen.ts'
import { proxiesOf } from '../../src/node/request-origin.ts'
import { codeOf } from '../../src/testing/log-suite.ts'
import { type SocketLog, socketLog, testMessage } from '../../src/testing/socket-suite.ts'
import { certificate } from './certificate.ts'
import { listenHere, until } from './kit.ts'
import { frame, type RawClient, rawClient, upgradeText } from './raw-client.ts'

const [BINARY, PONG] = [0x2, 0xa]
const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

type Here = Awaited<ReturnType<typeof listenHere>>

async function here(urls?: string | readonly string[], options?: Partial<ListenOptions>): Promise<Here> {
  const made = await listenHere(urls, options)
  closers.push(() => made.listening.close())
  return made
}

function raw(url: string): RawClient {
  const client = rawClient(url)
  closers.push(() => client.destroy())
  return client
}

/** A raw client whose upgrade is through, and the server's end of it. */
async function upgraded(
  made: Here,
  headers?: Readonly<Record<string, string>>,
): Promise<{ client: RawClient; log: SocketLog; socket: Socket }> {
  const client = raw(made.listening.url)
  const before = made.arrived.length
  client.write(upgradeText('/db', headers))
  await until(() => made.arrived.length > before, 'an arrival')
  const { socket } = made.arrived[before]!
  const log = socketLog()
  socket.start(log)
  return { client, log, socket }
}

async function dialed(url: string): Promise<Socket> {
  const socket = await dial(url)
  closers.push(() => socket.terminate())
  return socket
}

function get(
  url: string,
  path: string,
  options: { readonly method?: string; readonly headers?: Record<string, string> } = {},
): Promise<{ status: number; text: string; type: string | undefined }> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const asked = request({ hostname, port, path, agent: false, ...options }, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          text: Buffer.concat(parts).toString('utf8'),
          type: response.headers['content-type'],
        }),
      )
    })
    asked.on('error', reject)
    asked.end()
  })
}

describe('frames that break the rules end the connection', () => {
  const body = Buffer.alloc(10)
  it.each<[string, Buffer, number]>([
    ['text', frame(Buffer.from('hello'), { opcode: 1 }), CLOSE.NOT_BINARY],
    ['text that is no UTF-8', frame(Buffer.from([0xff, 0xfe]), { opcode: 1 }), CLOSE.PROTOCOL_ERROR],
    [
      'a length over the limit, before its bytes',
      frame(body, { opcode: 2, length: SOCKET_MESSAGE_BYTES_MAX + 1 }),
      CLOSE.TOO_LARGE,
    ],
    ['no mask', frame(body, { opcode: 2, isMasked: false }), CLOSE.PROTOCOL_ERROR],
    ['a continuation of nothing', frame(body, { opcode: 0 }), CLOSE.PROTOCOL_ERROR],
    ['compression that was not agreed', frame(body, { opcode: 2, reserved: 0x40 }), CLOSE.PROTOCOL_ERROR],
    ['an unknown opcode', frame(body, { opcode: 5 }), CLOSE.PROTOCOL_ERROR],
    ['a ping of more than 125 bytes', frame(Buffer.alloc(126), { opcode: 9 }), CLOSE.PROTOCOL_ERROR],
    [
      'tiny fragments without end',
      Buffer.concat(
        Array.from({ length: SOCKET_FRAGMENTS_MAX + 2 }, (_, i) =>
          frame(body.subarray(0, 1), { opcode: i ? 0 : 2, isFinal: false }),
        ),
      ),
      CLOSE.POLICY,
    ],
    [
      'empty fragments without end',
      Buffer.concat(
        Array.from({ length: SOCKET_FRAGMENTS_MAX + 2 }, (_, i) =>
          frame(body.subarray(0, 0), { opcode: i ? 0 : 2, isFinal: false }),
        ),
      ),
      CLOSE.POLICY,
    ],
  ])('%s', async (_, bytes, code) => {
    const { client, log } = await upgraded(await here())
    client.write(bytes)
    await until(() => log.reasons.length === 1 || client.closeCode() !== undefined, 'an end')
    client.destroy()
    await until(() => log.reasons.length === 1, 'the end')
    expect(log.reasons[0]!.code).toBe(code)
    expect(log.messages).toEqual([])
  })

  it('and fragments that make a message are one', async () => {
    const { client, log } = await upgraded(await here())
    for (let i = 0; i < 10; i++) client.write(frame(Buffer.from([i]), { opcode: i ? 0 : 2, isFinal: i === 9 }))
    await until(() => log.messages.length === 1, 'a message')
    expect(log.messages).toEqual([Uint8Array.from([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])])
  })

  it('before a peer is known, the part of a large message is not kept', async () => {
    const { client, log, socket } = await upgraded(await here())
    socket.limit(1000)
    client.write(frame(Buffer.alloc(0), { opcode: 2, length: 1_000_000 }))
    const part = Buffer.alloc(10_000)
    let written = 0
    while (log.reasons.length === 0 && written < 1_000_000 - part.length) {
      client.write(part)
      written += part.length
      await new Promise((resume) => setImmediate(resume))
    }
    await until(() => log.reasons.length === 1, 'the end')
    expect(log.reasons[0]!.code).toBe(CLOSE.TOO_LARGE)
    expect(client.socket.bytesWritten).toBeLessThan(500_000)
  })

  it('pings do not count as a part of a message, and hide none', async () => {
    const { client, log, socket } = await upgraded(await here())
    socket.limit(1000)
    // Some at a time: one who does not wait for any answer is cut off for that.
    const pings = Buffer.concat(Array.from({ length: 40 }, () => frame(Buffer.alloc(100), { opcode: 9 })))
    for (let i = 1; i <= 40; i++) {
      const answers = client.received().length + 40 * 102
      client.write(pings)
      await until(() => client.received().length >= answers, 'the pongs')
    }
    client.write(frame(Buffer.from([1]), { opcode: 2 }))
    await until(() => log.messages.length === 1, 'a message behind 160 kB of pings')
    const parts = Array.from({ length: 200 }, (_, i) => [
      frame(Buffer.alloc(900), { opcode: i ? 0 : 2, isFinal: false }),
      ...(i % 10 === 0 ? [frame(Buffer.alloc(0), { opcode: 9 })] : []),
    ])
    client.write(Buffer.concat(parts.flat()))
    await until(() => log.reasons.length === 1, 'the end')
    expect(log.reasons[0]!.code).toBe(CLOSE.TOO_LARGE)
  })
})

describe('silence', () => {
  it('of one who answers no ping is found, on either side', async () => {
    const made = await here(undefined, { idleMs: 20 })
    const { log } = await upgraded(made)
    await until(() => log.reasons.length === 1, 'the half-open connection given up')
    expect(log.reasons[0]!.code).toBe(CLOSE.ABNORMAL)
    expect(made.listening.sockets).toBe(0)
  })

  it('is broken within the time that is given: a proxy that bears as much cuts nobody off', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    closers.push(() => vi.useRealTimers())
    const idleMs = 30_000
    const made = await here(undefined, { idleMs })
    const { client, log } = await upgraded(made)
    const pings = (): number => client.received().toString('latin1').split('\x89\x00').length - 1
    vi.advanceTimersByTime(idleMs)
    await until(() => pings() === 1, 'a ping')
    client.write(
      Buffer.concat([frame(new Uint8Array(0), { opcode: PONG }), frame(testMessage(1, 5), { opcode: BINARY })]),
    )
    await until(() => log.messages.length === 1, 'what was written')
    vi.advanceTimersByTime(idleMs)
    await until(() => pings() === 2, 'a ping after the answer')
    vi.advanceTimersByTime(idleMs - 1)
    expect(log.reasons).toEqual([])
    vi.advanceTimersByTime(1)
    await until(() => log.reasons.length === 1, 'who does not answer given up')
    expect(pings()).toBe(2)
  })

  it('of one who answers pings is borne', async () => {
    const made = await here(undefined, { idleMs: 20 })
    const client = await dial(made.listening.url, { idleMs: 20 })
    closers.push(() => client.terminate())
    const [own, other] = [socketLog(), socketLog()]
    client.start(own)
    made.arrived[0]!.socket.start(other)
    await new Promise((resume) => setTimeout(resume, 300))
    client.send(testMessage(1, 5))
    await until(() => other.messages.length === 1, 'a message after some silence')
    expect([own.reasons, other.reasons]).toEqual([[], []])
  })

  it.each([
    ['says nothing', ''],
    ['stops inside the headers', 'GET /db HTTP/1.1\r\nHost: x\r\nX-'],
    ['stops inside a body', 'POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc'],
  ])('of one who %s, while it opens, is cut off', async (_, text) => {
    const { listening } = await here(undefined, { openingMs: 50 })
    const client = raw(listening.url)
    client.write(text)
    await until(() => client.isClosed(), 'the connection cut off')
  })

  it('of one who never speaks TLS is cut off', async () => {
    const { listening } = await here('wss://localhost:0/db', { openingMs: 50, tls: certificate() })
    const { port } = new URL(listening.url)
    const client = raw(`ws://127.0.0.1:${port}`)
    await until(() => client.isClosed(), 'the connection cut off')
  })
})

describe('a reader that stops', () => {
  it('holds what was sent to it in the sender, where it is counted, until it is cut off', async () => {
    const made = await here()
    const client = await dialed(made.listening.url)
    client.start(socketLog())
    client.pause()
    const { socket } = made.arrived[0]!
    const log = socketLog()
    socket.start(log)
    for (let i = 0; i < 64; i++) socket.send(testMessage(i, 256 * 1024))
    expect(socket.bufferedBytes).toBeGreaterThan(4 * SOCKET_LOW_BYTES)
    socket.terminate()
    await until(() => log.reasons.length === 1, 'the end')
    expect(socket.bufferedBytes).toBe(0)
  })

  it('while it is paused itself, hears of a broken connection at once', async () => {
    const made = await here()
    const client = await dialed(made.listening.url)
    const log = socketLog()
    client.start(log)
    client.pause()
    const { socket } = made.arrived[0]!
    socket.start(socketLog())
    for (let i = 0; i < 3; i++) socket.send(testMessage(i, 10))
    socket.terminate()
    client.send(testMessage(1, 10))
    client.terminate()
    await until(() => log.reasons.length === 1, 'the end')
    expect([log.messages.length, log.reasons[0]!.code]).toEqual([0, CLOSE.ABNORMAL])
  })
})

describe('what is served on a port', () => {
  it('several paths, the longest that fits; other paths are not', async () => {
    const { listening, arrived } = await here([
      'ws://127.0.0.1:0/db',
      'ws://127.0.0.1:0/db/deep',
      'ws://127.0.0.1:0/other/',
    ])
    const port = new URL(listening.url).port
    expect(listening.urls).toEqual(['/db', '/db/deep', '/other'].map((path) => `ws://127.0.0.1:${port}${path}`))
    for (const path of ['/db', '/db/', '/db/notes', '/db/deep/notes?x=1', '/db/deeper', '/other']) {
      const client = raw(listening.url)
      client.write(upgradeText(path))
      const count = arrived.length
      await until(() => arrived.length > count, path)
    }
    expect(arrived.map(({ arrival }) => [arrival.path, arrival.requested])).toEqual([
      ['/db', '/db'],
      ['/db', '/db'],
      ['/db', '/db/notes'],
      ['/db/deep', '/db/deep/notes'],
      ['/db', '/db/deeper'],
      ['/other', '/other'],
    ])
    for (const path of ['/', '/dbx', '/DB', '/%64b', '/db2/db', '//db']) {
      expect(await codeOf(() => dial(`ws://127.0.0.1:${port}${path}`))).toBe('SERVER_UNREACHABLE')
    }
    expect(arrived.length).toBe(6)
  })

  it('a certificate with the key of another is refused as such', async () => {
    const own = certificate()
    const pem = { type: 'pkcs8', format: 'pem' } as const
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
    const refused = (given: { readonly cert?: string; readonly key?: string }): Promise<unknown> =>
      here('wss://localhost:0/db', { tls: { ...own, ...given } }).catch((error: unknown) => error)
    const reasoned = (reason: RegExp): object => ({
      code: 'BAD_ARGUMENT',
      facts: { option: 'tls', reason: expect.stringMatching(reason) },
    })
    for (const key of [other, rsa])
      expect(await refused({ key: String(key.export(pem)) })).toMatchObject(reasoned(/another certificate/))
    const sealed = String(other.export({ ...pem, cipher: 'aes-256-cbc', passphrase: 'open sesame' }))
    expect(await refused({ key: sealed })).toMatchObject(reasoned(/./))
    expect(await refused({ cert: own.cert.replace(/\n/, '\nAAAA') })).toMatchObject(reasoned(/./))
  })

  it('two ports at once, also as a file, and TLS beside plain', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ate-listen-'))
    closers.push(() => rmSync(folder, { recursive: true, force: true }))
    const file = join(folder, 's.sock')
    const tls = certificate()
    const { listening, arrived } = await here(['ws://127.0.0.1:0/db', 'wss://localhost:0/db', `ws+unix:${file}`], {
      tls,
    })
    expect(statSync(file).mode & 0o777).toBe(0o600)
    for (const url of listening.urls) (await dial(url, { ca: tls.cert })).start(socketLog())
    await until(() => arrived.length === 3, 'three arrivals')
    expect(arrived.map(({ socket, arrival }) => [socket.isLoopback, socket.peer !== '', arrival.isSecure])).toEqual([
      [true, true, false],
      [true, true, true],
      [true, false, false],
    ])
    await listening.close()
    expect(existsSync(file)).toBe(false)
  })

  it('a file that a dead process left is taken over; one that lives is not, nor any other file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ate-listen-'))
    closers.push(() => rmSync(folder, { recursive: true, force: true }))
    const file = join(folder, 's.sock')
    const script = `require('node:net').createServer().listen(${JSON.stringify(file)}, () => process.kill(process.pid, 'SIGKILL'))`
    expect(() => execFileSync(process.execPath, ['-e', script], { stdio: 'pipe' })).toThrow()
    expect(existsSync(file)).toBe(true)
    const { listening } = await here(`ws+unix:${file}`)
    expect(await codeOf(() => listen(`ws+unix:${file}`, { accept: () => undefined }))).toBe('CANNOT_LISTEN')
    await listening.close()
    writeFileSync(file, 'mine')
    expect(await codeOf(() => listen(`ws+unix:${file}`, { accept: () => undefined }))).toBe('CANNOT_LISTEN')
    expect(existsSync(file)).toBe(true)
  })

  it('pages, to GET alone', async () => {
    const { listening } = await here(undefined, {
      page: ({ path, isLoopback }) =>
        path === '/health' ? { status: 200, type: 'text/plain', text: `${isLoopback}` } : undefined,
    })
    const { url } = listening
    expect(await get(url, '/health?x')).toEqual({ status: 200, text: 'true', type: 'text/plain' })
    expect((await get(url, '/health', { headers: { 'X-Forwarded-For': '1.2.3.4' } })).text).toBe('false')
    expect(await get(url, '/health', { method: 'HEAD' })).toMatchObject({ status: 200, text: '' })
    expect((await get(url, '/health', { method: 'POST' })).status).toBe(405)
    expect((await get(url, '/db/x')).status).toBe(426)
    expect((await get(url, '/metrics')).status).toBe(404)
    expect((await get(url, '/health', { headers: { 'X-Long': 'x'.repeat(10_000) } })).status).toBe(431)
  })

  it('a taken port, a strange one and no certificate are told; nothing is left open', async () => {
    const { listening } = await here()
    const accept = (): void => undefined
    const port = new URL(listening.url).port
    expect(await codeOf(() => listen(['ws://127.0.0.1:0/a', `ws://127.0.0.1:${port}/b`], { accept }))).toBe(
      'CANNOT_LISTEN',
    )
    expect(await codeOf(() => listen('ws://192.0.2.1:0/a', { accept }))).toBe('CANNOT_LISTEN')
    expect(await codeOf(() => listen('wss://127.0.0.1:0/a', { accept }))).toBe('BAD_ARGUMENT')
    expect(await codeOf(() => listen([], { accept }))).toBe('BAD_ARGUMENT')
    for (const url of ['http://x/', 'ws://', 'x', 'ws://a:b@c/', 'ws://h/?q', 'ws://h/#f', 'ws+unix:', 'ws+unix:a:b']) {
      expect([url, await codeOf(() => listen(url, { accept }))]).toEqual([url, 'BAD_URL'])
      expect([url, await codeOf(() => dial(url))]).toEqual([url, 'BAD_URL'])
    }
  })
})

describe('who counts as this machine', () => {
  it.each<[string, Record<string, string>, boolean]>([
    ['a program', {}, true],
    ['a program that names localhost', { Host: 'localhost:5000' }, true],
    ['a page of this machine', { Origin: 'http://localhost:3000' }, true],
    ['a page of another site', { Origin: 'https://evil.example' }, false],
    ['a page without an origin (a sandbox, a file)', { Origin: 'null' }, false],
    ['a name that was made to resolve here', { Host: 'evil.example' }, false],
    ['a proxy that says so', { Forwarded: 'for=1.2.3.4' }, false],
    ['nginx', { 'X-Forwarded-For': '1.2.3.4' }, false],
    ['one that names the real address', { 'X-Real-IP': '127.0.0.1' }, false],
    ['one of HTTP', { Via: '1.1 x' }, false],
  ])('%s', async (_, headers, isLoopback) => {
    const { socket } = await upgraded(await here(), headers)
    expect([socket.peer, socket.isLoopback]).toEqual(['127.0.0.1', isLoopback])
  })
})

describe('behind a proxy', () => {
  it.each<[string, readonly string[], Record<string, string>, string]>([
    ['that is named, the address is what it adds', ['loopback'], { 'X-Forwarded-For': '192.0.2.7' }, '192.0.2.7'],
    [
      'what a client makes up stands before it',
      ['127.0.0.0/8'],
      { 'X-Forwarded-For': '10.9.9.9, 192.0.2.7' },
      '192.0.2.7',
    ],
    ['behind another one', ['127.0.0.1', '10.0.0.0/8'], { 'X-Forwarded-For': '192.0.2.7, 10.1.2.3' }, '192.0.2.7'],
    ['ports and brackets are left out', ['loopback'], { 'X-Forwarded-For': '[2001:db8::1]:4000' }, '2001:db8::1'],
    ['what is no address counts for the proxy', ['loopback'], { 'X-Forwarded-For': '192.0.2.7, unknown' }, '127.0.0.1'],
    ['nothing counts for the proxy', ['loopback'], {}, '127.0.0.1'],
    ['that is not named, it is the proxy', ['10.0.0.0/8', '::1'], { 'X-Forwarded-For': '192.0.2.7' }, '127.0.0.1'],
  ])('%s', async (_, proxies, headers, peer) => {
    const { socket } = await upgraded(await here(undefined, { isProxy: proxiesOf(proxies) }), headers)
    expect([socket.peer, socket.isLoopback]).toEqual([peer, false])
  })

  it.each([
    [426, /does not pass on the upgrade/],
    [404, /is the name of the chain behind the path/],
  ])('that answers %i, who dials is told what is wrong', async (status, reason) => {
    const proxy = createHttp((_, response) => void response.writeHead(status).end())
    await new Promise<void>((ready) => proxy.listen(0, '127.0.0.1', ready))
    closers.push(() => proxy.close())
    const { port } = proxy.address() as { port: number }
    const error = await dial(`ws://127.0.0.1:${port}/db`).catch((refused) => refused)
    expect(error).toMatchObject({
      code: 'SERVER_UNREACHABLE',
      facts: { status, reason: expect.stringMatching(reason) },
    })
  })

  it('that is named, nobody is a program of this machine, also where it adds nothing', async () => {
    const { url } = (
      await here(undefined, {
        isProxy: proxiesOf(['loopback']),
        page: ({ isLoopback }) => ({ status: 200, type: 'text/plain', text: `${isLoopback}` }),
      })
    ).listening
    expect((await get(url, '/health')).text).toBe('false')
  })

  it.each(['', 'nginx', '10.0.0.0/33', '10.0.0.0/', '::1/x', '10.0.0.0/8/8', '10.0.0.1:80'])(
    '%j is no proxy',
    (text) => {
      expect(() => proxiesOf([text])).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }))
    },
  )
})

describe('a crowd', () => {
  it('is let in up to the limit, and again when one has left', async () => {
    const made = await here(undefined, { socketsMax: 3 })
    const clients: Socket[] = []
    for (let i = 0; i < 3; i++) clients.push(await dialed(made.listening.url))
    expect(await codeOf(() => dial(made.listening.url))).toBe('SERVER_UNREACHABLE')
    clients[0]!.terminate()
    await until(() => made.listening.sockets === 2, 'a place')
    await dialed(made.listening.url)
    expect(made.listening.sockets).toBe(3)
  })

  it('is refused by address before anything is spent on it', async () => {
    const asked: string[] = []
    const made = await here(undefined, { admits: (peer) => asked.push(peer) > 1 })
    expect(await codeOf(() => dial(made.listening.url))).toBe('SERVER_UNREACHABLE')
    await dialed(made.listening.url)
    expect(asked).toEqual(['127.0.0.1', '127.0.0.1'])
  })

  it('one whose arrival throws is cut off, the others go on', async () => {
    let count = 0
    const made = await here(undefined, {
      accept: () => {
        if (count++ === 0) throw new Error('a mistake of the server')
      },
    })
    const first = await dialed(made.listening.url)
    const log = socketLog()
    first.start(log)
    await until(() => log.reasons.length === 1, 'the end of the first')
    await dialed(made.listening.url)
    expect(made.listening.sockets).toBe(1)
  })
})

describe('stopping', () => {
  it('takes no more, lets the open ones be, then closes them and is gone', async () => {
    const made = await here()
    const client = await dialed(made.listening.url)
    const log = socketLog()
    client.start(log)
    made.arrived[0]!.socket.start(socketLog())
    made.listening.stopAccepting()
    expect(await codeOf(() => dial(made.listening.url))).toBe('SERVER_UNREACHABLE')
    made.arrived[0]!.socket.send(testMessage(1, 3))
    await until(() => log.messages.length === 1, 'a message')
    await made.listening.close()
    await until(() => log.reasons.length === 1, 'the end')
    expect(log.reasons).toEqual([{ code: CLOSE.GOING_AWAY, text: 'the server stops' }])
    await made.listening.close()
  })

  it('does not wait for a browser that keeps its connection, nor for one in the middle of its headers', async () => {
    const made = await here(undefined, { openingMs: 100 })
    const idle = raw(made.listening.url)
    idle.write('GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n')
    const half = raw(made.listening.url)
    half.write('GET /')
    await until(() => idle.received().length > 0, 'an answer')
    await made.listening.close()
  })
})

describe('dialing', () => {
  it('where `ws` is another one, which shows no socket, as that of Bun, says so', async () => {
    const { listening } = await here()
    const { emit } = WebSocket.prototype
    WebSocket.prototype.emit = function (this: WebSocket, name, ...given) {
      return name !== 'upgrade' && emit.call(this, name, ...given)
    }
    try {
      await expect(dial(listening.url)).rejects.toThrow('which shows no socket: connect from Node')
    } finally {
      WebSocket.prototype.emit = emit
    }
  })

  it('tells what came instead of a server', async () => {
    const made = await here()
    const port = new URL(made.listening.url).port
    await made.listening.close()
    const facts = async (url: string, options?: Parameters<typeof dial>[1]): Promise<unknown> =>
      dial(url, options).then(
        () => 'nothing',
        (error: { code: string; facts: { reason?: string; status?: number } }) => [
          error.code,
          error.facts.reason ?? error.facts.status,
        ],
      )
    expect(await facts(`ws://127.0.0.1:${port}/db`)).toEqual(['SERVER_UNREACHABLE', 'ECONNREFUSED'])
    expect(await facts('ws+unix:/nowhere/x.sock')).toEqual(['SERVER_UNREACHABLE', 'ENOENT'])
    const tls = await here('wss://localhost:0/db', { tls: certificate() })
    expect(await facts(tls.listening.url)).toEqual(['SERVER_UNREACHABLE', 'DEPTH_ZERO_SELF_SIGNED_CERT'])
    const plain = await here()
    const asTls = plain.listening.url.replace('ws:', 'wss:')
    expect(await facts(asTls)).toEqual(['SERVER_UNREACHABLE', expect.stringContaining('speaks no TLS')])
  })

  it('ends by its signal and by its time, and leaves nothing open', async () => {
    const silent = createServer()
    await new Promise<void>((ready) => silent.listen(0, '127.0.0.1', ready))
    closers.push(() => silent.close())
    const address = silent.address() as { port: number }
    const url = `ws://127.0.0.1:${address.port}/`
    let open = 0
    silent.on('connection', (socket) => {
      open++
      socket.resume()
      socket.on('error', () => undefined)
      socket.on('close', () => open--)
    })
    expect(await codeOf(() => dial(url, { timeout: 30 }))).toBe('SERVER_UNREACHABLE')
    const controller = new AbortController()
    const dialing = dial(url, { signal: controller.signal })
    controller.abort(new Error('enough'))
    await expect(dialing).rejects.toThrow('enough')
    await expect(dial(url, { signal: controller.signal })).rejects.toThrow('enough')
    await until(() => open === 0, 'both connections gone')
  })
})
