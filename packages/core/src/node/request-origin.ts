/**
 * Who is behind a request. "On this machine" carries rights, and three strangers look so: whoever comes through a proxy
 * that runs here, a page of another site in a browser that runs here, and such a page whose name was made to resolve to
 * 127.0.0.1. The pages cannot leave out the header that betrays them. A proxy can: nginx adds none unless it is told to. So
 * proxies are named, and behind one that is not nobody has rights by default (mesh/serve-options.ts).
 */
import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'
import { AteError } from '../base/errors.ts'
import { isLoopbackHost } from '../mesh/transport.ts'

/** Whether an address is a proxy's; empty text is a local socket's. */
export type Proxies = (address: string) => boolean

/** `loopback` is this machine, its socket files included. @throws AteError BAD_ARGUMENT */
export function proxiesOf(given: readonly string[]): Proxies {
  const listed = new BlockList()
  let isOwn = false
  for (const text of given) {
    if (text === 'loopback') isOwn = true
    else addNetwork(listed, text)
  }
  return (address) => {
    const family = isIP(address)
    if (family === 0) return isOwn && address === ''
    return (isOwn && isLoopbackHost(address)) || listed.check(address, family === 6 ? 'ipv6' : 'ipv4')
  }
}

function addNetwork(listed: BlockList, text: string): void {
  const [address = '', bits, more] = text.split('/')
  const family = isIP(address)
  const bitsMax = family === 6 ? 128 : 32
  const size = bits === undefined ? bitsMax : /^\d{1,3}$/.test(bits) ? Number(bits) : -1
  if (family === 0 || more !== undefined || size < 0 || size > bitsMax)
    throw new AteError('BAD_ARGUMENT', {
      option: 'proxies',
      wanted: 'addresses, networks such as 10.0.0.0/8, or loopback',
      given: text.slice(0, 100),
    })
  listed.addSubnet(address, size, family === 6 ? 'ipv6' : 'ipv4')
}

/**
 * The address without port, of IPv4 inside IPv6 as IPv4; empty of a local socket. Of what a proxy passes on, the last address
 * in X-Forwarded-For that is no proxy's: each proxy adds whom it has seen behind what it was given, which may be made up.
 */
export function peerOf(request: IncomingMessage, isProxy: Proxies): string {
  let peer = plainAddress(request.socket.remoteAddress ?? '')
  const given = [request.headers['x-forwarded-for'] ?? []].flat().join(',').split(',')
  while (isProxy(peer)) {
    const before = plainAddress(given.pop()?.trim() ?? '')
    if (isIP(before) === 0) break
    peer = before
  }
  return peer
}

/** `via`: a socket file is for its owner alone, and has no address that could be this machine's. */
export function isLocalRequest(request: IncomingMessage, via: 'address' | 'file', isProxy: Proxies): boolean {
  const { headers } = request
  const address = plainAddress(request.socket.remoteAddress ?? '')
  if (isProxy(address)) return false
  if (FORWARDED.some((name) => headers[name] !== undefined)) return false
  if (headers.origin !== undefined && !isLocalOrigin(headers.origin)) return false
  if (via === 'file') return true
  return isLoopbackHost(address) && isLoopbackHost(hostName(headers.host ?? ''))
}

/** What proxies add: nginx, HAProxy, Caddy, Envoy, Cloudflare, and the standards (RFC 7239, RFC 9110 7.6.3). */
const FORWARDED = [
  'forwarded',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
  'cf-connecting-ip',
] as const

function isLocalOrigin(origin: string): boolean {
  return URL.canParse(origin) && isLoopbackHost(new URL(origin).hostname)
}

/** Some proxies add the port. */
function plainAddress(text: string): string {
  const bare = /^\[(.*)\](?::\d+)?$/.exec(text)?.[1] ?? text.replace(/^([\d.]+):\d+$/, '$1')
  return bare.replace(/^::ffff:(?=\d+\.)/, '')
}

/** Of a Host header, whose port is cut off. */
function hostName(host: string): string {
  return host.replace(/:\d+$/, '')
}
