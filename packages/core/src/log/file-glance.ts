/**
 * The little that a server wants to know of each of its many logs when it starts: whose it is, and how long. Two blocks and
 * one frame are read, and nothing is judged but what is read.
 */
import { AteError } from '../base/errors.ts'
import { RECORD_HEADER_BYTES } from './batch.ts'
import type { Crc32 } from './crc32.ts'
import { diskError } from './file-errors.ts'
import { decodeSegmentHeader, FRAME_HEADER_BYTES, getU32, SEGMENT_HEADER_BYTES } from './file-frame.ts'
import { openManifest, readManifest } from './file-manifest.ts'
import { FrameWalk, newSegment, segmentName, segmentNumber } from './file-segment.ts'
import type { FileSystem } from './file-system.ts'
import type { StandingState } from './standing.ts'

/** What a first frame mostly is within: a genesis of one root, alone. A longer one is read on. */
const FIRST_BYTES = 16 * 1024

export interface LogGlance {
  readonly standing: StandingState
  /** Bytes of its segment files; what stands ahead of the end in zeros is among them, where a crash has left it. */
  readonly bytes: number
  /** Undefined for a log that holds none, or whose first is damaged. */
  readonly firstRecord: Uint8Array | undefined
}

/** @throws AteError CHAIN_NOT_FOUND | DAMAGED (the manifest) | UNSUPPORTED_FORMAT | IO_ERROR */
export function glanceAtLog(fs: FileSystem, crc: Crc32): LogGlance {
  try {
    const file = openManifest(fs, 'read')
    if (!file) throw new AteError('CHAIN_NOT_FOUND')
    const manifest = closing(file, () => readManifest(file, crc))
    const numbers = fs.list('').flatMap((name) => segmentNumber(name) ?? [])
    const own = numbers.filter((number) => number >= manifest.firstSegment)
    const bytes = own.reduce((sum, number) => sum + sizeOf(fs, segmentName(number)), 0)
    const firstRecord = own.includes(0) ? firstRecordOf(fs, crc) : undefined
    return { standing: manifest.standing.state, bytes, firstRecord }
  } catch (error) {
    throw diskError(error, { step: 'glance' })
  }
}

function firstRecordOf(fs: FileSystem, crc: Crc32): Uint8Array | undefined {
  const file = fs.open(segmentName(0), 'read')
  return closing(file, () => {
    const head = new Uint8Array(SEGMENT_HEADER_BYTES)
    const header = decodeSegmentHeader(head.subarray(0, file.read(head, 0)), crc)
    if (!header || header === 'newer') return undefined
    const segment = newSegment(header)
    const walk = new FrameWalk(file, segment, segment.walked, crc, { readBytes: FIRST_BYTES })
    const frame = walk.next()
    if (frame?.header.kind !== 'data' || frame.header.firstSeq !== 0) return undefined
    const at = frame.at + FRAME_HEADER_BYTES
    const from = at + RECORD_HEADER_BYTES
    return walk.window.slice(from, from + getU32(walk.window, at))
  })
}

function sizeOf(fs: FileSystem, name: string): number {
  const file = fs.open(name, 'read')
  return closing(file, () => file.size())
}

function closing<T>(file: { close(): void }, use: () => T): T {
  try {
    return use()
  } finally {
    file.close()
  }
}
