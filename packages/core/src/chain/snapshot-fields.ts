/**
 * How the parts of a folded state are written and read: codecs of single values, and sections of many, which stop
 * between items so that neither memory nor other work waits for the whole.
 *
 * A struct and a table name every field of their type: a field that is added to the type and not here does not compile.
 */
import { fromBinaryText, fromUtf8, toBinaryText, utf8 } from '../base/bytes.ts'
import { AteError, assert } from '../base/errors.ts'
import type { ByteReader, ByteWriter } from '../codec/writer.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import type { Person } from '../trust/person.ts'
import type { Role } from '../trust/policy.ts'
import type { View } from '../view/view.ts'

/** What is written once and named by number: the first has number 0. */
export class Pool<T> {
  readonly items: T[] = []
  readonly #numbers = new Map<T, number>()

  add(item: T): void {
    if (this.#numbers.has(item)) return
    this.#numbers.set(item, this.items.length)
    this.items.push(item)
  }

  find(item: T): number | undefined {
    return this.#numbers.get(item)
  }

  /** @throws AteError BAD_SNAPSHOT */
  at(number: number): T {
    const item = this.items[number]
    if (item === undefined) throw new AteError('BAD_SNAPSHOT', { what: 'a number without its item', number })
    return item
  }
}

/** What parts of one state share. */
export interface Links {
  readonly crypto: CryptoProvider
  /** The view that is written, or that is being made. */
  readonly view: View
  /** Every role that something names, those included that have left the trust state. */
  readonly roles: Pool<Role>
  /** Public keys of the chain's identities. */
  readonly keys: Pool<Uint8Array>
  /** Persons that were read, by name. */
  readonly persons: Map<string, Person>
}

export interface Codec<T> {
  write(out: ByteWriter, value: T, links: Links): void
  /** @throws AteError BAD_RECORD | BAD_SNAPSHOT */
  read(input: ByteReader, links: Links): T
}

/** Items of one section between two stops while reading: well under a millisecond. */
const ITEMS_A_STOP = 256

export interface Section<T> {
  write(out: ByteWriter, value: T, links: Links): Generator<void, void, undefined>
  read(input: ByteReader, links: Links): Generator<void, T, undefined>
}

/** The fields of an object that hold data. */
export type DataOf<T> = {
  [K in keyof T as T[K] extends (...args: never[]) => unknown ? never : K]: T[K]
}

export const count: Codec<number> = {
  write(out, value) {
    assert(Number.isSafeInteger(value) && value >= 0, 'a count of a snapshot is a whole number below 2^53')
    out.varint(value)
  },
  read: (input) => input.varint(),
}

export const flag: Codec<boolean> = {
  write: (out, value) => out.u8(value ? 1 : 0),
  read: (input) => input.u8() === 1,
}

export const text: Codec<string> = {
  write: (out, value) => out.sized(utf8(value)),
  read: (input) => fromUtf8(input.sized(input.left)),
}

/** Copied when read: a view would hold the whole snapshot in memory. */
export const bytes: Codec<Uint8Array> = {
  write: (out, value) => out.sized(value),
  read: (input) => input.sized(input.left).slice(),
}

/** A fingerprint or the id of a certificate, one byte a character. */
export const name: Codec<string> = {
  write(out, value) {
    assert(value.length === 32, 'a name of a snapshot is 32 bytes')
    out.raw(fromBinaryText(value))
  },
  read: (input) => toBinaryText(input.raw(32)),
}

export function word<W extends string>(...words: readonly W[]): Codec<W> {
  return {
    write: (out, value) => out.u8(words.indexOf(value)),
    read(input) {
      const found = words[input.u8()]
      if (found === undefined) throw new AteError('BAD_SNAPSHOT', { what: 'a word that is not known' })
      return found
    },
  }
}

export function optional<T>(codec: Codec<T>): Codec<T | undefined> {
  return {
    write(out, value, links) {
      out.u8(value === undefined ? 0 : 1)
      if (value !== undefined) codec.write(out, value, links)
    },
    read: (input, links) => (input.u8() === 0 ? undefined : codec.read(input, links)),
  }
}

export function list<T>(codec: Codec<T>): Codec<T[]> {
  return {
    write(out, values, links) {
      out.varint(values.length)
      for (const value of values) codec.write(out, value, links)
    },
    read(input, links) {
      const values: T[] = []
      for (let left = input.varint(); left > 0; left--) values.push(codec.read(input, links))
      return values
    },
  }
}

export function set<T>(codec: Codec<T>): Codec<Set<T>> {
  const items = list(codec)
  return {
    write: (out, values, links) => items.write(out, [...values], links),
    read: (input, links) => new Set(items.read(input, links)),
  }
}

export function map<K, V>(key: Codec<K>, value: Codec<V>): Codec<Map<K, V>> {
  const items = list(pair(key, value))
  return {
    write: (out, values, links) => items.write(out, [...values], links),
    read: (input, links) => new Map(items.read(input, links)),
  }
}

function pair<K, V>(key: Codec<K>, value: Codec<V>): Codec<[K, V]> {
  return {
    write(out, [k, v], links) {
      key.write(out, k, links)
      value.write(out, v, links)
    },
    read: (input, links) => [key.read(input, links), value.read(input, links)],
  }
}

export function struct<T extends object>(fields: { readonly [K in keyof T]-?: Codec<T[K]> }): Codec<T> {
  const entries = Object.entries(fields) as [keyof T, Codec<T[keyof T]>][]
  return {
    write(out, value, links) {
      for (const [field, codec] of entries) codec.write(out, value[field], links)
    },
    read(input, links) {
      const value: Partial<T> = {}
      for (const [field, codec] of entries) value[field] = codec.read(input, links)
      return value as T
    },
  }
}

/** The fields of an object that may lack some, as they are written: what is not there is undefined. */
type Filled<T> = { readonly [K in keyof T]-?: Record<never, never> extends Pick<T, K> ? T[K] | undefined : T[K] }

/** A struct whose optional fields are left out again when they are read. */
export function sparse<T extends object>(fields: { readonly [K in keyof Filled<T>]: Codec<Filled<T>[K]> }): Codec<T> {
  const entries = Object.entries(fields) as [keyof T, Codec<unknown>][]
  return {
    write(out, value, links) {
      for (const [field, codec] of entries) codec.write(out, value[field], links)
    },
    read(input, links) {
      const found = entries.map(([field, codec]) => [field, codec.read(input, links)] as const)
      return Object.fromEntries(found.filter(([, value]) => value !== undefined)) as T
    },
  }
}

/** One value as a section. */
export function whole<T>(codec: Codec<T>): Section<T> {
  return {
    *write(out, value, links) {
      codec.write(out, value, links)
      yield
    },
    *read(input, links) {
      yield
      return codec.read(input, links)
    },
  }
}

export function each<T>(codec: Codec<T>): Section<T[]> {
  return {
    write: (out, values, links) => writeEach(out, values.length, values, codec, links),
    *read(input, links) {
      const values: T[] = []
      for (const value of readEach(input, codec, links)) {
        values.push(value)
        if (values.length % ITEMS_A_STOP === 0) yield
      }
      return values
    },
  }
}

export function eachMember<T>(codec: Codec<T>): Section<Set<T>> {
  return {
    write: (out, values, links) => writeEach(out, values.size, values, codec, links),
    *read(input, links) {
      const values = new Set<T>()
      for (const value of readEach(input, codec, links)) if (values.add(value).size % ITEMS_A_STOP === 0) yield
      return values
    },
  }
}

export function eachEntry<K, V>(key: Codec<K>, value: Codec<V>): Section<Map<K, V>> {
  const codec = pair(key, value)
  return {
    write: (out, values, links) => writeEach(out, values.size, values, codec, links),
    *read(input, links) {
      const values = new Map<K, V>()
      for (const [k, v] of readEach(input, codec, links)) if (values.set(k, v).size % ITEMS_A_STOP === 0) yield
      return values
    },
  }
}

function* writeEach<T>(
  out: ByteWriter,
  size: number,
  values: Iterable<T>,
  codec: Codec<T>,
  links: Links,
): Generator<void, void, undefined> {
  out.varint(size)
  for (const value of values) {
    codec.write(out, value, links)
    yield
  }
}

function* readEach<T>(input: ByteReader, codec: Codec<T>, links: Links): Generator<T, void, undefined> {
  for (let left = input.varint(); left > 0; left--) yield codec.read(input, links)
}

/** A section for each field of a type, in the order in which they are written. */
export type Table<T> = { readonly [K in keyof DataOf<T>]-?: Section<DataOf<T>[K]> }

export function table<T extends object>(sections: Table<T>): Section<DataOf<T>> {
  const entries = Object.entries(sections) as [keyof DataOf<T>, Section<DataOf<T>[keyof DataOf<T>]>][]
  return {
    *write(out, value, links) {
      for (const [field, section] of entries) yield* section.write(out, value[field], links)
    },
    *read(input, links) {
      const value = {} as DataOf<T>
      for (const [field, section] of entries) value[field] = yield* section.read(input, links)
      return value
    },
  }
}

/** The fields of an object of a class, read into one that `make` gives. */
export function into<T extends object>(make: (links: Links) => T, fields: Section<DataOf<T>>): Section<T> {
  return {
    write: (out, value, links) => fields.write(out, value as DataOf<T>, links),
    *read(input, links) {
      return Object.assign(make(links), yield* fields.read(input, links))
    },
  }
}
