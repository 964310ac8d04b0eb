/**
 * The shop, on this machine alone: all of it in this process, on a file; or with `--processes` a server, a web process and
 * two workers, which are started again whenever they end. Kill any of them.
 *
 *   node -C @ate/source main.ts [--processes] [--port 5003] [--data ./shop-data]
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openIdentity } from '@ate/core'
import { startCarrier } from './carrier.ts'
import { Children } from './children.ts'
import { carrierToken, keepCredentials } from './credentials.ts'
import { connect, runWeb, runWorker, type Setting, shopIdentity, vaultPlace } from './parts.ts'
import { closeShop, setUp } from './shop.ts'

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '5003' },
    data: { type: 'string', default: './shop-data' },
    processes: { type: 'boolean', default: false },
  },
})
const { data } = values
await mkdir(data, { recursive: true })
const owner = await openIdentity(join(data, 'owner.identity'), { create: true })
const vault = await keepCredentials(vaultPlace(data), owner, await shopIdentity(data))
const carrier = await startCarrier(join(data, 'parcels'), await carrierToken(vaultPlace(data), vault, owner))
const where = { data, vault, carrier: carrier.url, port: Number(values.port) }

const shop = await (values.processes ? runProcesses() : runAll({ ...where, place: `file:${join(data, 'chain')}` }))
console.log(`open http://127.0.0.1:${shop.port}/`)

let isClosing = false
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void stop())

async function runAll(setting: Setting) {
  const all = await connect(setting)
  await setUp(all)
  await runWorker(all, setting)
  return runWeb(all, setting)
}

async function runProcesses() {
  const children = new Children()
  // A free port for the server, which it keeps.
  const listen = { ...where, place: 'ws://127.0.0.1:0/db' }
  const { url, serverKey } = await children.keep('server', listen, (ready) => ({ ...listen, place: ready.url! }))
  const made = await connect({ ...where, place: `${url}/shop`, serverKey: serverKey! })
  await setUp(made)
  const setting = { ...where, place: `${url}/shop`, serverKey: serverKey!, id: made.chain.id }
  await closeShop(made)
  const [{ port }] = await Promise.all([
    children.keep('web', setting, ({ port }) => ({ ...setting, port })),
    children.keep('worker 1', setting),
    children.keep('worker 2', setting),
  ])
  return { port, close: () => children.close() }
}

async function stop(): Promise<void> {
  if (isClosing) return
  isClosing = true
  await shop.close()
  await carrier.close()
}
