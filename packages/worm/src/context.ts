/** What all parts of one archive share: the chain, where the archive stands on it, and how it writes. */
import {
  AteError,
  type Chain,
  isAteError,
  role,
  stageIn,
  type Transaction,
  type TxTarget,
  type Witnesses,
} from '@ate/core'
import { ArchiveType, IN, WRITERS } from './worm-records.ts'
import type { Keep } from './worm-rules.ts'

/** Every call takes it. */
export interface CallOptions {
  readonly signal?: AbortSignal
}

/** Every verb that writes takes it: with `tx` it resolves when it is staged, and is done when that commits. */
export interface WriteOptions extends CallOptions {
  readonly tx?: TxTarget
}

/** What comes from outside of the chain; replaced by tests. */
export interface Makers {
  readonly random: (size: number) => Uint8Array
}

export class Context {
  readonly chain: Chain
  readonly name: string
  readonly defaults: Keep
  readonly witnesses: Witnesses | undefined
  readonly makers: Makers

  constructor(
    chain: Chain,
    options: { readonly name: string; readonly defaults: Keep; readonly witnesses: Witnesses | undefined },
    makers: Makers,
  ) {
    this.chain = chain
    this.name = options.name
    this.defaults = options.defaults
    this.witnesses = options.witnesses
    this.makers = makers
  }

  /** Id of the archive; undefined if nobody has made it yet. */
  async archive(signal?: AbortSignal): Promise<string | undefined> {
    const found = await this.chain.named(ArchiveType, this.name, { in: IN.archives, ...(signal ? { signal } : {}) })
    return found?.id
  }

  /** The archive, made if there is none. Making it needs manage of the root. @throws AteError NOT_AUTHORIZED | BAD_ARGUMENT */
  async ensure(signal?: AbortSignal): Promise<string> {
    const found = await this.archive(signal)
    if (found === undefined) {
      try {
        await this.chain.transact((tx) => this.#make(tx), signal ? { signal } : {})
      } catch (error) {
        if (!isAteError(error) || error.code !== 'NAME_TAKEN') throw error
      }
    }
    const archive = found ?? (await this.archive(signal))
    if (archive === undefined) throw new AteError('INTERNAL', { what: 'an archive that was just made' })
    this.#checkWitnesses(archive)
    return archive
  }

  /** Runs in the caller's transaction or effects, or in one of its own. Undefined from effects, which run later. */
  async write<R>({ tx, signal }: WriteOptions, run: (tx: Transaction) => Promise<R>): Promise<R | undefined> {
    if (tx !== undefined) return stageIn(tx, run)
    return this.chain.transact(run, signal ? { signal } : {})
  }

  /**
   * Times count from the later of chain time and what the archive's witnesses have signed: whose clock is behind does not
   * make a retention shorter.
   */
  now(tx: Transaction, archive: string): number {
    return Math.max(tx.now, this.chain.retention(archive).witnesses?.provenAt ?? 0)
  }

  #make(tx: Transaction): void {
    const made = tx.create(
      ArchiveType,
      { name: this.name },
      { in: IN.archives, name: this.name, ...(this.witnesses ? { witnesses: this.witnesses } : {}) },
    )
    tx.role(WRITERS, made.id).add(this.chain.publicId)
    tx.setPolicy(made.id, { write: [role(WRITERS)], allow: [role(WRITERS)] })
  }

  /** Whoever says whose time counts must not find out later that it was another's. */
  #checkWitnesses(archive: string): void {
    if (!this.witnesses) return
    const inForce = this.chain.retention(archive).witnesses
    const names = this.witnesses.keys.map((key) => key.slice(0, key.indexOf('+')))
    if (inForce?.quorum === this.witnesses.quorum && inForce.names.join('\n') === names.join('\n')) return
    const hint =
      'the archive relies on other witnesses than those given: leave them out, or name these for what comes with nameWitnesses'
    throw new AteError('BAD_ARGUMENT', { option: 'witnesses', inForce: inForce?.names ?? [] }, { hint })
  }
}
