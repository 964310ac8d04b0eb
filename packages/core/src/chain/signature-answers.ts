/**
 * Answers about signatures that were asked for before the fold came to them, and those that this process has made itself.
 *
 * Invariant: an answer counts only for the verifier (one object, so one session key), the message and the signature that
 * were asked about, byte by byte. What does not match, or has no answer yet, is worked out in place: a wrong guess costs
 * time, and never changes a decision.
 */
import { equalBytes, toBinaryText } from '../base/bytes.ts'
import type { Verifier } from '../crypto/provider.ts'

/** Commits of this process that are on their way: a refused one never comes back. */
const OWN_MAX = 4096

interface Answer {
  readonly verifier: Verifier
  readonly message: Uint8Array
  readonly signature: Uint8Array
  readonly done: Promise<void>
  isValid: boolean | undefined
}

export class SignatureAnswers {
  /** By seq of the record. */
  readonly #answers = new Map<number, Answer>()
  /** Signatures that were made here, by what they sign: the hash of a commit, which names the certificate of its key. */
  readonly #own = new Map<string, Uint8Array>()

  /** The signature was made here, under the certificate that the commit names. */
  made(message: Uint8Array, signature: Uint8Array): void {
    if (this.#own.size >= OWN_MAX) this.#own.delete(this.#own.keys().next().value!)
    this.#own.set(toBinaryText(message), signature)
  }

  /** Settles when the answer for a record is there; undefined if nobody asked. Never rejects. */
  done(seq: number): Promise<void> | undefined {
    return this.#answers.get(seq)?.done
  }

  /** Asks, if the verifier can answer beside this thread. The bytes must stay as they are. */
  ask(seq: number, verifier: Verifier, message: Uint8Array, signature: Uint8Array): void {
    if (this.#isOwn(message, signature)) return
    const asked = verifier.verifyLater?.(message, signature)
    if (!asked) return
    const done = asked.then(
      (isValid) => {
        answer.isValid = isValid
      },
      // No answer: the fold works it out in place.
      () => undefined,
    )
    const answer: Answer = { verifier, message, signature, done, isValid: undefined }
    this.#answers.set(seq, answer)
  }

  /** Whether the signature of a record is valid. An answer is taken once. */
  verify(seq: number, verifier: Verifier, message: Uint8Array, signature: Uint8Array): boolean {
    const answer = this.#answers.get(seq)
    this.#answers.delete(seq)
    if (answer?.isValid !== undefined && fits(answer, verifier, message, signature)) return answer.isValid
    if (this.#isOwn(message, signature)) {
      this.#own.delete(toBinaryText(message))
      return true
    }
    return verifier.verify(message, signature)
  }

  #isOwn(message: Uint8Array, signature: Uint8Array): boolean {
    if (this.#own.size === 0) return false
    const own = this.#own.get(toBinaryText(message))
    return own !== undefined && equalBytes(own, signature)
  }

  clear(): void {
    this.#answers.clear()
  }
}

function fits(answer: Answer, verifier: Verifier, message: Uint8Array, signature: Uint8Array): boolean {
  return answer.verifier === verifier && equalBytes(answer.message, message) && equalBytes(answer.signature, signature)
}
