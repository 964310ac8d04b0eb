/**
 * A network in memory: machines by name, connections with delay, bandwidth and a window, which break, stall in a
 * partition, or stay half-open when a machine loses its power. A stream duplicates and reorders nothing, so neither does
 * this. Time and chance come in: the same seed and the same calls give the same run.
 */
import { durationMs } from '../base/duration.ts'
import type { Clock, Timers } from '../base/environment.ts'
import { AteError, throwIfAborted } from '../base/errors.ts'
import { SOCKET_DIAL_MS, SOCKET_IDLE_MS, SOCKETS_MAX } from '../base/limits.ts'
import { CLOSE, type Dial, type DialOptions, type Socket } from '../base/socket.ts'
import {
  isLoopbackHost,
  type Listen,
  type Listening,
  type ListenOptions,
  type Place,
  parsePlace,
  placeUrl,
  servedPath,
} from '../mesh/transport.ts'
import type { SeededRandom } from './random.ts'
import { type SimPath, SimSocket } from './sim-socket.ts'

export interface SimLink {
  /** Milliseconds that a piece of at most 16 KiB is under way, drawn between the two. */
  readonly delayMs: readonly [min: number, max: number]
  readonly bytesPerMs: number
  /** What may be under way or unread in each direction. */
  readonly windowBytes: number
  /** A connection breaks at one piece in so many; 0 for never. Half of those leave the other end half-open. */
  readonly breakOneIn: number
  /** How long a silent connection takes to be found dead. */
  readonly deadMs: number
}

export interface SimNetworkOptions {
  readonly clock: Clock
  readonly timers: Timers
  readonly random: SeededRandom
  readonly link?: Partial<SimLink>
}

export interface SimNetwork {
  /** What `host` dials with. A URL names a machine of this network; localhost is the one that dials. */
  dial(host: string): Dial
  /** What `host` listens with. The URL's host is not looked at: 0.0.0.0, its name and localhost are all it. */
  listen(host: string): Listen
  /** Changes links, of new connections the window too. */
  setLink(link: Partial<SimLink>): void
  /** Nothing passes between the two; `heal` lets go on what was not found dead meanwhile. */
  partition(a: string, b: string): void
  heal(a: string, b: string): void
  /** The process on `host` ends: its listeners and connections with it, and the others hear of it. */
  kill(host: string): void
  /** `host` loses its power: nobody hears of it until a connection is found dead. */
  vanish(host: string): void
  /** The power is back; nothing listens yet, and what others send on old connections is answered with a reset. */
  restart(host: string): void
  /** Connections that one end at least believes open. */
  readonly connections: number
}

const DEFAULT_LINK: SimLink = {
  delayMs: [1, 5],
  bytesPerMs: 10_000,
  windowBytes: 65_536,
  breakOneIn: 0,
  deadMs: 3 * SOCKET_IDLE_MS,
}
/** A machine that does not answer is asked again, as TCP does. */
const RETRY_MS = 1000
const FIRST_PORT = 40_000

interface Listener {
  readonly host: string
  readonly port: number
  readonly paths: ReadonlySet<string>
  readonly options: ListenOptions
  readonly isSecure: boolean
  readonly sockets: Set<SimSocket>
}

export function simNetwork(options: SimNetworkOptions): SimNetwork {
  return new Network(options)
}

class Network implements SimNetwork {
  readonly #timers: Timers
  readonly #clock: Clock
  readonly #random: SeededRandom
  #link: SimLink
  readonly #listeners = new Map<string, Listener>()
  readonly #open = new Set<SimSocket>()
  readonly #down = new Set<string>()
  readonly #partitions = new Set<string>()
  #nextPort = FIRST_PORT

  constructor({ clock, timers, random, link }: SimNetworkOptions) {
    this.#timers = timers
    this.#clock = clock
    this.#random = random
    this.#link = { ...DEFAULT_LINK, ...link }
  }

  get connections(): number {
    const seen = new Set<SimSocket>()
    for (const socket of this.#open) if (!seen.has(socket.other)) seen.add(socket)
    return seen.size
  }

  setLink(link: Partial<SimLink>): void {
    this.#link = { ...this.#link, ...link }
  }

  dial(host: string): Dial {
    return async (url, options = {}) => {
      const place = parsePlace(url)
      throwIfAborted(options.signal)
      return this.#dial({ from: host, to: isLoopbackHost(place.host) ? host : place.host, place, url }, options)
    }
  }

  listen(host: string): Listen {
    return async (urls, options) => {
      const places = (typeof urls === 'string' ? [urls] : urls).map((url) => parsePlace(url))
      const opened: Listener[] = []
      const texts: string[] = []
      const ports = new Map<number, Listener>()
      for (const place of places) {
        let listener = ports.get(place.port)
        if (!listener) {
          listener = this.#openPort(host, place, options)
          ports.set(place.port, listener)
          opened.push(listener)
        }
        ;(listener.paths as Set<string>).add(place.path)
        texts.push(placeUrl({ ...place, host, port: listener.port }))
      }
      return this.#listening(texts, opened)
    }
  }

  partition(a: string, b: string): void {
    this.#partitions.add(pairOf(a, b))
    for (const socket of this.#between(a, b)) this.#findDead(socket)
  }

  heal(a: string, b: string): void {
    this.#partitions.delete(pairOf(a, b))
    for (const socket of this.#between(a, b)) socket.arriveNow()
  }

  kill(host: string): void {
    this.#dropListeners(host)
    for (const socket of this.#of(host)) {
      socket.terminate()
    }
  }

  vanish(host: string): void {
    this.#down.add(host)
    this.#dropListeners(host)
    for (const socket of this.#of(host)) {
      this.#findDead(socket.other)
      socket.vanish()
    }
  }

  restart(host: string): void {
    this.#down.delete(host)
  }

  readonly #path: SimPath = {
    sendMs: (from, bytes) => {
      this.#perhapsBreak(from)
      return this.#delayMs() + bytes / this.#link.bytesPerMs
    },
    isOpen: (from, to) => !this.#partitions.has(pairOf(from.host, to.host)),
    isUp: (end) => !this.#down.has(end.host),
    gone: (end) => {
      this.#open.delete(end)
      for (const { sockets } of this.#listeners.values()) sockets.delete(end)
    },
  }

  #delayMs(): number {
    const [min, max] = this.#link.delayMs
    return min + this.#random.below(max - min + 1)
  }

  #perhapsBreak(from: SimSocket): void {
    const { breakOneIn } = this.#link
    if (breakOneIn === 0 || !this.#random.oneIn(breakOneIn)) return
    const isHalfOpen = this.#random.oneIn(2)
    this.#timers.start(0, () => (isHalfOpen ? from.break() : from.terminate()))
    if (isHalfOpen) this.#findDead(from.other)
  }

  /** After a while, unless what stood in the way is gone by then. */
  #findDead(socket: SimSocket): void {
    this.#timers.start(this.#link.deadMs, () => {
      const isCut = this.#partitions.has(pairOf(socket.host, socket.other.host))
      if (isCut || !this.#open.has(socket.other)) socket.break()
    })
  }

  #of(host: string): readonly SimSocket[] {
    return [...this.#open].filter((socket) => socket.host === host)
  }

  #between(a: string, b: string): readonly SimSocket[] {
    return [...this.#open].filter((socket) => pairOf(socket.host, socket.other.host) === pairOf(a, b))
  }

  #dropListeners(host: string): void {
    for (const [key, listener] of this.#listeners) if (listener.host === host) this.#listeners.delete(key)
  }

  #openPort(host: string, place: Place, options: ListenOptions): Listener {
    const port = place.port === 0 ? this.#nextPort++ : place.port
    const key = `${host}:${port}`
    if (this.#listeners.has(key)) throw new AteError('CANNOT_LISTEN', { url: placeUrl(place), reason: 'EADDRINUSE' })
    const isSecure = place.scheme === 'wss'
    const listener: Listener = { host, port, paths: new Set(), options, isSecure, sockets: new Set() }
    this.#listeners.set(key, listener)
    return listener
  }

  #listening(urls: readonly string[], listeners: readonly Listener[]): Listening {
    const stopAccepting = (): void => {
      for (const { host, port } of listeners) this.#listeners.delete(`${host}:${port}`)
    }
    const held = (): SimSocket[] =>
      listeners.flatMap(({ sockets }) => [...sockets]).filter((one) => this.#open.has(one))
    return {
      url: urls[0]!,
      urls,
      get sockets() {
        return held().length
      },
      stopAccepting,
      close: async () => {
        stopAccepting()
        for (const socket of held()) socket.close(CLOSE.GOING_AWAY, 'the server stops')
        while (held().length > 0) await new Promise<void>((go) => this.#timers.start(1, go))
      },
    }
  }

  #dial(route: Route, { signal, timeout }: DialOptions): Promise<Socket> {
    return new Promise((resolve, reject) => {
      let isOver = false
      const fail = (error: unknown): void => {
        isOver = true
        limit.cancel()
        signal?.removeEventListener('abort', aborted)
        reject(error)
      }
      const unreachable = (facts: { readonly reason?: string; readonly status?: number }): void =>
        fail(new AteError('SERVER_UNREACHABLE', { url: route.url, ...facts }))
      const aborted = (): void => fail(signal?.reason)
      const timeoutMs = durationMs(timeout ?? SOCKET_DIAL_MS, 0)
      const limit = this.#timers.start(timeoutMs, () => unreachable({ reason: 'ETIMEDOUT' }))
      signal?.addEventListener('abort', aborted)
      const succeed = (socket: SimSocket): void => {
        if (isOver) socket.terminate()
        isOver = true
        limit.cancel()
        signal?.removeEventListener('abort', aborted)
        resolve(socket)
      }
      const attempt = (): void => {
        if (isOver) return
        if (this.#partitions.has(pairOf(route.from, route.to)) || this.#down.has(route.to)) {
          this.#timers.start(RETRY_MS, attempt)
          return
        }
        const made = this.#connect(route)
        if (made instanceof SimSocket) this.#timers.start(this.#delayMs(), () => succeed(made))
        else unreachable(made)
      }
      this.#timers.start(this.#delayMs(), attempt)
    })
  }

  /** The dialing end, or why there is none. */
  #connect({ from, to, place }: Route): SimSocket | { readonly reason?: string; readonly status?: number } {
    const listener = this.#listeners.get(`${to}:${place.port}`)
    if (!listener) return { reason: 'ECONNREFUSED' }
    if (listener.isSecure !== (place.scheme === 'wss')) return { reason: 'EPROTO' }
    const path = servedPath(listener.paths, place.path)
    if (path === undefined) return { status: 404 }
    const { options } = listener
    const isFull = listener.sockets.size >= (options.socketsMax ?? SOCKETS_MAX)
    if (isFull || options.admits?.(from) === false) return { status: 503 }
    const ground = { timers: this.#timers, now: () => this.#clock.monotonic(), path: this.#path }
    const { windowBytes } = this.#link
    const near = new SimSocket({ host: from, peer: '', isLoopback: from === to, windowBytes }, ground)
    const far = new SimSocket({ host: to, peer: from, isLoopback: from === to, windowBytes }, ground)
    SimSocket.connect(near, far)
    this.#open.add(near).add(far)
    listener.sockets.add(far)
    try {
      options.accept(far, { path, requested: place.path, isSecure: listener.isSecure })
    } catch {
      far.terminate()
    }
    return near
  }
}

interface Route {
  readonly from: string
  readonly to: string
  readonly place: Place
  readonly url: string
}

function pairOf(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`
}
