/** What a bus is asked in the benchmark: ours, and NATS. */
import type { Durability } from '../engine.ts'

export interface BusEngine {
  readonly name: string
  readonly durability: Durability
  readonly note: string
  open(folder: string): Promise<BusStore>
}

export interface BusStore {
  publish(text: string): Promise<unknown>
  /** Calls back for each event from the start on, one after the other; the cursor is kept. Resolves after `count`. */
  consume(count: number, name: string): Promise<void>
  /** The same with an effect that is committed with the cursor; left out where there is no such thing. */
  consumeWithEffect?(count: number, name: string): Promise<void>
  /** Reads all events in order, without a cursor; the number of them. */
  replay(): Promise<number>
  /** Hears live events; resolves when it does. */
  listen(heard: () => void): Promise<void>
  /** A listener that never comes to an end with its first event. */
  listenSlowly(): Promise<void>
  /** A request that is stored on its way, or not. */
  request(kind: 'stored' | 'passing'): Promise<unknown>
  /** An event that is not stored. */
  emit(text: string): unknown
  /** Hears events that are not stored; resolves when it does. */
  listenPassing(heard: () => void): Promise<void>
  bytes(): number
  close(): Promise<void>
}
