/** A transaction's part of a proof: its leaf in the tree that its author signed, and the leaf that its events point into. */
import { concatBytes, toBase64 } from '../base/bytes.ts'
import { inclusionProof, leafHash, treeRoot } from '../crypto/merkle.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import type { CommitSpans, Span, TransactionSpans } from '../event/commit-spans.ts'
import { base64All, type TransactionPart } from './proof-format.ts'

interface PartSource {
  /** Of the record, up to the end of its clear part. */
  readonly bytes: Uint8Array
  readonly spans: CommitSpans
  /** Number of the transaction in the commit. */
  readonly index: number
  /** Number of the run that comes alone; all of them if left out. */
  readonly run: number | undefined
}

export function transactionPart(crypto: CryptoProvider, { bytes, spans, index, run }: PartSource): TransactionPart {
  const of = (span: Span): Uint8Array => bytes.subarray(span.from, span.to)
  const leaf = (kind: number, span: Span): Uint8Array => concatBytes(Uint8Array.of(kind), of(span))
  const rootOf = ({ runs }: TransactionSpans): Uint8Array =>
    treeRoot(
      crypto,
      runs.map((span) => leaf(3, span)),
    )
  const hashes = [
    leaf(0, spans.dictionary),
    ...spans.blocks.map((span) => leaf(1, span)),
    ...spans.transactions.map((each) => concatBytes(leaf(2, each.head), rootOf(each))),
  ].map((content) => leafHash(crypto, content))
  const transaction = spans.transactions[index]!
  const { runs, head } = transaction
  const at = 1 + spans.blocks.length + index
  const alone = run !== undefined && runs.length > 1
  const common = {
    head: toBase64(of(head)),
    index: at,
    size: hashes.length,
    path: base64All(inclusionProof(crypto, hashes, at)),
    dictionary: toBase64(of(spans.dictionary)),
    dictionaryPath: base64All(inclusionProof(crypto, hashes, 0)),
    runCount: runs.length,
  }
  if (!alone) return { ...common, runs: base64All(runs.map(of)), runIndex: 0 }
  const runHashes = runs.map((span) => leafHash(crypto, leaf(3, span)))
  return {
    ...common,
    runs: [toBase64(of(runs[run]!))],
    runIndex: run,
    runRoot: toBase64(rootOf(transaction)),
    runPath: base64All(inclusionProof(crypto, runHashes, run)),
  }
}
