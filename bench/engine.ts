/**
 * What the bench asks of each engine, ours and the peers'. An engine leaves out what it has no equal operation for;
 * the table then shows a dash. A write has happened when its promise (or the plain call) returns: at that point it must
 * be as safe as `durability` says.
 */

/** `disk`: synced before the answer. `os`: handed to the system, lost with its power. `memory`: lost with the process. */
export type Durability = 'disk' | 'os' | 'memory'

export interface Engine {
  readonly name: string
  readonly durability: Durability
  /** What a reader must know to compare fairly, in one line. */
  readonly note: string
  /** Loads what the engine needs, if its module has not done so: no figure is about that. */
  load?(): Promise<unknown>
  open(folder: string): Promise<Store>
  /** Opens without what an earlier opening left behind to make this one fast: everything is verified. */
  openFully?(folder: string): Promise<Store>
}

type Done = Promise<unknown> | undefined

export interface Store {
  /** One transaction that creates one entity a value; entities are counted from 0 in the order of creation. */
  create(values: readonly string[]): Done
  /** One transaction a value, all of them in flight at once (or one after the other, where nothing else is possible). */
  createEach?(values: readonly string[]): Done
  /** As create, and forgets the entities: a million handles would be the bench's own garbage. */
  append?(values: readonly string[]): Done
  /** One transaction a value, one after the other, none of which waits for the disk. */
  appendOnes?(values: readonly string[]): Done
  /** One transaction that reads each entity at `first`, `first + 1`, ... and writes it with the new value. */
  update?(first: number, values: readonly string[]): Done
  /** The entity at `index`, or a promise of it. */
  get?(index: number): unknown
  /** Closes and opens again, so that nothing stays in this process's caches. */
  reopen?(): Promise<void>
  /** Reads and checks everything that the engine can check; how many entities it saw. */
  verifyAll?(): Promise<number> | number
  /** Drops from the medium what was replaced, while writers go on; the bytes that it freed. */
  compact?(): Promise<number>
  /** The bytes of the log alone, if the engine keeps more than a log in its folder. */
  logBytes?(): number
  close(): Promise<unknown> | undefined
}
