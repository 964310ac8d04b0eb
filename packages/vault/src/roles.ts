/** Roles: who is in them, and what they may do at which pattern. */
import { AteError, isEffects, type PublicId, role as roleName, stageIn, type Transaction } from '@ate/core'
import {
  type CallOptions,
  type Context,
  type Layout,
  required,
  type WriteNowOptions,
  type WriteOptions,
} from './context.ts'
import { follow, renewRole, setGrant } from './grants.ts'
import { checkNames } from './option-names.ts'
import { atTime, infoOf, type SecretInfo } from './secret-info.ts'
import { takeOutStrays } from './strays.ts'
import { CANS, type Can, type Grant, IN, OWNERS, SecretType, VaultType } from './vault-records.ts'
import { checkPattern, union, type Zone } from './vault-rules.ts'

/** What a reader who was removed could read: secrets to change at their source. */
export interface Removed {
  readonly couldRead: readonly SecretInfo[]
  /** Zones that still wait for a new key, which the next who writes there and reads makes. */
  readonly waiting: readonly string[]
}

export interface RoleMember {
  readonly publicId: PublicId
  readonly fingerprint: string
  readonly until?: Date
}

const ROLE_NAME = /^[\p{L}\p{N}][\p{L}\p{N}._-]{0,63}$/u

export class Role {
  readonly name: string
  readonly #context: Context

  /** @internal */
  constructor(context: Context, name: string) {
    if (typeof name !== 'string' || !ROLE_NAME.test(name))
      throw new AteError('BAD_ARGUMENT', { what: 'a role is named by up to 64 letters, digits, dots and hyphens' })
    this.name = name
    this.#context = context
  }

  /**
   * What members may do with the secrets that a pattern names; it replaces what was said for this pattern before, and an empty
   * list takes it away. Narrower patterns add to wider ones. The first grant for a pattern is an owner's, because it gives what
   * is below the pattern keys of its own; later ones are for who has `grant` there.
   * @throws AteError BAD_PATTERN | BAD_ARGUMENT | NOT_AUTHORIZED
   */
  async allow(
    pattern: string,
    can: readonly Can[],
    options: WriteOptions & { readonly until?: Date } = {},
  ): Promise<void> {
    checkNames(options, 'member')
    checkPattern(pattern)
    const grant = this.#grant(can, options.until)
    const context = this.#context
    const set = async (steps: WriteNowOptions): Promise<void> => {
      const changed = await context.write({ ...steps, changing: true }, async (tx) => {
        const layout = await this.#ensured(tx)
        return setGrant(context, tx, layout, pattern, grant)
      })
      await follow(context, changed, steps)
      if (!steps.tx && changed.lost) await this.#renew(steps)
    }
    const { tx: target, signal } = options
    const steps = signal ? { signal } : {}
    await (target === undefined ? context.change(() => set(steps)) : stageIn(target, (tx) => set({ ...steps, tx })))
  }

  /** Takes away what was said for this pattern; what is said for wider ones stays. */
  revoke(pattern: string, options?: WriteNowOptions): Promise<Removed>
  revoke(pattern: string, options: WriteOptions): Promise<Removed | undefined>
  async revoke(pattern: string, options: WriteOptions = {}): Promise<Removed | undefined> {
    checkNames(options, 'write')
    const { record: _, ...before } = await this.#readable(options)
    await this.allow(pattern, [], options)
    const { tx, signal } = options
    if (isEffects(tx)) return undefined
    const after = await (tx ? this.#context.layoutIn(tx) : this.#context.layout(signal))
    const lost = before.zones.filter((zone) => !reads(this.#context, after ?? before.layout, zone, this.name))
    return { couldRead: await secretsOf(this.#context, lost, options), waiting: [] }
  }

  /**
   * Adds a member. Who makes a role is its first member. `until` ends the membership: nothing that is written later is sealed for
   * the member once somebody who manages the vault has come by (`vault.tidy`); what could be read until then is known to it.
   * @throws AteError BAD_PUBLIC_ID | NOT_AUTHORIZED
   */
  async add(member: PublicId, options: WriteOptions & { readonly until?: Date } = {}): Promise<void> {
    checkNames(options, 'member')
    const end = options.until === undefined ? undefined : atTime(options.until, this.#context.now)
    const run = (): Promise<unknown> =>
      this.#context.write({ ...options, changing: true }, async (tx) => {
        const layout = await this.#ensured(tx)
        tx.role(this.name, layout.vault).add(member)
        const fingerprint = this.#context.fingerprintOf(member)
        const known = layout.record.until.some((one) => one.role === this.name && one.member === fingerprint)
        if (end === undefined && !known) return
        await tx.update(VaultType, layout.vault, (record) => ({
          ...record,
          until: [
            ...record.until.filter((one) => one.role !== this.name || one.member !== fingerprint),
            ...(end === undefined ? [] : [{ role: this.name, member: fingerprint, at: end }]),
          ],
        }))
      })
    await (options.tx ? run() : this.#context.change(run))
  }

  /**
   * Takes a member out, and starts new keys for all that the role reads. What the member could read it still knows:
   * `couldRead` says what to change at its source. @throws AteError NO_ROLE | NOT_AUTHORIZED
   */
  remove(member: PublicId, options?: WriteNowOptions): Promise<Removed>
  remove(member: PublicId, options: WriteOptions): Promise<Removed | undefined>
  async remove(member: PublicId, options: WriteOptions = {}): Promise<Removed | undefined> {
    checkNames(options, 'write')
    const layout = await this.#existing(options)
    const run = () =>
      this.#context.write({ ...options, changing: true }, async (tx) => tx.role(this.name, layout.vault).remove(member))
    const removal = await (options.tx
      ? run()
      : this.#context.change(async () => {
          const removed = await run()
          // Not before: until then he might have put them there again.
          await takeOutStrays(this.#context, options.signal ? { signal: options.signal } : {})
          return removed
        }))
    if (!removal) return undefined
    const zones = layout.zones.filter(({ values }) => (removal.couldRead as readonly string[]).includes(values))
    const waiting = layout.zones.filter(({ values }) => (removal.stale as readonly string[]).includes(values))
    return {
      couldRead: await secretsOf(this.#context, zones, options),
      waiting: waiting.map(({ pattern }) => pattern),
    }
  }

  /** @throws AteError NO_ROLE */
  async *members(options: CallOptions = {}): AsyncGenerator<RoleMember, void, void> {
    const layout = await this.#existing(options)
    yield* membersOf(this.#context, layout, this.name)
  }

  /**
   * The next key of the role: who becomes a member later opens nothing that was taken from the role before. `allow`, `revoke` and
   * `tidy` do it by themselves, but not in a transaction of yours or as effects of a job: there it comes after that, since a new key
   * beside the old policy would open it. By owners. @throws AteError NO_ROLE | NOT_AUTHORIZED
   */
  async renew(options: CallOptions = {}): Promise<void> {
    await this.#existing(options)
    await this.#context.change(() => this.#renew(options))
  }

  /** Who may grant here, and is no owner, cannot. */
  async #renew(options: CallOptions): Promise<void> {
    await renewRole(this.#context, this.name, options)
  }

  #grant(can: readonly Can[], until: Date | undefined): Grant {
    if (!Array.isArray(can) || can.some((one) => !CANS.includes(one)))
      throw new AteError('BAD_ARGUMENT', { what: 'rights are list, read, write, destroy, grant' })
    if (this.name === OWNERS)
      throw new AteError('BAD_ARGUMENT', { what: 'owners may do everything; add members to the role' })
    const end = until === undefined ? {} : { until: atTime(until, this.#context.now) }
    return { role: this.name, can: CANS.filter((one) => can.includes(one)), ...end }
  }

  /** The vault with this role in it, made if it is missing. */
  async #ensured(tx: Transaction): Promise<Layout> {
    const context = this.#context
    const layout = await context.layoutIn(tx)
    if (this.name === OWNERS || layout.record.roles.includes(this.name)) return layout
    tx.role(this.name, layout.vault).add(context.chain.publicId)
    const { value } = await tx.update(VaultType, layout.vault, (record) => ({
      ...record,
      roles: union(record.roles, [this.name]),
    }))
    const members = union([OWNERS], value.roles).map(roleName)
    tx.setPolicy(layout.desk, { write: members, allow: members })
    const made = { ...layout, record: value }
    context.setLayout(tx, made)
    return made
  }

  async #existing({ signal }: CallOptions): Promise<Layout> {
    const layout = required(await this.#context.layout(signal), '')
    if (!this.#context.chain.role(this.name, layout.vault)) throw new AteError('NO_ROLE', { role: this.name })
    return layout
  }

  async #readable(options: CallOptions): Promise<{ layout: Layout; record: Layout['record']; zones: readonly Zone[] }> {
    const layout = await this.#existing(options)
    const zones = layout.zones.filter((zone) => reads(this.#context, layout, zone, this.name))
    return { layout, record: layout.record, zones }
  }
}

function reads(context: Context, layout: Layout, { pattern }: Zone, role: string): boolean {
  return context.accessAt(layout.zones, pattern).read.includes(role)
}

export function membersOf(context: Context, { vault, record }: Layout, role: string): RoleMember[] {
  const members = context.chain.role(role, vault)?.members ?? []
  return members.map(({ publicId, fingerprint }) => {
    const end = record.until.find((one) => one.role === role && one.member === fingerprint)
    return { publicId, fingerprint, ...(end ? { until: new Date(end.at) } : {}) }
  })
}

/** Secrets of zones of which at least one version can still be read. */
async function secretsOf(context: Context, zones: readonly Zone[], { signal }: CallOptions): Promise<SecretInfo[]> {
  const { chain } = context
  const found: SecretInfo[] = []
  for (const zone of zones) {
    for await (const { value } of chain.children(SecretType, zone.names, IN.secrets)) {
      signal?.throwIfAborted()
      if (value.versions.some((version) => chain.has(version.value))) found.push(infoOf(context, value))
    }
  }
  return found.sort((a, b) => (a.path < b.path ? -1 : 1))
}
