/** What is known of entities besides their rows, as bytes of a snapshot. */
import { fromBinaryText, fromUtf8, toBinaryText, utf8 } from '../base/bytes.ts'
import { assert } from '../base/errors.ts'
import { decodeCanonical, encodeCanonical } from '../codec/cbor.ts'
import { ChildList } from '../view/child-lists.ts'
import type { Counter, Extra, Lock, View } from '../view/view.ts'
import { NO_SET, type WitnessSet } from '../view/witness-times.ts'
import {
  type Codec,
  count,
  each,
  eachEntry,
  into,
  list,
  optional,
  type Section,
  struct,
  table,
  text,
  word,
} from './snapshot-fields.ts'
import { POLICY, POLICY_LIST } from './snapshot-trust.ts'

const AMOUNT: Codec<bigint> = {
  write: (out, value) => out.sized(encodeCanonical(value)),
  read: (input) => decodeCanonical(input.sized(input.left)) as bigint,
}

/** 32 bytes of the key, then the name. */
const witnessId: Codec<string> = {
  write(out, id) {
    out.raw(fromBinaryText(id.slice(0, 32)))
    out.sized(utf8(id.slice(32)))
  },
  read: (input) => toBinaryText(input.raw(32)) + fromUtf8(input.sized(input.left)),
}

const MODE: Codec<Lock['mode']> = word('governance', 'compliance')

const COUNTER: Codec<Counter> = struct<Counter>({
  name: text,
  value: AMOUNT,
  floor: optional(AMOUNT),
  ceiling: optional(AMOUNT),
  unit: optional(count),
  up: optional(POLICY_LIST),
  down: optional(POLICY_LIST),
})

const LOCK: Codec<Lock> = {
  write(out, { mode, witnesses }, links) {
    MODE.write(out, mode, links)
    out.varint(witnesses - NO_SET)
  },
  read: (input, links) => ({ mode: MODE.read(input, links), witnesses: input.varint() + NO_SET }),
}

const EXTRA: Codec<Extra> = struct<Extra>({
  counters: list(COUNTER),
  expires: optional(count),
  retain: count,
  holds: list(text),
  lock: optional(LOCK),
  witnesses: optional(count),
})

const SET: Codec<WitnessSet> = struct<WitnessSet>({ quorum: count, members: list(witnessId) })

/** Sets by number, then what each witness has said last. */
const WITNESSES: Section<View['witnesses']> = {
  *write(out, { sets, times }, links) {
    list(SET).write(out, sets, links)
    yield* eachEntry(witnessId, count).write(out, times, links)
  },
  *read(input, links) {
    const { witnesses } = links.view
    witnesses.sets.push(...list(SET).read(input, links))
    for (const [id, at] of yield* eachEntry(witnessId, count).read(input, links)) witnesses.times.set(id, at)
    return witnesses
  },
}

/** All of a child list but its items, which are written as they stand in memory. */
const LIST_FIELDS: Codec<Omit<ChildList, 'items'>> = struct<Omit<ChildList, 'items'>>({
  parent: count,
  collection: count,
  length: count,
  live: count,
  version: count,
  floor: count,
})

const ITEMS_A_PART = 65_536

/** Lists in order; then the numbers of those that children left and that were not looked at since. */
const CHILDREN: Section<View['children']> = {
  *write(out, children, links) {
    const lists = [...children.all()]
    out.varint(lists.length)
    for (const one of lists) {
      LIST_FIELDS.write(out, one, links)
      for (let from = 0; from < one.length; from += ITEMS_A_PART) {
        out.raw(bytesOf(one.items.subarray(from, Math.min(one.length, from + ITEMS_A_PART))))
        yield
      }
      yield
    }
    const loose = lists.flatMap((one, number) => (children.loose.has(one) ? [number] : []))
    list(count).write(out, loose, links)
    yield
  },
  *read(input, links) {
    const { children } = links.view
    const lists: ChildList[] = []
    for (let left = input.varint(); left > 0; left--) {
      const fields = LIST_FIELDS.read(input, links)
      const stored = input.raw(fields.length * 4)
      const one = Object.assign(children.obtain(fields.parent, fields.collection), fields)
      one.items = new Uint32Array(capacityFor(fields.length))
      bytesOf(one.items).set(stored)
      if (lists.push(one) % 64 === 0) yield
    }
    for (const number of list(count).read(input, links)) {
      const one = lists[number]
      if (one) children.loose.add(one)
    }
    return children
  },
}

/** A power of two, as growing makes them. */
function capacityFor(length: number): number {
  let capacity = new ChildList(0, 0).items.length
  while (capacity < length) capacity *= 2
  return capacity
}

function bytesOf(words: Uint32Array): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength)
}

const NAMES: Section<View['names']> = {
  write: (out, names, links) => each(text).write(out, [...names.texts], links),
  *read(input, links) {
    for (const one of yield* each(text).read(input, links)) links.view.names.obtain(one)
    return links.view.names
  },
}

/** Rows stand before all of this; what is staged never gets here. */
export const VIEW: Section<View> = into(
  ({ view }) => view,
  table<View>({
    table: elsewhere((view) => view.table),
    children: CHILDREN,
    names: NAMES,
    policies: each(optional(POLICY)),
    extras: eachEntry(count, EXTRA),
    witnesses: WITNESSES,
    // Counted anew by who asks.
    heights: elsewhere((view) => view.heights),
    images: elsewhere((view) => {
      assert(view.images.size === 0, 'a snapshot is of what is acknowledged')
      return view.images
    }),
  }),
)

/** A field that takes no bytes here. */
function elsewhere<T>(of: (view: View) => T): Section<T> {
  return {
    *write(_out, _value, links) {
      of(links.view)
      yield
    },
    *read(_input, links) {
      yield
      return of(links.view)
    },
  }
}
