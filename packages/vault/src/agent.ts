/**
 * The rotation agent: runs where the keys are, and does what is due: new versions of secrets, leases that have expired, grants
 * that have ended. Several agents may run; one of them rotates a secret, because it claims it first.
 */
import { AteError, type Duration, durationMs, type Transaction } from '@ate/core'
import type { CallOptions, Context } from './context.ts'
import { type Issuer, reap } from './leases.ts'
import { checkNames } from './option-names.ts'
import { Secret } from './secret.ts'
import { tidy } from './tidy.ts'
import type { SecretValue } from './value-bytes.ts'
import { ClaimType, IN, type SecretRecord } from './vault-records.ts'
import { versionOf } from './vault-rules.ts'
import { placeIn } from './versions.ts'

/** How long others leave a secret alone that somebody is rotating, in ms. */
const CLAIM_MS = 120_000

export interface Rotation {
  readonly path: string
  readonly every: Duration
  /** Changes it at its source, and gives what is to be stored. */
  next(before: SecretValue | undefined, options: CallOptions): Promise<SecretValue>
  /** Older versions than this many, at least 1, are destroyed after a rotation; all are kept if left out. */
  readonly keep?: number
}

export interface AgentOptions extends CallOptions {
  readonly rotate?: readonly Rotation[]
  /** Their expired leases are taken back. */
  readonly issuers?: readonly Issuer[]
  /** Take out grants and memberships that have ended: for an agent that manages the vault. */
  readonly tidy?: 'yes' | 'no'
  /** Between two rounds; a minute if left out. */
  readonly every?: Duration
}

export interface AgentReport {
  readonly rotated: readonly string[]
  readonly reaped: number
  readonly tidied: number
  /**
   * What failed; the rest was done, and this is tried again in the next round. `prune PATH` is of a secret that was rotated:
   * its older versions are still there, and go after its next rotation.
   */
  readonly failures: readonly { readonly what: string; readonly error: unknown }[]
}

/** One round. */
export async function agentRound(context: Context, options: AgentOptions): Promise<AgentReport> {
  checkNames(options, 'agent')
  const call = options.signal ? { signal: options.signal } : {}
  const rotated: string[] = []
  const failures: { what: string; error: unknown }[] = []
  let reaped = 0
  let tidied = 0
  const attempt = async (what: string, run: () => Promise<void>): Promise<void> => {
    options.signal?.throwIfAborted()
    try {
      await run()
    } catch (error) {
      options.signal?.throwIfAborted()
      failures.push({ what, error })
    }
  }
  for (const rotation of options.rotate ?? [])
    await attempt(`rotate ${rotation.path}`, async () => {
      const secret = await rotate(context, rotation, call)
      if (!secret) return
      rotated.push(rotation.path)
      const { keep } = rotation
      // The new version is there, whatever becomes of the old ones.
      if (keep !== undefined) await attempt(`prune ${rotation.path}`, () => prune(secret, keep))
    })
  for (const issuer of options.issuers ?? [])
    await attempt(`reap ${issuer.name}`, async () => {
      const { count, failures: left } = await reap(context, issuer, call)
      reaped += count
      for (const { path, error } of left) failures.push({ what: `reap ${path}`, error })
    })
  if (options.tidy === 'yes')
    await attempt('tidy', async () => {
      tidied = await tidy(context, call)
    })
  return { rotated, reaped, tidied, failures }
}

/** Rounds until the signal aborts or the chain closes; what each did. */
export async function* agentRounds(
  context: Context,
  options: AgentOptions & { readonly signal: AbortSignal },
): AsyncGenerator<AgentReport, void, void> {
  const pause = durationMs(options.every ?? '1m', context.now)
  if (pause === 0) throw new AteError('BAD_ARGUMENT', { option: 'every', what: 'longer than nothing' })
  while (!options.signal.aborted) {
    try {
      yield await agentRound(context, options)
    } catch (error) {
      if (options.signal.aborted) return
      throw error
    }
    await context.makers.sleep(pause, options.signal)
  }
}

/** The secret, if it was due, and this agent did it. */
async function rotate(
  context: Context,
  { path, every, next, keep }: Rotation,
  call: CallOptions,
): Promise<Secret<SecretValue> | undefined> {
  const secret = new Secret<SecretValue>(context, path, undefined)
  // Before it is changed at its source.
  if (keep !== undefined && !(Number.isSafeInteger(keep) && keep >= 1))
    throw new AteError('BAD_ARGUMENT', { option: 'keep', what: 'a whole number from 1 on' })
  const claimed = await claim(context, path, durationMs(every, context.now), call)
  if (!claimed) return undefined
  const stop = new AbortController()
  const keeping = keepClaim(context, path, claimed, stop.signal)
  try {
    let before: SecretValue | undefined
    if (claimed.state === 'there') {
      before = (await secret.get({ version: claimed.latest, ...call })).value
    }
    const value = await next(before, call)
    stop.abort()
    await keeping
    await context.write(call, async (tx) => {
      const claim = await claimIn(context, tx, path)
      if (claim.until !== claimed.until) throw new AteError('LEASE_LOST', { path })
      claim.drop()
      await secret.put(value, { cas: claimed.latest, tx })
    })
  } catch (error) {
    stop.abort()
    await keeping
    // What failed is the news; a claim that stays ends by itself.
    await context.write({}, (tx) => dropClaim(context, tx, path, claimed)).catch(() => undefined)
    throw error
  }
  return secret
}

interface Claimed {
  readonly latest: number
  readonly state: 'there' | 'none'
  /** Until when it stands: the newest one that this agent wrote. */
  until: number
}

/** Undefined if it is not due, or somebody else does it. */
async function claim(context: Context, path: string, everyMs: number, call: CallOptions): Promise<Claimed | undefined> {
  return context.write(call, async (tx) => {
    const { record, ...claim } = await claimIn(context, tx, path)
    const { now } = context
    const newest = record && versionOf(record, undefined)
    const isLive = newest !== undefined && context.chain.has(newest.value) && newest.deleted === undefined
    if (isLive && newest.at + everyMs > now) return undefined
    if (claim.until !== undefined && claim.until > now) return undefined
    const until = now + CLAIM_MS
    claim.set(until)
    const isReadable = isLive && (newest.expires === undefined || newest.expires > now)
    return { latest: record?.latest ?? 0, state: isReadable ? 'there' : 'none', until }
  })
}

/** As long as it is being changed at its source, however long that takes. Who has lost the claim is told when he writes. */
async function keepClaim(context: Context, path: string, claimed: Claimed, signal: AbortSignal): Promise<void> {
  for (;;) {
    await context.makers.sleep(CLAIM_MS / 3, signal)
    if (signal.aborted) return
    if (claimed.until - context.now > (CLAIM_MS * 2) / 3) continue
    try {
      const until = await context.write({ signal }, async (tx) => {
        const claim = await claimIn(context, tx, path)
        if (claim.until !== claimed.until) return undefined
        const next = context.now + CLAIM_MS
        claim.set(next)
        return next
      })
      if (until === undefined) return
      claimed.until = until
    } catch {
      // Tried again while there is time; if it was lost by then, the write says so.
    }
  }
}

/** If it is still this agent's. */
async function dropClaim(context: Context, tx: Transaction, path: string, { until }: Claimed): Promise<void> {
  const claim = await claimIn(context, tx, path)
  if (claim.until === until) claim.drop()
}

/** The claim of a path as a transaction sees it. */
interface ClaimHere {
  readonly record: SecretRecord | undefined
  readonly until: number | undefined
  set(until: number): void
  drop(): void
}

/** In the record of the secret; before there is one, beside the place where it will be. */
async function claimIn(context: Context, tx: Transaction, path: string): Promise<ClaimHere> {
  const { zone, record } = await placeIn(context, tx, path)
  if (record) {
    const { claim, ...rest } = record
    return {
      record,
      until: claim,
      set: (until) => zone.save({ ...rest, claim: until }),
      drop: () => zone.save(rest),
    }
  }
  const place = { parent: zone.names, in: IN.claims }
  const found = await tx.named(ClaimType, path, place)
  return {
    record,
    until: found?.value.until,
    // What its agent leaves behind goes by itself.
    set: (until) => void tx.put(ClaimType, path, { until }, { ...place, ttl: CLAIM_MS }),
    drop: () => found && tx.delete(found),
  }
}

async function prune(secret: Secret<SecretValue>, keep: number): Promise<void> {
  const there: number[] = []
  for await (const { n, state } of secret.versions()) if (state !== 'destroyed') there.push(n)
  const old = there.slice(0, Math.max(0, there.length - keep))
  if (old.length > 0) await secret.destroy(old)
}
