/**
 * A log is read while its writer goes on, and this machine may remember a head that came meanwhile. Before that is called
 * an older copy, the reader takes in what has come since: a head is remembered after its record is stored.
 */
import type { LogEngine } from '../log/engine.ts'
import type { Replica } from './replica.ts'
import { verifyAhead } from './verify-ahead.ts'

/** Accepts what came behind the replica's head. @throws as refresh and read of the engine, and accept */
export async function catchUp(engine: LogEngine, replica: Replica): Promise<void> {
  await engine.refresh()
  const chunks = verifyAhead(engine.read(replica.head.seq + 1), () => replica)
  for await (const chunk of chunks) for (const record of chunk) replica.accept(record)
}
