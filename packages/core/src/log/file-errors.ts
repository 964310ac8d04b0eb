/** Errors of a file system, as the codes that callers act on. */
import { AteError, type ErrorFacts, isAteError } from '../base/errors.ts'

/** The errno name of a thrown file-system error, or undefined. */
export function errnoOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' && !isAteError(error) ? code : undefined
}

const FULL: readonly string[] = ['ENOSPC', 'EDQUOT', 'EFBIG']
/** Node's own word, in the place of an errno. */
const DENIED = 'ERR_ACCESS_DENIED'
const REFUSED: readonly string[] = ['EROFS', 'EACCES', 'EPERM', DENIED]
/** Where the code's own advice is about something else. A fact: the error is made again on its way up, with more of them. */
const WHAT: Readonly<Record<string, string>> = {
  EACCES: 'this user may not do that here; look whose the folder and its files are, and at their modes',
  EPERM: 'this user may not do that here; look whose the folder and its files are, and at their modes and attributes',
  EMFILE: 'this process has as many files open as it may; raise its limit (ulimit -n)',
  ENFILE: 'this machine has as many files open as it may',
  [DENIED]:
    "Node's permission model (--permission) refuses this. It lets nobody sync a file, so nothing is kept in folders under it; what is there is read with { readOnly: true } and --allow-fs-read",
}

/** What to do about an error of the system, where its errno alone does not say. */
export function whatToDo(errno: string | undefined): string | undefined {
  return WHAT[errno ?? '']
}

function isFull(error: unknown): boolean {
  return FULL.includes(errnoOf(error) ?? '')
}

/** DISK_FULL, READ_ONLY or IO_ERROR with the errno; an AteError stays what it is. */
export function diskError(error: unknown, facts: ErrorFacts): AteError {
  if (isAteError(error)) return error
  const errno = errnoOf(error)
  const code = isFull(error) ? 'DISK_FULL' : REFUSED.includes(errno ?? '') ? 'READ_ONLY' : 'IO_ERROR'
  return new AteError(code, { ...facts, errno, what: whatToDo(errno) }, { cause: error })
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
