/**
 * Numbers of channels and sessions of one connection that are lent to others: tabs that speak through it. What they send goes
 * out as it is, and what the server says on their numbers is given to them as it came; nobody in between reads or alters it.
 */
import type { ClientMessage, ServerMessage } from './messages.ts'

/** So many numbers each has, behind those of the connection's owner. */
const LENT: number = 2 ** 20

export interface Borrower {
  /** Messages of the server, one behind the other. The bytes are a copy. */
  given(messages: Uint8Array): void
  /** The connection is gone. */
  lost(): void
}

export class LentNumbers {
  readonly #send: (message: ClientMessage) => void
  /** By the first of their numbers. */
  readonly #borrowers = new Map<number, Borrower>()
  /** Channels of borrowers that the server has opened. */
  readonly #channels = new Set<number>()
  #count = 0

  constructor(send: (message: ClientMessage) => void) {
    this.#send = send
  }

  /** The first of the numbers of a new borrower. */
  lend(borrower: Borrower): number {
    const first = ++this.#count * LENT
    this.#borrowers.set(first, borrower)
    return first
  }

  /** The borrower is gone: its channels are left. */
  takeBack(first: number): void {
    if (!this.#borrowers.delete(first)) return
    for (const channel of this.#channels) if (firstOf(channel) === first) this.#leave(channel)
  }

  /** Whose a message is: undefined if it is the owner's. */
  ownerOf(message: ServerMessage): number | undefined {
    const number = 'channel' in message ? message.channel : 'ref' in message ? message.ref : 0
    if (number < LENT) return undefined
    if (message.type === 'opened') {
      this.#channels.add(number)
      if (!this.#borrowers.has(firstOf(number))) this.#leave(number)
    } else if (message.type === 'closed' || message.type === 'redirect') this.#channels.delete(number)
    return firstOf(number)
  }

  give(owner: number, messages: Uint8Array): void {
    this.#borrowers.get(owner)?.given(messages)
  }

  lost(): void {
    const borrowers = [...this.#borrowers.values()]
    this.#borrowers.clear()
    for (const borrower of borrowers) borrower.lost()
  }

  #leave(channel: number): void {
    this.#channels.delete(channel)
    this.#send({ type: 'leave', channel })
  }
}

function firstOf(number: number): number {
  return number - (number % LENT)
}
