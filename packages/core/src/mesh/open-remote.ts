/**
 * Opens a chain at a server: the connection, the copy that this process works on, and the same checks as of any other log.
 * The copy is what is verified; the server is only believed to have what its records say.
 */
import { equalBytes, utf8 } from '../base/bytes.ts'
import { AteError, isAteError, throwIfAborted } from '../base/errors.ts'
import { type ChainId, chainIdOf, parseId } from '../base/ids.ts'
import { CHAIN_NAME_BYTES_MAX, SHARE_RETRY_MAX_MS } from '../base/limits.ts'
import { ChainCore } from '../chain/chain-core.ts'
import { HeldTail } from '../chain/held-tail.ts'
import type { Observing } from '../chain/observing.ts'
import { beginRemoteWriting } from '../chain/remote-writing.ts'
import type { Replica } from '../chain/replica.ts'
import { verifyAhead } from '../chain/verify-ahead.ts'
import { Chain } from '../data/chain.ts'
import { headBeyond } from '../data/check-head.ts'
import { checkCompactPolicy, compactingOf } from '../data/compact-policy.ts'
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
import { SyncMeter } from '../data/sync-progress.ts'
import type { LogEngine, LogRecord } from '../log/engine.ts'
import { memoryEngine } from '../log/memory.ts'
import { type Identity, isKept, type PublicIdentity } from '../session/identity.ts'
import { lookUpChain } from '../session/known-chains.ts'
import { machineIdentity } from '../session/local-identity.ts'
import type { Platform } from '../session/platform.ts'
import type { ClientConnection } from './client-connection.ts'
import { type Lease, leaseConnection, type PoolRequest } from './connection-pool.ts'
import { park, unpark } from './parked-chains.ts'
import { serverAlarm } from './server-alarm.ts'
import { type Away, ServerLink, type ServerLinkParts } from './server-link.ts'
import { isLoopbackPlace, type Place, parsePlace as parseAddress, placeUrl } from './transport.ts'

/**
 * Opens the chain at `ws://HOST:PORT/PATH/NAME`.
 * @throws AteError as openChain, and SERVER_UNREACHABLE | SERVER_UNKNOWN | SERVER_CHANGED | HANDSHAKE_FAILED |
 * WIRE_VERSION | OFFLINE | BAD_NAME
 */
export async function openRemote(url: string, options: OpenOptions, platform: Platform): Promise<Chain> {
  if (options.share && !platform.tabs && platform.name !== 'browser')
    throw new AteError('BAD_ARGUMENT', { what: 'share is for file: places; a server shares by itself' })
  if (options.offline === 'allow' && (options.replica ?? 'memory:') === 'memory:')
    throw new AteError('BAD_ARGUMENT', { what: 'offline: allow opens a copy that is kept: give replica' })
  const parsed = parseAddress(url)
  return openOrdered(placeUrl(parsed), { options, platform }, (wanted) => serverWay(parsed, wanted))
}

/** How a chain is asked for: by whom, and which one is meant. */
export interface Wanted {
  readonly platform: Platform
  readonly options: OpenOptions
  readonly identity: Identity
  /** What this machine remembers there, and what the caller has named. */
  readonly known: ChainId | undefined
  readonly label: Uint8Array | undefined
}

/** The way to whoever orders the records of a chain: a server, or the process of this machine that leads. */
export interface Way {
  readonly create: boolean
  /** A place on a connection, shared or new. */
  connect(signal?: AbortSignal): Promise<Lease>
  /** What the chain is called on that connection. */
  nameOn(connection: ClientConnection): string
  /** For where there is no chain yet. */
  genesisFor(connection: ClientConnection): Made | undefined
  /** Under which it is kept for a while when it was closed; undefined if it is not. */
  readonly key: string | undefined
  /** Of ServerLinkParts. */
  readonly follow?: (error: AteError, connection: ClientConnection) => boolean
  readonly retryMs?: number
  close(): Promise<void>
}

/** Opens the chain that is called `name` on this machine, whose records are ordered at the end of a way. */
export async function openOrdered(
  name: string,
  { options, platform }: Pick<Wanted, 'options' | 'platform'>,
  wayOf: (wanted: Wanted) => Promise<Way>,
): Promise<Chain> {
  checkOptions(options)
  if (options.pq === 'required') throw new AteError('BAD_ARGUMENT', { what: 'pq: required reads a log, not a server' })
  const observing = observingOf(options, platform)
  try {
    return await openObserved(name, { options, platform, observing }, wayOf)
  } catch (error) {
    observing.alarm(error)
    throw error
  }
}

async function openObserved(
  name: string,
  { options, platform, observing }: Pick<Wanted, 'options' | 'platform'> & { readonly observing: Observing },
  wayOf: (wanted: Wanted) => Promise<Way>,
): Promise<Chain> {
  const started = observing.start('open')
  const identity = options.as ?? (await machineIdentity({}, platform))
  const id = options.pin ? await chainOfPin(options.pin.dns, platform) : options.id
  throwIfAborted(options.signal)
  const known = id === undefined ? await lookUpChain(platform.state, name) : undefined
  const label = id === undefined ? undefined : parseId(id, 'chain')
  const wanted = { identity, options, platform, known, label }
  const way = await wayOf(wanted)
  const kept = way.key === undefined ? undefined : unpark(platform, way.key)
  let copy: Copy = kept ?? (await openCopy(wanted))
  let { engine } = copy
  let link = kept?.link
  let made: Made | undefined
  let away: Away | undefined
  try {
    if (!link) {
      ;({ copy, link, made, away } = await openLink(copy, way, wanted))
      engine = copy.engine
    }
    const opening = { engine, link, platform, identity, options, way }
    const replica = kept?.replica ?? (away ? copy.replica! : await catchUp(opening, copy.replica))
    checkMade(replica, made)
    if (copy.ahead) (await import('./exchanged-copy.ts')).assertRecovered(replica, copy.ahead)
    const more = away ? undefined : link.more(options.signal)
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
      create: way.create,
      server: {
        acknowledgement: link.acknowledgement,
        // Another process of this machine may have seen more meanwhile.
        ...(more ? { catchUp: async () => void (await take(opening, more, replica)) } : { isAway: true }),
      },
    })
    // All of it is verified, and no older than what this machine knows: only then the other copy goes.
    if (copy.damage || copy.ahead)
      engine = await (await import('./exchanged-copy.ts')).exchangeCopy(engine, options.replica!, platform)
    observing.opened(started, replica, engine)
    const chain = await handleOf({ ...opening, engine }, { replica, observing, name, away })
    // What has come since it was left.
    if (kept) await chain.refresh()
    return chain
  } catch (error) {
    await link?.close()
    await engine.close()
    await way.close()
    throw known !== undefined && error instanceof AteError && error.code === 'CHAIN_NOT_FOUND'
      ? new AteError('CHAIN_GONE', { place: name, chain: known }, { cause: error })
      : error
  }
}

/** Undefined for what is not parked: a copy that is kept, which another process or tab may want. */
function parkingKey(name: string, { identity, options }: Wanted): string | undefined {
  const { replica = 'memory:', trust, wire, serverKey, rollback, bodies } = options
  if (replica !== 'memory:' || rollback === 'accept') return undefined
  const server = typeof serverKey === 'object' ? serverKey.fingerprintBytes.join() : (serverKey ?? '')
  return JSON.stringify([name, identity.fingerprint, trust ?? '', wire ?? '', bodies ?? '', server])
}

interface Opening {
  readonly engine: LogEngine
  readonly link: ServerLink
  readonly platform: Platform
  readonly identity: Identity
  readonly options: OpenOptions
  readonly way: Way
}

interface Handle {
  readonly replica: Replica
  readonly observing: Observing
  readonly name: string
  readonly away: Away | undefined
}

async function handleOf(
  { engine, link, platform, identity, options, way }: Opening,
  { replica, observing, name, away }: Handle,
): Promise<Chain> {
  const { crypto, environment, state } = platform
  const tail: HeldTail = new HeldTail(engine, async () => {
    if (way.key !== undefined && core && !core.writing.failure && !tail.isAhead)
      park(platform, way.key, { engine, replica, link })
    else {
      await link.close()
      await engine.close()
      await way.close()
    }
  })
  const snapshots = await snapshotsOf(engine, identity, options, platform)
  const core: ChainCore = await ChainCore.open(
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
      ...(options.bodies === 'on-demand' ? { fetchBody: (place) => link.body(place) } : {}),
      ...(snapshots ? { snapshots } : {}),
    },
    (made, parts) =>
      beginRemoteWriting(made, parts, {
        link,
        tail,
        readOnly: options.readOnly ?? false,
        alarmOf: serverAlarm,
        away,
      }),
  )
  return new Chain(core, platform, { compacting: await compactingOf(core, checkCompactPolicy(options.compact)) })
}

/** The copy that this process works on, and what it holds. */
export interface Copy {
  readonly engine: LogEngine
  readonly replica: Replica | undefined
  /** Of one on a disk that cannot be read, or was altered: the engine is another one, in memory, and empty. */
  readonly damage?: AteError
  /** Of one that has what the server does not show: the engine is another one, in memory, and empty. */
  readonly ahead?: Ahead
}

export interface Ahead {
  readonly replica: Replica
  /** What is said of it, unless its rest was declared lost. */
  readonly error: AteError
}

/** The copy, which is written whatever the chain is opened for. */
async function openCopy({ identity, options, platform }: Wanted): Promise<Copy> {
  const place = parsePlace(options.replica ?? 'memory:', {}, platform)
  let engine: LogEngine | undefined
  try {
    engine = await openEngine(place, { create: true, label: undefined, known: undefined })
    if (!engine.head()) return { engine, replica: undefined }
    const kept = await (await snapshotsOf(engine, identity, options, platform))?.load(
      makersOf(platform),
      options.signal,
    )
    return { engine, replica: await replay(engine, platform, options.signal, { from: kept }) }
  } catch (error) {
    await engine?.close()
    if (options.share && isAteError(error) && error.code === 'CHAIN_LOCKED') {
      const { copyBeside } = await import('./tab-connections.ts')
      return copyBeside({ identity, options, platform })
    }
    if (!place.destroy || !isAteError(error) || !DAMAGE.has(error.code)) throw error
    return { engine: memoryEngine(), replica: undefined, damage: error }
  }
}

/** What a disk does to a log, or somebody who can write to it. */
const DAMAGE: ReadonlySet<string> = new Set([
  'DAMAGED',
  'LINK_MISMATCH',
  'BAD_SIGNATURE',
  'BAD_ROOT',
  'BAD_BODY',
  'BAD_CERTIFICATE',
  'BAD_ATTESTATION',
  'BAD_CHECKPOINT',
  'BAD_GENESIS',
  'BAD_RECORD',
  'BAD_CBOR',
])

/** The genesis that this process has sent. */
export type Made = ReturnType<typeof makeGenesis>

interface Linked {
  /** The one that is brought up to date over it. */
  readonly copy: Copy
  readonly link: ServerLink
  readonly made?: Made | undefined
  readonly away?: Away | undefined
}

async function openLink(copy: Copy, way: Way, wanted: Wanted): Promise<Linked> {
  try {
    return { copy, ...(await linkOf(copy, way, wanted)) }
  } catch (error) {
    if (!copy.replica || !isAteError(error) || (error.code !== 'ROLLBACK' && error.code !== 'FORK')) throw error
    const { freshCopy } = await import('./exchanged-copy.ts')
    const fresh = await freshCopy(copy, error, wanted)
    return { copy: fresh, ...(await linkOf(fresh, way, { ...wanted, label: copy.replica.chainId })) }
  }
}

async function linkOf(copy: Copy, way: Way, wanted: Wanted): Promise<Omit<Linked, 'copy'>> {
  const { engine, replica } = copy
  const { identity, options, platform, known, label } = wanted
  const want = label ?? (known === undefined ? undefined : parseId(known, 'chain'))
  let given: Lease | undefined
  // The service's own path, and so the chain's name, is what the server says once it has shown who it is.
  let name: string | undefined
  const parts: ServerLinkParts = {
    platform,
    async connect(signal) {
      const lease = given ?? (await way.connect(signal))
      given = undefined
      return lease
    },
    nameOn(connection) {
      name ??= way.nameOn(connection)
      return name
    },
    request: { identity, bodies: options.bodies ?? 'all' },
    ...(way.follow ? { follow: way.follow } : {}),
    ...(way.retryMs === undefined ? {} : { retryMs: way.retryMs }),
  }
  try {
    given = await way.connect(options.signal)
    const head = replica?.head
    const made = head ? undefined : way.genesisFor(given.connection)
    const from = {
      head,
      chain: engine.label ?? want,
      genesis: made?.record.bytes,
    }
    return { link: await ServerLink.open(parts, from, options.signal), made }
  } catch (error) {
    const away = await awayFor(copy, wanted, error)
    return { link: ServerLink.away(parts, away), away }
  } finally {
    given?.leave()
  }
}

/** The server does not answer. Whatever else it says is no reason to go by a copy. */
const SILENT: ReadonlySet<string> = new Set(['SERVER_UNREACHABLE', 'OFFLINE', 'WIRE_BROKEN'])

/** What a copy is opened with whose server does not answer, if that is allowed. @throws `error`, or what the copy has */
async function awayFor(
  { replica, damage }: Pick<Copy, 'replica' | 'damage'>,
  { options, platform }: Wanted,
  error: unknown,
): Promise<Away> {
  throwIfAborted(options.signal)
  if (options.offline !== 'allow' || options.rollback === 'accept') throw error
  if (!isAteError(error) || !SILENT.has(error.code)) throw error
  if (damage) throw damage
  if (!replica) throw error
  const { chainId: chain, genesis } = replica
  return { chain, level: genesis.parameters.durability, error, beyond: await headBeyond(replica, platform) }
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

async function chainOfPin(name: string, platform: Platform): Promise<ChainId> {
  const { chainOfName } = await import('../session/dns-pin.ts')
  return chainOfName(platform, name)
}

/** Undefined where a server has nobody to send: to a socket of this machine, or out of TLS. */
function redirectTo(given: unknown, { scheme }: Place): Place | undefined {
  if (typeof given !== 'string') return undefined
  const to = parseAddress(given)
  const isFit = to.scheme === 'wss' || (to.scheme === 'ws' && scheme !== 'wss')
  return isFit ? to : undefined
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

/** Nobody signs the head of a genesis, and chain time begins with it: who made it knows what he sent. @throws BAD_GENESIS */
function checkMade({ chainId, hashes }: Replica, made: Made | undefined): void {
  if (!made || !equalBytes(made.chainId, chainId) || equalBytes(hashes.at(0)!, made.record.hash)) return
  throw new AteError('BAD_GENESIS', { what: 'it is not as it was sent', chain: chainIdOf(chainId) })
}

/** What the server has more than the copy. */
async function catchUp(opening: Opening, replica: Replica | undefined): Promise<Replica> {
  const { engine, link, options, platform } = opening
  const { signal, onProgress } = options
  if (!engine.head()) engine.setLabel(link.chainId)
  if (replica && !equalBytes(replica.chainId, link.chainId))
    throw new AteError('WRONG_CHAIN', { wanted: chainIdOf(replica.chainId), found: chainIdOf(link.chainId) })
  const { clock } = platform.environment
  const from = (replica?.head.seq ?? -1) + 1
  const meter = onProgress && new SyncMeter(link.serverHead.seq + 1 - from, clock.monotonic())
  const told = (chunk: readonly LogRecord[]): void => {
    if (meter) onProgress(meter.add(chunk, clock.monotonic()))
  }
  return take(opening, link.catchUp(from, signal), replica, told)
}

/** Verifies what the server sends, and keeps it in the copy. */
async function take(
  { engine, platform, options }: Opening,
  records: AsyncIterable<readonly LogRecord[]>,
  behind: Replica | undefined,
  taken: (chunk: readonly LogRecord[]) => void = () => undefined,
): Promise<Replica> {
  const makers = makersOf(platform, options.trust)
  let replica = behind
  for await (const chunk of verifyAhead(records, () => replica)) {
    for (const record of chunk) replica = feed(replica, record, makers, engine)
    const level = engine.durability === 'memory' ? 'memory' : 'os'
    await engine.append(chunk, { after: engine.head(), durability: level, load: 'group' })
    taken(chunk)
    throwIfAborted(options.signal)
  }
  return replica!
}
