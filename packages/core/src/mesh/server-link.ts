/**
 * The way from one chain to its server, over connections that break and come back: what is told to the chain is told in
 * order, and each connection goes on behind the newest record that the chain has taken.
 */
import { equalBytes } from '../base/bytes.ts'
import { unlessAborted } from '../base/deferred.ts'
import { AteError, isAteError, isRefusedWrite } from '../base/errors.ts'
import { chainIdOf } from '../base/ids.ts'
import { LINK_RETRY_MS, READ_CREDIT_BYTES, REDIRECTS_MAX } from '../base/limits.ts'
import type { BodyPlace, KeyAccess, Link, LinkEntry, LinkEvents } from '../chain/link.ts'
import type { AcknowledgementPart } from '../chain/signed-parts.ts'
import { type Durability, durabilityRank, type Head, type LogRecord } from '../log/engine.ts'
import type { Platform } from '../session/platform.ts'
import { BodyAsking } from './body-asking.ts'
import type { ChannelEvents, ClientConnection, Opened, OpenRequest } from './client-connection.ts'
import type { Lease } from './connection-pool.ts'
import { KeyAsking } from './key-asking.ts'
import type { RingPage } from './key-messages.ts'
import { LastAcknowledgement } from './last-acknowledgement.ts'
import { type Arrived, LinkInbox } from './link-inbox.ts'
import { LinkRetry } from './link-retry.ts'
import { SyncAsking } from './sync-asking.ts'

/** Refusals that another try may not meet: a server that is full, or about to go. */
const PASSING: ReadonlySet<string> = new Set([
  'BUSY',
  'RATE_LIMITED',
  'OFFLINE',
  'SERVER_UNREACHABLE',
  'WIRE_BROKEN',
  'CHAIN_ELSEWHERE',
  'DISK_FULL',
  'TOO_MANY_FILES',
])

export interface ServerLinkParts {
  readonly platform: Platform
  /** A place on a connection to the server, shared or new. */
  readonly connect: (signal?: AbortSignal) => Promise<Lease>
  readonly request: Omit<OpenRequest, 'head' | 'chain' | 'genesis' | 'name'>
  /** What the chain is called on that connection. */
  readonly nameOn: (connection: ClientConnection) => string
  /** The server sends us to another one: true if the next connection leads there. */
  readonly follow?: (error: AteError, connection: ClientConnection) => boolean
  /** Until the first try after a connection has broken, in ms; LINK_RETRY_MS if left out. */
  readonly retryMs?: number
}

/** What is answered behind all that was stored. */
export type Asking = { readonly type: 'sync' | 'take' } | { readonly type: 'taken'; readonly head: Head }

/** What is known of a chain whose server does not answer. */
export interface Away {
  readonly chain: Uint8Array
  /** What its records are to reach; the server says it when it is there. */
  readonly level: Durability
  /** Why it is away. */
  readonly error: AteError
  /** What this machine has verified beyond its copy: the server has to have it. */
  readonly beyond: Head | undefined
}

export class ServerLink implements Link {
  readonly #parts: ServerLinkParts
  readonly #inbox: LinkInbox
  readonly #acknowledgement: LastAcknowledgement
  readonly #retry: LinkRetry
  readonly #keys = new KeyAsking((message) => {
    this.#lease!.connection.send({ ...message, channel: this.#opened!.channel })
  })
  readonly #bodies = new BodyAsking((place, id) => {
    this.#lease!.connection.send({ type: 'body', channel: this.#opened!.channel, id, ...place })
  })
  readonly #syncs: SyncAsking
  #keyAccess: KeyAccess = 'none'
  /** What was submitted on this connection, for records of which the server sends only the head. */
  readonly #submitted = new Map<number, readonly LinkEntry[]>()
  readonly #closing = new AbortController()
  /** From the opening without a connection to the first one. */
  #away: Away | undefined
  #lease: Lease | undefined
  #opened: Opened | undefined
  #events: LinkEvents | undefined
  #pumping = false
  #verifying = false
  #wake: (() => void) | undefined
  #level: Durability = 'memory'
  /** Of the records that were taken on this connection, and not told to the server yet. */
  #takenBytes = 0
  #parkedLost: (() => void) | undefined
  #ended: AteError | undefined

  private constructor(parts: ServerLinkParts) {
    const { crypto, environment } = parts.platform
    this.#parts = parts
    this.#inbox = new LinkInbox(crypto)
    this.#acknowledgement = new LastAcknowledgement(crypto)
    this.#retry = new LinkRetry(parts.platform, parts.retryMs ?? LINK_RETRY_MS)
    this.#syncs = new SyncAsking({
      timers: environment.timers,
      send: (id) => this.#lease!.connection.send({ type: 'sync', channel: this.#opened!.channel, id }),
      heard: () => this.#inbox.heard,
    })
  }

  /**
   * Opens the chain at the server, or makes it of `genesis`.
   * @throws AteError CHAIN_NOT_FOUND | NOT_AUTHORIZED | WRONG_CHAIN | ROLLBACK | FORK, and as connect (connect.ts)
   */
  static async open(
    parts: ServerLinkParts,
    from: Pick<OpenRequest, 'head' | 'chain' | 'genesis'>,
    signal: AbortSignal | undefined,
  ): Promise<ServerLink> {
    const link = new ServerLink(parts)
    await link.#connect(from, signal)
    return link
  }

  /** One that connects when it is started, and until it can. */
  static away(parts: ServerLinkParts, away: Away): ServerLink {
    const link = new ServerLink(parts)
    link.#away = away
    return link
  }

  get chainId(): Uint8Array {
    return this.#away?.chain ?? this.#opened!.chain
  }

  /** The newest record that the server had when the chain was opened there. */
  get serverHead(): Head {
    return this.#opened!.head
  }

  get acknowledgement(): AcknowledgementPart | undefined {
    try {
      this.#acknowledgement.verify(this.chainId)
    } catch {
      // The connection ends with it, in its turn; evidence is what was verified.
    }
    return this.#acknowledgement.part
  }

  get durability(): Durability {
    return this.#away?.level ?? this.#level
  }

  get orderedBy(): Uint8Array | undefined {
    return this.#lease?.connection.server.identity.fingerprintBytes
  }

  get keyAccess(): KeyAccess {
    return this.#keyAccess
  }

  /** The server that this chain is with. */
  get server(): ClientConnection['server'] {
    return this.#lease!.connection.server
  }

  /** Before `start`: the records up to the head at opening, as they come. @throws AteError if the connection breaks */
  async *catchUp(from: number, signal: AbortSignal | undefined): AsyncGenerator<readonly LogRecord[], void, void> {
    let next = from
    const { seq } = this.serverHead
    while (next <= seq) {
      const records = this.#inbox.takeRecords()
      if (records.length === 0) {
        // Nothing was asked for yet but records: what else is there would stand in their way.
        if (this.#inbox.first) throw new AteError('BAD_MESSAGE', { what: this.#inbox.first.kind })
        await this.#arrival(signal)
      } else {
        yield records.map(({ record }) => record)
        next += records.length
        this.#credit(records)
      }
    }
  }

  /** Before `start`, and behind `catchUp`: what the server has more by now. @throws AteError if the connection breaks */
  async *more(
    signal: AbortSignal | undefined,
    ask: Asking = { type: 'sync' },
  ): AsyncGenerator<readonly LogRecord[], void, void> {
    const id = this.#syncs.number()
    this.#lease?.connection.send({ ...ask, channel: this.#opened!.channel, id })
    for (;;) {
      const records = this.#inbox.takeRecords()
      if (records.length > 0) {
        yield records.map(({ record }) => record)
        this.#credit(records)
        continue
      }
      const item = this.#inbox.take()
      if (item?.kind === 'synced' && item.id === id) return
      if (!item) await this.#arrival(signal)
    }
  }

  /** Resolves when something may have come. */
  async #arrival(signal: AbortSignal | undefined): Promise<void> {
    if (this.#ended) throw this.#ended
    if (!this.#lease?.connection)
      throw new AteError('OFFLINE', { what: 'the connection broke while the chain was opened' })
    const arrived = new Promise<void>((resolve) => {
      this.#wake = resolve
    })
    await unlessAborted(arrived, signal)
  }

  start(events: LinkEvents): void {
    this.#events = events
    this.#parkedLost = undefined
    this.#lease?.use('active')
    if (this.#lease) events.online()
    else {
      if (this.#away) events.offline(this.#away.error)
      this.#retryLater()
    }
    void this.#pump()
  }

  /** Nobody listens for now: what comes waits, up to what the server sends without being asked for more. */
  park(lost: () => void): void {
    this.#events = undefined
    this.#parkedLost = lost
    this.#lease?.use('parked')
    if (!this.#lease || this.#ended) lost()
  }

  submit(id: number, entries: readonly LinkEntry[]): void {
    const connection = this.#lease?.connection
    if (!connection) return
    // Of an older kind than the one that these were made for: it would order them, and lose their keys.
    if (this.#keyAccess === 'none' && entries.some(({ keys }) => keys)) {
      const error = new AteError('KEYS_UNAVAILABLE', { chain: chainIdOf(this.chainId) })
      this.#end(error)
      this.#events?.ended(error)
      return
    }
    this.#submitted.set(id, entries)
    const { channel } = this.#opened!
    entries.forEach(({ kind, payload, keys }, i) => {
      for (const { entity, bytes } of keys ?? []) connection.send({ type: 'key', channel, id, entity, bytes })
      connection.send({ type: 'submit', channel, id, isLast: i === entries.length - 1, kind, payload })
    })
    connection.flush()
  }

  sync(): Promise<void> {
    if (this.#ended) return Promise.reject(this.#ended)
    if (!this.#lease) return Promise.reject(new AteError('OFFLINE'))
    return this.#syncs.ask()
  }

  body(place: BodyPlace): Promise<Uint8Array> {
    if (this.#ended) return Promise.reject(this.#ended)
    if (!this.#lease)
      return Promise.reject(new AteError('OFFLINE', { what: 'the copy of this machine does not have this value' }))
    return this.#bodies.ask(place)
  }

  async attachedKey(entity: Uint8Array, record: number | undefined): Promise<Uint8Array | undefined> {
    this.#assertKeys()
    return this.#keys.key(entity, record)
  }

  async countKeys(): Promise<number> {
    return (await this.ringPage(undefined)).total
  }

  /** Entries of the ring behind that name: of those a server gives to servers of its own ring alone. */
  async ringPage(after: Uint8Array | undefined): Promise<RingPage> {
    this.#assertKeys()
    return this.#keys.page(after)
  }

  #assertKeys(): void {
    if (this.#ended) throw this.#ended
    if (!this.#lease) throw new AteError('OFFLINE', { what: 'attached keys are with the server' })
    if (this.#keyAccess === 'none') throw new AteError('KEYS_UNAVAILABLE', { chain: chainIdOf(this.chainId) })
  }

  async close(why: AteError = new AteError('CHAIN_CLOSED', {})): Promise<void> {
    this.#end(why)
    this.#closing.abort(why)
    this.#retry.cancel()
    const lease = this.#lease
    this.#lease = undefined
    lease?.connection.leave(this.#opened!.channel)
    lease?.leave()
  }

  async #connect(
    from: Pick<OpenRequest, 'head' | 'chain' | 'genesis'>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { connect, request, nameOn, follow } = this.#parts
    const { acknowledgement: said } = this
    const takeBack = this.#acknowledgement.mark()
    const reached = this.#level
    for (let left = REDIRECTS_MAX; ; left--) {
      const lease = await connect(signal)
      try {
        const opened = await lease.connection.openChannel(
          { ...request, name: nameOn(lease.connection), ...from },
          (now) => this.#begin(lease, now),
          signal,
        )
        this.#checkSame(opened, from, said)
        this.#away = undefined
        if (durabilityRank(opened.level) < durabilityRank(reached))
          throw new AteError('DURABILITY_UNAVAILABLE', { wanted: reached, engine: opened.level })
        return
      } catch (error) {
        this.#lease = undefined
        // What a server says that has gone back is no memory to keep.
        takeBack()
        lease.leave()
        const isSentOn = left > 0 && isAteError(error) && error.code === 'CHAIN_ELSEWHERE'
        if (!isSentOn || follow?.(error, lease.connection) !== true) throw error
      }
    }
  }

  /** In the turn in which the server has opened it: its records follow at once. */
  #begin(lease: Lease, opened: Opened): ChannelEvents {
    this.#opened = opened
    this.#level = opened.level
    this.#inbox.begin(this.chainId, opened.level)
    this.#takenBytes = 0
    this.#lease = lease
    this.#keyAccess = lease.connection.keyAccess
    return this.#eventsOf(lease.connection)
  }

  /** An honest server has what it acknowledged. What it says is held against what this process has verified. */
  #checkSame(
    { chain, head: shown, resume }: Opened,
    { chain: wanted, head }: Pick<OpenRequest, 'head' | 'chain'>,
    known: AcknowledgementPart | undefined,
  ): void {
    if (wanted && !equalBytes(wanted, chain))
      throw new AteError('WRONG_CHAIN', { wanted: chainIdOf(wanted), found: chainIdOf(chain) })
    if (!head) return
    const wantedSeq = Math.max(head.seq, this.#away?.beyond?.seq ?? 0)
    const kind = shown.seq < wantedSeq ? 'rollback' : resume && equalBytes(resume, head.hash) ? undefined : 'fork'
    if (!kind) return
    const alarm = this.#events?.alarm({ kind, shown, known, against: this.acknowledgement })
    const facts = { chain: chainIdOf(chain), seq: shown.seq, verified: wantedSeq }
    throw alarm ?? new AteError(kind === 'rollback' ? 'ROLLBACK' : 'FORK', facts)
  }

  #eventsOf(connection: ClientConnection): ChannelEvents {
    const isOurs = (): boolean => !this.#ended && this.#lease?.connection === connection
    return {
      record: (level, bytes) => {
        if (!isOurs()) return
        this.#inbox.putRecord(level, bytes.slice())
        this.#arrived()
      },
      own: (level, id, index, head) => {
        const payload = this.#submitted.get(id)?.[index]?.payload
        if (!isOurs()) return
        if (!payload) throw new AteError('BAD_MESSAGE', { what: 'a record of ours that we did not submit' })
        const bytes = new Uint8Array(head.length + payload.length)
        bytes.set(head)
        bytes.set(payload, head.length)
        this.#inbox.putRecord(level, bytes)
        this.#arrived()
      },
      ack: (bytes) => {
        if (isOurs()) this.#takeAcknowledgement(bytes.slice(), connection.server)
      },
      answers: (id, answers) => {
        this.#submitted.delete(id)
        this.#retry.reset()
        if (isOurs()) this.#push({ kind: 'answers', id, answers })
      },
      synced: (id) => {
        if (isOurs()) this.#push({ kind: 'synced', id })
      },
      body: (id, bytes) => {
        this.#bodies.answered(id, bytes)
      },
      key: (id, answer) => {
        if (isOurs()) this.#keys.answered(id, 'ask', answer)
      },
      ring: (id, page) => {
        if (isOurs()) this.#keys.answered(id, 'ring', page)
      },
      closed: (error) => {
        if (isOurs()) this.#lost(error)
      },
      lost: (error) => {
        if (isOurs()) this.#lost(error)
      },
    }
  }

  /** Verified behind the records that came with it: they are judged by themselves, and their authors wait for that. */
  #takeAcknowledgement(bytes: Uint8Array, server: ClientConnection['server']): void {
    this.#acknowledgement.keep(bytes, server)
    // While the chain is opened nobody waits for a commit, and what it says decides whether it opens.
    if (this.#events) void this.#pump()
    else this.#acknowledgement.verify(this.chainId)
  }

  #push(item: Arrived): void {
    this.#inbox.put(item)
    this.#arrived()
  }

  #arrived(): void {
    this.#wake?.()
    this.#wake = undefined
    if (this.#events) void this.#pump()
  }

  async #pump(): Promise<void> {
    if (this.#pumping) return
    this.#pumping = true
    try {
      // What comes in the same turn is told at once.
      await Promise.resolve()
      while (!this.#inbox.isEmpty && !this.#ended) await this.#tellNext(this.#events!)
      void this.#verifyBehind()
    } catch (error) {
      this.#failed(error)
    } finally {
      this.#pumping = false
      this.#wake?.()
    }
  }

  /** A turn later: who waits for the records has them, and has answered, before this takes a signature's time. */
  async #verifyBehind(): Promise<void> {
    if (this.#verifying || !this.#acknowledgement.isUnverified) return
    this.#verifying = true
    await this.#parts.platform.environment.timers.pause()
    this.#verifying = false
    try {
      if (!this.#ended) this.#acknowledgement.verify(this.chainId)
    } catch (error) {
      this.#failed(error)
    }
  }

  /** Nothing that follows can be taken; and who waits for an answer has to hear that none will come. */
  #failed(error: unknown): void {
    const failure = isAteError(error) ? error : new AteError('INTERNAL', { what: 'link' }, { cause: error })
    this.#end(failure)
    this.#events?.ended(failure)
  }

  async #tellNext(events: LinkEvents): Promise<void> {
    const records = this.#inbox.takeRecords()
    if (records.length > 0) {
      await events.records(
        records.map(({ record }) => record),
        records[0]!.level,
      )
      this.#credit(records)
      return
    }
    const item = this.#inbox.take()
    if (item?.kind === 'answers') events.answers(item.id, item.answers)
    if (item?.kind === 'synced') this.#syncs.answered(item.id)
  }

  #credit(records: readonly { readonly bytes: number }[]): void {
    this.#takenBytes = records.reduce((sum, record) => sum + record.bytes, this.#takenBytes)
    if (this.#takenBytes < READ_CREDIT_BYTES) return
    this.#lease?.connection.send({ type: 'credit', channel: this.#opened!.channel, bytes: this.#takenBytes })
    this.#takenBytes = 0
  }

  #lost(error: AteError): void {
    const lease = this.#lease
    this.#lease = undefined
    this.#submitted.clear()
    const offline = new AteError('OFFLINE', {}, { cause: error })
    this.#syncs.lost(isFinal(error) ? error : offline)
    this.#bodies.lost(offline)
    this.#keys.lost(offline)
    this.#wake?.()
    lease?.leave()
    this.#parkedLost?.()
    // A server whose disk is full, or that gets no file, reads the log again for each try, which comes through and is told so.
    if (!isRefusedWrite(error)) this.#retry.reset()
    if (this.#ended || !this.#events) return
    if (isFinal(error)) {
      this.#end(error)
      this.#events.ended(error)
      return
    }
    this.#events.offline(error)
    this.#retryLater()
  }

  #retryLater(): void {
    this.#retry.later(() => void this.#reconnect())
  }

  async #reconnect(): Promise<void> {
    const events = this.#events
    if (this.#ended || !events) return
    try {
      // What came over the connection before is taken first: the next one goes on behind it.
      while (this.#pumping || !this.#inbox.isEmpty) {
        if (!this.#pumping) void this.#pump()
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
        if (this.#ended) return
      }
      await this.#connect({ head: events.head(), chain: this.chainId, genesis: undefined }, this.#closing.signal)
      // Or it was lost again in the turn in which it was opened, which is told, and tried anew.
      if (this.#ended || !this.#lease) return
      events.online()
    } catch (error) {
      if (this.#ended) return
      const failure = isAteError(error) ? error : new AteError('OFFLINE', {}, { cause: error })
      if (isFinal(failure)) {
        this.#end(failure)
        events.ended(failure)
      } else this.#retryLater()
    }
  }

  #end(error: AteError): void {
    this.#ended ??= error
    this.#inbox.clear()
    this.#wake?.()
    this.#syncs.lost(error)
    this.#bodies.lost(error)
    this.#keys.lost(error)
  }
}

/** What another try will not mend. */
function isFinal({ code }: AteError): boolean {
  return !PASSING.has(code)
}
