/**
 * What an archive stores, as entities of its chain:
 *
 *   archive (everyone reads)          its name, and the roles of its readers and writers
 *    `- store (readers read)          the witnesses whose time counts
 *        |- name                      one for each name of an object, named by it
 *        |   `- object (a version)    first an upload, then the manifest; locked with it, and with it all below
 *        |       |- chunk             the bytes, by number
 *        |       |- key               half of the key of an object of a subject; the other half is in the ring
 *        |       `- hold              one for each matter, in the collection of holds that the chain's rules know
 *        |- claim                     what a put with a key has begun, or has made
 *        `- note                      what was done to an object, and why; locked for good
 *
 * Every record may have been written by another member: its shape is checked when it is read.
 */
import { defineType, type EntityType } from '@ate/core'
import { bytes, flag, record, schemaOf, text, whole } from './shape.ts'

export const IN = {
  archives: 'worm',
  store: 'store',
  names: 'names',
  versions: 'versions',
  chunks: 'chunks',
  key: 'key',
  claims: 'claims',
  notes: 'notes',
} as const

/** The role that reads; made with the archive, its maker the first member. */
export const READERS = 'readers'
/** The role that puts, extends, holds and disposes of what is over; made with the archive, its maker the first member. */
export const WRITERS = 'writers'

/** Bytes of a chunk: with what seals it, it fits into a record. */
export const CHUNK_BYTES: number = 768 * 1024
/** Bytes of a body that is stored in one transaction with its manifest. */
export const SMALL_BYTES: number = 256 * 1024
/** Chunks of one object: 48 GiB, and as many entities in memory as a transaction can delete at once. */
export const CHUNKS_MAX = 65_536

export interface ArchiveRecord {
  readonly name: string
}

export interface NameRecord {
  readonly name: string
}

export interface ObjectRecord {
  /** Before the manifest: bytes of a chunk, and of whom it is if they are sealed under a key of their own. */
  readonly upload?: { readonly chunkBytes: number; readonly subject?: string }
  /** JSON: see manifest.ts. Its hash stands in clear beside the lock. */
  readonly manifest?: string
}

export interface KeyRecord {
  readonly half: Uint8Array
}

export interface HoldRecord {
  readonly matter: string
  readonly reason?: string
  /** Chain time, Unix ms. */
  readonly at: number
}

export interface ClaimRecord {
  readonly object: string
  readonly name: string
}

/** `read`: where a server wants reads of sealed objects to be recorded. */
export type NoteAct = 'extend' | 'hold' | 'release' | 'dispose' | 'erase' | 'read'

export interface NoteRecord {
  readonly act: NoteAct
  readonly name: string
  readonly version: string
  readonly reason?: string
  readonly matter?: string
  /** Of an extension: Unix ms. */
  readonly until?: number
  readonly mode?: string
  /** Of a disposal: hash of the manifest, as it stands in clear in the record that made the object. */
  readonly leaf?: Uint8Array
  readonly sha256?: string
  readonly size?: string
  /** Of a disposal before its time, under governance. */
  readonly bypass?: boolean
}

/** Text of manifests, names and reasons: what fits into a value with room to spare. */
const TEXT_MAX: number = 128 * 1024

export const ArchiveType: EntityType<ArchiveRecord> = defineType(
  'worm.archive',
  schemaOf(record<ArchiveRecord>({ name: text() })),
)
export const StoreType: EntityType<Record<string, never>> = defineType('worm.store')
export const NameType: EntityType<NameRecord> = defineType('worm.name', schemaOf(record<NameRecord>({ name: text() })))
export const ObjectType: EntityType<ObjectRecord> = defineType(
  'worm.object',
  schemaOf(
    record<ObjectRecord>(
      {
        upload: record<NonNullable<ObjectRecord['upload']>>({ chunkBytes: whole(), subject: text() }, ['subject']),
        manifest: text(TEXT_MAX),
      },
      ['upload', 'manifest'],
    ),
  ),
  { indexes: { subject: ({ manifest, upload }) => subjectOf(manifest) ?? upload?.subject } },
)
export const ChunkType: EntityType<Uint8Array> = defineType('worm.chunk', schemaOf(bytes()))
export const KeyType: EntityType<KeyRecord> = defineType('worm.key', schemaOf(record<KeyRecord>({ half: bytes(32) })))
export const HoldType: EntityType<HoldRecord> = defineType(
  'worm.hold',
  schemaOf(record<HoldRecord>({ matter: text(), reason: text(TEXT_MAX), at: whole() }, ['reason'])),
)
export const ClaimType: EntityType<ClaimRecord> = defineType(
  'worm.claim',
  schemaOf(record<ClaimRecord>({ object: text(64), name: text() })),
)
export const NoteType: EntityType<NoteRecord> = defineType(
  'worm.note',
  schemaOf(
    record<NoteRecord>(
      {
        act: text(16) as (value: unknown) => NoteAct,
        name: text(),
        version: text(64),
        reason: text(TEXT_MAX),
        matter: text(),
        until: whole(),
        mode: text(16),
        leaf: bytes(32),
        sha256: text(64),
        size: text(32),
        bypass: flag(),
      },
      ['reason', 'matter', 'until', 'mode', 'leaf', 'sha256', 'size', 'bypass'],
    ),
  ),
)

function subjectOf(manifest: string | undefined): string | undefined {
  if (manifest === undefined) return undefined
  try {
    const { subject } = JSON.parse(manifest) as { subject?: unknown }
    return typeof subject === 'string' ? subject : undefined
  } catch {
    return undefined
  }
}
