/**
 * The tabs of one origin that share something one tab at a time may have: a chain in a database. One of them leads; the
 * others reach it over sockets, in the same protocol as a server. When the leader's tab is closed or dies, the one that
 * has waited longest leads, and those that had dialed the old leader see their sockets close, and dial again.
 *
 * Leading is a Web Lock, so there are never two leaders, and nobody has to guess from silence that one is gone.
 */
import { durationMs } from '../base/duration.ts'
import { AteError, throwIfAborted } from '../base/errors.ts'
import { SOCKET_DIAL_MS } from '../base/limits.ts'
import { CLOSE, type DialOptions, type Socket } from '../base/socket.ts'
import { TabSocket } from './tab-socket.ts'
import { takeLock } from './web-locks.ts'

export interface TabsOptions {
  /** Tabs that give the same name are of one group: the place of what they share. */
  readonly name: string
  /** Called once this tab leads: opens what is shared. The others wait until then. If it throws, another tab leads. */
  readonly lead: () => Promise<Leadership>
  /** What `lead` threw. */
  readonly failed: (error: unknown) => void
}

export interface Leadership {
  /** Takes the socket of another tab. */
  readonly accept: (socket: Socket) => void
  /** Closes what is shared, so that the next leader can open it. */
  readonly close: () => Promise<void>
}

export interface Tabs {
  /** This tab leads, and takes the others' sockets. */
  readonly isLeader: boolean
  /**
   * A socket to the leader, as soon as there is one.
   * @throws AteError SERVER_UNREACHABLE (none within `timeout`) | CHAIN_CLOSED; the signal's reason
   */
  dial(options?: Pick<DialOptions, 'signal' | 'timeout'>): Promise<Socket>
  /** Leaves the group. The sockets of a leader are closed, and what it shares; those that were dialed stay. */
  close(): Promise<void>
}

/** What is said to all tabs of the group. */
type Said =
  /** A tab wants a socket of that id. */
  | { readonly kind: 'dial'; readonly id: string }
  /** The leader has its end of it. */
  | { readonly kind: 'taken'; readonly id: string }
  /** There is a new leader: who waits for a socket dials again. */
  | { readonly kind: 'leading' }

/** Connections of one leader: as many tabs as nobody has, and what a page can ask for by mistake. */
const SOCKETS_MAX = 256
const ID = /^[0-9a-f-]{36}$/

/** Joins at once, and leads or waits in the background. @throws AteError BAD_URL where there are no Web Locks */
export function joinTabs(options: TabsOptions): Tabs {
  return new TabGroup(options)
}

class TabGroup implements Tabs {
  readonly #name: string
  readonly #options: TabsOptions
  readonly #channel: BroadcastChannel
  readonly #left: AbortController = new AbortController()
  /** By the id of the connection; undefined while one is being opened. */
  readonly #sockets = new Map<string, Socket | undefined>()
  readonly #leading: Promise<void>
  #leadership: Leadership | undefined

  constructor(options: TabsOptions) {
    this.#options = options
    this.#name = `ate:tabs:${options.name}`
    this.#channel = new BroadcastChannel(this.#name)
    this.#channel.onmessage = ({ data }: MessageEvent<Said>) => {
      if (data?.kind === 'dial' && this.#leadership) void this.#take(data.id)
    }
    this.#leading = this.#lead()
  }

  get isLeader(): boolean {
    return this.#leadership !== undefined
  }

  async dial({ signal, timeout }: Pick<DialOptions, 'signal' | 'timeout'> = {}): Promise<Socket> {
    throwIfAborted(signal)
    throwIfAborted(this.#left.signal)
    const ended = new AbortController()
    const end = (reason: unknown): void => ended.abort(reason)
    const ends = [this.#left.signal, ...(signal ? [signal] : [])]
    const aborted = ({ target }: Event): void => end((target as AbortSignal).reason)
    for (const from of ends) from.addEventListener('abort', aborted)
    const late = new AteError('SERVER_UNREACHABLE', { url: this.#name, reason: 'no tab leads' })
    const timer = setTimeout(() => end(late), durationMs(timeout ?? SOCKET_DIAL_MS, 0))
    try {
      for (;;) {
        const socket = await this.#dialOnce(ended.signal)
        if (socket) return socket
      }
    } finally {
      clearTimeout(timer)
      for (const from of ends) from.removeEventListener('abort', aborted)
    }
  }

  async close(): Promise<void> {
    this.#left.abort(new AteError('CHAIN_CLOSED'))
    await this.#leading
    this.#channel.close()
  }

  /** Ends when this tab leads no more, or will not. */
  async #lead(): Promise<void> {
    const { signal } = this.#left
    const lock = await takeLock(this.#name, { want: 'wait', signal }).catch((error) => {
      if (!signal.aborted) this.#options.failed(error)
    })
    if (!lock) return
    try {
      const leadership = await this.#options.lead()
      if (!signal.aborted) {
        this.#leadership = leadership
        this.#say({ kind: 'leading' })
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
        this.#leadership = undefined
        for (const socket of this.#sockets.values()) socket?.close(CLOSE.GOING_AWAY, 'the tab leaves')
      }
      await leadership.close()
    } catch (error) {
      this.#options.failed(error)
    } finally {
      await lock.release()
    }
  }

  /** This end of a connection that another tab has dialed. */
  async #take(id: unknown): Promise<void> {
    if (typeof id !== 'string' || !ID.test(id) || this.#sockets.has(id) || this.#sockets.size >= SOCKETS_MAX) return
    const name = this.#socketName(id)
    this.#sockets.set(id, undefined)
    const socket = await TabSocket.open(name, 'leader', () => this.#sockets.delete(id))
    const leadership = this.#leadership
    if (!leadership) {
      socket.terminate()
      return
    }
    this.#sockets.set(id, socket)
    socket.watch(name, 'dialer')
    this.#say({ kind: 'taken', id })
    leadership.accept(socket)
  }

  /** Undefined if the leader changed meanwhile: what the old one may have said on this socket is not the new one's. */
  async #dialOnce(signal: AbortSignal): Promise<Socket | undefined> {
    const id = globalThis.crypto.randomUUID()
    const socket = await TabSocket.open(this.#socketName(id), 'dialer')
    // One of its own: a channel does not hear itself, and this tab may be the leader.
    const channel = new BroadcastChannel(this.#name)
    try {
      const answer = await new Promise<'taken' | 'leading'>((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason))
        channel.onmessage = ({ data }: MessageEvent<Said>) => {
          if (data?.kind === 'leading' || (data?.kind === 'taken' && data.id === id)) resolve(data.kind)
        }
        throwIfAborted(signal)
        channel.postMessage({ kind: 'dial', id } satisfies Said)
      })
      if (answer === 'taken') socket.watch(this.#socketName(id), 'leader')
      else socket.terminate()
      return answer === 'taken' ? socket : undefined
    } catch (error) {
      socket.terminate()
      throw error
    } finally {
      channel.close()
    }
  }

  #say(said: Said): void {
    this.#channel.postMessage(said)
  }

  #socketName(id: string): string {
    return `${this.#name}:${id}`
  }
}
