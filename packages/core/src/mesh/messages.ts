/**
 * What client and server say to each other inside a connection's frames. A frame's plaintext is one message or several, one
 * behind the other; each begins with its type and delimits itself. Integers without a size are varints.
 *
 *   client                                           server
 *    1 session   ref | proof sized                   32 welcome  level u8 | path sized
 *    2 open      channel | session | name sized      33 session  ref
 *                | chain 0 or 32, sized              34 opened   channel | chain 32 | level u8 | next | head 32
 *                | next | head 32                                | hash at the client's head 32
 *                | genesis sized | bodies u8         35 record   channel | level u8 | record sized
 *    3 submit    channel | id | last u8 | kind u8    36 own      channel | level u8 | id | index | record head 81
 *                | payload sized                     37 ack      channel | acknowledgement sized
 *    4 credit    channel | bytes                     38 answers  channel | id | count | answers
 *    5 sync      channel | id                                    answer = 0 | seq, or count | (code sized | facts sized)
 *    6 leave     channel                             39 synced   channel | id
 *    7 rekey     offer or done, sized                40 closed   channel | code sized | facts sized
 *    8 body      channel | id | seq | block          41 rekey    answer, sized
 *                | offset | size                     42 refused  ref | code sized | facts sized
 *                                                    43 body     channel | id | ciphertext sized, empty if it is not there
 *    9 take      channel | id                        44 redirect channel | moved u8 | URL of a server, sized
 *   10 taken     channel | id | next | head 32
 *   11 offer     channel | session | name sized
 *   12 to 14, 45 and 46: attached keys (key-messages.ts)
 *
 * 9 to 11 are for servers of one ring among themselves. `next` is the seq of the record that follows the head, 0 for an empty log. Everything is bounded before it is believed.
 */
import { fromUtf8, utf8 } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import {
  BODY_BYTES_MAX,
  CHAIN_NAME_BYTES_MAX,
  COMMIT_TXS_MAX,
  RECORD_BYTES_MAX,
  SUBMISSION_ENTRIES_MAX,
} from '../base/limits.ts'
import type { BodyPlace } from '../chain/link.ts'
import type { EntryAnswer } from '../chain/sequencer.ts'
import type { Refusal } from '../chain/verdict.ts'
import { ByteReader, type ByteWriter } from '../codec/writer.ts'
import { KIND, type Kind, RECORD_HEAD_BYTES } from '../event/format.ts'
import type { Durability, Head } from '../log/engine.ts'
import {
  type KeyClientMessage,
  type KeyServerMessage,
  readKeyClientMessage,
  readKeyServerMessage,
  writeKeyClientMessage,
  writeKeyServerMessage,
} from './key-messages.ts'
import { type Refused, readRefused, writeRefused } from './refused.ts'

const LEVELS: readonly Durability[] = ['memory', 'os', 'disk', 'quorum']
const PROOF_BYTES_MAX = 8192
const REKEY_BYTES_MAX = 4096
/** A genesis is a record like others. */
const GENESIS_BYTES_MAX: number = RECORD_BYTES_MAX
const ACK_BYTES_MAX = 256
const PATH_BYTES_MAX = 2048
const NO_HASH = new Uint8Array(32)
const NOTHING = new Uint8Array(0)

/** `on-demand`: records come without their sealed bodies, which are asked for when somebody reads them. */
export type Bodies = 'all' | 'on-demand'

export type ClientMessage =
  | { readonly type: 'session'; readonly ref: number; readonly proof: Uint8Array }
  | {
      readonly type: 'open'
      readonly channel: number
      readonly session: number
      readonly name: string
      readonly chain: Uint8Array | undefined
      readonly head: Head | undefined
      readonly genesis: Uint8Array | undefined
      readonly bodies: Bodies
    }
  | {
      readonly type: 'submit'
      readonly channel: number
      readonly id: number
      readonly isLast: boolean
      readonly kind: Kind
      readonly payload: Uint8Array
    }
  | { readonly type: 'credit'; readonly channel: number; readonly bytes: number }
  | { readonly type: 'sync'; readonly channel: number; readonly id: number }
  | { readonly type: 'leave'; readonly channel: number }
  /** The chain goes to the server that asks: no other one writes it from the answer on. */
  | { readonly type: 'take'; readonly channel: number; readonly id: number }
  /** It is there, whole up to `head`. */
  | { readonly type: 'taken'; readonly channel: number; readonly id: number; readonly head: Head | undefined }
  /** The server that is asked is to take a chain. */
  | { readonly type: 'offer'; readonly channel: number; readonly session: number; readonly name: string }
  | { readonly type: 'rekey'; readonly bytes: Uint8Array }
  | ({ readonly type: 'body'; readonly channel: number; readonly id: number } & BodyPlace)
  | KeyClientMessage

export type ServerMessage =
  | { readonly type: 'welcome'; readonly level: Durability; readonly path: string }
  | { readonly type: 'session'; readonly ref: number }
  | ({ readonly type: 'refused'; readonly ref: number } & Refused)
  | {
      readonly type: 'opened'
      readonly channel: number
      readonly chain: Uint8Array
      readonly level: Durability
      readonly head: Head
      /** What the server has at the seq of the client's head. */
      readonly resume: Uint8Array | undefined
    }
  | { readonly type: 'record'; readonly channel: number; readonly level: Durability; readonly bytes: Uint8Array }
  | {
      readonly type: 'own'
      readonly channel: number
      readonly level: Durability
      readonly id: number
      readonly index: number
      readonly head: Uint8Array
    }
  | { readonly type: 'ack'; readonly channel: number; readonly bytes: Uint8Array }
  | {
      readonly type: 'answers'
      readonly channel: number
      readonly id: number
      readonly answers: readonly EntryAnswer[]
    }
  | { readonly type: 'synced'; readonly channel: number; readonly id: number }
  | ({ readonly type: 'closed'; readonly channel: number } & Refused)
  /** The chain is at another server, as the ring says or because it was moved there. */
  | { readonly type: 'redirect'; readonly channel: number; readonly why: 'ring' | 'moved'; readonly url: string }
  | { readonly type: 'rekey'; readonly bytes: Uint8Array }
  | { readonly type: 'body'; readonly channel: number; readonly id: number; readonly bytes: Uint8Array }
  | KeyServerMessage

export function writeClientMessage(out: ByteWriter, message: ClientMessage): void {
  switch (message.type) {
    case 'session':
      out.u8(1)
      out.varint(message.ref)
      out.sized(message.proof)
      return
    case 'open':
      out.u8(2)
      out.varint(message.channel)
      out.varint(message.session)
      out.sized(utf8(message.name))
      out.sized(message.chain ?? NOTHING)
      out.varint(message.head ? message.head.seq + 1 : 0)
      out.raw(message.head?.hash ?? NO_HASH)
      out.sized(message.genesis ?? NOTHING)
      out.u8(message.bodies === 'all' ? 0 : 1)
      return
    case 'submit':
      out.u8(3)
      out.varint(message.channel)
      out.varint(message.id)
      out.u8(message.isLast ? 1 : 0)
      out.u8(message.kind)
      out.sized(message.payload)
      return
    case 'credit':
      out.u8(4)
      out.varint(message.channel)
      out.varint(message.bytes)
      return
    case 'sync':
      out.u8(5)
      out.varint(message.channel)
      out.varint(message.id)
      return
    case 'leave':
      out.u8(6)
      out.varint(message.channel)
      return
    case 'take':
      out.u8(9)
      out.varint(message.channel)
      out.varint(message.id)
      return
    case 'taken':
      out.u8(10)
      out.varint(message.channel)
      out.varint(message.id)
      out.varint(message.head ? message.head.seq + 1 : 0)
      out.raw(message.head?.hash ?? NO_HASH)
      return
    case 'offer':
      out.u8(11)
      out.varint(message.channel)
      out.varint(message.session)
      out.sized(utf8(message.name))
      return
    case 'rekey':
      out.u8(7)
      out.sized(message.bytes)
      return
    case 'body':
      out.u8(8)
      for (const part of [message.channel, message.id, message.record, message.block, message.offset, message.size])
        out.varint(part)
      return
    default:
      writeKeyClientMessage(out, message)
  }
}

export function writeServerMessage(out: ByteWriter, message: ServerMessage): void {
  switch (message.type) {
    case 'welcome':
      out.u8(32)
      out.u8(LEVELS.indexOf(message.level))
      out.sized(utf8(message.path))
      return
    case 'session':
      out.u8(33)
      out.varint(message.ref)
      return
    case 'opened':
      out.u8(34)
      out.varint(message.channel)
      out.raw(message.chain)
      out.u8(LEVELS.indexOf(message.level))
      out.varint(message.head.seq + 1)
      out.raw(message.head.hash)
      out.raw(message.resume ?? NO_HASH)
      return
    case 'record':
      out.u8(35)
      out.varint(message.channel)
      out.u8(LEVELS.indexOf(message.level))
      out.sized(message.bytes)
      return
    case 'own':
      out.u8(36)
      out.varint(message.channel)
      out.u8(LEVELS.indexOf(message.level))
      out.varint(message.id)
      out.varint(message.index)
      out.raw(message.head)
      return
    case 'ack':
      out.u8(37)
      out.varint(message.channel)
      out.sized(message.bytes)
      return
    case 'answers':
      out.u8(38)
      out.varint(message.channel)
      out.varint(message.id)
      out.varint(message.answers.length)
      for (const answer of message.answers) writeAnswer(out, answer)
      return
    case 'synced':
      out.u8(39)
      out.varint(message.channel)
      out.varint(message.id)
      return
    case 'closed':
      out.u8(40)
      out.varint(message.channel)
      writeRefused(out, message)
      return
    case 'body':
      out.u8(43)
      out.varint(message.channel)
      out.varint(message.id)
      out.sized(message.bytes)
      return
    case 'rekey':
      out.u8(41)
      out.sized(message.bytes)
      return
    case 'redirect':
      out.u8(44)
      out.varint(message.channel)
      out.u8(message.why === 'moved' ? 1 : 0)
      out.sized(utf8(message.url))
      return
    case 'refused':
      out.u8(42)
      out.varint(message.ref)
      writeRefused(out, message)
      return
    default:
      writeKeyServerMessage(out, message)
  }
}

/** The messages of one frame. Their bytes are views of it. @throws AteError BAD_MESSAGE */
export function* clientMessagesIn(frame: Uint8Array): Generator<ClientMessage, void, void> {
  const input = new ByteReader(frame)
  while (input.left > 0) yield parsed(() => readClientMessage(input))
}

/** The messages of one frame. Their bytes are views of it. @throws AteError BAD_MESSAGE */
export function* serverMessagesIn(
  frame: Uint8Array,
  input: ByteReader = new ByteReader(frame),
): Generator<ServerMessage, void, void> {
  while (input.left > 0) yield parsed(() => readServerMessage(input))
}

function parsed<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (cause instanceof AteError && cause.code === 'BAD_MESSAGE') throw cause
    throw new AteError('BAD_MESSAGE', {}, { cause })
  }
}

function readClientMessage(input: ByteReader): ClientMessage {
  const type = input.u8()
  switch (type) {
    case 1:
      return { type: 'session', ref: input.varint(), proof: input.sized(PROOF_BYTES_MAX) }
    case 2:
      return readOpen(input)
    case 3: {
      const channel = input.varint()
      const id = input.varint()
      const isLast = input.u8() === 1
      const kind = input.u8()
      if (kind <= KIND.genesis || kind > KIND.recover) throw new AteError('BAD_MESSAGE', { kind })
      return { type: 'submit', channel, id, isLast, kind: kind as Kind, payload: input.sized(RECORD_BYTES_MAX) }
    }
    case 4:
      return { type: 'credit', channel: input.varint(), bytes: input.varint() }
    case 5:
      return { type: 'sync', channel: input.varint(), id: input.varint() }
    case 6:
      return { type: 'leave', channel: input.varint() }
    case 7:
      return { type: 'rekey', bytes: input.sized(REKEY_BYTES_MAX) }
    case 9:
      return { type: 'take', channel: input.varint(), id: input.varint() }
    case 10:
      return { type: 'taken', channel: input.varint(), id: input.varint(), head: readHead(input) }
    case 11: {
      const channel = input.varint()
      const session = input.varint()
      return { type: 'offer', channel, session, name: fromUtf8(input.sized(CHAIN_NAME_BYTES_MAX)) }
    }
    case 8: {
      const [channel, id] = [input.varint(), input.varint()]
      const place = { record: input.varint(), block: input.varint(), offset: input.varint(), size: input.varint() }
      if (place.size > BODY_BYTES_MAX) throw new AteError('BAD_MESSAGE', { what: 'size of a body', size: place.size })
      return { type: 'body', channel, id, ...place }
    }
    default:
      return readKeyClientMessage(type, input)
  }
}

function readOpen(input: ByteReader): ClientMessage {
  const channel = input.varint()
  const session = input.varint()
  const name = fromUtf8(input.sized(CHAIN_NAME_BYTES_MAX))
  const chain = optional(input.sized(32))
  if (chain && chain.length !== 32) throw new AteError('BAD_MESSAGE', { what: 'chain id' })
  const head = readHead(input)
  const genesis = optional(input.sized(GENESIS_BYTES_MAX))
  const bodies = input.u8() === 0 ? 'all' : 'on-demand'
  return { type: 'open', channel, session, name, chain, head, genesis, bodies }
}

function readServerMessage(input: ByteReader): ServerMessage {
  const type = input.u8()
  switch (type) {
    case 32:
      return { type: 'welcome', level: readLevel(input), path: fromUtf8(input.sized(PATH_BYTES_MAX)) }
    case 33:
      return { type: 'session', ref: input.varint() }
    case 34: {
      const channel = input.varint()
      const chain = input.raw(32).slice()
      const level = readLevel(input)
      const head = readHead(input)
      if (!head) throw new AteError('BAD_MESSAGE', { what: 'an empty log' })
      const resume = input.raw(32).slice()
      return {
        type: 'opened',
        channel,
        chain,
        level,
        head,
        resume: resume.some((byte) => byte !== 0) ? resume : undefined,
      }
    }
    case 35:
      return { type: 'record', channel: input.varint(), level: readLevel(input), bytes: input.sized(GENESIS_BYTES_MAX) }
    case 36:
      return {
        type: 'own',
        channel: input.varint(),
        level: readLevel(input),
        id: input.varint(),
        index: input.varint(),
        head: input.raw(RECORD_HEAD_BYTES),
      }
    case 37:
      return { type: 'ack', channel: input.varint(), bytes: input.sized(ACK_BYTES_MAX) }
    case 38:
      return { type: 'answers', channel: input.varint(), id: input.varint(), answers: readAnswers(input) }
    case 39:
      return { type: 'synced', channel: input.varint(), id: input.varint() }
    case 40:
      return { type: 'closed', channel: input.varint(), ...readRefused(input) }
    case 41:
      return { type: 'rekey', bytes: input.sized(REKEY_BYTES_MAX) }
    case 43:
      return { type: 'body', channel: input.varint(), id: input.varint(), bytes: input.sized(BODY_BYTES_MAX) }
    case 44: {
      const channel = input.varint()
      const why = input.u8() === 1 ? 'moved' : 'ring'
      return { type: 'redirect', channel, why, url: fromUtf8(input.sized(PATH_BYTES_MAX)) }
    }
    case 42:
      return { type: 'refused', ref: input.varint(), ...readRefused(input) }
    default:
      return readKeyServerMessage(type, input)
  }
}

function readHead(input: ByteReader): Head | undefined {
  const next = input.varint()
  const hash = input.raw(32).slice()
  return next === 0 ? undefined : { seq: next - 1, hash }
}

function readLevel(input: ByteReader): Durability {
  const level = LEVELS[input.u8()]
  if (!level) throw new AteError('BAD_MESSAGE', { what: 'level' })
  return level
}

function writeAnswer(out: ByteWriter, answer: EntryAnswer): void {
  if ('seq' in answer) {
    out.varint(0)
    out.varint(answer.seq)
    return
  }
  out.varint(answer.refused.length)
  for (const refusal of answer.refused) writeRefused(out, refusal)
}

function readAnswers(input: ByteReader): readonly EntryAnswer[] {
  const count = input.varint()
  if (count > SUBMISSION_ENTRIES_MAX) throw new AteError('BAD_MESSAGE', { what: 'answers', count })
  const answers: EntryAnswer[] = []
  for (let i = 0; i < count; i++) {
    const refusals = input.varint()
    if (refusals > COMMIT_TXS_MAX) throw new AteError('BAD_MESSAGE', { what: 'refusals', count: refusals })
    if (refusals === 0) {
      answers.push({ seq: input.varint() })
      continue
    }
    const refused: Refusal[] = []
    for (let k = 0; k < refusals; k++) refused.push(readRefused(input))
    answers.push({ refused })
  }
  return answers
}

function optional(bytes: Uint8Array): Uint8Array | undefined {
  return bytes.length === 0 ? undefined : bytes.slice()
}
