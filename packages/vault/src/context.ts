/** What all parts of one vault share: the chain, where things stand on it, and what is on its way. */
import {
  AteError,
  type Chain,
  isAteError,
  type PublicId,
  role as roleName,
  stageIn,
  type Transaction,
  type TxTarget,
} from '@ate/core'
import { vaultError } from './errors.ts'
import type { Listing } from './listing.ts'
import {
  type Can,
  DeskType,
  type Grant,
  IN,
  NamesType,
  type NoteRecord,
  NoteType,
  OWNERS,
  ValuesType,
  type VaultRecord,
  VaultType,
  type ZoneRecord,
  ZoneType,
} from './vault-records.ts'
import { type Access, accessOf, grantsAt, isLapsed, needsOwnPolicy, union, type Zone } from './vault-rules.ts'
import { isVouchedFor, SALT_BYTES, toHex, vouchFor } from './vouched.ts'

/** Every call takes it. */
export interface CallOptions {
  readonly signal?: AbortSignal
}

/**
 * With `tx` a verb resolves when it is staged, and is done when that commits. With the `tx` of a job or a delivery it is staged
 * when that is done, and resolves without a result; what is wrong with it fails the job then.
 */
export interface WriteOptions extends CallOptions {
  readonly tx?: TxTarget
}

/** Those of `WriteOptions` with which a verb has a result when it resolves. */
export interface WriteNowOptions extends CallOptions {
  readonly tx?: Transaction
}

/** What comes from outside of the chain; replaced by tests. */
export interface Makers {
  /** Unix ms. */
  readonly now: () => number
  readonly random: (size: number) => Uint8Array
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
}

export interface Layout {
  readonly vault: string
  readonly record: VaultRecord
  readonly desk: string
  readonly zones: readonly Zone[]
}

/** What one transaction has done that is not on the chain yet. */
export interface Staged {
  layout: Layout | undefined
  /** Ring halves of values that it makes, by id. */
  readonly halves: Map<string, Uint8Array>
}

/** One for each vault of a chain, whoever has handles on it. */
interface Shared {
  cached: { readonly seq: number; readonly layout: Layout | undefined } | undefined
  /** Zones are being made or changed. */
  changing: Promise<unknown>
  readonly halves: Map<string, Uint8Array>
  /** What transactions have done, through whichever handle. */
  readonly staged: WeakMap<Transaction, Staged>
  listing: Listing | undefined
}

const shared = new WeakMap<Chain, Map<string, Shared>>()

export class Context {
  readonly chain: Chain
  readonly name: string
  readonly #audit: 'writes' | 'reads' | undefined
  readonly makers: Makers
  readonly #shared: Shared
  readonly #own = new WeakSet<Transaction>()

  constructor(chain: Chain, name: string, audit: 'writes' | 'reads' | undefined, makers: Makers) {
    this.chain = chain
    this.name = name
    this.#audit = audit
    this.makers = makers
    let vaults = shared.get(chain)
    if (!vaults) {
      vaults = new Map()
      shared.set(chain, vaults)
    }
    const known = vaults.get(name)
    this.#shared = known ?? {
      cached: undefined,
      changing: Promise.resolve(),
      halves: new Map(),
      staged: new WeakMap(),
      listing: undefined,
    }
    if (!known) vaults.set(name, this.#shared)
  }

  /** The later of chain time and this machine's: a chain at rest stands still, and a clock that is behind delays nothing. */
  get now(): number {
    return Math.max(this.chain.now, this.makers.now())
  }

  /** Where things stand, as acknowledged; undefined if there is no vault yet. One object as long as the chain has no new record. */
  async layout(signal?: AbortSignal): Promise<Layout | undefined> {
    signal?.throwIfAborted()
    const { seq } = this.chain.head
    const { cached } = this.#shared
    if (cached?.seq === seq) return cached.layout
    const layout = await loadLayout(this.chain, this.name)
    this.#shared.cached = { seq, layout }
    return layout
  }

  /** What the last list has read. */
  get listing(): Listing | undefined {
    return this.#shared.listing
  }

  set listing(listing: Listing | undefined) {
    this.#shared.listing = listing
  }

  /** The half of a key that stands in the ring, or will when its transaction commits. */
  async halfOf(
    id: string,
    { tx, recorded }: { readonly tx?: Transaction | undefined; readonly recorded?: number | undefined },
  ): Promise<Uint8Array | undefined> {
    const staged = (tx && this.#shared.staged.get(tx)?.halves.get(id)) ?? this.#shared.halves.get(id)
    return staged ?? this.chain.attachedKey(id, recorded === undefined ? {} : { recorded })
  }

  /**
   * Each read is recorded before its key is asked for: where that was asked for, and where the server wants it. Looked at anew each
   * time, since a connection may come back to a server that has changed. @throws AteError AUDIT_UNAVAILABLE
   */
  get recordsReads(): boolean {
    const isRecorded = this.chain.attachedKeys === 'recorded'
    if (this.#audit === 'reads' && !isRecorded) throw vaultError('AUDIT_UNAVAILABLE', { chain: this.chain.id })
    return this.#audit === undefined ? isRecorded : this.#audit === 'reads'
  }

  /** A transaction of its own; the seq of its record, which is durable. */
  async record(run: (tx: Transaction) => Promise<void>, { signal }: CallOptions = {}): Promise<number> {
    let last: Transaction | undefined
    await this.chain.transact(
      (tx) => {
        last = tx
        return run(tx)
      },
      signal ? { signal } : {},
    )
    return last!.receipt!.seq
  }

  keepHalf(tx: Transaction, id: string, half: Uint8Array): void {
    this.#stagedOf(tx).halves.set(id, half)
    // Others read what is staged, too; of a caller's transaction nobody tells us when it has ended.
    if (this.#own.has(tx)) this.#shared.halves.set(id, half)
  }

  /** This transaction, or one of ours that has not ended, makes the value. */
  isMaking(id: string, tx?: Transaction): boolean {
    return this.#shared.halves.has(id) || (tx !== undefined && this.#shared.staged.get(tx)?.halves.has(id) === true)
  }

  /** The fingerprint by which policies name who has this public id. */
  fingerprintOf(member: PublicId): string {
    return this.chain.fingerprintOf(member)
  }

  /** Whom policies name for this session. */
  get me(): string {
    return this.chain.person()?.fingerprint ?? this.chain.identity
  }

  /**
   * Runs in the caller's transaction, or in one of its own, which waits for changes of zones that are under way. As an effect it
   * runs later, maybe more than once, and this gives undefined.
   */
  write<R>(options: WriteNowOptions & { readonly changing?: true }, run: (tx: Transaction) => Promise<R>): Promise<R>
  write<R>(
    options: WriteOptions & { readonly changing?: true },
    run: (tx: Transaction) => Promise<R>,
  ): Promise<R | undefined>
  async write<R>(
    { tx, signal, changing }: WriteOptions & { readonly changing?: true },
    run: (tx: Transaction) => Promise<R>,
  ): Promise<R | undefined> {
    if (tx !== undefined) return stageIn(tx, run, this.chain)
    // Who changes zones has the turn already.
    if (changing) await this.#make(signal)
    else {
      await this.#shared.changing
      if (!(await this.layout(signal))) await this.change(() => this.#make(signal))
    }
    const runs: Transaction[] = []
    try {
      return await this.chain.transact(
        (own) => {
          runs.push(own)
          this.#own.add(own)
          return run(own)
        },
        signal ? { signal } : {},
      )
    } finally {
      for (const own of runs) this.#forget(own)
    }
  }

  /** One change of zones at a time; other writes wait, so that they see it. */
  change<R>(run: () => Promise<R>): Promise<R> {
    const turn = this.#shared.changing.then(run)
    this.#shared.changing = turn.catch(() => undefined)
    return turn
  }

  /** Where things stand for this transaction; a vault is made if there is none. */
  async layoutIn(tx: Transaction): Promise<Layout> {
    const staged = this.#stagedOf(tx)
    if (staged.layout) return staged.layout
    const layout = await this.layout()
    if (layout) {
      // A zone that came meanwhile may be where this belongs.
      const count = this.chain.children(ZoneType, layout.vault, IN.zones).count()
      tx.guard.members(layout.vault, IN.zones, count)
    }
    staged.layout = layout ?? (await makeVault(this, tx))
    return staged.layout
  }

  setLayout(tx: Transaction, layout: Layout): void {
    this.#stagedOf(tx).layout = layout
  }

  /** Who may do what in a zone, by the grants that hold now. */
  accessAt(zones: readonly Zone[], pattern: string): Access {
    return accessOf(grantsAt(zones, pattern), this.now)
  }

  /**
   * A grant or a membership with an end counts no more after it, though the policies change only when somebody who grants comes
   * by. @throws AteError NOT_AUTHORIZED
   */
  assertNotLapsed(layout: Layout, pattern: string, can: Can): void {
    if (layout.record.until.length === 0 && !layout.zones.some(hasEnds)) return
    const grants = grantsAt(layout.zones, pattern)
    const counts = (role: string): boolean =>
      this.chain.role(role, layout.vault)?.isMember === true && !this.#hasLeft(layout, role)
    const may = (grant: Grant): boolean =>
      (grant.can.includes(can) || (can === 'read' && grant.can.includes('grant'))) && !isLapsed(grant.until, this.now)
    if (counts(OWNERS) || grants.some((grant) => may(grant) && counts(grant.role))) return
    // Who never had the right is told by the chain itself.
    const ends = grants.filter(
      (grant) => grant.can.includes(can) && this.chain.role(grant.role, layout.vault)?.isMember,
    )
    if (ends.length > 0) throw new AteError('NOT_AUTHORIZED', { pattern, needs: can, what: 'the grant has ended' })
  }

  #hasLeft({ record }: Layout, role: string): boolean {
    return record.until.some((one) => one.role === role && one.member === this.me && isLapsed(one.at, this.now))
  }

  note(tx: Transaction, desk: string, record: NoteRecord): void {
    tx.create(NoteType, record, { parent: desk, in: IN.notes })
  }

  async #make(signal: AbortSignal | undefined): Promise<void> {
    if (await this.layout(signal)) return
    await this.chain.transact((tx) => makeVault(this, tx), signal ? { signal } : {})
  }

  /** By now the ring has the halves of what was committed. */
  #forget(tx: Transaction): void {
    for (const id of this.#shared.staged.get(tx)?.halves.keys() ?? []) this.#shared.halves.delete(id)
  }

  #stagedOf(tx: Transaction): Staged {
    let staged = this.#shared.staged.get(tx)
    if (!staged) {
      staged = { layout: undefined, halves: new Map() }
      this.#shared.staged.set(tx, staged)
    }
    return staged
  }
}

function hasEnds({ grants }: Zone): boolean {
  return grants.some(({ until }) => until !== undefined)
}

async function loadLayout(chain: Chain, name: string): Promise<Layout | undefined> {
  for (const id of chain.children(VaultType, undefined, IN.vaults).ids()) {
    const vault = await readable(chain.get(VaultType, id))
    if (vault?.value.name !== name) continue
    const [desk] = chain.children(DeskType, id, IN.desk).ids()
    const zones: Zone[] = []
    for (const zoneId of chain.children(ZoneType, id, IN.zones).ids()) {
      const zone = await readable(chain.get(ZoneType, zoneId))
      if (zone && isVouchedFor(vault.value, chain, zoneId, zone.value)) zones.push({ id: zoneId, ...zone.value })
    }
    if (desk !== undefined) return { vault: id, record: vault.value, desk, zones }
  }
  return undefined
}

/** Undefined for what this session cannot read. */
async function readable<T>(reading: Promise<T | undefined>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (isAteError(error) && (error.code === 'NO_READ_KEY' || error.code === 'LOCKED')) return undefined
    throw error
  }
}

/** The vault, its owners, its desk, and the zone of everything. Needs manage of the chain's root. */
async function makeVault(context: Context, tx: Transaction): Promise<Layout> {
  const { chain, name } = context
  tx.guard.members(undefined, IN.vaults, chain.children(VaultType, undefined, IN.vaults).count())
  const record: VaultRecord = { name, roles: [], until: [], zones: [] }
  const vault = tx.create(VaultType, record, { in: IN.vaults, read: 'everyone' }).id
  tx.role(OWNERS, vault).add(chain.publicId)
  const owners = [roleName(OWNERS)]
  tx.setPolicy(vault, { write: owners, manage: owners })
  const desk = tx.create(DeskType, {}, { parent: vault, in: IN.desk, read: owners, write: owners, allow: owners }).id
  return makeZone(context, tx, { vault, record, desk, zones: [] }, { pattern: '**', grants: [] })
}

/** A zone with its two nodes, under the policies that its grants, and those of wider zones, ask for: the layout with it, as the last. */
export async function makeZone(
  context: Context,
  tx: Transaction,
  layout: Layout,
  made: Pick<Zone, 'pattern' | 'grants'>,
): Promise<Layout> {
  const salt = toHex(context.makers.random(SALT_BYTES))
  const draft: ZoneRecord = { names: '', values: '', salt, ...made }
  const access = context.accessAt([...layout.zones, { id: '', ...draft }], made.pattern)
  const policies = policiesOf(access)
  const placed = tx.create(ZoneType, draft, { parent: layout.vault, in: IN.zones, ...policies.zone })
  const names = tx.create(NamesType, {}, { parent: placed, in: IN.names, ...policies.names }).id
  const values = tx.create(ValuesType, {}, { parent: placed, in: IN.values, ...policies.values }).id
  await tx.update(placed, () => ({ ...made, names, values, salt }))
  const { value: record } = await tx.update(VaultType, layout.vault, (before) => ({
    ...before,
    zones: [...before.zones, vouchFor(placed.id, draft)],
  }))
  return { ...layout, record, zones: [...layout.zones, { ...made, id: placed.id, names, values, salt }] }
}

interface NodePolicies {
  readonly zone: { readonly read: Names; readonly write: Names; readonly manage: Names }
  readonly names: { readonly write: Names }
  readonly values: { readonly read: Names; readonly write: Names; readonly allow: Names }
}

type Names = readonly ReturnType<typeof roleName>[]

export function policiesOf(access: Access): NodePolicies {
  const names = (roles: readonly string[]): Names => roles.map(roleName)
  return {
    zone: { read: names(access.list), write: names(access.grant), manage: names(access.grant) },
    names: { write: names(access.write) },
    values: {
      read: names(access.read),
      write: names(union(access.write, access.destroy)),
      allow: names(needsOwnPolicy(access) ? access.write : []),
    },
  }
}

/** @throws AteError NOT_FOUND */
export function required(layout: Layout | undefined, path: string): Layout {
  if (!layout) throw new AteError('NOT_FOUND', { path }, { hint: 'there is no vault on this chain yet' })
  return layout
}
