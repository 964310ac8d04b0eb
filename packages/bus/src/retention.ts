/**
 * Drops the oldest events, by age, bytes or count. One mark on the bus says up to where: readers begin behind it, whether
 * or not the bytes are gone yet. What is deleted here the next compaction of the chain frees.
 */
import { type EntityId, isAteError, isChainClosed, type OptionNames, objectOf } from '@ate/core'
import { BusType, EventType } from './bus-records.ts'
import { dropsOldest, msOf, type Position, type RetainOptions, wholeNumber } from './bus-rules.ts'
import type { BusContext } from './context.ts'
import { droppedUpTo, readPlaces, type StoredPlace } from './log-reader.ts'

/** Events of one transaction. */
const DROPPED_A_STEP = 1000
/** How often what has come is looked at, in ms: deleting is done in steps, not one by one. */
const LOOK_MS = 1000
const ANY = ['>']
const RETAIN_NAMES: OptionNames<RetainOptions> = { for: true, count: true, bytes: true }

export class Retention {
  readonly #context: BusContext
  readonly #retain: RetainOptions
  readonly #stopping = new AbortController()
  /**
   * What is kept, without what was dropped: two readers of the log, so that nothing is held in memory. Both begin at the same
   * mark, or what another process drops between the two would be counted for ever.
   */
  #events = 0
  #bytes = 0
  #tail: AsyncGenerator<StoredPlace, void, void> | undefined
  #oldest: StoredPlace | undefined
  /** To be dropped next. */
  #batch: StoredPlace[] = []
  #wake: (() => void) | undefined
  readonly #running: Promise<void>

  constructor(context: BusContext, retain: RetainOptions) {
    checkRetain(retain)
    this.#context = context
    this.#retain = retain
    this.#running = this.#run()
    // It is heard of by who closes the bus, and by its observer at once.
    this.#running.catch((error) => context.observing.tell('drop', { error }))
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    const bus = await this.#context.tree.bus()
    const dropped = await droppedUpTo(this.#context)
    // The reader ends with the chain.
    const reading = this.#count(dropped).finally(() => {
      this.#stopping.abort()
      this.#wake?.()
    })
    try {
      while (!signal.aborted) {
        try {
          await this.#dropOld(bus, dropped)
        } catch (error) {
          if (!isAteError(error) || !PASSING.has(error.code)) throw error
          // A full disk is what dropping may help against, once: it is told, and tried again.
          this.#context.observing.tell('drop', { error })
        }
        await this.#sleep()
      }
    } catch (error) {
      if (!signal.aborted && !isChainClosed(error)) throw error
    } finally {
      this.#stopping.abort()
      await reading
    }
  }

  async #count(dropped: Position): Promise<void> {
    const { signal } = this.#stopping
    for await (const { event } of readPlaces(this.#context, { after: -1, pattern: ANY, signal, dropped })) {
      this.#events++
      this.#bytes += event.bytes
    }
  }

  async #dropOld(bus: EntityId, dropped: Position): Promise<void> {
    for (;;) {
      while (this.#batch.length < DROPPED_A_STEP) {
        const oldest = await this.#peekOldest(dropped)
        const kept = { events: this.#events, bytes: this.#bytes, oldestAt: oldest?.event.at ?? 0 }
        if (!oldest || !dropsOldest(this.#retain, kept, this.#context.now)) break
        this.#batch.push(oldest)
        this.#events--
        this.#bytes -= oldest.event.bytes
        this.#oldest = undefined
      }
      if (this.#batch.length === 0) return
      await this.#drop(bus, this.#batch)
      this.#batch = []
    }
  }

  async #peekOldest(dropped: Position): Promise<StoredPlace | undefined> {
    if (this.#oldest) return this.#oldest
    if (this.#events <= 0) return undefined
    const { signal } = this.#stopping
    this.#tail ??= readPlaces(this.#context, { after: -1, pattern: ANY, signal, dropped })
    const next = await this.#tail.next()
    this.#oldest = next.done ? undefined : next.value
    return this.#oldest
  }

  /** Another process may have dropped some of them: the mark says so. */
  async #drop(bus: EntityId, batch: readonly StoredPlace[]): Promise<void> {
    const last: Position = batch.at(-1)!.position
    await this.#context.chain.transact(async (tx) => {
      const { value } = await tx.load(BusType, bus)
      if (value.dropped >= last) return
      for (const { position, event } of batch) {
        if (position > value.dropped && (await tx.peek(EventType, event.entity))) tx.delete(event.entity)
      }
      await tx.update(BusType, bus, (now) => ({ ...now, dropped: last }))
    })
    this.#context.observing.tell('drop', { count: batch.length })
  }

  async #sleep(): Promise<void> {
    if (this.#stopping.signal.aborted) return
    await new Promise<void>((resolve) => {
      const cancel = this.#context.environment.timer(LOOK_MS, resolve)
      this.#wake = () => {
        cancel()
        resolve()
      }
    })
    this.#wake = undefined
  }

  /** @throws what made it stop */
  async close(): Promise<void> {
    this.#stopping.abort()
    this.#wake?.()
    await this.#running
  }
}

/** What may be otherwise at the next look. */
const PASSING: ReadonlySet<string> = new Set(['DISK_FULL', 'TOO_MANY_FILES', 'TX_RETRIES', 'NEEDS_REKEY'])

/** @throws AteError BAD_ARGUMENT */
function checkRetain(retain: RetainOptions): void {
  const { for: age, count, bytes } = objectOf(retain, 'the members of retain', RETAIN_NAMES)
  if (age !== undefined) msOf(age, 'retain.for')
  if (count !== undefined) wholeNumber(count, 'retain.count', { min: 0, max: Number.MAX_SAFE_INTEGER })
  if (bytes !== undefined) wholeNumber(bytes, 'retain.bytes', { min: 0, max: Number.MAX_SAFE_INTEGER })
}
