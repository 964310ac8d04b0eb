/** The parts of the shop, as they run: together in one process, or each in one of its own (main.ts, part.ts). */
import { join } from 'node:path'
import { type Identity, openChain, openIdentity } from '@ate/core'
import { closeServer } from './carrier.ts'
import { carrierToken } from './credentials.ts'
import { closeShop, openShop, type Shop } from './shop.ts'
import { startWeb } from './web.ts'
import { startWorker } from './worker.ts'

/** Where everything is; nothing of it is secret. */
export interface Setting {
  readonly data: string
  /** The chain: `file:`, or `ws:` at a server. */
  readonly place: string
  /** Of the server. */
  readonly serverKey?: string
  /** The chain that is meant; left out, it is made if it is not there. */
  readonly id?: string
  readonly vault: string
  readonly carrier: string
  /** Of the web server; 0 takes a free one. */
  readonly port: number
}

export interface Running {
  readonly port: number
  close(): Promise<void>
}

export function shopIdentity(data: string): Promise<Identity> {
  return openIdentity(join(data, 'shop.identity'), { create: true })
}

export function vaultPlace(data: string): string {
  return `file:${join(data, 'vault')}`
}

/** The chain is the only thing that differs between one process on a file and many at a server. */
export async function connect({ data, place, serverKey, id }: Setting): Promise<Shop> {
  const as = await shopIdentity(data)
  const which = id === undefined ? { create: true } : { id }
  const shop = openShop(await openChain(place, { as, ...which, ...(serverKey === undefined ? {} : { serverKey }) }))
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

export async function runWorker(shop: Shop, { data, vault, carrier: url }: Setting): Promise<Running> {
  const token = await carrierToken(vaultPlace(data), vault, await shopIdentity(data))
  await startWorker(shop, { url, token })
  return { port: 0, close: () => closeShop(shop) }
}
