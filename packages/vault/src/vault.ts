/** Secrets of a chain: what a program holds to work with them. */
import { AteError, type Chain, isChain, type StandardSchema } from '@ate/core'
import { type CallOptions, Context, type Makers } from './context.ts'
import { listSecrets } from './listing.ts'
import { webMakers } from './makers.ts'
import { Role } from './roles.ts'
import { Secret } from './secret.ts'
import type { SecretInfo } from './secret-info.ts'
import { tidy } from './tidy.ts'

export interface VaultOptions {
  /** For several vaults on one chain; `vault` if left out. */
  readonly name?: string
  /** `reads`: each read leaves a record before the key is given out. Only where a server keeps the keys. */
  readonly audit?: 'writes' | 'reads'
}

/**
 * The vault of a chain, made with the first write. It ends with the chain.
 * @throws AteError BAD_ARGUMENT | AUDIT_UNAVAILABLE
 */
export function vault(chain: Chain, options: VaultOptions = {}, makers: Makers = webMakers): Vault {
  if (!isChain(chain)) throw new AteError('BAD_ARGUMENT', { what: 'vault takes an open chain' })
  const { name = 'vault', audit = 'writes' } = options
  if (typeof name !== 'string' || name === '' || name.length > 64)
    throw new AteError('BAD_ARGUMENT', { option: 'name' })
  if (audit !== 'writes' && audit !== 'reads')
    throw new AteError('BAD_ARGUMENT', { option: 'audit', words: ['writes', 'reads'] })
  if (audit === 'reads' && chain.attachedKeys !== 'recorded')
    throw new AteError('AUDIT_UNAVAILABLE', { chain: chain.id })
  return new Vault(new Context(chain, name, audit, makers))
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

  /** Takes out grants and memberships whose time has passed, with new keys; the number of them. Needs manage of the vault. */
  tidy(options: CallOptions = {}): Promise<number> {
    return tidy(this.#context, options)
  }
}
