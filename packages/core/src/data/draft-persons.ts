/**
 * Changes of persons in a transaction: which keys come and go, the next generation of the person's key with its wraps, and
 * the new keys of roles and nodes that follow from it, as far as this session may make them.
 */
import { fromBinaryText, toBinaryText } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { fingerprintOf, parseId } from '../base/ids.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import { ROOT_ENTITY } from '../event/entity-words.ts'
import { OP } from '../event/format.ts'
import type { PersonFields, PersonKeyFields } from '../event/rare-fields.ts'
import type { TransactionEvent } from '../event/transaction-event.ts'
import { type Consent, parseConsent, signConsent } from '../session/consent-text.ts'
import { type Identity, isIdentity } from '../session/identity.ts'
import { fingerprintOfKeys, kemKeyOf } from '../trust/identity-keys.ts'
import { isBorrowed, newestKey, type Person, type PersonKey } from '../trust/person.ts'
import type { RoleGeneration } from '../trust/policy.ts'
import type { Draft } from './draft.ts'
import type { DraftRoles, Removal } from './draft-roles.ts'

/** Bytes of an event that adds a key: its public keys, its consent, its wrap. */
const KEY_BYTES = 8192

/** A person as this transaction will leave it. */
interface PersonDraft {
  readonly name: string
  readonly stored: Person | undefined
  readonly newest: RoleGeneration | undefined
  readonly event: TransactionEvent
  /** An owner brings a key with each change; who manages the root only removes. */
  readonly isOwner: boolean
  readonly add: Map<string, PersonKeyFields>
  readonly remove: Set<string>
  renew: boolean
}

export class DraftPersons {
  readonly #core: ChainCore
  readonly #draft: Draft
  readonly #roles: DraftRoles
  readonly #persons = new Map<string, PersonDraft>()

  constructor(core: ChainCore, draft: Draft, roles: DraftRoles) {
    this.#core = core
    this.#draft = draft
    this.#roles = roles
  }

  /** @throws AteError BAD_CONSENT | NO_READ_KEY */
  add(name: string, member: Consent | Identity | string, standing: 'owner' | 'device'): void {
    const draft = this.#personDraft(name)
    const { keys, consent } = this.#consentOf(name, member)
    draft.add.set(toBinaryText(fingerprintOfKeys(this.#core.crypto, keys)), { keys, standing, consent })
    this.#draft.sizeBytes += KEY_BYTES
    // Until it has a key of its own, what is wrapped to a person is wrapped to its first key alone.
    if (!draft.newest || isBorrowed(draft.newest)) this.#renew(draft)
  }

  remove(name: string, fingerprint: string): Removal {
    const draft = this.#personDraft(name)
    const key = toBinaryText(parseId(fingerprint, 'fingerprint'))
    const standing = this.#keysOf(draft).get(key)?.standing
    if (standing === undefined || standing === 'removed') throw new AteError('NO_PERSON', { key: fingerprint })
    draft.remove.add(key)
    return this.#renew(draft)
  }

  /** The next key, although nobody leaves. */
  renew(name: string): Removal {
    const draft = this.#personDraft(name)
    if (!draft.isOwner) throw new AteError('NOT_OWNER', { person: fingerprintOf(fromBinaryText(name)) })
    return this.#renew(draft)
  }

  /** Makes the events, when all changes are known and before roles and epochs are wrapped to their keys. */
  finish(): void {
    for (const draft of this.#persons.values()) this.#makeEvent(draft)
  }

  #personDraft(name: string): PersonDraft {
    const known = this.#persons.get(name)
    if (known) return known
    const { replica, keyName } = this.#core
    const stored = replica.trust.persons.get(name)
    const standing = stored ? stored.keys.get(keyName)?.standing : name === keyName ? 'owner' : undefined
    const draft: PersonDraft = {
      name,
      stored,
      newest: newestKey(stored),
      event: this.#draft.add(OP.person, ROOT_ENTITY),
      isOwner: standing === 'owner',
      add: new Map(),
      remove: new Set(),
      renew: false,
    }
    this.#persons.set(name, draft)
    this.#roles.leads(draft.event)
    return draft
  }

  /** The fold verifies it when the transaction is staged. */
  #consentOf(name: string, member: Consent | Identity | string): Pick<PersonKeyFields, 'keys' | 'consent'> {
    if (!isIdentity(member)) return parseConsent(member)
    const { crypto, replica } = this.#core
    return { keys: member.keys, consent: signConsent(crypto, member, replica.chainId, fromBinaryText(name)) }
  }

  #renew(draft: PersonDraft): Removal {
    if (draft.renew) return this.#roles.followPerson(draft.name)
    draft.renew = true
    this.#draft.sizeBytes += KEY_BYTES + 1400 * (draft.stored?.keys.size ?? 1)
    return this.#roles.followPerson(draft.name)
  }

  /** The keys that the person has now; one that has taken none has its own. */
  #keysOf({ name, stored }: PersonDraft): ReadonlyMap<string, PersonKey> {
    if (stored) return stored.keys
    const keys = this.#core.replica.trust.identities.get(name)
    return new Map(keys ? [[name, { keys, standing: 'owner' }]] : [])
  }

  #makeEvent(draft: PersonDraft): void {
    const { name, stored, newest, add, remove } = draft
    const { persons } = this.#core.replica.trust
    if (persons.get(name) !== stored || newestKey(stored) !== newest)
      throw new AteError('CONFLICT', { person: fingerprintOf(fromBinaryText(name)) })
    const fields: PersonFields = {
      person: fromBinaryText(name),
      ...(add.size > 0 ? { add: [...add.values()] } : {}),
      ...(remove.size > 0 ? { remove: [...remove].map(fromBinaryText) } : {}),
      ...(draft.isOwner || add.size > 0 ? { key: this.#makeKey(draft) } : {}),
    }
    if (!fields.key) this.#borrowKey(draft)
    this.#draft.setRare(draft.event, { person: fields })
  }

  #makeKey(draft: PersonDraft): NonNullable<PersonFields['key']> {
    const { name, stored, newest, add } = draft
    const { keys } = this.#core
    if (!draft.renew && stored && newest) {
      const wraps = [...add].map(([key, one]) => keys.persons.wrapFor(stored, key, one.keys))
      return { generation: newest.number, publicKey: newest.publicKey, wraps }
    }
    const made = keys.persons.make(name, (newest?.number ?? -1) + 1, this.#living(draft), stored)
    this.#roles.pendingPersons.set(name, made)
    const { number: generation, publicKey, wraps, link } = made
    return { generation, publicKey, wraps: [...wraps.values()], ...(link ? { link } : {}) }
  }

  /** Public keys of those who are left and of those who come. */
  #living(draft: PersonDraft): Map<string, Uint8Array> {
    const living = new Map<string, Uint8Array>()
    for (const [key, { keys, standing }] of this.#keysOf(draft))
      if (standing !== 'removed' && !draft.remove.has(key)) living.set(key, keys)
    for (const [key, { keys }] of draft.add) living.set(key, keys)
    return living
  }

  /** What the fold makes of a revocation: see chain/fold-persons.ts. */
  #borrowKey(draft: PersonDraft): void {
    const owner = [...this.#keysOf(draft)].find(([key, { standing }]) => standing === 'owner' && !draft.remove.has(key))
    const number = (draft.newest?.number ?? -1) + 1
    if (owner)
      this.#roles.pendingPersons.set(draft.name, {
        number,
        publicKey: kemKeyOf(owner[1].keys),
        wraps: new Map(),
      })
    else this.#roles.pendingGone.add(draft.name)
  }
}
