/** Who wrote a transaction, when, and after what: all that a decision depends on besides the state. */
import type { CryptoProvider } from '../crypto/provider.ts'

export interface Judge {
  readonly crypto: CryptoProvider
  readonly chainId: Uint8Array
  /** The fingerprint of the key that wrote it, as bytes and one byte a character: ids of entities follow from it. */
  readonly keyBytes: Uint8Array
  readonly key: string
  /** Whom policies name: the key's person, or the key itself. */
  readonly identity: string
  /** Chain time by which the record is judged, in ms. */
  readonly time: number
  /** Seq of the record that is judged, and of the one that its author had seen. */
  readonly seq: number
  readonly baseSeq: number
}
