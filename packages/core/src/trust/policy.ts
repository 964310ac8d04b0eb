/**
 * Policies and who they name. A policy stands at a node of the tree; what it leaves out is inherited from above.
 * Pure: these functions read what the fold has stored and decide nothing else.
 */
import type { EntityWords } from '../event/entity-words.ts'
import type { WrapFields } from '../event/rare-fields.ts'
import { isGone, type Person } from './person.ts'

/** A role: named by an entity of the tree, so its changes are events like others. */
export interface Role {
  readonly id: EntityWords
  readonly name: string
  /** Row of the node that it belongs to: who manages there manages the role. */
  readonly node: number
  /** Row of its own entity. */
  readonly row: number
  readonly members: Set<string>
  /** Newest last. A removal starts a new generation, so that the removed member's secret opens nothing later. */
  readonly generations: RoleGeneration[]
  /** Tick of the newest generation but the first: epochs made before it are stale. 0: none. */
  rotatedAt: number
  /** It was deleted. A policy that names it names nobody, also when a role of its name is made again. */
  dropped: boolean
  /** A member's keys have changed: no epoch is wrapped to the role before it has its next generation. */
  stale: boolean
}

/** One key of a role, or of a person. */
export interface RoleGeneration {
  readonly number: number
  readonly publicKey: Uint8Array
  /** The generation's secret, wrapped to a member, by fingerprint. */
  readonly wraps: Map<string, WrapFields>
  /** Of a person: the secret of the generation before, wrapped under this one's. */
  readonly link?: Uint8Array
}

/** A role or an identity (its 32-byte fingerprint, one byte a character). */
export type PolicyEntry =
  | { readonly role: Role; readonly identity?: undefined }
  | { readonly identity: string; readonly role?: undefined }

export type PolicyList = 'everyone' | 'nobody' | readonly PolicyEntry[]

export interface Policy {
  /** Undefined: inherited. */
  readonly read: PolicyList | undefined
  readonly write: PolicyList | undefined
  readonly manage: PolicyList | undefined
  /** An ancestor's manage does not reach this node nor what is below it. */
  readonly closed: boolean
  readonly allow: readonly PolicyEntry[]
  /** `live`: an epoch does not open the ones before it, so who comes later reads what is sealed again. */
  readonly history: 'all' | 'live'
}

/** What the rules need to know of the tree. Row 0 is the root and its own parent. */
export interface Tree {
  parentOf(row: number): number
  policyOf(row: number): Policy | undefined
}

/** By the fingerprint that names them. */
export type Persons = ReadonlyMap<string, Person>

/** A list without the roles and persons that are gone: their keys are still in the hands of those who had them. */
export function withoutDropped(list: readonly PolicyEntry[], persons: Persons): readonly PolicyEntry[] {
  const isDropped = (entry: PolicyEntry): boolean =>
    entry.role ? entry.role.dropped : isGone(persons.get(entry.identity))
  return list.some(isDropped) ? list.filter((entry) => !isDropped(entry)) : list
}

/** True if `list` names at least one identity that is there. */
export function hasMember(list: PolicyList | undefined, persons: Persons): boolean {
  if (list === undefined || typeof list === 'string') return list === 'everyone'
  return list.some((entry) => (entry.role ? entry.role.members.size > 0 : !isGone(persons.get(entry.identity))))
}

/** True if `list` names the identity. */
export function names(list: PolicyList, identity: string): boolean {
  if (typeof list === 'string') return list === 'everyone'
  for (let i = 0; i < list.length; i++) {
    const { role, identity: named } = list[i]!
    if (role ? role.members.has(identity) : named === identity) return true
  }
  return false
}

/** The nearest node, from `row` upwards, that has its own list of that kind; the root always has. */
export function nodeWith(tree: Tree, kind: 'read' | 'write', row: number): number {
  let node = row
  while (node !== 0 && tree.policyOf(node)?.[kind] === undefined) node = tree.parentOf(node)
  return node
}

export function mayWrite(tree: Tree, row: number, identity: string): boolean {
  const list = tree.policyOf(nodeWith(tree, 'write', row))?.write
  return list !== undefined && names(list, identity)
}

export function mayRead(tree: Tree, row: number, identity: string): boolean {
  const list = tree.policyOf(nodeWith(tree, 'read', row))?.read
  return list !== undefined && names(list, identity)
}

/** Any node from `row` upwards that lets the identity manage, up to and including the first closed one. */
export function mayManage(tree: Tree, row: number, identity: string): boolean {
  for (let node = row; ; node = tree.parentOf(node)) {
    const policy = tree.policyOf(node)
    if (policy?.manage !== undefined && names(policy.manage, identity)) return true
    if (node === 0 || policy?.closed) return false
  }
}

/** Who may give what they create below `row` policies of their own: its managers, and those it allows. */
export function mayOwn(tree: Tree, row: number, identity: string): boolean {
  const allow = tree.policyOf(row)?.allow
  return mayManage(tree, row, identity) || (allow !== undefined && names(allow, identity))
}
