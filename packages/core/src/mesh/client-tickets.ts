/**
 * What this process may show servers in the place of asking for their signature: some tickets of each, the newest first. They
 * are never written down, and each goes out with the handshake that it is for.
 */
import { toBinaryText, wipe } from '../base/bytes.ts'
import { TICKET_MS, TICKETS_OF_SERVER_MAX } from '../base/limits.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import type { MadeConnection, Ticket, Tickets } from '../session/tickets.ts'
import { ticketOf } from './handshake-keys.ts'

/** Servers, by their URL and fingerprint; each connection after the first of a server takes what one before it has left. */
const SERVERS_MAX = 64

export class ClientTickets implements Tickets {
  readonly #crypto: CryptoProvider
  readonly #kept = new Map<string, Ticket[]>()

  constructor(crypto: CryptoProvider) {
    this.#crypto = crypto
  }

  take(url: string, fingerprint: Uint8Array, now: number): Ticket | undefined {
    const tickets = this.#kept.get(placeOf(url, fingerprint)) ?? []
    for (let ticket = tickets.pop(); ticket; ticket = tickets.pop()) {
      // A clock that goes back makes none of them younger than it is.
      if (now < ticket.until && now >= ticket.until - TICKET_MS) return ticket
      wipe(ticket.secret)
    }
    return undefined
  }

  keep(url: string, { exporter, server, by }: MadeConnection, now: number): void {
    const standing =
      by instanceof Uint8Array
        ? { said: this.#crypto.sha256(by), until: now + TICKET_MS }
        : { said: by.said, until: by.until }
    const place = placeOf(url, server.identity.fingerprintBytes)
    const tickets = this.#kept.get(place) ?? []
    this.#kept.delete(place)
    if (this.#kept.size >= SERVERS_MAX) this.#forget(this.#kept.keys().next().value!)
    this.#kept.set(place, tickets)
    tickets.push({ ...ticketOf(this.#crypto, exporter), ...standing, server })
    if (tickets.length > TICKETS_OF_SERVER_MAX) wipe(tickets.shift()!.secret)
  }

  #forget(place: string): void {
    for (const { secret } of this.#kept.get(place)!) wipe(secret)
    this.#kept.delete(place)
  }
}

function placeOf(url: string, fingerprint: Uint8Array): string {
  return `${url} ${toBinaryText(fingerprint)}`
}
