/**
 * The messages of the handshake ATE-HS/1 as bytes, and nothing of their meaning. Parsers give undefined for everything that is
 * not exactly of the form; sizes are checked first. docs/FORMAT.md, section 18.
 *
 *   Hello   = 1 | list of versions | list of suites | modes u8 | nonce 32 | X-Wing key 1216 | opt hint 32 | cookie
 *             list = count u8 | count x u8, ascending;  cookie = 0, or 40 and 40 bytes
 *   Retry   = 2 | cookie 40
 *   Reply   = 3 | version u8 | suite u8 | mode u8 | nonce 32 | X-Wing ciphertext 1120 | sealed, to the end
 *             sealed: body | composite signature 3373 | MAC 32, as one AES-256-GCM ciphertext and its tag 16
 *   Finish  = 4 | MAC 32
 *   Resumed = 6, and on as a Reply;  sealed: MAC 32
 *   Refusal = 5 | reason u8 (0 failed, 1 no common version)
 */
import {
  FINISH_BYTES_MAX,
  HELLO_BYTES_MAX,
  HELLO_OFFERS_MAX,
  REPLY_BYTES_MAX,
  SERVER_LIMITS_BYTES_MAX,
  SERVER_LIMITS_MAX,
} from '../base/limits.ts'
import { decodeCanonical, encodeCanonical } from '../codec/cbor.ts'
import { ByteReader, ByteWriter } from '../codec/writer.ts'
import { COMPOSITE_SIGNATURE_BYTES } from '../crypto/composite.ts'
import { AES_TAG_BYTES, HASH_BYTES } from '../crypto/sizes.ts'
import { XWING_CIPHERTEXT_BYTES, XWING_PUBLIC_BYTES } from '../crypto/x-wing.ts'
import { DELEGATION_BYTES } from '../event/acknowledgement.ts'
import type { ServerLimits } from '../session/tickets.ts'
import { IDENTITY_KEYS_BYTES } from '../trust/identity-keys.ts'
import { SUCCESSION_BYTES } from './succession.ts'

/** A time and a MAC: only servers look into one (cookie.ts). */
export const COOKIE_BYTES: number = 8 + 32

export const WIRE_VERSION = 1
export const WIRE_SUITE = 1
export const MODE = { sealed: 1, plain: 2 } as const
export type WireMode = keyof typeof MODE

export const NONCE_BYTES = 32
const MAC_BYTES = 32
const KIND = { hello: 1, retry: 2, reply: 3, finish: 4, refusal: 5, resumed: 6 } as const
const REPLY_CLEAR_BYTES = 4 + NONCE_BYTES + XWING_CIPHERTEXT_BYTES

export interface Hello {
  readonly versions: readonly number[]
  readonly suites: readonly number[]
  /** Bits of MODE. */
  readonly modes: number
  readonly nonce: Uint8Array
  readonly kemKey: Uint8Array
  /** Fingerprint of the server that the client knows here. */
  readonly hint: Uint8Array | undefined
  readonly cookie: Uint8Array | undefined
}

export interface ReplyClear {
  /** `resumed`: the nonce of the Hello was the name of a ticket that the server has. */
  readonly kind: 'reply' | 'resumed'
  readonly version: number
  readonly suite: number
  readonly mode: number
  readonly nonce: Uint8Array
  readonly encapsulated: Uint8Array
}

export interface ReplyBody {
  readonly keys: Uint8Array
  readonly delegation: Uint8Array
  readonly limits: ServerLimits
  readonly succession: Uint8Array | undefined
}

export function encodeHello(hello: Hello): Uint8Array {
  const out = new ByteWriter(HELLO_BYTES_MAX)
  out.u8(KIND.hello)
  for (const list of [hello.versions, hello.suites]) {
    out.u8(list.length)
    for (const number of list) out.u8(number)
  }
  out.u8(hello.modes)
  out.raw(hello.nonce)
  out.raw(hello.kemKey)
  out.u8(hello.hint ? 1 : 0)
  if (hello.hint) out.raw(hello.hint)
  out.u8(hello.cookie ? COOKIE_BYTES : 0)
  if (hello.cookie) out.raw(hello.cookie)
  return out.copy()
}

/** The versions that a Hello offers, which every version of it begins with. */
export function versionsOf(message: Uint8Array): readonly number[] | undefined {
  return parsed(message, HELLO_BYTES_MAX, KIND.hello, numbersIn)
}

export function parseHello(message: Uint8Array): Hello | undefined {
  return parsed(message, HELLO_BYTES_MAX, KIND.hello, (input) => {
    const versions = numbersIn(input)
    const suites = versions && numbersIn(input)
    if (!suites) return undefined
    const modes = input.u8()
    const nonce = input.raw(NONCE_BYTES)
    const kemKey = input.raw(XWING_PUBLIC_BYTES)
    const hinted = input.u8()
    const hint = hinted === 1 ? input.raw(HASH_BYTES) : undefined
    const cookieBytes = input.u8()
    if (hinted > 1 || (cookieBytes !== 0 && cookieBytes !== COOKIE_BYTES)) return undefined
    const cookie = cookieBytes === 0 ? undefined : input.raw(cookieBytes)
    input.done()
    return { versions, suites, modes, nonce, kemKey, hint, cookie }
  })
}

export function encodeRetry(cookie: Uint8Array): Uint8Array {
  return withKind(KIND.retry, cookie)
}

export function parseRetry(message: Uint8Array): Uint8Array | undefined {
  return parseFixed(message, KIND.retry, COOKIE_BYTES)
}

export function encodeReplyClear(reply: ReplyClear): Uint8Array {
  const out = new ByteWriter(REPLY_CLEAR_BYTES)
  out.u8(KIND[reply.kind])
  out.u8(reply.version)
  out.u8(reply.suite)
  out.u8(reply.mode)
  out.raw(reply.nonce)
  out.raw(reply.encapsulated)
  return out.copy()
}

/** The clear part, its bytes, and what is sealed. */
export function parseReply(
  message: Uint8Array,
): { readonly clear: ReplyClear; readonly clearBytes: Uint8Array; readonly sealed: Uint8Array } | undefined {
  const kind = message[0] === KIND.resumed ? 'resumed' : 'reply'
  return parsed(message, REPLY_BYTES_MAX, KIND[kind], (input) => {
    const clear: ReplyClear = {
      kind,
      version: input.u8(),
      suite: input.u8(),
      mode: input.u8(),
      nonce: input.raw(NONCE_BYTES),
      encapsulated: input.raw(XWING_CIPHERTEXT_BYTES),
    }
    const sealed = input.raw(input.left)
    return sealed.length <= AES_TAG_BYTES
      ? undefined
      : { clear, clearBytes: message.subarray(0, REPLY_CLEAR_BYTES), sealed }
  })
}

/** keys 3200 | delegation 3454 | u16 n | n bytes of limits (canonical CBOR) | u8 0, or u8 1 and a succession 6614 */
export function encodeReplyBody(body: ReplyBody): Uint8Array {
  const limits = encodeCanonical(body.limits)
  const out = new ByteWriter(REPLY_BYTES_MAX)
  out.raw(body.keys)
  out.raw(body.delegation)
  out.u16(limits.length)
  out.raw(limits)
  out.u8(body.succession ? 1 : 0)
  if (body.succession) out.raw(body.succession)
  return out.copy()
}

/** Body, signature and MAC of what was sealed. */
export function parseSealed(
  plaintext: Uint8Array,
): { readonly body: Uint8Array; readonly signature: Uint8Array; readonly mac: Uint8Array } | undefined {
  const macAt = plaintext.length - MAC_BYTES
  const signatureAt = macAt - COMPOSITE_SIGNATURE_BYTES
  if (signatureAt < 0) return undefined
  return {
    body: plaintext.subarray(0, signatureAt),
    signature: plaintext.subarray(signatureAt, macAt),
    mac: plaintext.subarray(macAt),
  }
}

export function parseReplyBody(bytes: Uint8Array): ReplyBody | undefined {
  return reading(() => {
    const input = new ByteReader(bytes)
    const keys = input.raw(IDENTITY_KEYS_BYTES)
    const delegation = input.raw(DELEGATION_BYTES)
    const limitBytes = input.u16()
    if (limitBytes > SERVER_LIMITS_BYTES_MAX) return undefined
    const limits = decodeCanonical(input.raw(limitBytes))
    const follows = input.u8()
    const succession = follows === 1 ? input.raw(SUCCESSION_BYTES) : undefined
    input.done()
    if (follows > 1 || !areLimits(limits)) return undefined
    return { keys, delegation, limits, succession }
  })
}

export function encodeFinish(mac: Uint8Array): Uint8Array {
  return withKind(KIND.finish, mac)
}

export function parseFinish(message: Uint8Array): Uint8Array | undefined {
  return parseFixed(message, KIND.finish, MAC_BYTES)
}

export function encodeRefusal(reason: 'failed' | 'version'): Uint8Array {
  return withKind(KIND.refusal, Uint8Array.of(reason === 'version' ? 1 : 0))
}

export function parseRefusal(message: Uint8Array): 'failed' | 'version' | undefined {
  const reason = parseFixed(message, KIND.refusal, 1)
  return reason && (reason[0] === 1 ? 'version' : 'failed')
}

export function areLimits(limits: unknown): limits is ServerLimits {
  if (typeof limits !== 'object' || limits === null || Array.isArray(limits)) return false
  const entries = Object.entries(limits)
  return (
    entries.length <= SERVER_LIMITS_MAX &&
    entries.every(([name, value]) => /^[a-zA-Z]{1,40}$/.test(name) && Number.isSafeInteger(value) && value >= 0)
  )
}

function withKind(kind: number, bytes: Uint8Array): Uint8Array {
  const message = new Uint8Array(1 + bytes.length)
  message[0] = kind
  message.set(bytes, 1)
  return message
}

function parseFixed(message: Uint8Array, kind: number, size: number): Uint8Array | undefined {
  return parsed(message, FINISH_BYTES_MAX, kind, (input) => (input.left === size ? input.raw(size) : undefined))
}

/** Numbers in ascending order, so that one offer has one encoding. */
function numbersIn(input: ByteReader): readonly number[] | undefined {
  const count = input.u8()
  if (count === 0 || count > HELLO_OFFERS_MAX) return undefined
  const numbers = Array.from(input.raw(count))
  return numbers.every((number, index) => index === 0 || number > numbers[index - 1]!) ? numbers : undefined
}

function parsed<T>(
  message: Uint8Array,
  bytesMax: number,
  kind: number,
  read: (input: ByteReader) => T | undefined,
): T | undefined {
  if (message.length > bytesMax || message[0] !== kind) return undefined
  return reading(() => read(new ByteReader(message, 1)))
}

/** Readers throw at the end of the bytes; here that is one refusal among others. */
function reading<T>(read: () => T | undefined): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
