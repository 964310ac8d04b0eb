/**
 * What each identity has on a server: how many chains, and how many bytes of log. A chain belongs to the first root of its
 * genesis, who alone can have made it, whoever writes in it later; so the count can be made anew from the chains alone.
 *
 * Bytes that are being stored count from when they are submitted: what many writers send at once fits as a whole, or not.
 */
import { AteError } from '../base/errors.ts'
import type { Fingerprint } from '../base/ids.ts'
import { QUOTA_SLACK_BYTES } from '../base/limits.ts'
import type { Entry, EntryAnswer } from '../chain/sequencer.ts'
import { commitHoldsValues } from '../event/commit-parse.ts'
import { KIND } from '../event/format.ts'

export interface Owned {
  readonly chains: number
  /** Bytes of their logs, with those that are just being stored. */
  readonly storedBytes: number
}

/** One chain. */
interface Holding {
  readonly owner: Fingerprint | undefined
  bytes: number
}

const NOTHING: Owned = { chains: 0, storedBytes: 0 }

export class Holdings {
  readonly #chains = new Map<string, Holding>()
  readonly #owners = new Map<Fingerprint, { chains: number; storedBytes: number }>()
  #bytes = 0

  /** Chains that are counted, of all identities. */
  get chains(): number {
    return this.#chains.size
  }

  get storedBytes(): number {
    return this.#bytes
  }

  of(owner: Fingerprint): Owned {
    return this.#owners.get(owner) ?? NOTHING
  }

  /** The chain of this name is there, or is to be; undefined for an owner who cannot be told. Counted once, as it was told last. */
  set(name: string, owner: Fingerprint | undefined, bytes: number): void {
    this.remove(name)
    this.#chains.set(name, { owner, bytes: 0 })
    if (owner !== undefined) {
      const owned = this.#owners.get(owner) ?? { chains: 0, storedBytes: 0 }
      owned.chains++
      this.#owners.set(owner, owned)
    }
    this.grow(name, bytes)
  }

  /** By so many bytes, or by as many less. */
  grow(name: string, bytes: number): void {
    const holding = this.#chains.get(name)
    if (!holding) return
    holding.bytes += bytes
    this.#bytes += bytes
    const owned = holding.owner === undefined ? undefined : this.#owners.get(holding.owner)
    if (owned) owned.storedBytes += bytes
  }

  remove(name: string): void {
    const holding = this.#chains.get(name)
    if (!holding) return
    this.grow(name, -holding.bytes)
    this.#chains.delete(name)
    const { owner } = holding
    const owned = owner === undefined ? undefined : this.#owners.get(owner)
    if (owner === undefined || !owned) return
    owned.chains--
    if (owned.chains === 0) this.#owners.delete(owner)
  }
}

export interface ChainQuotaParts {
  readonly holdings: Holdings
  readonly name: string
  readonly owner: Fingerprint
  /** Bytes of the log now. */
  readonly sizeBytes: () => number
  /** What the chains of one identity may hold together. */
  readonly storedBytesMax: number
}

/** The part of one open chain in what its owner holds. */
export class ChainQuota {
  readonly #parts: ChainQuotaParts
  /** Of the log, as it was counted last. */
  #counted: number

  constructor(parts: ChainQuotaParts) {
    this.#parts = parts
    const { holdings, name, owner, sizeBytes } = parts
    this.#counted = sizeBytes()
    holdings.set(name, owner, this.#counted)
  }

  /** The log was written, or compacted. */
  measure(): void {
    const { holdings, name, sizeBytes } = this.#parts
    const now = sizeBytes()
    holdings.grow(name, now - this.#counted)
    this.#counted = now
  }

  /**
   * Submits `entries` by `submit`; those that do not fit any more are refused in their places. What holds no values (what
   * is deleted, attestations, the empty commit that takes a refused one's number) has some room beyond.
   */
  async submit(
    entries: readonly Entry[],
    submit: (entries: readonly Entry[]) => Promise<readonly EntryAnswer[]>,
  ): Promise<readonly EntryAnswer[]> {
    const { holdings, name, owner, storedBytesMax: max } = this.#parts
    this.measure()
    const before = holdings.of(owner).storedBytes
    let bytes = 0
    const fitting = entries.map((entry) => {
      const after = before + bytes + sizeOf(entry)
      if (after > max && (after > max + QUOTA_SLACK_BYTES || holdsValues(entry))) return refusing(entry, max)
      bytes += sizeOf(entry)
      return entry
    })
    holdings.grow(name, bytes)
    try {
      return await submit(fitting)
    } finally {
      holdings.grow(name, -bytes)
      this.measure()
    }
  }
}

function sizeOf({ payload }: Entry): number {
  return typeof payload === 'function' ? 0 : payload.length
}

function holdsValues({ kind, payload }: Entry): boolean {
  return kind === KIND.commit && typeof payload !== 'function' && commitHoldsValues(payload)
}

/** Judged in its place, like any other: those behind it keep theirs. */
function refusing({ kind }: Entry, max: number): Entry {
  return {
    kind,
    payload: () => {
      throw new AteError('QUOTA_EXCEEDED', { what: 'stored-bytes', max })
    },
  }
}
