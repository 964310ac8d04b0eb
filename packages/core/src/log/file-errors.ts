/** Errors of a file system, as the codes that callers act on. */
import { AteError, type ErrorFacts, isAteError } from '../base/errors.ts'
import type { FileSystem } from './file-system.ts'

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

/** What asked for a file was refused one, and did nothing else. */
export function isOutOfFiles(error: unknown): boolean {
  const errno = errnoOf(error)
  return errno === 'EMFILE' || errno === 'ENFILE'
}

/** DISK_FULL, TOO_MANY_FILES, READ_ONLY or IO_ERROR with the errno; an AteError stays what it is. */
export function diskError(error: unknown, facts: ErrorFacts): AteError {
  if (isAteError(error)) return error
  const errno = errnoOf(error)
  return new AteError(codeFor(error), { ...facts, errno, what: whatToDo(errno) }, { cause: error })
}

function codeFor(error: unknown): 'DISK_FULL' | 'TOO_MANY_FILES' | 'READ_ONLY' | 'IO_ERROR' {
  if (isFull(error)) return 'DISK_FULL'
  if (isOutOfFiles(error)) return 'TOO_MANY_FILES'
  return REFUSED.includes(errnoOf(error) ?? '') ? 'READ_ONLY' : 'IO_ERROR'
}

/** Somebody writes there already: perhaps another handle of this very process, which is the one to be used then. */
export function locked(fs: FileSystem): AteError {
  const isHere = fs.isHeldHere?.()
  if (isHere === undefined) return new AteError('CHAIN_LOCKED')
  const what = 'open it once, and hand the chain on; modules that are loaded again keep it on globalThis'
  return new AteError('CHAIN_LOCKED', isHere ? { by: 'this process', what } : { by: 'another process' })
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
