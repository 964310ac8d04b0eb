/**
 * What follows a change of zones, in steps that each fit into a transaction: secrets move into a narrower zone, sealed anew
 * under its keys; values get a policy that says who may destroy them. Interrupted, the same change finishes it.
 */
import { isAteError, role as roleName, type Transaction } from '@ate/core'
import type { Context, Layout, WriteNowOptions } from './context.ts'
import { IN, OpenType, type SecretRecord, SecretType, ValueType, type VersionRecord } from './vault-records.ts'
import { covers, needsOwnPolicy, type Zone, zonesOf } from './vault-rules.ts'
import { openVersion, sealInto } from './versions.ts'
import { isBelow } from './vouched.ts'

/** Values of one step: with 20 kB each, a step is half of what a transaction takes. */
const STEP_VALUES = 24
export const STEP_POLICIES: number = 512

/** Moves what wider zones hold of the zone's pattern. Needs `read` and `destroy` there, which owners have. */
export async function moveIntoZone(
  context: Context,
  layout: Layout,
  zone: Zone,
  options: WriteNowOptions,
): Promise<void> {
  for (const wider of layout.zones) {
    if (wider.id === zone.id || !covers(wider.pattern, zone.pattern)) continue
    const records = await recordsIn(context, wider, options)
    const moving = records.filter(({ path }) => zonesOf(layout.zones, path)[0]?.id === zone.id)
    for (const paths of stepsOf(context, moving))
      await moveStep(context, layout, { from: wider, to: zone, paths }, options)
  }
}

/** In a caller's transaction also what it has staged itself. */
async function recordsIn(context: Context, { names }: Zone, { tx }: WriteNowOptions): Promise<SecretRecord[]> {
  const records: SecretRecord[] = []
  const children = tx
    ? tx.children(SecretType, names, IN.secrets)
    : context.chain.children(SecretType, names, IN.secrets)
  for await (const { value } of children) records.push(value)
  return records
}

function stepsOf({ chain }: Context, records: readonly SecretRecord[]): string[][] {
  const steps: string[][] = []
  let left = 0
  for (const { path, versions } of records) {
    const values = Math.max(1, versions.filter(({ value }) => chain.has(value)).length)
    if (left < values) {
      steps.push([])
      left = STEP_VALUES
    }
    steps.at(-1)!.push(path)
    left -= values
  }
  return steps
}

interface Step {
  readonly from: Zone
  readonly to: Zone
  readonly paths: readonly string[]
}

async function moveStep(
  context: Context,
  layout: Layout,
  { from, to, paths }: Step,
  options: WriteNowOptions,
): Promise<void> {
  await context.write({ ...options, changing: true }, async (tx) => {
    for (const path of paths) {
      const old = await tx.named(SecretType, path, { parent: from.names, in: IN.secrets })
      if (!old) continue
      const versions = await Promise.all(
        old.value.versions.map((one) => moveVersion(context, tx, { layout, from, to, path }, one)),
      )
      tx.put(SecretType, path, { ...old.value, versions }, { parent: to.names, in: IN.secrets })
      tx.delete(old)
    }
  })
}

async function moveVersion(
  context: Context,
  tx: Transaction,
  {
    layout,
    from,
    to,
    path,
  }: { readonly layout: Layout; readonly from: Zone; readonly to: Zone; readonly path: string },
  version: VersionRecord,
): Promise<VersionRecord> {
  const { chain } = context
  // A record may name what stands elsewhere: that stays there.
  if (chain.has(version.value) ? !isBelow(chain, version.value, from.values) : !context.isMaking(version.value, tx))
    return version
  // This transaction may have destroyed it.
  if (!(await tx.get(ValueType, version.value))) return version
  const plain = await openedOr(() => openVersion(context, { path, layout }, version, tx))
  // What its writer sealed wrongly nobody can read, here or there: it keeps nobody from the rest.
  if (!plain) return version
  const value = await sealInto(context, tx, { zone: to, layout }, { path, n: version.n, plain })
  tx.shred(version.value)
  const { open, ...rest } = version
  // As with values: a record may name what stands elsewhere.
  const isOwn = open !== undefined && (!chain.has(open) || isBelow(chain, open, from.names))
  return { ...rest, value, ...(isOwn ? { open: await moveOpenHalf(tx, to, open) } : {}) }
}

/** Undefined for what nobody can open. */
async function openedOr(open: () => Promise<Uint8Array>): Promise<Uint8Array | undefined> {
  try {
    return await open()
  } catch (error) {
    if (isAteError(error) && error.code === 'BAD_BODY') return undefined
    throw error
  }
}

/** The public half of a transit key is read by who lists the zone. */
async function moveOpenHalf(tx: Transaction, to: Zone, id: string): Promise<string> {
  const { value } = await tx.load(OpenType, id)
  tx.delete(id)
  return tx.create(OpenType, value, { parent: to.names, in: IN.open }).id
}

/** Values that stand already follow the zone's rights: one who may destroy there may destroy them. */
export async function setValuePolicies(
  context: Context,
  layout: Layout,
  zone: Zone,
  options: WriteNowOptions,
): Promise<void> {
  const access = context.accessAt(layout.zones, zone.pattern)
  const write = (needsOwnPolicy(access) ? access.destroy : [...new Set([...access.write, ...access.destroy])]).map(
    roleName,
  )
  // What the caller's transaction makes itself has the policy already.
  if (!context.chain.has(zone.values)) return
  const ids = context.chain.children(ValueType, zone.values, IN.values).ids()
  for (let at = 0; at < ids.length; at += STEP_POLICIES) {
    await context.write({ ...options, changing: true }, async (tx) => {
      for (const id of ids.slice(at, at + STEP_POLICIES)) if (context.chain.has(id)) tx.setPolicy(id, { write })
    })
  }
}
