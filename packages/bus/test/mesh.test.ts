/**
 * The mesh scenario of ATE: five servers of one ring, three clients that each ask another one, rows that come to all of
 * them, an event that all listeners hear and one that exactly one takes. Not encrypted, sealed, and sealed inside TLS.
 * @newest-node-only: a server needs native post-quantum code to be quick
 */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Chain, createIdentity, defineType, type OpenOptions, openChain } from '@ate/core'
import { type Served, type ServeOptions, serve } from '@ate/core/server'
import { afterAll, describe, expect, it } from 'vitest'
import { bus } from '../src/index.ts'
import { alice, codeOf, collect } from './kit.ts'

interface Topics {
  'row.told': string
  'row.taken': string
}
const Row = defineType<{ text: string }>('row')
const Taken = defineType<{ by: string; text: string }>('taken')
const SERVERS = 5
const root = mkdtempSync(join(tmpdir(), 'ate-mesh-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => new Promise((resolve) => server.once('listening', resolve))))
  const ports = servers.map((server) => (server.address() as { readonly port: number }).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

/** Five with one identity, each of which knows all of them. */
async function startRing(scheme: 'ws' | 'wss', options: Partial<ServeOptions>): Promise<Served[]> {
  const folder = mkdtempSync(join(root, 'ring-'))
  const host = scheme === 'wss' ? 'localhost' : '127.0.0.1'
  const nodes = (await freePorts(SERVERS)).map((port) => `${scheme}://${host}:${port}/db`)
  const servers: Served[] = []
  for (const [i, listen] of nodes.entries()) {
    const data = join(folder, String(i))
    mkdirSync(data, { mode: 0o700 })
    if (i > 0) copyFileSync(join(folder, '0', 'server-identity'), join(data, 'server-identity'))
    servers.push(await serve({ listen, data, nodes, ...options }))
  }
  return servers
}

/** For localhost, of this run alone. */
function certificate(): { readonly cert: string; readonly key: string } {
  const [key, cert] = [join(root, 'key.pem'), join(root, 'cert.pem')]
  const args = `req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout ${key} -out ${cert}`.split(' ')
  execFileSync('openssl', [...args, '-addext', 'subjectAltName=DNS:localhost'], { stdio: 'pipe' })
  return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') }
}

const tls = certificate()

describe.each([
  ['plain', 'ws', { wireEncryption: 'off' }, { wire: 'plain' }],
  ['sealed', 'ws', {}, {}],
  ['sealed inside TLS', 'wss', { tls, nodesCa: tls.cert }, { ca: tls.cert }],
] as const)('five servers, %s', (_how, scheme, options, client: Partial<OpenOptions>) => {
  it('bring rows and events to clients that ask different ones', async () => {
    const servers = await startRing(scheme, options)
    const serverKey = servers[0]!.publicKey
    const chains: Chain[] = []
    const connect = async (server: number, more: Partial<OpenOptions>): Promise<Chain> => {
      const how = { serverKey, share: false, ...client, ...more } as OpenOptions
      const chain = await openChain(`${servers[server]!.url}/table`, how)
      chains.push(chain)
      return chain
    }
    try {
      const as = await alice()
      const a = await connect(0, { as, create: true })
      const [, row2] = await a.transact((tx) => [
        tx.create(Row, { text: 'row1 of a' }),
        tx.create(Row, { text: 'row2 of a' }),
      ])
      const b = await connect(1, { as, id: a.id })
      const [eventsA, eventsB] = [bus<Topics>(a), bus<Topics>(b)]

      // Two listeners of A, and on each side one of a group that takes what is to be done once.
      const heard: string[][] = [[], []]
      for (const texts of heard) eventsA.on('row.told', ({ data }) => void texts.push(data))
      const groups = [eventsA, eventsB].map((events, i) =>
        events.subscribe('takers', 'row.taken', ({ data, effect }) => {
          effect((tx) => tx.create(Taken, { by: i === 0 ? 'a' : 'b', text: data }))
        }),
      )
      await Promise.all(groups.map(({ ready }) => ready))

      // B stores a row of its own, reads the second of A, and publishes: one that all hear, one that one takes.
      const row1 = await b.transact((tx) => tx.create(Row, { text: 'row1 of b' }, { read: 'everyone' }))
      expect((await b.load(Row, row2!.id)).value.text).toBe('row2 of a')
      await eventsB.publish('row.told', 'test_string1')
      await eventsB.publish('row.taken', 'test_string2')

      await expect.poll(() => heard, { timeout: 20_000 }).toEqual([['test_string1'], ['test_string1']])
      await groups[0]!.drain()
      await groups[1]!.drain()
      for (const chain of [a, b]) {
        await chain.refresh()
        expect((await collect(chain.children(Taken))).map(({ value }) => value.text)).toEqual(['test_string2'])
      }
      // What B has written came to A by itself.
      expect((await a.load(Row, row1.id)).value.text).toBe('row1 of b')

      // A third one, whom the chain does not know, asks whichever of the others: what everyone may read he reads.
      const stranger = await createIdentity()
      for (const server of [2, 3, 4]) {
        const c = await connect(server, { as: stranger, id: a.id })
        expect((await c.load(Row, row1.id)).value.text).toBe('row1 of b')
        expect(await codeOf(c.load(Row, row2!.id))).toBe('NO_READ_KEY')
        expect(await codeOf(c.transact((tx) => tx.create(Row, { text: 'no' })))).toBe('NOT_AUTHORIZED')
        await c.close()
      }
      await Promise.all([eventsA.close(), eventsB.close()])
    } finally {
      for (const chain of chains) await chain.close()
      await Promise.all(servers.map((server) => server.close()))
    }
  })
})
