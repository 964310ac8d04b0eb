/**
 * What is known of a server by a handshake that it has signed, and what a later handshake may show in the place of another
 * signature (docs/FORMAT.md, section 18.1). A ticket is the secret of two ends, good for one handshake, and names no client: who
 * the identities are is proved on each connection anew.
 */
import type { Delegation } from '../event/acknowledgement.ts'
import type { PublicIdentity } from './identity.ts'

/** Whom a server has shown itself to be. */
export interface PresentedServer {
  readonly identity: PublicIdentity
  /** Fingerprint (32 bytes) of an older identity that has signed that this one follows it. */
  readonly follows: Uint8Array | undefined
}

export interface EstablishedServer extends PresentedServer {
  readonly delegation: Delegation
  readonly delegationBytes: Uint8Array
  readonly limits: ServerLimits
}

/** What a server says of itself: small whole numbers by name, at most 16. */
export type ServerLimits = Readonly<Record<string, number>>

export interface Ticket {
  /** 32 bytes, said in clear. */
  readonly name: Uint8Array
  /** 32 bytes; wiped by who uses it. */
  readonly secret: Uint8Array
  /** SHA-256 of what the server has signed. */
  readonly said: Uint8Array
  readonly server: EstablishedServer
  /** Milliseconds since 1970, by the clock of who keeps it. */
  readonly until: number
}

/** Those of a process. */
export interface Tickets {
  /** One for the server of this fingerprint (32 bytes) at this URL, taken out. */
  take(url: string, fingerprint: Uint8Array, now: number): Ticket | undefined
  /** Of a handshake that has ended well; `used` is what stood for its signature. */
  keep(url: string, made: MadeConnection, now: number): void
}

export interface MadeConnection {
  readonly exporter: Uint8Array
  readonly server: EstablishedServer
  /** What the server has signed, or the ticket that stood for it. */
  readonly by: Uint8Array | Ticket
}
