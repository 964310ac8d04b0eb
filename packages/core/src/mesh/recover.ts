/** Recovers a chain wherever it is. Its code is loaded when it is called: few programs do that, and none does often. */

import { platform as ownPlatform } from '#platform'
import { objectOf } from '../base/option-names.ts'
import type { RecoverReceipt } from '../data/append-recovery.ts'
import type { RecoverPlaceOptions } from '../data/recover.ts'
import type { LogEngine } from '../log/engine.ts'
import type { Platform } from '../session/platform.ts'
import { isRemote } from './open-chain.ts'

/**
 * Recovers the chain at `at`, a place or the address of a served chain: a copy that was restored or salvaged, or a chain that
 * lost its newest records. Afterwards it is opened for writing as any other. Only when the original is lost: two places that
 * are written are two histories.
 * @throws AteError CHAIN_NOT_FOUND | CHAIN_LOCKED | CHAIN_MOVED | CHAIN_COPY (a backup) | NOT_AUTHORIZED (needs manage of the
 * root) | LEVEL_TOO_LOW | READ_ONLY (a server orders its records: give its address) | FORK { seq } (`from` has to reach back to
 * it) | BAD_ARGUMENT and what openChain throws
 */
export async function recover(
  at: string | LogEngine,
  options: RecoverPlaceOptions = {},
  platform: Platform = ownPlatform,
): Promise<RecoverReceipt> {
  objectOf(options)
  if (isRemote(at)) {
    const code = await import('./recover-served.ts')
    return code.recoverServed(at, options, platform)
  }
  const code = await import('../data/recover.ts')
  return code.recover(at, options, platform)
}
