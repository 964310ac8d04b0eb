/**
 * The shop, on this machine alone: all of it in this process, on a file; or with `--processes` a server, a web process and
 * two workers, which are started again whenever they end. Kill any of them.
 *
 *   node -C @ate/source main.ts [--processes] [--port 5003] [--data ./shop-data]
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Carrier, startCarrier } from './carrier.ts'
import { Children } from './children.ts'
import { carrierToken, keepCredentials } from './credentials.ts'
import { connect, identityOf, openAs, type Place, runWeb, runWorker, type Setting } from './parts.ts'
import { closeShop, openShop, setUp } from './shop.ts'

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '5003' },
    data: { type: 'string', default: './shop-data' },
    processes: { type: 'boolean', default: false },
  },
})
const { data } = values
await mkdir(data, { recursive: true })

const shop = await (values.processes ? runProcesses() : runAll())
console.log(`open http://127.0.0.1:${shop.port}/`)

let isClosing = false
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void stop())

/** A worker may what a web process may, and open the token. */
async function runAll() {
  const { carrier, ...setting } = await prepare({ data, place: `file:${join(data, 'chain')}` })
  const all = await connect('worker', setting)
  await runWorker(all, setting)
  const { port, close } = await runWeb(all, setting)
  return { port, carrier, close }
}

async function runProcesses() {
  const children = new Children()
  // A free port for the server, which it keeps.
  const listen = { data, place: 'ws://127.0.0.1:0/db', carrierUrl: '', port: 0 }
  const { url, serverKey } = await children.keep('server', listen, (ready) => ({ ...listen, place: ready.url! }))
  const { carrier, ...setting } = await prepare({ data, place: `${url}/shop`, serverKey: serverKey! })
  const [{ port }] = await Promise.all([
    children.keep('web', setting, ({ port }) => ({ ...setting, port })),
    children.keep('worker 1', setting),
    children.keep('worker 2', setting),
  ])
  return { port, carrier, close: () => children.close() }
}

/** What the owner does at each start: what is there already is as good. And the carrier, whom the same token lets in. */
async function prepare(where: Place): Promise<Setting & { readonly carrier: Carrier }> {
  const [web, worker] = await Promise.all((['web', 'worker'] as const).map((who) => identityOf(data, who)))
  const made = openShop(await openAs('owner', where))
  await keepCredentials(made.chain, worker!)
  await setUp(made, [web!, worker!])
  const carrier = await startCarrier(join(data, 'parcels'), await carrierToken(made.chain))
  const { id } = made.chain
  await closeShop(made)
  return { ...where, id, carrier, carrierUrl: carrier.url, port: Number(values.port) }
}

async function stop(): Promise<void> {
  if (isClosing) return
  isClosing = true
  await shop.close()
  await shop.carrier.close()
}
