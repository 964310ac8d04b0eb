/**
 * The key under which this machine seals what it keeps of logs that it has verified. Who has it can make this machine
 * believe in a state that no log holds; it opens nothing.
 */
import { type Randomness, randomBytes } from '../base/environment.ts'
import { AteError } from '../base/errors.ts'
import type { StateStore } from './state-store.ts'

const NAME = 'snapshot-key'
const KEY_BYTES = 32
const LOCK_WAIT_MS = 5000

/** Undefined if there is none yet. @throws AteError STATE_UNWRITABLE | INSECURE_FILE */
export async function findSnapshotKey(state: StateStore): Promise<Uint8Array | undefined> {
  const key = await state.get(NAME)
  return key?.length === KEY_BYTES ? key : undefined
}

/** The key, made now if there is none: under a lock, since another process may do the same. @throws as findSnapshotKey */
export async function obtainSnapshotKey(state: StateStore, random: Randomness): Promise<Uint8Array> {
  const found = await findSnapshotKey(state)
  if (found) return found
  const lock = await state.lock(NAME, { waitMs: LOCK_WAIT_MS })
  if (!lock)
    throw new AteError('STATE_UNWRITABLE', { location: state.location, what: `${NAME} is locked by another process` })
  try {
    const others = await findSnapshotKey(state)
    if (others) return others
    const key = randomBytes(random, KEY_BYTES)
    await state.put(NAME, key)
    return key
  } finally {
    await lock.release()
  }
}
