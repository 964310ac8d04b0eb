/**
 * The transport of the network: sockets that carry whole messages (base/socket.ts), and what listens for them. A URL
 * names where: `ws://HOST:PORT/PATH`, `wss://...`, or `ws+unix:FILE`, `ws+unix:FILE:/PATH` for one machine.
 */
import { AteError } from '../base/errors.ts'
import type { Socket } from '../base/socket.ts'

export { CLOSE, type Dial, type Socket } from '../base/socket.ts'

/** Where a connection came in. */
export interface Arrival {
  /** The path that is served: the longest one given to `listen` that the request's begins with. */
  readonly path: string
  /** The path of the request, which is the served one or lies below it: decoded nowhere, and not to be trusted. */
  readonly requested: string
  /** Of the server side: inside TLS. */
  readonly isSecure: boolean
}

export interface ListenOptions {
  /** Called for each connection, once it is open; it is closed if this throws. */
  readonly accept: (socket: Socket, arrival: Arrival) => void
  /** Asked before anything is spent on a connection; false answers 503. */
  readonly admits?: (peer: string) => boolean
  /** Of `wss:` URLs: certificate chain and key in PEM. */
  readonly tls?: { readonly cert: string; readonly key: string }
  /** Whether an address is a proxy's: of what it passes on, X-Forwarded-For says whose it is. None is, if left out. */
  readonly isProxy?: (address: string) => boolean
  /** Answers a plain GET, such as /health and /metrics; undefined is 404. */
  readonly page?: (request: PageRequest) => Page | undefined
  /** Connections at a time, over all URLs; SOCKETS_MAX if left out. */
  readonly socketsMax?: number
  /** Milliseconds until a connection has sent its headers; SOCKET_OPENING_MS if left out. */
  readonly openingMs?: number
  /** Milliseconds of silence until a peer is asked for a sign of life, and as many again until it is given up. */
  readonly idleMs?: number
}

export interface PageRequest {
  readonly path: string
  readonly isLoopback: boolean
}

export interface Page {
  readonly status: number
  readonly type: string
  readonly text: string
}

export interface Listening {
  /** The first of `urls`. */
  readonly url: string
  /** As they were given, with the port that was taken where it was 0, and no slash at the end. */
  readonly urls: readonly string[]
  /** Open connections. */
  readonly sockets: number
  /** Takes no more connections; those that are open stay. */
  stopAccepting(): void
  /** Stops accepting, closes what is open with GOING_AWAY, and resolves when everything is gone. */
  close(): Promise<void>
}

/** @throws AteError BAD_URL | BAD_ARGUMENT | CANNOT_LISTEN. After a throw nothing listens. */
export type Listen = (urls: string | readonly string[], options: ListenOptions) => Promise<Listening>

/** A URL of ours, taken apart. */
export interface Place {
  readonly scheme: 'ws' | 'wss' | 'ws+unix'
  /** A name or an address, of IPv6 without brackets; of a local socket its file. */
  readonly host: string
  /** 0 of a local socket. */
  readonly port: number
  /** From its slash, without one at the end, the root as empty text. */
  readonly path: string
}

const DEFAULT_PORTS = { ws: 80, wss: 443 } as const

/** @throws AteError BAD_URL */
export function parsePlace(url: string): Place {
  if (typeof url !== 'string' || url.length > URL_CHARACTERS_MAX) throw badUrl(url, 'no text, or too long')
  if (url.startsWith('ws+unix:')) return parseLocal(url)
  if (!URL.canParse(url)) throw badUrl(url, 'no URL')
  const { protocol, hostname, port, pathname, username, password, search, hash } = new URL(url)
  const scheme = protocol.slice(0, -1)
  if (scheme !== 'ws' && scheme !== 'wss') throw badUrl(url, 'begins with neither ws: nor wss:')
  // A secret in a URL ends in logs and histories; who acts is an identity, not a name and a password.
  if (username !== '' || password !== '') throw badUrl(`${scheme}://...`, 'holds a name or a password')
  if (search !== '' || hash !== '') throw badUrl(url, 'has a query or a fragment')
  const host = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname
  return { scheme, host, port: port === '' ? DEFAULT_PORTS[scheme] : Number(port), path: withoutSlash(pathname) }
}

/** The text of a place: what `parsePlace` takes. */
export function placeUrl({ scheme, host, port, path }: Place): string {
  if (scheme === 'ws+unix') return path === '' ? `ws+unix:${host}` : `ws+unix:${host}:${path}`
  const name = host.includes(':') ? `[${host}]` : host
  return `${scheme}://${name}${port === DEFAULT_PORTS[scheme] ? '' : `:${port}`}${path}`
}

/** True for 127.0.0.0/8, ::1, and `localhost`, which resolves to nothing else (RFC 6761). */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^(::ffff:)?127(\.\d{1,3}){3}$/.test(host)
}

/** A place on this machine alone. */
export function isLoopbackPlace(place: Place): boolean {
  return place.scheme === 'ws+unix' || isLoopbackHost(place.host)
}

/** The longest of `served` that `requested` is or lies below; undefined if there is none. Both as `Place.path`. */
export function servedPath(served: Iterable<string>, requested: string): string | undefined {
  let best: string | undefined
  for (const path of served) {
    const fits = requested === path || requested.startsWith(`${path}/`)
    if (fits && (best === undefined || path.length > best.length)) best = path
  }
  return best
}

/** A path without slashes at its end. */
export function withoutSlash(path: string): string {
  let end = path.length
  while (end > 0 && path.charCodeAt(end - 1) === SLASH) end--
  return path.slice(0, end)
}

const URL_CHARACTERS_MAX = 2048
const SLASH = 0x2f

function parseLocal(url: string): Place {
  const rest = url.slice('ws+unix:'.length).replace(/^\/\/(?=\/)/, '')
  const colon = rest.lastIndexOf(':/')
  const [file, path] = colon < 0 ? [rest, ''] : [rest.slice(0, colon), rest.slice(colon + 1)]
  if (file === '' || file.includes('\0') || file.includes(':')) throw badUrl(url, 'names no file')
  return { scheme: 'ws+unix', host: file, port: 0, path: withoutSlash(path) }
}

function badUrl(given: unknown, what: string): AteError {
  return new AteError(
    'BAD_URL',
    { given: String(given).slice(0, 100), what },
    { hint: 'an address is ws://HOST:PORT/PATH, wss://HOST:PORT/PATH or ws+unix:FILE' },
  )
}
