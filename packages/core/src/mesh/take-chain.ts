/**
 * Takes a chain from another server of the ring. The steps are such that wherever it is interrupted, the chain is written in
 * one place at most, and trying again finishes it:
 *
 *   1. what the other server has is copied and verified; the copy is `incomplete`
 *   2. the other one lets nobody write it any more, and what came meanwhile is copied too
 *   3. the copy is whole and on the disk, with the keys beside it: `copy`
 *   4. the other one is `moved`, if its newest record is that of the copy, and its keys are destroyed
 *   5. the copy is `live`
 */
import { unlessAborted } from '../base/deferred.ts'
import { AteError, isAteError } from '../base/errors.ts'
import { emptyRing } from '../chain/kept-keys.ts'
import type { Replica } from '../chain/replica.ts'
import { verifyAhead } from '../chain/verify-ahead.ts'
import { feed, makersOf, replay } from '../data/open-chain.ts'
import type { LogEngine, LogRecord } from '../log/engine.ts'
import { LIVE } from '../log/standing.ts'
import type { Identity } from '../session/identity.ts'
import type { Platform } from '../session/platform.ts'
import type { ClientConnection } from './client-connection.ts'
import { connect } from './connect.ts'
import type { Lease } from './connection-pool.ts'
import { ServerLink } from './server-link.ts'
import type { ServerPin } from './server-pins.ts'

export interface Sibling {
  readonly platform: Platform
  /** Of all servers of the ring. */
  readonly identity: Identity
  /** Of the other server. */
  readonly url: string
  readonly ca?: string | readonly string[] | undefined
  readonly signal?: AbortSignal
}

/** @throws AteError SERVER_CHANGED for one that is not of the ring, and as connect */
export function connectSibling({ platform, identity, url, ca, signal }: Sibling): Promise<ClientConnection> {
  const pin: ServerPin = {
    hint: identity.fingerprintBytes,
    expect(server) {
      const { fingerprint } = server.identity
      if (fingerprint !== identity.fingerprint)
        throw new AteError(
          'SERVER_CHANGED',
          { server: url, known: identity.fingerprint, fingerprint },
          { hint: ONE_IDENTITY },
        )
    },
    remember: async () => undefined,
  }
  return connect(platform, {
    url,
    pin,
    ...(ca === undefined ? {} : { ca }),
    ...(signal ? { signal } : {}),
  })
}

const ONE_IDENTITY = 'the servers of a ring have copies of one server-identity: give it to this one, and start it again'

/**
 * What became of asking one server: it has none, it was moved to `to`, or it is here now.
 * @throws AteError OFFLINE | SERVER_UNREACHABLE, ROLLBACK | FORK (what was copied before is not what it has), and the errors
 * of records that were altered
 */
export async function takeChain(
  sibling: Sibling,
  name: string,
  /** The copy that was begun, or an empty one, as `openTarget` gives it: asked for once there is something to copy. */
  target: { readonly held: LogEngine | undefined; open(): Promise<LogEngine> },
): Promise<'absent' | 'taken' | { readonly to: string }> {
  const { platform, identity, signal } = sibling
  const connection = await connectSibling(sibling)
  const lease: Lease = { connection, use: () => undefined, leave: () => connection.close() }
  let link: ServerLink | undefined
  let engine = target.held
  try {
    const request = { identity, bodies: 'all' as const }
    const from = { head: engine?.head(), chain: undefined, genesis: undefined }
    link = await ServerLink.open({ platform, connect: async () => lease, request, nameOn: () => name }, from, signal)
    engine ??= await target.open()
    await copy(link, engine, platform, signal)
    return 'taken'
  } catch (error) {
    if (link || !isAteError(error)) throw error
    if (error.code === 'CHAIN_ELSEWHERE' && error.facts['why'] === 'moved') return { to: String(error.facts['url']) }
    if (NOT_THERE.has(error.code)) return 'absent'
    throw error
  } finally {
    await link?.close()
    connection.close()
    await engine?.close()
  }
}

/** Half a copy is not where the chain is. */
const NOT_THERE: ReadonlySet<string> = new Set([
  'CHAIN_NOT_FOUND',
  'CHAIN_ELSEWHERE',
  'CHAIN_INCOMPLETE',
  'CHAIN_COPY',
  'CHAIN_DESTROYED',
])

async function copy(
  link: ServerLink,
  engine: LogEngine,
  platform: Platform,
  signal: AbortSignal | undefined,
): Promise<void> {
  let replica = engine.head() ? await replay(engine, platform, signal) : undefined
  if (!replica) engine.setLabel(link.chainId)
  replica = await take(link.catchUp((replica?.head.seq ?? -1) + 1, signal), { engine, platform, replica })
  replica = await take(link.more(signal, { type: 'take' }), { engine, platform, replica })
  await copyKeys(link, engine, signal)
  const { seq, hash } = replica!.head
  await engine.append([], { after: { seq, hash }, durability: engine.durability, load: 'alone' })
  await engine.setStanding({ state: 'copy', note: '' })
  for await (const more of link.more(signal, { type: 'taken', head: { seq, hash } }))
    throw new AteError('BAD_MESSAGE', { what: 'records of a chain that was given away', records: more.length })
  await engine.setStanding(LIVE)
}

/** All that the other one keeps beside the log: nobody destroys any there by now. @throws AteError KEYS_UNAVAILABLE | DAMAGED */
async function copyKeys(link: ServerLink, { ring }: LogEngine, signal: AbortSignal | undefined): Promise<void> {
  // What an earlier try has left may have been destroyed over there.
  await emptyRing(ring)
  let after: Uint8Array | undefined
  let count = 0
  for (;;) {
    const { total, entries } = await unlessAborted(link.ringPage(after), signal)
    await ring.putAll(entries)
    count += entries.length
    after = entries.at(-1)?.name
    if (count >= total) return
    if (!after) throw new AteError('DAMAGED', { what: 'keys are missing', keys: count, of: total })
  }
}

async function take(
  records: AsyncIterable<readonly LogRecord[]>,
  {
    engine,
    platform,
    replica: behind,
  }: {
    readonly engine: LogEngine
    readonly platform: Platform
    readonly replica: Replica | undefined
  },
): Promise<Replica | undefined> {
  const makers = makersOf(platform)
  let replica = behind
  for await (const chunk of verifyAhead(records, () => replica)) {
    for (const record of chunk) replica = feed(replica, record, makers, engine)
    const durability = engine.durability === 'memory' ? 'memory' : 'os'
    await engine.append(chunk, { after: engine.head(), durability, load: 'group' })
  }
  return replica
}
