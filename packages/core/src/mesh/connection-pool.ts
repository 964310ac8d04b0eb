/**
 * Connections of this process, by server: chains of one server share one. A connection holds the process as long as a chain
 * on it is in use.
 */
import { unlessAborted } from '../base/deferred.ts'
import { AteError } from '../base/errors.ts'
import { mapOf } from '../base/weak-maps.ts'
import type { Platform } from '../session/platform.ts'
import type { ClientConnection } from './client-connection.ts'
import { connect } from './connect.ts'
import { type ServerPinOptions, serverPin } from './server-pins.ts'
import { type Place, placeUrl } from './transport.ts'

export interface PoolRequest {
  readonly address: Place
  readonly pin: ServerPinOptions
  readonly plain?: 'allow'
  readonly ca?: string | readonly string[]
  /** With the other tabs of the origin. */
  readonly shared?: true
}

interface Shared {
  readonly connection: Promise<ClientConnection>
  /** Chains that are in use, that are opened now, and that are parked. */
  users: number
  parked: number
}

const pools = new WeakMap<Platform, Map<string, Shared>>()

/** A place on a connection, shared or new. `leave` gives it back; the last one closes the connection. */
export interface Lease {
  readonly connection: ClientConnection
  /** In use, or only kept for a while: then it does not hold the process. */
  use(how: 'active' | 'parked'): void
  leave(): void
}

/** @throws AteError, as connect; the signal's reason */
export async function leaseConnection(
  platform: Platform,
  request: PoolRequest,
  signal: AbortSignal | undefined,
): Promise<Lease> {
  const pool = mapOf(pools, platform)
  const key = poolKey(request)
  for (;;) {
    const shared = pool.get(key) ?? begin(platform, pool, key, request)
    shared.users++
    try {
      const connection = await unlessAborted(shared.connection, signal)
      if (!connection.isLost && fits(connection, request.address)) return leaseOf(pool, key, shared, connection)
      if (!connection.isLost) throw badPath(request.address, connection.path)
    } catch (error) {
      leave(pool, key, shared)
      throw error
    }
    leave(pool, key, shared)
    if (pool.get(key) === shared) pool.delete(key)
  }
}

function begin(platform: Platform, pool: Map<string, Shared>, key: string, request: PoolRequest): Shared {
  const connection = connectTo(platform, request)
  const shared: Shared = { connection, users: 0, parked: 0 }
  pool.set(key, shared)
  const forget = (): void => {
    if (pool.get(key) === shared) pool.delete(key)
  }
  connection.then((open) => open.onClosed(forget), forget)
  return shared
}

/** Nobody's signal ends it, since others may wait for it too: the dialing has a time of its own. */
async function connectTo(platform: Platform, { address, pin, plain, ca }: PoolRequest): Promise<ClientConnection> {
  return connect(platform, {
    url: placeUrl({ ...address, path: address.path.slice(0, Math.max(0, address.path.lastIndexOf('/'))) }),
    pin: await serverPin(platform, pin),
    ...(ca === undefined ? {} : { ca }),
    ...(plain ? { plain } : {}),
  })
}

function leaseOf(pool: Map<string, Shared>, key: string, shared: Shared, connection: ClientConnection): Lease {
  let state: 'active' | 'parked' | 'left' = 'active'
  const hold = (): void => connection.hold(shared.users > shared.parked ? 'process' : 'nothing')
  hold()
  return {
    connection,
    use(how) {
      if (state === 'left' || state === how) return
      state = how
      shared.parked += how === 'parked' ? 1 : -1
      hold()
    },
    leave() {
      if (state === 'left') return
      if (state === 'parked') shared.parked--
      state = 'left'
      leave(pool, key, shared)
      hold()
    },
  }
}

function leave(pool: Map<string, Shared>, key: string, shared: Shared): void {
  shared.users--
  if (shared.users > 0) return
  if (pool.get(key) === shared) pool.delete(key)
  // One that does not open has told so to who waited for it.
  shared.connection.then((connection) => connection.close()).catch(() => undefined)
}

/** The service's own path is what the server says once it has shown who it is. */
function fits({ path }: ClientConnection, address: Place): boolean {
  return address.path.startsWith(`${path}/`) && address.path.length > path.length + 1
}

function badPath({ path }: Place, service: string): AteError {
  const hint = "the address of a chain is the server's with its name behind it: .../NAME"
  return new AteError('BAD_URL', { path, service }, { hint })
}

/** What two chains must have in common to share: the server, how it is known, and what is trusted on the way. */
export function poolKey({ address, pin, plain, ca, shared }: PoolRequest): string {
  const { scheme, host, port } = address
  const { serverKey } = pin
  const server = typeof serverKey === 'object' ? serverKey.fingerprintBytes.join() : (serverKey ?? '')
  const sibling = pin.sibling?.fingerprintBytes.join() ?? ''
  const how = [pin.pin ?? '', pin.firstUse ?? '', plain ?? '', ca ?? '', shared ?? false]
  return JSON.stringify([scheme, host, port, server, sibling, ...how])
}
