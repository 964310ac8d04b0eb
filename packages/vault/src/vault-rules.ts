/** What a vault decides, from records and the time alone: paths, patterns, rights, versions. Nothing here reads or writes. */
import { AteError, isWellFormed } from '@ate/core'
import { vaultError } from './errors.ts'
import {
  type Can,
  type Grant,
  OWNERS,
  type SecretRecord,
  type VersionRecord,
  type ZoneRecord,
} from './vault-records.ts'

/** Bytes of a path in UTF-8: it is the name of an entity. */
const PATH_BYTES_MAX = 480
const SEGMENT_CHARACTERS_MAX = 128
/** What most paths look like: without a fault at a glance. */
const PLAIN_PATH = /^[\w-][\w.-]*(?:\/[\w-][\w.-]*)*$/
/** Versions that one secret remembers: the record is written anew with each. */
export const VERSIONS_MAX = 256

export type VersionState = 'live' | 'deleted' | 'destroyed' | 'expired'

/** Several segments between slashes, none of them empty, `.`, `..`, or with characters that mean something elsewhere. @throws AteError BAD_PATH */
export function checkPath(path: unknown): asserts path is string {
  if (typeof path === 'string' && path.length <= SEGMENT_CHARACTERS_MAX && PLAIN_PATH.test(path)) return
  const fault = faultOf(path)
  if (fault)
    throw vaultError('BAD_PATH', { path: typeof path === 'string' ? path.slice(0, 80) : typeof path, what: fault })
}

function faultOf(path: unknown): string | undefined {
  if (typeof path !== 'string' || path === '') return 'a path is text'
  if (new TextEncoder().encode(path).length > PATH_BYTES_MAX) return `longer than ${PATH_BYTES_MAX} bytes`
  if (path !== path.normalize('NFC')) return 'not in the composed form (NFC)'
  for (const segment of path.split('/')) {
    if (segment === '') return 'an empty segment'
    if (segment === '.' || segment === '..') return 'a segment that is . or ..'
    if (segment.length > SEGMENT_CHARACTERS_MAX) return `a segment of more than ${SEGMENT_CHARACTERS_MAX} characters`
    if (segment.trim() !== segment) return 'a segment that begins or ends with a space'
    if (/[*?#\\\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(segment)) return 'a character that paths do not have'
    if (!isWellFormed(segment)) return 'half a character'
  }
  return undefined
}

/** A path, `prefix/**`, or `**`. @throws AteError BAD_PATTERN */
export function checkPattern(pattern: unknown): asserts pattern is string {
  if (pattern === '**') return
  const path = typeof pattern === 'string' && pattern.endsWith('/**') ? pattern.slice(0, -3) : pattern
  const what = faultOf(path)
  if (what)
    throw new AteError('BAD_PATTERN', {
      pattern: typeof pattern === 'string' ? pattern.slice(0, 80) : typeof pattern,
      what,
    })
}

/** The part before `**`, with its slash; a path as it is. */
function prefixOf(pattern: string): string | undefined {
  return pattern.endsWith('**') ? pattern.slice(0, -2) : undefined
}

/** True if the pattern names the path. `prefix/**` is what is below the prefix, not the prefix itself. */
export function matches(pattern: string, path: string): boolean {
  const prefix = prefixOf(pattern)
  return prefix === undefined ? pattern === path : path.length > prefix.length && path.startsWith(prefix)
}

/** True if every path of `inner` is one of `outer`. */
export function covers(outer: string, inner: string): boolean {
  const prefix = prefixOf(inner)
  if (prefix === undefined) return matches(outer, inner)
  const wider = prefixOf(outer)
  return wider !== undefined && prefix.startsWith(wider)
}

/** Paths that lie at or below what a user types: `prod`, `prod/`, `prod/**`, or nothing for all. @throws AteError BAD_PATTERN */
export function selects(prefix: string | undefined): (path: string) => boolean {
  if (prefix === undefined || prefix === '' || prefix === '**') return () => true
  const path = prefix.replace(/\/(\*\*)?$/, '')
  checkPattern(path)
  return (one) => one === path || one.startsWith(`${path}/`)
}

export interface Zone extends ZoneRecord {
  readonly id: string
}

/** Zones that hold a path, the narrowest first: there it is stored; a wider one holds it until it has been moved. */
export function zonesOf<Z extends Pick<Zone, 'pattern'>>(zones: readonly Z[], path: string): Z[] {
  return zones.filter(({ pattern }) => matches(pattern, path)).sort(narrowFirst)
}

function narrowFirst(a: Pick<Zone, 'pattern'>, b: Pick<Zone, 'pattern'>): number {
  const [x, y] = [prefixOf(a.pattern), prefixOf(b.pattern)]
  if (x === undefined || y === undefined) return x === y ? 0 : x === undefined ? -1 : 1
  return y.length - x.length
}

/** The grants that hold at a zone: its own, and those of every zone that covers it. */
export function grantsAt(zones: readonly Zone[], pattern: string): Grant[] {
  return zones.filter((zone) => covers(zone.pattern, pattern)).flatMap(({ grants }) => grants)
}

export function isLapsed(end: number | undefined, now: number): boolean {
  return end !== undefined && end <= now
}

/** Whom the policies of a zone's nodes name: roles, sorted. Owners are in each. */
export interface Access {
  readonly list: readonly string[]
  readonly read: readonly string[]
  readonly write: readonly string[]
  readonly destroy: readonly string[]
  readonly grant: readonly string[]
}

/**
 * Any right brings the names. Who grants reads: he could give himself that, and a new key can be made only by who has the
 * old one.
 */
export function accessOf(grants: readonly Grant[], now: number): Access {
  const living = grants.filter(({ until }) => !isLapsed(until, now))
  const rolesWith = (...any: readonly Can[]): readonly string[] =>
    [
      ...new Set([OWNERS, ...living.filter(({ can }) => can.some((one) => any.includes(one))).map(({ role }) => role)]),
    ].sort()
  return {
    list: rolesWith('list', 'read', 'write', 'destroy', 'grant'),
    read: rolesWith('read', 'grant'),
    write: rolesWith('write'),
    destroy: rolesWith('destroy'),
    grant: rolesWith('grant'),
  }
}

/** True if somebody may write and not destroy: then values carry a policy of their own. */
export function needsOwnPolicy({ write, destroy }: Access): boolean {
  return write.some((role) => !destroy.includes(role))
}

export function sameRoles(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((role, i) => role === b[i])
}

export function union(a: readonly string[], b: readonly string[]): readonly string[] {
  return [...new Set([...a, ...b])].sort()
}

/** The state of a version; `isThere` says whether its value still stands on the chain. */
export function stateOf(version: VersionRecord, isThere: boolean, now: number): VersionState {
  if (!isThere) return 'destroyed'
  if (version.deleted !== undefined) return 'deleted'
  return isLapsed(version.expires, now) ? 'expired' : 'live'
}

/** @throws AteError CAS_MISMATCH */
export function checkCas(record: SecretRecord | undefined, path: string, cas: number | undefined): void {
  const latest = record?.latest ?? 0
  if (cas !== undefined && cas !== latest) throw new AteError('CAS_MISMATCH', { path, expected: cas, latest })
}

/** @throws AteError NO_VERSION */
export function versionOf(record: SecretRecord, n: number | undefined): VersionRecord {
  const wanted = n ?? record.latest
  const found = record.versions.find((version) => version.n === wanted)
  if (!found) throw vaultError('NO_VERSION', { path: record.path, version: wanted, latest: record.latest })
  return found
}

/** The newest version that was there at a time. */
export function versionAt(record: SecretRecord, at: number): VersionRecord | undefined {
  return record.versions.findLast((version) => version.at <= at)
}

/** @throws AteError VERSION_DELETED | VERSION_DESTROYED | VERSION_EXPIRED */
export function assertReadable(path: string, { n, expires }: VersionRecord, state: VersionState): void {
  if (state === 'deleted') throw vaultError('VERSION_DELETED', { path, version: n })
  if (state === 'destroyed') throw vaultError('VERSION_DESTROYED', { path, version: n })
  if (state === 'expired')
    throw vaultError('VERSION_EXPIRED', { path, version: n, expired: new Date(expires!).toISOString() })
}

/** The record with one more version. Destroyed ones are forgotten to make room. @throws AteError VERSIONS_FULL */
export function withVersion(
  before: Pick<SecretRecord, 'path' | 'kind'> & Partial<SecretRecord>,
  version: VersionRecord,
  isThere: (version: VersionRecord) => boolean,
): SecretRecord {
  let versions = before.versions ?? []
  if (versions.length >= VERSIONS_MAX) versions = versions.filter(isThere)
  if (versions.length >= VERSIONS_MAX) throw vaultError('VERSIONS_FULL', { path: before.path, max: VERSIONS_MAX })
  return { ...before, versions: [...versions, version], latest: version.n }
}
