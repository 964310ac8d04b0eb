/**
 * The events that a subscription works on, in the order of the log: which may run next, which may be committed, and how
 * far the cursor has come. Pure: it starts nothing and knows no time.
 *
 * Events of one lane (a topic, a key) run one after the other, and an event of a lane is committed only behind those
 * before it. Where one fails, those behind it in its lane wait, or run again if they have run already.
 */
import type { Position } from './bus-rules.ts'

export type EntryState = 'waiting' | 'running' | 'paused' | 'returned' | 'done'

export class Entry<W> {
  readonly position: Position
  /** Undefined: in no order. */
  readonly lane: string | undefined
  readonly work: W
  readonly bytes: number
  state: EntryState = 'waiting'
  /** Failed tries so far. */
  tries: number
  /** Counts runs: what an older run answers is not heard. */
  run = 0

  constructor(place: { position: Position; lane: string | undefined; bytes: number; tries: number }, work: W) {
    this.position = place.position
    this.lane = place.lane
    this.bytes = place.bytes
    this.tries = place.tries
    this.work = work
  }
}

interface Lane<W> {
  /** Not yet committed, in order. */
  readonly queue: Entry<W>[]
  /** Entries at the beginning of the queue that have returned: behind them stands the next one to run. */
  returned: number
  isListed: boolean
}

export class Window<W> {
  /** All entries from the first one that is not done, in order. */
  readonly #entries: Entry<W>[] = []
  readonly #lanes = new Map<string, Lane<W>>()
  /** Lanes and entries that may have something to run. Those that do not are skipped. */
  readonly #ready: (Lane<W> | Entry<W>)[] = []
  #returned: Entry<W>[] = []
  #bytes = 0
  #running = 0
  #open = 0
  /** Everything up to here is done, or is nothing to this subscription. */
  floor: Position

  constructor(floor: Position) {
    this.floor = floor
  }

  /** Entries that are not done. */
  get size(): number {
    return this.#open
  }

  get bytes(): number {
    return this.#bytes
  }

  get running(): number {
    return this.#running
  }

  /** Entries between the floor and the newest one: bounded by who adds. */
  get span(): number {
    return this.#entries.length
  }

  /** In order, each behind the one before. */
  add(entry: Entry<W>): void {
    this.#entries.push(entry)
    this.#bytes += entry.bytes
    this.#open++
    if (entry.lane === undefined) {
      this.#ready.push(entry)
      return
    }
    let lane = this.#lanes.get(entry.lane)
    if (!lane) {
      lane = { queue: [], returned: 0, isListed: false }
      this.#lanes.set(entry.lane, lane)
    }
    lane.queue.push(entry)
    this.#list(lane)
  }

  /** What was done before this holder came: it only counts for the floor. */
  addDone(position: Position): void {
    const entry = new Entry<W>({ position, lane: undefined, bytes: 0, tries: 0 }, undefined as W)
    entry.state = 'done'
    this.#entries.push(entry)
    this.#sink()
  }

  /** The next entry to run, marked as running; undefined if there is none. */
  next(): Entry<W> | undefined {
    for (;;) {
      const ready = this.#ready.shift()
      if (ready === undefined) return undefined
      if (ready instanceof Entry) {
        if (ready.state === 'waiting') return this.#start(ready)
        continue
      }
      ready.isListed = false
      const entry = nextOf(ready)
      if (entry) return this.#start(entry)
    }
  }

  #start(entry: Entry<W>): Entry<W> {
    entry.state = 'running'
    entry.run++
    this.#running++
    return entry
  }

  /** Its handler is through, and what it did may be committed. */
  returned(entry: Entry<W>): void {
    this.#running--
    entry.state = 'returned'
    this.#returned.push(entry)
    this.#listLaneOf(entry)
  }

  /** It failed: it waits until `again` is called, and its lane with it. */
  failed(entry: Entry<W>): void {
    if (entry.state === 'running') this.#running--
    else this.#rewind(entry)
    entry.state = 'paused'
    entry.tries++
  }

  again(entry: Entry<W>): void {
    if (entry.state !== 'paused') return
    entry.state = 'waiting'
    if (entry.lane === undefined) this.#ready.push(entry)
    else this.#listLaneOf(entry)
  }

  /** It failed for good: what is left is to commit that. */
  poisoned(entry: Entry<W>): void {
    if (entry.state === 'running') this.#running--
    entry.state = 'returned'
    if (!this.#returned.includes(entry)) this.#returned.push(entry)
    this.#listLaneOf(entry)
  }

  /** What was to be committed failed: what stands behind it in its lane runs again, so that it sees what comes before. */
  #rewind(entry: Entry<W>): void {
    this.#returned = this.#returned.filter((other) => other !== entry)
    const lane = entry.lane === undefined ? undefined : this.#lanes.get(entry.lane)
    if (!lane) return
    const at = lane.queue.indexOf(entry)
    lane.returned = Math.min(lane.returned, at)
    for (const later of lane.queue.slice(at + 1)) {
      if (later.state === 'running') this.#running--
      // A run that is under way goes on unheard; the next one begins when the lane comes to it.
      if (later.state === 'running' || later.state === 'returned') {
        later.state = 'waiting'
        later.run++
      }
    }
    this.#returned = this.#returned.filter((other) => other.state === 'returned')
  }

  /** What may be committed now, in order: at most `limit`, a prefix of what has returned. */
  committable(limit: number): readonly Entry<W>[] {
    this.#returned.sort((a, b) => a.position - b.position)
    return this.#returned.slice(0, limit)
  }

  get hasReturned(): boolean {
    return this.#returned.length > 0
  }

  committed(entries: readonly Entry<W>[]): void {
    const done = new Set(entries)
    this.#returned = this.#returned.filter((entry) => !done.has(entry))
    for (const entry of entries) {
      entry.state = 'done'
      this.#open--
      this.#bytes -= entry.bytes
      if (entry.lane === undefined) continue
      const lane = this.#lanes.get(entry.lane)!
      const at = lane.queue.indexOf(entry)
      lane.queue.splice(at, 1)
      if (at < lane.returned) lane.returned--
      if (lane.queue.length === 0) this.#lanes.delete(entry.lane)
    }
    this.#sink()
  }

  #sink(): void {
    let count = 0
    while (count < this.#entries.length && this.#entries[count]!.state === 'done') count++
    if (count === 0) return
    this.floor = this.#entries[count - 1]!.position
    this.#entries.splice(0, count)
  }

  /** The floor as it will be once `entries` are committed, and what is done behind it. */
  after(entries: readonly Entry<W>[]): { readonly floor: Position; readonly done: readonly Position[] } {
    const committing = new Set(entries)
    const done: Position[] = []
    let floor = this.floor
    let isPrefix = true
    for (const entry of this.#entries) {
      const isDone = entry.state === 'done' || committing.has(entry)
      if (!isDone) isPrefix = false
      else if (isPrefix) floor = entry.position
      else done.push(entry.position)
    }
    return { floor, done }
  }

  /** Entries that have failed and are not done. */
  tries(): (readonly [Position, number])[] {
    return this.#entries
      .filter(({ state, tries }) => state !== 'done' && tries > 0)
      .map(({ position, tries }) => [position, tries] as const)
  }

  /** All that is not done. */
  *pending(): Generator<Entry<W>, void, void> {
    for (const entry of this.#entries) if (entry.state !== 'done') yield entry
  }

  #listLaneOf(entry: Entry<W>): void {
    const lane = entry.lane === undefined ? undefined : this.#lanes.get(entry.lane)
    if (lane) this.#list(lane)
  }

  #list(lane: Lane<W>): void {
    if (lane.isListed || !nextOf(lane)) return
    lane.isListed = true
    this.#ready.push(lane)
  }
}

/** The first entry that has not run, if all before it have. */
function nextOf<W>(lane: Lane<W>): Entry<W> | undefined {
  const { queue } = lane
  while (lane.returned < queue.length && queue[lane.returned]!.state === 'returned') lane.returned++
  const entry = queue[lane.returned]
  return entry?.state === 'waiting' ? entry : undefined
}
