/**
 * What the fold knows of identities, roles, certificates and epochs. Only the fold writes it, through its journal.
 */
import type { Verifier } from '../crypto/provider.ts'
import { sameEntity, wordsOf } from '../event/entity-words.ts'
import type { EpochFields, WrapFields } from '../event/rare-fields.ts'
import { newestKey, type Person } from './person.ts'
import { type PolicyEntry, type PolicyList, type Role, withoutDropped } from './policy.ts'

/** One generation of a node's read key. */
export interface Epoch {
  readonly number: number
  readonly fields: EpochFields
  /** Order of this epoch among the generations of roles: an epoch older than a new one of its readers is stale. */
  readonly tick: number
}

export interface Certificate {
  /** 32 bytes: its name in commits and attestations. */
  readonly id: Uint8Array
  /** Fingerprint of the identity that signed it, and the same with one byte a character. */
  readonly identityBytes: Uint8Array
  readonly identity: string
  /** The identity's public keys. */
  readonly keys: Uint8Array
  /** Public key of the session, and what verifies its signatures. */
  readonly session: Uint8Array
  readonly verifier: Verifier
  /** Chain time in ms up to which its commits count. */
  readonly until: number
  /** The highest writer number that was judged. */
  mark: number
  ended: boolean
  /** A successor that is on the log has ended it: it stays so, whatever is taken back that wanted the same. */
  succeeded?: true
  /** Commits that no attestation covers yet, in the order of their numbers. */
  readonly unattested: UnattestedCommit[]
}

export interface UnattestedCommit {
  readonly writerSeq: number
  readonly seq: number
  readonly hash: Uint8Array
}

/** What a record of recovery said: from seq `from` on, what stood in other copies is lost. */
export interface Recovery {
  readonly seq: number
  readonly hash: Uint8Array
  readonly from: number
}

export class TrustState {
  /** Public keys (3200 bytes) by fingerprint, one byte a character. */
  readonly identities: Map<string, Uint8Array> = new Map()
  /** By entity id, `a,b,c,d`. */
  readonly roles: Map<string, Role> = new Map()
  /** Identities that have taken more keys, or that were revoked, by the fingerprint that names them. */
  readonly persons: Map<string, Person> = new Map()
  /** The person of each key that is or was one of its keys: what `persons` says, by key. */
  readonly personOfKey: Map<string, Person> = new Map()
  /** By certificate id, one byte a character. */
  readonly certificates: Map<string, Certificate> = new Map()
  /** Identities that wrote under a certificate, those included whom nobody has named. */
  readonly writers: Set<string> = new Set()
  /** By row of the node, oldest first. */
  readonly epochs: Map<number, Epoch[]> = new Map()
  /** Counts generations of roles and epochs, to tell which came first. */
  tick = 0
  level = 1
  sequencers: 'writers' | readonly string[] = 'writers'
  /** Records of recovery, oldest first. */
  readonly recoveries: Recovery[] = []
  checkpointKeys: readonly Uint8Array[] = []

  newestEpoch(node: number): Epoch | undefined {
    const list = this.epochs.get(node)
    return list?.[list.length - 1]
  }

  /** For whom a key acts: its person, or itself; undefined once it was removed. Policies name what this gives. */
  actorOf(key: string): string | undefined {
    const person = this.personOfKey.get(key)
    if (!person) return key
    return person.keys.get(key)!.standing === 'removed' ? undefined : person.name
  }

  /** The public keys behind a fingerprint, if the chain knows them; those of removed keys too. */
  keysOf(key: string): Uint8Array | undefined {
    return this.identities.get(key) ?? this.personOfKey.get(key)?.keys.get(key)?.keys
  }

  /** The number that a wrap for this identity carries: its person's newest generation; undefined for one without. */
  generationOf(name: string): number | undefined {
    return newestKey(this.persons.get(name))?.number
  }

  /** True if the wrap is made for what is the key of an identity now. Level 1 has no persons, and does not look. */
  isCurrent(wrap: WrapFields, name: string): boolean {
    return this.level === 1 || wrap.generation === this.generationOf(name)
  }
}

/** True if a reader got a new key after the epoch was made: a member left, a person's keys changed, a role must follow. */
export function isStale({ persons }: TrustState, epoch: Epoch, readers: PolicyList): boolean {
  if (typeof readers === 'string') return false
  for (let i = 0; i < readers.length; i++) {
    const { role, identity } = readers[i]!
    if (role ? role.stale || role.rotatedAt > epoch.tick : isRekeyed(persons, identity, epoch.tick)) return true
  }
  return false
}

function isRekeyed(persons: TrustState['persons'], name: string, tick: number): boolean {
  return persons.size > 0 && (persons.get(name)?.rotatedAt ?? 0) > tick
}

/** Who `wraps` must be for: each role and person of the list at its newest generation, and each identity, once. */
export function wrapsFit(trust: TrustState, fields: EpochFields, readers: PolicyList): boolean {
  if (readers === 'everyone') return fields.published !== undefined && fields.wraps.length === 0
  if (readers === 'nobody') return false
  const entries = withoutDropped(readers, trust.persons)
  if (fields.published !== undefined || fields.wraps.length !== entries.length) return false
  // Both ways: beside a reader who is named twice there would be room for a wrap to somebody else.
  return (
    entries.every((entry) => fields.wraps.some((wrap) => isFor(trust, wrap, entry))) &&
    fields.wraps.every((wrap) => entries.some((entry) => isFor(trust, wrap, entry)))
  )
}

function isFor(trust: TrustState, wrap: WrapFields, entry: PolicyEntry): boolean {
  if (!entry.role) return sameText(wrap.to, entry.identity) && trust.isCurrent(wrap, entry.identity)
  const { id, generations, stale } = entry.role
  const { to } = wrap
  if (stale || to.length !== 16 || wrap.generation !== generations[generations.length - 1]!.number) return false
  return sameEntity(wordsOf(to), id)
}

function sameText(bytes: Uint8Array, text: string): boolean {
  if (bytes.length !== text.length) return false
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== text.charCodeAt(i)) return false
  return true
}
