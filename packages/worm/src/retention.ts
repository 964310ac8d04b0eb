/** Longer, stronger, held, released: each in one transaction with a note that stays. */
import { AteError, type Chain, type Duration, HOLDS, type Transaction } from '@ate/core'
import type { Context, WriteOptions } from './context.ts'
import type { Mode } from './manifest.ts'
import { note } from './notes.ts'
import { find, mattersOf, type Ref, type Stored, storedOf } from './objects.ts'
import { RetentionError } from './retention-error.ts'
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
): Promise<Stored> {
  const { id, manifest } = await find(context, ref, options.signal)
  const archive = await context.ensure(options.signal)
  if (options.mode !== undefined && options.mode !== 'compliance')
    throw new AteError('BAD_ARGUMENT', { option: 'mode', words: ['compliance'] })
  if (options.reason !== undefined) checkReason(options.reason)
  await context.write(options, async (tx) => {
    const at = untilOf(until, context.now(tx, archive))
    const { until: before } = context.chain.retention(id)
    if (at < before) throw new AteError('RETAIN_SHRINKS', { until: before })
    const mode: { lock?: Mode } = options.mode === undefined ? {} : { lock: options.mode }
    tx.retain(id, { retain: at, ...mode })
    note(tx, archive, {
      act: 'extend',
      name: manifest.name,
      version: id,
      until: at,
      ...(options.mode === undefined ? {} : { mode: options.mode }),
      ...(options.reason === undefined ? {} : { reason: options.reason }),
    })
  })
  return again(context, { name: manifest.name, version: id })
}

export interface HoldOptions extends WriteOptions {
  readonly reason?: string
}

/** Until it is released. What a matter holds already it holds. @throws AteError NOT_FOUND | BAD_ARGUMENT | NOT_AUTHORIZED */
export async function hold(context: Context, ref: Ref, matter: string, options: HoldOptions): Promise<Stored> {
  const { id, manifest } = await find(context, ref, options.signal)
  const archive = await context.ensure(options.signal)
  checkText(matter, 'a matter')
  const reason = options.reason === undefined ? {} : { reason: checkReason(options.reason) }
  await context.write(options, async (tx) => {
    if (await holdIn(context.chain, tx, id, matter)) return
    tx.hold(id, HoldType, { matter, at: context.now(tx, archive), ...reason }, { name: matter })
    note(tx, archive, { act: 'hold', name: manifest.name, version: id, matter, ...reason })
  })
  return again(context, { name: manifest.name, version: id })
}

/** @throws AteError NOT_FOUND (there is no such hold) | BAD_ARGUMENT | NOT_AUTHORIZED */
export async function release(
  context: Context,
  ref: Ref,
  matter: string,
  options: WriteOptions & { readonly reason: string },
): Promise<Stored> {
  const { id, manifest } = await find(context, ref, options?.signal)
  const archive = await context.ensure(options?.signal)
  checkText(matter, 'a matter')
  const reason = checkReason(options?.reason)
  await context.write(options, async (tx) => {
    const found = await holdIn(context.chain, tx, id, matter)
    if (!found) throw new AteError('NOT_FOUND', { name: manifest.name, matter, what: 'a hold' })
    tx.delete(found)
    note(tx, archive, { act: 'release', name: manifest.name, version: id, matter, reason })
  })
  return again(context, { name: manifest.name, version: id })
}

/** Read within the transaction, so that two who put or release the same find out. */
async function holdIn(chain: Chain, tx: Transaction, id: string, matter: string): Promise<string | undefined> {
  const named = await chain.named(HoldType, matter, { parent: id, in: HOLDS })
  return named && (await tx.get(HoldType, named.id))?.id
}

async function again(context: Context, ref: Ref): Promise<Stored> {
  return storedOf(context.chain, await find(context, ref))
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
