/**
 * SHA-256 in one other thread, of memory that it shares with this one: nothing is copied on the way there and back. WebCrypto copies
 * what it is given into new memory, which takes the main thread as long as half of the hash.
 *
 * - It begins when so much was asked for that it pays: until then, and wherever threads are not allowed, there is no answer.
 * - It is used once it has hashed a text right. What it owes when it ends, or fails, is hashed in this thread.
 * - It keeps this process alive only while somebody waits for it.
 * - For many small slices nobody waits: a message a slice would cost more than its hash. They are written to shared memory, and
 *   who comes to a slice before the thread does hashes it himself (decision 0099).
 */
import { hash } from 'node:crypto'
import * as threads from 'node:worker_threads'
import { equalBytes } from '../base/bytes.ts'
import type { SliceHashes } from '../crypto/provider.ts'

/** Bytes that are hashed in other ways first: a thread takes some 20 ms of processor to begin, and 10 MB of memory. */
const BEGIN_BYTES: number = 8 * 1024 * 1024
/** What the call of a hash costs, in bytes that could be hashed meanwhile. */
const SLICE_COST_BYTES = 256
/** Lists of slices that the thread has not done yet: who leaves slices out would run away from it. */
const LISTS_MAX = 2

const PROGRAM = `const { parentPort } = require('node:worker_threads')
const { createHash, hash } = require('node:crypto')
parentPort.on('message', ({ id, buffer, at, size, slices }) => {
  const data = new Uint8Array(buffer, at, size)
  if (slices) hashSlices(data, slices)
  else parentPort.postMessage({ id, hash: createHash('sha256').update(data).digest() })
})
function hashSlices(data, { ends, hashes, done }) {
  let from = 0
  for (let i = 0; i < ends.length; i++) {
    const text = hash('sha256', data.subarray(from, ends[i]), 'binary')
    for (let k = 0; k < 32; k++) hashes[32 * i + k] = text.charCodeAt(k)
    Atomics.store(done, 0, i + 1)
    from = ends[i]
  }
}`

/** Of a Worker, what is used here. */
export interface Thread {
  postMessage(message: unknown): void
  on(event: 'message', listener: (answer: Answer) => void): unknown
  on(event: 'error' | 'exit', listener: () => void): unknown
  ref(): void
  unref(): void
}

interface Answer {
  readonly id: number
  readonly hash: Uint8Array
}

interface Job {
  readonly data: Uint8Array
  readonly resolve: (hash: Uint8Array) => void
}

export class HashThread {
  readonly #begin: () => Thread
  readonly #beginBytes: number
  #askedBytes = 0
  #state: 'none' | 'beginning' | 'ready' | 'gone' = 'none'
  #thread: Thread | undefined
  readonly #jobs = new Map<number, Job>()
  #lastId = 0
  readonly #lists: List[] = []

  constructor(begin: () => Thread = beginWorker, beginBytes: number = BEGIN_BYTES) {
    this.#begin = begin
    this.#beginBytes = beginBytes
  }

  /** Undefined while there is no thread. `data` is shared memory, and stays as it is until the answer. */
  hash(data: Uint8Array): Promise<Uint8Array> | undefined {
    return this.#isReadyFor(data.length) ? this.#ask(data) : undefined
  }

  /** The slices of `data` that end at `ends`, one behind the other. As `hash`; undefined, too, while it is behind. */
  slices(data: Uint8Array, ends: readonly number[]): SliceHashes | undefined {
    if (!this.#isReadyFor(data.length + SLICE_COST_BYTES * ends.length)) return undefined
    while (this.#lists[0]?.isDone()) this.#lists.shift()
    if (this.#lists.length >= LISTS_MAX) return undefined
    const list = new List(ends)
    this.#lists.push(list)
    const { hashes, done } = list
    const slices = { ends: Int32Array.from(ends), hashes, done }
    this.#thread!.postMessage({ buffer: data.buffer, at: data.byteOffset, size: data.length, slices })
    return list
  }

  #isReadyFor(bytes: number): boolean {
    if (this.#state === 'ready') return true
    this.#askedBytes += bytes
    if (this.#state === 'none' && this.#askedBytes >= this.#beginBytes) this.#start()
    return false
  }

  #start(): void {
    this.#state = 'beginning'
    try {
      this.#thread = this.#begin()
    } catch {
      // Not allowed here, or no more threads: it goes on as before.
      this.#state = 'gone'
      return
    }
    this.#thread.on('message', ({ id, hash: answer }) => this.#take(id)?.resolve(answer))
    this.#thread.on('error', () => this.#end())
    this.#thread.on('exit', () => this.#end())
    void this.#prove()
    this.#thread.unref()
  }

  async #prove(): Promise<void> {
    const data = new Uint8Array(new SharedArrayBuffer(100)).fill(7)
    const answer = await this.#ask(data)
    if (this.#state === 'beginning') this.#state = equalBytes(answer, sha256(data)) ? 'ready' : 'gone'
  }

  #ask(data: Uint8Array): Promise<Uint8Array> {
    return new Promise((resolve) => {
      if (this.#jobs.size === 0) this.#thread!.ref()
      this.#jobs.set(++this.#lastId, { data, resolve })
      this.#thread!.postMessage({ id: this.#lastId, buffer: data.buffer, at: data.byteOffset, size: data.length })
    })
  }

  #take(id: number): Job | undefined {
    const job = this.#jobs.get(id)
    this.#jobs.delete(id)
    if (this.#jobs.size === 0) this.#thread!.unref()
    return job
  }

  #end(): void {
    this.#state = 'gone'
    for (const [id, { data, resolve }] of this.#jobs) {
      this.#jobs.delete(id)
      resolve(sha256(data))
    }
  }
}

class List implements SliceHashes {
  readonly hashes: Uint8Array
  readonly done: Int32Array
  readonly #size: number

  constructor({ length }: readonly number[]) {
    const memory = new SharedArrayBuffer(4 + 32 * length)
    this.done = new Int32Array(memory, 0, 1)
    this.hashes = new Uint8Array(memory, 4)
    this.#size = length
  }

  /** The hashes before it are written: the store that is seen here came after them. */
  count(): number {
    return Atomics.load(this.done, 0)
  }

  isDone(): boolean {
    return this.count() === this.#size
  }
}

function beginWorker(): Thread {
  // Options of this process may say that text is a module, or load programs that are none of the thread's business.
  const resourceLimits = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 1, stackSizeMb: 1 }
  return new threads.Worker(PROGRAM, { eval: true, execArgv: [], env: {}, name: 'ate hashes', resourceLimits })
}

function sha256(data: Uint8Array): Uint8Array {
  return new Uint8Array(hash('sha256', data, 'buffer'))
}
