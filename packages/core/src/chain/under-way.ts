/**
 * What a chain has sent to the server that orders its records and has not come back yet: commits in the order of their numbers,
 * records that are no commits, and the submissions that they went with.
 */
import { equalBytes } from '../base/bytes.ts'
import type { Other, Sent, Submitted } from './sent.ts'
import type { Batch } from './staged.ts'

export class UnderWay {
  /** In the order of their numbers. */
  readonly sent: Sent[] = []
  readonly others: Other[] = []
  /** By the number of the submission. */
  readonly #submissions = new Map<number, readonly Submitted[]>()
  #submissionCount = 0
  /** Index in `sent` from which on everything is to be sent again. */
  #again: number | undefined

  get isEmpty(): boolean {
    return this.sent.length === 0 && this.others.length === 0
  }

  /** Submissions without an answer. */
  get unanswered(): number {
    return this.#submissions.size
  }

  get isToSendAgain(): boolean {
    return this.#again !== undefined
  }

  /** The server did not take a commit: its number is open, and nothing new is signed behind it. */
  get hasRefused(): boolean {
    return this.sent.some(({ refused }) => refused)
  }

  /** What is seen on top of what has come back. */
  get batches(): readonly Batch[] {
    return this.sent.filter(({ refused }) => !refused).map(({ batch }) => batch)
  }

  isOpen(one: Submitted): boolean {
    return 'entry' in one ? this.others.includes(one) : this.sent.includes(one)
  }

  /** The number of a submission of these. */
  submitted(all: readonly Submitted[]): number {
    const id = ++this.#submissionCount
    this.#submissions.set(id, all)
    for (const one of all) if ('entry' in one && !this.others.includes(one)) this.others.push(one)
    return id
  }

  /** What was submitted with that number, once; undefined of a connection before. */
  answered(id: number): readonly Submitted[] | undefined {
    const submitted = this.#submissions.get(id)
    this.#submissions.delete(id)
    return submitted
  }

  /** Everything from this index on is sent again. */
  sendAgain(from: number): void {
    this.#again = Math.min(this.#again ?? from, from)
  }

  /** What is to be sent again, once. */
  takeAgain(): readonly Sent[] {
    const from = this.#again
    this.#again = undefined
    return from === undefined ? [] : this.sent.slice(from)
  }

  /** Another connection: nobody answers what went over the one before. Records that are no commits may have landed, or not. */
  reconnected(): readonly Other[] {
    this.#submissions.clear()
    if (this.sent.length > 0) this.#again = 0
    return this.others.splice(0)
  }

  /** The number of the oldest commit was taken. */
  shift(): Sent {
    if (this.#again !== undefined) this.#again = Math.max(0, this.#again - 1)
    return this.sent.shift()!
  }

  /** The record that is no commit and has come back, if it is one of these. */
  takeOther(payload: Uint8Array): Other | undefined {
    const index = this.others.findIndex(({ entry }) => equalBytes(entry.payload, payload))
    return index < 0 ? undefined : this.others.splice(index, 1)[0]
  }

  /** All commits: nothing of them is sent any more. */
  takeAll(): readonly Sent[] {
    this.#again = undefined
    return this.sent.splice(0)
  }
}
