/**
 * Chains of servers whose last handle was closed a short while ago: the copy and the connection are kept, so that who opens
 * and closes a chain in turn does not fetch it each time. They hold no process. Copies in memory alone: one that is
 * kept is for the next process.
 */
import { mapOf } from '../base/weak-maps.ts'
import type { Replica } from '../chain/replica.ts'
import type { LogEngine } from '../log/engine.ts'
import type { Platform } from '../session/platform.ts'
import type { ServerLink } from './server-link.ts'

export interface ParkedChain {
  readonly engine: LogEngine
  readonly replica: Replica
  readonly link: ServerLink
}

interface Entry extends ParkedChain {
  readonly timer: { cancel(): void }
}

/** How long a chain is kept, in ms, and how many of them. */
const PARKED_MS = 60_000
const PARKED_MAX = 64

const parked = new WeakMap<Platform, Map<string, Entry>>()

/** Keeps the chain for who asks for `key` within a minute. */
export function park(platform: Platform, key: string, chain: ParkedChain): void {
  const entries = mapOf(parked, platform)
  const other = entries.get(key)
  if (other) drop(entries, key, other)
  for (const [oldest, entry] of entries) {
    if (entries.size < PARKED_MAX) break
    drop(entries, oldest, entry)
  }
  const timer = platform.environment.timers.start(PARKED_MS, () => drop(entries, key, entry))
  const entry: Entry = { ...chain, timer }
  entries.set(key, entry)
  chain.link.park(() => drop(entries, key, entry))
}

/** The chain, if it is kept: it is the caller's now. */
export function unpark(platform: Platform, key: string): ParkedChain | undefined {
  const entries = mapOf(parked, platform)
  const entry = entries.get(key)
  if (!entry) return undefined
  entries.delete(key)
  entry.timer.cancel()
  return entry
}

function drop(entries: Map<string, Entry>, key: string, entry: Entry): void {
  if (entries.get(key) !== entry) return
  entries.delete(key)
  entry.timer.cancel()
  // Nobody waits for it any more.
  void entry.link.close().then(() => entry.engine.close())
}
