/**
 * A carrier, which stands for the world outside: an HTTP service with a token. It keeps each parcel on disk before it
 * answers, and gives the same number for the same key, as good services do. The shop knows its address and its token.
 */
import { randomUUID } from 'node:crypto'
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Send } from './shop.ts'

export interface Parcel {
  readonly key: string
  readonly what: string
  readonly tracking: string
}

export interface Carrier {
  readonly url: string
  close(): Promise<void>
}

const BODY_BYTES_MAX = 4096

export async function startCarrier(file: string, token: string): Promise<Carrier> {
  const parcels = new Map(readParcels(file).map((parcel) => [parcel.key, parcel]))
  const send = (key: string, what: string): Parcel => {
    const before = parcels.get(key)
    if (before) return before
    const parcel = { key, what, tracking: randomUUID().slice(0, 8) }
    appendFileSync(file, `\n${JSON.stringify(parcel)}`)
    parcels.set(key, parcel)
    return parcel
  }
  const http = createServer(async (request, response) => {
    if (request.headers.authorization !== `Bearer ${token}`) return response.writeHead(401).end()
    const key = request.headers['idempotency-key']
    const what = await readText(request, BODY_BYTES_MAX)
    if (typeof key !== 'string' || key === '' || what === undefined) return response.writeHead(400).end()
    return response.writeHead(200).end(send(key, what).tracking)
  })
  await listen(http, 0)
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    close: () => closeServer(http),
  }
}

/** Its books: what was sent. A line that was cut off, because the process was killed, was not answered. */
function readParcels(file: string): Parcel[] {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines.filter((line) => line.endsWith('}')).map((line) => JSON.parse(line))
}

/** The shop's side. */
export function carrierClient(url: string, token: string): Send {
  return async (key, what) => {
    const headers = { authorization: `Bearer ${token}`, 'idempotency-key': key }
    const response = await fetch(url, { method: 'POST', headers, body: what, signal: AbortSignal.timeout(5000) })
    if (!response.ok) throw new Error(`the carrier answers ${response.status}`)
    return response.text()
  }
}

/** Undefined if there is more than `bytesMax`. */
export async function readText(request: IncomingMessage, bytesMax: number): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    bytes += (chunk as Buffer).length
    if (bytes > bytesMax) return undefined
    chunks.push(chunk as Buffer)
  }
  return String(Buffer.concat(chunks))
}

/** On this machine alone; 0 takes a free port. */
export function listen(http: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    http.once('error', reject)
    http.listen(port, '127.0.0.1', resolve)
  })
}

export function closeServer(http: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => http.close(() => resolve()))
  http.closeAllConnections()
  return closed
}
