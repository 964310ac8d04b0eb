/** Recovery of a chain whose records a server orders: what it has was restored there, or lost its newest records. */
import { rememberRecovered } from '../chain/recovered.ts'
import { appendRecovery, type RecoverReceipt } from '../data/append-recovery.ts'
import { Chain } from '../data/chain.ts'
import type { RecoverPlaceOptions } from '../data/recover.ts'
import { lookUpChain } from '../session/known-chains.ts'
import { machineIdentity } from '../session/local-identity.ts'
import { memoryState } from '../session/memory-state.ts'
import type { Platform } from '../session/platform.ts'
import { openRemote } from './open-remote.ts'
import { KNOWN_SERVERS } from './server-pins.ts'
import { parsePlace, placeUrl } from './transport.ts'

/** As `recover` of recover.ts says. */
export async function recoverServed(
  url: string,
  { as: given, id: wanted, from, lost, ...reaching }: RecoverPlaceOptions,
  platform: Platform,
): Promise<RecoverReceipt> {
  const { state } = platform
  const as = given ?? (await machineIdentity({}, platform))
  const id = wanted ?? (await lookUpChain(state, placeUrl(parsePlace(url))))
  const options = { ...reaching, as, create: false, ...(id === undefined ? {} : { id }) }
  const chain = await openRemote(url, options, await withoutMemory(platform))
  try {
    const core = Chain.coreOf(chain)
    core.assertWritable()
    const recovery = { ...(from === undefined ? {} : { from }), ...(lost ? { lost } : {}) }
    const receipt = await appendRecovery(core, recovery, state)
    await rememberRecovered(state, core.replica)
    return receipt
  } finally {
    await chain.close()
  }
}

/** What this machine remembers of the lost branch is no alarm here; and after a failure it has to stand as it did. */
async function withoutMemory(platform: Platform): Promise<Platform> {
  const state = memoryState()
  const servers = await platform.state.get(KNOWN_SERVERS)
  if (servers) await state.put(KNOWN_SERVERS, servers)
  return Object.create(platform, { state: { value: state } }) as Platform
}
