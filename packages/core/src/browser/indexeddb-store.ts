/**
 * The database of one open log: who may read and write it now, and what it holds as far as this engine knows.
 *
 * Writes are done one after the other. Each looks first whether this is still the newest writer, and changes the records
 * and the state of the log (LogMeta) together. One that fails for want of space leaves all as it was. After any other
 * failure nobody knows what will stand there when it is opened again, so nothing more is written.
 */
import { AteError, isAteError } from '../base/errors.ts'
import type { FileLock } from '../log/file-system.ts'
import { type TransactOptions, transact } from './indexeddb.ts'
import { LOG, type LogMeta, META_KEY, readMeta } from './indexeddb-schema.ts'

/** Changes something in `tx`, and gives the state that the log has then. It awaits nothing else than requests of `tx`. */
export type Change = (tx: IDBTransaction, meta: LogMeta) => Promise<LogMeta>

export class DatabaseStore {
  readonly #db: IDBDatabase
  readonly #lock: FileLock | undefined
  #meta: LogMeta
  #state: 'open' | 'closed' | 'lost' = 'open'
  #failed: 'WRITER_POISONED' | 'WRITER_FENCED' | undefined
  #turn: Promise<unknown> = Promise.resolve()

  constructor(db: IDBDatabase, meta: LogMeta, lock: FileLock | undefined) {
    this.#db = db
    this.#meta = meta
    this.#lock = lock
    // Somebody deletes the database. A reader makes room; beside a writer nobody has the right to.
    db.onversionchange = () => void (this.readOnly && this.close())
    // The browser took it away: the user cleared the data of the site, or its files broke.
    db.onclose = () => {
      if (this.#state === 'open') this.#state = 'lost'
    }
  }

  get name(): string {
    return this.#db.name
  }

  get readOnly(): boolean {
    return this.#lock === undefined
  }

  /** As of the newest write; for a reader, of the last refresh. */
  get meta(): LogMeta {
    return this.#meta
  }

  /** Another page of this origin took the lock by force. */
  fence(): void {
    this.#failed ??= 'WRITER_FENCED'
  }

  /** @throws AteError CHAIN_CLOSED | READ_ONLY | IO_ERROR | WRITER_POISONED | WRITER_FENCED */
  check(purpose: 'read' | 'write'): void {
    if (this.#state === 'closed') throw new AteError('CHAIN_CLOSED')
    if (purpose === 'write' && this.readOnly) throw new AteError('READ_ONLY')
    if (this.#state === 'lost') throw new AteError('IO_ERROR', { database: this.name, reason: 'the browser closed it' })
    if (purpose === 'write' && this.#failed) throw new AteError(this.#failed, { database: this.name })
  }

  read<T>(
    stores: readonly string[],
    body: (tx: IDBTransaction) => Promise<T>,
    stored?: (result: T) => void,
  ): Promise<T> {
    return this.#transact({ stores, mode: 'read', ...(stored ? { stored } : {}) }, body)
  }

  /** What another process has written since. */
  async refresh(): Promise<LogMeta> {
    if (this.readOnly)
      await this.read([LOG], readMeta, (meta) => {
        this.#meta = meta
      })
    return this.#meta
  }

  /** A reader met records of a newer generation than it knew. */
  see(generation: number): void {
    if (generation !== this.#meta.generation) this.#meta = { ...this.#meta, generation }
  }

  /**
   * `stored` runs in the same turn in which the new state counts.
   * @throws AteError DISK_FULL and those of check
   */
  async write(stores: readonly string[], change: Change, stored?: () => void): Promise<void> {
    const own = this.#turn.then(() => this.#writeNow(stores, change, stored))
    this.#turn = own.catch(() => undefined)
    await own
  }

  /** Ends it once what is under way is done; `last` is done before another may write. */
  async close(last?: (name: string) => Promise<void>): Promise<void> {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    await this.#turn
    this.#db.close()
    try {
      await last?.(this.name)
    } finally {
      await this.#lock?.release()
    }
  }

  async #writeNow(stores: readonly string[], change: Change, stored: (() => void) | undefined): Promise<void> {
    this.check('write')
    const see = (meta: LogMeta): void => {
      this.#meta = meta
      stored?.()
    }
    await this.#transact({ stores: [LOG, ...stores], mode: 'write', stored: see }, async (tx) => {
      const { writerEpoch, count } = await readMeta(tx)
      if (writerEpoch !== this.#meta.writerEpoch || count !== this.#meta.count) {
        this.fence()
        throw new AteError('WRITER_FENCED', { database: this.name })
      }
      const after = await change(tx, this.#meta)
      if (after !== this.#meta) tx.objectStore(LOG).put(after, META_KEY)
      return after
    }).catch((error) => {
      // What the caller gave was refused before anything was asked of the database, or there is no space.
      if (isAteError(error) && error.code !== 'IO_ERROR') throw error
      this.#failed ??= 'WRITER_POISONED'
      throw new AteError(this.#failed, { database: this.name }, { cause: error })
    })
  }

  async #transact<T>(options: TransactOptions<T>, body: (tx: IDBTransaction) => Promise<T>): Promise<T> {
    this.check('read')
    try {
      return await transact(this.#db, options, body)
    } catch (error) {
      // It may have been closed meanwhile: then that is what the caller is told.
      this.check('read')
      throw error
    }
  }
}
