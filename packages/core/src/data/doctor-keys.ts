/** The part of chain.doctor() about keys, roles and managers: who waits for a key, and where nobody is left. */
import { fromBinaryText } from '../base/bytes.ts'
import { isAteError, throwIfAborted } from '../base/errors.ts'
import { fingerprintOf } from '../base/ids.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import type { WalkOptions } from '../chain/live-bodies.ts'
import { textOfWords } from '../event/entity-words.ts'
import {
  hasMember,
  mayManage,
  mayRead,
  mayWrite,
  type Persons,
  type PolicyList,
  type Role,
  withoutDropped,
} from '../trust/policy.ts'
import { isStale } from '../trust/trust-state.ts'
import { CHUNK_ROWS, ROW } from '../view/entity-table.ts'
import { type Finding, finding, findingAbout } from './findings.ts'

/** Each unwraps keys, which takes a millisecond where there is no native code for it. */
const NODES_BEFORE_PAUSE = 8

/** Roles that are there: what a deleted one read is stale, and told so. */
function rolesOf({ replica }: ChainCore): Role[] {
  return [...replica.trust.roles.values()].filter(({ dropped }) => !dropped)
}

export function roleFindings(core: ChainCore): Finding[] {
  const empty = rolesOf(core).filter(({ members }) => members.size === 0)
  const ids = empty.map(({ id }) => textOfWords(id))
  return findingAbout('EMPTY_ROLE', 'roles', ids)
}

/** The root always has a manager; a closed node names its own, and may come to have none. */
export async function managerFindings({ replica }: ChainCore, { pause, signal }: WalkOptions): Promise<Finding[]> {
  const { view, trust } = replica
  const orphaned: string[] = []
  for (let row = 1; row < view.table.rows; row++) {
    if (row % CHUNK_ROWS === 0) await pause()
    throwIfAborted(signal)
    if (view.table.get(row, ROW.policy) === 0 || view.isDead(row)) continue
    const policy = view.policyOf(row)
    if (policy?.closed && !hasMember(policy.manage, trust.persons)) orphaned.push(view.idText(row))
  }
  const managers = identitiesOf(view.policyOf(0)?.manage ?? 'nobody', trust.persons)
  const [only] = managers ?? []
  const isSingle = managers?.size === 1
  return [
    ...findingAbout('NO_MANAGER', 'nodes', orphaned),
    ...(isSingle ? [finding('SINGLE_MANAGER', { identity: fingerprintOf(fromBinaryText(only!)) })] : []),
  ]
}

/** Who a list names, each once; undefined for everyone. */
function identitiesOf(list: PolicyList, persons: Persons): Set<string> | undefined {
  if (typeof list === 'string') return list === 'everyone' ? undefined : new Set()
  const there = withoutDropped(list, persons)
  return new Set(there.flatMap(({ role, identity }) => (role ? [...role.members] : [identity])))
}

/** Tries every key that this session should hold. */
export async function keyFindings(core: ChainCore, { pause, signal }: WalkOptions): Promise<Finding[]> {
  const { replica, keys, identityName } = core
  const { view, trust } = replica
  const stale: string[] = []
  const missing: string[] = []
  const badRoles = rolesOf(core).filter((role) => !opens(() => keys.hasRole(role)))
  const bad: string[] = badRoles.map(({ id }) => textOfWords(id))
  let mine = 0
  let done = 0
  for (const [row, epochs] of trust.epochs) {
    if (++done % NODES_BEFORE_PAUSE === 0) await pause()
    throwIfAborted(signal)
    const readers = view.policyOf(row)?.read
    const newest = epochs.at(-1)
    if (!newest || readers === undefined || view.isDead(row)) continue
    const key = mayRead(view, row, identityName) ? keyState(core, row, newest.number) : 'none of ours'
    if (key === 'bad') bad.push(view.idText(row))
    if (key === 'missing') missing.push(view.idText(row))
    if (!isStale(trust, newest, readers)) continue
    stale.push(view.idText(row))
    if (key === 'there' && (mayWrite(view, row, identityName) || mayManage(view, row, identityName))) mine++
  }
  return [
    ...findingAbout('BAD_WRAP', 'places', bad),
    ...findingAbout('STALE_KEYS', 'nodes', stale, { mine }),
    ...findingAbout('KEYS_MISSING', 'nodes', missing),
  ]
}

function keyState({ keys, replica }: ChainCore, row: number, epoch: number): 'there' | 'missing' | 'bad' {
  let isThere = false
  const isGood = opens(() => {
    isThere = keys.secretsOf({ row, id: replica.view.wordsOf(row) }, epoch) !== undefined
  })
  return isGood ? (isThere ? 'there' : 'missing') : 'bad'
}

/** False if a wrap fails its commitment. */
function opens(unwrap: () => unknown): boolean {
  try {
    unwrap()
    return true
  } catch (error) {
    if (isAteError(error) && error.code === 'BAD_WRAP') return false
    throw error
  }
}
