/**
 * The contract of this machine's own small state, outside every data folder: what must not be lost or rolled back with
 * the data. Names are paths of lower-case words:
 *
 *   identity                              the default identity's text
 *   heads/<chain id>/<seq>-<hash>         the newest record that was verified (remembered-heads.ts)
 *   recoveries/<chain id>/<seq>-<hash>    records of recovery that were taken in (known-recoveries.ts)
 *   known-chains                          lines `PLACE CHAINID` (known-chains.ts)
 *   known-servers                         lines `HOST:PORT FINGERPRINT` (mesh/server-pins.ts)
 *   certificates/<chain>-<fingerprint>    kept writer certificates, with their session keys; .1 and so on (chain/writer-places.ts)
 *   outbox/<chain>-<fingerprint>/<number> commits that were signed and are not ordered yet (chain/outbox.ts); so these, too
 *   leading/<chain>-<fingerprint>         a time, later than that of all acknowledgements of who led the chain here (mesh/lead-chain.ts)
 *   snapshot-key                          the key that seals snapshots of logs (snapshot-key.ts)
 */
import { assert } from '../base/errors.ts'
import type { FileLock } from '../log/file-system.ts'

export interface StateStore {
  /** Where it is, for messages: a folder, or `memory`. */
  readonly location: string
  /** @throws AteError STATE_UNWRITABLE | INSECURE_FILE (others can read a secret here, or write) */
  get(name: string): Promise<Uint8Array | undefined>
  /** Replaces the whole: a reader, or a crash at any time, sees the old bytes or the new. Durable when it resolves. */
  put(name: string, bytes: Uint8Array): Promise<void>
  /** No error if there is none. */
  remove(name: string): Promise<void>
  /** Names that begin with `prefix`, which ends with `/`, in order. */
  list(prefix: string): Promise<readonly string[]>
  /** One holder at a time over all processes, freed when its process dies; undefined if it is not free within `waitMs` (default 0). */
  lock(name: string, options?: { readonly waitMs?: number }): Promise<FileLock | undefined>
}

/** Names come from our own code: words of a-z, 0-9, dot, dash, underscore, at most four deep, none beginning with a dot. */
export function assertStateName(name: string): void {
  assert(
    name.length <= 200 && /^[a-z0-9][a-z0-9._-]*(\/[a-z0-9][a-z0-9._-]*){0,3}$/.test(name),
    `no name of a state: ${name}`,
  )
}

export function assertStatePrefix(prefix: string): void {
  assert(prefix.endsWith('/'), 'a state prefix ends with /')
  assertStateName(prefix.slice(0, -1))
}
