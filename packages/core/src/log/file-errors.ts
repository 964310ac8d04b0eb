/** Errors of a file system, as the codes that callers act on. */
import { AteError, type ErrorFacts, isAteError } from '../base/errors.ts'

/** The errno name of a thrown file-system error, or undefined. */
export function errnoOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' && !isAteError(error) ? code : undefined
}

const FULL: readonly string[] = ['ENOSPC', 'EDQUOT', 'EFBIG']
const REFUSED: readonly string[] = ['EROFS', 'EACCES', 'EPERM']

function isFull(error: unknown): boolean {
  return FULL.includes(errnoOf(error) ?? '')
}

/** DISK_FULL, READ_ONLY or IO_ERROR with the errno; an AteError stays what it is. */
export function diskError(error: unknown, facts: ErrorFacts): AteError {
  if (isAteError(error)) return error
  const errno = errnoOf(error)
  const code = isFull(error) ? 'DISK_FULL' : REFUSED.includes(errno ?? '') ? 'READ_ONLY' : 'IO_ERROR'
  return new AteError(code, { ...facts, errno }, { cause: error })
}

/** Seqs are given as far as they are known. */
export function damaged(facts: {
  readonly segment: string
  readonly offset: number
  readonly firstSeq?: number
  readonly lastSeq?: number
  readonly what?: string
}): AteError {
  return new AteError('DAMAGED', facts)
}
