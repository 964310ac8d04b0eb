/**
 * Processes of one machine that share a folder (base/sharing.ts). Its lock says who leads, and the leader listens on the
 * socket SHARE in it: whoever may open the folder finds him, from another container too, whatever its environment says.
 *
 * Nobody waits for the lock: who is connected has no need to lead, and a connection to a leader that is gone has ended.
 */
import { closeSync, constants, openSync } from 'node:fs'
import { join } from 'node:path'
import { durationMs } from '../base/duration.ts'
import { AteError, isAteError, throwIfAborted } from '../base/errors.ts'
import { SHARE_RETRY_MAX_MS, SHARE_RETRY_MS, SHARE_WAIT_MS } from '../base/limits.ts'
import type { Leadership, Sharing, SharingOptions } from '../base/sharing.ts'
import type { DialOptions, Socket } from '../base/socket.ts'
import type { Listening } from '../mesh/transport.ts'
import { dial } from './dial.ts'
import { listen } from './listen.ts'

const SHARE = 'SHARE'
/** Bytes of the address of a socket on macOS and BSD, the end of the text included; Linux takes a few more. */
const SOCKET_PATH_BYTES_MAX = 103

export async function joinProcesses(options: SharingOptions): Promise<Sharing> {
  if (process.platform === 'win32')
    throw new AteError('BAD_ARGUMENT', { option: 'share', what: 'not on Windows: serve the folder (ate serve)' })
  return new ProcessGroup(options)
}

interface Leading {
  readonly leadership: Leadership
  readonly listening: Listening
  readonly address: Address
}

class ProcessGroup implements Sharing {
  readonly #options: SharingOptions
  readonly #left = new AbortController()
  /** While nobody is connected nothing else may hold the process, and somebody waits for an answer. */
  readonly #holding: NodeJS.Timeout
  #leading: Leading | undefined
  #failure: AteError | undefined
  #attempt: Promise<AteError | undefined> | undefined
  #resigning: Promise<void> | undefined

  constructor(options: SharingOptions) {
    this.#options = options
    this.#holding = setInterval(() => undefined, 2 ** 30)
  }

  get isLeader(): boolean {
    return this.#leading !== undefined
  }

  async dial({ signal, timeout }: Pick<DialOptions, 'signal' | 'timeout'> = {}): Promise<Socket> {
    const waitMs = durationMs(timeout ?? SHARE_WAIT_MS, 0)
    // Pauses are counted and no clock is read: a process that is kept from running for long (it builds, or it starts with
    // many others) has not looked meanwhile, and whoever was about to lead may be there now.
    let pausedMs = 0
    for (let pauseMs = SHARE_RETRY_MS; ; pauseMs = Math.min(2 * pauseMs, SHARE_RETRY_MAX_MS)) {
      throwIfAborted(this.#left.signal)
      throwIfAborted(signal)
      if (this.#failure) throw this.#failure
      const socket = await this.#reach(signal)
      if (socket) return socket
      this.#attempt ??= this.#tryToLead().finally(() => {
        this.#attempt = undefined
      })
      const locked = await this.#attempt
      if (!locked) continue
      if (pausedMs > waitMs) throw locked
      const ms = pauseMs * (0.5 + Math.random() / 2)
      pausedMs += ms
      await pause(ms)
    }
  }

  async close(): Promise<void> {
    this.#left.abort(new AteError('CHAIN_CLOSED'))
    await this.#attempt?.catch(() => undefined)
    await this.#resign()
    clearInterval(this.#holding)
  }

  /** Undefined if nobody leads, or he is about to come or go. */
  async #reach(signal: AbortSignal | undefined): Promise<Socket | undefined> {
    const address = addressOf(this.#options.name)
    if (!address) return undefined
    try {
      return await dial(address.url, signal ? { signal } : {})
    } catch (error) {
      if (isAteError(error) && error.code === 'SERVER_UNREACHABLE') return undefined
      throw error
    } finally {
      address.release()
    }
  }

  /** What says that another one has the folder; undefined if this one leads now. */
  async #tryToLead(): Promise<AteError | undefined> {
    await this.#resigning
    throwIfAborted(this.#left.signal)
    if (this.#leading) return undefined
    let leadership: Leadership
    try {
      leadership = await this.#options.lead((why) => {
        this.#failure ??= why
        void this.#resign()
      })
    } catch (error) {
      if (isAteError(error) && error.code === 'CHAIN_LOCKED') return error
      throw error
    }
    this.#leading = await this.#serve(leadership)
    if (this.#failure || this.#left.signal.aborted) await this.#resign()
    return undefined
  }

  /** The lock is ours: a socket that is still there is of one that was killed. */
  async #serve(leadership: Leadership): Promise<Leading> {
    const address = addressOf(this.#options.name)
    try {
      if (!address) throw new AteError('CHAIN_GONE', { place: `file:${this.#options.name}` })
      const listening = await listen(address.url, { accept: (socket) => leadership.accept(socket) })
      return { leadership, listening, address }
    } catch (error) {
      address?.release()
      await leadership.close()
      throw error
    }
  }

  #resign(): Promise<void> {
    const leading = this.#leading
    this.#leading = undefined
    if (leading)
      this.#resigning = (async () => {
        leading.listening.stopAccepting()
        await leading.leadership.close()
        await leading.listening.close()
        leading.address.release()
      })()
    return this.#resigning ?? Promise.resolve()
  }
}

interface Address {
  readonly url: string
  release(): void
}

/**
 * The socket of a folder, undefined if there is no folder. On Linux a path through the open folder, since the address of a
 * socket is at most 107 bytes. @throws AteError BAD_ARGUMENT
 */
function addressOf(folder: string): Address | undefined {
  if (process.platform !== 'linux') {
    const path = join(folder, SHARE)
    if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX || path.includes(':'))
      throw new AteError('BAD_ARGUMENT', { option: 'share', what: 'the path of the folder is too long for a socket' })
    return { url: `ws+unix:${path}`, release: () => undefined }
  }
  let fd: number
  try {
    fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  return { url: `ws+unix:/proc/self/fd/${fd}/${SHARE}`, release: () => closeSync(fd) }
}

/** It holds the process: somebody waits. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
