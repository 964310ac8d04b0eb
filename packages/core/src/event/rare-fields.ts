/**
 * What few events carry: policies, epochs, roles, counters, retention, settings of the root. Stored as one canonical
 * CBOR map an event; decoded here into typed fields, each checked for type and size, unknown names refused.
 *
 * What is named by public keys is introduced in `identities`; everything else names identities by fingerprint
 * (32 bytes) and roles by entity id (16 bytes).
 */
import { toHex } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import {
  COUNTER_BITS_MAX,
  COUNTERS_MAX,
  EVENT_RARE_BYTES_MAX,
  NAME_BYTES_MAX,
  PERSON_KEYS_MAX,
  POLICY_ENTRIES_MAX,
  ROLE_MEMBERS_MAX,
  WITNESSES_MAX,
} from '../base/limits.ts'
import { decodeCanonical, encodeCanonicalInto } from '../codec/cbor.ts'
import { ByteWriter } from '../codec/writer.ts'
import { isWitnessName } from './cosignature.ts'

/** One entry of a policy list: a role's entity id (16 bytes) or an identity's fingerprint (32 bytes). */
export type PolicyEntryBytes = Uint8Array
export type PolicyListFields = 'everyone' | 'nobody' | 'inherit' | readonly PolicyEntryBytes[]

export interface PolicyFields {
  readonly read?: PolicyListFields
  readonly write?: PolicyListFields
  readonly manage?: PolicyListFields
  /** An ancestor's manage does not reach below. */
  readonly closed?: boolean
  /** Who may give what they create here policies of their own. */
  readonly allow?: readonly PolicyEntryBytes[]
  /** Of a node with readers of its own: whether who comes later reads what was sealed before. */
  readonly history?: 'all' | 'live'
}

export interface WrapFields {
  /** A role (16 bytes) or an identity (32 bytes). */
  readonly to: Uint8Array
  /** Of a role or a person: the generation of its key. */
  readonly generation?: number
  readonly wrapped: Uint8Array
}

export interface EpochFields {
  readonly number: number
  /** 32 bytes over the epoch's bundle. */
  readonly commitment: Uint8Array
  readonly wraps: readonly WrapFields[]
  /** Of `everyone`: the bundle itself, in clear. */
  readonly published?: Uint8Array
  /** X-Wing public key for writers that do not read. */
  readonly writeKey?: Uint8Array
  /** The older epoch's bundle under this one's key: who reads now reads all of the history. */
  readonly link?: Uint8Array
}

export interface CounterFields {
  readonly name: string
  readonly value: bigint
  readonly floor?: bigint
  readonly ceiling?: bigint
  /** The entity id of the unit: its changes add up to zero in every transaction. */
  readonly unit?: Uint8Array
  readonly up?: PolicyListFields
  readonly down?: PolicyListFields
}

export interface RoleFields {
  readonly generation: number
  /** X-Wing public key of this generation. */
  readonly publicKey: Uint8Array
  readonly name?: string
  readonly add?: readonly Uint8Array[]
  readonly remove?: readonly Uint8Array[]
  /** The role's secret to members: those added, or all when the generation is new. */
  readonly wraps: readonly WrapFields[]
}

/** A key that a person takes. */
export interface PersonKeyFields {
  /** Public keys, 3200 bytes. */
  readonly keys: Uint8Array
  readonly standing: 'owner' | 'device'
  /** The key's own signature over the chain and the person: nobody is made part of a person unasked. */
  readonly consent: Uint8Array
}

export interface PersonFields {
  /** The fingerprint that policies name. */
  readonly person: Uint8Array
  readonly add?: readonly PersonKeyFields[]
  /** Fingerprints of keys. */
  readonly remove?: readonly Uint8Array[]
  /** By an owner: the generation after the event, its X-Wing public key, and its secret to those added, or to all. */
  readonly key?: {
    readonly generation: number
    readonly publicKey: Uint8Array
    readonly wraps: readonly WrapFields[]
    /** The secret of the generation before, under that of this one. */
    readonly link?: Uint8Array
  }
}

export interface RootFields {
  readonly level?: number
  readonly sequencers?: 'writers' | readonly Uint8Array[]
  readonly checkpointKeys?: readonly Uint8Array[]
}

/** Whose clocks count for what is locked below. */
export interface WitnessFields {
  readonly keys: readonly { readonly name: string; readonly key: Uint8Array }[]
  readonly quorum: number
}

export interface RareFields {
  readonly identities?: readonly Uint8Array[]
  readonly policy?: PolicyFields
  readonly epoch?: EpochFields
  readonly role?: RoleFields
  readonly person?: PersonFields
  readonly counters?: readonly CounterFields[]
  /** Of an add: the counter's name and the change. */
  readonly counter?: string
  readonly amount?: bigint
  readonly expires?: number
  readonly ttl?: number
  readonly retain?: number
  readonly holds?: readonly string[]
  readonly lock?: 'governance' | 'compliance'
  readonly witnesses?: WitnessFields
  /** What the author says of the value in clear, for proofs; the fold does not look at it. */
  readonly digest?: Uint8Array
  /** Of a deletion: before the time of a lock that lets managers do so. */
  readonly bypass?: 'governance'
  readonly root?: RootFields
  readonly certificate?: Uint8Array
}

export function encodeRare(fields: RareFields): Uint8Array {
  written.reset()
  const size = encodeCanonicalInto(written, fields)
  if (size > EVENT_RARE_BYTES_MAX) throw new AteError('TX_TOO_LARGE', { bytes: size, max: EVENT_RARE_BYTES_MAX })
  return written.copy()
}

/** Fields are plain data, so nothing of another call runs between filling and copying it. */
const written = new ByteWriter(256)

type Fields = Readonly<Record<string, unknown>>
type Check = (value: unknown) => boolean

const LIMIT = 1n << BigInt(COUNTER_BITS_MAX)
const utf8Size = (text: string): number => new TextEncoder().encode(text).length

const isText: Check = (value) => typeof value === 'string' && utf8Size(value) <= NAME_BYTES_MAX
// Minus zero would be a second encoding of zero.
const isCount: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0)
const isAmount: Check = (value) => typeof value === 'bigint' && value < LIMIT && value > -LIMIT
const isTrue: Check = (value) => value === true
const bytesOf =
  (...sizes: readonly number[]): Check =>
  (value) =>
    value instanceof Uint8Array && sizes.includes(value.length)
const anyBytes =
  (max: number): Check =>
  (value) =>
    value instanceof Uint8Array && value.length <= max
const listOf =
  (item: Check, max: number): Check =>
  (value) =>
    Array.isArray(value) && value.length <= max && value.every(item)
const oneOf =
  (...texts: readonly string[]): Check =>
  (value) =>
    texts.includes(value as string)
const either =
  (...checks: readonly Check[]): Check =>
  (value) =>
    checks.some((check) => check(value))

/** A list, bytes or a date without properties would pass for a map without fields. */
function isMap(value: unknown): value is Fields {
  if (typeof value !== 'object' || value === null) return false
  return !Array.isArray(value) && !(value instanceof Uint8Array) && !(value instanceof Date)
}

/** Every field of `value` is known and passes; those in `required` are there. */
function shape(fields: Readonly<Record<string, Check>>, required: readonly string[] = []): Check {
  return (value) =>
    isMap(value) &&
    Object.keys(value).every((name) => Object.hasOwn(fields, name) && fields[name]!(value[name])) &&
    required.every((name) => Object.hasOwn(value, name))
}

const hasWitnessShape = shape(
  { keys: listOf(shape({ name: isText, key: bytesOf(32) }, ['name', 'key']), WITNESSES_MAX), quorum: isCount },
  ['keys', 'quorum'],
)

/** Each key once: one witness twice would count twice. */
const isWitnesses: Check = (value) => {
  if (!hasWitnessShape(value)) return false
  const { keys, quorum } = value as WitnessFields
  const fits = quorum >= 1 && quorum <= keys.length && keys.every(({ name }) => isWitnessName(name))
  return fits && new Set(keys.map(({ key }) => toHex(key))).size === keys.length
}

const isEntry = bytesOf(16, 32)
const isPolicyList = either(oneOf('everyone', 'nobody', 'inherit'), listOf(isEntry, POLICY_ENTRIES_MAX))
const isWrap = shape({ to: isEntry, generation: isCount, wrapped: anyBytes(2048) }, ['to', 'wrapped'])

const isRare = shape({
  identities: listOf(bytesOf(3200), ROLE_MEMBERS_MAX),
  policy: shape({
    read: isPolicyList,
    write: isPolicyList,
    manage: isPolicyList,
    closed: isTrue,
    allow: listOf(isEntry, POLICY_ENTRIES_MAX),
    history: oneOf('all', 'live'),
  }),
  epoch: shape(
    {
      number: isCount,
      commitment: bytesOf(32),
      wraps: listOf(isWrap, POLICY_ENTRIES_MAX * 2),
      published: bytesOf(64),
      writeKey: bytesOf(1216),
      link: anyBytes(256),
    },
    ['number', 'commitment', 'wraps'],
  ),
  role: shape(
    {
      generation: isCount,
      publicKey: bytesOf(1216),
      name: isText,
      add: listOf(bytesOf(32), ROLE_MEMBERS_MAX),
      remove: listOf(bytesOf(32), ROLE_MEMBERS_MAX),
      wraps: listOf(isWrap, ROLE_MEMBERS_MAX),
    },
    ['generation', 'publicKey', 'wraps'],
  ),
  person: shape(
    {
      person: bytesOf(32),
      add: listOf(
        shape({ keys: bytesOf(3200), standing: oneOf('owner', 'device'), consent: bytesOf(3373) }, [
          'keys',
          'standing',
          'consent',
        ]),
        PERSON_KEYS_MAX,
      ),
      remove: listOf(bytesOf(32), PERSON_KEYS_MAX),
      key: shape(
        {
          generation: isCount,
          publicKey: bytesOf(1216),
          wraps: listOf(isWrap, PERSON_KEYS_MAX),
          link: anyBytes(256),
        },
        ['generation', 'publicKey', 'wraps'],
      ),
    },
    ['person'],
  ),
  counters: listOf(
    shape(
      {
        name: isText,
        value: isAmount,
        floor: isAmount,
        ceiling: isAmount,
        unit: bytesOf(16),
        up: isPolicyList,
        down: isPolicyList,
      },
      ['name', 'value'],
    ),
    COUNTERS_MAX,
  ),
  counter: isText,
  amount: isAmount,
  expires: isCount,
  ttl: isCount,
  retain: isCount,
  holds: listOf(isText, COUNTERS_MAX),
  lock: oneOf('governance', 'compliance'),
  witnesses: isWitnesses,
  digest: bytesOf(32),
  bypass: oneOf('governance'),
  root: shape({
    level: isCount,
    sequencers: either(oneOf('writers'), listOf(bytesOf(32), POLICY_ENTRIES_MAX)),
    checkpointKeys: listOf(bytesOf(32), COUNTERS_MAX),
  }),
  certificate: bytesOf(32),
})

/** @throws AteError BAD_RECORD | BAD_CBOR */
export function decodeRare(bytes: Uint8Array): RareFields {
  const value = decodeCanonical(bytes)
  if (!isRare(value)) throw new AteError('BAD_RECORD', { what: 'fields of an event' })
  return value as RareFields
}
