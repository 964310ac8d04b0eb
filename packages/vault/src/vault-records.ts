/**
 * What a vault stores, as entities of its chain:
 *
 *   vault    (everyone reads)               its name; below it its roles, zones, and the desk
 *    |- zone   (listers read)               a pattern, and what roles may do there
 *    |   |- names   (writers write)         one record for each secret, named by its path; and claims of first versions
 *    |   `- values  (readers read)          one for each version: sealed, with half of its key; the other half is in the ring
 *    `- desk   (members write)              wrapped values, and records of reads
 *
 * Every record may have been written by another member: its shape is checked when it is read.
 */
import { defineType, type EntityType } from '@ate/core'
import { bytes, list, record, schemaOf, text, whole } from './shape.ts'

/** What a role may do at a path. */
export type Can = 'list' | 'read' | 'write' | 'destroy' | 'grant'
export const CANS: readonly Can[] = ['list', 'read', 'write', 'destroy', 'grant']

/** The role that may do everything; made with the vault, its maker the first member. */
export const OWNERS = 'owners'

export interface VaultRecord {
  readonly name: string
  /** Roles that were made here, owners left out. */
  readonly roles: readonly string[]
  /** When memberships end: Unix ms, by role and fingerprint. */
  readonly until: readonly { readonly role: string; readonly member: string; readonly at: number }[]
  /** What owners said of each zone when they made it. */
  readonly zones: readonly VouchedZone[]
}

export interface VouchedZone {
  readonly zone: string
  /** To its pattern: see vouched.ts. */
  readonly commitment: string
}

export interface Grant {
  readonly role: string
  readonly can: readonly Can[]
  /** Unix ms. */
  readonly until?: number
}

export interface ZoneRecord {
  readonly pattern: string
  readonly grants: readonly Grant[]
  /** Ids of the two nodes below it. */
  readonly names: string
  readonly values: string
  /** Of the commitment to the pattern. */
  readonly salt: string
}

export type Kind = 'secret' | 'transit' | 'lease'

export interface VersionRecord {
  readonly n: number
  /** Id of its value; when that entity is gone, the version is destroyed. */
  readonly value: string
  /** Unix ms, and the author's fingerprint: what the author said. What is signed, the audit tells. */
  readonly at: number
  readonly by: string
  readonly deleted?: number
  readonly expires?: number
  /** Of a transit key: the public half. */
  readonly open?: string
}

export interface SecretRecord {
  readonly path: string
  readonly kind: Kind
  /** Oldest first. */
  readonly versions: readonly VersionRecord[]
  /** Number of the newest version there ever was. */
  readonly latest: number
  readonly meta?: Readonly<Record<string, string>>
  /** Of a transit key: what is older is not used any more. */
  readonly oldest?: number
  /** Somebody is rotating it, until this time (Unix ms). */
  readonly claim?: number
}

/** Somebody makes the first version of a secret, which has no record yet, until this time (Unix ms). */
export interface ClaimRecord {
  readonly until: number
}

/** A value: sealed under a key of two halves, of which `half` is here. */
export interface ValueRecord {
  readonly half: Uint8Array
  readonly commitment: Uint8Array
  readonly box: Uint8Array
}

export interface OpenRecord {
  readonly kem: Uint8Array
  readonly classical: Uint8Array
  readonly lattice: Uint8Array
}

export interface WrapRecord {
  readonly commitment: Uint8Array
  readonly box: Uint8Array
  /** Unix ms. */
  readonly expires: number
}

export interface NoteRecord {
  readonly act: 'read' | 'unwrap refused'
  readonly path: string
  readonly version: number
}

export interface EmptyRecord {
  readonly [name: string]: never
}

function can(value: unknown): Can {
  if (!CANS.includes(value as Can)) throw new Error('is not one of list, read, write, destroy, grant')
  return value as Can
}

function kind(value: unknown): Kind {
  if (value !== 'secret' && value !== 'transit' && value !== 'lease') throw new Error('is no kind')
  return value
}

const grant = record<Grant>({ role: text(), can: list(can, 8), until: whole() }, ['until'])

const version = record<VersionRecord>(
  { n: whole(), value: text(), at: whole(), by: text(), deleted: whole(), expires: whole(), open: text() },
  ['deleted', 'expires', 'open'],
)

const META_TEXT = text(4096)

function metadata(value: unknown): Readonly<Record<string, string>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('is no object')
  const entries = Object.entries(value)
  if (entries.length > 64) throw new Error('has more than 64 entries')
  for (const [, item] of entries) META_TEXT(item)
  // A copy: what is written is frozen, and the caller's object is his.
  return Object.fromEntries(entries) as Readonly<Record<string, string>>
}

export const VaultType: EntityType<VaultRecord> = defineType(
  'vault',
  schemaOf(
    record<VaultRecord>({
      name: text(),
      roles: list(text(), 256),
      until: list(record({ role: text(), member: text(), at: whole() }), 4096),
      zones: list(record<VouchedZone>({ zone: text(), commitment: text() }), 4096),
    }),
  ),
)

export const ZoneType: EntityType<ZoneRecord> = defineType(
  'vault.zone',
  schemaOf(
    record<ZoneRecord>({ pattern: text(), grants: list(grant, 256), names: text(), values: text(), salt: text() }),
  ),
)

export const SecretType: EntityType<SecretRecord> = defineType(
  'vault.secret',
  schemaOf(
    record<SecretRecord>(
      {
        path: text(),
        kind,
        versions: list(version, 1024),
        latest: whole(),
        meta: metadata,
        oldest: whole(),
        claim: whole(),
      },
      ['meta', 'oldest', 'claim'],
    ),
  ),
  // Who writes secrets reads their records again with the next write.
  { written: 'frozen' },
)

export const ClaimType: EntityType<ClaimRecord> = defineType(
  'vault.claim',
  schemaOf(record<ClaimRecord>({ until: whole() })),
)

export const ValueType: EntityType<ValueRecord> = defineType(
  'vault.value',
  schemaOf(record<ValueRecord>({ half: bytes(32), commitment: bytes(32), box: bytes() })),
)

export const OpenType: EntityType<OpenRecord> = defineType(
  'vault.public',
  schemaOf(record<OpenRecord>({ kem: bytes(1216), classical: bytes(32), lattice: bytes(1952) })),
)

export const WrapType: EntityType<WrapRecord> = defineType(
  'vault.wrap',
  schemaOf(record<WrapRecord>({ commitment: bytes(32), box: bytes(), expires: whole() })),
)

export const NoteType: EntityType<NoteRecord> = defineType(
  'vault.note',
  schemaOf(
    record<NoteRecord>({
      act: (value) => {
        if (value !== 'read' && value !== 'unwrap refused') throw new Error('is no act')
        return value
      },
      path: text(),
      version: whole(),
    }),
  ),
)

export const NamesType: EntityType<EmptyRecord> = defineType('vault.names')
export const ValuesType: EntityType<EmptyRecord> = defineType('vault.values')
export const DeskType: EntityType<EmptyRecord> = defineType('vault.desk')

/** Collections of the nodes above. */
export const IN = {
  vaults: 'vault',
  zones: 'zones',
  names: 'names',
  values: 'values',
  secrets: 'secrets',
  claims: 'claims',
  open: 'public',
  desk: 'desk',
  wraps: 'wraps',
  notes: 'notes',
} as const
