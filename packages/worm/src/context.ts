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
import { ArchiveType, IN, READERS, StoreType, WRITERS } from './worm-records.ts'
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

/** The archive's node with its roles, and the one below it under which all stands. */
export interface Place {
  readonly archive: string
  readonly store: string
}

/** An archive that was found stays where it is. */
const places = new WeakMap<Chain, Map<string, Place>>()

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

  /** Where the archive is; undefined if nobody has made it yet. */
  async place(signal?: AbortSignal): Promise<Place | undefined> {
    signal?.throwIfAborted()
    const { chain, name } = this
    const known = places.get(chain) ?? new Map<string, Place>()
    places.set(chain, known)
    const found = known.get(name) ?? (await findPlace(chain, name))
    if (found) known.set(name, found)
    return found
  }

  /** Id of the node below which all stands; undefined if nobody has made the archive yet. */
  async archive(signal?: AbortSignal): Promise<string | undefined> {
    return (await this.place(signal))?.store
  }

  /** As archive, made if there is none. Making it needs manage of the root. @throws AteError NOT_AUTHORIZED | BAD_ARGUMENT */
  async ensure(signal?: AbortSignal): Promise<string> {
    return (await this.ensurePlace(signal)).store
  }

  async ensurePlace(signal?: AbortSignal): Promise<Place> {
    let place = await this.place(signal)
    if (!place) {
      await this.chain.transact((tx) => this.#make(tx), signal ? { signal } : {})
      place = await this.place(signal)
    }
    if (!place) throw new AteError('INTERNAL', { what: 'an archive that was just made' })
    this.#checkWitnesses(place.store)
    return place
  }

  /** Runs in the caller's transaction or effects, or in one of its own. Undefined from effects, which run later. */
  async write<R>({ tx, signal }: WriteOptions, run: (tx: Transaction) => Promise<R>): Promise<R | undefined> {
    if (tx !== undefined) return stageIn(tx, run, this.chain)
    return this.chain.transact(run, signal ? { signal } : {})
  }

  /**
   * Times count from the later of chain time and what the archive's witnesses have signed: whose clock is behind does not
   * make a retention shorter.
   */
  now(tx: Transaction, archive: string): number {
    return Math.max(tx.now, this.chain.retention(archive).witnesses?.provenAt ?? 0)
  }

  /** Of two who make it at the same time the second finds the first's. */
  async #make(tx: Transaction): Promise<void> {
    if (await findPlace(this.chain, this.name)) return
    const others = this.chain.children(ArchiveType, undefined, IN.archives).count()
    tx.guard.members(undefined, IN.archives, others)
    const archive = tx.create(ArchiveType, { name: this.name }, { in: IN.archives, read: 'everyone' }).id
    for (const name of [READERS, WRITERS]) tx.role(name, archive).add(this.chain.publicId)
    tx.create(
      StoreType,
      {},
      {
        parent: archive,
        in: IN.store,
        read: [role(READERS)],
        write: [role(WRITERS)],
        allow: [role(WRITERS)],
        ...(this.witnesses ? { witnesses: this.witnesses } : {}),
      },
    )
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

async function findPlace(chain: Chain, name: string): Promise<Place | undefined> {
  for (const id of chain.children(ArchiveType, undefined, IN.archives).ids()) {
    const archive = await readable(chain.get(ArchiveType, id))
    const [store] = chain.children(StoreType, id, IN.store).ids()
    if (archive?.value.name === name && store !== undefined) return { archive: id, store }
  }
  return undefined
}

/** Undefined for what this session cannot read, and for what is none of ours. */
async function readable<T>(reading: Promise<T | undefined>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (isAteError(error) && ['NO_READ_KEY', 'LOCKED', 'WRONG_TYPE', 'BAD_VALUE'].includes(error.code)) return undefined
    throw error
  }
}
