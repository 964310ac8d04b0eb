/**
 * The records of a log in small groups, each handed on when the signatures of its commits are answered, and the hashes of its
 * large bodies: the platform's other threads work on one group while the fold works on the one before it.
 *
 * Bounded: at most two groups are on their way. What is asked is bound to its answer by signature-answers.ts and body-answers.ts.
 */
import { toBinaryText } from '../base/bytes.ts'
import { COMMIT, KIND, RECORD_HEAD_BYTES } from '../event/format.ts'
import { commitHashOf } from '../event/record.ts'
import type { LogRecord } from '../log/engine.ts'
import type { Replica } from './replica.ts'

/** Short, because what else waits for the threads (a sync, a file) stands behind two groups: 12 ms on two cores. */
const GROUP_RECORDS = 128
/** The fold of a group does not let the event loop turn: 10 ms for one of this size. */
const GROUP_BYTES: number = 1024 * 1024

/**
 * Gives `chunks` on, for `replicaOf()` to accept record by record; it may be undefined until the first record was read.
 * Bytes are valid until the next group is asked for.
 */
export async function* verifyAhead(
  chunks: AsyncIterable<readonly LogRecord[]>,
  replicaOf: () => Replica | undefined,
): AsyncGenerator<readonly LogRecord[], void, void> {
  try {
    for await (const chunk of chunks) {
      for (let from = 0, to = 0; from < chunk.length; from = to) {
        to = groupEnd(chunk, from)
        const group = chunk.slice(from, to)
        const replica = replicaOf()
        // One alone has nothing to be folded meanwhile: the way to another thread and back takes longer than the check.
        if (replica && chunk.length > 1) {
          // Again for this group: the fold of the one before may have brought the certificates.
          askAll(replica, chunk.slice(from, groupEnd(chunk, to)))
          await Promise.all(answersFor(replica, group))
        }
        yield group
      }
    }
  } finally {
    replicaOf()?.signatures.clear()
    replicaOf()?.hashedBodies.clear()
  }
}

/** At least one record. */
function groupEnd(chunk: readonly LogRecord[], from: number): number {
  let bytes = 0
  let to = from
  while (to < chunk.length && to - from < GROUP_RECORDS && bytes < GROUP_BYTES) bytes += chunk[to++]!.bytes.length
  return to
}

function answersFor({ signatures, hashedBodies }: Replica, records: readonly LogRecord[]): Promise<void>[] {
  const answers: Promise<void>[] = []
  for (const { seq } of records) {
    const [signature, bodies] = [signatures.done(seq), hashedBodies.done(seq)]
    if (signature) answers.push(signature)
    if (bodies) answers.push(bodies)
  }
  return answers
}

function askAll(replica: Replica, records: readonly LogRecord[]): void {
  for (const record of records) if (!replica.signatures.done(record.seq)) ask(replica, record)
}

/** Only under a certificate that the chain has: no other key can be known to be the one that the fold will use. */
function ask({ crypto, chainId, trust, signatures, hashedBodies }: Replica, record: LogRecord): void {
  const { seq, bytes } = record
  if (bytes.length < COMMIT.certificate || bytes[RECORD_HEAD_BYTES - 1] !== KIND.commit) return
  hashedBodies.ask(crypto, record)
  const writer = toBinaryText(bytes.subarray(COMMIT.writer, COMMIT.writer + 32))
  const verifier = trust.certificates.get(writer)?.verifier
  if (!verifier?.verifyLater) return
  signatures.ask(seq, verifier, commitHashOf(crypto, chainId, bytes), bytes.slice(COMMIT.sig, COMMIT.sig + 64))
}
