/**
 * What processes and tabs of this machine that died have left in their outboxes: as far as nobody else sends it, it is sent from
 * here, by its own certificate. Looked for with each connection and, while that lasts, every now and then: nobody tells a tab
 * that another one was killed.
 */
import { LEFT_LOOK_MS } from '../base/limits.ts'
import type { ChainCore } from './chain-core.ts'
import type { KeptWriting } from './kept-writing.ts'
import type { Lasting } from './lasting.ts'
import type { WriterPlace } from './writer-places.ts'

export interface LeftBehindParts {
  readonly core: ChainCore
  readonly lasting: Lasting
  readonly kept: KeptWriting
  /** The chain is connected. */
  readonly isOnline: () => boolean
  /** Nothing is written any more. */
  readonly isOver: () => boolean
  /** Runs while no record is taken: whether a number is taken does not change meanwhile. */
  readonly alone: (change: () => Promise<void>) => Promise<unknown>
  /** Something was found, or is to be sent. */
  readonly schedule: () => void
}

export class LeftBehind {
  readonly #parts: LeftBehindParts
  #place: WriterPlace | undefined
  #state: 'none' | 'looking' | 'found' | 'changing' = 'none'
  /** Places that were taken up on this connection: each once, whatever still stands in them. */
  readonly #tried = new Set<string>()
  /** The one that was taken up last: somebody else may leave something there once it was given back. */
  #held: string | undefined
  #later: { cancel(): void } | undefined

  constructor(parts: LeftBehindParts) {
    this.#parts = parts
  }

  /** A place with something in it is ours: what is on its way comes back first, then it is taken up. */
  get isFound(): boolean {
    return this.#state === 'found'
  }

  /** Nothing is signed meanwhile. */
  get isChanging(): boolean {
    return this.#state === 'changing'
  }

  online(): void {
    this.#tried.clear()
    void this.#look()
  }

  async #look(): Promise<void> {
    const { core, lasting, kept, isOver, isOnline, schedule } = this.#parts
    if (!kept.writer || this.#state !== 'none') return
    this.#later?.cancel()
    this.#state = 'looking'
    try {
      this.#place = await lasting.place('left', this.#tried)
    } catch (error) {
      core.observing.alarm(error)
    }
    if (isOver()) {
      await this.#place?.release()
      this.#place = undefined
    }
    this.#state = this.#place ? 'found' : 'none'
    if (this.#place) schedule()
    else if (isOnline() && !isOver())
      this.#later = core.environment.timers.start(LEFT_LOOK_MS, () => {
        if (isOnline()) void this.#look()
      })
  }

  /** Its certificate and its outbox become ours. Only while nothing is on its way. */
  take(): void {
    const { core, lasting, kept, alone, isOver, isOnline, schedule } = this.#parts
    this.#state = 'changing'
    const change = async (): Promise<void> => {
      const place = this.#place
      if (!place || isOver()) return
      this.#tried.add(place.certificate)
      await kept.change(() => {
        this.#place = undefined
        return lasting.open(place)
      })
      if (this.#held !== undefined) this.#tried.delete(this.#held)
      this.#held = place.certificate
    }
    void alone(() => change().catch((error) => core.observing.alarm(error))).then(() => {
      this.#state = 'none'
      schedule()
      if (isOnline()) void this.#look()
    })
  }

  async release(): Promise<void> {
    this.#later?.cancel()
    await this.#place?.release()
    this.#place = undefined
  }
}
