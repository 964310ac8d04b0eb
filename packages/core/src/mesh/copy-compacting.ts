/** Compaction of this machine's copy of a chain that others order. The copy is this process's own, whoever may write the chain. */
import type { ChainCore } from '../chain/chain-core.ts'
import type { CompactPolicy } from '../data/compact-policy.ts'
import { type Compacting, compactingOf } from '../data/compacting.ts'

/** Undefined for `never`. @throws AteError BAD_ARGUMENT */
export function compactingCopy(core: ChainCore, compact: CompactPolicy | 'never'): Compacting | undefined {
  const { crypto, environment, engine, replica, listeners, closers } = core
  return compactingOf(
    {
      ...{ crypto, environment, engine, replica, listeners, closers },
      get isClosed() {
        return core.isClosed
      },
      assertWritable: () => core.assertOpen(),
      durable: () => core.durable(),
    },
    compact,
  )
}
