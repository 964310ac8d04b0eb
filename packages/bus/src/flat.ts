/**
 * The items of a generator of batches, one by one, each opened when it is asked for. As an async generator would: calls are
 * answered in their order, and what fails is the last that comes. But that has several promises an item, and this has one.
 */

/** Undefined leaves an item out. */
export type OpenItem<T, E> = (item: T) => E | Promise<E> | undefined

const OVER: IteratorReturnResult<void> = { done: true, value: undefined }

export class Flat<T, E> implements AsyncGenerator<E, void, void> {
  readonly #batches: AsyncGenerator<readonly T[], void, void>
  readonly #open: OpenItem<T, E>
  #batch: readonly T[] = []
  #at = 0
  #isOver = false
  /** Calls that are not answered yet, and the end of the last of them. */
  #calls = 0
  #last: Promise<unknown> = Promise.resolve()

  readonly #leave: () => void

  /** `leave` is told that no more is wanted: a call that waits for batches ends, and need not wait for the next one. */
  constructor(
    batches: AsyncGenerator<readonly T[], void, void>,
    open: OpenItem<T, E>,
    leave: () => void = () => undefined,
  ) {
    this.#batches = batches
    this.#open = open
    this.#leave = leave
  }

  next(): Promise<IteratorResult<E, void>> {
    if (this.#calls > 0) return this.#inTurn(() => this.#step(undefined))
    let opened: E | Promise<E> | undefined
    try {
      opened = this.#take()
    } catch (error) {
      return this.#inTurn(() => this.#step(Promise.reject(error)))
    }
    if (opened === undefined || opened instanceof Promise) return this.#inTurn(() => this.#step(opened))
    return Promise.resolve({ done: false, value: opened })
  }

  return(): Promise<IteratorResult<E, void>> {
    this.#leave()
    return this.#inTurn(async () => {
      await this.#end()
      return OVER
    })
  }

  throw(error: unknown): Promise<IteratorResult<E, void>> {
    this.#leave()
    return this.#inTurn(async () => {
      await this.#end()
      throw error
    })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  /** The next one of this batch. */
  #take(): E | Promise<E> | undefined {
    while (this.#at < this.#batch.length) {
      const opened = this.#open(this.#batch[this.#at++]!)
      if (opened !== undefined) return opened
    }
    return undefined
  }

  async #step(first: E | Promise<E> | undefined): Promise<IteratorResult<E, void>> {
    try {
      let opened = first ?? this.#take()
      while (opened === undefined) {
        if (this.#isOver) return OVER
        const { done, value } = await this.#batches.next()
        if (done) {
          await this.#end()
          return OVER
        }
        this.#batch = value
        this.#at = 0
        opened = this.#take()
      }
      return { done: false, value: await opened }
    } catch (error) {
      await this.#end()
      throw error
    }
  }

  async #end(): Promise<void> {
    this.#isOver = true
    this.#batch = []
    await this.#batches.return()
  }

  #inTurn<V>(run: () => Promise<V>): Promise<V> {
    this.#calls++
    const answer = this.#last.then(run)
    const answered = (): void => {
      this.#calls--
    }
    this.#last = answer.then(answered, answered)
    return answer
  }
}
