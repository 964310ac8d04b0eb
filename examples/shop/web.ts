/**
 * The shop's web server: the page, orders by POST, and what happens as server-sent events. The id of each of those is its
 * place in the log, so that a browser whose connection broke goes on exactly behind it, at whichever process answers.
 */
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { isAteError } from '@ate/core'
import { audit } from './audit.ts'
import { listen, readText } from './carrier.ts'
import { books, CUSTOMERS, ITEMS, invoiceOf, OrderRequest, placeOrder, type Shop, Turnover } from './shop.ts'

const ORDER_BYTES_MAX = 4096
const STREAMS_MAX = 100

const FILES = new Map(
  [
    ['/', 'index.html', 'text/html'],
    ['/page.js', 'page.js', 'text/javascript'],
    ['/page.css', '../../page.css', 'text/css'],
    ['/style.css', 'style.css', 'text/css'],
  ].map(([path, name, type]) => [
    path!,
    { type: type!, bytes: readFileSync(new URL(`page/${name}`, import.meta.url)) },
  ]),
)

export async function startWeb(shop: Shop, port: number): Promise<Server> {
  let streams = 0
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname } = new URL(request.url ?? '/', 'http://shop')
    const file = FILES.get(pathname)
    const [, invoice] = /^\/invoices\/([0-9a-f-]{36})$/.exec(pathname) ?? []
    if (request.method === 'POST' && pathname === '/orders') await takeOrder(shop, request, response)
    else if (request.method !== 'GET') send(response, 405, 'text/plain', 'only GET')
    else if (file) send(response, 200, file.type, file.bytes)
    else if (pathname === '/shop.json') sendJson(response, 200, { items: ITEMS, customers: CUSTOMERS })
    else if (pathname === '/books') sendJson(response, 200, await books(shop))
    else if (invoice) await sendInvoice(shop, invoice, response)
    else if (pathname === '/audit') sendJson(response, 200, await audit(shop))
    else if (pathname !== '/events') send(response, 404, 'text/plain', 'not here')
    else if (streams >= STREAMS_MAX) send(response, 503, 'text/plain', 'too many look on')
    else {
      streams++
      await stream(shop, request, response).finally(() => streams--)
    }
  }
  const http = createServer((request, response) => {
    answer(request, response).catch((error) => {
      if (response.headersSent) response.destroy()
      else send(response, 500, 'text/plain', isAteError(error) ? error.code : 'an error of the shop')
    })
  })
  await listen(http, port)
  return http
}

async function takeOrder(shop: Shop, request: IncomingMessage, response: ServerResponse): Promise<void> {
  // Pages of others cannot send this type without asking first.
  if (request.headers['content-type'] !== 'application/json') return send(response, 415, 'text/plain', 'JSON, please')
  const wanted = OrderRequest.safeParse(jsonOf(await readText(request, ORDER_BYTES_MAX)))
  if (!wanted.success) return send(response, 400, 'text/plain', 'This is no order.')
  try {
    const { existed, order } = await placeOrder(shop, wanted.data)
    sendJson(response, existed ? 200 : 201, order)
  } catch (error) {
    if (!isAteError(error)) throw error
    if (error.code === 'INSUFFICIENT') send(response, 402, 'text/plain', `${wanted.data.customer} cannot pay that.`)
    else if (error.code === 'ID_REUSED') send(response, 409, 'text/plain', 'Another order has this id.')
    else throw error
  }
}

async function sendInvoice({ archive }: Shop, order: string, response: ServerResponse): Promise<void> {
  try {
    const { body } = await archive.get(invoiceOf(order))
    send(response, 200, 'text/plain', new Uint8Array(await new Response(body).arrayBuffer()))
  } catch (error) {
    if (!isAteError(error) || error.code !== 'NOT_FOUND') throw error
    send(response, 404, 'text/plain', 'There is no invoice of it yet.')
  }
}

/** All events of the shop, or those behind the one that the browser saw last; then what comes, until it goes. */
async function stream(shop: Shop, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  response.writeHead(200, headersOf('text/event-stream'))
  response.write('retry: 300\n\n')
  try {
    await Promise.all([
      streamEvents(shop, cursorOf(request, shop.chain.id), response, gone.signal),
      streamNews(shop, response, gone.signal),
    ])
    response.end()
  } catch (error) {
    if (!gone.signal.aborted) throw error
  }
}

async function streamEvents(
  { events }: Shop,
  from: From,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  for await (const { topic, key, time, data, cursor } of events.read('order.*', { from, live: true, signal })) {
    const text = JSON.stringify({ topic, order: key, time, ...data })
    const hasRoom = response.write(`id: ${cursor.seq}.${cursor.index}\ndata: ${text}\n\n`)
    if (!hasRoom) await new Promise<void>((resolve) => response.once('drain', resolve).once('close', resolve))
  }
}

/** The turnover comes a moment behind the events that it is made of: the page is told to look at the books again. */
async function streamNews({ chain }: Shop, response: ServerResponse, signal: AbortSignal): Promise<void> {
  for await (const _ of chain.watch({ type: Turnover, signal })) response.write('event: books\ndata: changed\n\n')
}

type From = ReturnType<typeof cursorOf>

function cursorOf({ headers }: IncomingMessage, chain: string) {
  const [, seq, index] = /^(\d{1,15})\.(\d{1,5})$/.exec(String(headers['last-event-id'])) ?? []
  return seq === undefined ? ('start' as const) : { chain, seq: Number(seq), index: Number(index) }
}

function jsonOf(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '')
  } catch {
    return undefined
  }
}

function headersOf(type: string): Record<string, string> {
  return {
    'content-type': `${type}; charset=utf-8`,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'content-security-policy':
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  }
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  send(response, status, 'application/json', JSON.stringify(value))
}

function send(response: ServerResponse, status: number, type: string, body: string | Uint8Array): void {
  response.writeHead(status, headersOf(type))
  response.end(body)
}
