/** A value that was read. It shows itself only to who asks for `value`: everything else says `[redacted]`. */
import { vaultError } from './errors.ts'

const REDACTED = '[redacted]'

/** Disposing it wipes bytes, and lets text go; JavaScript cannot wipe text. */
export class Revealed<T> implements Disposable {
  #value: T | undefined
  #state: 'open' | 'disposed' = 'open'
  readonly #version: number
  readonly #path: string

  /** @internal */
  constructor(value: T, version: number, path: string) {
    this.#value = value
    this.#version = version
    this.#path = path
  }

  /** @throws AteError SECRET_DISPOSED */
  get value(): T {
    if (this.#state === 'disposed') throw vaultError('SECRET_DISPOSED', { path: this.#path, version: this.#version })
    return this.#value as T
  }

  get version(): number {
    return this.#version
  }

  [Symbol.dispose](): void {
    if (this.#value instanceof Uint8Array) this.#value.fill(0)
    this.#value = undefined
    this.#state = 'disposed'
  }

  toString(): string {
    return REDACTED
  }

  toJSON(): string {
    return REDACTED
  }

  [Symbol.toPrimitive](): string {
    return REDACTED
  }

  static {
    Object.defineProperty(Revealed.prototype, Symbol.for('nodejs.util.inspect.custom'), { value: () => REDACTED })
  }
}
