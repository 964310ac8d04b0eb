/**
 * One log on a simulated disk with a memory of what was promised: records submitted, acknowledged at `os` and at
 * `disk`, keys put and erased. `check` opens the log again and holds it to that.
 */

import { toHex } from '../../src/base/bytes.ts'
import { randomBytes } from '../../src/base/environment.ts'
import { AteError, isAteError, isRefusedWrite } from '../../src/base/errors.ts'
import type { Crc32 } from '../../src/log/crc32.ts'
import type { Durability, LogEngine, LogRecord } from '../../src/log/engine.ts'
import { openFileLog } from '../../src/log/file-engine.ts'
import type { FileSystem } from '../../src/log/file-system.ts'
import { type ManualClock, manualClock } from '../../src/testing/clock.ts'
import { readAll, testBatch } from '../../src/testing/log-suite.ts'
import { type SeededRandom, seededRandom } from '../../src/testing/random.ts'
import { SimFileSystem } from '../../src/testing/sim-file-system.ts'

export interface TrialOptions {
  readonly segmentBytes?: number
  readonly zeroFillBytes?: number
  readonly syncBehindBytes?: number
  /** Mutants: a file system that lies to the engine, another CRC, something that meddles before each open. */
  readonly wrap?: (fs: FileSystem) => FileSystem
  readonly crc32?: Crc32
  readonly beforeOpen?: (fs: SimFileSystem) => void
}

export class Broken extends Error {}

function demand(condition: boolean, what: string): void {
  if (!condition) throw new Broken(what)
}

const GONE = 'gone'

export class Trial {
  readonly fs: SimFileSystem
  submitted: LogRecord[] = []
  /** Records that survive a power cut, and those that survive the process. */
  onDisk = 0
  inCache = 0
  /** Where batches end. */
  ends: Set<number> = new Set([0])
  log: LogEngine | undefined
  readonly #options: TrialOptions
  readonly #random: SeededRandom
  /** Its own stream, so that no record looks like a key. */
  readonly #secrets: SeededRandom
  readonly #clock: ManualClock = manualClock()
  #salt = 0
  /** What `get` may give for a name. */
  readonly #keys = new Map<string, Set<string>>()
  readonly #destroyed: Buffer[] = []
  /** What may stand as the snapshot, in hexadecimal. */
  #snapshots = new Set([GONE])

  constructor(seed: number, options: TrialOptions = {}) {
    this.fs = new SimFileSystem(seed, { folder: 'missing' })
    this.#options = options
    this.#random = seededRandom(seed + 1)
    this.#secrets = seededRandom(-seed)
  }

  async open(readOnly = false, onDamage: 'refuse' | 'keep' = 'refuse'): Promise<LogEngine> {
    const { wrap, beforeOpen, segmentBytes = 5200, zeroFillBytes = 4096, syncBehindBytes, crc32 } = this.#options
    if (!this.fs.isCut) beforeOpen?.(this.fs)
    const fs = wrap ? wrap(this.fs) : this.fs
    const parts = {
      fs,
      random: this.#random,
      clock: this.#clock,
      segmentBytes,
      zeroFillBytes,
      ringSlotsMin: 3,
      ...(syncBehindBytes === undefined ? {} : { syncBehindBytes }),
      ...(crc32 ? { crc32 } : {}),
    }
    const log = await openFileLog(readOnly ? { ...parts, readOnly, onDamage } : { ...parts, create: true })
    if (readOnly) return log
    this.log = log
    // A chain that never began leaves no label behind.
    if (!log.head()) log.setLabel(randomBytes(this.#random, 32))
    return log
  }

  /** Gives false if the disk was full, or no file was to be had, and nothing was kept. */
  async append(sizes: readonly number[], durability: Durability = 'disk'): Promise<boolean> {
    const log = this.log!
    const before = this.submitted.length
    demand((log.head()?.seq ?? -1) === before - 1, `head ${log.head()?.seq} after ${before} records`)
    const batch = testBatch(before, sizes, ++this.#salt)
    this.submitted.push(...batch)
    this.ends.add(this.submitted.length)
    try {
      const reached = await log.append(batch, { after: log.head(), durability, load: 'group' })
      this.inCache = this.submitted.length
      if (reached.durability === 'disk') this.onDisk = this.submitted.length
      return true
    } catch (error) {
      if (!isRefusedWrite(error)) throw error
      this.ends.delete(this.submitted.length)
      this.submitted.length = before
      demand((log.head()?.seq ?? -1) === before - 1, 'head moved though nothing was written')
      return false
    }
  }

  async put(name: number): Promise<void> {
    const wrapped = this.#wrapped()
    const allowed = this.#allowed(name)
    const old = [...allowed]
    allowed.add(toHex(wrapped))
    await this.log!.ring.put(new Uint8Array(32).fill(name), wrapped)
    this.#destroy(old)
    this.#keys.set(String(name), new Set([toHex(wrapped)]))
  }

  async putAll(names: readonly number[]): Promise<void> {
    const old = names.map((name) => [...this.#allowed(name)])
    const entries = names.map((first) => ({
      name: new Uint8Array(32).fill(first),
      wrapped: this.#wrapped(),
    }))
    for (const [i, { wrapped }] of entries.entries()) this.#allowed(names[i]!).add(toHex(wrapped))
    await this.log!.ring.putAll(entries, 'works')
    for (const values of old) this.#destroy(values)
    for (const [i, { wrapped }] of entries.entries()) this.#keys.set(String(names[i]), new Set([toHex(wrapped)]))
  }

  async erase(name: number): Promise<void> {
    const allowed = this.#allowed(name)
    const old = [...allowed]
    allowed.add(GONE)
    await this.log!.ring.erase(new Uint8Array(32).fill(name))
    this.#destroy(old)
    this.#keys.set(String(name), new Set([GONE]))
  }

  /** A snapshot of several parts. Gives the code of the error that stopped it: the log does not mind. */
  async snapshot(size: number): Promise<string> {
    const bytes = randomBytes(this.#random, size)
    const before = [...this.#snapshots]
    this.#snapshots.add(toHex(bytes))
    async function* parts(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < size; at += 1000) yield bytes.subarray(at, at + 1000)
    }
    try {
      await this.log!.snapshot!.write(parts())
      this.#snapshots = new Set([toHex(bytes)])
      return 'written'
    } catch (error) {
      if (!isAteError(error) || this.fs.isCut) throw error
      const found = await this.#storedSnapshot()
      demand([...before, toHex(bytes)].includes(found), 'after an error another snapshot stands there')
      return error.code
    }
  }

  async #storedSnapshot(): Promise<string> {
    const stored = await this.log!.snapshot!.open()
    if (!stored) return GONE
    const bytes = new Uint8Array(stored.sizeBytes)
    await stored.read(bytes, 0)
    stored.close()
    return toHex(bytes)
  }

  async close(): Promise<void> {
    await this.log!.close()
    this.onDisk = Math.max(this.onDisk, this.inCache)
  }

  /** The process dies; what it wrote is in the page cache. */
  async kill(): Promise<void> {
    this.fs.kill()
    await this.log?.close().catch(() => undefined)
  }

  /** Opens and compares; afterwards the log is open, and what was found is what counts. */
  async check(after: 'power cut' | 'kill' | 'close'): Promise<void> {
    const least = after === 'power cut' ? this.onDisk : this.inCache
    const log = await this.open()
    await this.compare(log, least)
    const found = (log.head()?.seq ?? -1) + 1
    for (const [name, allowed] of this.#keys) {
      const key = await log.ring.get(new Uint8Array(32).fill(Number(name)))
      const shown = key ? toHex(key) : GONE
      demand(allowed.has(shown), `key ${name} is ${shown}, not one of ${[...allowed].join(' ')}`)
      this.#destroy([...allowed].filter((value) => value !== shown))
      this.#keys.set(name, new Set([shown]))
    }
    const snapshot = await this.#storedSnapshot()
    demand(this.#snapshots.has(snapshot), 'the snapshot is none that was written')
    this.#snapshots = new Set([snapshot])
    demand(!this.fs.files().includes('SNAPSHOT.new'), 'half a snapshot is left')
    this.submitted.length = found
    for (const end of [...this.ends]) if (end > found) this.ends.delete(end)
    this.onDisk = found
    this.inCache = found
    this.#checkDestroyed()
  }

  async compare(log: LogEngine, least: number): Promise<void> {
    const found = await readAll(log)
    demand(found.length >= least, `${least} records were acknowledged, ${found.length} are there`)
    demand(found.length <= this.submitted.length, `${found.length} records, ${this.submitted.length} submitted`)
    demand(this.ends.has(found.length), `${found.length} records: a part of a batch`)
    demand((log.head()?.seq ?? -1) === found.length - 1, 'head is not the last record')
    for (const [i, record] of found.entries()) {
      const given = this.submitted[i]!
      const isSame =
        record.seq === i &&
        Buffer.compare(record.bytes, given.bytes) === 0 &&
        Buffer.compare(record.hash, given.hash) === 0
      demand(isSame, `record ${i} is not what was submitted`)
    }
  }

  /** Crash, recover twice, append, and once more: nothing that was acknowledged is lost. */
  async powerCutAndCheck(): Promise<void> {
    this.fs.crash()
    await this.log?.close().catch(() => undefined)
    await this.check('power cut')
    const first = this.submitted.length
    this.fs.crash()
    await this.check('power cut')
    demand(this.submitted.length === first, `recovered ${first}, then ${this.submitted.length}`)
    await this.append([10, 600])
    this.fs.crash()
    await this.check('power cut')
    demand((await this.log!.scrub()).length === 0, 'scrub finds a problem')
    await this.close()
    await this.check('close')
    await this.close()
  }

  /** Some are too long for a slot. */
  #wrapped(): Uint8Array {
    return randomBytes(this.#secrets, this.#secrets.oneIn(4) ? 500 : 40)
  }

  #allowed(name: number): Set<string> {
    const allowed = this.#keys.get(String(name)) ?? new Set([GONE])
    this.#keys.set(String(name), allowed)
    return allowed
  }

  #destroy(values: readonly string[]): void {
    for (const value of values) if (value !== GONE) this.#destroyed.push(Buffer.from(value, 'hex').subarray(0, 24))
  }

  #checkDestroyed(): void {
    for (const [name, bytes] of this.fs.durableBytes()) {
      const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
      const isLeft = this.#destroyed.some((secret) => view.includes(secret))
      demand(!isLeft, `bytes of a destroyed key are on the disk, in ${name}`)
    }
  }
}

/** Runs until an error that a fault explains; anything else, and what the checker says, goes through. */
export async function untilFault(run: () => Promise<void>): Promise<void> {
  try {
    await run()
  } catch (error) {
    const isExpected = error instanceof AteError && ['IO_ERROR', 'WRITER_POISONED', 'DISK_FULL'].includes(error.code)
    if (!isExpected) throw error
  }
}
