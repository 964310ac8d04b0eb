/**
 * Opens a chain, or makes one: the engine behind the place, the replay of its log, and the checks that it is the chain
 * that is meant and no older or other than what this machine has seen.
 */
import { platform as ownPlatform } from '#platform'
import { equalBytes, toBinaryText } from '../base/bytes.ts'
import { randomBytes } from '../base/environment.ts'
import { AteError, isAteError, throwIfAborted } from '../base/errors.ts'
import { type ChainId, chainIdOf, parseId } from '../base/ids.ts'
import { ChainCore } from '../chain/chain-core.ts'
import type { Observer } from '../chain/observation.ts'
import { Observing } from '../chain/observing.ts'
import { settleRecoveries } from '../chain/recoveries.ts'
import { Replica, type ReplicaMakers } from '../chain/replica.ts'
import type { Snapshots } from '../chain/snapshots.ts'
import { verifyAhead } from '../chain/verify-ahead.ts'
import { parseWitnesses, type Witnesses } from '../event/cosignature.ts'
import { wordAt } from '../event/entity-words.ts'
import type { LogEngine, LogRecord } from '../log/engine.ts'
import { checkStanding } from '../log/standing.ts'
import { type Identity, isIdentity, isKept, type PublicIdentity } from '../session/identity.ts'
import { addKnownChain, forgetKnownChain, lookUpChain } from '../session/known-chains.ts'
import { machineIdentity } from '../session/local-identity.ts'
import type { Platform } from '../session/platform.ts'
import { forgetHead, rememberedHead } from '../session/remembered-heads.ts'
import type { StateStore } from '../session/state-store.ts'
import { Chain } from './chain.ts'
import { alarmOf, type ServerSide } from './check-head.ts'
import type { CompactPolicy } from './compact-policy.ts'
import { makeGenesis } from './create-chain.ts'
import { openEngine, type Place, parsePlace } from './place.ts'
import type { SyncProgress } from './sync-progress.ts'

export interface OpenOptions extends RemoteOptions {
  /** Who acts; this machine's own identity if left out, made on first use. */
  readonly as?: Identity
  /** The chain that is meant: its id says so whoever made it. */
  readonly id?: ChainId | string
  /**
   * Whether a chain is made where there is none. Left out: yes, unless `id` is given, `readOnly` is set, or this machine
   * remembers a chain there.
   */
  readonly create?: boolean
  /** Opens beside a writer, without its lock, and changes nothing. */
  readonly readOnly?: boolean
  /**
   * `range` (the default): each commit carries a post-quantum signature within a second. `commit`: at once, for 3.4 kB
   * each. `required`, with readOnly: only what carries one is read.
   */
  readonly pq?: 'range' | 'commit' | 'required'
  /** `accept`: an older or other copy than this machine has seen is taken as it is, and remembered from here on. */
  readonly rollback?: 'refuse' | 'accept'
  /**
   * When the log is compacted without being asked (chain.compact() asks). Left out, never; but a copy in memory of what a server
   * has is, when it has doubled, from 16 MiB on: who reads a value that it has dropped gets it from the server.
   */
  readonly compact?: CompactPolicy | 'never'
  /**
   * Told what the chain does and how long it takes: counts, sizes, times, ids and codes, nothing that is sealed. On Node
   * the same is published on `node:diagnostics_channel`, as `ate:chain:KIND`.
   */
  readonly observe?: Observer
  /** Who must have cosigned a checkpoint of the log, for it to be opened. What follows that checkpoint they do not vouch for. */
  readonly witnesses?: Witnesses
  /**
   * `ignore`: the log is verified from its start, and the snapshot beside it neither read nor written. Left out, `use`:
   * what this machine verified before is not verified again.
   */
  readonly snapshot?: 'use' | 'ignore'
  /** `{ dns: NAME }`: the chain that the TXT record `ate1 chain=ID` of that name names. Not beside `id`. */
  readonly pin?: { readonly dns: string }
  /**
   * With `true`, several processes of this machine write one `file:` chain: whoever opens it first writes the log and serves it
   * to the others over a local socket, and another of them takes over when he closes it or dies. All of them say so.
   * In a browser, tabs of one origin share the connection to a server: one of them has it, the others speak through it, and
   * read the copy of `replica` where one of them keeps it. Each still verifies everything, and keeps what it writes.
   */
  readonly share?: boolean
  /** Ends the opening only. */
  readonly signal?: AbortSignal
}

/** What goes with the address of a server. */
export interface RemoteOptions {
  /** The server that is meant: its publicId or fingerprint, or its identity. What this machine knows of the host, if left out. */
  readonly serverKey?: string | Pick<PublicIdentity, 'fingerprintBytes'>
  /** `dns`: the TXT record of `_ate.HOST` says which server is meant. */
  readonly serverPin?: 'dns'
  /** Where the copy that this process works on is kept: `memory:` (left out), `file:PATH`, or in a browser `indexeddb:NAME`. One at a time has it. */
  readonly replica?: string
  /**
   * `allow`: where the server does not answer, the chain is opened from its copy, if `replica` is kept and holds it. What is read
   * is as old as the copy, what is written waits in the outbox (`wait: 'local'`), and the connection is tried for until it is
   * there; an observer is told. Left out, `refuse`: opening is `SERVER_UNREACHABLE`.
   */
  readonly offline?: 'refuse' | 'allow'
  /**
   * `centralized`: signatures of commits are not verified again, since the server has; all other rules are. Left out,
   * `distributed`: everything is.
   */
  readonly trust?: 'distributed' | 'centralized'
  /**
   * `on-demand`: what is sealed is not fetched with its record, but when it is read, and then `OFFLINE` is possible. What this
   * process wrote it has. Left out, `all`: whatever can be read is here.
   */
  readonly bodies?: 'all' | 'on-demand'
  /** Told as the copy gets what the server has more, after each group of verified records. What it throws ends the opening. */
  readonly onProgress?: (progress: SyncProgress) => void
  /** `plain`: what is said is not sealed on its way, if the server allows that too: for loopback alone. */
  readonly wire?: 'sealed' | 'plain'
  /** Certificates in PEM that are trusted instead of the system's, for `wss:`. Not in browsers. */
  readonly ca?: string | readonly string[]
}

/**
 * Opens the chain at `at`: `memory:`, `file:PATH`, or an engine.
 * @throws AteError BAD_URL | CHAIN_NOT_FOUND | CHAIN_LOCKED | CHAIN_GONE | NOT_A_CHAIN | NOT_PINNED | WRONG_CHAIN |
 * CHAIN_COPY | CHAIN_MOVED | CHAIN_INCOMPLETE | CHAIN_DESTROYED | BAD_PIN | PIN_UNAVAILABLE |
 * NEEDS_UPGRADE | UNSUPPORTED_FORMAT | ROLLBACK | FORK | NOT_WITNESSED | BAD_COSIGNATURE | DAMAGED | READ_ONLY |
 * STATE_UNWRITABLE and the errors of records that were altered
 */
export async function openChain(
  at: string | LogEngine,
  options: OpenOptions = {},
  platform: Platform = ownPlatform,
): Promise<Chain> {
  await checkOptions(options)
  const observing = observingOf(options, platform)
  try {
    return await openObserved(at, options, { platform, observing })
  } catch (error) {
    observing.alarm(error)
    throw error
  }
}

async function openObserved(
  at: string | LogEngine,
  options: OpenOptions,
  { platform, observing }: { readonly platform: Platform; readonly observing: Observing },
): Promise<Chain> {
  const started = observing.start('open')
  const witnesses = options.witnesses && parseWitnesses(platform.crypto, options.witnesses)
  const place = parsePlace(at, { ...options, observing }, platform)
  const identity = options.as ?? (await machineIdentity({}, platform))
  const id = options.pin ? await pinnedChain(platform, options.pin.dns) : options.id
  throwIfAborted(options.signal)
  const known = place.name !== undefined && id === undefined ? await lookUpChain(platform.state, place.name) : undefined
  const label = id === undefined ? undefined : parseId(id, 'chain')
  const create = options.readOnly ? false : (options.create ?? (known === undefined && label === undefined))
  const engine = await openEngine(place, { create, label, known })
  try {
    checkStanding(engine.standing, engine.readOnly ? 'read' : 'write')
    const snapshots = await snapshotsOf(engine, identity, options, platform)
    const { replica, ahead } = await loadReplica({ engine, platform, identity, create, options, snapshots })
    await checkChain({
      replica,
      all: ahead ?? replica,
      engine,
      platform,
      identity,
      known,
      label,
      options,
      place,
      create,
    })
    await snapshots?.keep(replica)
    observing.opened(started, replica, engine)
    const { crypto, environment, state } = platform
    const witnessed =
      witnesses &&
      (await (await import('../chain/witnessing.ts')).newestWitnessed({ crypto, engine }, replica.head.seq, witnesses))
    const keepCertificate = isKept(identity)
    const core = await ChainCore.open({
      crypto,
      environment,
      engine,
      replica,
      identity,
      state,
      keepCertificate,
      observing,
      place: place.name,
      ...(ahead ? { ahead } : {}),
      ...(snapshots ? { snapshots } : {}),
      pq: options.pq ?? 'range',
    })
    return new Chain(core, platform, {
      compacted: { by: options.compact && (await import('./compacting.ts')).compactingOf(core, options.compact) },
      witnessed,
    })
  } catch (error) {
    await engine.close()
    throw error
  }
}

/** The chain that a domain names. @throws AteError BAD_PIN | PIN_UNAVAILABLE */
export async function pinnedChain(platform: Platform, name: string): Promise<ChainId> {
  const { chainOfName } = await import('../session/dns-pin.ts')
  return chainOfName(platform, name)
}

export function observingOf({ observe }: Pick<OpenOptions, 'observe'>, platform: Platform): Observing {
  return new Observing({
    clock: platform.environment.clock,
    observe,
    channel: (name) => platform.channel(name),
    warn: (error) => platform.warn(error),
  })
}

export async function checkOptions(options: OpenOptions): Promise<void> {
  if (typeof options !== 'object' || options === null) throw new AteError('BAD_ARGUMENT', { what: 'options' })
  if (options.as !== undefined && !isIdentity(options.as)) {
    throw new AteError('BAD_ARGUMENT', { what: 'as is an identity, made by createIdentity or openIdentity' })
  }
  if (options.compact !== undefined) (await import('./compact-policy.ts')).checkCompactPolicy(options.compact)
  if (options.observe !== undefined && typeof options.observe !== 'function')
    throw new AteError('BAD_ARGUMENT', { what: 'observe is a function' })
  if (options.onProgress !== undefined && typeof options.onProgress !== 'function')
    throw new AteError('BAD_ARGUMENT', { what: 'onProgress is a function' })
  checkWord('pq', options.pq, ['range', 'commit', 'required'])
  checkWord('rollback', options.rollback, ['refuse', 'accept'])
  checkWord('snapshot', options.snapshot, ['use', 'ignore'])
  checkWord('trust', options.trust, ['distributed', 'centralized'])
  checkWord('wire', options.wire, ['sealed', 'plain'])
  checkWord('bodies', options.bodies, ['all', 'on-demand'])
  checkWord('offline', options.offline, ['refuse', 'allow'])
  checkWord('serverPin', options.serverPin, ['dns'])
  if (options.pq === 'required' && !options.readOnly)
    throw new AteError('BAD_ARGUMENT', { what: 'pq: required goes with readOnly' })
  if (
    options.pin !== undefined &&
    (options.id !== undefined || typeof options.pin !== 'object' || options.pin === null)
  )
    throw new AteError('BAD_ARGUMENT', { what: 'pin is { dns: NAME }, and goes without id' })
  if (options.share !== undefined && typeof options.share !== 'boolean')
    throw new AteError('BAD_ARGUMENT', { what: 'share is true or false' })
  if (options.readOnly && options.create) throw new AteError('BAD_ARGUMENT', { what: 'readOnly and create' })
  throwIfAborted(options.signal)
}

function checkWord(option: string, given: string | undefined, words: readonly string[]): void {
  if (given !== undefined && !words.includes(given)) throw new AteError('BAD_ARGUMENT', { option, words })
}

export interface Loading {
  readonly engine: LogEngine
  readonly platform: Platform
  readonly identity: Identity
  readonly create: boolean
  readonly options: OpenOptions
  readonly snapshots: Snapshots | undefined
}

/**
 * Identities of one process keep nothing on this machine. Who reads only what is attested needs two states of different
 * records, and a snapshot holds one.
 */
export async function snapshotsOf(
  engine: LogEngine,
  identity: Identity,
  options: OpenOptions,
  { crypto, environment, state }: Platform,
): Promise<Snapshots | undefined> {
  if (!isKept(identity) || options.snapshot === 'ignore' || options.pq === 'required' || !engine.snapshot)
    return undefined
  const { Snapshots } = await import('../chain/snapshots.ts')
  return Snapshots.for({ crypto, environment, engine, state })
}

export async function loadReplica({
  engine,
  platform,
  identity,
  create,
  options,
  snapshots,
}: Loading): Promise<{ readonly replica: Replica; readonly ahead?: Replica }> {
  const { crypto, environment } = platform
  if (engine.head() === undefined) {
    if (!create) throw new AteError('CHAIN_NOT_FOUND', { engine: engine.kind })
    const { record, chainId } = makeGenesis({ crypto, environment, identity }, engine.durability)
    engine.setLabel(chainId)
    await engine.append([record], { after: undefined, durability: engine.durability, load: 'alone' })
    return { replica: await replay(engine, platform, options.signal) }
  }
  const kept = await snapshots?.load(makersOf(platform), options.signal)
  const replica = await replayFrom(kept, { engine, platform, signal: options.signal, snapshots })
  if (options.pq !== 'required') return { replica }
  return { replica: await replay(engine, platform, options.signal, { until: replica.attestedSeq }), ahead: replica }
}

/** What does not follow a snapshot is judged again from the start: then it is the log that is wrong, or it is not. */
async function replayFrom(
  kept: Replica | undefined,
  {
    engine,
    platform,
    signal,
    snapshots,
  }: Pick<Loading, 'engine' | 'platform' | 'snapshots'> & { readonly signal: AbortSignal | undefined },
): Promise<Replica> {
  const replayAll = (from?: Replica): Promise<Replica> => replay(engine, platform, signal, { from })
  if (!kept) return replayAll()
  try {
    return await replayAll(kept)
  } catch (error) {
    throwIfAborted(signal)
    snapshots?.discard(error)
    return replayAll()
  }
}

export function makersOf(
  { crypto, environment }: Pick<Platform, 'crypto' | 'environment'>,
  trust?: OpenOptions['trust'],
): ReplicaMakers {
  return { crypto, seed: wordAt(randomBytes(environment.random, 4), 0), ...(trust ? { trust } : {}) }
}

/** A replica of what the engine holds, which has a first record: on from `from`, up to seq `until`. */
export async function replay(
  engine: LogEngine,
  platform: Pick<Platform, 'crypto' | 'environment'>,
  signal: AbortSignal | undefined,
  range: { readonly until?: number; readonly from?: Replica | undefined } = {},
): Promise<Replica> {
  const { until = Number.POSITIVE_INFINITY, from } = range
  const makers = makersOf(platform)
  let replica = from
  const records = engine.read((from?.head.seq ?? -1) + 1, signal ? { signal } : {})
  for await (const chunk of verifyAhead(records, () => replica)) {
    for (const record of chunk) if (record.seq <= until) replica = feed(replica, record, makers, engine)
    throwIfAborted(signal)
    if (replica && replica.head.seq >= until) break
  }
  return replica!
}

/** Errors of altered records name the place in the file too. */
export function feed(
  replica: Replica | undefined,
  record: LogRecord,
  makers: ReplicaMakers,
  engine: LogEngine,
): Replica {
  try {
    if (!replica) return Replica.open(makers, record)
    replica.accept(record)
    return replica
  } catch (error) {
    if (!isAteError(error)) throw error
    throw new AteError(error.code, { ...error.facts, ...engine.place(record.seq) }, { cause: error })
  }
}

interface Checking {
  readonly replica: Replica
  /** What has folded the whole log, where `replica` ends at what is attested. */
  readonly all: Replica
  readonly engine: LogEngine
  readonly platform: Platform
  readonly identity: Identity
  readonly known: ChainId | undefined
  readonly label: Uint8Array | undefined
  readonly options: OpenOptions
  readonly place: Place
  readonly create: boolean
  /** Of a log that a server shows. */
  readonly server?: ServerSide
}

export async function checkChain({
  replica,
  all,
  engine,
  platform,
  identity,
  known,
  label,
  options,
  place,
  create,
  server,
}: Checking): Promise<void> {
  const { state } = platform
  const chain = chainIdOf(replica.chainId)
  checkPin(replica, { identity, known, label, place: place.name, create })
  if (options.rollback === 'accept') await acceptCopy(state, replica)
  else await settleRecoveries(state, replica)
  const alarm = await alarmOf(all, engine, platform, 'whole', server)
  if (alarm) throw alarm
  if (place.name === undefined || !isKept(identity) || known === chain) return
  if (known !== undefined) await forgetKnownChain(state, place.name)
  if ((await lookUpChain(state, place.name)) === undefined) await addKnownChain(state, place.name, chain)
}

/** A key that a person took signed this chain's id when it agreed. The first key of a person was not asked. */
function hasConsented({ trust }: Replica, key: string): boolean {
  const person = trust.personOfKey.get(key)
  return person !== undefined && person.name !== key
}

/** That it is the chain that is meant. @throws AteError WRONG_CHAIN | NOT_PINNED */
export function checkPin(
  replica: Replica,
  want: Pick<Checking, 'identity' | 'known' | 'label'> & {
    readonly place: string | undefined
    readonly create?: boolean
  },
): void {
  const { identity, known, label, place } = want
  const chain = chainIdOf(replica.chainId)
  if (label && !equalBytes(label, replica.chainId))
    throw new AteError('WRONG_CHAIN', { wanted: chainIdOf(label), found: chain })
  const isRoot = replica.genesis.parameters.roots.some((keys) => equalBytes(keys, identity.keys))
  // One that was begun here and now, or before a crash: a chain of others that has just begun is not meant.
  const fresh = want.create && isRoot && replica.head.seq === 0
  if (known !== undefined && known !== chain && !fresh)
    throw new AteError('WRONG_CHAIN', { wanted: known, found: chain, place })
  const isMeant = isRoot || hasConsented(replica, toBinaryText(identity.fingerprintBytes))
  if (!label && known === undefined && !isMeant) throw new AteError('NOT_PINNED', { chain, place })
}

/** Numbers that this device gave on what is left behind must not be given again: a certificate that saw it is not kept. */
async function acceptCopy(state: StateStore, { chainId, hashes }: Replica): Promise<void> {
  const chain = chainIdOf(chainId)
  const remembered = await rememberedHead(state, chain).catch(() => undefined)
  const here = remembered && hashes.at(remembered.seq)
  if (!remembered || !here || !equalBytes(here, remembered.hash)) {
    const { forgetCertificates } = await import('../session/forget-chain.ts')
    await forgetCertificates(state, chain)
  }
  await forgetHead(state, chain)
}
