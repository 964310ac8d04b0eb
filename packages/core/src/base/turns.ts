/** Runs tasks one after the other, in the order in which they came. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve()

  run<R>(task: () => Promise<R>): Promise<R> {
    const turn = this.#last.then(task, task)
    // The next one waits for this one, whatever became of it: its own caller hears of the error.
    this.#last = turn.then(
      () => undefined,
      () => undefined,
    )
    return turn
  }
}
