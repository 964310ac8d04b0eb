/**
 * Lists of secrets. The records of a list are kept, so that the next one reads only what was written since: whether a record is
 * still there is asked of the chain each time, what it says follows from the events of the log.
 */
import type { Chain, Entity } from '@ate/core'
import type { CallOptions, Context, Layout } from './context.ts'
import { infoAt, isThere, newestOf, type SecretInfo } from './secret-info.ts'
import { IN, type SecretRecord, SecretType } from './vault-records.ts'
import { selects, zonesOf } from './vault-rules.ts'

/** Versions of all secrets of a list that is kept: some 300 bytes each. */
const KEPT_VERSIONS_MAX = 262_144
/** Records of the log behind which all secrets are read anew. */
const BEHIND_MAX = 512

type Listed = Entity<SecretRecord>

/** What a list has read, as of one record of the log. */
export interface Listing {
  readonly seq: number
  /** What it was read for. */
  readonly zones: string
  /** By the id of the zone. */
  readonly read: ReadonlyMap<string, readonly Listed[]>
  /** One for each path, by path. */
  readonly sorted: readonly Listed[]
  /** For each of them whether the value of its newest version stands on the chain. */
  readonly there: readonly boolean[]
}

export async function* listSecrets(
  context: Context,
  prefix: string | undefined,
  { signal }: CallOptions,
): AsyncGenerator<SecretInfo, void, void> {
  const isWanted = selects(prefix)
  const { chain } = context
  // Before anything is read: what comes meanwhile is read again by the next list.
  const { seq } = chain.head
  const layout = await context.layout(signal)
  if (!layout) return
  const { sorted, there } = await secretsIn(context, seq, layout, signal)
  for (let i = 0; i < sorted.length; i++) {
    const secret = sorted[i]!
    if (!isWanted(secret.value.path) || !chain.has(secret)) continue
    signal?.throwIfAborted()
    yield infoAt(secret.value, there[i]!, context.now)
  }
}

async function secretsIn(
  context: Context,
  seq: number,
  layout: Layout,
  signal: AbortSignal | undefined,
): Promise<Pick<Listing, 'sorted' | 'there'>> {
  const { chain } = context
  const kept = context.listing
  if (kept?.seq === seq && chain.head.seq === seq) return kept
  const zones = JSON.stringify(layout.zones)
  const isNear = kept?.zones === zones && chain.head.seq - kept.seq <= BEHIND_MAX
  const read = isNear ? await readSince(chain, kept, { layout, signal }) : await readAll(chain, layout, signal)
  const sorted = sortedOf(layout, read)
  const there = sorted.map(({ value }) => isThere(chain, newestOf(value)))
  const versions = sorted.reduce((sum, { value }) => sum + value.versions.length, 0)
  context.listing = versions <= KEPT_VERSIONS_MAX ? { seq, zones, read, sorted, there } : undefined
  return { sorted, there }
}

async function readAll(chain: Chain, { zones }: Layout, signal: AbortSignal | undefined): Promise<Listing['read']> {
  const read = new Map<string, Listed[]>()
  for (const { id, names } of zones) {
    const secrets: Listed[] = []
    for await (const batch of chain.children(SecretType, names, IN.secrets).batches()) {
      signal?.throwIfAborted()
      for (const secret of batch) secrets.push(secret)
    }
    read.set(id, secrets)
  }
  return read
}

async function readSince(
  chain: Chain,
  { seq, read }: Listing,
  { layout, signal }: { readonly layout: Layout; readonly signal: AbortSignal | undefined },
): Promise<Listing['read']> {
  /** With the parent of those that came. */
  const changed = new Map<string, string | undefined>()
  const since = { from: seq + 1, until: 'end', type: SecretType, ...(signal ? { signal } : {}) } as const
  for await (const events of chain.eventBatches(since))
    for (const { entity, parent } of events) changed.set(entity, parent ?? changed.get(entity))
  const next = new Map<string, Listed[]>()
  for (const { id, names } of layout.zones) {
    const before = read.get(id) ?? []
    const secrets: Listed[] = []
    const again: string[] = []
    for (const secret of before) {
      if (changed.has(secret.id)) again.push(secret.id)
      else secrets.push(secret)
    }
    const known = new Set(again)
    for (const [entity, parent] of changed) if (parent === names && !known.has(entity)) again.push(entity)
    for (const entity of again) {
      const secret = await chain.get(SecretType, entity)
      if (secret) secrets.push(secret)
    }
    next.set(id, secrets)
  }
  return next
}

/** While a secret moves into a narrower zone, or where two made it at once, the narrower one counts. */
function sortedOf({ zones }: Layout, read: Listing['read']): readonly Listed[] {
  const [only] = zones
  if (zones.length === 1) return byPath(read.get(only!.id)!)
  const found = new Map<string, { readonly secret: Listed; readonly rank: number }>()
  for (const [id, secrets] of read) {
    for (const secret of secrets) {
      const { path } = secret.value
      const rank = zonesOf(zones, path).findIndex((zone) => zone.id === id)
      const known = found.get(path)
      if (rank >= 0 && (!known || rank < known.rank)) found.set(path, { secret, rank })
    }
  }
  return byPath([...found.values()].map(({ secret }) => secret))
}

function byPath(secrets: readonly Listed[]): readonly Listed[] {
  return [...secrets].sort((a, b) => (a.value.path < b.value.path ? -1 : 1))
}
