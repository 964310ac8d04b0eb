/**
 * Hashes of large bodies that other threads work out before the fold comes to their records.
 *
 * Invariant: an answer counts only for the bytes that were asked about: the same view of them, which whoever gave it leaves as it
 * is until its record is judged. What has no answer is hashed in place: a wrong guess costs time, and never changes a decision.
 */
import { hashBodies } from '#large'
import type { CryptoProvider } from '../crypto/provider.ts'
import type { HashedBody } from '../event/commit-bodies.ts'
import type { LogRecord } from '../log/engine.ts'

interface Answer {
  readonly bytes: Uint8Array
  readonly done: Promise<void>
  bodies: readonly HashedBody[] | undefined
}

export class BodyAnswers {
  /** By seq of the record. */
  readonly #answers = new Map<number, Answer>()

  ask(crypto: CryptoProvider, { seq, bytes }: LogRecord): void {
    if (this.#answers.get(seq)?.bytes === bytes) return
    const asked = hashBodies(crypto, bytes)
    if (!asked) return
    const done = asked.then(
      (bodies) => {
        answer.bodies = bodies
      },
      // No answer: the fold works it out in place.
      () => undefined,
    )
    const answer: Answer = { bytes, done, bodies: undefined }
    this.#answers.set(seq, answer)
  }

  /** Settles when the answer for a record is there; undefined if nobody asked. Never rejects. */
  done(seq: number): Promise<void> | undefined {
    return this.#answers.get(seq)?.done
  }

  /** What is known of the bodies of a record. An answer is taken once. */
  take({ seq, bytes }: LogRecord): readonly HashedBody[] | undefined {
    const answer = this.#answers.get(seq)
    if (!answer) return undefined
    this.#answers.delete(seq)
    return answer.bytes === bytes ? answer.bodies : undefined
  }

  clear(): void {
    this.#answers.clear()
  }
}
