/** What the cache bench asks of each engine, ours and the peers'. A store leaves out what it has no equal for. */

export interface CacheEngine {
  readonly name: string
  /** What a reader must know to compare fairly, in one line. */
  readonly note: string
  /** `port` is that of the engine's server, where it has one. */
  open(port: number): Promise<CacheStore>
}

export interface CacheStore {
  /** At once, or later: whoever measures awaits only what has to be awaited. */
  get(key: string): unknown
  set(key: string, value: Value): unknown
  /** With a time of an hour. */
  setFor?(key: string, value: Value): unknown
  setMany?(all: readonly (readonly [string, Value])[]): Promise<unknown>
  getOrSet?(key: string, load: () => Promise<Value>): Promise<unknown>
  close(): Promise<unknown>
}

export interface Value {
  readonly id: number
  readonly name: string
}

export type Figures = Readonly<Record<string, number>>
