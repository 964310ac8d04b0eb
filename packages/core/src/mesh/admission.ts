/**
 * Who may connect and create, and how much: rules that an operator chooses, and quotas and rates by address and by
 * identity. Nothing here waits or reads a clock: each call is told the time, and answers with a value. What is counted by
 * address stands before any cryptography; what is counted by identity, behind it.
 */
import { AteError } from '../base/errors.ts'
import { type Fingerprint, fromBase32 } from '../base/ids.ts'
import { ADMISSION_ENTRIES_MAX, SOCKETS_MAX } from '../base/limits.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { parsePublicId } from '../session/identity.ts'
import { CountedTable } from './counted-table.ts'
import type { Owned } from './holdings.ts'
import { type Bucket, fullBucket, type Rate, takeAll, takeOne } from './token-bucket.ts'

/** Who: programs on the server's machine, anyone, or the identities listed, by public id or fingerprint. */
export type Who = 'loopback' | 'anyone' | readonly string[]

export interface AdmitRule {
  /** Who may connect; anyone if left out: what he may read and write is for each chain to say. */
  readonly connect?: Who
  /** Who may create chains; 'loopback' if left out. */
  readonly create?: Who
}

export interface AdmitRequest {
  readonly kind: 'connect' | 'create'
  /** Undefined of one who has not said who he is. */
  readonly identity: Fingerprint | undefined
  readonly isLoopback: boolean
  readonly peer: string
  /** Of `create`: the name of the chain. */
  readonly chain?: string
}

/** Whether to admit; a text is the reason of a refusal, which the other side is told. */
export type AdmitAnswer = boolean | string
export type Admit = AdmitRule | ((request: AdmitRequest) => AdmitAnswer | Promise<AdmitAnswer>)

export interface AdmissionLimits {
  /** Connections at a time. Programs on the server's machine share an address, so they are not counted by it. */
  readonly connections: number
  readonly connectionsPerAddress: number
  readonly connectionsPerIdentity: number
  /** Connections that have not said yet who they are. */
  readonly pending: number
  readonly pendingPerAddress: number
  /** From so many pending on, an address has to show that it receives (a cookie) before anything is computed for it. */
  readonly cookiesFromPending: number
  readonly handshakes: Rate
  readonly handshakesPerAddress: Rate
  /** Bytes that come in; over it, a connection is read more slowly. */
  readonly bytesPerIdentity: Rate
  readonly commitsPerIdentity: Rate
  /** Chains that an identity makes. */
  readonly createPerIdentity: Rate
  /** Chains that an identity has made and that are here. */
  readonly chainsPerIdentity: number
  /** Bytes of the logs of these chains together, whoever writes in them. */
  readonly storedBytesPerIdentity: number
}

/** Native post-quantum handshakes cost a core about 1.5 ms; commits, about 0.1. */
export const DEFAULT_LIMITS: AdmissionLimits = {
  connections: SOCKETS_MAX,
  connectionsPerAddress: 256,
  connectionsPerIdentity: 256,
  pending: 1024,
  pendingPerAddress: 32,
  cookiesFromPending: 64,
  handshakes: { perSecond: 500, burst: 1000 },
  handshakesPerAddress: { perSecond: 10, burst: 100 },
  bytesPerIdentity: { perSecond: 64 * 1024 * 1024, burst: 256 * 1024 * 1024 },
  commitsPerIdentity: { perSecond: 20_000, burst: 100_000 },
  createPerIdentity: { perSecond: 1, burst: 100 },
  chainsPerIdentity: 10_000,
  storedBytesPerIdentity: 1024 ** 4,
}

/** What there was too much of; `not-admitted` is the rule's. */
export type RefusedFor =
  | 'connections'
  | 'handshakes'
  | 'commits'
  | 'creates'
  | 'chains'
  | 'stored-bytes'
  | 'not-admitted'

/** An expected refusal. */
export interface Refused {
  readonly refused: RefusedFor
  /** What the other side may be told. */
  readonly text: string
  /** Milliseconds after which it may go better; undefined if not by waiting. */
  readonly retryMs?: number
}

export interface Peer {
  readonly peer: string
  readonly isLoopback: boolean
}

interface AddressCount {
  pending: number
  readonly handshakes: Bucket
}

interface IdentityCount {
  readonly bytes: Bucket
  readonly commits: Bucket
  readonly creates: Bucket
}

export class Admission {
  readonly limits: AdmissionLimits
  readonly #handshakes: Bucket
  readonly #addresses: CountedTable<AddressCount>
  readonly #identities: CountedTable<IdentityCount>
  /** The time of the call that is running, for what it makes. */
  #nowMs: number
  #connections = 0
  #pending = 0

  constructor(limits: Partial<AdmissionLimits>, nowMs: number, entriesMax: number = ADMISSION_ENTRIES_MAX) {
    this.limits = { ...DEFAULT_LIMITS, ...limits }
    this.#nowMs = nowMs
    this.#handshakes = fullBucket(this.limits.handshakes, nowMs)
    this.#addresses = new CountedTable(entriesMax, () => ({
      pending: 0,
      handshakes: fullBucket(this.limits.handshakesPerAddress, this.#nowMs),
    }))
    this.#identities = new CountedTable(entriesMax, () => ({
      bytes: fullBucket(this.limits.bytesPerIdentity, this.#nowMs),
      commits: fullBucket(this.limits.commitsPerIdentity, this.#nowMs),
      creates: fullBucket(this.limits.createPerIdentity, this.#nowMs),
    }))
  }

  get connections(): number {
    return this.#connections
  }

  get pending(): number {
    return this.#pending
  }

  /** Entries that are kept of addresses and identities, for metrics. */
  get entries(): number {
    return this.#addresses.size + this.#identities.size
  }

  /** Whether there is room at all, before anything is spent on a connection: for `ListenOptions.admits`. */
  hasRoom(peer: string): boolean {
    if (this.#connections >= this.limits.connections || this.#pending >= this.limits.pending) return false
    return isOwn(peer) || this.#addresses.holds(addressKey(peer)) < this.limits.connectionsPerAddress
  }

  /** A connection comes in. Each pass must be ended, once. */
  connect({ peer, isLoopback }: Peer, nowMs: number): ConnectionPass | Refused {
    this.#nowMs = nowMs
    const { limits } = this
    if (this.#connections >= limits.connections) return refused('connections', 'the server is full')
    if (this.#pending >= limits.pending) return refused('handshakes', 'too many connections are opening', 1000)
    const key = isLoopback ? undefined : addressKey(peer)
    if (key !== undefined) {
      if (this.#addresses.holds(key) >= limits.connectionsPerAddress)
        return refused('connections', 'too many connections of this address')
      const count = this.#addresses.get(key)
      if (count.pending >= limits.pendingPerAddress)
        return refused('handshakes', 'too many connections of this address are opening', 1000)
      this.#addresses.hold(key)
      count.pending++
    }
    this.#connections++
    this.#pending++
    return new ConnectionPass(this.#ledger, key)
  }

  readonly #ledger: Ledger = {
    needsCookie: () => this.#pending > this.limits.cookiesFromPending,
    handshake: (address, nowMs) => this.#handshake(address, nowMs),
    known: (address, identity) => this.#known(address, identity),
    count: (identity, nowMs) => {
      this.#nowMs = nowMs
      return this.#identities.get(identity)
    },
    limits: () => this.limits,
    end: (address, identity, isPending) => this.#end(address, identity, isPending),
  }

  #handshake(address: string | undefined, nowMs: number): Refused | undefined {
    this.#nowMs = nowMs
    // Of the address first: one that is over its own rate takes nothing of everybody's.
    if (address !== undefined) {
      const own = takeOne(this.#addresses.get(address).handshakes, this.limits.handshakesPerAddress, nowMs)
      if (own !== undefined) return refused('handshakes', 'too many handshakes of this address', own)
    }
    const all = takeOne(this.#handshakes, this.limits.handshakes, nowMs)
    return all === undefined ? undefined : refused('handshakes', 'too many handshakes', all)
  }

  #known(address: string | undefined, identity: string | undefined): Refused | undefined {
    if (identity !== undefined && this.#identities.holds(identity) >= this.limits.connectionsPerIdentity)
      return refused('connections', 'too many connections of this identity')
    if (identity !== undefined) this.#identities.hold(identity)
    this.#pending--
    if (address !== undefined) this.#addresses.get(address).pending--
    return undefined
  }

  #end(address: string | undefined, identity: string | undefined, isPending: boolean): void {
    this.#connections--
    if (isPending) this.#pending--
    if (address !== undefined) {
      if (isPending) this.#addresses.get(address).pending--
      this.#addresses.release(address)
    }
    if (identity !== undefined) this.#identities.release(identity)
  }
}

interface Ledger {
  needsCookie(): boolean
  handshake(address: string | undefined, nowMs: number): Refused | undefined
  known(address: string | undefined, identity: string | undefined): Refused | undefined
  count(identity: string, nowMs: number): IdentityCount
  limits(): AdmissionLimits
  end(address: string | undefined, identity: string | undefined, isPending: boolean): void
}

/** What one connection may take. Who does not say who he is, is counted as one identity with all who do not. */
export class ConnectionPass {
  readonly #ledger: Ledger
  readonly #address: string | undefined
  #identity: string | undefined
  #isPending = true
  #isEnded = false

  constructor(ledger: Ledger, address: string | undefined) {
    this.#ledger = ledger
    this.#address = address
  }

  /** Whether the handshake has to demand a cookie now. Those on the server's machine are asked too. */
  get needsCookie(): boolean {
    return this.#ledger.needsCookie()
  }

  /** Before a handshake's first computation. */
  handshake(nowMs: number): Refused | undefined {
    return this.#ledger.handshake(this.#address, nowMs)
  }

  /** The handshake ended well; undefined for one who stays anonymous. Called once. */
  authenticated(identity: Fingerprint | undefined): Refused | undefined {
    const problem = this.#ledger.known(this.#address, identity)
    if (problem) return problem
    this.#identity = identity
    this.#isPending = false
    return undefined
  }

  /** Bytes came in: the ms for which the connection should be paused, mostly 0. */
  received(bytes: number, nowMs: number): number {
    return takeAll(this.#count(nowMs).bytes, this.#ledger.limits().bytesPerIdentity, bytes, nowMs)
  }

  /** Commits are offered: the ms for which the next ones should wait, mostly 0. */
  commits(count: number, nowMs: number): number {
    return takeAll(this.#count(nowMs).commits, this.#ledger.limits().commitsPerIdentity, count, nowMs)
  }

  /** A chain is to be made; `owned` are those that the identity has already. */
  create(owned: Owned, nowMs: number): Refused | undefined {
    const { chainsPerIdentity, createPerIdentity, storedBytesPerIdentity } = this.#ledger.limits()
    if (owned.chains >= chainsPerIdentity) return refused('chains', 'this identity has as many chains as it may')
    if (owned.storedBytes >= storedBytesPerIdentity)
      return refused('stored-bytes', 'this identity has stored as much as it may')
    const wait = takeOne(this.#count(nowMs).creates, createPerIdentity, nowMs)
    return wait === undefined ? undefined : refused('creates', 'chains are made too fast', wait)
  }

  end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#ledger.end(this.#address, this.#identity, this.#isPending)
  }

  #count(nowMs: number): IdentityCount {
    return this.#ledger.count(this.#identity ?? ANONYMOUS, nowMs)
  }
}

export function isRefused(answer: object | undefined): answer is Refused {
  return answer !== undefined && 'refused' in answer
}

/** Rules as a function. Identities are compared by fingerprint. @throws AteError BAD_ARGUMENT | BAD_PUBLIC_ID */
export function admitBy(admit: Admit | undefined, crypto: CryptoProvider): (r: AdmitRequest) => Promise<AdmitAnswer> {
  if (typeof admit === 'function') return async (request) => admit(request)
  const connect = whoOf(admit?.connect ?? 'anyone', crypto, 'admit.connect')
  const create = whoOf(admit?.create ?? 'loopback', crypto, 'admit.create')
  return async (request) => (request.kind === 'connect' ? connect(request) : create(request))
}

const ANONYMOUS = ''
const FINGERPRINT_BYTES = 32

function whoOf(who: Who, crypto: CryptoProvider, option: string): (request: AdmitRequest) => boolean {
  if (who === 'anyone') return () => true
  if (who === 'loopback') return ({ isLoopback }) => isLoopback
  if (!Array.isArray(who)) {
    throw new AteError('BAD_ARGUMENT', {
      option,
      wanted: "'loopback', 'anyone' or a list of public ids or fingerprints",
    })
  }
  const listed = new Set<string>(who.map((text: unknown) => fingerprintFrom(text, crypto)))
  return ({ identity }) => identity !== undefined && listed.has(identity)
}

/** The fingerprint of a public id, or of a fingerprint's text. @throws AteError BAD_PUBLIC_ID */
function fingerprintFrom(text: unknown, crypto: CryptoProvider): Fingerprint {
  if (typeof text === 'string' && fromBase32(text, FINGERPRINT_BYTES)) return text as Fingerprint
  return parsePublicId(crypto, text).fingerprint
}

/** Who has one address of IPv6 has 2^64 of them: they count as one. */
export function addressKey(peer: string): string {
  if (!peer.includes(':')) return peer
  const [head = '', tail] = peer.split('%')[0]!.split('::')
  const front = head === '' ? [] : head.split(':')
  const back = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - front.length - back.length)
  const groups = [...front, ...Array<string>(zeros).fill('0'), ...back]
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`
}

/** Programs on the server's machine and what comes through a proxy there look alike before the headers are read. */
function isOwn(peer: string): boolean {
  return peer === '' || peer === '::1' || peer.startsWith('127.')
}

function refused(why: RefusedFor, text: string, retryMs?: number): Refused {
  return { refused: why, text, ...(retryMs === undefined ? {} : { retryMs }) }
}
