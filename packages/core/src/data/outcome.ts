/** What became of a transaction that this process does not remember: the log knows for ever. */
import { throwIfAborted } from '../base/errors.ts'
import { toBase32 } from '../base/ids.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import { timeOfCommit } from '../chain/replica.ts'
import type { Receipt } from '../chain/staged.ts'
import { CommitParser } from '../event/commit-parse.ts'
import { KIND } from '../event/format.ts'
import { parseRecordHead } from '../event/record.ts'

export async function outcomeInLog(
  core: ChainCore,
  txId: string,
  signal: AbortSignal | undefined,
): Promise<Receipt | undefined> {
  const parser = new CommitParser(core.crypto)
  const { replica, engine } = core
  const until = replica.head.seq
  let chainTime = 0
  for await (const chunk of engine.read(0, signal ? { signal } : {})) {
    for (const { bytes, seq } of chunk) {
      throwIfAborted(signal)
      const { kind, admittedAt } = parseRecordHead(bytes)
      if (kind === KIND.genesis) chainTime = admittedAt
      if (seq > until || kind !== KIND.commit) continue
      const commit = parser.parse(replica.chainId, bytes)
      const at = timeOfCommit(chainTime, admittedAt, commit.at)
      const voids = replica.voids.get(seq)
      const index = commit.transactions.findIndex(({ nonce }) => toBase32(nonce) === txId)
      if (index >= 0 && !voids?.has(index)) return { seq, txId, durability: core.durability, at }
      if ((voids?.size ?? 0) < commit.transactions.length) chainTime = at
    }
  }
  return undefined
}
