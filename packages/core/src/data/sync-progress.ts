/** How far a first sync is: what has come and was verified, and what that says of the rest. */

export interface SyncProgress {
  /** Records that were fetched and verified, and how many there are to fetch. */
  readonly records: number
  readonly recordsTotal: number
  /** Bytes of those records, and what all of them will be if the others are as large on the average. */
  readonly bytes: number
  readonly bytesEstimate: number
  /** Milliseconds until the end, if it goes on as fast. */
  readonly remainingMs: number
}

export class SyncMeter {
  readonly #recordsTotal: number
  readonly #beganMs: number
  #records = 0
  #bytes = 0

  constructor(recordsTotal: number, nowMs: number) {
    this.#recordsTotal = recordsTotal
    this.#beganMs = nowMs
  }

  /** More was verified. */
  add(records: readonly { readonly bytes: Uint8Array }[], nowMs: number): SyncProgress {
    this.#records += records.length
    for (const { bytes } of records) this.#bytes += bytes.length
    // The writer goes on meanwhile: never more than there is.
    const recordsTotal = Math.max(this.#records, this.#recordsTotal)
    const share = recordsTotal / Math.max(1, this.#records)
    return {
      records: this.#records,
      recordsTotal,
      bytes: this.#bytes,
      bytesEstimate: Math.round(this.#bytes * share),
      remainingMs: Math.round((nowMs - this.#beganMs) * (share - 1)),
    }
  }
}
