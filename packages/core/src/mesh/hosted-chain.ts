/**
 * A chain that a server has open: its sequencer, the newest records in memory for those who keep up, and who follows it.
 * Others are read from the log, so a reader who is slow costs the server nothing.
 */
import type { AteError } from '../base/errors.ts'
import { RECENT_BYTES_MAX } from '../base/limits.ts'
import {
  type Entry,
  type EntryAnswer,
  type Origin,
  Sequencer,
  type SequencerParts,
  type StoredGroup,
} from '../chain/sequencer.ts'
import type { Signer } from '../crypto/provider.ts'
import { encodeAcknowledgement } from '../event/acknowledgement.ts'
import type { Durability, LogRecord } from '../log/engine.ts'

export interface RecentRecord {
  readonly record: LogRecord
  readonly origin: Origin
  readonly level: Durability
}

/** Who is told when there is something to read. */
export interface Follower {
  /** Records were stored; `acknowledgement` is of the newest. */
  stored(acknowledgement: Uint8Array): void
  /** The log has failed: the chain is closed, and opened again for who asks. */
  failed(error: AteError): void
}

export class HostedChain {
  readonly name: string
  readonly sequencer: Sequencer
  readonly followers: Set<Follower> = new Set()
  readonly #signer: Signer
  readonly #now: () => number
  /** Without gaps up to the newest that is stored. */
  readonly #recent: RecentRecord[] = []
  #recentBytes = 0
  #acknowledgement: { readonly seq: number; readonly bytes: Uint8Array } | undefined

  constructor(name: string, parts: SequencerParts & { readonly signer: Signer }) {
    this.name = name
    this.sequencer = new Sequencer(parts)
    this.#signer = parts.signer
    this.#now = () => parts.clock.now()
    this.sequencer.listeners.add((group) => this.#stored(group))
    this.sequencer.failures.add((error) => {
      for (const follower of [...this.followers]) follower.failed(error)
    })
  }

  /** Signed anew for each head, once: the server says again what it has said. */
  acknowledgement(): Uint8Array {
    const { seq, hash } = this.sequencer.head
    if (this.#acknowledgement?.seq !== seq) {
      const { replica, engine } = this.sequencer
      const body = { chain: replica.chainId, seq, hash, level: engine.durability, at: this.#now() }
      this.#acknowledgement = { seq, bytes: encodeAcknowledgement(replica.crypto, body, this.#signer) }
    }
    return this.#acknowledgement.bytes
  }

  /** A stored record that is in memory still. */
  recent(seq: number): RecentRecord | undefined {
    const first = this.#recent[0]?.record.seq
    return first === undefined ? undefined : this.#recent[seq - first]
  }

  submit(entries: readonly Entry[], by: object): Promise<readonly EntryAnswer[]> {
    return this.sequencer.submit(entries, by)
  }

  async close(): Promise<void> {
    await this.sequencer.settled()
    await this.sequencer.engine.close()
  }

  #stored({ records, origins, durability: level }: StoredGroup): void {
    records.forEach((record, i) => {
      this.#recent.push({ record, origin: origins[i]!, level })
      this.#recentBytes += record.bytes.length
    })
    let drop = 0
    while (this.#recentBytes > RECENT_BYTES_MAX && drop < this.#recent.length - 1)
      this.#recentBytes -= this.#recent[drop++]!.record.bytes.length
    if (drop > 0) this.#recent.splice(0, drop)
    const acknowledgement = this.acknowledgement()
    for (const follower of this.followers) follower.stored(acknowledgement)
  }
}
