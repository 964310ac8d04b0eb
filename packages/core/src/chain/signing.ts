/** What is staged as signed commits, one behind the other under one certificate, for a server to order. */
import { COMMIT, RECORD_HEAD_BYTES } from '../event/format.ts'
import type { ChainCore } from './chain-core.ts'
import { OpenChanges } from './dependence.ts'
import type { KeptWriting } from './kept-writing.ts'
import type { Sent } from './sent.ts'
import type { Batch } from './staged.ts'
import type { UnderWay } from './under-way.ts'

/** What is signed for, with what, and where it goes. */
export interface Pen {
  readonly core: ChainCore
  readonly kept: KeptWriting
  readonly underWay: UnderWay
}

/** Signs what builds on nothing that is open: at most so many transactions. */
export function signReady(pen: Pen, max: number): readonly Sent[] {
  const { core, underWay } = pen
  const { staging } = core
  if (staging.isEmpty || !mayBuild(pen)) return []
  const open = new OpenChanges()
  for (const { batch, restored } of underWay.sent) {
    // Nobody knows any more what it has seen and changed.
    if (restored) return []
    for (const { draft } of batch.transactions) open.add(draft)
  }
  let room = max
  const batches = staging.takeReady((draft) => {
    const isReady = room > 0 && !open.isUnder(draft)
    if (isReady) room--
    // What waits keeps those waiting that build on it.
    open.add(draft)
    return isReady
  })
  return batches.map((batch) => signBatch(pen, batch))
}

/** A successor certificate starts its numbers anew, so all that was sent under the one before it has to come back first. */
function mayBuild({ core, kept, underWay }: Pen): boolean {
  const { time } = core.staging
  const writer = kept.writer!
  if (underWay.sent.length > 0) return writer.isGood(time)
  writer.renew(time)
  return true
}

/** It goes into what is under way, and into the outbox if somebody waits for that. */
export function signBatch({ core, kept, underWay }: Pen, batch: Batch): Sent {
  const { replica, observing } = core
  const last = underWay.sent.at(-1)
  const number = last ? last.number + 1 : kept.writer!.current.certificate.mark + 1
  const started = observing.start('seal')
  const commit = kept.sign(batch, number, last ? 'behind another' : 'first')
  observing.sealed(started, batch, commit.bytes)
  replica.signatures.made(commit.commitHash, commit.bytes.slice(COMMIT.sig, COMMIT.sig + 64))
  const payload = commit.bytes.slice(RECORD_HEAD_BYTES)
  const sent: Sent = { number, batch, payload, hash: commit.commitHash, isKept: false }
  underWay.sent.push(sent)
  if (batch.transactions.some((staged) => staged.settlers.some((settler) => settler.kept))) kept.keepUpTo(sent)
  return sent
}
