/**
 * Who did what, from the log: each entry is a committed transaction that its author signed. Paths and versions come from records
 * that this session may open; of others it sees that something was written.
 */
import { AteError, type ChainRecord, isAteError, type RecordEvent } from '@ate/core'
import { type CallOptions, type Context, required } from './context.ts'
import { checkNames } from './option-names.ts'
import { NoteType, type SecretRecord, SecretType, VaultType, type ZoneRecord, ZoneType } from './vault-records.ts'
import { matches } from './vault-rules.ts'

export type Act =
  | 'put'
  | 'rotate'
  | 'delete'
  | 'restore'
  | 'annotate'
  | 'renew'
  | 'retire'
  | 'move'
  | 'destroy'
  | 'grant'
  | 'join'
  | 'leave'
  | 'wrap'
  | 'unwrap'
  | 'unwrap refused'
  | 'read'
  | 'write'

export interface AuditEvent {
  readonly seq: number
  /** When the record got its place. */
  readonly at: Date
  /** The fingerprint of the key that signed it; `chain.person(by)` says whose it is. */
  readonly by: string
  readonly act: Act
  /** Of a secret; of `grant` the pattern, of `join` and `leave` the role. Undefined where this session may not see it. */
  readonly path?: string
  readonly version?: number
  /** Of `grant` what the role may do now; of `join` and `leave` who; of `write` that a record names a path of elsewhere. */
  readonly detail?: string
}

export interface AuditOptions extends CallOptions {
  /** From this record on: its `seq`. */
  readonly from?: number
  /** Only this path. */
  readonly path?: string
}

/**
 * Everything up to the newest record, oldest first.
 * @throws AteError BAD_ARGUMENT
 */
export async function* auditOf(context: Context, options: AuditOptions): AsyncGenerator<AuditEvent, void, void> {
  checkNames(options, 'audit')
  const { from = 0, path, signal } = options
  if (!Number.isSafeInteger(from) || from < 0)
    throw new AteError('BAD_ARGUMENT', { option: 'from', what: 'the number of a record' })
  if (path !== undefined && typeof path !== 'string')
    throw new AteError('BAD_ARGUMENT', { option: 'path', what: 'text' })
  const layout = required(await context.layout(signal), path ?? '')
  const reader = new AuditReader(layout.vault)
  // From the start: what a record changes shows only beside the one before.
  for await (const record of context.chain.records(signal ? { signal } : {})) {
    for (const event of await reader.read(record))
      if (event.seq >= from && (path === undefined || event.path === path)) yield event
  }
}

type Found = Pick<AuditEvent, 'act' | 'path' | 'version' | 'detail'>

class AuditReader {
  /** Nodes of this vault, so that others on the chain are left out. */
  readonly #ours = new Set<string>()
  readonly #records = new Map<string, SecretRecord>()
  readonly #paths = new Map<string, string>()
  readonly #values = new Map<string, { readonly path: string; readonly n: number }>()
  readonly #zones = new Map<string, ZoneRecord>()
  readonly #roles = new Map<string, string>()
  /** Pattern of the zone by its node of names, as it was made: who grants there may write another into its record. */
  readonly #patterns = new Map<string, string>()
  /** Node of names by the record of a secret. */
  readonly #places = new Map<string, string>()

  constructor(vault: string) {
    this.#ours.add(vault)
  }

  async read(record: ChainRecord): Promise<AuditEvent[]> {
    const events: AuditEvent[] = []
    for (const { refusal, events: all } of record.transactions) {
      if (refusal) continue
      const found: Found[] = []
      for (const event of all) found.push(...(await this.#open(event)))
      // A value that moved to another zone was not destroyed: by now its record names another.
      for (const event of all) found.push(...this.#gone(event))
      for (const one of found)
        events.push({ seq: record.seq, at: new Date(record.admittedAt), by: record.author ?? '', ...one })
    }
    return events
  }

  async #open(event: RecordEvent): Promise<Found[]> {
    const { op, type, entity, parent } = event
    if (entity === undefined) return []
    if (parent !== undefined && !this.#ours.has(parent)) return []
    if (op === 'create') {
      this.#ours.add(entity)
      if (type === SecretType.name && parent !== undefined) this.#places.set(entity, parent)
    } else if (!this.#ours.has(entity)) return []
    if (type === 'ate:role') return this.#role(event)
    if (op !== 'create' && op !== 'put') return []
    if (type === SecretType.name) return this.#secret(event)
    if (type === ZoneType.name) return this.#zone(event)
    if (type === VaultType.name || type !== NoteType.name) return type === 'vault.wrap' ? [{ act: 'wrap' }] : []
    const note = await opened(() => event.open(NoteType))
    return [
      note
        ? { act: note.act, path: note.path, ...(note.act === 'read' ? { version: note.version } : {}) }
        : { act: 'read' },
    ]
  }

  async #secret(event: RecordEvent): Promise<Found[]> {
    const entity = event.entity!
    const next = await opened(() => event.open(SecretType))
    if (!next) {
      const path = this.#paths.get(entity)
      return [{ act: 'write', ...(path === undefined ? {} : { path }) }]
    }
    const pattern = this.#patterns.get(this.#places.get(entity) ?? '')
    // Who writes here could name a path of elsewhere, and values of it: neither is what he did.
    if (pattern !== undefined && !matches(pattern, next.path)) return [{ act: 'write', detail: 'a path of elsewhere' }]
    const before = this.#records.get(next.path)
    this.#records.set(next.path, next)
    this.#paths.set(entity, next.path)
    for (const { value, n } of next.versions)
      if (!this.#values.has(value)) this.#values.set(value, { path: next.path, n })
    return changes(before, next).map((change) => ({ ...change, path: next.path }))
  }

  async #zone(event: RecordEvent): Promise<Found[]> {
    const next = await opened(() => event.open(ZoneType))
    if (!next) return []
    const before = this.#zones.get(event.entity!)?.grants ?? []
    this.#zones.set(event.entity!, next)
    if (!this.#patterns.has(next.names)) this.#patterns.set(next.names, next.pattern)
    const roles = [...new Set([...before, ...next.grants].map(({ role }) => role))]
    return roles.flatMap((role): Found[] => {
      const [was, is] = [before, next.grants].map((grants) =>
        JSON.stringify(grants.find((one) => one.role === role) ?? null),
      )
      if (was === is) return []
      const grant = next.grants.find((one) => one.role === role)
      return [{ act: 'grant', path: next.pattern, detail: `${role}: ${grant ? grant.can.join(', ') : 'nothing'}` }]
    })
  }

  #role({ entity, clear }: RecordEvent): Found[] {
    if (entity === undefined) return []
    const fields = clear['role'] as { name?: string; add?: readonly string[]; remove?: readonly string[] } | undefined
    if (fields?.name !== undefined) this.#roles.set(entity, fields.name)
    const path = this.#roles.get(entity) ?? ''
    return [
      ...(fields?.add ?? []).map((detail): Found => ({ act: 'join', path, detail })),
      ...(fields?.remove ?? []).map((detail): Found => ({ act: 'leave', path, detail })),
    ]
  }

  #gone({ op, type, entity }: RecordEvent): Found[] {
    if (op !== 'delete' || entity === undefined || !this.#ours.has(entity)) return []
    if (type === 'vault.wrap') return [{ act: 'unwrap' }]
    if (type !== 'vault.value') return []
    const value = this.#values.get(entity)
    if (!value) return [{ act: 'destroy' }]
    const stands = this.#records.get(value.path)?.versions.find(({ n }) => n === value.n)
    return stands && stands.value !== entity ? [] : [{ act: 'destroy', path: value.path, version: value.n }]
  }
}

/** What one state of a record says that the one before did not. */
function changes(before: SecretRecord | undefined, next: SecretRecord): Found[] {
  const found: Found[] = []
  let moved = false
  for (const version of next.versions) {
    const was = before?.versions.find(({ n }) => n === version.n)
    const { n } = version
    if (!was) found.push({ act: next.kind === 'transit' ? 'rotate' : 'put', version: n })
    else {
      if (was.value !== version.value) moved = true
      if (was.deleted === undefined && version.deleted !== undefined) found.push({ act: 'delete', version: n })
      if (was.deleted !== undefined && version.deleted === undefined) found.push({ act: 'restore', version: n })
      if (was.expires !== version.expires) found.push({ act: 'renew', version: n })
    }
  }
  if (moved) found.push({ act: 'move' })
  if (before && JSON.stringify(before.meta ?? {}) !== JSON.stringify(next.meta ?? {})) found.push({ act: 'annotate' })
  if (before && (before.oldest ?? 1) !== (next.oldest ?? 1)) found.push({ act: 'retire', version: next.oldest ?? 1 })
  return found
}

/** Undefined for what this session cannot open, or what compaction has dropped, or what has no shape that is known. */
async function opened<T>(open: () => Promise<{ readonly value: T }>): Promise<T | undefined> {
  try {
    return (await open()).value
  } catch (error) {
    if (isAteError(error) && ['NO_READ_KEY', 'LOCKED', 'BODY_DROPPED', 'BAD_VALUE'].includes(error.code))
      return undefined
    throw error
  }
}
