/**
 * How large a job may be when it is added or goes on: what follows must fit too. A failure is stored with the job, and one
 * that could not be would not count.
 */
import { AteError } from '@ate/core'
import type { JobValue } from './queue-records.ts'

const JOB_BYTES_MAX: number = 880 * 1024
/** What an entity holds beside: the errors (10 of 500 characters), the ending, and the job's id. */
const ROOM_BYTES: number = 16 * 1024
const NAME_BYTES = 520
/** Of the 65,536 items of an entity, some are for the same. */
const JOB_ITEMS_MAX = 65_400
const ROOM_ITEMS = 136
/** Deeper values are refused when they are encoded. */
const DEPTH_MAX = 40
/** Bytes of a parent's id in a job. */
const PARENT_BYTES = 28

/** The job, if a failure of it can be stored as well. @throws AteError VALUE_TOO_LARGE */
export function withRoom(value: JobValue, parents = 0): JobValue {
  const whole = sizeOf(value)
  const errors = sizeOf(value.errors)
  const bytes = whole.bytes - errors.bytes + parents * PARENT_BYTES
  const items = whole.items - errors.items + parents
  if (bytes > JOB_BYTES_MAX)
    throw new AteError('VALUE_TOO_LARGE', { what: 'data, steps and progress of a job', bytes, max: JOB_BYTES_MAX })
  if (items > JOB_ITEMS_MAX)
    throw new AteError('VALUE_TOO_LARGE', { what: 'data, steps and progress of a job', items, max: JOB_ITEMS_MAX })
  return value
}

/** Whether it can be stored; near the limit no may be said of what can. */
export function hasRoom(value: JobValue): boolean {
  const { bytes, items } = sizeOf(value)
  return bytes <= JOB_BYTES_MAX + ROOM_BYTES - NAME_BYTES && items <= JOB_ITEMS_MAX + ROOM_ITEMS
}

export interface Size {
  readonly bytes: number
  /** Values and keys. */
  readonly items: number
}

/** Of a value when it is encoded (CBOR), or a little more. What cannot be encoded counts little. */
export function sizeOf(value: unknown): Size {
  const size = { bytes: 0, items: 0 }
  count(value, size, 0)
  return size
}

function count(value: unknown, size: { bytes: number; items: number }, depth: number): void {
  size.items++
  if (typeof value !== 'object' || value === null) size.bytes += bytesOf(value)
  else if (value instanceof Uint8Array) size.bytes += headBytes(value.length) + value.length
  else if (value instanceof Date) size.bytes += 12
  else if (depth > DEPTH_MAX) size.bytes++
  else if (Array.isArray(value)) {
    size.bytes += headBytes(value.length)
    for (const one of value) count(one, size, depth + 1)
  } else {
    size.bytes += 5
    for (const [key, one] of Object.entries(value)) {
      if (one === undefined) continue
      count(key, size, depth + 1)
      count(one, size, depth + 1)
    }
  }
}

function bytesOf(value: unknown): number {
  if (typeof value === 'string') return textBytes(value)
  if (typeof value === 'number') return Number.isSafeInteger(value) ? numberBytes(value) : 9
  return typeof value === 'bigint' ? 20 : 1
}

/** Of a text, with its length before it. */
export function textBytes(text: string): number {
  return headBytes(text.length * 3) + utf8Bytes(text)
}

/** Of a whole number; its sign costs nothing. */
function numberBytes(value: number): number {
  return headBytes(value < 0 ? -1 - value : value)
}

function headBytes(value: number): number {
  if (value < 24) return 1
  if (value < 0x100) return 2
  if (value < 0x10000) return 3
  return value < 0x1_0000_0000 ? 5 : 9
}

function utf8Bytes(text: string): number {
  let bytes = text.length
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    // Half a surrogate pair has two of the four bytes of the whole.
    if (unit > 0x7f) bytes += unit > 0x7ff && (unit < 0xd800 || unit > 0xdfff) ? 2 : 1
  }
  return bytes
}
