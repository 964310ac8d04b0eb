/**
 * Leases: credentials that somebody makes for a while and takes back. An issuer runs where the keys are. What it made is kept as
 * a secret below `leases/NAME`, so that it is taken back by `reap` even if the process that had it is gone.
 */
import { AteError, type Duration, durationMs, isAteError } from '@ate/core'
import type { CallOptions, Context } from './context.ts'
import { noSecret, vaultError } from './errors.ts'
import { listSecrets } from './listing.ts'
import { checkNames } from './option-names.ts'
import { Secret } from './secret.ts'
import type { SecretValue } from './value-bytes.ts'
import { decodeValue } from './value-bytes.ts'
import { versionOf } from './vault-rules.ts'
import { findSecret, openVersion, placeIn } from './versions.ts'

/** Makes credentials and takes them back. Both may be called again with the same value after a crash. */
export interface Issuer<T extends SecretValue = SecretValue> {
  /** One segment of a path. */
  readonly name: string
  issue(options: CallOptions): Promise<T>
  revoke(value: T): Promise<void>
}

export interface LeaseOptions extends CallOptions {
  readonly ttl: Duration
  /** The longest that renewals may add up to, from now; the ttl if left out. */
  readonly max?: Duration
}

export class Lease<T extends SecretValue> implements AsyncDisposable {
  readonly #context: Context
  readonly #issuer: Issuer<T>
  readonly #path: string
  readonly #end: number
  #value: T | undefined
  #expires: number

  /** @internal */
  constructor(
    context: Context,
    issuer: Issuer<T>,
    {
      path,
      value,
      expires,
      end,
    }: { readonly path: string; readonly value: T; readonly expires: number; readonly end: number },
  ) {
    this.#context = context
    this.#issuer = issuer
    this.#path = path
    this.#value = value
    this.#expires = expires
    this.#end = end
    // What is logged or cloned has no own properties.
    Object.freeze(this)
  }

  /** @throws AteError SECRET_DISPOSED */
  get value(): T {
    if (this.#value === undefined) throw vaultError('SECRET_DISPOSED', { path: this.#path })
    return this.#value
  }

  get expires(): Date {
    return new Date(this.#expires)
  }

  get path(): string {
    return this.#path
  }

  /** The lease ends `by` from now, and not after its maximum; the new end. @throws AteError VERSION_EXPIRED | SECRET_DISPOSED */
  async renew(by: Duration, options: CallOptions = {}): Promise<Date> {
    if (this.#value === undefined) throw vaultError('SECRET_DISPOSED', { path: this.#path })
    const { now } = this.#context
    if (this.#expires <= now)
      throw vaultError('VERSION_EXPIRED', { path: this.#path, expired: new Date(this.#expires).toISOString() })
    const expires = Math.min(this.#end, now + durationMs(by, now))
    await this.#context.write(options, async (tx) => {
      const { zone, record } = await placeIn(this.#context, tx, this.#path)
      if (!record) throw noSecret(this.#path)
      // Taken back, or just now being taken back, by somebody whose clock was ahead.
      if (record.claim !== undefined || !this.#context.chain.has(versionOf(record, undefined).value))
        throw vaultError('VERSION_EXPIRED', { path: this.#path })
      zone.save({ ...record, versions: record.versions.map((one) => ({ ...one, expires })) })
    })
    this.#expires = expires
    return new Date(expires)
  }

  /** Takes the credential back, now. Calling it again is no error. */
  async revoke(): Promise<void> {
    const value = this.#value
    if (value === undefined) return
    await this.#issuer.revoke(value)
    this.#value = undefined
    await new Secret(this.#context, this.#path, undefined, 'lease').destroy('all')
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.revoke()
  }
}

/** @throws AteError BAD_ARGUMENT | BAD_PATH | NOT_AUTHORIZED, and what the issuer throws */
export async function lease<T extends SecretValue>(
  context: Context,
  issuer: Issuer<T>,
  options: LeaseOptions,
): Promise<Lease<T>> {
  checkNames(options, 'lease')
  const { now } = context
  const ttl = durationMs(options.ttl, now)
  const max = durationMs(options.max ?? options.ttl, now)
  if (ttl === 0 || max < ttl)
    throw new AteError('BAD_ARGUMENT', { what: 'a lease is longer than nothing, and its maximum no shorter' })
  if (typeof issuer?.name !== 'string' || issuer.name.includes('/'))
    throw new AteError('BAD_ARGUMENT', { what: 'an issuer has a name without a slash' })
  const unique = [...context.makers.random(10)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
  const path = `leases/${issuer.name}/${unique}`
  const secret = new Secret<SecretValue>(context, path, undefined, 'lease')
  const value = await issuer.issue(options.signal ? { signal: options.signal } : {})
  const expires = now + ttl
  try {
    await secret.put(value, { cas: 0, expires: new Date(expires) })
  } catch (error) {
    // Nobody would know of it.
    await issuer.revoke(value)
    throw error
  }
  return new Lease(context, issuer, { path, value, expires, end: now + max })
}

/**
 * Takes back what has expired, whoever leased it; what cannot be taken back keeps nobody from the others. Needs `read` and
 * `destroy` below `leases/NAME`; with `write`, a lease that is renewed at the last moment is not taken back. The number of them, and what failed, by the path of the lease.
 */
export async function reap<T extends SecretValue>(
  context: Context,
  issuer: Issuer<T>,
  options: CallOptions = {},
): Promise<{
  readonly count: number
  readonly failures: readonly { readonly path: string; readonly error: unknown }[]
}> {
  let count = 0
  const failures: { path: string; error: unknown }[] = []
  for await (const { path, state, kind } of listSecrets(context, `leases/${issuer.name}`, options)) {
    if (state !== 'expired' || kind !== 'lease') continue
    try {
      if (await takeBack(context, issuer, path, options)) count++
    } catch (error) {
      options.signal?.throwIfAborted()
      failures.push({ path, error })
    }
  }
  return { count, failures }
}

/** From then on nobody renews it. False if somebody has, or has taken it back. Who may not write there takes back unclaimed. */
async function claimExpired(context: Context, path: string, options: CallOptions): Promise<boolean> {
  let isExpired = true
  try {
    await context.write(options, async (tx) => {
      const { zone, record } = await placeIn(context, tx, path)
      const newest = record && versionOf(record, undefined)
      isExpired = newest !== undefined && (newest.expires ?? Number.POSITIVE_INFINITY) <= context.now
      if (record && isExpired) zone.save({ ...record, claim: context.now })
    })
  } catch (error) {
    if (!isAteError(error) || error.code !== 'NOT_AUTHORIZED') throw error
  }
  return isExpired
}

async function takeBack<T extends SecretValue>(
  context: Context,
  issuer: Issuer<T>,
  path: string,
  options: CallOptions,
): Promise<boolean> {
  if (!(await claimExpired(context, path, options))) return false
  const layout = await context.layout(options.signal)
  const place = layout && (await findSecret(context, layout, path))
  if (!place?.record) return false
  const plain = await openVersion(context, place, versionOf(place.record, undefined))
  try {
    await issuer.revoke(decodeValue(plain) as T)
  } finally {
    plain.fill(0)
  }
  await new Secret(context, path, undefined, 'lease').destroy('all')
  return true
}
