/** Secrets of a chain: what a program holds to work with them. */

import { AteError, type Chain, type Duration, isChain, type StandardSchema } from '@ate/core'
import { type AgentOptions, type AgentReport, agentRound, agentRounds } from './agent.ts'
import { type AuditEvent, type AuditOptions, auditOf } from './audit.ts'
import { type CallOptions, Context, type Makers, type WriteNowOptions } from './context.ts'
import { type EnvOptions, envOf } from './env.ts'
import { type Issuer, type Lease, type LeaseOptions, lease, reap } from './leases.ts'
import { listSecrets } from './listing.ts'
import { webMakers } from './makers.ts'
import { checkNames } from './option-names.ts'
import { Role } from './roles.ts'
import { Secret } from './secret.ts'
import type { SecretInfo } from './secret-info.ts'
import { tidy } from './tidy.ts'
import { Transit } from './transit.ts'
import type { SecretValue } from './value-bytes.ts'
import { type WhoMay, whoMay } from './who.ts'
import { unwrap, wrap } from './wrapping.ts'

export interface VaultOptions {
  /** For several vaults on one chain; `vault` if left out. */
  readonly name?: string
  /**
   * `reads`: each read leaves a record before the key is given out, or it fails with AUDIT_UNAVAILABLE: only where a server keeps the
   * keys and demands that (`keyAccess: 'recorded'`). Left out: where it demands it.
   */
  readonly audit?: 'writes' | 'reads'
}

/**
 * The vault of a chain, made with the first write. It ends with the chain.
 * @throws AteError BAD_ARGUMENT | AUDIT_UNAVAILABLE
 */
export function vault(chain: Chain, options: VaultOptions = {}, makers: Makers = webMakers): Vault {
  if (!isChain(chain)) throw new AteError('BAD_ARGUMENT', { what: 'vault takes an open chain' })
  checkNames(options, 'vault')
  const { name = 'vault', audit } = options
  if (typeof name !== 'string' || name === '' || name.length > 64)
    throw new AteError('BAD_ARGUMENT', { option: 'name' })
  if (audit !== undefined && audit !== 'writes' && audit !== 'reads')
    throw new AteError('BAD_ARGUMENT', { option: 'audit', words: ['writes', 'reads'] })
  const context = new Context(chain, name, audit, makers)
  // Now, and not at the first read.
  void context.recordsReads
  return new Vault(context)
}

export class Vault {
  readonly #context: Context

  /** @internal */
  constructor(context: Context) {
    this.#context = context
  }

  get chain(): Chain {
    return this.#context.chain
  }

  /** A secret by its path: text if no type or schema is given. @throws AteError BAD_PATH */
  secret<T = string>(path: string, schema?: StandardSchema<unknown, T>): Secret<T> {
    return new Secret<T>(this.#context, path, schema)
  }

  /** All secrets at and below a path that this session may list, by path. */
  list(prefix?: string, options: CallOptions = {}): AsyncGenerator<SecretInfo, void, void> {
    return listSecrets(this.#context, prefix, options)
  }

  /** @throws AteError BAD_ARGUMENT */
  role(name: string): Role {
    return new Role(this.#context, name)
  }

  /** The live secrets at and below a path as variables: `prod/db` with `{ url }` below `prod` is DB_URL. @throws AteError BAD_ARGUMENT */
  env(prefix: string, options: EnvOptions = {}): Promise<Readonly<Record<string, string>>> {
    return envOf(this.#context, prefix, options)
  }

  /** Roles that may do something at a path, and who is in them. @throws AteError NOT_FOUND | BAD_PATH */
  who(path: string, options: CallOptions = {}): Promise<WhoMay[]> {
    return whoMay(this.#context, path, options)
  }

  /** A key that encrypts and signs: the secret `transit/NAME`. @throws AteError BAD_PATH */
  transit(name: string): Transit {
    return new Transit(this.#context, name)
  }

  /**
   * A token that opens the value once, within `ttl`, for whoever brings it and can open this chain.
   * @throws AteError BAD_ARGUMENT, for the `tx` of a job too: its effects have run only when nobody waits for a token any more
   */
  wrap(value: SecretValue, options: WriteNowOptions & { readonly ttl: Duration }): Promise<string> {
    return wrap(this.#context, value, options)
  }

  /** Opens a token, and with it spends it. @throws AteError BAD_TOKEN | TOKEN_SPENT | BAD_VALUE | KEY_MISSING */
  unwrap<T = SecretValue>(token: string, schema?: StandardSchema<unknown, T>, options: CallOptions = {}): Promise<T> {
    return unwrap(this.#context, token, schema, options)
  }

  /** Has a credential made for a while; it is taken back when the lease is disposed of. Needs `write` at `leases/NAME`. */
  lease<T extends SecretValue>(issuer: Issuer<T>, options: LeaseOptions): Promise<Lease<T>> {
    return lease(this.#context, issuer, options)
  }

  /**
   * Takes back what has expired, also of processes that are gone; the number of them. What could not be taken back is tried
   * again by the next call; the first such error is thrown when all others are taken back.
   */
  async reap<T extends SecretValue>(issuer: Issuer<T>, options: CallOptions = {}): Promise<number> {
    const { count, failures } = await reap(this.#context, issuer, options)
    if (failures[0]) throw failures[0].error
    return count
  }

  /** One round of the rotation agent. */
  rotate(options: AgentOptions): Promise<AgentReport> {
    return agentRound(this.#context, options)
  }

  /** Rounds of the rotation agent until the signal aborts: iterate to keep it going. */
  agent(options: AgentOptions & { readonly signal: AbortSignal }): AsyncGenerator<AgentReport, void, void> {
    return agentRounds(this.#context, options)
  }

  /** Who wrote, destroyed, granted and took what, oldest first, up to now. */
  audit(options: AuditOptions = {}): AsyncGenerator<AuditEvent, void, void> {
    return auditOf(this.#context, options)
  }

  /** Takes out grants and memberships whose time has passed, with new keys; the number of them. Needs manage of the vault. */
  tidy(options: CallOptions = {}): Promise<number> {
    return tidy(this.#context, options)
  }
}
