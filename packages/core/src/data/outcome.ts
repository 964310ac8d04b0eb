/** What became of a transaction that this process does not remember: the log knows for ever. */
import { throwIfAborted } from '../base/errors.ts'
import { toBase32 } from '../base/ids.ts'
import type { ChainCore } from '../chain/chain-core.ts'
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
  for await (const chunk of engine.read(0, signal ? { signal } : {})) {
    for (const { bytes, seq } of chunk) {
      throwIfAborted(signal)
      if (seq > until || parseRecordHead(bytes).kind !== KIND.commit) continue
      const commit = parser.parse(replica.chainId, bytes)
      const index = commit.transactions.findIndex(({ nonce }) => toBase32(nonce) === txId)
      if (index < 0 || replica.voids.get(seq)?.has(index)) continue
      return { seq, txId, durability: core.durability, at: commit.at }
    }
  }
  return undefined
}
