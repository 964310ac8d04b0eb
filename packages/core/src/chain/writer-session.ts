/**
 * The certificate that this process writes under. A device keeps it and takes it up again, so that a short program does
 * not add 7 kB to the chain each time; it stands in a place that one process at a time has (writer-places.ts).
 */
import { toBinaryText, wipe } from '../base/bytes.ts'
import { type Environment, randomBytes } from '../base/environment.ts'
import { assert } from '../base/errors.ts'
import { CERTIFICATE_MS } from '../base/limits.ts'
import { decodeCanonical, encodeCanonical } from '../codec/cbor.ts'
import type { CryptoProvider, Signer } from '../crypto/provider.ts'
import { type CertificateBody, makeCertificate } from '../event/certificate.ts'
import type { Identity } from '../session/identity.ts'
import type { StateStore } from '../session/state-store.ts'
import type { Certificate } from '../trust/trust-state.ts'
import type { Replica } from './replica.ts'
import type { WriterPlace } from './writer-places.ts'

/** A certificate this close to its end is replaced by a successor. */
const RENEW_BEFORE_MS = 3_600_000

export interface WriterParts {
  readonly crypto: CryptoProvider
  readonly environment: Environment
  readonly identity: Identity
  readonly replica: Replica
  readonly state: StateStore | undefined
  /** Where the certificate is kept, taken over; undefined keeps none. */
  readonly place: WriterPlace | undefined
  /** How much shorter than it may be a certificate lives: by so much this clock may be ahead of who orders the records. */
  readonly aheadMs?: number
}

/** The certificate in use: `fresh` until its first commit is acknowledged, which carries it. */
export interface CurrentCertificate {
  readonly certificate: Certificate
  readonly signer: Signer
  readonly fresh: { readonly bytes: Uint8Array; readonly body: CertificateBody } | undefined
}

export class WriterSession {
  readonly #parts: WriterParts
  #seed: Uint8Array | undefined
  /** Ordered, and not kept yet. */
  #isNew = false
  #current: CurrentCertificate | undefined

  private constructor(parts: WriterParts) {
    this.#parts = parts
  }

  /** Takes up the certificate that is kept in the place if it has not ended. */
  static async open(parts: WriterParts): Promise<WriterSession> {
    const session = new WriterSession(parts)
    try {
      await session.#takeUp()
    } catch (error) {
      await session.close()
      throw error
    }
    return session
  }

  /** The certificate to write under, as renew() has left it. */
  get current(): CurrentCertificate {
    assert(this.#current, 'a certificate is taken before a commit is built')
    return this.#current
  }

  /** Makes a new certificate if there is none, it has ended, or it ends soon after chain time `time`. */
  renew(time: number): void {
    const current = this.#current
    if (current && !current.certificate.ended && isGood(current, time)) return
    this.#current = this.#make(time, current)
  }

  /** The certificate to write under, if one was taken. */
  get taken(): CurrentCertificate | undefined {
    return this.#current
  }

  /** More can be written under the certificate at chain time `time`. */
  isGood(time: number): boolean {
    return this.#current !== undefined && !this.#current.certificate.ended && isGood(this.#current, time)
  }

  /** As acknowledged, before anybody has ordered anything: what was signed under it will be sent by the next process. */
  async keepEarly(): Promise<void> {
    this.#isNew = true
    await this.acknowledged()
  }

  /** The certificate that rides in a commit of this device's outbox, which the chain does not have yet. */
  async takeUpFresh(bytes: Uint8Array): Promise<void> {
    const { crypto, replica, state, place, identity } = this.#parts
    if (this.#current || !place || !state) return
    const stored = await state.get(place.certificate)
    if (!stored) return
    const { certificate: id, seed } = decodeCanonical(stored) as { certificate: Uint8Array; seed: Uint8Array }
    wipe(stored)
    const { certificate, body } = replica.readCertificate(bytes)
    const mine = certificate.identity === toBinaryText(identity.fingerprintBytes)
    if (!mine || toBinaryText(certificate.id) !== toBinaryText(id)) return
    this.#seed = seed
    this.#current = { certificate, signer: crypto.ed25519Signer(seed), fresh: { bytes, body } }
  }

  /** Nothing that was signed under it counts, or nobody says how much of it does: the next is no successor. */
  forget(): void {
    this.#current = undefined
  }

  /** Its first commit is ordered: from here on the chain counts its numbers. */
  ordered(): void {
    const current = this.#current
    if (!current?.fresh) return
    const stored = this.#parts.replica.trust.certificates.get(toBinaryText(current.certificate.id))
    this.#current = { certificate: stored ?? current.certificate, signer: current.signer, fresh: undefined }
    this.#isNew = true
  }

  /** What was ordered is acknowledged: this device keeps the certificate. */
  async acknowledged(): Promise<void> {
    const { state, place } = this.#parts
    const current = this.#current
    if (!this.#isNew || !current) return
    this.#isNew = false
    if (!place || !state || !this.#seed) return
    const bytes = encodeCanonical({ certificate: current.certificate.id, seed: this.#seed })
    await state.put(place.certificate, bytes)
    wipe(bytes)
  }

  async close(): Promise<void> {
    if (this.#seed) wipe(this.#seed)
    this.#seed = undefined
    await this.#parts.place?.release()
  }

  async #takeUp(): Promise<void> {
    const { crypto, replica, state, place, identity } = this.#parts
    if (!place || !state) return
    const stored = await state.get(place.certificate)
    if (!stored) return
    const { certificate: id, seed } = decodeCanonical(stored) as { certificate: Uint8Array; seed: Uint8Array }
    wipe(stored)
    const certificate = replica.trust.certificates.get(toBinaryText(id))
    const mine = certificate?.identity === toBinaryText(identity.fingerprintBytes)
    // A chain that was rolled back, or another one: the certificate is not there, and a new one is made.
    if (!certificate || !mine || certificate.ended) return
    this.#seed = seed
    this.#current = { certificate, signer: crypto.ed25519Signer(seed), fresh: undefined }
  }

  #make(time: number, before: CurrentCertificate | undefined): CurrentCertificate {
    const { crypto, environment, identity, replica } = this.#parts
    const known = replica.trust.keysOf(toBinaryText(identity.fingerprintBytes)) !== undefined
    const seed = randomBytes(environment.random, 32)
    const signer = crypto.ed25519Signer(seed)
    if (this.#seed) wipe(this.#seed)
    this.#seed = seed
    const body: CertificateBody = {
      chain: replica.chainId,
      identity: identity.fingerprintBytes,
      session: signer.publicKey,
      until: time + CERTIFICATE_MS - (this.#parts.aheadMs ?? 0),
      ...(known ? {} : { keys: identity.keys }),
      ...(before && !before.fresh ? { after: before.certificate.id } : {}),
    }
    const { id, bytes } = makeCertificate(crypto, body, (message) => identity.sign(message, 'certificate'))
    const certificate: Certificate = {
      id,
      identityBytes: identity.fingerprintBytes,
      identity: toBinaryText(identity.fingerprintBytes),
      keys: identity.keys,
      session: signer.publicKey,
      verifier: crypto.ed25519Verifier(signer.publicKey),
      until: body.until,
      mark: 0,
      ended: false,
      unattested: [],
    }
    return { certificate, signer, fresh: { bytes, body } }
  }
}

/** One whose first commit failed may have been made under a clock that has gone back since: its life would be too long. */
function isGood({ certificate: { until }, fresh }: CurrentCertificate, time: number): boolean {
  return time + RENEW_BEFORE_MS < until && !(fresh && until > time + CERTIFICATE_MS)
}
