/**
 * A server: what listens, who is admitted, the folder of its chains, and what it tells of itself. It holds no key of any chain.
 */
import { createRequire } from 'node:module'
import { randomBytes } from '../base/environment.ts'
import { AteError, isAteError, throwIfAborted } from '../base/errors.ts'
import { FRAME_COST_BYTES } from '../base/limits.ts'
import type { Socket } from '../base/socket.ts'
import type { EntryAnswer } from '../chain/sequencer.ts'
import { openEngine, parsePlace } from '../data/place.ts'
import type { LogEngine } from '../log/engine.ts'
import type { StandingState } from '../log/standing.ts'
import { Admission, type AdmitRequest, isRefused, type Refused } from '../mesh/admission.ts'
import { parseChainName } from '../mesh/chain-name.ts'
import { Dates } from '../mesh/dates.ts'
import type { Holdings } from '../mesh/holdings.ts'
import { Host } from '../mesh/host.ts'
import { type ConnectionRules, HostConnection } from '../mesh/host-connection.ts'
import { parseServeOptions, type Served, type ServeOptions, type ServeSettings } from '../mesh/serve-options.ts'
import { ServerKeys } from '../mesh/server-keys.ts'
import { type ServerMetrics, serverMetrics, serverPages } from '../mesh/server-metrics.ts'
import { ServerTickets } from '../mesh/server-tickets.ts'
import { makeSuccession } from '../mesh/succession.ts'
import type { Arrival, Listening } from '../mesh/transport.ts'
import { type PublicIdentity, signLater } from '../session/identity.ts'
import type { Platform } from '../session/platform.ts'
import { listen } from './listen.ts'
import { platform as ownPlatform } from './platform.ts'
import { type Proxies, proxiesOf } from './request-origin.ts'
import { ServedRing } from './served-ring.ts'
import { openServerFolder, type ServerFolder } from './server-folder.ts'

/** A copy that was restored here is opened for who recovers it. */
const OPENED: readonly StandingState[] = ['live', 'copy']

/**
 * Serves the chains of a folder until it is closed.
 * @throws AteError BAD_ARGUMENT | BAD_URL | CANNOT_LISTEN | CHAIN_LOCKED | READ_ONLY | DISK_FULL | IO_ERROR, and as opening its identity
 */
export async function serve(options: ServeOptions, platform: Platform = ownPlatform): Promise<Served> {
  const settings = parseServeOptions(options, platform.crypto)
  const isProxy = proxiesOf(settings.proxies)
  throwIfAborted(options.signal)
  const sealing = settings.passphrase === undefined ? {} : { passphrase: settings.passphrase }
  const folder = await openServerFolder(settings.data, sealing, platform)
  const holdings = await folder.holdings().catch(async (error: unknown) => {
    await folder.close()
    throw error
  })
  const server = new Server(settings, { folder, holdings }, platform)
  try {
    throwIfAborted(options.signal)
    await server.start(isProxy)
    return server
  } catch (error) {
    await server.close()
    throw error
  }
}

class Server implements Served {
  readonly publicKey: string
  readonly fingerprint: string
  readonly closed: Promise<void>
  readonly #settings: ServeSettings
  readonly #folder: ServerFolder
  readonly #platform: Platform
  readonly #host: Host
  readonly #admission: Admission
  readonly #metrics: ServerMetrics
  /** How it opens the folders of its chains. */
  readonly #chainPlatform: Platform
  readonly #holdings: Holdings
  readonly #connections = new Map<HostConnection, number>()
  readonly #cookieKey: Uint8Array
  readonly #tickets: ServerTickets
  readonly #successions: readonly Uint8Array[]
  readonly #keys: ServerKeys
  readonly #dates: Dates
  readonly #ring: ServedRing | undefined
  readonly #startedAt: number
  readonly #version: string
  #renewing: { cancel(): void } | undefined
  #listening: Listening | undefined
  #closing: Promise<void> | undefined
  #ended: () => void = () => undefined

  constructor(
    settings: ServeSettings,
    { folder, holdings }: { readonly folder: ServerFolder; readonly holdings: Holdings },
    platform: Platform,
  ) {
    const { crypto, environment } = platform
    const { identity } = folder
    this.#settings = settings
    this.#folder = folder
    this.#platform = platform
    this.publicKey = identity.publicId
    this.fingerprint = identity.fingerprint
    this.#startedAt = environment.clock.now()
    this.#version = versionOf()
    this.#tickets = new ServerTickets(crypto)
    const next = { fingerprintBytes: identity.fingerprintBytes, at: environment.clock.now() }
    this.#successions = settings.follows.map((old) => makeSuccession(crypto, old, next))
    this.#cookieKey = randomBytes(environment.random, 32)
    this.#dates = new Dates(environment, folder.acknowledged, (error) => this.#failed(undefined, error))
    this.#keys = new ServerKeys(platform, identity, () => this.#dates.begin())
    this.#admission = new Admission(settings.limits, environment.clock.monotonic())
    this.#holdings = holdings
    this.#chainPlatform = Object.create(platform, {
      openFolder: { value: (path: string) => folder.chainFiles.openFolder(path) },
    }) as Platform
    this.closed = new Promise((resolve) => {
      this.#ended = resolve
    })
    this.#host = new Host({
      platform,
      identity,
      store: { open: (name, how) => this.#openLog(name, how.create) },
      dates: this.#dates,
      signer: this.#keys.signer,
      checkpointSigner: this.#keys.checkpointSigner,
      delegation: () => this.#keys.delegation(),
      compact: settings.compact,
      durability: settings.durability,
      idleMs: settings.idleMs,
      created: () => this.#metrics.createdChains.add(1),
      failed: (chain, error) => this.#failed(chain, error),
      compacted: (outcome) => this.#metrics.compactions.with(outcome).add(1),
      holdings: this.#holdings,
      storedBytesMax: settings.limits.storedBytesPerIdentity,
    })
    const { ring } = settings
    if (ring)
      this.#ring = new ServedRing({
        platform,
        folder,
        ring,
        isOpen: (name) => this.#host.isOpen(name),
        adopted: (name) => folder.count(name, this.#holdings),
        failed: (chain, error) => this.#failed(chain, error),
      })
    this.#metrics = serverMetrics({
      version: this.#version,
      startedAtMs: this.#startedAt,
      bufferedBytes: () => [...this.#connections.keys()].reduce((sum, { bufferedBytes }) => sum + bufferedBytes, 0),
      freeBytes: () => folder.freeBytes(),
      holdings: this.#holdings,
    })
  }

  get url(): string {
    return this.#settings.url ?? this.#listening!.url
  }

  get urls(): readonly string[] {
    return this.#listening!.urls
  }

  async start(isProxy: Proxies): Promise<void> {
    const { listen: urls, tls, metrics: showMetrics } = this.#settings
    await this.#dates.start()
    const page = serverPages({ metrics: this.#metrics.all, showMetrics, health: () => this.#health() })
    this.#listening = await listen(urls, {
      accept: (socket, arrival) => this.#accept(socket, arrival),
      isProxy,
      admits: (peer) => this.#admission.hasRoom(peer),
      page: (request) => {
        this.#metrics.openChains.set(this.#host.size)
        return page(request)
      },
      ...(tls ? { tls } : {}),
    })
    this.#renewing = this.#keys.renewLater(this.#connections)
    this.#ring?.start()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(): Promise<void> {
    this.#renewing?.cancel()
    this.#listening?.stopAccepting()
    await this.#ring?.close()
    // What was submitted is stored and answered before the connections go.
    await this.#host.settled()
    for (const connection of [...this.#connections.keys()]) connection.close()
    await this.#listening?.close()
    this.#tickets.close()
    await this.#host.close()
    await this.#dates.close()
    await this.#folder.close()
    this.#ended()
  }

  #health(): Parameters<typeof serverPages>[0]['health'] extends () => infer H ? H : never {
    return {
      status: this.#closing ? 'stopping' : 'ok',
      version: this.#version,
      uptimeSeconds: Math.floor((this.#now - this.#startedAt) / 1000),
      connections: this.#connections.size,
      chains: this.#host.size,
    }
  }

  get #now(): number {
    return this.#platform.environment.clock.now()
  }

  /** What rates are counted by: the wall clock may go back. */
  get #monotonic(): number {
    return this.#platform.environment.clock.monotonic()
  }

  async #openLog(text: string, create: boolean): Promise<LogEngine> {
    const name = parseChainName(text)
    if (!create && !(await this.#folder.hasChain(name))) throw new AteError('CHAIN_NOT_FOUND', { name })
    const place = parsePlace(`file:${this.#folder.chainPath(name)}`, { standings: OPENED }, this.#chainPlatform)
    const open = (): Promise<LogEngine> => openEngine(place, { create, label: undefined, known: undefined })
    try {
      return await open()
    } catch (error) {
      if (!this.#ring || !isAteError(error) || error.code !== 'CHAIN_LOCKED') throw error
      // What was moved is looked through by this server itself, now or just before: who asks for it is told where it went.
      await this.#ring.whileEmptying(name)
      return open()
    }
  }

  #accept(socket: Socket, arrival: Arrival): void {
    const { peer, isLoopback } = socket
    const pass = this.#admission.connect({ peer, isLoopback }, this.#monotonic)
    if (isRefused(pass)) {
      this.#metrics.connectionsTotal.with(pass.refused).add(1)
      throw errorOf(pass)
    }
    this.#metrics.connectionsTotal.with('accepted').add(1)
    const rules = this.#rules(socket, pass, () => connection)
    const connection: HostConnection = new HostConnection({
      host: this.#host,
      socket,
      path: arrival.path,
      level: this.#settings.durability,
      keyAccess: this.#settings.keyAccess,
      rules,
    })
    this.#connections.set(connection, this.#now)
    this.#metrics.connections.set(this.#connections.size)
  }

  #rules(
    { peer, isLoopback }: Socket,
    pass: Exclude<ReturnType<Admission['connect']>, Refused>,
    connection: () => HostConnection,
  ): ConnectionRules {
    const metrics = this.#metrics
    const started = this.#platform.environment.clock.monotonic()
    let isKnown = false
    const admit = async (request: Pick<AdmitRequest, 'kind' | 'identity' | 'chain'>): Promise<void> => {
      const answer = await this.#settings.admit({ ...request, isLoopback, peer })
      if (answer === true) return
      metrics.refused.with('not-admitted').add(1)
      const reason = typeof answer === 'string' ? { reason: answer.slice(0, 200) } : {}
      throw new AteError('NOT_AUTHORIZED', { needs: `that the server admits you to ${request.kind}`, ...reason })
    }
    const ring = this.#ring
    return {
      ...(ring ? { place: (name, who) => ring.place(name, who), takerOf: (name) => ring.takerOf(name) } : {}),
      handshake: {
        limits: {},
        tickets: this.#tickets,
        successions: this.#successions,
        signLater: (message) => signLater(this.#folder.identity, message, 'handshakeServer'),
        ...(this.#settings.wireEncryption === 'off' && isLoopback ? { plain: 'allow' } : {}),
        ...(pass.needsCookie ? { demandCookie: { key: this.#cookieKey, peer } } : {}),
      },
      admitHandshake: () => {
        const refused = pass.handshake(this.#monotonic)
        return refused && this.#refuse(refused)
      },
      admitBytes: (bytes) => {
        metrics.receivedBytes.add(bytes)
        return pass.received(bytes + FRAME_COST_BYTES, this.#monotonic)
      },
      admitSession: async ({ fingerprint }: PublicIdentity) => {
        // A server of the same ring.
        if (ring && fingerprint === this.fingerprint) return
        await admit({ kind: 'connect', identity: fingerprint })
        if (isKnown) return
        const refused = pass.authenticated(fingerprint)
        if (refused) throw this.#refuse(refused)
        isKnown = true
      },
      admitCreate: async ({ fingerprint }: PublicIdentity, chain: string) => {
        await admit({ kind: 'create', identity: fingerprint, chain })
        const refused = pass.create(this.#holdings.of(fingerprint), this.#monotonic)
        if (refused) throw this.#refuse(refused)
        // Counted before it is there: several that are made at once are several.
        this.#holdings.set(chain, fingerprint, 0)
      },
      admitSubmission: (entries) => pass.commits(entries, this.#monotonic),
      established: () => {
        metrics.handshakes.with('ok').add(1)
        metrics.handshakeSeconds.observe((this.#platform.environment.clock.monotonic() - started) / 1000)
      },
      answered: (answers, tookMs) => this.#count(answers, tookMs),
      closed: (error) => {
        pass.end()
        if (error) metrics.handshakes.with(error.code).add(1)
        this.#connections.delete(connection())
        metrics.connections.set(this.#connections.size)
      },
      sent: (bytes) => metrics.sentBytes.add(bytes),
      cut: (why) => metrics.slowReaders.with(why).add(1),
    }
  }

  #failed(chain: string | undefined, error: AteError): void {
    this.#metrics.failures.with(error.code).add(1)
    try {
      this.#settings.observe?.({ kind: 'alarm', chain, error })
    } catch (thrown) {
      this.#platform.warn(thrown)
    }
  }

  #refuse(refused: Refused): AteError {
    this.#metrics.refused.with(refused.refused).add(1)
    return errorOf(refused)
  }

  #count(answers: readonly EntryAnswer[], tookMs: number): void {
    const refused = answers.filter((answer) => 'refused' in answer).length
    if (refused > 0) this.#metrics.commits.with('refused').add(refused)
    const full = answers.filter((answer) => 'refused' in answer && answer.refused[0]?.code === 'QUOTA_EXCEEDED').length
    if (full > 0) this.#metrics.refused.with('stored-bytes').add(full)
    if (answers.length === refused) return
    this.#metrics.commits.with('accepted').add(answers.length - refused)
    this.#metrics.commitSeconds.with(this.#settings.durability).observe(tookMs / 1000)
  }
}

function errorOf({ refused, text, retryMs }: Refused): AteError {
  // What no waiting mends.
  if (refused === 'chains' || refused === 'stored-bytes')
    return new AteError('QUOTA_EXCEEDED', { what: refused, reason: text })
  return new AteError('RATE_LIMITED', { reason: text, ...(retryMs === undefined ? {} : { retryMs }) })
}

function versionOf(): string {
  return (createRequire(import.meta.url)('@ate/core/package.json') as { readonly version: string }).version
}
