/**
 * Recovery after a real loss: who manages the root says, signed and in the log, that what stood in other copies behind
 * this one is lost. Then this copy is the one that is written. Certificates of before are ended, and machines that saw
 * the lost branch take this one.
 */
import { platform as ownPlatform } from '#platform'
import { AteError } from '../base/errors.ts'
import { type ChainId, chainIdOf, parseId } from '../base/ids.ts'
import { ChainCore } from '../chain/chain-core.ts'
import { rememberRecovered } from '../chain/recovered.ts'
import type { Replica } from '../chain/replica.ts'
import type { LogEngine } from '../log/engine.ts'
import { checkStanding, LIVE } from '../log/standing.ts'
import type { Identity } from '../session/identity.ts'
import { lookUpChain } from '../session/known-chains.ts'
import { machineIdentity } from '../session/local-identity.ts'
import { memoryState } from '../session/memory-state.ts'
import type { Platform } from '../session/platform.ts'
import { appendRecovery, type RecoverOptions, type RecoverReceipt } from './append-recovery.ts'
import { checkPin, type OpenOptions, observingOf, replay } from './open-chain.ts'
import { openEngine, parsePlace } from './place.ts'

/** Of a served chain also how its server is known and reached, as of OpenOptions. */
export interface RecoverPlaceOptions
  extends RecoverOptions,
    Pick<OpenOptions, 'serverKey' | 'serverPin' | 'ca' | 'wire'> {
  /** Who acts; this machine's own identity if left out. */
  readonly as?: Identity
  /** The chain that is meant; what this machine knows of the place if left out. */
  readonly id?: ChainId | string
  /** Ends the reading; a record that is on its way is written. */
  readonly signal?: AbortSignal
}

/** As `recover` of mesh/recover.ts says, where this process writes the log. */
export async function recover(
  at: string | LogEngine,
  options: RecoverPlaceOptions = {},
  platform: Platform = ownPlatform,
): Promise<RecoverReceipt> {
  const place = parsePlace(at, { standings: ['live', 'copy'] }, platform)
  const identity = options.as ?? (await machineIdentity({}, platform))
  const label = options.id === undefined ? undefined : parseId(options.id, 'chain')
  const known = place.name !== undefined && !label ? await lookUpChain(platform.state, place.name) : undefined
  const engine = await openEngine(place, { create: false, label, known })
  let core: ChainCore | undefined
  try {
    checkStanding(engine.standing, 'write', ['live', 'copy'])
    if (!engine.head()) throw new AteError('CHAIN_NOT_FOUND', { engine: engine.kind })
    const replica = await replay(engine, platform, options.signal)
    checkPin(replica, { identity, known, label, place: place.name })
    // It remembers nothing by itself: after a failure, an alarm of this machine has to stand as it did.
    const parts = { crypto: platform.crypto, environment: platform.environment, state: memoryState() }
    core = await ChainCore.open({
      ...parts,
      engine,
      replica,
      identity,
      keepCertificate: false,
      observing: observingOf({}, platform),
      pq: 'range',
    })
    core.writing.assertTakes(core.keyName)
    const receipt = isInterrupted(engine, replica) ?? (await appendRecovery(core, options, platform.state))
    await engine.setStanding(LIVE)
    await rememberRecovered(platform.state, replica)
    return receipt
  } finally {
    await (core ?? (typeof at === 'string' ? engine : undefined))?.close()
  }
}

/** A try that was interrupted behind the record, before the copy was made the one to write. */
function isInterrupted(engine: LogEngine, { trust, head, chainId }: Replica): RecoverReceipt | undefined {
  const last = trust.recoveries.at(-1)
  if (engine.standing.state !== 'copy' || last?.seq !== head.seq) return undefined
  return { chain: chainIdOf(chainId), seq: last.seq, from: last.from, lost: [] }
}
