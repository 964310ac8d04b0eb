/**
 * Attestations of this session: when they are due, and their records. A commit is attested at the latest a second or
 * 1,024 commits later, at close, and a crashed predecessor's first thing.
 */
import type { Timers } from '../base/environment.ts'
import { ATTEST_COMMITS_MAX, ATTEST_DELAY_MS } from '../base/limits.ts'
import { treeRoot } from '../crypto/merkle.ts'
import { encodeAttestation } from '../event/attestation.ts'
import type { Identity } from '../session/identity.ts'
import type { Certificate, UnattestedCommit } from '../trust/trust-state.ts'
import type { Replica } from './replica.ts'

/** Commits of one certificate that one attestation covers. */
export interface AttestationRange {
  readonly certificate: Uint8Array
  readonly commits: readonly UnattestedCommit[]
}

export class Attesting {
  readonly #replica: Replica
  readonly #identity: Identity
  readonly #timers: Timers
  readonly #everyCommit: boolean
  /** Own certificates with commits to attest: those of predecessors, and the one in use. */
  readonly #certificates: Set<Certificate>
  readonly #onDue: () => void
  #timer: { cancel(): void } | undefined
  #due: boolean
  #isOver = false

  constructor(
    parts: {
      readonly replica: Replica
      readonly identity: Identity
      readonly keyName: string
      readonly timers: Timers
    },
    options: { readonly pq: 'range' | 'commit' | 'required'; readonly onDue: () => void },
  ) {
    this.#replica = parts.replica
    this.#identity = parts.identity
    this.#timers = parts.timers
    this.#everyCommit = options.pq === 'commit'
    this.#onDue = options.onDue
    const own = [...parts.replica.trust.certificates.values()].filter(({ identity }) => identity === parts.keyName)
    this.#certificates = new Set(own.filter(({ unattested }) => unattested.length > 0))
    // A predecessor that ended without its attestation: ours to make, first thing.
    this.#due = this.#certificates.size > 0
  }

  /** True if a record should be written for an attestation alone. */
  get isDue(): boolean {
    return this.#due
  }

  /** What to attest behind the commits of an append, `fresh` being those, under the certificate in use. */
  ranges(current: Certificate | undefined, fresh: readonly UnattestedCommit[]): AttestationRange[] {
    const waiting = [...this.#certificates].reduce((count, { unattested }) => count + unattested.length, fresh.length)
    if (waiting === 0 || !(this.#due || this.#everyCommit || waiting >= ATTEST_COMMITS_MAX)) return []
    const ranges: AttestationRange[] = []
    const certificates = new Set(this.#certificates)
    if (current && fresh.length > 0) certificates.add(current)
    for (const certificate of certificates) {
      const commits = certificate === current ? [...certificate.unattested, ...fresh] : certificate.unattested
      for (let from = 0; from < commits.length; from += ATTEST_COMMITS_MAX) {
        ranges.push({ certificate: certificate.id, commits: commits.slice(from, from + ATTEST_COMMITS_MAX) })
      }
    }
    return ranges
  }

  /** The payload of an attestation; `by` when this session vouches for another writer. */
  payload({ certificate, commits }: AttestationRange, by?: Uint8Array): Uint8Array {
    const { crypto, chainId, head } = this.#replica
    const hashes = commits.map((commit) => commit.hash)
    const body = {
      chain: chainId,
      certificate,
      from: commits[0]!.writerSeq,
      to: commits[commits.length - 1]!.writerSeq,
      root: treeRoot(crypto, hashes),
      seq: head.seq,
      hash: head.hash,
      ...(by ? { by } : {}),
    }
    return encodeAttestation(crypto, body, (message) => this.#identity.sign(message, 'attestation'))
  }

  /** An append is acknowledged: what it left unattested is due within a second. */
  acknowledged(current: Certificate | undefined): void {
    if (current) this.#certificates.add(current)
    for (const certificate of this.#certificates) {
      if (certificate.unattested.length === 0 && certificate !== current) this.#certificates.delete(certificate)
    }
    this.postpone()
  }

  /** Not now, as when the disk is full; within a second, if something waits. */
  postpone(): void {
    this.#due = false
    if (this.#timer || this.#isOver || !this.#hasWaiting()) return
    this.#timer = this.#timers.start(ATTEST_DELAY_MS, () => {
      this.#timer = undefined
      if (!this.#hasWaiting()) return
      this.#due = true
      this.#onDue()
    })
  }

  /** At close: whatever waits is due now. True if something does. */
  becomeDue(): boolean {
    this.#due = this.#hasWaiting()
    return this.#due
  }

  /** What waited is on its way, or not for us to say: nothing is due before something is acknowledged again. */
  rest(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#due = false
  }

  /** For good. */
  stop(): void {
    this.rest()
    this.#isOver = true
  }

  #hasWaiting(): boolean {
    for (const { unattested } of this.#certificates) if (unattested.length > 0) return true
    return false
  }
}
