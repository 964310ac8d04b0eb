/** Opens a chain at a server: the way there, over connections that the chains of a process share, and where it sends us on. */
import { utf8 } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { CHAIN_NAME_BYTES_MAX, SHARE_RETRY_MAX_MS } from '../base/limits.ts'
import type { Chain } from '../data/chain.ts'
import { makeGenesis } from '../data/create-chain.ts'
import type { OpenOptions } from '../data/open-chain.ts'
import { isKept, type PublicIdentity } from '../session/identity.ts'
import type { Platform } from '../session/platform.ts'
import type { ClientConnection } from './client-connection.ts'
import { leaseConnection, type PoolRequest } from './connection-pool.ts'
import { type Made, openOrdered, type Wanted, type Way } from './open-ordered.ts'
import { isLoopbackPlace, type Place, parsePlace as parseAddress, placeUrl } from './transport.ts'

/**
 * Opens the chain at `ws://HOST:PORT/PATH/NAME`.
 * @throws AteError as openChain, and SERVER_UNREACHABLE | SERVER_UNKNOWN | SERVER_CHANGED | HANDSHAKE_FAILED |
 * WIRE_VERSION | OFFLINE | BAD_CHAIN_NAME
 */
export async function openRemote(url: string, options: OpenOptions, platform: Platform): Promise<Chain> {
  if (options.share && !platform.tabs && platform.name !== 'browser')
    throw new AteError('BAD_ARGUMENT', { what: 'share is for file: places; a server shares by itself' })
  if (options.offline === 'allow' && (options.replica ?? 'memory:') === 'memory:')
    throw new AteError('BAD_ARGUMENT', { what: 'offline: allow opens a copy that is kept: give replica' })
  const parsed = parseAddress(url)
  return openOrdered(placeUrl(parsed), { options, platform }, (wanted) => serverWay(parsed, wanted))
}

/** Undefined for what is not parked: a copy that is kept, which another process or tab may want. */
function parkingKey(name: string, { identity, options }: Wanted): string | undefined {
  const { replica = 'memory:', trust, wire, serverKey, rollback, bodies } = options
  if (replica !== 'memory:' || rollback === 'accept') return undefined
  const server = typeof serverKey === 'object' ? serverKey.fingerprintBytes.join() : (serverKey ?? '')
  return JSON.stringify([name, identity.fingerprint, trust ?? '', wire ?? '', bodies ?? '', server])
}

async function serverWay(url: Place, wanted: Wanted): Promise<Way> {
  const { options, platform } = wanted
  const tabs =
    options.share && platform.tabs ? (await import('./tab-connections.ts')).tabConnections(platform) : undefined
  const home = poolRequest(url, wanted)
  let request = home
  /** The chain's name as the address has it, behind the service's own path. */
  let rest = ''
  return {
    create: options.create ?? false,
    async connect(signal) {
      try {
        return await (tabs ? tabs.lease(request, signal) : leaseConnection(platform, request, signal))
      } catch (error) {
        // The server that we were sent to is gone: the first one knows where the chain is by now.
        request = home
        throw error
      }
    },
    nameOn({ path }) {
      rest = url.path.slice(path.length)
      return nameBelow(url, path)
    },
    genesisFor: (connection) => genesisFor(connection, wanted),
    ...(tabs ? { key: undefined, retryMs: SHARE_RETRY_MAX_MS } : { key: parkingKey(placeUrl(url), wanted) }),
    follow({ facts }, { server }) {
      const to = redirectTo(facts['url'], url)
      if (to) request = siblingRequest({ ...to, path: to.path + rest }, wanted, server.identity)
      return to !== undefined
    },
    close: async () => tabs?.close(),
  }
}

/** Undefined where a server has nobody to send: to what is no address, to a socket of this machine, or out of TLS. */
function redirectTo(given: unknown, { scheme }: Place): Place | undefined {
  const to = addressIn(given)
  const isFit = to?.scheme === 'wss' || (to?.scheme === 'ws' && scheme !== 'wss')
  return isFit ? to : undefined
}

/** What a server says is an address, if it is one. */
function addressIn(given: unknown): Place | undefined {
  try {
    return parseAddress(given as string)
  } catch {
    return undefined
  }
}

/** All servers of a ring have one identity: who sends us on says with his own who is to be there. */
function siblingRequest(to: Place, wanted: Wanted, sibling: PublicIdentity): PoolRequest {
  const request = poolRequest(to, wanted)
  const { pin: _, ...known } = request.pin
  return { ...request, pin: { ...known, sibling } }
}

function poolRequest(url: Place, { identity, options }: Wanted): PoolRequest {
  const { serverKey, serverPin: by, ca, wire } = options
  if (wire === 'plain' && !isLoopbackPlace(url))
    throw new AteError('BAD_ARGUMENT', { what: 'wire: plain is for loopback alone' })
  return {
    address: url,
    pin: {
      host: url.scheme === 'ws+unix' ? 'localhost' : url.host,
      port: url.port,
      firstUse: isKept(identity) ? 'remember' : 'accept',
      ...(serverKey === undefined ? {} : { serverKey }),
      ...(by === undefined ? {} : { pin: by }),
    },
    ...(ca === undefined ? {} : { ca }),
    ...(wire === 'plain' ? { plain: 'allow' } : {}),
  }
}

/** @throws AteError BAD_URL | BAD_CHAIN_NAME: one that is too long for a message would end the connection for all its chains */
function nameBelow({ path }: Place, service: string): string {
  let name: string
  try {
    name = decodeURIComponent(path.slice(service.length + 1))
  } catch (cause) {
    throw new AteError('BAD_URL', { path }, { cause })
  }
  const bytes = utf8(name).length
  if (bytes > CHAIN_NAME_BYTES_MAX) throw new AteError('BAD_CHAIN_NAME', { bytes, max: CHAIN_NAME_BYTES_MAX })
  return name
}

/** For where there is no chain yet: it names this server to order its records. */
function genesisFor({ server, level }: ClientConnection, { identity, options, platform }: Wanted): Made | undefined {
  if (!options.create) return undefined
  const { crypto, environment } = platform
  const servers = {
    sequencers: [server.identity.fingerprintBytes],
    checkpointKeys: [server.delegation.checkpointKey],
  }
  return makeGenesis({ crypto, environment, identity }, level, servers)
}
