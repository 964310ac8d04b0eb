import type { Context } from './context.ts'
import { logKey, type Trust } from './verify-proof.ts'

/** What a verifier must know of this log beforehand, for proofs under checkpoints of this session. */
export function trustOf({ chain, witnesses }: Context): Trust {
  const origin = `ate/${chain.id}`
  return { origin, log: logKey(origin, chain.checkpointKey()), ...(witnesses ? { witnesses } : {}) }
}
