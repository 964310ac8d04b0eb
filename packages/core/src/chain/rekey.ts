/**
 * A new epoch for a node whose read key is stale: in the same transaction as the write that needs it, by who reads and
 * writes there, for exactly the stored readers.
 */
import { type EntityWords, parseEntityId } from '../event/entity-words.ts'
import { OP } from '../event/format.ts'
import { TransactionEvent } from '../event/transaction-event.ts'
import type { EpochSecrets, SessionKeys } from '../session/epoch-keys.ts'
import { mayManage, mayRead, mayWrite, type Policy } from '../trust/policy.ts'
import type { Replica } from './replica.ts'
import type { Refusal } from './verdict.ts'

export interface RekeyParts {
  readonly replica: Replica
  readonly keys: SessionKeys
  readonly identityName: string
}

/** The event that mends the node which `refusal` names, or undefined if this session may not or cannot. */
export function rekeyEvent(parts: RekeyParts, refusal: Refusal): TransactionEvent | undefined {
  const id = refusal.facts['node']
  if (typeof id !== 'string') return undefined
  const words = parseEntityId(id)
  const row = parts.replica.view.findLive(words.a, words.b, words.c, words.d)
  return row < 0 ? undefined : newEpochEvent(parts, row, words)
}

/** The event that starts the next epoch of a node, or undefined if this session may not or cannot. */
export function newEpochEvent(
  { replica, keys, identityName }: RekeyParts,
  row: number,
  words: EntityWords,
  options: { readonly forWriters?: boolean } = {},
): TransactionEvent | undefined {
  const { view, trust } = replica
  const epoch = trust.newestEpoch(row)
  const policy = view.policyOf(row)
  const readers = policy?.read
  const may =
    mayManage(view, row, identityName) || (mayRead(view, row, identityName) && mayWrite(view, row, identityName))
  const previous = epoch && keys.secretsOf({ row, id: words }, epoch.number)
  if (!epoch || readers === undefined || !may || !previous) return undefined
  const made = keys.makeEpoch(words, epoch.number + 1, readers, {
    ...linkOf(policy!, previous),
    forWriters: options.forWriters ?? epoch.fields.writeKey !== undefined,
  })
  keys.remember(made)
  const event = new TransactionEvent(OP.epoch)
  event.a = words.a
  event.b = words.b
  event.c = words.c
  event.d = words.d
  event.rare = { epoch: made.fields }
  return event
}

/** What a next epoch takes along: the index key always, the older key where history is open to who comes later. */
export function linkOf(
  policy: Pick<Policy, 'history'>,
  previous: EpochSecrets,
): { readonly previous: EpochSecrets } | { readonly indexKey: Uint8Array } {
  return policy.history === 'live' ? { indexKey: previous.indexKey } : { previous }
}
