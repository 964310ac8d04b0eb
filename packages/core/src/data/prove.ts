/**
 * Makes proofs out of an open chain: of a record, of a transaction, of an entity's value, and that one checkpoint continues
 * another. Paths lead to the newest checkpoint, or to the newest that enough witnesses have cosigned.
 */
import { equalBytes, fromUtf8, toBase64, toBinaryText, utf8 } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { toBase32 } from '../base/ids.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import { attestationOf } from '../chain/covering-attestation.ts'
import {
  certificateOf,
  clearPartAt,
  commitHashOf,
  commitHeadAt,
  headAt,
  kindAt,
  newestOfKind,
  recordAt,
} from '../chain/log-parts.ts'
import { commitPartOf } from '../chain/signed-parts.ts'
import type { Receipt } from '../chain/staged.ts'
import { RangeTree } from '../crypto/merkle-range.ts'
import { checkpointOrigin, checkpointSigner } from '../event/checkpoint.ts'
import { parseBlockPlaces } from '../event/commit-parse.ts'
import { spansOfCommit } from '../event/commit-spans.ts'
import { cosignersOf, parseWitnesses, type Witnesses } from '../event/cosignature.ts'
import { nameCreated } from '../event/derive-ids.ts'
import { textOfWords } from '../event/entity-words.ts'
import { EVENTS_PER_LEAF, KIND, OP, RECORD_HEAD_BYTES } from '../event/format.ts'
import { encodeParameters } from '../event/genesis.ts'
import { sliceAt } from '../event/kept-runs.ts'
import { type Note, parseNote } from '../event/note.ts'
import { hashCommitPayload, hashPayload } from '../event/record.ts'
import type { Certificate } from '../trust/trust-state.ts'
import { NO_RECORD, ROW } from '../view/entity-table.ts'
import { type EntityRef, wordsOfRef } from './entity.ts'
import { outcomeInLog } from './outcome.ts'
import { base64All, CONSISTENCY_FORMAT, type ConsistencyProof, PROOF_FORMAT, type Proof } from './proof-format.ts'
import { transactionPart } from './proof-transaction.ts'

/** What a proof is about: a record by its number, a transaction by its id or receipt, or the value that an entity has now. */
export type Provable =
  | { readonly record: number }
  | { readonly transaction: string | Receipt }
  | { readonly entity: EntityRef }

export interface ProveOptions {
  /** Takes the newest checkpoint that enough of these have cosigned. */
  readonly witnesses?: Witnesses
  /** Of an entity: whether its sealed value comes along. Left out: it does not. */
  readonly ciphertext?: 'include'
}

/** A checkpoint of the chain: the number of its record, or its note, with whatever lines were added to it. */
export type CheckpointRef = number | string

const provers = new WeakMap<ChainCore, Prover>()

export function proverOf(core: ChainCore): Prover {
  const prover = provers.get(core) ?? new Prover(core)
  provers.set(core, prover)
  return prover
}

/** The part of a commit's tree that a proof goes into. */
interface Inner {
  readonly transaction: number
  readonly event?: { readonly index: number; readonly ciphertext: Uint8Array | undefined }
}

export class Prover {
  readonly #core: ChainCore
  readonly #tree: RangeTree
  /** Certificates by writer, one byte a character: they ride far in front of most of their commits. */
  readonly #certificates = new Map<string, Uint8Array>()

  constructor(core: ChainCore) {
    this.#core = core
    this.#tree = new RangeTree(core.crypto, core.replica.hashes)
  }

  async prove(what: Provable, options: ProveOptions): Promise<Proof> {
    if (typeof what !== 'object' || what === null) throw badWhat()
    if ('record' in what) return this.#proveRecord(what.record, undefined, options)
    if ('transaction' in what) return this.#proveTransaction(what.transaction, options)
    if ('entity' in what) return this.#proveEntity(what.entity, options)
    throw badWhat()
  }

  async proveConsistency(older: CheckpointRef, newer?: CheckpointRef): Promise<ConsistencyProof> {
    const from = await this.#checkpointOf(older)
    const to =
      newer === undefined ? await this.#newest(from.note.checkpoint.size - 1, {}) : await this.#checkpointOf(newer)
    const sizes = [from.note.checkpoint.size, to.note.checkpoint.size] as const
    if (sizes[0] > sizes[1]) throw new AteError('BAD_ARGUMENT', { what: 'the older checkpoint comes first' })
    await this.#prepare(sizes[1])
    return {
      format: CONSISTENCY_FORMAT,
      ...this.#origin(),
      from: from.text,
      to: to.text,
      path: base64All(this.#tree.consistency(...sizes)),
    }
  }

  async #proveTransaction(given: string | Receipt, options: ProveOptions): Promise<Proof> {
    const { staging } = this.#core
    const txId = typeof given === 'string' ? given : given?.txId
    if (typeof txId !== 'string') throw badWhat()
    const receipt = (await staging.outcome(txId)) ?? (await outcomeInLog(this.#core, txId, undefined))
    if (!receipt) throw new AteError('NOT_FOUND', { txId, what: 'no transaction of this id is committed here' })
    const { transactions } = spansOfCommit(await clearPartAt(this.#core.engine, receipt.seq))
    const transaction = transactions.findIndex(({ nonce }) => toBase32(nonce) === txId)
    return this.#proveRecord(receipt.seq, { transaction }, options)
  }

  /** The event that wrote the newest value that is acknowledged. */
  async #proveEntity(ref: EntityRef, options: ProveOptions): Promise<Proof> {
    const { replica, engine } = this.#core
    const { view } = replica
    const words = wordsOfRef(ref, this.#core.chainId)
    const row = view.table.find(words.a, words.b, words.c, words.d)
    if (row < 0 || !view.isVisible(row)) throw new AteError('NOT_FOUND', { entity: textOfWords(words) })
    const [seq, flags, offset] = [ROW.record, ROW.blockAndFlags, ROW.offset].map((field) =>
      view.acknowledged(row, field),
    )
    if (seq === NO_RECORD) throw new AteError('NOT_FOUND', { entity: textOfWords(words), what: 'a value' })
    const block = flags! & 0xff
    const bytes = await clearPartAt(engine, seq!)
    const spans = spansOfCommit(bytes)
    for (const [transaction, { events }] of spans.transactions.entries()) {
      const index = events.findIndex((event) => event.body && event.block === block && event.offset === offset)
      if (index < 0) continue
      const at = sliceAt(parseBlockPlaces(bytes).blocks[block]!, offset!, events[index]!.size)
      if (at === undefined) throw new AteError('BODY_DROPPED', { seq: seq! })
      const ciphertext = options.ciphertext ? (await engine.readPart(seq!, at, events[index]!.size)).slice() : undefined
      return this.#proveRecord(seq!, { transaction, event: { index, ciphertext } }, options)
    }
    throw new AteError('INTERNAL', { what: 'the event of a stored value', seq: seq! })
  }

  async #proveRecord(seq: number, inner: Inner | undefined, options: ProveOptions): Promise<Proof> {
    const { engine, replica, crypto } = this.#core
    if (!Number.isSafeInteger(seq) || seq < 0 || seq > replica.head.seq) throw new AteError('NOT_FOUND', { seq })
    const { text, note } = await this.#newest(seq, options)
    await this.#prepare(note.checkpoint.size)
    const head = toBase64(await headAt(engine, seq))
    const path = base64All(this.#tree.inclusion(seq, note.checkpoint.size))
    const proof = { format: PROOF_FORMAT, ...this.#origin(), checkpoint: text } as const
    if ((await kindAt(engine, seq)) !== KIND.commit) {
      const payload = (await recordAt(engine, seq)).subarray(RECORD_HEAD_BYTES)
      return { ...proof, record: { head, payload: toBase64(hashPayload(crypto, payload)), path } }
    }
    const commit = await commitHeadAt(this.#core, seq)
    const certificate = replica.trust.certificates.get(toBinaryText(commit.writer))
    if (!certificate) {
      // Nobody can say whose signature it is: the record stands in the log all the same.
      const payload = hashCommitPayload(crypto, commitHashOf(crypto, replica.chainId, commit), commit.signature)
      return { ...proof, record: { head, payload: toBase64(payload), path } }
    }
    const attestation = await attestationOf(this.#core, seq, commit, certificate)
    return {
      ...proof,
      record: { head, path },
      commit: commitPartOf(commit, await this.#certificate(commit.writer, seq), certificate.keys),
      ...(attestation ? { attestation } : {}),
      ...(inner ? await this.#inner(seq, inner, certificate) : {}),
    }
  }

  #origin(): Pick<Proof, 'chain' | 'genesis'> {
    const { chainId, replica } = this.#core
    return { chain: chainId, genesis: toBase64(encodeParameters(replica.genesis.parameters)) }
  }

  /** The newest checkpoint that covers record `seq`. @throws AteError NO_CHECKPOINT | NOT_WITNESSED | BAD_COSIGNATURE */
  async #newest(
    seq: number,
    { witnesses }: Pick<ProveOptions, 'witnesses'>,
  ): Promise<{ readonly text: string; readonly note: Note }> {
    const { crypto, engine, replica } = this.#core
    const wanted = witnesses && parseWitnesses(crypto, witnesses)
    const suits = async (at: number): Promise<boolean> =>
      !wanted || cosignersOf(crypto, (await this.#noteAt(at)).note, wanted).length >= wanted.quorum
    const range = { from: replica.checkpoints > 0 ? replica.head.seq : -1, to: seq + 1 }
    const found = await newestOfKind(engine, KIND.checkpoint, range, suits)
    if (found !== undefined) return this.#noteAt(found)
    const any = wanted && (await newestOfKind(engine, KIND.checkpoint, range))
    throw any === undefined
      ? new AteError('NO_CHECKPOINT', { seq })
      : new AteError('NOT_WITNESSED', { seq, quorum: wanted!.quorum })
  }

  async #noteAt(seq: number): Promise<{ readonly text: string; readonly note: Note }> {
    const payload = (await recordAt(this.#core.engine, seq)).subarray(RECORD_HEAD_BYTES)
    return { text: fromUtf8(payload), note: parseNote(payload) }
  }

  /** @throws AteError BAD_ARGUMENT | BAD_CHECKPOINT | FORK if a checkpoint key of this chain has signed another tree */
  async #checkpointOf(ref: CheckpointRef): Promise<{ readonly text: string; readonly note: Note }> {
    const { engine, replica, crypto, chainId } = this.#core
    if (typeof ref === 'number') {
      const is =
        Number.isSafeInteger(ref) &&
        ref > 0 &&
        ref <= replica.head.seq &&
        (await kindAt(engine, ref)) === KIND.checkpoint
      if (!is) throw new AteError('BAD_ARGUMENT', { what: 'no checkpoint has this number', seq: ref })
      return this.#noteAt(ref)
    }
    if (typeof ref !== 'string') throw badWhat()
    const note = parseNote(utf8(ref))
    const { origin, size, root } = note.checkpoint
    if (origin !== checkpointOrigin(chainId) || size < 1)
      throw new AteError('BAD_CHECKPOINT', { what: 'origin or size' })
    if (size > replica.tree.size)
      throw new AteError('BAD_CHECKPOINT', { what: 'it covers records that are not here', size })
    await this.#prepare(size)
    if (equalBytes(this.#tree.root(size), root)) return { text: ref, note }
    const signer = checkpointSigner(crypto, note, [
      ...replica.genesis.parameters.checkpointKeys,
      ...replica.trust.checkpointKeys,
    ])
    throw new AteError(signer ? 'FORK' : 'BAD_CHECKPOINT', { what: 'it is over other records than those here', size })
  }

  async #prepare(size: number): Promise<void> {
    for (const _ of this.#tree.prepare(size)) await this.#core.environment.timers.pause()
  }

  async #certificate(writer: Uint8Array, from: number): Promise<Uint8Array> {
    const name = toBinaryText(writer)
    const found = this.#certificates.get(name) ?? (await certificateOf(this.#core, writer, from))
    if (!found) throw new AteError('INTERNAL', { what: 'the certificate of a commit', seq: from })
    this.#certificates.set(name, found)
    return found
  }

  async #inner(
    seq: number,
    inner: Inner,
    { identityBytes }: Certificate,
  ): Promise<Pick<Proof, 'transaction' | 'event'>> {
    const { crypto, engine, replica } = this.#core
    const bytes = await clearPartAt(engine, seq)
    const spans = spansOfCommit(bytes)
    const transaction = spans.transactions[inner.transaction]!
    nameCreated(crypto, replica.chainId, identityBytes, transaction)
    const { event } = inner
    const found = event && transaction.events[event.index]!
    // What was created without a name is named by its place among all creations of the transaction.
    const alone =
      event && found && (found.op !== OP.create || found.key) ? Math.floor(event.index / EVENTS_PER_LEAF) : undefined
    const part = transactionPart(crypto, { bytes, spans, index: inner.transaction, run: alone })
    if (!event) return { transaction: part }
    const index = event.index - (alone ?? 0) * EVENTS_PER_LEAF
    return {
      transaction: part,
      event: { index, ...(event.ciphertext ? { ciphertext: toBase64(event.ciphertext) } : {}) },
    }
  }
}

function badWhat(): AteError {
  return new AteError('BAD_ARGUMENT', {
    what: 'give { record }, { transaction } or { entity }; a checkpoint by its number or its note',
  })
}
