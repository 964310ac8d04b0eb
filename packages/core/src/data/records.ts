/**
 * The records of a chain as tools show them: every kind, void transactions with their reasons, and of each event what
 * stands in clear. Names of keys and counts of wraps, never what is wrapped.
 */
import { fromBinaryText, toBinaryText, toHex } from '../base/bytes.ts'
import type { ErrorCode, ErrorFacts } from '../base/errors.ts'
import { throwIfAborted } from '../base/errors.ts'
import { GiveWay } from '../base/give-way.ts'
import { type EntityId, type Fingerprint, fingerprintOf, toBase32 } from '../base/ids.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import { StoredBodies } from '../chain/stored-bodies.ts'
import { NUMBER_NOT_TAKEN } from '../chain/verdict.ts'
import { parseAttestation } from '../event/attestation.ts'
import { CommitParser, type ParsedCommit } from '../event/commit-parse.ts'
import { nameCreated } from '../event/derive-ids.ts'
import { textOfWords, wordsOf } from '../event/entity-words.ts'
import { COMMIT, GUARD, KIND, OP, RECORD_HEAD_BYTES } from '../event/format.ts'
import type { CounterFields, PersonKeyFields, PolicyListFields, RareFields } from '../event/rare-fields.ts'
import { parseRecordHead, type RecordHead } from '../event/record.ts'
import { parseRecovery } from '../event/recovery.ts'
import { parseSweep } from '../event/sweep.ts'
import type { ParsedTransaction, TransactionEvent } from '../event/transaction-event.ts'
import type { LogRecord } from '../log/engine.ts'
import { fingerprintOfKeys } from '../trust/identity-keys.ts'
import type { Certificate } from '../trust/trust-state.ts'
import { decodeBody, type EntityType } from './entity-type.ts'
import { assertStream, type OpName } from './events.ts'

export type RecordKind = keyof typeof KIND

/** What stands in clear: texts, numbers and lists of them. Identities are fingerprints, roles `role:NAME`. */
export type ClearValue =
  | string
  | number
  | bigint
  | boolean
  | readonly ClearValue[]
  | { readonly [name: string]: ClearValue }

export interface RecordsOptions {
  /** Seq of the first record; 0 if left out. */
  readonly from?: number
  readonly signal?: AbortSignal
}

export interface ChainRecord {
  readonly seq: number
  readonly kind: RecordKind
  /** Unix ms at which the record was given its place. */
  readonly admittedAt: number
  readonly hash: Uint8Array
  readonly bytes: number
  /** Who signed it; undefined where the chain does not know the certificate. Of a genesis the first root. */
  readonly author: Fingerprint | undefined
  /** Of a commit: whether its author's hybrid key has signed it too. */
  readonly attested: boolean
  readonly transactions: readonly RecordTransaction[]
  /** What records of other kinds say. */
  readonly clear: Readonly<Record<string, ClearValue>>
}

export interface RecordTransaction {
  readonly txId: string
  /** Why it is void for everybody; undefined if it is committed. */
  readonly refusal: { readonly code: ErrorCode; readonly facts: ErrorFacts } | undefined
  /** Kinds of guards that it was judged by, and how many of each. */
  readonly guards: Readonly<Partial<Record<keyof typeof GUARD, number>>>
  readonly events: readonly RecordEvent[]
}

export interface RecordEvent {
  readonly op: OpName
  /** Undefined if the author is not known: then nobody can say what was created. */
  readonly entity: EntityId | undefined
  /** Empty if there is no such entity. */
  readonly type: string
  /** The version that it asks to make; 0 asks for none. */
  readonly version: number
  /** Of create and move. */
  readonly parent?: EntityId
  readonly collection?: string
  /** Whether its name decides its id. */
  readonly named: boolean
  /** Bytes of the sealed value; undefined if it writes none. */
  readonly sealedBytes: number | undefined
  readonly clear: Readonly<Record<string, ClearValue>>
  /** Opens what it wrote: the value, and the name that was sealed with it. @throws AteError NO_READ_KEY | BAD_BODY | BAD_VALUE | NEEDS_UPGRADE */
  open<T>(type: EntityType<T>): Promise<{ readonly value: T; readonly name: string | undefined }>
}

/** The records from `from` to the newest one, each as it was judged. */
export async function* chainRecords(core: ChainCore, options: RecordsOptions): AsyncGenerator<ChainRecord, void, void> {
  const { signal, from = 0 } = options
  assertStream(options)
  const last = core.replica.head.seq
  if (from > last) return
  const reader = new RecordReader(core)
  const way = new GiveWay(core.environment)
  for await (const chunk of core.engine.read(from, signal ? { signal } : {})) {
    for (const record of chunk) {
      if (record.seq > last) return
      const turn = way.turn(record.bytes.length)
      if (turn) await turn
      throwIfAborted(signal)
      yield reader.read(record)
    }
  }
}

const KIND_NAMES = namesOf<RecordKind>(KIND)
const OP_NAMES = namesOf<OpName>(OP)
const GUARD_NAMES = namesOf<keyof typeof GUARD>(GUARD)

class RecordReader {
  readonly #core: ChainCore
  readonly #parser: CommitParser
  readonly #unattested = new Set<number>()

  constructor(core: ChainCore) {
    this.#core = core
    this.#parser = new CommitParser(core.crypto)
    for (const { unattested } of core.replica.trust.certificates.values()) {
      for (const { seq } of unattested) this.#unattested.add(seq)
    }
  }

  read(record: LogRecord): ChainRecord {
    const head = parseRecordHead(record.bytes)
    const { seq, admittedAt } = head
    const common = {
      seq,
      kind: KIND_NAMES.get(head.kind)!,
      admittedAt,
      hash: record.hash.slice(),
      bytes: record.bytes.length,
    }
    if (head.kind === KIND.commit) return { ...common, ...this.#readCommit(record) }
    return { ...common, attested: false, transactions: [], ...this.#readOther(record, head) }
  }

  #readCommit(record: LogRecord): Pick<ChainRecord, 'author' | 'attested' | 'transactions' | 'clear'> {
    const { replica } = this.#core
    const commit = this.#parser.parse(replica.chainId, record.bytes)
    const certificate = replica.trust.certificates.get(toBinaryText(commit.writer))
    const voids = replica.voids.get(record.seq)
    const transactions = commit.transactions.map((transaction, index) => ({
      txId: toBase32(transaction.nonce),
      refusal: voids?.get(index),
      guards: countGuards(transaction),
      events: this.#readEvents(commit, transaction, certificate),
    }))
    const taken =
      certificate !== undefined && !transactions.some(({ refusal }) => refusal && NUMBER_NOT_TAKEN.has(refusal.code))
    return {
      author: certificate && fingerprintOf(certificate.identityBytes),
      attested: taken && !this.#unattested.has(record.seq),
      transactions,
      clear: { at: commit.at, writerSeq: commit.writerSeq, base: commit.base.seq },
    }
  }

  #readEvents(
    commit: ParsedCommit,
    transaction: ParsedTransaction,
    certificate: Certificate | undefined,
  ): RecordEvent[] {
    const { crypto, replica } = this.#core
    if (certificate) nameCreated(crypto, replica.chainId, certificate.identityBytes, transaction)
    return transaction.events.map((event) => this.#readEvent(commit, event, certificate !== undefined))
  }

  #readEvent(commit: ParsedCommit, event: TransactionEvent, authorKnown: boolean): RecordEvent {
    const { bodies } = this.#core
    const { view } = this.#core.replica
    const row = view.table.find(event.a, event.b, event.c, event.d)
    const placed = event.op === OP.create || event.op === OP.move
    const body = event.body ? new StoredBodies().of(commit.record.seq, event) : undefined
    return {
      op: OP_NAMES.get(event.op)!,
      entity: event.op !== OP.create || authorKnown ? textOfWords(event) : undefined,
      type: event.op === OP.create ? event.type : row < 0 ? '' : view.typeOf(row),
      version: event.version,
      ...(placed ? { parent: textOfWords(event.parent), collection: event.collection } : {}),
      named: event.key !== null,
      sealedBytes: event.body ? event.size : undefined,
      clear: event.rare ? this.#clearOf(event.rare) : {},
      open: async (type) => decodeBody(body ? await bodies.read(body) : new Uint8Array(0), type),
    }
  }

  /** What a reader without keys may read in the rare fields; of wraps only how many there are. */
  #clearOf(rare: RareFields): Record<string, ClearValue> {
    const { policy, epoch, role, person, counters, root, identities, certificate } = rare
    const clear: Record<string, ClearValue> = {}
    if (identities)
      clear['introduces'] = identities.map((keys) => fingerprintOf(fingerprintOfKeys(this.#core.crypto, keys)))
    for (const kind of ['read', 'write', 'manage', 'allow'] as const) {
      if (policy?.[kind] !== undefined) clear[kind] = this.#listOf(policy[kind])
    }
    if (policy?.closed) clear['closed'] = true
    if (epoch) clear['epoch'] = { number: epoch.number, readers: epoch.published ? 'everyone' : epoch.wraps.length }
    if (role) {
      clear['role'] = {
        ...(role.name === undefined ? {} : { name: role.name }),
        generation: role.generation,
        ...(role.add ? { add: role.add.map(fingerprintOf) } : {}),
        ...(role.remove ? { remove: role.remove.map(fingerprintOf) } : {}),
      }
    }
    if (person) {
      clear['person'] = {
        name: fingerprintOf(person.person),
        ...(person.key ? { generation: person.key.generation } : {}),
        ...(person.add ? { add: person.add.map((one) => this.#personKeyOf(one)) } : {}),
        ...(person.remove ? { remove: person.remove.map(fingerprintOf) } : {}),
      }
    }
    if (counters) clear['counters'] = counters.map((counter) => this.#counterOf(counter))
    for (const name of ['counter', 'amount', 'expires', 'ttl', 'retain', 'holds', 'lock', 'bypass'] as const) {
      if (rare[name] !== undefined) clear[name] = rare[name]
    }
    if (rare.digest) clear['digest'] = toHex(rare.digest)
    if (rare.witnesses) {
      const { keys, quorum } = rare.witnesses
      clear['witnesses'] = { quorum, names: keys.map((witness) => witness.name) }
    }
    if (root?.level !== undefined) clear['level'] = root.level
    if (root?.sequencers !== undefined) {
      clear['sequencers'] = root.sequencers === 'writers' ? 'writers' : root.sequencers.map(fingerprintOf)
    }
    if (root?.checkpointKeys) clear['checkpointKeys'] = root.checkpointKeys.length
    if (certificate) clear['certificate'] = toBase32(certificate)
    return clear
  }

  #personKeyOf({ keys, standing }: PersonKeyFields): ClearValue {
    return { key: fingerprintOf(fingerprintOfKeys(this.#core.crypto, keys)), standing }
  }

  #counterOf({ name, value, floor, ceiling, unit, up, down }: CounterFields): ClearValue {
    return {
      name,
      value,
      ...(floor === undefined ? {} : { floor }),
      ...(ceiling === undefined ? {} : { ceiling }),
      ...(unit === undefined ? {} : { unit: textOfWords(wordsOf(unit)) }),
      ...(up === undefined ? {} : { up: this.#listOf(up) }),
      ...(down === undefined ? {} : { down: this.#listOf(down) }),
    }
  }

  #listOf(list: PolicyListFields): ClearValue {
    if (typeof list === 'string') return list
    return list.map((entry) => (entry.length === 32 ? fingerprintOf(entry) : this.#roleName(entry)))
  }

  #roleName(id: Uint8Array): string {
    const { a, b, c, d } = wordsOf(id)
    return `role:${this.#core.replica.trust.roles.get(`${a},${b},${c},${d}`)?.name ?? textOfWords({ a, b, c, d })}`
  }

  #readOther(record: LogRecord, head: RecordHead): Pick<ChainRecord, 'author' | 'clear'> {
    const sequencer = fingerprintOf(head.sequencer)
    const { crypto, replica } = this.#core
    if (head.kind === KIND.genesis) {
      const { format, suite, level, roots, sequencers, durability } = replica.genesis.parameters
      const names = roots.map((keys) => fingerprintOf(fingerprintOfKeys(crypto, keys)))
      const order = sequencers === 'writers' ? 'writers' : sequencers.map(fingerprintOf)
      return { author: names[0], clear: { format, suite, level, roots: names, sequencers: order, durability } }
    }
    if (head.kind === KIND.attestation) {
      const { body } = parseAttestation(crypto, record.bytes)
      const certificate = replica.trust.certificates.get(toBinaryText(body.certificate))
      const signer = body.by ?? (certificate && fromBinaryText(certificate.identity))
      const adopted = body.by ? { adopted: true } : {}
      return {
        author: signer && fingerprintOf(signer),
        clear: { certificate: toBase32(body.certificate), from: body.from, to: body.to, ...adopted },
      }
    }
    if (head.kind === KIND.sweep)
      return { author: sequencer, clear: { entities: parseSweep(record.bytes).map(textOfWords) } }
    if (head.kind === KIND.recover) {
      const { by, from, lost } = parseRecovery(crypto, record.bytes).body
      return { author: fingerprintOf(by), clear: { from, lost: lost.map(({ seq, hash }) => `${seq} ${toHex(hash)}`) } }
    }
    const [, size = ''] = new TextDecoder()
      .decode(record.bytes.subarray(RECORD_HEAD_BYTES, COMMIT.certificate))
      .split('\n')
    return { author: sequencer, clear: { size: Number(size) } }
  }
}

function countGuards({ guards }: ParsedTransaction): RecordTransaction['guards'] {
  const counts: Partial<Record<keyof typeof GUARD, number>> = {}
  for (const { kind } of guards) {
    const name = GUARD_NAMES.get(kind)!
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

function namesOf<Name extends string>(numbers: Readonly<Record<Name, number>>): ReadonlyMap<number, Name> {
  return new Map(Object.entries(numbers).map(([name, number]) => [number as number, name as Name]))
}
