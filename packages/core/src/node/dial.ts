/** Connects to a server over a WebSocket, under Node. */
import type { Socket as NetSocket } from 'node:net'
import WebSocket, { type ClientOptions } from 'ws'
import { durationMs } from '../base/duration.ts'
import { AteError, throwIfAborted } from '../base/errors.ts'
import { SOCKET_DIAL_MS, SOCKET_HEADER_BYTES_MAX, SOCKET_IDLE_CHECKS, SOCKET_IDLE_MS } from '../base/limits.ts'
import type { DialOptions, Socket } from '../base/socket.ts'
import { isLoopbackPlace, type Place, parsePlace, placeUrl } from '../mesh/transport.ts'
import { assertWholePackage, WS_LIMITS, WsSocket } from './ws-socket.ts'

export interface NodeDialOptions extends DialOptions {
  /** As of ListenOptions; SOCKET_IDLE_MS if left out. */
  readonly idleMs?: number
}

/** The contract is that of `Dial`. */
export async function dial(url: string, options: NodeDialOptions = {}): Promise<Socket> {
  const place = parsePlace(url)
  throwIfAborted(options.signal)
  assertWholePackage('BAD_URL', { url })
  const timeoutMs = durationMs(options.timeout ?? SOCKET_DIAL_MS, 0)
  const ws = new WebSocket(wsUrl(place), {
    ...WS_LIMITS,
    ...certificates(options),
    followRedirects: false,
    maxHeaderSize: SOCKET_HEADER_BYTES_MAX,
  } as ClientOptions)
  const net = await opened(ws, { url, timeoutMs, ...(options.signal ? { signal: options.signal } : {}) })
  const socket = new WsSocket(ws, net, { peer: '', isLoopback: isLoopbackPlace(place), side: 'server' })
  const checking = setInterval(() => socket.checkAlive(), (options.idleMs ?? SOCKET_IDLE_MS) / SOCKET_IDLE_CHECKS)
  checking.unref()
  ws.once('close', () => clearInterval(checking))
  return socket
}

const NO_SOCKET =
  'this runtime has a `ws` of its own, which shows no socket: connect from Node, or open a folder without share'

interface Opening {
  readonly url: string
  readonly timeoutMs: number
  readonly signal?: AbortSignal
}

/** The connection below, once it is open. Whatever else happens first ends it. */
function opened(ws: WebSocket, { url, timeoutMs, signal }: Opening): Promise<NetSocket> {
  return new Promise((resolve, reject) => {
    let net: NetSocket | undefined
    const done = (settle: () => void): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', aborted)
      ws.removeAllListeners()
      settle()
    }
    const fail = (error: unknown): void => {
      done(() => reject(error))
      // It reports its own end as an error, once more.
      ws.on('error', () => undefined)
      ws.terminate()
    }
    const unreachable = (facts: { readonly reason?: string; readonly status?: number }, cause?: unknown): void =>
      fail(new AteError('SERVER_UNREACHABLE', { url, ...facts }, { cause }))
    const aborted = (): void => fail(signal?.reason)
    // It holds the process: somebody waits for it.
    const timer = setTimeout(() => unreachable({ reason: 'ETIMEDOUT' }), timeoutMs)
    signal?.addEventListener('abort', aborted)
    ws.on('upgrade', (response) => {
      net = response.socket
    })
    ws.on('open', () => {
      if (net) done(() => resolve(net!))
      // No trying again: it stays so.
      else fail(new AteError('BAD_URL', { url }, { hint: NO_SOCKET }))
    })
    ws.on('unexpected-response', (_request, response) =>
      unreachable({
        reason: response.statusCode === UPGRADE_LOST ? LOST : NOT_SERVED,
        status: response.statusCode ?? 0,
      }),
    )
    ws.on('error', (error: NodeJS.ErrnoException) => {
      const { code = error.message } = error
      unreachable({ reason: code === 'EPROTO' ? NO_TLS : code }, error)
    })
  })
}

const NO_TLS = 'EPROTO: what answers there speaks no TLS; is the address one of ws: ?'
const NOT_SERVED = 'no WebSocket is served there: is the name of the chain behind the path?'
/** What a server of ours answers to a request without an upgrade, which a client always asks for. */
const UPGRADE_LOST = 426
const LOST = 'a proxy on the way does not pass on the upgrade to a WebSocket (the headers Upgrade and Connection)'

/** What is given is trusted instead of the system's: who names an authority of his own means just that one. */
function certificates({ ca }: DialOptions): { readonly ca?: string[] } {
  return ca === undefined ? {} : { ca: typeof ca === 'string' ? [ca] : [...ca] }
}

/** The package splits the file of a local socket from its path at the first colon, and takes no empty path. */
function wsUrl(place: Place): string {
  return place.scheme === 'ws+unix' ? `ws+unix:${place.host}:${place.path || '/'}` : placeUrl(place)
}
