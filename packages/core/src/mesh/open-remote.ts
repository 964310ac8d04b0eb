/**
 * Opens a chain at a server: the connection, the copy that this process works on, and the same checks as of any other log.
 * The copy is what is verified; the server is only believed to have what its records say.
 */
import { equalBytes } from '../base/bytes.ts'
import { AteError, throwIfAborted } from '../base/errors.ts'
import { chainIdOf, parseId } from '../base/ids.ts'
import { ChainCore } from '../chain/chain-core.ts'
import { HeldTail } from '../chain/held-tail.ts'
import type { Observing } from '../chain/observing.ts'
import { beginRemoteWriting } from '../chain/remote-writing.ts'
import type { Replica } from '../chain/replica.ts'
import { verifyAhead } from '../chain/verify-ahead.ts'
import { Chain } from '../data/chain.ts'
import { checkCompactPolicy } from '../data/compacting.ts'
import { makeGenesis } from '../data/create-chain.ts'
import {
  checkChain,
  checkOptions,
  feed,
  makersOf,
  type OpenOptions,
  observingOf,
  replay,
  snapshotsOf,
} from '../data/open-chain.ts'
import { openEngine, parsePlace } from '../data/place.ts'
import type { LogEngine } from '../log/engine.ts'
import { chainOfName } from '../session/dns-pin.ts'
import { type Identity, isKept } from '../session/identity.ts'
import { lookUpChain } from '../session/known-chains.ts'
import { machineIdentity } from '../session/local-identity.ts'
import type { Platform } from '../session/platform.ts'
import { ClientConnection } from './client-connection.ts'
import { ServerLink } from './server-link.ts'
import { serverPin } from './server-pins.ts'
import { isLoopbackPlace, type Place, parsePlace as parseAddress, placeUrl } from './transport.ts'

/** Addresses of servers, not of logs. */
export function isRemote(at: unknown): at is string {
  return typeof at === 'string' && /^wss?(\+unix)?:/.test(at)
}

/**
 * Opens the chain at `ws://HOST:PORT/PATH/NAME`.
 * @throws AteError as openChain, and SERVER_UNREACHABLE | SERVER_UNKNOWN | SERVER_CHANGED | HANDSHAKE_FAILED |
 * WIRE_VERSION | OFFLINE | BAD_NAME
 */
export async function openRemote(url: string, options: OpenOptions, platform: Platform): Promise<Chain> {
  checkOptions(options)
  if (options.pq === 'required') throw new AteError('BAD_ARGUMENT', { what: 'pq: required reads a log, not a server' })
  const observing = observingOf(options, platform)
  try {
    return await openObserved(url, options, platform, observing)
  } catch (error) {
    observing.alarm(error)
    throw error
  }
}

async function openObserved(
  url: string,
  options: OpenOptions,
  platform: Platform,
  observing: Observing,
): Promise<Chain> {
  const started = observing.start('open')
  const address = parseAddress(url)
  const name = placeUrl(address)
  const identity = options.as ?? (await machineIdentity({}, platform))
  const id = options.pin ? await chainOfName(platform, options.pin.dns) : options.id
  throwIfAborted(options.signal)
  const known = id === undefined ? await lookUpChain(platform.state, name) : undefined
  const label = id === undefined ? undefined : parseId(id, 'chain')
  const want = label ?? (known === undefined ? undefined : parseId(known, 'chain'))
  const engine = await openReplica(options, platform)
  let link: ServerLink | undefined
  try {
    link = await openLink({ address, identity, options, platform, engine, want })
    const opening = { engine, link, platform, identity, options }
    const replica = await loadReplica(opening)
    await checkChain({
      replica,
      all: replica,
      engine,
      platform,
      identity,
      known,
      label,
      options,
      place: { kind: 'engine', name, open: async () => engine },
      create: options.create ?? false,
    })
    observing.opened(started, replica, engine)
    return await handleOf(opening, { replica, observing, name })
  } catch (error) {
    await link?.close()
    await engine.close()
    throw known !== undefined && error instanceof AteError && error.code === 'CHAIN_NOT_FOUND'
      ? new AteError('CHAIN_GONE', { place: name, chain: known }, { cause: error })
      : error
  }
}

interface Opening {
  readonly engine: LogEngine
  readonly link: ServerLink
  readonly platform: Platform
  readonly identity: Identity
  readonly options: OpenOptions
}

async function handleOf(
  { engine, link, platform, identity, options }: Opening,
  { replica, observing, name }: { readonly replica: Replica; readonly observing: Observing; readonly name: string },
): Promise<Chain> {
  const { crypto, environment, state } = platform
  const tail = new HeldTail(engine)
  const snapshots = snapshotsOf(engine, identity, options, platform)
  const core = await ChainCore.open(
    {
      crypto,
      environment,
      engine: tail,
      replica,
      identity,
      state,
      keepCertificate: isKept(identity),
      observing,
      place: name,
      pq: options.pq ?? 'range',
      ...(snapshots ? { snapshots } : {}),
    },
    (made, parts) => beginRemoteWriting(made, parts, { link, tail, readOnly: options.readOnly ?? false }),
  )
  return new Chain(core, platform, { compact: checkCompactPolicy(options.compact) })
}

/** The copy, which is written whatever the chain is opened for. */
async function openReplica(options: OpenOptions, platform: Platform): Promise<LogEngine> {
  const place = parsePlace(options.replica ?? 'memory:', {}, platform)
  return openEngine(place, { create: true, label: undefined, known: undefined })
}

interface Linking extends Omit<Opening, 'link'> {
  readonly address: Place
  readonly want: Uint8Array | undefined
}

async function openLink(linking: Linking): Promise<ServerLink> {
  const { address, identity, options, platform, engine, want } = linking
  const { connect, leave } = dialer(linking)
  // The service's own path, and so the chain's name, is what the server says once it has shown who it is.
  const first = await connect(options.signal)
  try {
    const request = { identity, name: nameBelow(address, first.path) }
    const head = engine.head()
    const from = { head, chain: engine.label ?? want, genesis: head ? undefined : genesisFor(first, linking) }
    let given: ClientConnection | undefined = first
    const again = async (signal?: AbortSignal): Promise<ClientConnection> => {
      const connection = given ?? (await connect(signal))
      given = undefined
      return connection
    }
    return await ServerLink.open({ platform, connect: again, leave, request }, from, options.signal)
  } catch (error) {
    leave(first)
    throw error
  }
}

function dialer({ address, identity, options, platform }: Linking): {
  readonly connect: (signal?: AbortSignal) => Promise<ClientConnection>
  readonly leave: (connection: ClientConnection) => void
} {
  const { serverKey, serverPin: by, ca, wire } = options
  if (wire === 'plain' && !isLoopbackPlace(address))
    throw new AteError('BAD_ARGUMENT', { what: 'wire: plain is for loopback alone' })
  return {
    async connect(signal) {
      const pin = await serverPin(platform, {
        host: address.scheme === 'ws+unix' ? 'localhost' : address.host,
        port: address.port,
        firstUse: isKept(identity) ? 'remember' : 'accept',
        ...(serverKey === undefined ? {} : { serverKey }),
        ...(by === undefined ? {} : { pin: by }),
      })
      return ClientConnection.open(platform, {
        url: placeUrl({ ...address, path: parentPath(address.path) }),
        pin,
        ...(signal ? { signal } : {}),
        ...(ca === undefined ? {} : { ca }),
        ...(wire === 'plain' ? { plain: 'allow' } : {}),
      })
    },
    leave(connection) {
      if (connection.channels === 0) connection.close()
    },
  }
}

function parentPath(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}

/** @throws AteError BAD_URL */
function nameBelow({ path }: Place, service: string): string {
  const name = path.startsWith(`${service}/`) ? path.slice(service.length + 1) : ''
  if (name === '') {
    const hint = `the address of a chain is the server's with its name behind it: .../NAME`
    throw new AteError('BAD_URL', { path, service }, { hint })
  }
  try {
    return decodeURIComponent(name)
  } catch (cause) {
    throw new AteError('BAD_URL', { path }, { cause })
  }
}

/** For where there is no chain yet: it names this server to order its records. */
function genesisFor(
  { server, level }: ClientConnection,
  { identity, options, platform }: Linking,
): Uint8Array | undefined {
  if (!options.create) return undefined
  const { crypto, environment } = platform
  const servers = {
    sequencers: [server.identity.fingerprintBytes],
    checkpointKeys: [server.delegation.checkpointKey],
  }
  return makeGenesis({ crypto, environment, identity }, level, servers).record.bytes
}

/** What the copy holds, and then what the server has more. */
async function loadReplica({ engine, link, platform, identity, options }: Opening): Promise<Replica> {
  const { signal, trust } = options
  const makers = makersOf(platform, trust)
  let replica: Replica | undefined
  if (engine.head()) {
    const snapshots = snapshotsOf(engine, identity, options, platform)
    const kept = await snapshots?.load(makers, signal)
    replica = await replay(engine, platform, signal, { from: kept })
  } else engine.setLabel(link.chainId)
  if (replica && !equalBytes(replica.chainId, link.chainId))
    throw new AteError('WRONG_CHAIN', { wanted: chainIdOf(replica.chainId), found: chainIdOf(link.chainId) })
  for await (const chunk of verifyAhead(link.catchUp((replica?.head.seq ?? -1) + 1, signal), () => replica)) {
    for (const record of chunk) replica = feed(replica, record, makers, engine)
    const level = engine.durability === 'memory' ? 'memory' : 'os'
    await engine.append(chunk, { after: engine.head(), durability: level, load: 'group' })
    throwIfAborted(signal)
  }
  return replica!
}
