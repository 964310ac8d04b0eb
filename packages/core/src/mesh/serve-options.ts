/**
 * What a server is told, checked as a whole before anything is opened. The options are plain values, so that a program, a
 * command line and a file can give the same ones.
 */
import { type Duration, durationMs } from '../base/duration.ts'
import { AteError } from '../base/errors.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { type CompactPolicy, checkCompactPolicy } from '../data/compact-policy.ts'
import type { Identity } from '../session/identity.ts'
import type { Passphrase } from '../session/identity-text.ts'
import {
  type AdmissionLimits,
  type Admit,
  type AdmitAnswer,
  type AdmitRequest,
  admitBy,
  DEFAULT_LIMITS,
} from './admission.ts'
import { isLoopbackPlace, type Place, parsePlace, placeUrl } from './transport.ts'

export interface ServeOptions {
  /** Where to listen: `ws://HOST:PORT/PATH`, `wss://...`, `ws+unix:FILE`; port 0 takes a free one. */
  readonly listen: string | readonly string[]
  /** The folder of the server's identity and of its chains; made if there is none. */
  readonly data: string
  /** The address that clients use, where it is not the first of `listen`: behind a proxy, or for `0.0.0.0`. */
  readonly url?: string
  /**
   * Proxies in front: `loopback`, or a list of addresses and networks (`10.0.0.0/8`) and `loopback`. What comes from there is no
   * program on this machine, and counts for the address that the proxy adds to X-Forwarded-For. That header of others means nothing.
   */
  readonly proxies?: 'loopback' | readonly string[]
  /**
   * Who may connect and create chains; by default anyone connects, and programs on this machine create: nobody where `url` shows
   * that there is a proxy, since not every one says that it is one.
   */
  readonly admit?: Admit
  /** Quotas and rates; what is left out is as in DEFAULT_LIMITS. */
  readonly limits?: Partial<AdmissionLimits>
  /** Certificate chain and key in PEM, for `wss:`. */
  readonly tls?: { readonly cert: string; readonly key: string }
  /** 'off' only where all of `listen` is on this machine. */
  readonly wireEncryption?: 'on' | 'off'
  /**
   * When a writer is answered: once his record is on the disk (left out), or `os`, once the system has it, which syncs it
   * within a second: it survives the end of the server's process, and a power cut takes the last second with it.
   */
  readonly durability?: 'disk' | 'os'
  /**
   * Whom the keys beside the logs (`tx.attachKey`) are given to. `open`, if left out: who may read the entity. `recorded`: who may
   * read it, and has a durable record of asking for it.
   */
  readonly keyAccess?: 'open' | 'recorded'
  /** When chains are compacted; when they have doubled, if left out. */
  readonly compact?: CompactPolicy | 'never'
  /** How long a chain stays loaded that nobody uses; a minute if left out. */
  readonly idle?: Duration
  /** All servers among which chains are spread, as URLs, this one included. */
  readonly nodes?: readonly string[]
  /** Which of `nodes` this one is; the one that is `url` or in `listen`, if left out. */
  readonly node?: string
  /** Certificates in PEM that are trusted instead of the system's, where other `nodes` are `wss:`. */
  readonly nodesCa?: string | readonly string[]
  /** Who sees /metrics; programs on this machine, if left out, and nobody where `url` shows that there is a proxy. */
  readonly metrics?: 'never' | 'loopback' | 'anyone'
  /**
   * What this server was before its identity was exchanged: whoever knows it by one of these takes the new key for it. Chains
   * have to have named the new one, too (`tx.settings({ sequencers })`).
   */
  readonly follows?: readonly Identity[]
  /**
   * Told when a chain could not be opened for what is wrong here, or its log has failed: damage, a full disk, too many open files;
   * when another server of the ring answers, and is not one that chains could move to or come from; and when the time that it
   * would date by cannot be written to its folder.
   * Clients are told a code, and not where it lies; who runs the server has to hear of it. What it throws is a warning of the process.
   */
  readonly observe?: (alarm: ServerAlarm) => void
  /** Of the server's identity file, if it is sealed or to be. */
  readonly passphrase?: Passphrase
  /** Ends the starting, not the server. */
  readonly signal?: AbortSignal
}

export interface ServerAlarm {
  readonly kind: 'alarm'
  /** The name of the chain; undefined if it is about another server of the ring, which the error names, or about the server's folder. */
  readonly chain: string | undefined
  readonly error: AteError
}

/** The options as the server uses them. */
export interface ServeSettings {
  readonly listen: readonly string[]
  readonly data: string
  readonly url: string | undefined
  readonly proxies: readonly string[]
  readonly admit: (request: AdmitRequest) => Promise<AdmitAnswer>
  readonly limits: AdmissionLimits
  readonly tls: { readonly cert: string; readonly key: string } | undefined
  readonly wireEncryption: 'on' | 'off'
  readonly durability: 'disk' | 'os'
  readonly keyAccess: 'open' | 'recorded'
  readonly compact: CompactPolicy | undefined
  readonly idleMs: number
  readonly ring: RingSettings | undefined
  readonly metrics: 'never' | 'loopback' | 'anyone'
  readonly follows: readonly Identity[]
  readonly observe: ServeOptions['observe']
  readonly passphrase: Passphrase | undefined
}

export interface RingSettings {
  readonly nodes: readonly string[]
  readonly self: string
  readonly ca: string | readonly string[] | undefined
}

/** What serve() gives. */
export interface Served extends AsyncDisposable {
  /** What clients give to openChain, with /NAME behind it. */
  readonly url: string
  readonly urls: readonly string[]
  /** The server's public id: what clients pin as `serverKey`. */
  readonly publicKey: string
  /** 52 characters of it, which is enough to pin. */
  readonly fingerprint: string
  /** Stops accepting, finishes what is being written, closes. */
  close(): Promise<void>
  /** Resolves when the server has ended, by `close`; rejects if it ended by itself. */
  readonly closed: Promise<void>
}

export type Serve = (options: ServeOptions) => Promise<Served>

const IDLE_MS = 60_000
const COMPACT: CompactPolicy = { growth: 2 }
const NODES_MAX = 256

const KNOWN: ReadonlySet<string> = new Set<keyof ServeOptions>([
  'listen',
  'data',
  'url',
  'proxies',
  'admit',
  'limits',
  'tls',
  'wireEncryption',
  'durability',
  'keyAccess',
  'compact',
  'idle',
  'nodes',
  'node',
  'nodesCa',
  'metrics',
  'follows',
  'observe',
  'passphrase',
  'signal',
])

/** @throws AteError BAD_ARGUMENT | BAD_URL | BAD_PUBLIC_ID */
export function parseServeOptions(options: ServeOptions, crypto: CryptoProvider): ServeSettings {
  if (typeof options !== 'object' || options === null) throw wrong('options', 'an object')
  // A misspelt option would be a server that is more open, or fuller, than its owner thinks.
  for (const name of Object.keys(options)) if (!KNOWN.has(name)) throw wrong(name, 'no option of this name')
  const listen = placesOf(options.listen)
  const url = urlOf(options.url, listen)
  const isProxied = url !== undefined && !listen.some((place) => isDirect(place, url))
  return {
    listen: listen.map(placeUrl),
    data: dataOf(options.data),
    url: url && placeUrl(url),
    proxies: proxiesOf(options.proxies),
    admit: admitOf(options.admit, { crypto, isProxied }),
    limits: limitsOf(options.limits),
    tls: tlsOf(options.tls, listen),
    wireEncryption: encryptionOf(options.wireEncryption, listen),
    durability: oneOf('durability', options.durability ?? 'disk', ['disk', 'os'] as const),
    keyAccess: oneOf('keyAccess', options.keyAccess ?? 'open', ['open', 'recorded'] as const),
    compact: options.compact === undefined ? COMPACT : checkCompactPolicy(options.compact),
    idleMs: options.idle === undefined ? IDLE_MS : durationMs(options.idle, 0),
    ring: ringOf(options, listen),
    metrics: oneOf('metrics', options.metrics ?? (isProxied ? 'never' : 'loopback'), [
      'never',
      'loopback',
      'anyone',
    ] as const),
    follows: followsOf(options.follows),
    observe: observerOf(options.observe),
    passphrase: options.passphrase,
  }
}

function placesOf(listen: unknown): readonly Place[] {
  const urls: unknown = typeof listen === 'string' ? [listen] : listen
  if (!Array.isArray(urls) || urls.length === 0) throw wrong('listen', 'a URL, or a list of some')
  const places = urls.map((url: string) => parsePlace(url))
  const texts = places.map(placeUrl)
  const twice = texts.find((text, i) => texts.indexOf(text) !== i)
  if (twice !== undefined) throw wrong('listen', 'each address once', twice)
  return places
}

function dataOf(data: unknown): string {
  if (typeof data !== 'string' || data === '' || data.includes('\0')) throw wrong('data', 'the path of a folder')
  const path = data.startsWith('file:') && !data.startsWith('file://') ? data.slice('file:'.length) : data
  if (/^[a-z][a-z0-9+.-]+:/i.test(path)) throw wrong('data', 'the path of a folder', data)
  return path
}

/** Of the name of a chain a client is told what stands before it, which is what is listened to. */
function urlOf(given: ServeOptions['url'], listen: readonly Place[]): Place | undefined {
  const url = given === undefined ? undefined : parsePlace(given)
  if (!url || listen.some(({ path }) => path === url.path)) return url
  throw wrong('url', 'the path of an address in listen: a proxy passes on the path as it is', given)
}

/** Whether who uses `url` may have reached `place` with nothing between them. */
function isDirect(place: Place, url: Place): boolean {
  const isSame = place.scheme === url.scheme && (place.port === url.port || place.port === 0)
  return isSame && (!isLoopbackPlace(place) || isLoopbackPlace(url))
}

function observerOf(given: unknown): ServeOptions['observe'] {
  if (given === undefined || typeof given === 'function') return given as ServeOptions['observe']
  throw wrong('observe', 'a function')
}

function proxiesOf(given: unknown): readonly string[] {
  if (given === undefined) return []
  if (given === 'loopback') return [given]
  if (Array.isArray(given) && given.every((one) => typeof one === 'string')) return given
  throw wrong('proxies', "'loopback', or a list of addresses and networks")
}

function admitOf(
  admit: Admit | undefined,
  { crypto, isProxied }: { readonly crypto: CryptoProvider; readonly isProxied: boolean },
): ServeSettings['admit'] {
  if (admit !== undefined && typeof admit !== 'function') {
    if (typeof admit !== 'object' || admit === null) throw wrong('admit', 'a function, or { connect, create }')
    for (const name of Object.keys(admit))
      if (name !== 'connect' && name !== 'create') throw wrong(`admit.${name}`, 'connect or create')
  }
  const answer = admitBy(admit, crypto)
  if (!isProxied || typeof admit === 'function' || admit?.create !== undefined) return answer
  return async (request) => (request.kind === 'create' ? UNNAMED : answer(request))
}

function limitsOf(limits: Partial<AdmissionLimits> | undefined): AdmissionLimits {
  for (const [name, value] of Object.entries(limits ?? {})) {
    const usual: unknown = DEFAULT_LIMITS[name as keyof AdmissionLimits]
    if (usual === undefined) throw wrong(`limits.${name}`, 'a limit of DEFAULT_LIMITS')
    const isRate = typeof usual === 'object'
    const rate = value as { readonly perSecond?: unknown; readonly burst?: unknown }
    const numbers: readonly unknown[] = isRate ? [rate?.perSecond, rate?.burst] : [value]
    if (!numbers.every((number) => typeof number === 'number' && number > 0 && Number.isFinite(number)))
      throw wrong(`limits.${name}`, isRate ? '{ perSecond, burst }, both over 0' : 'a number over 0')
  }
  return { ...DEFAULT_LIMITS, ...limits }
}

function tlsOf(tls: ServeOptions['tls'], listen: readonly Place[]): ServeSettings['tls'] {
  const isWanted = listen.some(({ scheme }) => scheme === 'wss')
  if (!tls) {
    if (isWanted) throw wrong('tls', 'a certificate and a key, for wss:')
    return undefined
  }
  if (!isWanted) throw wrong('tls', 'a wss: address in listen, or no certificate')
  for (const [name, kind] of [['cert', 'CERTIFICATE'] as const, ['key', 'PRIVATE KEY'] as const]) {
    const text: unknown = tls[name]
    // What is wrong with it is not shown: it may be the key.
    if (typeof text !== 'string' || !text.includes(`${kind}-----`)) throw wrong(`tls.${name}`, `PEM text of a ${kind}`)
  }
  return { cert: tls.cert, key: tls.key }
}

function encryptionOf(wire: unknown, listen: readonly Place[]): 'on' | 'off' {
  const wanted = oneOf('wireEncryption', wire ?? 'on', ['on', 'off'] as const)
  const open = listen.find((place) => !isLoopbackPlace(place))
  if (wanted === 'off' && open)
    throw wrong('wireEncryption', "'on', where others than this machine can connect", placeUrl(open))
  return wanted
}

function ringOf({ nodes, node, url, nodesCa: ca }: ServeOptions, listen: readonly Place[]): ServeSettings['ring'] {
  if (nodes === undefined) {
    if (node !== undefined) throw wrong('node', 'nothing without nodes', node)
    if (ca !== undefined) throw wrong('nodesCa', 'nothing without nodes')
    return undefined
  }
  if (!Array.isArray(nodes) || nodes.length === 0 || nodes.length > NODES_MAX) throw wrong('nodes', '1 to 256 URLs')
  const texts = nodes.map((one: string) => placeUrl(parsePlace(one)))
  const twice = texts.find((text, i) => texts.indexOf(text) !== i)
  if (twice !== undefined) throw wrong('nodes', 'each server once', twice)
  const own = [node, url]
    .filter((text) => text !== undefined)
    .map((text) => placeUrl(parsePlace(text)))
    .concat(node === undefined ? listen.map(placeUrl) : [])
  const self = node === undefined ? own.find((text) => texts.includes(text)) : own[0]
  if (self === undefined || !texts.includes(self))
    throw wrong('node', 'the one of nodes that this server is', node ?? url ?? own[0])
  return { nodes: texts, self, ca }
}

function oneOf<T extends string>(option: string, value: unknown, allowed: readonly T[]): T {
  if (!allowed.includes(value as T)) throw wrong(option, allowed.join(', '), value)
  return value as T
}

function wrong(option: string, wanted: string, given?: unknown): AteError {
  return new AteError('BAD_ARGUMENT', {
    option,
    wanted,
    ...(given === undefined ? {} : { given: String(given).slice(0, 200) }),
  })
}

const UNNAMED = 'it is behind a proxy, so its operator has to say who creates chains'
const FOLLOWS_MAX = 16

function followsOf(given: ServeOptions['follows']): readonly Identity[] {
  if (given === undefined) return []
  const isGood =
    Array.isArray(given) && given.length <= FOLLOWS_MAX && given.every((one) => typeof one?.sign === 'function')
  if (!isGood) throw wrong('follows', `at most ${FOLLOWS_MAX} identities`)
  return given
}
