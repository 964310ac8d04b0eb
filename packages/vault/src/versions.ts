/** Versions on the chain: where a secret stands, how a version is sealed into it, and opened again. */
import { AteError, role as roleName, type Transaction } from '@ate/core'
import type { Context, Layout } from './context.ts'
import { vaultError } from './errors.ts'
import { derive, HALF_BYTES, openSealed, purposeOf, sealOnce } from './sealing.ts'
import { IN, type Kind, type SecretRecord, SecretType, ValueType, type VersionRecord } from './vault-records.ts'
import { needsOwnPolicy, withVersion, type Zone, zonesOf } from './vault-rules.ts'

/** Secrets that were looked up. What stands in a layout is of one record of the chain, and so are they. */
const found = new WeakMap<Layout, Map<string, Place>>()
const PLACES_MAX = 4096

/** Where a secret stands, or would. */
export interface Place {
  readonly path: string
  readonly zone: Zone & { save(record: SecretRecord): void }
  readonly layout: Layout
  readonly record: SecretRecord | undefined
}

/** As acknowledged; undefined if this session sees no zone that holds the path. */
export async function findSecret(context: Context, layout: Layout, path: string): Promise<Place | undefined> {
  let places = found.get(layout)
  if (!places) {
    places = new Map()
    found.set(layout, places)
  }
  const known = places.get(path)
  if (known) return known
  const place = await searchSecret(context, layout, path)
  if (!place) return undefined
  if (places.size === PLACES_MAX) places.clear()
  places.set(path, place)
  return place
}

async function searchSecret(context: Context, layout: Layout, path: string): Promise<Place | undefined> {
  const zones = zonesOf(layout.zones, path)
  for (const zone of zones) {
    const entity = await context.chain.named(SecretType, path, { parent: zone.names, in: IN.secrets })
    if (entity?.value.path === path) return { path, zone: { ...zone, save: refuse }, layout, record: entity.value }
  }
  const [narrowest] = zones
  return narrowest && { path, zone: { ...narrowest, save: refuse }, layout, record: undefined }
}

function refuse(): never {
  throw new AteError('INTERNAL', { what: 'a place that was found by a reader' })
}

/** As the transaction sees it; what was read is guarded. @throws AteError NOT_AUTHORIZED (no zone that this session sees) */
export async function placeIn(context: Context, tx: Transaction, path: string): Promise<Place> {
  const layout = await context.layoutIn(tx)
  const zones = zonesOf(layout.zones, path)
  const [narrowest] = zones
  if (!narrowest) throw new AteError('NOT_AUTHORIZED', { path, needs: 'write' })
  context.assertNotLapsed(layout, narrowest.pattern, 'write')
  for (const zone of zones) {
    const found = await tx.named(SecretType, path, { parent: zone.names, in: IN.secrets })
    if (found?.value.path !== path) continue
    const save = (next: SecretRecord): void => void tx.replace(found, next)
    return { path, layout, zone: { ...zone, save }, record: found.value }
  }
  const save = (next: SecretRecord): void =>
    void tx.put(SecretType, next.path, next, { parent: narrowest.names, in: IN.secrets })
  return { path, layout, zone: { ...narrowest, save }, record: undefined }
}

export interface NewVersion {
  readonly path: string
  readonly kind: Kind
  /** Wiped. */
  readonly plain: Uint8Array
  readonly expires?: number
  readonly meta?: Readonly<Record<string, string>>
  /** Id of the public half of a transit key. */
  readonly open?: string
  readonly oldest?: number
}

/** The next version of a secret, sealed and recorded. */
export async function appendVersion(
  context: Context,
  tx: Transaction,
  { zone, layout, record }: Place,
  { path, kind, plain, expires, meta, open, oldest }: NewVersion,
): Promise<VersionRecord> {
  if (record && record.kind !== kind) throw new AteError('WRONG_TYPE', { path, stored: record.kind, wanted: kind })
  const n = (record?.latest ?? 0) + 1
  const value = await sealInto(context, tx, { zone, layout }, { path, n, plain })
  const version: VersionRecord = {
    n,
    value,
    at: context.now,
    by: context.me,
    ...(expires === undefined ? {} : { expires }),
    ...(open === undefined ? {} : { open }),
  }
  const next = withVersion(record ?? { path, kind }, version, (one) => context.chain.has(one.value))
  zone.save({ ...next, ...(meta === undefined ? {} : { meta }), ...(oldest === undefined ? {} : { oldest }) })
  return version
}

/** Seals bytes as a value of a zone; the id of the entity. */
export async function sealInto(
  context: Context,
  tx: Transaction,
  { zone, layout }: { readonly zone: Zone; readonly layout: Layout },
  { path, n, plain }: { readonly path: string; readonly n: number; readonly plain: Uint8Array },
): Promise<string> {
  const random = context.makers.random(2 * HALF_BYTES)
  const [half, other] = [random.slice(0, HALF_BYTES), random.slice(HALF_BYTES)]
  random.fill(0)
  const sealed = sealOnce(derive('value', half, other), purposeOf(path, n), plain)
  const access = context.accessAt(layout.zones, zone.pattern)
  const own = needsOwnPolicy(access) ? { write: access.destroy.map(roleName) } : {}
  const { id } = tx.create(ValueType, { half, ...sealed }, { parent: zone.values, in: IN.values, ...own })
  tx.attachKey(id, other)
  context.keepHalf(tx, id, other)
  return id
}

/** The plain bytes of a version; the caller wipes them. @throws AteError VERSION_DESTROYED | KEY_MISSING | BAD_BODY | NO_READ_KEY */
export async function openVersion(
  context: Context,
  { path, layout }: { readonly path: string; readonly layout: Layout },
  { n, value }: Pick<VersionRecord, 'n' | 'value'>,
  tx?: Transaction,
): Promise<Uint8Array> {
  // What this process makes just now it has not read.
  const isRead = !context.isMaking(value, tx) && context.recordsReads
  const recorded = isRead ? await recordRead(context, layout, { path, n, value }) : undefined
  const found = await (tx ? tx.get(ValueType, value) : context.chain.get(ValueType, value))
  if (!found) throw vaultError('VERSION_DESTROYED', { path, version: n })
  const half = await context.halfOf(value, { tx, recorded })
  if (!half) {
    // Where others order the records, it may have been destroyed meanwhile.
    await context.chain.refresh()
    const facts = { path, version: n }
    throw context.chain.has(value) ? new AteError('KEY_MISSING', facts) : vaultError('VERSION_DESTROYED', facts)
  }
  return openSealed(derive('value', found.value.half, half), purposeOf(path, n), found.value)
}

/** Durable before the key is asked for. Its guard names the value in clear: so whoever keeps the keys knows that it is this one. */
async function recordRead(
  context: Context,
  { desk }: Layout,
  { path, n, value }: { readonly path: string; readonly n: number; readonly value: string },
): Promise<number> {
  return context.record(async (tx) => {
    await tx.get(ValueType, value)
    context.note(tx, desk, { act: 'read', path, version: n })
  })
}
