/**
 * Events that change a person: which keys act for it, and the key that its wraps are made for.
 *
 * An owner adds and removes keys, and brings the next generation of the person's key with each removal. Who manages the
 * root revokes: he only removes, and brings no key, since its secret would be his. Then the person's key is that of its
 * first owner until an owner makes the next; without an owner the name names nobody.
 */
import { equalBytes, fromBinaryText, toBinaryText } from '../base/bytes.ts'
import { fingerprintOf } from '../base/ids.ts'
import { PERSON_KEYS_MAX } from '../base/limits.ts'
import { isConsent } from '../event/consent.ts'
import { PERSONS_LEVEL } from '../event/format.ts'
import type { PersonFields, PersonKeyFields } from '../event/rare-fields.ts'
import type { TransactionEvent } from '../event/transaction-event.ts'
import { fingerprintOfKeys, kemKeyOf, signingKeyOf } from '../trust/identity-keys.ts'
import { firstOwner, isBorrowed, livingKeys, newestKey, type Person, type PersonKey } from '../trust/person.ts'
import { mayManage, type RoleGeneration } from '../trust/policy.ts'
import type { Certificate, TrustState } from '../trust/trust-state.ts'
import type { Journal } from '../view/journal.ts'
import type { FoldTarget } from './fold.ts'
import { checkRootManaged } from './fold-trust.ts'
import type { Judge } from './judge.ts'
import { type Refusal, refuse } from './verdict.ts'

type KeyFields = NonNullable<PersonFields['key']>

export function applyPerson(
  target: FoldTarget,
  journal: Journal,
  event: TransactionEvent,
  judge: Judge,
): Refusal | undefined {
  const { trust, view } = target
  if (trust.level < PERSONS_LEVEL) return refuse('LEVEL_TOO_LOW', { level: trust.level, needs: PERSONS_LEVEL })
  const fields = event.rare?.person
  const name = fields && toBinaryText(fields.person)
  const keys = name && trust.identities.get(name)
  if (!fields || !name || !keys) return refuse('NO_PERSON', fields ? { person: fingerprintOf(fields.person) } : {})
  const isOwner = judge.identity === name && standingOf(trust, name, judge.key) === 'owner'
  // One's own device is no administrator of its owner, whatever the person manages.
  const isManager = mayManage(view, 0, judge.identity) && (isOwner || judge.identity !== name)
  if (fields.key ? !isOwner : !isManager) return refuseStranger(judge, name, isOwner)
  const person = obtainPerson(trust, journal, name, keys)
  return (
    removeKeys(trust, journal, person, fields.remove ?? []) ??
    (fields.key
      ? changeAsOwner(trust, journal, { person, fields, key: fields.key, judge })
      : revoke(trust, journal, person, fields)) ??
    checkRootManaged(target)
  )
}

function refuseStranger({ identity }: Judge, name: string, isOwner: boolean): Refusal {
  return identity === name && !isOwner
    ? refuse('NOT_OWNER', { person: fingerprintOf(fromBinaryText(name)) })
    : refuse('NOT_AUTHORIZED', { needs: 'to own the person, or manage of the root to remove a key' })
}

/** An identity that has taken no keys owns itself. */
function standingOf(trust: TrustState, name: string, key: string): PersonKey['standing'] | undefined {
  const person = trust.persons.get(name)
  return person ? person.keys.get(key)?.standing : key === name ? 'owner' : undefined
}

function obtainPerson(trust: TrustState, journal: Journal, name: string, keys: Uint8Array): Person {
  const stored = trust.persons.get(name)
  if (stored) return stored
  const person: Person = {
    name,
    keys: new Map([[name, { keys, standing: 'owner' }]]),
    generations: [],
    rotatedAt: 0,
  }
  trust.persons.set(name, person)
  trust.personOfKey.set(name, person)
  journal.undoWith(() => {
    trust.persons.delete(name)
    trust.personOfKey.delete(name)
  })
  return person
}

function removeKeys(
  trust: TrustState,
  journal: Journal,
  person: Person,
  remove: readonly Uint8Array[],
): Refusal | undefined {
  for (const bytes of remove) {
    const name = toBinaryText(bytes)
    const key = person.keys.get(name)
    if (!key || key.standing === 'removed') return refuse('NO_PERSON', { key: fingerprintOf(bytes) })
    person.keys.set(name, { ...key, standing: 'removed' })
    journal.undoWith(() => person.keys.set(name, key))
    endCertificates(trust, journal, name)
  }
  return undefined
}

/** One that is on its way to the chain while this is staged ends when it comes: see Replica.addCertificate. */
function endCertificates(trust: TrustState, journal: Journal, key: string): void {
  const before = new Map<Certificate, boolean>()
  for (const certificate of trust.certificates.values()) {
    if (certificate.identity !== key) continue
    before.set(certificate, certificate.ended)
    certificate.ended = true
  }
  journal.undoWith(() => {
    for (const certificate of trust.certificates.values())
      if (certificate.identity === key) certificate.ended = certificate.succeeded ?? before.get(certificate) ?? false
  })
}

function changeAsOwner(
  trust: TrustState,
  journal: Journal,
  change: {
    readonly person: Person
    readonly fields: PersonFields
    readonly key: KeyFields
    readonly judge: Judge
  },
): Refusal | undefined {
  const { person, fields, key, judge } = change
  const newest = newestKey(person)
  const mustRenew = (fields.remove?.length ?? 0) > 0 || !newest || isBorrowed(newest)
  const expected = (newest?.number ?? -1) + (mustRenew ? 1 : 0)
  if (key.generation !== expected && key.generation !== (newest?.number ?? -1) + 1)
    return refuse('EPOCH_ORDER', { generation: key.generation, expected })
  const added: string[] = []
  for (const one of fields.add ?? []) {
    const refusal = addKey(trust, journal, person, one, judge)
    if (typeof refusal !== 'string') return refusal
    added.push(refusal)
  }
  const living = livingKeys(person)
  if (living.length > PERSON_KEYS_MAX) return refuse('EPOCH_SHAPE', { keys: living.length, max: PERSON_KEYS_MAX })
  if (!firstOwner(person)) return refuse('LAST_OWNER', { person: fingerprintOf(fields.person) })
  return key.generation === newest?.number
    ? shareGeneration(journal, newest, key, added)
    : renew(trust, journal, person, key, living)
}

/** A key comes with this event and with its own consent: it never had another name on this chain. */
function addKey(
  trust: TrustState,
  journal: Journal,
  person: Person,
  { keys, standing, consent }: PersonKeyFields,
  { crypto, chainId }: Judge,
): string | Refusal {
  const key = fingerprintOfKeys(crypto, keys)
  const name = toBinaryText(key)
  if (trust.identities.has(name) || trust.writers.has(name) || trust.personOfKey.has(name))
    return refuse('KEY_IN_USE', { key: fingerprintOf(key) })
  const to = { chain: chainId, person: fromBinaryText(person.name), key }
  if (!isConsent(crypto, to, { signingKey: signingKeyOf(keys), consent }))
    return refuse('BAD_CONSENT', { key: fingerprintOf(key) })
  person.keys.set(name, { keys: keys.slice(), standing })
  trust.personOfKey.set(name, person)
  journal.undoWith(() => {
    person.keys.delete(name)
    trust.personOfKey.delete(name)
  })
  return name
}

/** The present generation for those who are added. */
function shareGeneration(
  journal: Journal,
  generation: RoleGeneration,
  key: KeyFields,
  added: readonly string[],
): Refusal | undefined {
  if (!equalBytes(key.publicKey, generation.publicKey) || key.link !== undefined)
    return refuse('EPOCH_SHAPE', { what: 'the key of a generation does not change' })
  if (!wrapsAreFor(key, added)) return refuse('EPOCH_SHAPE', { what: 'wraps and keys differ' })
  for (const wrap of key.wraps) generation.wraps.set(toBinaryText(wrap.to), wrap)
  journal.undoWith(() => {
    for (const name of added) generation.wraps.delete(name)
  })
  return undefined
}

function renew(
  trust: TrustState,
  journal: Journal,
  person: Person,
  { generation: number, publicKey, wraps, link }: KeyFields,
  living: readonly string[],
): Refusal | undefined {
  if (!wrapsAreFor({ wraps }, living)) return refuse('EPOCH_SHAPE', { what: 'wraps and keys differ' })
  const byName = new Map(wraps.map((wrap) => [toBinaryText(wrap.to), wrap] as const))
  pushGeneration(trust, journal, person, { number, publicKey, wraps: byName, ...(link ? { link } : {}) })
  markRoles(trust, journal, person.name, 'stays')
  return undefined
}

function wrapsAreFor({ wraps }: Pick<KeyFields, 'wraps'>, names: readonly string[]): boolean {
  const given = new Set(wraps.map(({ to }) => toBinaryText(to)))
  return (
    wraps.length === names.length &&
    names.every((name) => given.has(name)) &&
    wraps.every(({ generation }) => generation === undefined)
  )
}

/** By who manages the root, of a key that its holder has lost: nothing but the removal, and no secret of his. */
function revoke(
  trust: TrustState,
  journal: Journal,
  person: Person,
  { add, remove }: PersonFields,
): Refusal | undefined {
  if (add !== undefined) return refuse('EPOCH_SHAPE', { what: 'a key is added by an owner, with a key of the person' })
  if (!remove?.length) return refuse('EPOCH_SHAPE', { what: 'nothing is removed' })
  const owner = firstOwner(person)
  if (!owner) return endPerson(trust, journal, person)
  const number = (newestKey(person)?.number ?? -1) + 1
  pushGeneration(trust, journal, person, { number, publicKey: kemKeyOf(owner.keys), wraps: new Map() })
  markRoles(trust, journal, person.name, 'stays')
  return undefined
}

/** Devices act for an owner: without one they act for nobody. */
function endPerson(trust: TrustState, journal: Journal, person: Person): Refusal | undefined {
  const refusal = removeKeys(trust, journal, person, livingKeys(person).map(fromBinaryText))
  rotated(trust, journal, person)
  markRoles(trust, journal, person.name, 'leaves')
  return refusal
}

function pushGeneration(trust: TrustState, journal: Journal, person: Person, generation: RoleGeneration): void {
  person.generations.push(generation)
  journal.undoWith(() => person.generations.pop())
  rotated(trust, journal, person)
}

function rotated(trust: TrustState, journal: Journal, person: Person): void {
  const { rotatedAt } = person
  person.rotatedAt = ++trust.tick
  journal.undoWith(() => {
    person.rotatedAt = rotatedAt
    trust.tick--
  })
}

/** Roles hand their secret to the key that the person had: they need a new one before anything is sealed for them. */
function markRoles(trust: TrustState, journal: Journal, name: string, does: 'stays' | 'leaves'): void {
  for (const role of trust.roles.values()) {
    if (!role.members.has(name)) continue
    const { stale } = role
    const members = [...role.members]
    role.stale = true
    if (does === 'leaves') role.members.delete(name)
    journal.undoWith(() => {
      role.stale = stale
      role.members.clear()
      for (const member of members) role.members.add(member)
    })
  }
}
