/** What the queue bench asks of each engine, ours and the peers'. A store leaves out what it has no equal for. */

/** As in ../engine.ts: what an answered add or a finished job survives. */
export type Durability = 'disk' | 'os' | 'memory'

export interface QueueEngine {
  readonly name: string
  readonly durability: Durability
  /** What a reader must know to compare fairly, in one line. */
  readonly note: string
  /** `port` is that of the engine's server, where it has one. */
  open(folder: string, port: number): Promise<QueueStore>
}

export interface QueueStore {
  add(data: Data): Promise<unknown>
  addMany(all: readonly Data[]): Promise<unknown>
  /** The same, each in a group whose jobs run one at a time. */
  addGrouped?(all: readonly Data[]): Promise<unknown>
  /** Runs what is there and what comes; the result stops it. With `effect` each job also writes one value. */
  work(handler: (data: Data) => void, options: WorkOptions): Promise<() => Promise<unknown>>
  /** Opens again, as a process would that starts with the jobs that are there. */
  reopen?(): Promise<void>
  /** Bytes on disk. */
  bytes?(): Promise<number>
  close(): Promise<unknown>
}

export interface Data {
  readonly n: number
  readonly text: string
}

export interface WorkOptions {
  readonly concurrency: number
  readonly effect: 'none' | 'atomic' | 'apart'
}

export type Figures = Readonly<Record<string, number>>
