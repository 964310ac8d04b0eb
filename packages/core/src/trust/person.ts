/**
 * Persons: identities that have taken more keys. Policies go on naming a person by the fingerprint that it began with;
 * which keys act for it changes by events. A key acts for one person at most, and one that was removed for nobody.
 */
import { equalBytes } from '../base/bytes.ts'
import { kemKeyOf } from './identity-keys.ts'
import type { RoleGeneration } from './policy.ts'

/** `owner`: may change the person. `device`: acts for it, and no more. `removed`: does neither, for good. */
export type Standing = 'owner' | 'device' | 'removed'

export interface PersonKey {
  /** Its public keys, 3200 bytes. */
  readonly keys: Uint8Array
  readonly standing: Standing
}

export interface Person {
  /** The fingerprint that policies name, one byte a character. It never changes, whatever becomes of its key. */
  readonly name: string
  /** By fingerprint, in the order in which they came; those included that were removed. */
  readonly keys: Map<string, PersonKey>
  /** Keys that epochs and roles are wrapped to, newest last, numbered from 0 without a gap. */
  readonly generations: RoleGeneration[]
  /** Tick of the newest generation, or of the end: epochs made before it are stale. */
  rotatedAt: number
}

/** The generation that wraps are made for now; undefined for one that has no owner. */
export function newestKey(person: Person | undefined): RoleGeneration | undefined {
  return person?.generations[person.generations.length - 1]
}

/** No key is left: the name names nobody. */
export function isGone(person: Person | undefined): boolean {
  return person !== undefined && livingKeys(person).length === 0
}

export function livingKeys(person: Person): string[] {
  return [...person.keys].filter(([, { standing }]) => standing !== 'removed').map(([name]) => name)
}

/** The first owner that is left: the person's key is his own when somebody else has removed one. */
export function firstOwner(person: Person): PersonKey | undefined {
  for (const key of person.keys.values()) if (key.standing === 'owner') return key
  return undefined
}

/** True if the generation has no secret of its own: its key is that of an owner, until an owner makes the next. */
export function isBorrowed(generation: RoleGeneration): boolean {
  return generation.wraps.size === 0
}

/** True if these public keys open what is wrapped to a borrowed generation. */
export function lends(keys: Uint8Array, generation: RoleGeneration): boolean {
  return isBorrowed(generation) && equalBytes(kemKeyOf(keys), generation.publicKey)
}
