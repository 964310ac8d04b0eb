/** The records of a store in memory, for who looks at them, or puts others there, behind the backs of its engines. */
import type { LogRecord } from '../../src/log/engine.ts'
import type { MemoryStore } from '../../src/log/memory.ts'
import { RecordSlabs } from '../../src/log/record-slabs.ts'

/** Copies. */
export function recordsOf({ records }: Pick<MemoryStore, 'records'>): LogRecord[] {
  return Array.from({ length: records.size }, (_, seq) => {
    const { hash, bytes } = records.at(seq)!
    return { seq, hash: hash.slice(), bytes: bytes.slice() }
  })
}

export function slabsOf(records: readonly LogRecord[]): RecordSlabs {
  const slabs = new RecordSlabs()
  for (const record of records) slabs.push(record)
  return slabs
}

/** What another machine may have of it: nobody writes it. */
export function copyOf(store: MemoryStore): MemoryStore {
  return { ...store, records: slabsOf(recordsOf(store)), keys: new Map(store.keys), written: false }
}
