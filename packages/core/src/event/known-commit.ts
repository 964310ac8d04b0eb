/** A commit out of bytes that were verified before, as whoever has their hash can tell: no root is worked out again. */
import { COMMIT_EVENTS_MAX, COMMIT_TXS_MAX } from '../base/limits.ts'
import { ByteReader } from '../codec/writer.ts'
import {
  bounded,
  type KnownCommit,
  parseHead,
  readBlocks,
  readDictionary,
  readEvent,
  readGuards,
} from './commit-parse.ts'
import type { ParsedTransaction, TransactionEvent } from './transaction-event.ts'

/** As CommitParser.parse. @throws AteError BAD_RECORD | BAD_CBOR | UNSUPPORTED_FORMAT */
export function parseKnown(bytes: Uint8Array): KnownCommit {
  const { clearAt, ...head } = parseHead(bytes)
  const input = new ByteReader(bytes, clearAt, head.clearEnd)
  const dictionary = readDictionary(input)
  const blocks = readBlocks(input, dictionary, { ...head, clearAt }, bytes, () => undefined)
  const filled = blocks.map(() => 0)
  const transactions: ParsedTransaction[] = []
  for (let left = bounded(input, COMMIT_TXS_MAX, 'transactions'); left > 0; left--) {
    const nonce = input.raw(16)
    const guards = readGuards(input, dictionary)
    const events: TransactionEvent[] = []
    for (let more = bounded(input, COMMIT_EVENTS_MAX, 'events'); more > 0; more--)
      events.push(readEvent(input, dictionary, blocks, filled))
    transactions.push({ nonce, guards, events })
  }
  input.done()
  return { ...head, bytes, blocks, transactions }
}
