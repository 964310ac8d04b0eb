/** Names of collections and types as small numbers; 0 is the empty name. */
import { assert } from '../base/errors.ts'

export class Names {
  readonly #texts: string[] = ['']
  readonly #numbers = new Map<string, number>([['', 0]])
  #last = ''
  #lastNumber = 0
  #other = ''
  #otherNumber = 0

  /** The number of a name, made when it is new. */
  obtain(text: string): number {
    if (text === this.#last) return this.#lastNumber
    if (text === this.#other) return this.#otherNumber
    let number = this.#numbers.get(text)
    if (number === undefined) {
      number = this.#texts.length
      this.#texts.push(text)
      this.#numbers.set(text, number)
    }
    this.#other = this.#last
    this.#otherNumber = this.#lastNumber
    this.#last = text
    this.#lastNumber = number
    return number
  }

  get size(): number {
    return this.#texts.length
  }

  /** Takes back the newest name. */
  drop(number: number): void {
    assert(number === this.#texts.length - 1 && number > 0, 'only the newest can be taken back')
    this.#numbers.delete(this.#texts.pop()!)
    this.#last = this.#other = ''
    this.#lastNumber = this.#otherNumber = 0
  }

  find(text: string): number | undefined {
    return this.#numbers.get(text)
  }

  /** All of them by number; the first is the empty name. */
  get texts(): readonly string[] {
    return this.#texts
  }

  text(number: number): string {
    return this.#texts[number]!
  }
}
