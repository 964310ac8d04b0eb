/** The first record of a new chain: its parameters, the root's first epoch, and the signature of who makes it. */
import { fromBinaryText, toBinaryText } from '../base/bytes.ts'
import { type Environment, randomBytes } from '../base/environment.ts'
import { ByteWriter } from '../codec/writer.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { ROOT_ENTITY } from '../event/entity-words.ts'
import { FOLD_LEVEL, FORMAT, KIND, SUITE } from '../event/format.ts'
import { encodeGenesis, encodeParameters, genesisMessage, hashParameters } from '../event/genesis.ts'
import { hashRecord, NO_HASH, writeRecordHead } from '../event/record.ts'
import type { Durability, LogRecord } from '../log/engine.ts'
import { SessionKeys } from '../session/epoch-keys.ts'
import type { Identity } from '../session/identity.ts'
import { TrustState } from '../trust/trust-state.ts'
import { checkpointKeyOf } from './checkpoints.ts'

export function makeGenesis(
  parts: { readonly crypto: CryptoProvider; readonly environment: Environment; readonly identity: Identity },
  durability: Durability,
  /** Who orders its records, and what signs its checkpoints: the fingerprints and Ed25519 keys of servers. */
  servers?: { readonly sequencers: readonly Uint8Array[]; readonly checkpointKeys: readonly Uint8Array[] },
): { readonly record: LogRecord; readonly chainId: Uint8Array } {
  const { crypto, environment, identity } = parts
  const nonce = randomBytes(environment.random, 32)
  const parameters = encodeParameters({
    format: FORMAT,
    suite: SUITE,
    level: FOLD_LEVEL,
    nonce,
    roots: [identity.keys],
    sequencers: servers?.sequencers ?? 'writers',
    durability,
    checkpointKeys: [checkpointKeyOf(crypto, identity, nonce), ...(servers?.checkpointKeys ?? [])],
  })
  const chainId = hashParameters(crypto, parameters)
  const trust = new TrustState()
  const name = toBinaryText(identity.fingerprintBytes)
  trust.identities.set(name, identity.keys)
  const keys = new SessionKeys({ crypto, random: environment.random, chainId, identity }, trust)
  // Writers that do not read may come later: the root's epoch has a key for them from the start.
  const { fields } = keys.makeEpoch(ROOT_ENTITY, 0, [{ identity: name }], { forWriters: true })
  const signature = identity.sign(genesisMessage(crypto, chainId, fields), 'genesis')
  const out = new ByteWriter(16_384)
  writeRecordHead(out, {
    seq: 0,
    prev: NO_HASH,
    admittedAt: environment.clock.now(),
    sequencer: fromBinaryText(name),
    kind: KIND.genesis,
  })
  out.raw(encodeGenesis(parameters, fields, [signature]))
  const bytes = out.copy()
  return { record: { seq: 0, bytes, hash: hashRecord(crypto, chainId, bytes, KIND.genesis) }, chainId }
}
