/** What is known of identities, roles, policies, certificates and epochs, as bytes of a snapshot. */
import { AteError } from '../base/errors.ts'
import type { CryptoProvider, Verifier } from '../crypto/provider.ts'
import { type EntityWords, entityKey, readWords, writeWords } from '../event/entity-words.ts'
import { decodeRare, type EpochFields, encodeRare, type WrapFields } from '../event/rare-fields.ts'
import type { Person, PersonKey } from '../trust/person.ts'
import type { Policy, PolicyEntry, PolicyList, Role, RoleGeneration } from '../trust/policy.ts'
import { type Certificate, type Epoch, type Recovery, TrustState, type UnattestedCommit } from '../trust/trust-state.ts'
import type { Replica } from './replica.ts'
import {
  bytes,
  type Codec,
  count,
  eachEntry,
  eachMember,
  flag,
  into,
  list,
  map,
  name,
  optional,
  Pool,
  type Section,
  set,
  sparse,
  struct,
  table,
  text,
  whole,
  word,
} from './snapshot-fields.ts'

/** Roles that policies and counters name; one that was deleted and made again is there twice. */
export function rolesOf({ trust, view }: Replica): Pool<Role> {
  const roles = new Pool<Role>()
  const addList = (entries: PolicyList | undefined): void => {
    if (typeof entries === 'object') for (const { role } of entries) if (role) roles.add(role)
  }
  for (const role of trust.roles.values()) roles.add(role)
  for (const policy of view.policies) for (const entries of listsOf(policy)) addList(entries)
  for (const { counters } of view.extras.values()) {
    for (const { up, down } of counters) {
      addList(up)
      addList(down)
    }
  }
  return roles
}

function listsOf(policy: Policy | undefined): readonly (PolicyList | undefined)[] {
  return policy ? [policy.read, policy.write, policy.manage, policy.allow] : []
}

const WORDS: Codec<EntityWords> = { write: writeWords, read: readWords }

const WRAP: Codec<WrapFields> = sparse<WrapFields>({ to: bytes, generation: optional(count), wrapped: bytes })

const GENERATION: Codec<RoleGeneration> = sparse<RoleGeneration>({
  number: count,
  publicKey: bytes,
  wraps: map(name, WRAP),
  link: optional(bytes),
})

export const ROLE: Codec<Role> = struct<Role>({
  id: WORDS,
  name: text,
  node: count,
  row: count,
  members: set(name),
  generations: list(GENERATION),
  rotatedAt: count,
  dropped: flag,
  stale: flag,
})

const PERSON: Codec<Person> = struct<Person>({
  name,
  keys: map(name, struct<PersonKey>({ keys: bytes, standing: word('owner', 'device', 'removed') })),
  generations: list(GENERATION),
  rotatedAt: count,
})

const PERSONS: Section<Map<string, Person>> = {
  write: eachEntry(name, PERSON).write,
  *read(input, links) {
    const persons = yield* eachEntry(name, PERSON).read(input, links)
    for (const [key, person] of persons) links.persons.set(key, person)
    return persons
  },
}

/** Said by the persons already: nothing is written. */
const PERSON_OF_KEY: Section<Map<string, Person>> = {
  *write() {
    yield
  },
  *read(_input, links) {
    const personOfKey = new Map<string, Person>()
    for (const person of links.persons.values()) for (const key of person.keys.keys()) personOfKey.set(key, person)
    yield
    return personOfKey
  },
}

const ENTRY: Codec<PolicyEntry> = {
  write(out, { role, identity }, links) {
    out.u8(role ? 0 : 1)
    if (role) out.varint(links.roles.find(role)!)
    else name.write(out, identity, links)
  },
  read: (input, links) =>
    input.u8() === 0 ? { role: links.roles.at(input.varint()) } : { identity: name.read(input, links) },
}

const ENTRIES: Codec<readonly PolicyEntry[]> = list(ENTRY)
const WHOLE_LISTS = ['everyone', 'nobody'] as const

export const POLICY_LIST: Codec<PolicyList> = {
  write(out, entries, links) {
    out.u8(typeof entries === 'string' ? WHOLE_LISTS.indexOf(entries) : 2)
    if (typeof entries !== 'string') ENTRIES.write(out, entries, links)
  },
  read: (input, links) => WHOLE_LISTS[input.u8()] ?? ENTRIES.read(input, links),
}

export const POLICY: Codec<Policy> = struct<Policy>({
  read: optional(POLICY_LIST),
  write: optional(POLICY_LIST),
  manage: optional(POLICY_LIST),
  closed: flag,
  allow: ENTRIES,
  history: word('all', 'live'),
})

const EPOCH_FIELDS: Codec<EpochFields> = {
  write: (out, epoch) => out.sized(encodeRare({ epoch })),
  read(input) {
    const { epoch } = decodeRare(input.sized(input.left))
    if (!epoch) throw new AteError('BAD_SNAPSHOT', { what: 'an epoch without its fields' })
    return epoch
  },
}

/** Keys of identities that the chain knows stand there once. */
const KEYS: Codec<Uint8Array> = {
  write(out, keys, links) {
    const number = links.keys.find(keys)
    out.varint(number === undefined ? 0 : number + 1)
    if (number === undefined) out.sized(keys)
  },
  read(input, links) {
    const number = input.varint()
    return number === 0 ? bytes.read(input, links) : links.keys.at(number - 1)
  },
}

/** Without `succeeded`: what is loaded has nothing staged on it that could be taken back. */
type KeptCertificate = Omit<Certificate, 'verifier' | 'succeeded'>

const CERTIFICATE_FIELDS: Codec<KeptCertificate> = struct<KeptCertificate>({
  id: bytes,
  identityBytes: bytes,
  identity: name,
  keys: KEYS,
  session: bytes,
  until: count,
  mark: count,
  ended: flag,
  unattested: list(struct<UnattestedCommit>({ writerSeq: count, seq: count, hash: bytes })),
})

const CERTIFICATE: Codec<Certificate> = {
  write: CERTIFICATE_FIELDS.write,
  read(input, links) {
    const fields = CERTIFICATE_FIELDS.read(input, links)
    return { ...fields, verifier: lazyVerifier(links.crypto, fields.session) }
  },
}

/** The check of a public key takes its time, and most certificates have ended. */
function lazyVerifier(crypto: CryptoProvider, publicKey: Uint8Array): Verifier {
  let made: Verifier | undefined
  const verifier = (): Verifier => {
    made ??= crypto.ed25519Verifier(publicKey)
    return made
  }
  return {
    verify: (message, signature) => verifier().verify(message, signature),
    verifyLater: (message, signature) => verifier().verifyLater?.(message, signature),
  }
}

const IDENTITIES: Section<Map<string, Uint8Array>> = {
  write: eachEntry(name, bytes).write,
  *read(input, links) {
    const identities = yield* eachEntry(name, bytes).read(input, links)
    for (const keys of identities.values()) links.keys.add(keys)
    return identities
  },
}

const ROLES: Section<Map<string, Role>> = {
  *write(out, roles, links) {
    out.varint(roles.size)
    for (const role of roles.values()) out.varint(links.roles.find(role)!)
    yield
  },
  *read(input, links) {
    const roles = new Map<string, Role>()
    for (let left = input.varint(); left > 0; left--) {
      const role = links.roles.at(input.varint())
      roles.set(entityKey(role.id), role)
    }
    yield
    return roles
  },
}

const SEQUENCERS: Codec<TrustState['sequencers']> = {
  write(out, sequencers, links) {
    out.u8(sequencers === 'writers' ? 0 : 1)
    if (sequencers !== 'writers') list(name).write(out, [...sequencers], links)
  },
  read: (input, links) => (input.u8() === 0 ? 'writers' : list(name).read(input, links)),
}

export const TRUST: Section<TrustState> = into(
  () => new TrustState(),
  table<TrustState>({
    identities: IDENTITIES,
    roles: ROLES,
    persons: PERSONS,
    personOfKey: PERSON_OF_KEY,
    certificates: eachEntry(name, CERTIFICATE),
    writers: eachMember(name),
    epochs: eachEntry(count, list(struct<Epoch>({ number: count, fields: EPOCH_FIELDS, tick: count }))),
    tick: whole(count),
    level: whole(count),
    sequencers: whole(SEQUENCERS),
    checkpointKeys: whole<readonly Uint8Array[]>(list(bytes)),
    recoveries: whole(list(struct<Recovery>({ seq: count, hash: bytes, from: count }))),
  }),
)
