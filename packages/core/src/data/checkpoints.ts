/** Checkpoints of this session: signed with a key that follows from the identity and the chain's nonce. */
import { equalBytes, wipe } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import type { CryptoProvider, Signer } from '../crypto/provider.ts'
import { checkpointOrigin, encodeCheckpoint } from '../event/checkpoint.ts'
import { type Identity, identityCheckpointSeed } from '../session/identity.ts'

/** @throws AteError NOT_AUTHORIZED if the root has not named this session's key. */
export function checkpointPayload({ crypto, identity, replica, chainId }: ChainCore): Uint8Array {
  return withSigner(crypto, identity, replica.genesis.parameters.nonce, (key) => {
    if (!replica.trust.checkpointKeys.some((known) => equalBytes(known, key.publicKey))) {
      throw new AteError('NOT_AUTHORIZED', { needs: 'a checkpoint key that the root named' })
    }
    const { tree } = replica
    return encodeCheckpoint(crypto, { origin: checkpointOrigin(chainId), size: tree.size, root: tree.root() }, key)
  })
}

/** The public key by which an identity signs checkpoints of the chain with this nonce. */
export function checkpointKeyOf(crypto: CryptoProvider, identity: Identity, nonce: Uint8Array): Uint8Array {
  return withSigner(crypto, identity, nonce, ({ publicKey }) => publicKey)
}

function withSigner<R>(crypto: CryptoProvider, identity: Identity, nonce: Uint8Array, run: (key: Signer) => R): R {
  const seed = identityCheckpointSeed(identity, nonce)
  try {
    return run(crypto.ed25519Signer(seed))
  } finally {
    wipe(seed)
  }
}
