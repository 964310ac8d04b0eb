/** The state that the first record makes: the root of the tree, its policy, its epoch, the root identities. */
import { toBinaryText } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import type { Genesis } from '../event/genesis.ts'
import { fingerprintOfKeys } from '../trust/identity-keys.ts'
import { type TrustState, wrapsFit } from '../trust/trust-state.ts'
import { NO_RECORD, ROW } from '../view/entity-table.ts'
import type { View } from '../view/view.ts'

/** @throws AteError BAD_GENESIS */
export function startState(view: View, trust: TrustState, crypto: CryptoProvider, genesis: Genesis): void {
  const { parameters, epoch } = genesis
  trust.level = parameters.level
  const roots = parameters.roots.map((keys) => {
    const identity = toBinaryText(fingerprintOfKeys(crypto, keys))
    trust.identities.set(identity, keys)
    return { identity }
  })
  if (epoch.number !== 0 || !wrapsFit(trust, epoch, roots)) throw new AteError('BAD_GENESIS', { what: 'epoch' })
  const row = view.table.add(0, 0, 0, 0)
  view.policies.push({ read: roots, write: roots, manage: roots, closed: true, allow: [], history: 'all' })
  view.table.set(row, ROW.policy, 1)
  view.table.set(row, ROW.version, 1)
  view.table.set(row, ROW.record, NO_RECORD)
  trust.epochs.set(row, [{ number: 0, fields: epoch, tick: 0 }])
  trust.checkpointKeys = parameters.checkpointKeys
  trust.sequencers = typeof parameters.sequencers === 'string' ? 'writers' : parameters.sequencers.map(toBinaryText)
}
