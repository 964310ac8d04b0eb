/**
 * What the fold knows of identities, roles, certificates and epochs. Only the fold writes it, through its journal.
 */
import type { Verifier } from '../crypto/provider.ts'
import { sameEntity, wordsOf } from '../event/entity-words.ts'
import type { EpochFields } from '../event/rare-fields.ts'
import { type PolicyList, type Role, withoutDropped } from './policy.ts'

/** One generation of a node's read key. */
export interface Epoch {
  readonly number: number
  readonly fields: EpochFields
  /** Order of this epoch among the generations of roles: an epoch older than a new one of its readers is stale. */
  readonly tick: number
}

export interface Certificate {
  /** 32 bytes: its name in commits and attestations. */
  readonly id: Uint8Array
  /** Fingerprint of the identity that signed it, and the same with one byte a character. */
  readonly identityBytes: Uint8Array
  readonly identity: string
  /** The identity's public keys. */
  readonly keys: Uint8Array
  readonly verifier: Verifier
  /** Chain time in ms up to which its commits count. */
  readonly until: number
  /** The highest writer number that was judged. */
  mark: number
  ended: boolean
  /** Commits that no attestation covers yet, in the order of their numbers. */
  readonly unattested: UnattestedCommit[]
}

export interface UnattestedCommit {
  readonly writerSeq: number
  readonly seq: number
  readonly hash: Uint8Array
}

export class TrustState {
  /** Public keys (3200 bytes) by fingerprint, one byte a character. */
  readonly identities: Map<string, Uint8Array> = new Map()
  /** By entity id, `a,b,c,d`. */
  readonly roles: Map<string, Role> = new Map()
  /** By certificate id, one byte a character. */
  readonly certificates: Map<string, Certificate> = new Map()
  /** Identities that wrote under a certificate, those included whom nobody has named. */
  readonly writers: Set<string> = new Set()
  /** By row of the node, oldest first. */
  readonly epochs: Map<number, Epoch[]> = new Map()
  /** Counts generations of roles and epochs, to tell which came first. */
  tick = 0
  level = 1
  sequencers: 'writers' | readonly string[] = 'writers'
  checkpointKeys: readonly Uint8Array[] = []

  newestEpoch(node: number): Epoch | undefined {
    const list = this.epochs.get(node)
    return list?.[list.length - 1]
  }
}

/** True if a role of `readers` got a new key after the epoch was made: a member left, or came where history is live. */
export function isStale(epoch: Epoch, readers: PolicyList): boolean {
  if (typeof readers === 'string') return false
  for (let i = 0; i < readers.length; i++) {
    const { role } = readers[i]!
    if (role && role.rotatedAt > epoch.tick) return true
  }
  return false
}

/** Who `wraps` must be for: each role of the list at its newest generation, and each identity, once. */
export function wrapsFit(fields: EpochFields, readers: PolicyList): boolean {
  if (readers === 'everyone') return fields.published !== undefined && fields.wraps.length === 0
  if (readers === 'nobody') return false
  const entries = withoutDropped(readers)
  if (fields.published !== undefined || fields.wraps.length !== entries.length) return false
  // Both ways: beside a reader who is named twice there would be room for a wrap to somebody else.
  return (
    entries.every((entry) => fields.wraps.some((wrap) => isFor(wrap, entry))) &&
    fields.wraps.every((wrap) => entries.some((entry) => isFor(wrap, entry)))
  )
}

function isFor(wrap: EpochFields['wraps'][number], entry: Exclude<PolicyList, string>[number]): boolean {
  if (!entry.role) return wrap.to.length === 32 && sameText(wrap.to, entry.identity)
  const { id, generations } = entry.role
  const { to } = wrap
  if (to.length !== 16 || wrap.generation !== generations[generations.length - 1]!.number) return false
  return sameEntity(wordsOf(to), id)
}

function sameText(bytes: Uint8Array, text: string): boolean {
  if (bytes.length !== text.length) return false
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== text.charCodeAt(i)) return false
  return true
}
