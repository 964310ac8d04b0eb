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
/** Deeper values are refused when they are encoded. */
const DEPTH_MAX = 40
/** Bytes of a parent's id in a job. */
const PARENT_BYTES = 28

/** The job, if a failure of it can be stored as well. @throws AteError VALUE_TOO_LARGE */
export function withRoom(value: JobValue, parents = 0): JobValue {
  const errors = value.errors === undefined ? 0 : sizeOf(value.errors)
  const bytes = sizeOf(value) - errors + parents * PARENT_BYTES
  if (bytes > JOB_BYTES_MAX)
    throw new AteError('VALUE_TOO_LARGE', { what: 'data, steps and progress of a job', bytes, max: JOB_BYTES_MAX })
  return value
}

/** Whether it can be stored; near the limit no may be said of what can. */
export function hasRoom(value: JobValue): boolean {
  return sizeOf(value) <= JOB_BYTES_MAX + ROOM_BYTES - NAME_BYTES
}

/** Bytes of a value when it is encoded (CBOR), or a few more. What cannot be encoded counts little. */
export function sizeOf(value: unknown, depth = 0): number {
  if (typeof value === 'string') return headBytes(value.length * 3) + utf8Bytes(value)
  if (typeof value === 'number') return Number.isSafeInteger(value) ? numberBytes(value) : 9
  if (typeof value === 'bigint') return 20
  if (typeof value !== 'object' || value === null) return 1
  if (value instanceof Uint8Array) return headBytes(value.length) + value.length
  if (value instanceof Date) return 12
  if (depth > DEPTH_MAX) return 1
  if (Array.isArray(value)) {
    let bytes = headBytes(value.length)
    for (const one of value) bytes += sizeOf(one, depth + 1)
    return bytes
  }
  let bytes = 5
  for (const [key, one] of Object.entries(value))
    if (one !== undefined) bytes += sizeOf(key, depth + 1) + sizeOf(one, depth + 1)
  return bytes
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
