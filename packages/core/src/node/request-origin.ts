/**
 * Who is behind a request. "On this machine" carries rights, and three strangers look so: whoever comes through a proxy
 * that runs here, a page of another site in a browser that runs here, and such a page whose name was made to resolve to
 * 127.0.0.1. None of them can leave out the header that betrays it.
 */
import type { IncomingMessage } from 'node:http'
import { isLoopbackHost } from '../mesh/transport.ts'

/** The address without port, of IPv4 inside IPv6 as IPv4; empty of a local socket. */
export function peerOf(request: IncomingMessage): string {
  return (request.socket.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/, '')
}

/** `via`: a socket file is for its owner alone, and has no address that could be this machine's. */
export function isLocalRequest(request: IncomingMessage, via: 'address' | 'file'): boolean {
  const { headers } = request
  if (FORWARDED.some((name) => headers[name] !== undefined)) return false
  if (headers.origin !== undefined && !isLocalOrigin(headers.origin)) return false
  if (via === 'file') return true
  return isLoopbackHost(peerOf(request)) && isLoopbackHost(hostName(headers.host ?? ''))
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

/** Of a Host header, whose port is cut off. */
function hostName(host: string): string {
  return host.replace(/:\d+$/, '')
}
