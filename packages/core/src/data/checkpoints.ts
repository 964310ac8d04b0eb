/** Checkpoints of this session: signed with a key that follows from the identity and the chain's nonce. */
import { equalBytes, wipe } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import { checkpointOrigin, encodeCheckpoint } from '../event/checkpoint.ts'
import { identityCheckpointSeed } from '../session/identity.ts'

/** @throws AteError NOT_AUTHORIZED if the root has not named this session's key. */
export function checkpointPayload({ crypto, identity, replica, chainId }: ChainCore): Uint8Array {
  const seed = identityCheckpointSeed(identity, replica.genesis.parameters.nonce)
  try {
    const key = crypto.ed25519Signer(seed)
    if (!replica.trust.checkpointKeys.some((known) => equalBytes(known, key.publicKey))) {
      throw new AteError('NOT_AUTHORIZED', { needs: 'a checkpoint key that the root named' })
    }
    const { tree } = replica
    return encodeCheckpoint(crypto, { origin: checkpointOrigin(chainId), size: tree.size, root: tree.root() }, key)
  } finally {
    wipe(seed)
  }
}
