/** Our side: `serve` in a process of its own, and clients by the public API, each with a verified replica in memory. */
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Chain, defineType, openChain, openIdentity } from '@ate/core'
import { platform } from '../../packages/core/src/node/platform.ts'
import { NODE_OPTIONS } from '../run.ts'
import { residentMemory, stopProcess } from './processes.ts'
import type { Connecting, Memory, NetworkClient, NetworkService, Running } from './service.ts'
import { openBare } from './us-bare.ts'

const SERVER_FILE = fileURLToPath(new URL('./us-server.ts', import.meta.url))
const COLLECTION = { in: 'c' }
const Thing = defineType<{ readonly v: string }>('thing')

export const onDisk: NetworkService = serviceOf('ate', 'disk')
export const inSystem: NetworkService = serviceOf('ate-os', 'os')

function serviceOf(name: string, durability: 'disk' | 'os'): NetworkService {
  return {
    name,
    durability,
    note: `ours: signed, linked, end-to-end encrypted, authorized by the server and by each reader; serve, ${durability}`,
    start: (folder) => start(folder, durability),
    connect: async (options) => clientOf(await open(options)),
    async readAll(options, expected) {
      const chain = await open(options)
      const entities = chain.stats().entities ?? expected
      await chain.close()
      return entities
    },
    async idle(address) {
      const connection = await openBare(platform, address)
      await connection.sayWho()
      return connection
    },
    async shake(address) {
      const connection = await openBare(platform, address)
      connection.close()
    },
    async openChains(address, first, count) {
      const connection = await openBare(platform, address)
      for (let i = 0; i < count; i++) await connection.makeChain(`many/${first + i}`)
    },
  }
}

async function start(folder: string, durability: 'disk' | 'os'): Promise<Running> {
  const child = fork(SERVER_FILE, [JSON.stringify({ data: join(folder, 'served'), durability })], {
    execArgv: [...NODE_OPTIONS],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const { pid } = child as { pid: number }
  const { url, key } = await said<{ url: string; key: string }>(child)
  return {
    pid,
    address: { url, key, identity: join(folder, 'identity') },
    async memory() {
      child.send('memory')
      const { heap } = await said<Pick<Memory, 'heap'>>(child)
      return { ...residentMemory(pid), ...(heap === undefined ? {} : { heap }) }
    },
    stop: () => stopProcess(child),
  }
}

function said<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    child.once('message', (message) => resolve(message as T))
    child.once('exit', (code) => reject(new Error(`our server ended with ${code}`)))
  })
}

async function open({ address, folder, role }: Connecting): Promise<Chain> {
  // What this machine remembers of chains goes where the data goes, and is this client's own.
  process.env['ATE_HOME'] = join(folder, 'home')
  const as = await openIdentity(address['identity']!, { create: role === 'first' })
  return openChain(`${address['url']}/bench`, { as, create: role === 'first', serverKey: address['key']! })
}

function clientOf(chain: Chain): NetworkClient {
  const commit = (v: string): Promise<unknown> => chain.transact((tx) => tx.create(Thing, { v }, COLLECTION))
  return {
    commit,
    commitAll: (values) =>
      chain.transact((tx) => {
        for (const v of values) tx.create(Thing, { v }, COLLECTION)
      }),
    async follow(onValue) {
      void (async () => {
        for await (const event of chain.events({ from: chain.stats().records })) onValue((await event.value(Thing)).v)
      })()
    },
    close: () => chain.close(),
  }
}
