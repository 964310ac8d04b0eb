/**
 * Types of entities: a name, and if wanted a schema, a version with its migrations, and indexes.
 * A body is a varint (the type's version, twice, plus one if a name follows), the name (sized), and the value in CBOR.
 * A value of an older version is migrated when it is read. The name of a named entity is sealed with its value: its id
 * shows only a blinded hash of it.
 */
import { fromUtf8, isWellFormed, utf8 } from '../base/bytes.ts'
import { AteError, isAteError } from '../base/errors.ts'
import { BODY_BYTES_MAX, NAME_BYTES_MAX } from '../base/limits.ts'
import { decodeValueFrom, encodeValueInto } from '../codec/cbor.ts'
import { ByteReader, type ByteWriter } from '../codec/writer.ts'
import type { OutputOf, StandardSchema } from './standard-schema.ts'

/** What an index may hold: equal values are found together. */
export type IndexKey = string | number | bigint | boolean | null

export interface TypeOptions<T> {
  /** Counts changes of the value's shape; 1 if left out. */
  readonly version?: number
  /** Turns a value of an older version into one of this version. */
  readonly migrate?: (value: unknown, fromVersion: number) => T
  /** Secondary indexes by name: the key of a value, or undefined to leave it out. */
  readonly indexes?: Readonly<Record<string, (value: T) => IndexKey | undefined>>
  /**
   * `frozen`: what is written is frozen, and read again as it was given, without being decoded. For values that are written often
   * and read back by who wrote them; without bytes, dates or undefined members in them.
   */
  readonly written?: 'frozen'
  /**
   * Whether what was read is a value of this type, for a type without a schema: false is BAD_VALUE. Who writes is not checked, and
   * nothing is copied, so it costs less than a schema.
   */
  readonly shape?: (value: unknown) => boolean
}

export interface EntityType<T> {
  readonly name: string
  readonly version: number
  readonly schema: StandardSchema<unknown, T> | undefined
  readonly migrate: ((value: unknown, fromVersion: number) => T) | undefined
  readonly indexes: Readonly<Record<string, (value: T) => IndexKey | undefined>>
  readonly written?: 'frozen' | undefined
  readonly shape?: ((value: unknown) => boolean) | undefined
}

/**
 * Declares a type. Values are checked by `schema` (any Standard Schema library, synchronous) when they are written and
 * when they are read.
 * @throws AteError BAD_ARGUMENT
 */
export function defineType<S extends StandardSchema>(
  name: string,
  schema: S,
  options?: TypeOptions<OutputOf<S>>,
): EntityType<OutputOf<S>>
export function defineType<T>(name: string, options?: TypeOptions<T>): EntityType<T>
export function defineType<T>(
  name: string,
  schemaOrOptions?: StandardSchema<unknown, T> | TypeOptions<T>,
  more?: TypeOptions<T>,
): EntityType<T> {
  const schema = isSchema<T>(schemaOrOptions) ? schemaOrOptions : undefined
  const options: TypeOptions<T> = schema ? (more ?? {}) : ((schemaOrOptions as TypeOptions<T> | undefined) ?? {})
  checkName(name, 'type')
  const version = options.version ?? 1
  if (!Number.isSafeInteger(version) || version < 1)
    throw new AteError('BAD_ARGUMENT', { what: 'version of a type', type: name })
  const { migrate, indexes = {}, written, shape } = options
  return Object.freeze({
    name,
    version,
    schema,
    migrate,
    indexes,
    shape,
    ...(written === undefined ? {} : { written }),
  })
}

function isSchema<T>(value: unknown): value is StandardSchema<unknown, T> {
  return (typeof value === 'object' || typeof value === 'function') && value !== null && '~standard' in value
}

/** @throws AteError BAD_ARGUMENT for an empty or over-long name, or half a surrogate pair: as bytes, such names are one. RESERVED_NAME. */
export function checkName(name: unknown, what: string): asserts name is string {
  if (
    typeof name !== 'string' ||
    name.length === 0 ||
    name.length > NAME_BYTES_MAX ||
    // A UTF-16 unit is at most three bytes of UTF-8: most names need not be encoded to be measured.
    (name.length * 3 > NAME_BYTES_MAX && utf8(name).length > NAME_BYTES_MAX) ||
    !isWellFormed(name)
  ) {
    throw new AteError('BAD_ARGUMENT', {
      what: `${what}: 1 to ${NAME_BYTES_MAX} bytes of well-formed text`,
      given: typeof name,
    })
  }
  if (name.startsWith('ate:')) throw new AteError('RESERVED_NAME', { what, name })
}

/** The value as its schema gives it. @throws AteError BAD_VALUE with the first issue's path and message */
export function validate<T>(type: EntityType<T>, value: unknown): T {
  if (!type.schema) return value as T
  const result = type.schema['~standard'].validate(value)
  if (result instanceof Promise)
    throw new AteError('BAD_ARGUMENT', { what: 'the schema is synchronous', type: type.name })
  if (!result.issues) return result.value
  const issue = result.issues[0]
  const path = issue?.path?.map((part) => String(typeof part === 'object' ? part.key : part)).join('.')
  throw new AteError('BAD_VALUE', { type: type.name, path, issue: issue?.message, issues: result.issues.length })
}

/** Appends a body to `out`; its bytes. @throws AteError BAD_VALUE | VALUE_TOO_LARGE */
export function encodeBody<T>(out: ByteWriter, type: EntityType<T>, value: T, name: string | undefined): number {
  const from = out.at
  out.varint(type.version * 2 + (name === undefined ? 0 : 1))
  if (name !== undefined) out.sizedText(name)
  try {
    encodeValueInto(out, value)
  } catch (cause) {
    out.at = from
    throw isAteError(cause) ? new AteError(cause.code, { type: type.name, ...cause.facts }, { cause }) : cause
  }
  const size = out.at - from
  if (size > BODY_BYTES_MAX) {
    out.at = from
    throw new AteError('VALUE_TOO_LARGE', { type: type.name, bytes: size, max: BODY_BYTES_MAX })
  }
  return size
}

/** The value of the body that is `body[from..to)`: migrated, checked, frozen, in `into` if it is bytes that fit; and its name. @throws AteError BAD_VALUE | BAD_CBOR | BAD_RECORD | NEEDS_UPGRADE */
export function decodeBody<T>(
  body: Uint8Array,
  type: EntityType<T>,
  into?: Uint8Array,
  from = 0,
  to: number = body.length,
): { readonly value: T; readonly name: string | undefined } {
  let name: string | undefined
  let version = body[from]! >> 1
  let at = from + 1
  // Most values have no name and a small version: one byte says so.
  if (from === to || body[from]! > 127 || (body[from]! & 1) === 1) {
    const input = new ByteReader(body, from, to)
    const head = input.varint()
    version = Math.floor(head / 2)
    name = head % 2 === 1 ? fromUtf8(input.sized(NAME_BYTES_MAX)) : undefined
    at = input.at
  }
  if (version > type.version) throw new AteError('NEEDS_UPGRADE', { type: type.name, version, known: type.version })
  // Without a schema nobody else touches it, and it is frozen as it is made.
  let value: T
  if (!type.schema && version === type.version) value = decodeValueFrom(body, at, 'frozen', into, to) as T
  else {
    const stored: unknown = decodeValueFrom(body, at, 'open', into, to)
    value = deepFreeze(validate(type, version < type.version ? migrated(type, stored, version) : stored))
  }
  if (type.shape?.(value) === false) throw new AteError('BAD_VALUE', { type: type.name })
  return { value, name }
}

function migrated<T>({ name, migrate }: EntityType<T>, value: unknown, version: number): unknown {
  if (migrate) return migrate(value, version)
  throw new AteError('BAD_VALUE', { type: name, version, what: 'older, and the type has no migrate' })
}

/** Values are shared between readers, so nobody changes them. Bytes cannot be frozen. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || Object.isFrozen(value)) return value
  Object.freeze(value)
  if (Array.isArray(value)) for (let i = 0; i < value.length; i++) deepFreeze(value[i])
  else for (const key in value) deepFreeze(value[key])
  return value
}
