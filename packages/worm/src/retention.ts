/** Longer, stronger, held, released: each in one transaction with a note that stays. */
import { AteError, type Chain, type Duration, HOLDS, type Transaction } from '@ate/core'
import type { Context, WriteOptions } from './context.ts'
import { dateOf } from './manifest.ts'
import { note } from './notes.ts'
import { type Found, find, mattersOf, type Ref, type Stored, storedOf } from './objects.ts'
import { RetentionError } from './retention-error.ts'
import { findStaged, noteStaged, type Staged } from './staged.ts'
import { HoldType } from './worm-records.ts'
import { checkText, untilOf } from './worm-rules.ts'

const REASON_BYTES_MAX: number = 64 * 1024

export function checkReason(reason: unknown): string {
  return checkText(reason, 'a reason', REASON_BYTES_MAX)
}

export interface ExtendOptions extends WriteOptions {
  /** From now on nobody may end it early. */
  readonly mode?: 'compliance'
  readonly reason?: string
}

/** @throws AteError NOT_FOUND | RETAIN_SHRINKS | BAD_ARGUMENT | NOT_AUTHORIZED */
export async function extend(
  context: Context,
  ref: Ref,
  until: Date | Duration,
  options: ExtendOptions,
): Promise<Stored | Staged | undefined> {
  if (options.mode !== undefined && options.mode !== 'compliance')
    throw new AteError('BAD_ARGUMENT', { option: 'mode', words: ['compliance'] })
  const reason = options.reason === undefined ? {} : { reason: checkReason(options.reason) }
  const mode = options.mode === undefined ? {} : { mode: options.mode }
  return change(context, ref, options, async (tx, { archive, name, version }) => {
    const at = untilOf(until, context.now(tx, archive))
    // Of what the transaction has put the chain's rules say it.
    const { until: before } = context.chain.has(version) ? context.chain.retention(version) : { until: 0 }
    if (at < before) throw new AteError('RETAIN_SHRINKS', { until: before })
    tx.retain(version, { retain: at, ...(options.mode === undefined ? {} : { lock: options.mode }) })
    note(tx, archive, { act: 'extend', name, version, until: at, ...mode, ...reason })
    return { retainUntil: dateOf(at), ...mode }
  })
}

export interface HoldOptions extends WriteOptions {
  readonly reason?: string
}

/** Until it is released. What a matter holds already it holds. @throws AteError NOT_FOUND | BAD_ARGUMENT | NOT_AUTHORIZED */
export async function hold(
  context: Context,
  ref: Ref,
  matter: string,
  options: HoldOptions,
): Promise<Stored | Staged | undefined> {
  checkText(matter, 'a matter')
  const reason = options.reason === undefined ? {} : { reason: checkReason(options.reason) }
  return change(context, ref, options, async (tx, { archive, name, version, holds }) => {
    if (await holdIn(tx, version, matter)) return {}
    tx.hold(version, HoldType, { matter, at: context.now(tx, archive), ...reason }, { name: matter })
    note(tx, archive, { act: 'hold', name, version, matter, ...reason })
    return { holds: [...holds, matter] }
  })
}

/** @throws AteError NOT_FOUND (there is no such hold) | BAD_ARGUMENT | NOT_AUTHORIZED */
export async function release(
  context: Context,
  ref: Ref,
  matter: string,
  options: WriteOptions & { readonly reason: string },
): Promise<Stored | Staged | undefined> {
  checkText(matter, 'a matter')
  const reason = checkReason(options?.reason)
  return change(context, ref, options, async (tx, { archive, name, version, holds }) => {
    const found = await holdIn(tx, version, matter)
    if (!found) throw new AteError('NOT_FOUND', { name, matter, what: 'a hold' })
    tx.delete(found)
    note(tx, archive, { act: 'release', name, version, matter, reason })
    return { holds: holds.filter((one) => one !== matter) }
  })
}

/** Changes how an object is kept: one that stands, or with `tx` one that the same transaction has put. */
async function change(
  context: Context,
  ref: Ref,
  options: WriteOptions,
  run: (tx: Transaction, before: Staged & { readonly archive: string }) => Promise<Partial<Staged>>,
): Promise<Stored | Staged | undefined> {
  const { tx: target, signal } = options
  // What is not there is said before anything is made for it.
  if (target === undefined || (await context.archive(signal)) === undefined) await find(context, ref, signal)
  const archive = await context.ensure(signal)
  const changed = await context.write(options, async (tx) => {
    const put = findStaged(tx, archive, ref)
    const before = put ?? (await stagedOf(context, await find(context, ref, signal)))
    const after = { ...before, ...(await run(tx, { ...before, archive })) }
    if (put) noteStaged(tx, archive, after)
    return after
  })
  if (target !== undefined || !changed) return changed
  return storedOf(context.chain, await find(context, { name: changed.name, version: changed.version }))
}

async function stagedOf({ chain }: Context, found: Found): Promise<Staged> {
  const { seq: _, at: __, ...staged } = await storedOf(chain, found)
  return staged
}

/** Read within the transaction, so that two who put or release the same find out. */
async function holdIn(tx: Transaction, version: string, matter: string): Promise<string | undefined> {
  return (await tx.named(HoldType, matter, { parent: version, in: HOLDS }))?.id
}

/** By what is acknowledged: says until when and by which matters. @throws RetentionError */
export async function assertNotKept(
  chain: Chain,
  { id, name }: { readonly id: string; readonly name: string },
  { now, bypass }: { readonly now: number; readonly bypass: boolean },
): Promise<void> {
  const { until, lock, holds, held } = chain.retention(id)
  const matters = holds.length + held === 0 ? [] : [...holds, ...(await mattersOf(chain, id))]
  const isOpen = until <= now || (bypass && lock === 'governance')
  if (!isOpen || matters.length > 0) throw new RetentionError({ name, until, holds: matters })
}
