/**
 * SHA-256 in one other thread, of memory that it shares with this one: nothing is copied on the way there and back. WebCrypto copies
 * what it is given into new memory, which takes the main thread as long as half of the hash.
 *
 * - It begins when so much was asked for that it pays: until then, and wherever threads are not allowed, there is no answer.
 * - It is used once it has hashed a text right. What it owes when it ends, or fails, is hashed in this thread.
 * - It keeps this process alive only while somebody waits for it.
 */
import { hash } from 'node:crypto'
import * as threads from 'node:worker_threads'
import { equalBytes } from '../base/bytes.ts'

/** Bytes that are hashed in other ways first: a thread takes some 20 ms of processor to begin, and 10 MB of memory. */
const BEGIN_BYTES: number = 8 * 1024 * 1024

const PROGRAM = `const { parentPort } = require('node:worker_threads')
const { createHash } = require('node:crypto')
parentPort.on('message', ({ id, buffer, at, size }) => {
  parentPort.postMessage({ id, hash: createHash('sha256').update(new Uint8Array(buffer, at, size)).digest() })
})`

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

  constructor(begin: () => Thread = beginWorker, beginBytes: number = BEGIN_BYTES) {
    this.#begin = begin
    this.#beginBytes = beginBytes
  }

  /** Undefined while there is no thread. `data` is shared memory, and stays as it is until the answer. */
  hash(data: Uint8Array): Promise<Uint8Array> | undefined {
    if (this.#state === 'ready') return this.#ask(data)
    this.#askedBytes += data.length
    if (this.#state === 'none' && this.#askedBytes >= this.#beginBytes) this.#start()
    return undefined
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

function beginWorker(): Thread {
  // Options of this process may say that text is a module, or load programs that are none of the thread's business.
  const resourceLimits = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 1, stackSizeMb: 1 }
  return new threads.Worker(PROGRAM, { eval: true, execArgv: [], env: {}, name: 'ate hashes', resourceLimits })
}

function sha256(data: Uint8Array): Uint8Array {
  return new Uint8Array(hash('sha256', data, 'buffer'))
}
