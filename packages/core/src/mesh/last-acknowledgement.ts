/**
 * What a server signed last of a chain: evidence, should it ever say otherwise. A signature takes longer to check than a
 * record, and who waits for the record waits for nothing else: so it is kept first, and verified when there is time.
 */
import { equalBytes, toBase64 } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import type { AcknowledgementPart } from '../chain/signed-parts.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { verifyAcknowledgement } from '../event/acknowledgement.ts'
import type { EstablishedServer } from '../session/tickets.ts'

/** An acknowledgement as it came, and whose it is: made text of only where somebody wants it. */
interface Said {
  readonly bytes: Uint8Array
  readonly delegation: Uint8Array
  readonly keys: Uint8Array
}

export class LastAcknowledgement {
  readonly #crypto: CryptoProvider
  #verified: Said | undefined
  /** What came before it and was not verified says less. */
  #unverified: { readonly bytes: Uint8Array; readonly server: EstablishedServer } | undefined

  constructor(crypto: CryptoProvider) {
    this.#crypto = crypto
  }

  /** `bytes` are given away. */
  keep(bytes: Uint8Array, server: EstablishedServer): void {
    this.#unverified = { bytes, server }
  }

  get isUnverified(): boolean {
    return this.#unverified !== undefined
  }

  /**
   * Signed by the server, whatever becomes of it: so what it says of `chain` has to be what it sent.
   * @throws AteError BAD_ACKNOWLEDGEMENT
   */
  verify(chain: Uint8Array): void {
    if (!this.#unverified) return
    const { bytes, server } = this.#unverified
    const said = verifyAcknowledgement(this.#crypto, bytes, server.delegation)
    if (!equalBytes(said.chain, chain)) throw new AteError('BAD_ACKNOWLEDGEMENT', { what: 'of another chain' })
    this.#verified = { bytes, delegation: server.delegationBytes, keys: server.identity.keys }
    this.#unverified = undefined
  }

  /** The last one that was verified. */
  get part(): AcknowledgementPart | undefined {
    if (!this.#verified) return undefined
    const { bytes, delegation, keys } = this.#verified
    return { acknowledgement: toBase64(bytes), delegation: toBase64(delegation), keys: toBase64(keys) }
  }

  /** Gives what takes back all that has come since. */
  mark(): () => void {
    const verified = this.#verified
    return () => {
      this.#verified = verified
      this.#unverified = undefined
    }
  }
}
