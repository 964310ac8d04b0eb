/** Work for the threads of the platform: so much at once, the rest in order, and no more than a bound that waits. */

export interface JobQueueOptions {
  readonly atOnce: number
  readonly waitingMax: number
}

export class JobQueue {
  readonly #options: JobQueueOptions
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(options: JobQueueOptions) {
    this.#options = options
  }

  /** Undefined if too much waits already. */
  add<T>(job: () => Promise<T>): Promise<T> | undefined {
    const { atOnce, waitingMax } = this.#options
    if (this.#running < atOnce) return this.#run(job)
    if (this.#waiting.length >= waitingMax) return undefined
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => void this.#run(job).then(resolve, reject))
    })
  }

  async #run<T>(job: () => Promise<T>): Promise<T> {
    this.#running++
    try {
      return await job()
    } finally {
      this.#running--
      this.#waiting.shift()?.()
    }
  }
}
