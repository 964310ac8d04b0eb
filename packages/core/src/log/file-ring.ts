/**
 * The key ring on a file system: wrapped keys that can be destroyed. Short ones stand in slots (ring-slots.ts), others in
 * files of their own (ring-files.ts), and so do those that replace one that does: if a name has both, its file counts.
 *
 * A writer finishes at open what a crash interrupted, so no wrapped bytes are left anywhere without a purpose.
 */
import { fromHex, toHex } from '../base/bytes.ts'
import { checkKey } from './batch.ts'
import type { KeyRing, LogProblem, RingEntry } from './engine.ts'
import { diskError } from './file-errors.ts'
import { makeSyncedFolder } from './file-repair.ts'
import {
  eraseKeyFile,
  filedNames,
  finishKeyFiles,
  keyFileProblems,
  putKeyFiles,
  readKeyFile,
  ringPath,
} from './ring-files.ts'
import { RING, type RingHost } from './ring-host.ts'
import { SLOT_KEY_BYTES_MAX } from './ring-key.ts'
import { RingSlots } from './ring-slots.ts'

export class FileRing implements KeyRing {
  readonly #host: RingHost
  readonly #slots: RingSlots
  /** Changes run one after the other: of two syncs of one file at a time, one might miss what went wrong. */
  #turn: Promise<unknown> = Promise.resolve()
  /** Changes that run or wait. */
  #changes = 0
  /** Of a writer: names of keys that have files, in hexadecimal. */
  readonly #filed: Set<string>
  #isMade = false

  private constructor(host: RingHost, slots: RingSlots, filed: Set<string>) {
    this.#host = host
    this.#slots = slots
    this.#filed = filed
  }

  static forReading(host: RingHost): FileRing {
    return new FileRing(host, new RingSlots(host, 'read'), new Set())
  }

  /** Only under the lock. */
  static forWriting(host: RingHost): FileRing {
    finishKeyFiles(host)
    const slots = new RingSlots(host, 'write')
    const filed = filedNames(host.fs)
    slots.finish((name) => filed.has(toHex(name)))
    return new FileRing(host, slots, filed)
  }

  put(name: Uint8Array, wrapped: Uint8Array): Promise<void> {
    return this.putAll([{ name, wrapped }])
  }

  async putAll(entries: readonly RingEntry[], caller: 'waits' | 'works' = 'waits'): Promise<void> {
    for (const { name, wrapped } of entries) checkKey(name, wrapped)
    const [first] = entries
    if (!first) return
    await this.#change(first.name, async () => {
      const last = new Map(entries.map((entry) => [toHex(entry.name), entry]))
      const long: RingEntry[] = []
      const short: RingEntry[] = []
      for (const [name, entry] of last) {
        if (entry.wrapped.length > SLOT_KEY_BYTES_MAX || this.#filed.has(name)) long.push(entry)
        else short.push(entry)
      }
      if (!this.#isMade) makeSyncedFolder(this.#host.fs, RING)
      this.#isMade = true
      if (short.length > 0) {
        this.#host.announceSlots?.()
        await this.#slots.put(short, caller)
      }
      if (long.length === 0) return
      for (const { name } of long) this.#filed.add(toHex(name))
      putKeyFiles(this.#host, long)
      for (const { name } of long) this.#slots.erase(name)
    })
  }

  async get(name: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#run('read', name, () => this.#slots.get(name) ?? readKeyFile(this.#host, name))
  }

  erase(name: Uint8Array): Promise<void> {
    return this.#change(name, async () => {
      this.#slots.erase(name)
      if (!this.#filed.has(toHex(name))) return
      eraseKeyFile(this.#host, name)
      this.#filed.delete(toHex(name))
    })
  }

  async *names(): AsyncGenerator<Uint8Array> {
    const names = this.#run('read', undefined, () => {
      const filed = filedNames(this.#host.fs)
      return [
        ...this.#slots.names().filter((name) => !filed.has(toHex(name))),
        ...[...filed].map((name) => fromHex(name)!),
      ]
    })
    yield* names
  }

  /** Places of damaged keys of which not even the name is left, as of the last list of names. */
  get unnamed(): readonly string[] {
    return this.#slots.unnamed
  }

  /** After the change that runs. */
  async close(): Promise<void> {
    await this.#turn
    this.#slots.close()
  }

  /** With no other change before it it begins on the spot: the disk has work while the caller has. */
  #change(name: Uint8Array, work: () => Promise<void>): Promise<void> {
    const change = async (): Promise<void> => {
      try {
        this.#host.check('write')
        await work()
      } catch (error) {
        throw diskError(error, { file: ringPath(name) })
      } finally {
        this.#changes--
      }
    }
    this.#changes++
    const told = this.#changes === 1 ? change() : this.#turn.then(change)
    this.#turn = told.catch(() => undefined)
    return told
  }

  #run<T>(purpose: 'read', name: Uint8Array | undefined, work: () => T): T {
    this.#host.check(purpose)
    try {
      return work()
    } catch (error) {
      throw diskError(error, { file: name ? ringPath(name) : RING })
    }
  }
}

/** Keys that are not whole. */
export function scrubRing(host: RingHost): LogProblem[] {
  return [...keyFileProblems(host), ...RingSlots.problems(host)]
}
