/** How users name readers, writers and managers: roles by name, identities by their public id. */
import { AteError } from '../base/errors.ts'
import type { PublicId } from '../base/ids.ts'
import type { OptionNames } from '../base/option-names.ts'
import type { Identity } from '../session/identity.ts'

export interface RoleName {
  readonly role: string
}

/** A role by name: the one of the nearest ancestor that has it. */
export function role(name: string): RoleName {
  if (typeof name !== 'string' || name.length === 0) throw new AteError('BAD_ARGUMENT', { what: 'name of a role' })
  return { role: name }
}

/** A role, an identity's public id, or an identity. */
export type Principal = RoleName | PublicId | Pick<Identity, 'publicId'>

export interface PolicyInput {
  /** Who may read this entity and what is below it; inherited if left out. */
  readonly read?: 'everyone' | readonly Principal[]
  /** Who may change it, and create below it. */
  readonly write?: 'everyone' | 'nobody' | readonly Principal[]
  /** Who may change these policies. */
  readonly manage?: readonly Principal[]
  /** Who may give what they create below policies of their own. */
  readonly allow?: readonly Principal[]
  /**
   * With `read`: whether members who come later read what was sealed before they came (`all`, the default) or only what
   * is sealed from then on (`live`: see chain.reseal).
   */
  readonly history?: 'all' | 'live'
}

export const POLICY_NAMES: OptionNames<PolicyInput> = {
  read: true,
  write: true,
  manage: true,
  allow: true,
  history: true,
}

/** Bounds and unit of a clear counter. */
export interface CounterInput {
  readonly value?: bigint
  readonly floor?: bigint
  readonly ceiling?: bigint
  /** The entity whose changes add up to zero in every transaction, unless its writers mint or burn. */
  readonly unit?: { readonly id: string }
  readonly up?: 'everyone' | 'nobody' | readonly Principal[]
  readonly down?: 'everyone' | 'nobody' | readonly Principal[]
}

export const COUNTER_NAMES: OptionNames<CounterInput> = {
  value: true,
  floor: true,
  ceiling: true,
  unit: true,
  up: true,
  down: true,
}
