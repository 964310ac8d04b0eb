/**
 * The Node program: serves the chain and the page on this machine alone, lets in who has the invitation, and takes part:
 * it prints what it sees, and adds each line that is typed.
 *
 *   node -C @ate/source serve.ts [--port 5001] [--data ./todo-data]
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { type Chain, openChain, openIdentity, type PublicId, role } from '@ate/core'
import { serve } from '@ate/core/server'
import { pageFiles } from './bundle.ts'
import { ITEMS, Item, type JoinRequest, List, type Where } from './list.ts'

const { values } = parseArgs({
  options: { port: { type: 'string', default: '5001' }, data: { type: 'string', default: './todo-data' } },
})
const port = Number(values.port)
const { data } = values

const files = await pageFiles()
// The page's port, and the next one for the chain; 0 takes two that are free.
const server = await serve({ listen: `ws://127.0.0.1:${port === 0 ? 0 : port + 1}/db`, data })
const me = await openIdentity(join(data, 'identity'), { create: true })
const url = `${server.url}/todo`
const chain = await openChain(url, { as: me, create: true, serverKey: server.publicKey })
const list = await findList(chain)
const where: Where = { url, id: chain.id, serverKey: server.fingerprint, list }
const invitation = randomBytes(16).toString('base64url')

const web = createServer((request, response) => {
  answer(request, response).catch((error) => send(response, 500, 'text/plain', String(error)))
})
await listen(web)
const origin = `http://127.0.0.1:${(web.address() as AddressInfo).port}`
console.log(`open ${origin}/#invitation=${invitation}`)

void printChanges()
const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => {
  const text = line.trim()
  if (text !== '')
    void chain
      .transact((tx) => tx.create(Item, { text, done: false }, { parent: list, in: ITEMS }))
      .catch(console.error)
})

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void stop())

async function stop(): Promise<void> {
  lines.close()
  web.close()
  web.closeAllConnections()
  await chain.close()
  await server.close()
}

/** The list, made with the first start: who has the role reads and writes it, and what is in it. */
async function findList(chain: Chain): Promise<string> {
  for await (const { id } of chain.children(List)) return id
  return chain.transact((tx) => {
    tx.role('people').add(me.publicId)
    const policy = { read: [role('people')], write: [role('people')] }
    return tx.create(List, { title: 'Todo' }, policy).id
  })
}

async function printChanges(): Promise<void> {
  for await (const { kind, id } of chain.watch({ parent: list })) {
    const item = kind === 'deleted' ? undefined : await chain.get(Item, id)
    console.log(item ? `${kind}: ${item.value.done ? '[x]' : '[ ]'} ${item.value.text}` : `${kind}: ${id}`)
  }
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = new URL(request.url ?? '/', origin).pathname
  const file = files.get(path)
  if (request.method === 'POST' && path === '/join') await letIn(request, response)
  else if (request.method !== 'GET') send(response, 405, 'text/plain', 'only GET')
  else if (path === '/where.json') send(response, 200, 'application/json', JSON.stringify(where))
  else if (file) send(response, 200, file.type, file.bytes)
  else send(response, 404, 'text/plain', 'not here')
}

/** Who knows the invitation gets the role, under the identity that his browser has made. */
async function letIn(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const asked = await readJoin(request)
  if (!asked || !isSame(asked.invitation, invitation)) {
    send(
      response,
      403,
      'text/plain',
      'This invitation is not valid any more: each start of the program makes a new one.',
    )
    return
  }
  await chain.transact((tx) => {
    tx.role('people').add(asked.publicId)
  })
  send(response, 204, 'text/plain', '')
}

/** Bytes of a request to join: an identity's public keys are some 5 kB. */
const JOIN_BYTES_MAX = 16_384

async function readJoin(request: IncomingMessage): Promise<JoinRequest | undefined> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    bytes += (chunk as Buffer).length
    if (bytes > JOIN_BYTES_MAX) return undefined
    chunks.push(chunk as Buffer)
  }
  try {
    const { invitation, publicId }: Partial<Record<keyof JoinRequest, unknown>> = JSON.parse(
      String(Buffer.concat(chunks)),
    )
    return typeof invitation === 'string' && typeof publicId === 'string'
      ? { invitation, publicId: publicId as PublicId }
      : undefined
  } catch {
    return undefined
  }
}

/** In the same time whatever differs. */
function isSame(given: string, wanted: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(hash(given), hash(wanted))
}

function send(response: ServerResponse, status: number, type: string, body: string | Uint8Array): void {
  const { host } = new URL(server.url)
  response.writeHead(status, {
    'content-type': `${type}; charset=utf-8`,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    // No script but ours sees what the tab decrypts, and it talks to nobody but this program.
    'content-security-policy': `default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self' ws://${host}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  })
  response.end(status === 204 ? undefined : body)
}

function listen(http: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    http.once('error', reject)
    http.listen(port, '127.0.0.1', resolve)
  })
}
