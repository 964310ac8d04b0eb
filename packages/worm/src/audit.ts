/**
 * What was done to the objects of an archive, from the signed records of the log: who, when, what, and what was refused. It
 * reads the log, so no list that somebody keeps can leave anything out.
 */
import { type ChainRecord, type EntityType, isAteError, type RecordEvent, type RecordTransaction } from '@ate/core'
import type { CallOptions, Context } from './context.ts'
import { dateOf, parseManifest } from './manifest.ts'
import { IN, NameType, type NoteRecord, NoteType, ObjectType } from './worm-records.ts'
import { checkOptionalText, checkSeq } from './worm-rules.ts'

/** `delete`: an object whose time was over went without the kit. `refused`: the chain's rules did not let it happen. */
export type Act = 'put' | NoteRecord['act'] | 'delete' | 'refused'

export interface AuditEvent {
  readonly seq: number
  /** When the record was given its place. */
  readonly at: Date
  /** Fingerprint of who signed it. */
  readonly by: string
  readonly act: Act
  /** The name is empty where this session cannot read it, or compaction has dropped it. */
  readonly ref: { readonly name: string; readonly version: string }
  readonly reason?: string
  readonly matter?: string
  readonly until?: Date
  readonly mode?: string
  /** Of a put and a disposal: of the body. */
  readonly digest?: string
  readonly size?: bigint
  /** Of a disposal before its time, under governance. */
  readonly bypass?: boolean
  /** Of what was refused: the code, and what was asked for. */
  readonly code?: string
  readonly asked?: string
}

export interface AuditQuery {
  readonly name?: string
  readonly version?: string
  /** Seq of the first record that is told of. */
  readonly from?: number
}

export async function* audit(
  context: Context,
  query: AuditQuery,
  options: CallOptions,
): AsyncGenerator<AuditEvent, void, void> {
  for (const option of ['name', 'version'] as const) checkOptionalText(option, query[option])
  if (query.from !== undefined) checkSeq('from', query.from)
  const archive = await context.archive(options.signal)
  if (archive === undefined) return
  const reader = new AuditReader(archive)
  for await (const record of context.chain.records(options)) {
    for (const event of await reader.read(record)) if (suits(event, query)) yield event
  }
}

function suits({ seq, ref }: AuditEvent, { name, version, from = 0 }: AuditQuery): boolean {
  return seq >= from && (name === undefined || ref.name === name) && (version === undefined || ref.version === version)
}

type Told = Omit<AuditEvent, 'seq' | 'at' | 'by'>

class AuditReader {
  readonly #archive: string
  readonly #names = new Map<string, string>()
  /** Name of each object, by version. */
  readonly #objects = new Map<string, string>()
  /** What stands below an object, by the object. */
  readonly #parts = new Map<string, string>()

  constructor(archive: string) {
    this.#archive = archive
  }

  async read(record: ChainRecord): Promise<AuditEvent[]> {
    const told: Told[] = []
    for (const transaction of record.transactions) {
      if (transaction.refusal) told.push(...this.#refused(transaction))
      else told.push(...(await this.#committed(transaction)))
    }
    const { seq, admittedAt, author = '' } = record
    return told.map((one) => ({ seq, at: new Date(admittedAt), by: author, ...one }))
  }

  async #committed({ events }: RecordTransaction): Promise<Told[]> {
    const told: Told[] = []
    for (const event of events) {
      const { op, entity, parent, collection, type } = event
      if (entity === undefined) continue
      if (op === 'create' && parent === this.#archive && collection === IN.names)
        this.#names.set(entity, (await opened(event, NameType))?.name ?? '')
      else if (op === 'create' && parent !== undefined && this.#names.has(parent) && collection === IN.versions)
        this.#objects.set(entity, this.#names.get(parent)!)
      else if (op === 'create' && parent !== undefined && this.#objects.has(parent)) this.#parts.set(entity, parent)
      else if (op === 'create' && parent === this.#archive && type === NoteType.name)
        told.push(...(await noteOf(event)))
      if (op === 'retain' && event.clear['digest'] !== undefined && this.#objects.has(entity))
        told.push(await this.#put(event, events))
    }
    const noted = new Set(told.map(({ ref }) => ref.version))
    for (const { op, entity } of events)
      if (op === 'delete' && entity !== undefined && this.#objects.has(entity) && !noted.has(entity))
        told.push({ act: 'delete', ref: this.#ref(entity) })
    return told
  }

  async #put(lock: RecordEvent, events: readonly RecordEvent[]): Promise<Told> {
    const entity = lock.entity!
    const written = events.find((event) => event.entity === entity && event.sealedBytes !== undefined)
    const text = written && (await opened(written, ObjectType))?.manifest
    const { retain, lock: mode } = lock.clear
    const kept = {
      ...(typeof retain === 'number' ? { until: dateOf(retain) } : {}),
      ...(typeof mode === 'string' ? { mode } : {}),
    }
    if (text === undefined) return { act: 'put', ref: this.#ref(entity), ...kept }
    try {
      const { name, sha256, size } = parseManifest(text)
      return { act: 'put', ref: { name, version: entity }, ...kept, digest: sha256, size: BigInt(size) }
    } catch {
      // A writer has locked what is no manifest: that he did is told.
      return { act: 'put', ref: this.#ref(entity), ...kept }
    }
  }

  /** What a forger had to sign to try, he has signed. */
  #refused({ refusal, events }: RecordTransaction): Told[] {
    const told = new Map<string, Told>()
    for (const { op, entity } of events) {
      const object = entity === undefined ? undefined : this.#objects.has(entity) ? entity : this.#parts.get(entity)
      if (object === undefined || told.has(object)) continue
      told.set(object, { act: 'refused', ref: this.#ref(object), code: refusal!.code, asked: op })
    }
    return [...told.values()]
  }

  #ref(version: string): AuditEvent['ref'] {
    return { name: this.#objects.get(version) ?? '', version }
  }
}

async function noteOf(event: RecordEvent): Promise<Told[]> {
  const note = await opened(event, NoteType)
  if (!note) return []
  const { act, name, version, reason, matter, until, mode, sha256, size, bypass } = note
  return [
    {
      act,
      ref: { name, version },
      ...(reason === undefined ? {} : { reason }),
      ...(matter === undefined ? {} : { matter }),
      ...(until === undefined ? {} : { until: dateOf(until) }),
      ...(mode === undefined ? {} : { mode }),
      ...(sha256 === undefined ? {} : { digest: sha256 }),
      ...(size === undefined ? {} : { size: BigInt(size) }),
      ...(bypass === undefined ? {} : { bypass }),
    },
  ]
}

/** Undefined for what this session cannot open, or what compaction has dropped, or what has no shape that is known. */
async function opened<T>(event: RecordEvent, type: EntityType<T>): Promise<T | undefined> {
  if (event.sealedBytes === undefined) return undefined
  try {
    return (await event.open(type)).value
  } catch (error) {
    if (isAteError(error) && ['NO_READ_KEY', 'LOCKED', 'BODY_DROPPED', 'BAD_VALUE'].includes(error.code))
      return undefined
    throw error
  }
}
