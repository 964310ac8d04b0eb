/**
 * Simulated time for one or many machines: clocks that stand still, and timers that run in the order of their times when
 * time is moved on. The same program and the same moves give the same run.
 */
import type { Clock, Timers } from '../base/environment.ts'

export interface SimTime {
  readonly clock: Clock
  readonly timers: Timers
  /** Moves on, and runs the timers that are due. What they promise to others happens later. */
  advance(ms: number): void
  /** Moves on timer by timer; after each, what promises wait for it goes on before the next. */
  run(ms: number): Promise<void>
  /** Runs until `done` holds, at most `maxMs`; false if it does not hold then. */
  runUntil(done: () => boolean, maxMs: number): Promise<boolean>
}

interface Timer {
  readonly at: number
  readonly order: number
  readonly run: () => void
  isCancelled: boolean
}

export function simTime(startMs = 1_700_000_000_000): SimTime {
  const timers: Timer[] = []
  let passed = 0
  let order = 0

  /** Runs the next timer up to `end`; false if there is none, and `end` is reached. */
  function step(end: number): boolean {
    for (;;) {
      const next = timers[0]
      if (!next || next.at > end) {
        passed = Math.max(passed, end)
        return false
      }
      pop(timers)
      if (next.isCancelled) continue
      passed = Math.max(passed, next.at)
      next.run()
      return true
    }
  }

  async function runUntil(done: () => boolean, maxMs: number): Promise<boolean> {
    const end = passed + maxMs
    await settled()
    while (!done()) {
      const isOver = !step(end)
      await settled()
      if (isOver) return done()
    }
    return true
  }

  return {
    clock: { now: () => startMs + Math.floor(passed), monotonic: () => passed },
    timers: {
      start(delayMs, run) {
        // As real ones do: what is due already runs as soon as it can.
        const timer = { at: passed + Math.max(0, delayMs), order: order++, run, isCancelled: false }
        push(timers, timer)
        return {
          cancel() {
            timer.isCancelled = true
          },
        }
      },
      pause: () => Promise.resolve(),
    },
    advance(ms) {
      const end = passed + ms
      while (step(end));
    },
    async run(ms) {
      await runUntil(() => false, ms)
    },
    runUntil,
  }
}

/** Everything that is promised and needs no time has happened. */
function settled(): Promise<void> {
  return new Promise((resume) => {
    if (typeof setImmediate === 'function') setImmediate(resume)
    else setTimeout(resume, 0)
  })
}

/** A binary heap, the earliest timer first; of one time, the one that was started first. */
function push(heap: Timer[], timer: Timer): void {
  let at = heap.push(timer) - 1
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (isBefore(heap[parent]!, timer)) break
    heap[at] = heap[parent]!
    at = parent
  }
  heap[at] = timer
}

function pop(heap: Timer[]): void {
  const last = heap.pop()!
  if (heap.length === 0) return
  let at = 0
  for (;;) {
    let child = 2 * at + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
    if (isBefore(last, heap[child]!)) break
    heap[at] = heap[child]!
    at = child
  }
  heap[at] = last
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}
