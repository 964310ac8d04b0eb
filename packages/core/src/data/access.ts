/** Who may do what, as policies and roles say it now: for tools that show it, and for kits that decide by it. */
import { fromBinaryText } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { type EntityId, type Fingerprint, fingerprintOf, type PublicId } from '../base/ids.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import { ROLES_COLLECTION } from '../chain/fold-trust.ts'
import { namedEntity } from '../event/derive-ids.ts'
import { type EntityWords, entityKey, textOfWords } from '../event/entity-words.ts'
import { clearName } from '../session/epoch-keys.ts'
import { publicIdentity } from '../session/identity.ts'
import { nodeWith, type PolicyList, withoutDropped } from '../trust/policy.ts'
import { checkName } from './entity-type.ts'

/** Somebody whom a role or a policy names; of a person, the name that its first key gave it. */
export interface Member {
  readonly fingerprint: Fingerprint
  readonly publicId: PublicId
}

export interface RoleInfo {
  readonly name: string
  readonly members: readonly Member[]
  /** This session acts for one of them. */
  readonly isMember: boolean
}

/** One entry of a policy: a role of the node `at`, or somebody by fingerprint. */
export type AccessEntry =
  | { readonly role: string; readonly at: EntityId; readonly fingerprint?: undefined }
  | { readonly fingerprint: Fingerprint; readonly role?: undefined }

/** `manage` are those of the entity and of what is above it, up to the first closed one. */
export interface AccessInfo {
  readonly read: 'everyone' | readonly AccessEntry[]
  readonly write: 'everyone' | 'nobody' | readonly AccessEntry[]
  readonly manage: readonly AccessEntry[]
}

export function roleOf(core: ChainCore, node: EntityWords, name: string): RoleInfo | undefined {
  checkName(name, 'role')
  const { replica, crypto, identityName } = core
  const words = namedEntity(crypto, replica.chainId, node, ROLES_COLLECTION, clearName(crypto, name))
  const role = replica.trust.roles.get(entityKey(words))
  if (!role || replica.view.isDead(role.row)) return undefined
  const members = [...role.members]
  return {
    name,
    // Made only if somebody asks: public ids are long.
    get members() {
      return members.map((member) => memberOf(core, member))
    },
    isMember: members.includes(identityName),
  }
}

function memberOf({ crypto, replica }: ChainCore, name: string): Member {
  const { fingerprint, publicId } = publicIdentity(crypto, replica.trust.identities.get(name)!)
  return { fingerprint, publicId }
}

export function accessOf({ replica }: ChainCore, words: EntityWords): AccessInfo {
  const { view, trust } = replica
  const row = view.findLive(words.a, words.b, words.c, words.d)
  if (row < 0) throw new AteError('NOT_FOUND', { entity: textOfWords(words) })
  const entries = (list: PolicyList | undefined): AccessEntry[] =>
    list === undefined || typeof list === 'string'
      ? []
      : withoutDropped(list, trust.persons).map((entry) =>
          entry.role
            ? { role: entry.role.name, at: view.idText(entry.role.node) }
            : { fingerprint: fingerprintOf(fromBinaryText(entry.identity)) },
        )
  const read = view.policyOf(nodeWith(view, 'read', row))?.read
  const write = view.policyOf(nodeWith(view, 'write', row))?.write
  const manage = new Map<string, AccessEntry>()
  for (let node = row; ; node = view.parentOf(node)) {
    const policy = view.policyOf(node)
    for (const entry of entries(policy?.manage)) manage.set(entry.fingerprint ?? `${entry.at} ${entry.role}`, entry)
    if (node === 0 || policy?.closed) break
  }
  return {
    read: read === 'everyone' ? read : entries(read),
    write: typeof write === 'string' ? write : entries(write),
    manage: [...manage.values()],
  }
}
