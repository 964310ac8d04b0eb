/** The parts of the shop, as they run: together in one process, or each in one of its own (main.ts, part.ts). */
import { join } from 'node:path'
import { type Chain, type Identity, openChain, openIdentity } from '@ate/core'
import { closeServer } from './carrier.ts'
import { carrierToken } from './credentials.ts'
import { closeShop, openShop, type Shop } from './shop.ts'
import { startWeb } from './web.ts'
import { startWorker } from './worker.ts'

export interface Place {
  readonly data: string
  /** The chain: `file:`, or `ws:` at a server. */
  readonly place: string
  /** Of the server. */
  readonly serverKey?: string
  /** The chain that is meant; left out, it is made if it is not there. */
  readonly id?: string
}

/** Where everything is; nothing of it is secret. */
export interface Setting extends Place {
  readonly carrierUrl: string
  /** Of the web server; 0 takes a free one. */
  readonly port: number
}

export interface Running {
  readonly port: number
  close(): Promise<void>
}

/** The owner sets the shop up; its processes are one of the others. */
export type Who = 'owner' | 'web' | 'worker'

export function identityOf(data: string, who: Who): Promise<Identity> {
  return openIdentity(join(data, `${who}.identity`), { create: true })
}

/** The chain is the only thing that differs between one process on a file and many at a server. */
export async function openAs(who: Who, { data, place, serverKey, id }: Place): Promise<Chain> {
  const as = await identityOf(data, who)
  const which = id === undefined ? { create: true } : { id }
  return openChain(place, { as, ...which, ...(serverKey === undefined ? {} : { serverKey }) })
}

export async function connect(who: Who, setting: Setting): Promise<Shop> {
  const shop = openShop(await openAs(who, setting))
  await shop.views.ready
  return shop
}

export async function runWeb(shop: Shop, { port }: Setting): Promise<Running> {
  const http = await startWeb(shop, port)
  const address = http.address()
  return {
    port: typeof address === 'object' && address ? address.port : port,
    close: async () => {
      await closeServer(http)
      await closeShop(shop)
    },
  }
}

export async function runWorker(shop: Shop, { carrierUrl: url }: Setting): Promise<Running> {
  await startWorker(shop, { url, token: await carrierToken(shop.chain) })
  return { port: 0, close: () => closeShop(shop) }
}
