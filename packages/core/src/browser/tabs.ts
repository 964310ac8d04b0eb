/**
 * The tabs of one origin that share something one of them leads: a connection to a server. The others reach it over sockets.
 * When the leader's tab is closed or dies, the one that has waited longest leads, and those that had reached the old leader see
 * their sockets close, and reach again.
 *
 * Leading is a Web Lock: nobody has to guess from silence that a tab is gone. Only a tab that the browser has frozen keeps its
 * lock and answers nobody: who has waited long enough for an answer takes the lock by force. So two tabs may believe for a
 * while that they lead, and what is shared has to bear that.
 */
import { durationMs } from '../base/duration.ts'
import { AteError, throwIfAborted } from '../base/errors.ts'
import { SOCKET_DIAL_MS, TAB_SILENT_MS } from '../base/limits.ts'
import type { Leadership, Tabs, TabsOptions } from '../base/sharing.ts'
import { CLOSE, type DialOptions, type Socket } from '../base/socket.ts'
import { TabSocket } from './tab-socket.ts'
import { takeLock } from './web-locks.ts'

/** What is said to all tabs of the group. */
type Said =
  /** A tab wants a socket of that id. */
  | { readonly kind: 'dial'; readonly id: string }
  /** The leader has its end of it. */
  | { readonly kind: 'taken'; readonly id: string }
  /** There is a leader soon: wait. */
  | { readonly kind: 'coming' }
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
  /** Those in this tab who wait for a leader. */
  readonly #waiting = new Set<() => void>()
  #leadership: Leadership | undefined
  #hasLock = false
  /** Of the waiting for the lock, which ends so that it is taken by force. */
  #wanting = new AbortController()

  constructor(options: TabsOptions) {
    this.#options = options
    this.#name = `ate:tabs:${options.name}`
    this.#channel = new BroadcastChannel(this.#name)
    this.#channel.onmessage = ({ data }: MessageEvent<Said>) => {
      if (data?.kind !== 'dial') return
      if (this.#leadership) void this.#take(data.id)
      else if (this.#hasLock) this.#say({ kind: 'coming' })
    }
    this.#leading = this.#lead()
  }

  get isLeader(): boolean {
    return this.#leadership !== undefined
  }

  async reach({ signal, timeout }: Pick<DialOptions, 'signal' | 'timeout'> = {}): Promise<Socket | undefined> {
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
      while (!this.#leadership) {
        const socket = await this.#dialOnce(ended.signal)
        if (socket) return socket
      }
      return undefined
    } finally {
      clearTimeout(timer)
      for (const from of ends) from.removeEventListener('abort', aborted)
    }
  }

  async close(): Promise<void> {
    this.#left.abort(new AteError('CHAIN_CLOSED'))
    this.#wanting.abort()
    await this.#leading
    this.#channel.close()
  }

  /** Leads each time that it is this tab's turn, until it leaves. */
  async #lead(): Promise<void> {
    const { signal } = this.#left
    while (!signal.aborted) {
      const over = new AbortController()
      const want = this.#wanting.signal.aborted ? 'steal' : 'wait'
      this.#wanting = new AbortController()
      try {
        const lock = await takeLock(this.#name, {
          want,
          signal: this.#wanting.signal,
          onStolen: () => over.abort(),
        })
        if (lock) await this.#leadUntil(over, lock.release)
      } catch (error) {
        // The waiting for the lock was ended: it is taken by force now, or the tab leaves.
        if (this.#wanting.signal.aborted) continue
        this.#options.failed(error)
        return
      }
    }
  }

  async #leadUntil(over: AbortController, release: () => Promise<void>): Promise<void> {
    const { signal } = this.#left
    const leave = (): void => over.abort()
    signal.addEventListener('abort', leave)
    this.#hasLock = true
    try {
      if (signal.aborted) return
      const leadership = await this.#options.lead()
      if (!signal.aborted && !over.signal.aborted) {
        this.#leadership = leadership
        this.#say({ kind: 'leading' })
        for (const wake of [...this.#waiting]) wake()
        await new Promise((resolve) => over.signal.addEventListener('abort', resolve, { once: true }))
        this.#leadership = undefined
        for (const socket of this.#sockets.values()) socket?.close(CLOSE.GOING_AWAY, 'the tab leads no more')
      }
      await leadership.close()
    } finally {
      this.#hasLock = false
      signal.removeEventListener('abort', leave)
      await release()
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
    const channel = new BroadcastChannel(this.#name)
    let wake: (() => void) | undefined
    let silence: ReturnType<typeof setTimeout> | undefined
    try {
      const answer = await new Promise<'taken' | 'leading'>((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason))
        wake = () => resolve('leading')
        this.#waiting.add(wake)
        const listen = (): void => {
          clearTimeout(silence)
          // Some of it by chance: the first of several that wait leads, and the others hear of it.
          silence = setTimeout(() => this.#wanting.abort(), TAB_SILENT_MS * (1 + Math.random() / 2))
        }
        channel.onmessage = ({ data }: MessageEvent<Said>) => {
          if (data?.kind === 'leading' || (data?.kind === 'taken' && data.id === id)) resolve(data.kind)
          else if (data?.kind === 'coming') listen()
        }
        throwIfAborted(signal)
        if (this.#leadership) wake()
        listen()
        channel.postMessage({ kind: 'dial', id } satisfies Said)
      })
      if (answer === 'taken') socket.watch(this.#socketName(id), 'leader')
      else socket.terminate()
      return answer === 'taken' ? socket : undefined
    } catch (error) {
      socket.terminate()
      throw error
    } finally {
      clearTimeout(silence)
      if (wake) this.#waiting.delete(wake)
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
