/**
 * Streams of a chain. Both are read from the log and only woken by new records, so that a slow reader holds nothing in
 * memory and nobody waits for it.
 */

import { holdRecord } from '#large'
import { equalBytes, toBinaryText } from '../base/bytes.ts'
import { AteError, throwIfAborted } from '../base/errors.ts'
import { GiveWay } from '../base/give-way.ts'
import { type ChainId, type EntityId, entityIdOfWords, type Fingerprint, fingerprintOf, toBase32 } from '../base/ids.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import type { HeldRecord } from '../chain/held-record.ts'
import type { Replica } from '../chain/replica.ts'
import { StoredBodies, type StoredBody } from '../chain/stored-bodies.ts'
import { CommitParser, type ParsedCommit } from '../event/commit-parse.ts'
import { nameCreated, PrefixHasher } from '../event/derive-ids.ts'
import type { EntityWords } from '../event/entity-words.ts'
import { KIND, OP } from '../event/format.ts'
import { hashRecord, parseRecordHead } from '../event/record.ts'
import type { TransactionEvent } from '../event/transaction-event.ts'
import type { LogRecord } from '../log/engine.ts'
import { ROW } from '../view/entity-table.ts'
import { type EntityRef, wordsOfRef } from './entity.ts'
import { decodeBody, type EntityType } from './entity-type.ts'

export interface EventsOptions {
  /** Seq of the first record; 0 if left out. */
  readonly from?: number
  /** `end` stops at the newest record. */
  readonly until?: 'end'
  /** Only events of entities of this type. */
  readonly type?: Pick<EntityType<unknown>, 'name'>
  readonly signal?: AbortSignal
}

export type OpName = keyof typeof OP

export interface ChainEvent {
  readonly seq: number
  /** Its place among the committed events of its record, from 0: the same for every reader. */
  readonly index: number
  /** Time that the author signed, Unix ms. */
  readonly at: number
  /** The key that wrote it; of a person with several, chain.person(author) says whose it is. */
  readonly author: Fingerprint
  readonly txId: string
  readonly op: OpName
  readonly entity: EntityId
  readonly type: string
  /** Of create and move. */
  readonly parent?: EntityId | undefined
  readonly collection?: string
  /** Bytes of the value as it is stored; 0 if the event wrote none. */
  readonly bytes: number
  /** Opens the value that this event wrote. @throws AteError NO_READ_KEY | WRONG_TYPE | BAD_BODY | BAD_VALUE */
  value<T>(type: EntityType<T>): Promise<T>
  /** As value, and at once where nothing has to be waited for. */
  open<T>(type: EntityType<T>): T | Promise<T>
}

export interface WatchOptions {
  readonly type?: Pick<EntityType<unknown>, 'name'>
  /** Only this entity. */
  readonly entity?: EntityRef
  /** Only children of this entity. */
  readonly parent?: EntityRef
  readonly signal?: AbortSignal
}

export interface EntityChange {
  readonly kind: 'created' | 'changed' | 'deleted'
  readonly type: string
  readonly id: EntityId
}

const NO_BODY = new Uint8Array(0)
const SHOWN = ['seq', 'index', 'at', 'author', 'txId', 'op', 'entity', 'type', 'parent', 'collection', 'bytes'] as const
const INSPECT = Symbol.for('nodejs.util.inspect.custom')
const OP_NAMES = new Map<number, OpName>(Object.entries(OP).map(([name, op]) => [op, name as OpName]))

export async function* chainEvents(core: ChainCore, options: EventsOptions): AsyncGenerator<ChainEvent, void, void> {
  for await (const events of eventBatches(core, options)) for (const event of events) yield event
}

/** The same, those of a record at once. */
export async function* eventBatches(
  core: ChainCore,
  options: EventsOptions,
): AsyncGenerator<readonly ChainEvent[], void, void> {
  const { signal, from = 0, until, type } = options
  throwIfAborted(signal)
  assertStream(options)
  const parser = new CommitParser(core.crypto)
  const wake = new Wake(core, signal)
  const way = new GiveWay(core.environment)
  let next = from
  try {
    for (;;) {
      const head = core.replica.head.seq
      while (next <= head) {
        for await (const chunk of core.engine.read(next, signal ? { signal } : {})) {
          for (const record of chunk) {
            if (record.seq > head) break
            const turn = way.turn(record.bytes.length)
            if (turn) await wake.unlessOver(turn)
            throwIfAborted(signal)
            const found = eventsOf(core, parser, record, type?.name)
            next = record.seq + 1
            if (!found) continue
            try {
              yield found.events
            } finally {
              found.held?.end()
            }
          }
          if (next > head) break
        }
      }
      if (until || core.isClosed || (await wake.next()) === 'closed') return
      way.turned()
    }
  } finally {
    wake.stop()
  }
}

/** A stream from no record, or of no type, would look like a chain on which nothing happens. @throws AteError BAD_ARGUMENT */
export function assertStream({ from = 0, until = 'end', type }: EventsOptions): void {
  if (!Number.isSafeInteger(from) || from < 0 || until !== 'end' || (type !== undefined && !type?.name))
    throw new AteError('BAD_ARGUMENT', { what: "from: a seq, until: 'end', type: of defineType" })
}

interface FoundEvents {
  readonly events: readonly ChainEvent[]
  /** The record, whose bytes stay as they are until it is ended. */
  readonly held: HeldRecord | undefined
}

/** Committed events of a record, those of void transactions left out; undefined if there are none. */
function eventsOf(
  core: ChainCore,
  parser: CommitParser,
  record: LogRecord,
  type: string | undefined,
): FoundEvents | undefined {
  const { replica, crypto } = core
  const held = holdRecord(core, record)
  const commit = held?.commit ?? commitOf(replica, parser, record)
  if (!commit) return undefined
  const certificate = replica.trust.certificates.get(toBinaryText(commit.writer))
  const voids = replica.voids.get(record.seq)
  if (!certificate) return undefined
  const author = fingerprintOf(certificate.identityBytes)
  const bodies = new StoredBodies()
  const prefixes = new PrefixHasher(crypto, replica.chainId, certificate.identityBytes)
  const events: ChainEvent[] = []
  let index = -1
  for (let i = 0; i < commit.transactions.length; i++) {
    if (voids?.has(i)) continue
    const transaction = commit.transactions[i]!
    nameCreated(crypto, replica.chainId, certificate.identityBytes, transaction, prefixes)
    const txId = toBase32(transaction.nonce)
    const origin: EventOrigin = { core, held, seq: record.seq, at: commit.at, author, txId }
    for (let at = 0; at < transaction.events.length; at++) {
      const event = transaction.events[at]!
      index++
      const name = typeOf(core, event)
      if (type !== undefined && name !== type) continue
      const body = event.body ? (held?.bodyOf(transaction.events, at) ?? bodies.of(record.seq, event)) : undefined
      events.push(new CommittedEvent(origin, event, index, name, body))
    }
  }
  if (events.length === 0) return undefined
  held?.want(commit, events.length)
  return { events, held }
}

/**
 * A commit that is the one which was verified, by its hash: what it says of its bodies is what was signed. Undefined of another
 * record. @throws AteError LINK_MISMATCH | BAD_ROOT | BAD_RECORD | BAD_CBOR
 */
function commitOf(
  { crypto, chainId, hashes }: Replica,
  parser: CommitParser,
  record: LogRecord,
): ParsedCommit | undefined {
  const { seq, bytes } = record
  const { kind } = parseRecordHead(bytes)
  const commit = kind === KIND.commit ? parser.parse(chainId, bytes) : undefined
  if (!equalBytes(hashRecord(crypto, chainId, bytes, kind, commit?.commitHash), hashes.at(seq)!))
    throw new AteError('LINK_MISMATCH', { seq })
  return commit
}

function typeOf(core: ChainCore, event: TransactionEvent): string {
  if (event.op === OP.create) return event.type
  const { view } = core.replica
  const row = view.table.find(event.a, event.b, event.c, event.d)
  return row < 0 ? '' : view.typeOf(row)
}

interface EventOrigin {
  readonly core: ChainCore
  readonly held: HeldRecord | undefined
  readonly seq: number
  readonly at: number
  readonly author: Fingerprint
  readonly txId: string
}

/**
 * Texts of ids are made when they are asked for: who skips most events of a long log does not pay for them. Nothing here
 * points into the record, which would be held as long as the event.
 */
class CommittedEvent implements ChainEvent {
  readonly seq: number
  readonly index: number
  readonly at: number
  readonly op: OpName
  readonly type: string
  readonly collection?: string
  readonly bytes: number
  readonly #origin: EventOrigin
  readonly #a: number
  readonly #b: number
  readonly #c: number
  readonly #d: number
  readonly #parent: EntityWords
  readonly #body: StoredBody | undefined

  constructor(origin: EventOrigin, event: TransactionEvent, index: number, type: string, body: StoredBody | undefined) {
    this.seq = origin.seq
    this.index = index
    this.at = origin.at
    this.op = OP_NAMES.get(event.op)!
    this.type = type
    if (event.op === OP.create || event.op === OP.move) this.collection = event.collection
    this.#origin = origin
    this.#a = event.a
    this.#b = event.b
    this.#c = event.c
    this.#d = event.d
    this.#parent = event.parent
    this.#body = body
    this.bytes = body?.size ?? 0
  }

  get author(): Fingerprint {
    return this.#origin.author
  }

  get txId(): string {
    return this.#origin.txId
  }

  get entity(): EntityId {
    return entityIdOfWords(this.#a, this.#b, this.#c, this.#d)
  }

  get parent(): EntityId | undefined {
    return this.collection === undefined ? undefined : textOfParent(this.#parent)
  }

  async value<T>(type: EntityType<T>): Promise<T> {
    return this.open(type)
  }

  open<T>(type: EntityType<T>): T | Promise<T> {
    const { core, held } = this.#origin
    const place = this.#body
    if (!place) return decodeBody(NO_BODY, type).value
    const opened = core.bodies.isObserved ? undefined : held?.block(place.block)
    if (opened) return decodeBody(opened, type, undefined, place.offset, place.offset + place.size).value
    const body = core.bodies.read(place, 'kept', held)
    return body instanceof Promise ? body.then((bytes) => decodeBody(bytes, type).value) : decodeBody(body, type).value
  }

  toJSON(): unknown {
    return Object.fromEntries(SHOWN.map((name) => [name, this[name]]))
  }

  static {
    Object.defineProperty(CommittedEvent.prototype, INSPECT, { value: CommittedEvent.prototype.toJSON })
  }
}

let lastParent: EntityWords | undefined
let lastParentText: EntityId | undefined

/** Events of a commit name the same few parents, each by the same words. */
function textOfParent(words: EntityWords): EntityId {
  if (words !== lastParent || lastParentText === undefined) {
    lastParent = words
    lastParentText = entityIdOfWords(words.a, words.b, words.c, words.d)
  }
  return lastParentText
}

/** Watches from the call on, not from the first look: what happens between the two is told. */
export function watchEntities(
  core: ChainCore,
  chain: ChainId,
  options: WatchOptions,
): AsyncGenerator<EntityChange, void, void> {
  throwIfAborted(options.signal)
  assertStream(options as EventsOptions)
  const changes = followChanges(core, filterOf(core, chain, options), options.signal)
  // Runs up to the first yield, which gives nothing: from there on the generator cleans up behind itself.
  void changes.next()
  return changes as AsyncGenerator<EntityChange, void, void>
}

async function* followChanges(
  core: ChainCore,
  wants: (row: number) => boolean,
  signal: AbortSignal | undefined,
): AsyncGenerator<EntityChange | undefined, void, void> {
  const wake = new Wake(core, signal)
  const changes = new Map<number, EntityChange['kind']>()
  const listener: Parameters<typeof core.listeners.add>[0] = ({ transactions }) => {
    for (const { events } of transactions) for (const event of events) noteChange(changes, event, wants)
  }
  core.listeners.add(listener)
  try {
    yield undefined
    for (;;) {
      for (const [row, kind] of changes) {
        changes.delete(row)
        yield { kind, type: core.replica.view.typeOf(row), id: core.replica.view.idText(row) }
      }
      if (core.isClosed || (changes.size === 0 && (await wake.next()) === 'closed')) return
    }
  } finally {
    core.listeners.delete(listener)
    wake.stop()
  }
}

function noteChange(
  changes: Map<number, EntityChange['kind']>,
  event: TransactionEvent,
  wants: (row: number) => boolean,
): void {
  const { op, row } = event
  const kind =
    op === OP.create
      ? 'created'
      : op === OP.delete
        ? 'deleted'
        : op === OP.put || op === OP.move || op === OP.add
          ? 'changed'
          : undefined
  if (!kind || row < 0 || !wants(row)) return
  const before = changes.get(row)
  // Created and changed before anybody looked is created.
  changes.set(row, before === 'created' && kind === 'changed' ? 'created' : kind)
}

function filterOf(core: ChainCore, chain: ChainId, { type, entity, parent }: WatchOptions): (row: number) => boolean {
  const { view } = core.replica
  // What is named may be made later: until then it is looked for at each change.
  const isRow = (ref: EntityRef | undefined): ((row: number) => boolean) => {
    if (ref === undefined) return () => true
    const { a, b, c, d } = wordsOfRef(ref, chain)
    let known = -1
    return (row) => {
      if (known < 0) known = view.table.find(a, b, c, d)
      return row === known
    }
  }
  const isOnly = isRow(entity)
  const isBelow = isRow(parent)
  return (row) =>
    (type === undefined || view.typeOf(row) === type.name) && isOnly(row) && isBelow(view.table.get(row, ROW.parent))
}

/** Sleeps until a record comes, the chain closes, or the signal aborts. */
class Wake {
  readonly #core: ChainCore
  readonly #signal: AbortSignal | undefined
  readonly #listener: () => void
  readonly #ending: () => void
  #news = false
  #resume: (() => void) | undefined
  #cutShort: (() => void) | undefined

  constructor(core: ChainCore, signal: AbortSignal | undefined) {
    this.#core = core
    this.#signal = signal
    this.#listener = () => {
      this.#news = true
      this.#resume?.()
    }
    this.#ending = () => {
      this.#listener()
      this.#cutShort?.()
    }
    core.listeners.add(this.#listener)
    core.closers.add(this.#ending)
    signal?.addEventListener('abort', this.#ending)
  }

  /** Waits for `turn`, or for what ends the stream: who closes the chain does not wait for its readers, and they end with it. */
  async unlessOver(turn: Promise<void>): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#cutShort = resolve
      void turn.then(resolve)
    })
    this.#cutShort = undefined
  }

  /** @throws the signal's reason */
  async next(): Promise<'news' | 'closed'> {
    throwIfAborted(this.#signal)
    if (!this.#news) {
      await new Promise<void>((resolve) => {
        this.#resume = resolve
      })
      this.#resume = undefined
    }
    this.#news = false
    throwIfAborted(this.#signal)
    return this.#core.isClosed ? 'closed' : 'news'
  }

  stop(): void {
    this.#core.listeners.delete(this.#listener)
    this.#core.closers.delete(this.#ending)
    this.#signal?.removeEventListener('abort', this.#ending)
  }
}
