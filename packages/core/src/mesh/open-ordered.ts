/**
 * Opens a chain whose records another process gives their order: the way to it, the copy that this process works on, and the same
 * checks as of any other log. The copy is what is verified; who is at the end of the way is only believed to have what its records say.
 */
import { equalBytes } from '../base/bytes.ts'
import { AteError, isAteError, throwIfAborted } from '../base/errors.ts'
import { type ChainId, chainIdOf, parseId } from '../base/ids.ts'
import { COMPACT_FROM_BYTES } from '../base/limits.ts'
import { ChainCore } from '../chain/chain-core.ts'
import { HeldTail } from '../chain/held-tail.ts'
import type { Observing } from '../chain/observing.ts'
import { beginRemoteWriting } from '../chain/remote-writing.ts'
import type { Replica } from '../chain/replica.ts'
import { Chain, type CompactedBy } from '../data/chain.ts'
import { headBeyond } from '../data/check-head.ts'
import type { makeGenesis } from '../data/create-chain.ts'
import {
  checkChain,
  checkOptions,
  type OpenOptions,
  observingOf,
  pinnedChain,
  snapshotsOf,
} from '../data/open-chain.ts'
import type { LogEngine } from '../log/engine.ts'
import { type Identity, isKept } from '../session/identity.ts'
import { lookUpChain } from '../session/known-chains.ts'
import { machineIdentity } from '../session/local-identity.ts'
import type { Platform } from '../session/platform.ts'
import type { ClientConnection } from './client-connection.ts'
import type { Lease } from './connection-pool.ts'
import { park, unpark } from './parked-chains.ts'
import { type Copy, catchUp, openCopy, take } from './remote-copy.ts'
import { serverAlarm } from './server-alarm.ts'
import { type Away, ServerLink, type ServerLinkParts } from './server-link.ts'

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

/** The genesis that this process has sent. */
export type Made = ReturnType<typeof makeGenesis>

/** Opens the chain that is called `name` on this machine, whose records are ordered at the end of a way. */
export async function openOrdered(
  name: string,
  { options, platform }: Pick<Wanted, 'options' | 'platform'>,
  wayOf: (wanted: Wanted) => Promise<Way>,
): Promise<Chain> {
  await checkOptions(options)
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
  const id = options.pin ? await pinnedChain(platform, options.pin.dns) : options.id
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
    const replica = kept?.replica ?? (away ? copy.replica! : await catchUp(opening, link, copy.replica))
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
      bodies: options.bodies ?? 'all',
      fetchBody: (place) => (options.bodies === 'on-demand' || isDropping(engine) ? link.body(place) : undefined),
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
  const { compact } = options
  const compacted = { by: compact && (await import('./copy-compacting.ts')).compactingCopy(core, compact) }
  if (compact === undefined && engine.kind === 'memory') compactWhenLarge(core, compacted)
  return new Chain(core, platform, { compacted })
}

/** It has dropped bodies since it is here. What is in memory alone may be asked for again; of what is kept, who opened it disposes. */
function isDropping(engine: LogEngine): boolean {
  return engine.kind === 'memory' && engine.generation > 0
}

/** Most copies never come to the length from which that counts: what looks after one is loaded when it has, and then told. */
function compactWhenLarge(core: ChainCore, compacted: CompactedBy): void {
  const { engine, listeners } = core
  const look = (): void => {
    if (engine.sizeBytes() < COMPACT_FROM_BYTES) return
    listeners.delete(look)
    import('./copy-compacting.ts').then(
      ({ compactingCopy }) => {
        // As servers do with their logs.
        compacted.by ??= compactingCopy(core, { growth: 2 })
      },
      // A page may not get it now: with another record it is tried again.
      () => void listeners.add(look),
    )
  }
  listeners.add(look)
}

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

/** Nobody signs the head of a genesis, and chain time begins with it: who made it knows what he sent. @throws BAD_GENESIS */
function checkMade({ chainId, hashes }: Replica, made: Made | undefined): void {
  if (!made || !equalBytes(made.chainId, chainId) || equalBytes(hashes.at(0)!, made.record.hash)) return
  throw new AteError('BAD_GENESIS', { what: 'it is not as it was sent', chain: chainIdOf(chainId) })
}
