/**
 * Lists of secrets. What a list has read is kept, as of one record of the log; the next one takes from the log what was written
 * since, and reads that.
 */
import type { Chain, Entity } from '@ate/core'
import type { CallOptions, Context, Layout } from './context.ts'
import { infoAt, isThere, newestOf, type SecretInfo } from './secret-info.ts'
import { IN, type SecretRecord, SecretType, ValueType } from './vault-records.ts'
import { selects, type Zone, zonesOf } from './vault-rules.ts'

/** Versions of all secrets of a list that is kept: some 600 bytes each. */
const KEPT_VERSIONS_MAX = 262_144
/** Records of the log behind which all secrets are read anew. */
const BEHIND_MAX = 512

type Listed = Entity<SecretRecord>

interface Shown {
  readonly secret: Listed
  /** Whether the value of its newest version stands on the chain. */
  readonly isThere: boolean
}

export interface Listing {
  readonly seq: number
  /** What it was read for. */
  readonly zones: string
  /** What stands in each zone, by its id and by path. */
  readonly read: ReadonlyMap<string, readonly Listed[]>
  /** One for each path, by path. */
  readonly shown: readonly Shown[]
}

export async function* listSecrets(
  context: Context,
  prefix: string | undefined,
  { signal }: CallOptions,
): AsyncGenerator<SecretInfo, void, void> {
  const isWanted = selects(prefix)
  // Before anything is read: what comes meanwhile is read again by the next list.
  const { seq } = context.chain.head
  const layout = await context.layout(signal)
  if (!layout) return
  const { now } = context
  for (const { secret, isThere } of (await listingOf(context, seq, layout, signal)).shown) {
    if (!isWanted(secret.value.path)) continue
    signal?.throwIfAborted()
    yield infoAt(secret.value, isThere, now)
  }
}

async function listingOf(
  context: Context,
  seq: number,
  layout: Layout,
  signal: AbortSignal | undefined,
): Promise<Listing> {
  const { chain } = context
  const kept = context.listing
  if (kept?.seq === seq && chain.head.seq === seq) return kept
  const zones = JSON.stringify(layout.zones)
  const isNear = kept?.zones === zones && chain.head.seq - kept.seq <= BEHIND_MAX
  const { read, shown } = isNear ? await readSince(chain, kept, layout, signal) : await readAll(chain, layout, signal)
  const listing = { seq, zones, read, shown }
  const versions = shown.reduce((sum, { secret }) => sum + secret.value.versions.length, 0)
  context.listing = versions <= KEPT_VERSIONS_MAX ? listing : undefined
  return listing
}

async function readAll(
  chain: Chain,
  { zones }: Layout,
  signal: AbortSignal | undefined,
): Promise<Pick<Listing, 'read' | 'shown'>> {
  const read = new Map<string, readonly Listed[]>()
  const paths = new Set<string>()
  for (const { id, names } of zones) {
    const secrets: Listed[] = []
    for await (const batch of chain.children(SecretType, names, IN.secrets).batches()) {
      signal?.throwIfAborted()
      for (const secret of batch) {
        secrets.push(secret)
        if (zones.length > 1) paths.add(secret.value.path)
      }
    }
    read.set(
      id,
      secrets.sort((a, b) => (a.value.path < b.value.path ? -1 : 1)),
    )
  }
  const counting =
    zones.length === 1
      ? read.get(zones[0]!.id)!
      : [...paths].sort().flatMap((path) => countingAt(zones, read, path) ?? [])
  return { read, shown: counting.map((secret) => shownOf(chain, secret)) }
}

/** While a secret moves into a narrower zone, or where two made it at once, the narrower one counts. */
function countingAt(zones: readonly Zone[], read: Listing['read'], path: string): Listed | undefined {
  for (const { id } of zonesOf(zones, path)) {
    const secrets = read.get(id)!
    const found = secrets[placeOf(secrets, path, (one) => one.value.path)]
    if (found?.value.path === path) return found
  }
  return undefined
}

function shownOf(chain: Chain, secret: Listed): Shown {
  return { secret, isThere: isThere(chain, newestOf(secret.value)) }
}

async function readSince(
  chain: Chain,
  kept: Listing,
  { zones }: Layout,
  signal: AbortSignal | undefined,
): Promise<Pick<Listing, 'read' | 'shown'>> {
  const { secrets, gone } = await writtenSince(chain, kept.seq, signal)
  const read = new Map<string, Listed[]>([...kept.read].map(([id, list]) => [id, [...list]]))
  const paths = new Set<string>()
  for (const id of secrets) {
    const parent = chain.has(id) ? chain.parentOf(id) : undefined
    const zone = zones.find(({ names }) => names === parent)
    const secret = zone && (await chain.get(SecretType, id))
    // Taken out wherever it stood: most often where it goes.
    for (const list of read.values()) takeOut(list, id, secret?.value.path, paths)
    if (!secret) continue
    const { path } = secret.value
    const list = read.get(zone.id)!
    list.splice(
      placeOf(list, path, (one) => one.value.path),
      0,
      secret,
    )
    paths.add(path)
  }
  const shown = kept.shown.map((one) =>
    one.isThere && gone.size > 0 && gone.has(newestOf(one.secret.value)!.value) ? { ...one, isThere: false } : one,
  )
  for (const path of paths) {
    const at = placeOf(shown, path, (one) => one.secret.value.path)
    const counts = countingAt(zones, read, path)
    shown.splice(at, shown[at]?.secret.value.path === path ? 1 : 0, ...(counts ? [shownOf(chain, counts)] : []))
  }
  return { read, shown }
}

/** Secrets that were written behind a record, and values that were deleted. */
async function writtenSince(
  chain: Chain,
  seq: number,
  signal: AbortSignal | undefined,
): Promise<{ readonly secrets: ReadonlySet<string>; readonly gone: ReadonlySet<string> }> {
  const secrets = new Set<string>()
  const gone = new Set<string>()
  for await (const events of chain.eventBatches({ from: seq + 1, until: 'end', ...(signal ? { signal } : {}) }))
    for (const { type, op, entity } of events) {
      if (type === SecretType.name) secrets.add(entity)
      else if (type === ValueType.name && op === 'delete') gone.add(entity)
    }
  return { secrets, gone }
}

/** `path`: where it stands if its path is what it was. */
function takeOut(list: Listed[], id: string, path: string | undefined, paths: Set<string>): void {
  let at = path === undefined ? -1 : placeOf(list, path, (one) => one.value.path)
  if (list[at]?.id !== id) at = list.findIndex((one) => one.id === id)
  if (at < 0) return
  paths.add(list[at]!.value.path)
  list.splice(at, 1)
}

/** The first place in a list by path that is not in front of `path`. */
function placeOf<T>(list: readonly T[], path: string, pathOf: (one: T) => string): number {
  let [low, high] = [0, list.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (pathOf(list[middle]!) < path) low = middle + 1
    else high = middle
  }
  return low
}
