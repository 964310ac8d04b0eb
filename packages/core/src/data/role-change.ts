/** A role as a transaction changes it: made by its first `add`, with its maker the first member. */
import type { EntityWords } from '../event/entity-words.ts'
import type { DraftRoles, Removal } from './draft-roles.ts'
import { checkName } from './entity-type.ts'
import type { Principal } from './policy-input.ts'

export interface RoleChange {
  add(member: Principal): void
  remove(member: Principal): Removal
  /** After the role was taken out of a policy: who comes later does not open what it read before. */
  renew(): Removal
}

/** The role `name` of `node`. `assertOpen` throws when the transaction has ended. @throws AteError BAD_ARGUMENT */
export function roleChange(roles: DraftRoles, name: string, node: EntityWords, assertOpen: () => void): RoleChange {
  checkName(name, 'role')
  return {
    add(member) {
      assertOpen()
      roles.addMember(name, node, member)
    },
    remove(member) {
      assertOpen()
      return roles.removeMember(name, node, member)
    },
    renew() {
      assertOpen()
      return roles.renew(name, node)
    },
  }
}
