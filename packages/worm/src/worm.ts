/** An archive of a chain: what a program holds to work with it. */
import {
  AteError,
  type Chain,
  type CheckpointOptions,
  type Duration,
  isChain,
  type Principal,
  type Witnesses,
} from '@ate/core'
import { type AuditEvent, type AuditQuery, audit } from './audit.ts'
import type { Body } from './body.ts'
import { type CallOptions, Context, type Makers, type WriteOptions } from './context.ts'
import { type DisposeOptions, dispose, type Erased, erase, type Tombstone } from './dispose.ts'
import { type ExportOptions, exportArchive } from './export.ts'
import { type Finding, type FsckOptions, fsck } from './fsck.ts'
import { type GetOptions, get, type Opened } from './get.ts'
import { webMakers } from './makers.ts'
import { find, type ListQuery, list, type Ref, type Stored, storedOf, versionsOf } from './objects.ts'
import { checkNames } from './option-names.ts'
import { type ProveOptions, prove } from './proofs.ts'
import { type PutOptions, put } from './put.ts'
import { type ExtendOptions, extend, type HoldOptions, hold, release } from './retention.ts'
import type { Staged } from './staged.ts'
import { trustOf } from './trust.ts'
import { dropUploads, type Upload, uploads } from './uploads.ts'
import type { Trust } from './verify-proof.ts'
import { READERS, WRITERS } from './worm-records.ts'
import { checkKeep, checkText, type Keep, quorumOf, tolerated } from './worm-rules.ts'

export interface WormOptions {
  /** For several archives on one chain; `archive` if left out. */
  readonly name?: string
  /** What holds for a put that does not say it itself. */
  readonly defaults?: Keep
  /**
   * Whose time proves that a retention under compliance is over. Named when the archive is made: an object keeps those that
   * were named when it was put. Left out, nothing under compliance can ever be disposed of.
   */
  readonly witnesses?: { readonly keys: readonly string[]; readonly quorum?: number }
}

/**
 * The archive of a chain, made with the first put. It ends with the chain.
 * @throws AteError BAD_ARGUMENT
 */
export function worm(chain: Chain, options: WormOptions = {}, makers: Makers = webMakers): Worm {
  if (!isChain(chain)) throw new AteError('BAD_ARGUMENT', { what: 'worm takes an open chain' })
  checkNames(options, 'archive')
  const { name = 'archive', defaults = {} } = options
  checkNames(defaults, 'defaults')
  checkText(name, 'the name of an archive', 64)
  checkKeep(defaults)
  const witnesses = options.witnesses === undefined ? undefined : witnessesOf(options.witnesses)
  return new Worm(new Context(chain, { name, defaults, witnesses }, makers))
}

function witnessesOf(given: NonNullable<WormOptions['witnesses']>): Witnesses {
  checkNames(given, 'witnesses')
  if (!Array.isArray(given?.keys)) throw new AteError('BAD_ARGUMENT', { what: 'witnesses are { keys, quorum }' })
  return { keys: given.keys, quorum: given.quorum ?? quorumOf(given.keys.length) }
}

/** How the archive stands. */
export interface ArchiveInfo {
  /** Whose time counts for what is put from now on. */
  readonly witnesses:
    | {
        readonly names: readonly string[]
        readonly quorum: number
        /** So many of them may lie before two verifiers can be shown different histories. */
        readonly tolerates: number
        /** The newest time that a quorum has signed; undefined before the first. */
        readonly provenAt: Date | undefined
      }
    | undefined
  /** What to mend: the quorum stands no witness that lies, or there are no witnesses at all. */
  readonly warnings: readonly ('NO_WITNESSES' | 'WEAK_QUORUM')[]
}

export class Worm {
  readonly #context: Context

  /** @internal */
  constructor(context: Context) {
    this.#context = context
  }

  get chain(): Chain {
    return this.#context.chain
  }

  /**
   * Stores a body of any size. It is there, whole and locked, when this resolves, or not at all.
   * With `key` a put that was broken off goes on where it stopped, given the same body.
   * @throws AteError BAD_ARGUMENT | ID_REUSED | KEYS_UNAVAILABLE | NOT_AUTHORIZED | DISK_FULL and as transact
   */
  put(
    name: string,
    body: Body,
    options: PutOptions & { readonly tx: NonNullable<PutOptions['tx']> },
  ): Promise<Staged | undefined>
  put(name: string, body: Body, options?: PutOptions & { readonly tx?: undefined }): Promise<Stored>
  async put(name: string, body: Body, options: PutOptions = {}): Promise<Stored | Staged | undefined> {
    checkNames(options, 'put')
    return put(this.#context, name, body, options)
  }

  /**
   * The newest version of a name, or one of its versions. The body is a stream whose chunks are verified one by one.
   * @throws AteError NOT_FOUND | BAD_ARGUMENT | KEY_MISSING | NO_READ_KEY; reading the body: DAMAGED | BAD_BODY
   */
  async get(ref: Ref, options: GetOptions = {}): Promise<Opened> {
    checkNames(options, 'get')
    return get(this.#context, ref, options)
  }

  /** @throws AteError NOT_FOUND */
  async stat(ref: Ref, options: CallOptions = {}): Promise<Stored> {
    return storedOf(this.chain, await find(this.#context, ref, options.signal))
  }

  /** All versions of a name, oldest first. */
  async *versions(name: string, options: CallOptions = {}): AsyncGenerator<Stored, void, void> {
    checkText(name, 'the name of an object')
    const archive = await this.#context.archive(options.signal)
    if (archive !== undefined) yield* await versionsOf(this.chain, archive, name)
  }

  /** All versions of all objects that suit the query. */
  list(query: ListQuery = {}, options: CallOptions = {}): AsyncGenerator<Stored, void, void> {
    checkNames(query, 'list')
    checkNames(options, 'call')
    return list(this.#context, query, options.signal)
  }

  /**
   * Later, or under compliance; never less. With `tx` also of what that has put.
   * @throws AteError NOT_FOUND | RETAIN_SHRINKS | BAD_ARGUMENT | NOT_AUTHORIZED
   */
  extend(
    ref: Ref,
    until: Date | Duration,
    options: ExtendOptions & { readonly tx: NonNullable<ExtendOptions['tx']> },
  ): Promise<Staged | undefined>
  extend(ref: Ref, until: Date | Duration, options?: ExtendOptions & { readonly tx?: undefined }): Promise<Stored>
  async extend(ref: Ref, until: Date | Duration, options: ExtendOptions = {}): Promise<Stored | Staged | undefined> {
    checkNames(options, 'extend')
    return extend(this.#context, ref, until, options)
  }

  /**
   * Holds an object for a matter until that is released, whatever its time. With `tx` also what that has put.
   * @throws AteError NOT_FOUND | BAD_ARGUMENT | NOT_AUTHORIZED
   */
  hold(
    ref: Ref,
    matter: string,
    options: HoldOptions & { readonly tx: NonNullable<HoldOptions['tx']> },
  ): Promise<Staged | undefined>
  hold(ref: Ref, matter: string, options?: HoldOptions & { readonly tx?: undefined }): Promise<Stored>
  async hold(ref: Ref, matter: string, options: HoldOptions = {}): Promise<Stored | Staged | undefined> {
    checkNames(options, 'hold')
    return hold(this.#context, ref, matter, options)
  }

  /** @throws AteError NOT_FOUND | BAD_ARGUMENT | NOT_AUTHORIZED */
  release(
    ref: Ref,
    matter: string,
    options: WriteOptions & { readonly reason: string; readonly tx: NonNullable<WriteOptions['tx']> },
  ): Promise<Staged | undefined>
  release(
    ref: Ref,
    matter: string,
    options: WriteOptions & { readonly reason: string; readonly tx?: undefined },
  ): Promise<Stored>
  async release(
    ref: Ref,
    matter: string,
    options: WriteOptions & { readonly reason: string },
  ): Promise<Stored | Staged | undefined> {
    checkNames(options, 'hold')
    return release(this.#context, ref, matter, options)
  }

  /**
   * Deletes an object whose time is over and which nothing holds; a note of it stays.
   * @throws RetentionError (RETAINED); AteError TIME_UNPROVEN | NOT_FOUND | NOT_AUTHORIZED | BAD_ARGUMENT | KEY_NOT_ERASED
   */
  async dispose(ref: Ref, options: DisposeOptions): Promise<Tombstone> {
    checkNames(options, 'dispose')
    return dispose(this.#context, ref, options)
  }

  /**
   * Destroys the keys of all that belongs to a subject, where nothing forbids it, and lists what is kept by law.
   * @throws AteError KEYS_UNAVAILABLE | KEY_NOT_ERASED | NOT_AUTHORIZED | BAD_ARGUMENT
   */
  async erase(subject: string, options: CallOptions = {}): Promise<Erased> {
    checkNames(options, 'call')
    return erase(this.#context, subject, options)
  }

  /**
   * A proof that `verifyProof` checks without this chain: text as C2SP has it (tlog-proof).
   * @throws AteError NOT_FOUND | NO_CHECKPOINT | NOT_WITNESSED | NOT_AUTHORIZED
   */
  async prove(ref: Ref, options: ProveOptions = {}): Promise<string> {
    checkNames(options, 'prove')
    return prove(this.#context, ref, options)
  }

  /** What a verifier must know of this log beforehand, for proofs under checkpoints of this session. */
  trust(): Trust {
    return trustOf(this.#context)
  }

  /** What was done, and what was refused, from the signed records. */
  audit(query: AuditQuery = {}, options: CallOptions = {}): AsyncGenerator<AuditEvent, void, void> {
    checkNames(query, 'audit')
    checkNames(options, 'call')
    return audit(this.#context, query, options)
  }

  /** A tar or zip of bodies, manifests, proofs and the audit trail. @throws AteError BAD_ARGUMENT; the stream as get */
  export(query: ListQuery, options: ExportOptions): ReadableStream<Uint8Array> {
    checkNames(query, 'list')
    checkNames(options, 'export')
    return exportArchive(this.#context, query, options)
  }

  /** Whether all of it is as it was put; with `deep` every byte is read. What is wrong is named. */
  fsck(options: FsckOptions = {}): AsyncGenerator<Finding, void, void> {
    checkNames(options, 'fsck')
    return fsck(this.#context, options)
  }

  /** Signs the tree of the log so far; with `cosign` witnesses do too, and what they say of the time counts. */
  checkpoint(
    options: CheckpointOptions = {},
  ): Promise<{ readonly seq: number; readonly size: number; readonly note: string }> {
    return this.chain.checkpoint(options)
  }

  /**
   * Names the witnesses of what is put from now on; what stands keeps its own. Needs manage of the chain's root.
   * @throws AteError BAD_ARGUMENT | NOT_AUTHORIZED
   */
  async nameWitnesses(given: NonNullable<WormOptions['witnesses']>, { signal }: CallOptions = {}): Promise<Worm> {
    const { chain, name, defaults, makers } = this.#context
    const witnesses = witnessesOf(given)
    const archive = await new Context(chain, { name, defaults, witnesses: undefined }, makers).ensure(signal)
    await chain.transact((tx) => tx.retain(archive, { witnesses }), signal ? { signal } : {})
    return new Worm(new Context(chain, { name, defaults, witnesses }, makers))
  }

  /** Who may read, put, extend, hold, release, and dispose of what is over. Changing it needs manage of the chain's root. */
  async addWriter(member: Principal, { signal }: CallOptions = {}): Promise<void> {
    const { archive } = await this.#context.ensurePlace(signal)
    await this.chain.transact(
      (tx) => {
        // Names are blinded under the readers' key: who puts must be able to find them.
        for (const name of [READERS, WRITERS]) tx.role(name, archive).add(member)
      },
      signal ? { signal } : {},
    )
  }

  /** He goes on reading. */
  async removeWriter(member: Principal, { signal }: CallOptions = {}): Promise<void> {
    const { archive } = await this.#context.ensurePlace(signal)
    await this.chain.transact((tx) => void tx.role(WRITERS, archive).remove(member), signal ? { signal } : {})
  }

  async addReader(member: Principal, { signal }: CallOptions = {}): Promise<void> {
    const { archive } = await this.#context.ensurePlace(signal)
    await this.chain.transact((tx) => tx.role(READERS, archive).add(member), signal ? { signal } : {})
  }

  /** What was put until now he can still read, if he has kept the keys. Remove a writer as a writer first. */
  async removeReader(member: Principal, { signal }: CallOptions = {}): Promise<void> {
    const { archive } = await this.#context.ensurePlace(signal)
    await this.chain.transact((tx) => void tx.role(READERS, archive).remove(member), signal ? { signal } : {})
  }

  async info({ signal }: CallOptions = {}): Promise<ArchiveInfo> {
    const archive = await this.#context.archive(signal)
    const found = archive === undefined ? undefined : this.chain.retention(archive).witnesses
    if (!found) return { witnesses: undefined, warnings: ['NO_WITNESSES'] }
    const { names, quorum, provenAt } = found
    const tolerates = tolerated({ witnesses: names.length, quorum })
    return {
      witnesses: { names, quorum, tolerates, provenAt: provenAt > 0 ? new Date(provenAt) : undefined },
      warnings: tolerates < 1 ? ['WEAK_QUORUM'] : [],
    }
  }

  /** Puts that were begun and not ended. */
  uploads(options: CallOptions = {}): AsyncGenerator<Upload, void, void> {
    return uploads(this.#context, options)
  }

  /** Drops uploads that were begun before record `before` (all of them, if it is the head's seq + 1). The number of them. */
  async dropUploads(options: CallOptions & { readonly before: number }): Promise<number> {
    checkNames(options, 'drop')
    return dropUploads(this.#context, options)
  }
}
