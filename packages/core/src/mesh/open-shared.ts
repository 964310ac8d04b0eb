/**
 * Opens a chain of a folder that several processes of this machine write: one of them leads, and every one, the leader too,
 * works through a connection to it. When the leader goes, whoever notices first leads.
 */
import { AteError, isAteError } from '../base/errors.ts'
import { SHARE_RETRY_MS } from '../base/limits.ts'
import type { Leadership, Sharing } from '../base/sharing.ts'
import type { Chain } from '../data/chain.ts'
import { loadReplica, type OpenOptions, openChain as openLog, snapshotsOf } from '../data/open-chain.ts'
import { openEngine, type Place, parsePlace } from '../data/place.ts'
import type { LogEngine } from '../log/engine.ts'
import { checkStanding } from '../log/standing.ts'
import type { Platform } from '../session/platform.ts'
import { connect } from './connect.ts'
import type { Lease } from './connection-pool.ts'
import { TO_BE_KNOWN } from './host.ts'
import { leadChain } from './lead-chain.ts'
import { openOrdered, type Wanted, type Way } from './open-ordered.ts'
import type { ServerPin } from './server-pins.ts'

/** Options that say where else the records are ordered, or kept. */
const OF_SERVERS = ['serverKey', 'serverPin', 'replica', 'trust', 'wire', 'ca'] as const

/** Leaders that may go one after the other while somebody opens the chain. */
const TRIES_MAX = 8

/**
 * @throws AteError as openChain of a file, and BAD_ARGUMENT. CHAIN_LOCKED is for a chain that somebody writes without
 * sharing it.
 */
export async function openShared(at: string | LogEngine, options: OpenOptions, platform: Platform): Promise<Chain> {
  // A reader needs no leader: it reads the files, beside whoever writes them.
  if (options.readOnly) return openLog(at, options, platform)
  const odd = OF_SERVERS.find((name) => options[name] !== undefined)
  if (odd !== undefined) throw new AteError('BAD_ARGUMENT', { option: odd, what: 'not beside share: it is of servers' })
  if (options.witnesses !== undefined)
    throw new AteError('BAD_ARGUMENT', { option: 'witnesses', what: 'not beside share: open with readOnly' })
  const place = parsePlace(at, {}, platform)
  if (place.kind !== 'file' || place.name === undefined || !platform.share)
    throw new AteError('BAD_ARGUMENT', { option: 'share', wanted: 'a file: place, where processes can share one' })
  const { name } = place
  for (let left = TRIES_MAX; ; left--) {
    const leading: Leading = { failure: undefined }
    try {
      return await openOrdered(name, { options, platform }, (wanted) => sharedWay(place, wanted, leading))
    } catch (error) {
      const failure = leading.failure ?? error
      if (isAteError(failure) && failure.code === 'NOT_AUTHORIZED')
        throw await refusedTo(failure, at, options, platform)
      if (leading.failure) throw leading.failure
      // The leader has gone while he let us in.
      if (left <= 1 || !isAteError(error) || error.code !== 'OFFLINE') throw error
    }
  }
}

/**
 * Whoever leads says nothing of the chain to who is not of it. The folder does: that it is the chain which is meant is settled
 * first, as where nobody shares it. @throws AteError NOT_PINNED | WRONG_CHAIN, and as opening a folder
 */
async function refusedTo(
  refused: AteError,
  at: string | LogEngine,
  { as, id, pin, signal }: OpenOptions,
  platform: Platform,
): Promise<AteError> {
  if (id === undefined && pin === undefined) {
    const who = { ...(as ? { as } : {}), ...(signal ? { signal } : {}) }
    await (await openLog(at, { ...who, readOnly: true }, platform)).close()
  }
  if (!String(refused.facts['needs']).startsWith(TO_BE_KNOWN)) return refused
  return new AteError('NOT_AUTHORIZED', refused.facts, { hint: UNKNOWN_HERE, cause: refused })
}

const UNKNOWN_HERE =
  'the chain does not know this identity, and those who share a folder are of its chain: open it as one that is (another ' +
  'user and another ATE_HOME have another identity), have this one added by its public id, or read it with { readOnly: true }'

interface Leading {
  /** Why this process has led no more. */
  failure: AteError | undefined
}

async function sharedWay(place: Place, wanted: Wanted, leading: Leading): Promise<Way> {
  const { options, platform, known, label } = wanted
  const create = options.create ?? (known === undefined && label === undefined)
  let wasConnected = false
  const sharing = await platform.share!({
    name: place.name!.slice('file:'.length),
    lead: (resign) =>
      lead(place, { wanted, create }, (error) => {
        leading.failure = error
        resign(error)
      }),
  })
  return {
    create,
    async connect(signal) {
      try {
        const leased = await lease(platform, sharing, signal)
        wasConnected = true
        return leased
      } catch (error) {
        // Who was in is not turned out by somebody who holds the folder for a while.
        if (wasConnected && isAteError(error) && error.code === 'CHAIN_LOCKED')
          throw new AteError('OFFLINE', { what: 'another process has the folder' }, { cause: error })
        throw error
      }
    },
    nameOn: () => '',
    // Whoever leads has made one.
    genesisFor: () => undefined,
    key: undefined,
    retryMs: SHARE_RETRY_MS,
    close: () => sharing.close(),
  }
}

async function lead(
  place: Place,
  { wanted, create }: { readonly wanted: Wanted; readonly create: boolean },
  ended: (error: AteError) => void,
): Promise<Leadership> {
  const { platform, identity, options, known, label } = wanted
  const engine = await openEngine(place, { create, label, known })
  try {
    checkStanding(engine.standing, 'write')
    const snapshots = await snapshotsOf(engine, identity, options, platform)
    return leadChain({
      platform,
      identity,
      engine,
      compact: options.compact === 'never' ? undefined : options.compact,
      ended,
      load: async () => {
        const { replica } = await loadReplica({ engine, platform, identity, create, options, snapshots })
        await snapshots?.keep(replica)
        return replica
      },
    })
  } catch (error) {
    await engine.close()
    throw error
  }
}

/**
 * Who leads is whoever holds the folder's lock: the file system says whom to trust, and no key of his is remembered. What he
 * sends is verified as everything is.
 */
const ANYONE: ServerPin = { hint: undefined, expect: () => undefined, remember: async () => undefined }

async function lease(platform: Platform, sharing: Sharing, signal: AbortSignal | undefined): Promise<Lease> {
  const dial = (_url: string, options?: { readonly signal?: AbortSignal }) => sharing.dial(options)
  const connection = await connect(platform, {
    url: 'ws+unix:share',
    pin: ANYONE,
    plain: 'allow',
    dial,
    ...(signal ? { signal } : {}),
  })
  return {
    connection,
    use: (how) => connection.hold(how === 'active' ? 'process' : 'nothing'),
    leave: () => connection.close(),
  }
}
