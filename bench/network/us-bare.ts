/**
 * A connection of ours without a replica behind it, by the inside of @ate/core: thousands of them fit into one process, so
 * that what is measured is the server. It shows who it is, as every client does.
 */
import { createIdentity, type Identity, isAteError } from '@ate/core'
import { makeGenesis } from '../../packages/core/src/data/create-chain.ts'
import type { ChannelEvents } from '../../packages/core/src/mesh/client-connection.ts'
import { connect } from '../../packages/core/src/mesh/connect.ts'
import { serverPin } from '../../packages/core/src/mesh/server-pins.ts'
import type { Platform } from '../../packages/core/src/session/platform.ts'
import type { Address } from './service.ts'

export interface Bare {
  /** Proves the identity of this process. */
  sayWho(): Promise<void>
  /** Makes a chain and follows it. */
  makeChain(name: string): Promise<void>
  close(): void
}

const DEAF: ChannelEvents = {
  body() {},
  record() {},
  own() {},
  ack() {},
  answers() {},
  synced() {},
  key() {},
  ring() {},
  closed() {},
  lost() {},
}

let me: Promise<Identity> | undefined

export async function openBare(platform: Platform, { url, key }: Address): Promise<Bare> {
  me ??= createIdentity()
  const identity = await me
  const { hostname: host, port } = new URL(url!)
  const pin = await serverPin(platform, { host, port: Number(port), firstUse: 'accept', serverKey: key! })
  const connection = await connect(platform, { url: url!, pin })
  const { server, level } = connection
  const servers = {
    sequencers: [server.identity.fingerprintBytes],
    checkpointKeys: [server.delegation.checkpointKey],
  }
  async function open(name: string, genesis: Uint8Array | undefined): Promise<void> {
    const request = { identity, name, chain: undefined, head: undefined, genesis, bodies: 'all' } as const
    await connection.openChannel(request, () => DEAF)
  }
  return {
    // Proved before anything is opened, and there is nothing of this name.
    sayWho: () =>
      open('nothing', undefined).catch((error: unknown) => {
        if (!isAteError(error) || error.code !== 'CHAIN_NOT_FOUND') throw error
      }),
    makeChain(name) {
      const { crypto, environment } = platform
      return open(name, makeGenesis({ crypto, environment, identity }, level, servers).record.bytes)
    },
    close: () => connection.close(),
  }
}
