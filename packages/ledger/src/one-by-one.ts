/**
 * What comes in batches, one by one: an async generator costs three turns of the queue of promises for each, and this one none
 * of its own for what has come.
 */
export class OneByOne<T> implements AsyncGenerator<T, void, void> {
  readonly #batches: AsyncGenerator<readonly T[], void, void>
  #batch: readonly T[] = []
  #taken = 0
  /** Resolves when the call that came last, and all before it, have their answers; undefined if none waits. */
  #turn: Promise<void> | undefined

  constructor(batches: AsyncGenerator<readonly T[], void, void>) {
    this.#batches = batches
  }

  next(): Promise<IteratorResult<T, void>> {
    if (this.#turn || this.#taken === this.#batch.length) return this.#inTurn(() => this.#more())
    return Promise.resolve({ value: this.#batch[this.#taken++]!, done: false })
  }

  return(): Promise<IteratorResult<T, void>> {
    return this.#inTurn(() => {
      this.#leave()
      return this.#batches.return() as Promise<IteratorReturnResult<void>>
    })
  }

  throw(error: unknown): Promise<IteratorResult<T, void>> {
    return this.#inTurn(() => {
      this.#leave()
      return this.#batches.throw(error) as Promise<IteratorReturnResult<void>>
    })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  async #more(): Promise<IteratorResult<T, void>> {
    while (this.#taken === this.#batch.length) {
      const { value, done } = await this.#batches.next()
      if (done) return { value: undefined, done }
      this.#batch = value as readonly T[]
      this.#taken = 0
    }
    return { value: this.#batch[this.#taken++]!, done: false }
  }

  #leave(): void {
    this.#batch = []
    this.#taken = 0
  }

  async #inTurn(run: () => Promise<IteratorResult<T, void>>): Promise<IteratorResult<T, void>> {
    const before = this.#turn
    let over = (): void => undefined
    const turn = new Promise<void>((resolve) => {
      over = resolve
    })
    this.#turn = turn
    try {
      await before
      return await run()
    } finally {
      if (this.#turn === turn) this.#turn = undefined
      over()
    }
  }
}
