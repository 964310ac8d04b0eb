/**
 * Seals bodies again under the newest epoch of their node: where history is live, that is how members who came later get
 * to read what was there before. A body is copied as it is; only its key changes, and its version counts on.
 */
import { AteError, throwIfAborted } from '../base/errors.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import { type EntityWords, textOfWords } from '../event/entity-words.ts'
import { OP } from '../event/format.ts'
import { mayWrite, nodeWith } from '../trust/policy.ts'
import { NO_RECORD, PENDING, ROW } from '../view/entity-table.ts'
import { Draft } from './draft.ts'

const LIMIT = 500

export async function resealNode(
  core: ChainCore,
  node: EntityWords,
  options: { readonly limit?: number; readonly signal?: AbortSignal },
): Promise<{ readonly resealed: number; readonly left: number }> {
  const { view } = core.replica
  await core.settled()
  const row = view.findLive(node.a, node.b, node.c, node.d)
  if (row < 0) throw new AteError('NOT_FOUND', { entity: textOfWords(node) })
  const stale = await staleRows(core, row, options.signal)
  const rows = stale.filter((one) => mayWrite(view, one, core.identityName)).slice(0, options.limit ?? LIMIT)
  if (rows.length === 0) return { resealed: 0, left: stale.length }
  const draft = new Draft(core)
  for (const one of rows) await addBody(core, draft, one)
  await new Promise((resolve, reject) => {
    const refusal = core.stage(draft, core.durability, { resolve, reject })
    if (refusal) reject(new AteError(refusal.code, refusal.facts))
  })
  return { resealed: rows.length, left: stale.length - rows.length }
}

/** Rows whose read node is `node` and whose body an older epoch seals. */
async function staleRows(core: ChainCore, node: number, signal: AbortSignal | undefined): Promise<number[]> {
  const { view, trust } = core.replica
  const newest = trust.newestEpoch(node)?.number
  const stale: number[] = []
  for (let row = 1; newest !== undefined && row < view.table.rows; row++) {
    throwIfAborted(signal)
    const record = view.table.get(row, ROW.record)
    if (record === PENDING || record === NO_RECORD || view.isDead(row) || nodeWith(view, 'read', row) !== node) continue
    const block = view.table.get(row, ROW.blockAndFlags) & 0xff
    if ((await core.bodies.placesOf(record)).blocks[block]!.epoch < newest) stale.push(row)
  }
  return stale
}

async function addBody(core: ChainCore, draft: Draft, row: number): Promise<void> {
  const { view } = core.replica
  const at = view.table.offsetOf(row)
  const words = view.table.chunkOf(row).slice(at, at + ROW.subtree + 1)
  const body = await core.bodies.read({
    record: words[ROW.record]!,
    block: words[ROW.blockAndFlags]! & 0xff,
    offset: words[ROW.offset]!,
    size: words[ROW.size]!,
    hash: words,
    hashAt: ROW.hash,
  })
  const event = draft.add(OP.put, view.wordsOf(row))
  event.version = words[ROW.version]! + 1
  draft.setRawBody(event, body)
}
