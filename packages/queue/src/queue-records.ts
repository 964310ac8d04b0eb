/**
 * What a queue stores, all below one named entity of the chain:
 *
 * - a job in `jobs`, named if it was given an id. It is written when it is added, when an attempt ends, and when a step or
 *   progress is recorded; not when it is leased.
 * - its options (one child): what is the same for all who use it.
 * - the lane (one child): who claims raises its number, so that claims of all processes come one after the other.
 * - a session in `sessions` for each handle that works: the leases it holds. Its pulse, which has a ttl, is renewed, and
 *   nobody takes the session over before it has expired. Its fence, which never changes, is what every end of a job
 *   guards: who takes a session over deletes its fence, and with it all that the session might still want to commit.
 * - `uniques` and `repeats` by their key.
 */
import { AteError, defineType, type EntityType, isAteError } from '@ate/core'
import {
  isJobValue,
  isLaneValue,
  isOptionsValue,
  isRepeatValue,
  isSessionValue,
  isUniqueValue,
} from './stored-shapes.ts'

export type Ending = 'done' | 'dead' | 'cancelled'

export interface JobValue {
  readonly data: unknown
  /** Chain time of the add, Unix ms. */
  readonly added: number
  /** Set once it has ended, and what follows from it. */
  readonly end?: Ending
  readonly ended?: number
  readonly result?: unknown
  /** Chain time before which it does not start; `wait` says why, a date if left out. */
  readonly at?: number
  readonly wait?: 'retry' | 'snooze'
  readonly priority?: number
  readonly group?: string
  readonly unique?: string
  /** Entities of the jobs that have to be done first. */
  readonly after?: readonly string[]
  /** Some of them are jobs of other queues, or may be. */
  readonly foreign?: true
  readonly onParentFail?: 'run'
  /** Counts what ends a lease without ending the job: a lease of an older turn is void. */
  readonly turn?: number
  readonly fails?: number
  readonly errors?: readonly string[]
  readonly steps?: readonly StoredStep[]
  readonly progress?: unknown
}

/** Its name, and what it gave unless that was undefined. */
export type StoredStep = readonly [name: string, result?: unknown]

/** Starts that still count for a limit: the limit's number, the group or null, and pairs of time and count. */
export type StartsRecord = readonly [number, string | null, ...number[]]

export interface LaneValue {
  /** Rises with each claim, and by more where a session begins: the fence of the leases of the last one. */
  readonly claims: number
  /** Sessions that may hold leases. */
  readonly sessions: readonly string[]
  readonly paused?: true
  readonly starts?: readonly StartsRecord[]
  /** The limits that `starts` counts by their numbers; where older programs wrote it, those of the options. */
  readonly limits?: readonly StoredLimit[]
}

export interface SessionValue {
  /** Records of leases: see encodeLeases. */
  readonly leases: Uint8Array
  readonly fence: string
  readonly pulse: string
}

export interface LeaseRecord {
  readonly job: string
  readonly turn: number
  readonly fence: number
}

export interface UniqueValue {
  readonly job: string
  readonly until?: number
  /** The one that waits behind the active one. */
  readonly next?: string
}

export interface RepeatValue {
  readonly cron?: string
  readonly tz?: string
  readonly everyMs?: number
  readonly missed: 'skip' | 'once' | 'all'
  readonly data: unknown
  readonly priority?: number
  readonly group?: string
  /** Chain time of the tick to come. */
  readonly next: number
  readonly last?: number
}

/** The options that are the same everywhere; functions are told by a word. */
export interface StoredOptions {
  readonly retryMax?: number
  readonly backoffMs?: number | 'function'
  readonly leaseMs?: number
  readonly timeoutMs?: number
  readonly groups?: 'function'
  readonly limits?: readonly StoredLimit[]
  readonly keepDoneMs?: number
  readonly keepDoneCount?: number
  readonly keepDeadMs?: number
  readonly keepDeadCount?: number
}

export interface StoredLimit {
  readonly active?: number
  readonly starts?: number
  readonly everyMs?: number
  readonly per: 'queue' | 'group'
}

export const QueueRecord: EntityType<Record<string, never>> = defineType('queue')
export const OptionsRecord: EntityType<StoredOptions> = defineType('queue.options', { shape: isOptionsValue })
export const JobRecord: EntityType<JobValue> = defineType('queue.job', { shape: isJobValue })
/** The same, unchecked: for who reads all of them, and looks himself. */
export const AnyJobRecord: EntityType<unknown> = defineType('queue.job')
export const LaneRecord: EntityType<LaneValue> = defineType('queue.lane', { shape: isLaneValue })
export const SessionRecord: EntityType<SessionValue> = defineType('queue.session', { shape: isSessionValue })
export const FenceRecord: EntityType<Record<string, never>> = defineType('queue.fence')
export const PulseRecord: EntityType<Record<string, never>> = defineType('queue.pulse')
export const UniqueRecord: EntityType<UniqueValue> = defineType('queue.unique', { shape: isUniqueValue })
export const RepeatRecord: EntityType<RepeatValue> = defineType('queue.repeat', { shape: isRepeatValue })

export const IN = {
  options: 'options',
  lane: 'lane',
  fences: 'fences',
  pulses: 'pulses',
  queues: 'queues',
  jobs: 'jobs',
  sessions: 'sessions',
  uniques: 'uniques',
  repeats: 'repeats',
} as const

/** What somebody wrote that is no value of its type, or names what is of another, is as what is not there: the others go on. */
export async function unlessBad<T>(reading: Promise<T | undefined>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (isBad(error)) return undefined
    throw error
  }
}

function isBad(error: unknown): boolean {
  return isAteError(error) && BAD.has(error.code)
}

const BAD: ReadonlySet<string> = new Set(['BAD_VALUE', 'WRONG_TYPE', 'BAD_ID'])

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const ID_LENGTH = 26
const VALUE_OF = new Int8Array(128).fill(-1)
const CODES = new Uint8Array(32)
for (let i = 0; i < 32; i++) {
  CODES[i] = ALPHABET.charCodeAt(i)
  VALUE_OF[CODES[i]!] = i
}

/** An entity's id as four 32-bit words, written to `out` at `at`. @throws AteError BAD_ID */
export function writeId(text: string, out: Uint32Array, at: number): void {
  if (text.length !== ID_LENGTH) throw new AteError('BAD_ID', { kind: 'entity' })
  let word = 0
  let bits = 0
  let next = at
  for (let i = 0; i < ID_LENGTH; i++) {
    const code = text.charCodeAt(i)
    const value = code < 128 ? VALUE_OF[code]! : -1
    if (value < 0) throw new AteError('BAD_ID', { kind: 'entity' })
    bits += 5
    if (bits < 32) {
      word = (word << 5) | value
      continue
    }
    bits -= 32
    out[next++] = (word << (5 - bits)) | (value >>> bits)
    word = value & ((1 << bits) - 1)
  }
  // Unused bits are zero: an id has one text.
  if (word !== 0) throw new AteError('BAD_ID', { kind: 'entity' })
}

const idCodes = new Array<number>(ID_LENGTH).fill(0)

export function readId(words: Uint32Array, at: number): string {
  for (let i = 0, bit = 0; i < ID_LENGTH; i++, bit += 5) {
    const word = words[at + (bit >>> 5)]!
    const offset = bit & 31
    const rest = bit < 96 ? words[at + (bit >>> 5) + 1]! : 0
    const value = offset <= 27 ? word >>> (27 - offset) : (word << (offset - 27)) | (rest >>> (59 - offset))
    idCodes[i] = CODES[value & 31]!
  }
  return String.fromCharCode(...idCodes)
}

/** Bytes of a lease in a session: the job's id (16), its turn (u32) and the fence (f64), both big-endian. */
const LEASE_BYTES = 28
const words = new Uint32Array(4)

export function encodeLeases(leases: readonly LeaseRecord[]): Uint8Array {
  const bytes = new Uint8Array(leases.length * LEASE_BYTES)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < leases.length; i++) {
    const { job, turn, fence } = leases[i]!
    writeId(job, words, 0)
    for (let j = 0; j < 4; j++) view.setUint32(i * LEASE_BYTES + 4 * j, words[j]!)
    view.setUint32(i * LEASE_BYTES + 16, turn)
    view.setFloat64(i * LEASE_BYTES + 20, fence)
  }
  return bytes
}

export function decodeLeases(bytes: Uint8Array): LeaseRecord[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const leases: LeaseRecord[] = []
  for (let at = 0; at + LEASE_BYTES <= bytes.length; at += LEASE_BYTES) {
    for (let j = 0; j < 4; j++) words[j] = view.getUint32(at + 4 * j)
    leases.push({ job: readId(words, 0), turn: view.getUint32(at + 16), fence: view.getFloat64(at + 20) })
  }
  return leases
}
