/**
 * Listens for WebSockets under Node: several URLs, several paths on one port, plain pages beside them. What a stranger
 * can make it hold is bounded: connections, header bytes, the time until headers are there.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { chmodSync, lstatSync, unlinkSync } from 'node:fs'
import { createServer as createHttp, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createHttps } from 'node:https'
import { type AddressInfo, connect, type Socket as NetSocket } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import { AteError } from '../base/errors.ts'
import {
  SOCKET_CLOSE_MS,
  SOCKET_HEADER_BYTES_MAX,
  SOCKET_HEADERS_MAX,
  SOCKET_IDLE_CHECKS,
  SOCKET_IDLE_MS,
  SOCKET_OPENING_MS,
  SOCKETS_MAX,
} from '../base/limits.ts'
import { CLOSE } from '../base/socket.ts'
import {
  type Listening,
  type ListenOptions,
  type Place,
  parsePlace,
  placeUrl,
  servedPath,
  withoutSlash,
} from '../mesh/transport.ts'
import { isLocalRequest, type Proxies, peerOf } from './request-origin.ts'
import { assertWholePackage, WS_LIMITS, WsSocket } from './ws-socket.ts'

/** The contract is that of `Listen`. */
export async function listen(urls: string | readonly string[], options: ListenOptions): Promise<Listening> {
  const places = (typeof urls === 'string' ? [urls] : urls).map((url) => parsePlace(url))
  if (places.length === 0) throw new AteError('BAD_ARGUMENT', { argument: 'urls', wanted: 'at least one URL' })
  const isSecure = places.some(({ scheme }) => scheme === 'wss')
  if (isSecure && !options.tls)
    throw new AteError('BAD_ARGUMENT', { argument: 'tls', wanted: 'a certificate and a key for wss: URLs' })
  if (isSecure) checkTls(options.tls!)
  assertWholePackage('CANNOT_LISTEN', { url: placeUrl(places[0]!) })
  const host = new Host(options)
  try {
    for (const group of grouped(places)) await host.open(group)
  } catch (error) {
    await host.close()
    throw error
  }
  return host
}

/** Places of one port: a port 0 that is named twice is one port too. */
function grouped(places: readonly Place[]): readonly (readonly Place[])[] {
  const groups = new Map<string, Place[]>()
  for (const place of places) {
    const key = `${place.scheme} ${place.host} ${place.port}`
    const group = groups.get(key)
    if (group) group.push(place)
    else groups.set(key, [place])
  }
  return [...groups.values()]
}

class Host implements Listening {
  readonly urls: string[] = []
  readonly #options: ListenOptions
  readonly #servers: Server[] = []
  readonly #upgrades: WebSocketServer
  readonly #sockets = new Set<WsSocket>()
  /** All of TCP, whatever becomes of them. */
  readonly #connections = new Set<NetSocket>()
  readonly #isProxy: Proxies
  readonly #checking: NodeJS.Timeout
  #closed: Promise<void> | undefined
  #onEmpty: (() => void) | undefined

  constructor(options: ListenOptions) {
    this.#options = options
    this.#isProxy = options.isProxy ?? (() => false)
    this.#upgrades = new WebSocketServer({ ...WS_LIMITS, noServer: true, clientTracking: false })
    this.#checking = setInterval(() => this.#checkAlive(), (options.idleMs ?? SOCKET_IDLE_MS) / SOCKET_IDLE_CHECKS)
    this.#checking.unref()
  }

  get url(): string {
    return this.urls[0]!
  }

  get sockets(): number {
    return this.#sockets.size
  }

  async open(group: readonly Place[]): Promise<void> {
    const first = group[0]!
    const paths = new Set(group.map(({ path }) => path))
    const server = this.#server(first, paths)
    const port = await listening(server, first)
    this.#servers.push(server)
    for (const place of group) this.urls.push(placeUrl({ ...place, port }))
  }

  stopAccepting(): void {
    for (const server of this.#servers) {
      // Errors once it is closed already.
      if (server.listening) server.close()
      server.closeIdleConnections()
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    const gone = this.#servers.map((server) => closed(server))
    this.stopAccepting()
    for (const socket of this.#sockets) socket.close(CLOSE.GOING_AWAY, 'the server stops')
    // Of those who only ask for a page, or have not said what they want.
    for (const server of this.#servers) server.closeAllConnections()
    // Whoever answers neither a close nor the TLS of ours is cut off.
    const timer = setTimeout(() => {
      for (const net of this.#connections) net.destroy()
    }, SOCKET_CLOSE_MS)
    await Promise.all([...gone, this.#empty()])
    clearTimeout(timer)
    clearInterval(this.#checking)
  }

  /** When the last socket has told its end, which is a moment after its connection is gone. */
  #empty(): Promise<void> {
    return new Promise((resolve) => {
      this.#onEmpty = resolve
      if (this.#sockets.size === 0) resolve()
    })
  }

  #server(place: Place, paths: ReadonlySet<string>): Server {
    const openingMs = this.#options.openingMs ?? SOCKET_OPENING_MS
    const limits = {
      maxHeaderSize: SOCKET_HEADER_BYTES_MAX,
      headersTimeout: openingMs,
      requestTimeout: openingMs,
      connectionsCheckingInterval: Math.max(10, Math.min(1000, Math.floor(openingMs / 4))),
      keepAliveTimeout: openingMs,
    }
    const { tls } = this.#options
    const server =
      place.scheme === 'wss'
        ? createHttps({ ...limits, ...tls, handshakeTimeout: openingMs, minVersion: 'TLSv1.2' })
        : createHttp(limits)
    server.maxHeadersCount = SOCKET_HEADERS_MAX
    // Twice: those that are still opening, or ask for a page, take none of the places of the others.
    server.maxConnections = 2 * this.#socketsMax
    server.on('connection', (net: NetSocket) => {
      this.#connections.add(net)
      net.once('close', () => this.#connections.delete(net))
    })
    server.on('request', (request, response) => this.#answer(request, response, { place, paths }))
    server.on('upgrade', (request, net, head) => this.#upgrade(request, net, head, { place, paths }))
    return server
  }

  get #socketsMax(): number {
    return this.#options.socketsMax ?? SOCKETS_MAX
  }

  #answer(request: IncomingMessage, response: ServerResponse, { place, paths }: Port): void {
    response.setHeader('Connection', 'close')
    response.setHeader('X-Content-Type-Options', 'nosniff')
    response.setHeader('Cache-Control', 'no-store')
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { Allow: 'GET, HEAD' }).end()
      return
    }
    const path = pathOf(request)
    const page = this.#options.page?.({ path, isLoopback: this.#isLocal(request, place) })
    if (page) response.writeHead(page.status, { 'Content-Type': page.type }).end(page.text)
    else if (servedPath(paths, path) !== undefined) response.writeHead(426, { Upgrade: 'websocket' }).end()
    else response.writeHead(404).end()
  }

  #upgrade(request: IncomingMessage, net: Duplex, head: Buffer, { place, paths }: Port): void {
    net.on('error', () => net.destroy())
    const requested = pathOf(request)
    const path = servedPath(paths, requested)
    const peer = peerOf(request, this.#isProxy)
    if (path === undefined) {
      refuse(net, '404 Not Found')
      return
    }
    if (this.#closed || this.#sockets.size >= this.#socketsMax || this.#options.admits?.(peer) === false) {
      refuse(net, '503 Service Unavailable')
      return
    }
    this.#upgrades.handleUpgrade(request, net, head, (ws) => {
      const isLoopback = this.#isLocal(request, place)
      const socket = new WsSocket(ws, net as NetSocket, { peer, isLoopback, side: 'client' })
      this.#sockets.add(socket)
      ws.once('close', () => {
        this.#sockets.delete(socket)
        if (this.#sockets.size === 0) this.#onEmpty?.()
      })
      try {
        this.#options.accept(socket, { path, requested, isSecure: place.scheme === 'wss' })
      } catch {
        socket.terminate()
      }
    })
  }

  #isLocal(request: IncomingMessage, place: Place): boolean {
    return isLocalRequest(request, place.scheme === 'ws+unix' ? 'file' : 'address', this.#isProxy)
  }

  #checkAlive(): void {
    for (const socket of this.#sockets) socket.checkAlive()
  }
}

interface Port {
  readonly place: Place
  readonly paths: ReadonlySet<string>
}

/**
 * A key of another certificate would be found out by clients alone, one handshake after the other. What OpenSSL has for a
 * reason shows nothing of the key.
 */
function checkTls({ cert, key }: NonNullable<ListenOptions['tls']>): void {
  const wrong = (reason: string | undefined, cause?: unknown): AteError =>
    new AteError(
      'BAD_ARGUMENT',
      { option: 'tls', wanted: 'a certificate and its own key, not sealed', reason },
      { cause },
    )
  let isPair: boolean
  try {
    isPair = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))
  } catch (cause) {
    throw wrong((cause as { readonly reason?: string }).reason ?? (cause as { readonly code?: string }).code, cause)
  }
  if (!isPair) throw wrong('the key is that of another certificate')
}

function pathOf(request: IncomingMessage): string {
  const url = request.url ?? ''
  const query = url.indexOf('?')
  return withoutSlash(query < 0 ? url : url.slice(0, query))
}

/** The connection is not kept: its opener has to dial again anyway. */
function refuse(net: Duplex, status: string): void {
  net.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () => net.destroy())
}

/** The port that was taken; 0 of a local socket. */
async function listening(server: Server, place: Place): Promise<number> {
  try {
    if (place.scheme === 'ws+unix') {
      await tryFile(server, place.host)
      return 0
    }
    await tryListen(server, { host: place.host, port: place.port })
    return (server.address() as AddressInfo).port
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? String(cause)
    throw new AteError('CANNOT_LISTEN', { url: placeUrl(place), reason }, { cause })
  }
}

/** A socket file outlives a process that was killed: one that nobody answers is taken away. No other file is. */
async function tryFile(server: Server, path: string): Promise<void> {
  try {
    await tryListen(server, { path })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    if (!lstatSync(path).isSocket() || (await isAnswered(path))) throw error
    unlinkSync(path)
    await tryListen(server, { path })
  }
  // For whoever may write it, which is everybody after an odd umask.
  if (process.platform !== 'win32') chmodSync(path, 0o600)
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ path })
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'))
  })
}

type Address = { readonly path: string } | { readonly host: string; readonly port: number }

function tryListen(server: Server, address: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    // exclusive: a cluster worker would otherwise share the port of its siblings.
    server.listen({ ...address, exclusive: true }, () => {
      server.off('error', reject)
      // Such as EMFILE at accept: it goes on with the next, and an error without a listener would end the process.
      server.on('error', () => undefined)
      resolve()
    })
  })
}

/** Resolves when the server and every connection of it are gone. */
function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.once('close', () => resolve())
    if (!server.listening) resolve()
  })
}
