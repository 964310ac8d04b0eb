/** A server in this process, and its chain: the place of those who do not keep the log themselves. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Chain, type Identity, openChain } from '@ate/core'
import { type Served, type ServeOptions, serve } from '@ate/core/server'

export interface ServedPlace extends AsyncDisposable {
  readonly folder: string
  readonly server: Served
  /** Where the server keeps the chain. */
  readonly chainFolder: string
  /** The chain as somebody sees it; whoever opens it first makes it. */
  open(as: Identity): Promise<Chain>
  /** Ends the server, and starts it again on the same port with other options. */
  restart(options?: Partial<ServeOptions>): Promise<void>
  close(): Promise<void>
}

export async function servedPlace(options: Partial<ServeOptions> = {}): Promise<ServedPlace> {
  const folder = mkdtempSync(join(tmpdir(), 'ate-vault-served-'))
  const start = (listen: string, more: Partial<ServeOptions>): Promise<Served> =>
    serve({ listen, data: join(folder, 'server'), ...more })
  let server = await start('ws://127.0.0.1:0/db', options)
  const { url, publicKey: serverKey } = server
  let id: string | undefined
  const close = async (): Promise<void> => {
    await server.close()
    rmSync(folder, { recursive: true, force: true })
  }
  return {
    folder,
    get server() {
      return server
    },
    chainFolder: join(folder, 'server/chains/vault'),
    async open(as) {
      const which = id === undefined ? { create: true } : { id }
      const chain = await openChain(`${url}/vault`, { as, serverKey, ...which })
      id = chain.id
      return chain
    },
    async restart(more = options) {
      await server.close()
      server = await start(url, more)
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
