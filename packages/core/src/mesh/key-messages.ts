/**
 * What client and server say of attached keys, beside messages.ts. A server says in the limits of its handshake that it knows
 * these messages, so both ends keep version 1: `keys` is 1, or 2 where a key is given only to who has recorded that he asks.
 *
 *   client                                           server
 *   12 key      channel | id | entity 16             45 key      channel | id | 0, or 1 | key sized, or 2 | code sized | facts sized
 *               | key sized                          46 ring     channel | id | keys in the ring | count
 *   13 ask      channel | id | entity 16 | seq + 1                | count times (name 32 | key sized)
 *   14 ring     channel | id | name sized, 0 or 32
 *
 * A `key` belongs to the entry of submission `id` that comes next on its channel. The seq of `ask` is that of the record of asking; 0
 * for none. `ring` asks for what stands behind that name: who is no server of the same ring is told how many there are.
 */
import { AteError } from '../base/errors.ts'
import { RING_KEY_BYTES_MAX } from '../base/limits.ts'
import type { KeyAccess } from '../chain/link.ts'
import type { ByteReader, ByteWriter } from '../codec/writer.ts'
import type { RingEntry } from '../log/engine.ts'
import { type Refused, readRefused, writeRefused } from './refused.ts'

const ENTITY_BYTES = 16
const NAME_BYTES = 32
const NOTHING = new Uint8Array(0)
/** Entries of one page: as many of the smallest as its bytes allow. */
const PAGE_ENTRIES_MAX = 8192

export type KeyClientMessage =
  | {
      readonly type: 'key'
      readonly channel: number
      readonly id: number
      readonly entity: Uint8Array
      readonly bytes: Uint8Array
    }
  | {
      readonly type: 'ask'
      readonly channel: number
      readonly id: number
      readonly entity: Uint8Array
      /** Seq of the record of asking. */
      readonly record: number | undefined
    }
  | { readonly type: 'ring'; readonly channel: number; readonly id: number; readonly after: Uint8Array | undefined }

/** Undefined: there is none. */
export type KeyAnswer = Uint8Array | Refused | undefined

export interface RingPage {
  readonly total: number
  readonly entries: readonly RingEntry[]
}

export type KeyServerMessage =
  | { readonly type: 'key'; readonly channel: number; readonly id: number; readonly answer: KeyAnswer }
  | { readonly type: 'ring'; readonly channel: number; readonly id: number; readonly page: RingPage }

const ACCESS: readonly KeyAccess[] = ['none', 'open', 'recorded']

/** As the handshake says it. A mode of a newer server that is not known here is none that can be relied on. */
export function keyAccessOf(limits: Readonly<Record<string, number>>): KeyAccess {
  return ACCESS[limits['keys'] ?? 0] ?? 'none'
}

export function keyLimits(access: KeyAccess): { readonly keys: number } {
  return { keys: ACCESS.indexOf(access) }
}

export function writeKeyClientMessage(out: ByteWriter, message: KeyClientMessage): void {
  out.u8(message.type === 'key' ? 12 : message.type === 'ask' ? 13 : 14)
  out.varint(message.channel)
  out.varint(message.id)
  if (message.type === 'ring') {
    out.sized(message.after ?? NOTHING)
    return
  }
  out.raw(message.entity)
  if (message.type === 'key') out.sized(message.bytes)
  else out.varint(message.record === undefined ? 0 : message.record + 1)
}

/** @throws AteError BAD_MESSAGE, and what the reader throws */
export function readKeyClientMessage(type: number, input: ByteReader): KeyClientMessage {
  if (type < 12 || type > 14) throw new AteError('BAD_MESSAGE', { type })
  const channel = input.varint()
  const id = input.varint()
  if (type === 14) {
    const after = input.sized(NAME_BYTES)
    if (after.length !== 0 && after.length !== NAME_BYTES) throw new AteError('BAD_MESSAGE', { what: 'name of a key' })
    return { type: 'ring', channel, id, after: after.length === 0 ? undefined : after.slice() }
  }
  const entity = input.raw(ENTITY_BYTES)
  if (type === 12) return { type: 'key', channel, id, entity, bytes: input.sized(RING_KEY_BYTES_MAX) }
  const next = input.varint()
  return { type: 'ask', channel, id, entity, record: next === 0 ? undefined : next - 1 }
}

export function writeKeyServerMessage(out: ByteWriter, message: KeyServerMessage): void {
  out.u8(message.type === 'key' ? 45 : 46)
  out.varint(message.channel)
  out.varint(message.id)
  if (message.type === 'key') writeAnswer(out, message.answer)
  else writePage(out, message.page)
}

/** @throws AteError BAD_MESSAGE, and what the reader throws */
export function readKeyServerMessage(type: number, input: ByteReader): KeyServerMessage {
  if (type !== 45 && type !== 46) throw new AteError('BAD_MESSAGE', { type })
  const channel = input.varint()
  const id = input.varint()
  return type === 45
    ? { type: 'key', channel, id, answer: readAnswer(input) }
    : { type: 'ring', channel, id, page: readPage(input) }
}

function writeAnswer(out: ByteWriter, answer: KeyAnswer): void {
  if (answer === undefined) out.u8(0)
  else if (answer instanceof Uint8Array) {
    out.u8(1)
    out.sized(answer)
  } else {
    out.u8(2)
    writeRefused(out, answer)
  }
}

function readAnswer(input: ByteReader): KeyAnswer {
  const kind = input.u8()
  if (kind === 0) return undefined
  if (kind === 1) return input.sized(RING_KEY_BYTES_MAX).slice()
  if (kind === 2) return readRefused(input)
  throw new AteError('BAD_MESSAGE', { what: 'answer', kind })
}

function writePage(out: ByteWriter, { total, entries }: RingPage): void {
  out.varint(total)
  out.varint(entries.length)
  for (const { name, wrapped } of entries) {
    out.raw(name)
    out.sized(wrapped)
  }
}

function readPage(input: ByteReader): RingPage {
  const total = input.varint()
  const count = input.varint()
  if (count > PAGE_ENTRIES_MAX) throw new AteError('BAD_MESSAGE', { what: 'keys', count })
  const entries: RingEntry[] = []
  for (let i = 0; i < count; i++)
    entries.push({ name: input.raw(NAME_BYTES).slice(), wrapped: input.sized(RING_KEY_BYTES_MAX).slice() })
  return { total, entries }
}
