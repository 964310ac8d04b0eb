/**
 * Connections to servers that the tabs of an origin share, one to each server: in the tab that leads it is its own, in the
 * others it is spoken through. Whether a tab leads does not matter to what is written: each has its own certificate and
 * outbox, checks everything itself, and goes on over the next connection as after any that broke.
 */
import { AteError } from '../base/errors.ts'
import type { Tabs } from '../base/sharing.ts'
import type { Platform } from '../session/platform.ts'
import type { ClientConnection } from './client-connection.ts'
import { type Lease, leaseConnection, type PoolRequest, poolKey } from './connection-pool.ts'
import { connectThrough, relayTo } from './relay.ts'
import { serverPin } from './server-pins.ts'

// One file to load for tabs that share.
export { copyBeside } from './copy-beside.ts'

export interface TabConnections {
  /** @throws AteError, as leaseConnection */
  lease(request: PoolRequest, signal: AbortSignal | undefined): Promise<Lease>
  /** The chain is closed: the last one of a tab leaves its groups. */
  close(): Promise<void>
}

interface Group {
  readonly tabs: Promise<Tabs>
  /** Connections that this tab has as the leader. */
  readonly own: Set<ClientConnection>
  users: number
}

const groups = new WeakMap<Platform, Map<string, Group>>()

/** Those of one chain, which may be sent from one server to another. */
export function tabConnections(platform: Platform): TabConnections {
  const joined = new Map<string, Group>()
  return {
    lease(asked, signal) {
      const request: PoolRequest = { ...asked, shared: true }
      const key = poolKey(request)
      const group = joined.get(key) ?? join(platform, key, request)
      joined.set(key, group)
      return leaseIn(platform, group, request, signal)
    },
    async close() {
      await Promise.all([...joined].map(([key, group]) => leave(platform, key, group)))
      joined.clear()
    },
  }
}

function join(platform: Platform, key: string, request: PoolRequest): Group {
  const known = groups.get(platform) ?? new Map<string, Group>()
  groups.set(platform, known)
  const group = known.get(key) ?? begin(platform, key, request)
  known.set(key, group)
  group.users++
  return group
}

function begin(platform: Platform, name: string, request: PoolRequest): Group {
  const own = new Set<ClientConnection>()
  const lead = async () => ({
    accept: (socket: Parameters<typeof relayTo>[0]) => void relayTo(socket, () => ownLease(platform, own, request)),
    // One that leads no more, since it was frozen, speaks through the new leader as the others do.
    close: async () => {
      for (const connection of own) connection.close()
    },
  })
  return { tabs: platform.tabs!({ name, lead, failed: (error) => platform.warn(error) }), own, users: 0 }
}

async function leave(platform: Platform, key: string, group: Group): Promise<void> {
  if (--group.users > 0) return
  groups.get(platform)?.delete(key)
  await (await group.tabs).close()
}

async function ownLease(
  platform: Platform,
  own: Set<ClientConnection>,
  request: PoolRequest,
  signal?: AbortSignal,
): Promise<Lease> {
  const lease = await leaseConnection(platform, request, signal)
  const { connection } = lease
  if (!own.has(connection)) {
    own.add(connection)
    connection.onClosed(() => own.delete(connection))
  }
  return lease
}

async function leaseIn(
  platform: Platform,
  { tabs, own }: Group,
  request: PoolRequest,
  signal: AbortSignal | undefined,
): Promise<Lease> {
  const group = await tabs
  const socket = await group.reach(signal ? { signal } : {})
  if (!socket) {
    const lease = await ownLease(platform, own, request, signal)
    if (group.isLeader) return lease
    lease.leave()
    throw new AteError('OFFLINE', { what: 'another tab leads by now' })
  }
  const pin = await serverPin(platform, request.pin)
  const connection = await connectThrough(platform, socket, { pin, signal })
  return { connection, use: () => undefined, leave: () => connection.close() }
}
