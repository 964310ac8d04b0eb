/** Small attacks on messages, from which tests make theirs. */
import type { ServerMessage } from '../../src/mesh/messages.ts'
import type { Line, Tamper } from './evil-kit.ts'

export type RecordMessage = ServerMessage & { readonly type: 'record' }

/** The seq in the head of a record. */
export function seqOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(4)
}

/** Changes the messages of one type to the client. */
export function onMessage<T extends ServerMessage['type']>(
  type: T,
  change: (message: ServerMessage & { readonly type: T }, line: Line) => readonly ServerMessage[],
): Tamper {
  return {
    toClient: (message, line) =>
      message.type === type ? change(message as ServerMessage & { readonly type: T }, line) : [message],
  }
}

export function onRecords(change: (record: RecordMessage, seq: number) => readonly ServerMessage[]): Tamper {
  return onMessage('record', (record) => change(record, seqOf(record.bytes)))
}

/** One bit of the record `seq`, counted from the end where `at` is below 0. */
export function flipAt(seq: number, at: number): Tamper {
  return onRecords((record, found) => {
    if (found !== seq) return [record]
    const bytes = record.bytes.slice()
    bytes[at < 0 ? bytes.length + at : at]! ^= 1
    return [{ ...record, bytes }]
  })
}

/** One record more than there is. */
export function tail(record: () => Uint8Array): Tamper {
  const bytes = record()
  return {
    toClient(message) {
      if (message.type === 'opened') return [{ ...message, head: { ...message.head, seq: seqOf(bytes) } }]
      if (message.type === 'ack') return []
      if (message.type !== 'record' || seqOf(message.bytes) !== seqOf(bytes) - 1) return [message]
      return [message, { ...message, bytes }]
    },
  }
}
