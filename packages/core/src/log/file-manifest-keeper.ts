/**
 * The manifest as the one writer of a log keeps it: it is written into the other slot, so that a write that tears leaves the one
 * that counts, and read before each write to the folder, since another writer may have taken over.
 */
import { AteError } from '../base/errors.ts'
import type { Crc32 } from './crc32.ts'
import { diskError } from './file-errors.ts'
import { encodeSlot, type Manifest, ManifestLook, readManifest, SLOT_BYTES, writeWhole } from './file-manifest.ts'
import type { OpenFile } from './file-system.ts'

export interface KeeperParts {
  readonly crc: Crc32
  readonly file: OpenFile
  /** As it stands in the file. */
  readonly manifest: Manifest
  /** The writer writes no more; what it is told. */
  readonly poison: (error: unknown) => AteError
}

export class ManifestKeeper {
  readonly #parts: KeeperParts
  readonly #look: ManifestLook
  #manifest: Manifest

  constructor(parts: KeeperParts) {
    this.#parts = parts
    this.#look = new ManifestLook(parts.file, parts.crc)
    this.#manifest = parts.manifest
  }

  /** As it was written last. */
  get manifest(): Manifest {
    return this.#manifest
  }

  /**
   * A writer that another one took over from must not touch the folder any more; asked before each write, for a microsecond.
   * Only a lock that does not hold (a network disk) lets it come to that. @throws AteError WRITER_FENCED
   */
  fence(): void {
    let seen: Manifest
    try {
      seen = this.#look.read()
    } catch (error) {
      throw diskError(error, { file: 'MANIFEST' })
    }
    if (seen.writerEpoch <= this.#manifest.writerEpoch) return
    throw new AteError('WRITER_FENCED', { writerEpoch: this.#manifest.writerEpoch, seen: seen.writerEpoch })
  }

  /** Durable when it returns. @throws AteError WRITER_FENCED | WRITER_POISONED | DISK_FULL | IO_ERROR */
  write(change: Partial<Omit<Manifest, 'generation' | 'writerEpoch'>>): void {
    this.fence()
    const { crc, file, poison } = this.#parts
    const next: Manifest = { ...this.#manifest, ...change, generation: this.#manifest.generation + 1 }
    try {
      writeWhole(file, [encodeSlot(next, crc)], (next.generation % 2) * SLOT_BYTES)
    } catch (error) {
      // The end of a slot is zeros that may have stood there before: what was written in part can count all the same,
      // and then it names the new segment.
      if (!this.#counts(next)) throw diskError(error, { file: 'MANIFEST' })
    }
    try {
      file.syncNow()
    } catch (error) {
      throw poison(error)
    }
    this.#manifest = next
  }

  #counts({ generation }: Manifest): boolean {
    const { crc, file, poison } = this.#parts
    try {
      return readManifest(file, crc).generation === generation
    } catch (error) {
      throw poison(error)
    }
  }

  close(): void {
    this.#parts.file.close()
  }
}
