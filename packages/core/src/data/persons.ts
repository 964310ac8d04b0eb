/** Persons as users see them: what a transaction changes of one, and what a chain says of them. */
import { fromBinaryText, toBinaryText } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { type Fingerprint, fingerprintOf, type PublicId } from '../base/ids.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import { type Consent, personBytes } from '../session/consent-text.ts'
import type { Identity } from '../session/identity.ts'
import { isGone, newestKey, type Person, type Standing } from '../trust/person.ts'
import type { DraftPersons } from './draft-persons.ts'
import type { Removal } from './draft-roles.ts'

/** A person by the public id or fingerprint that policies name, or by those of one of its keys. */
export type PersonRef = PublicId | Fingerprint | Pick<Identity, 'publicId'> | string

/** An identity that has taken more keys, or was revoked. */
export interface PersonInfo {
  /** The fingerprint that policies name; it stays when the key behind it goes. */
  readonly fingerprint: Fingerprint
  /** In the order in which they came; those included that were removed. */
  readonly keys: readonly { readonly fingerprint: Fingerprint; readonly standing: Standing }[]
  /** How often the key that wraps are made for has changed; undefined if it never had one. */
  readonly generation: number | undefined
  /** No key is left: the name names nobody. */
  readonly revoked: boolean
}

/** Changes of one person in a transaction. */
export interface PersonChange {
  /**
   * Takes a key: a consent that the new key made for this person, or its identity. `device` (the default) may act for the
   * person, `owner` may change it too. By an owner. @throws AteError BAD_CONSENT | BAD_ARGUMENT
   */
  add(member: Consent | Identity, options?: { readonly standing?: 'owner' | 'device' }): void
  /** Removes a key for good, by an owner, or by who manages the root. What the key could read, and what of it is locked anew. */
  remove(fingerprint: Fingerprint | string): Removal
  /** The key of this session hands over: `to` becomes an owner, and this key is removed. @throws AteError NOT_OWNER */
  rotate(to: Consent | Identity): Removal
  /** Makes the next key of the person, although nobody leaves: after a removal by who manages the root. */
  renew(): Removal
}

export function personChange(
  persons: DraftPersons,
  core: ChainCore,
  ref: PersonRef | undefined,
  assertOpen: () => void,
): PersonChange {
  const name = ref === undefined ? core.identityName : personName(core, ref)
  const own = fingerprintOf(core.identity.fingerprintBytes)
  return {
    add(member, options = {}) {
      assertOpen()
      persons.add(name, member, standingOf(options.standing))
    },
    remove(fingerprint) {
      assertOpen()
      return persons.remove(name, fingerprint)
    },
    rotate(to) {
      assertOpen()
      persons.add(name, to, 'owner')
      return persons.remove(name, own)
    },
    renew() {
      assertOpen()
      return persons.renew(name)
    },
  }
}

function standingOf(given: 'owner' | 'device' | undefined): 'owner' | 'device' {
  const standing = given ?? 'device'
  if (standing !== 'owner' && standing !== 'device')
    throw new AteError('BAD_ARGUMENT', { option: 'standing', words: ['owner', 'device'] })
  return standing
}

/** The name that a ref means, one byte a character. @throws AteError BAD_ID | BAD_PUBLIC_ID */
export function personName({ crypto, replica: { trust } }: ChainCore, ref: PersonRef): string {
  const key = toBinaryText(personBytes(crypto, typeof ref === 'string' ? ref : ref?.publicId))
  return trust.identities.has(key) ? key : (trust.personOfKey.get(key)?.name ?? key)
}

export function personInfo(person: Person): PersonInfo {
  return {
    fingerprint: fingerprintOf(fromBinaryText(person.name)),
    keys: [...person.keys].map(([key, { standing }]) => ({
      fingerprint: fingerprintOf(fromBinaryText(key)),
      standing,
    })),
    generation: newestKey(person)?.number,
    revoked: isGone(person),
  }
}
