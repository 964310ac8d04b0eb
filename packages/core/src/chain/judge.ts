/** Who wrote a transaction, when, and after what: all that a decision depends on besides the state. */
import type { CryptoProvider } from '../crypto/provider.ts'

export interface Judge {
  readonly crypto: CryptoProvider
  readonly chainId: Uint8Array
  /** The author's fingerprint, as bytes and one byte a character. */
  readonly identityBytes: Uint8Array
  readonly identity: string
  /** Chain time by which the record is judged, in ms. */
  readonly time: number
  /** Seq of the record that is judged, and of the one that its author had seen. */
  readonly seq: number
  readonly baseSeq: number
}
