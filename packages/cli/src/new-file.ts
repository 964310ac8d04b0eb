/**
 * Files that a command makes: one that is there is never overwritten, since it may be evidence, and what stands under the name is
 * whole: until then it is a `.part` beside it.
 */
import { randomBytes } from 'node:crypto'
import { closeSync, lstatSync, openSync, renameSync, rmSync, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { AteError } from '@ate/core'

/** Before anything is opened or made for what would not be written. @throws AteError IO_ERROR */
export function assertNew(file: string | undefined): void {
  if (file === undefined) return
  let found: unknown
  try {
    statSync(dirname(file))
    found = lstatSync(file, { throwIfNoEntry: false })
  } catch (cause) {
    throw failed(file, cause)
  }
  if (found) throw failed(file, { code: 'EEXIST' })
}

/** What others are to have, as proofs are. @throws AteError IO_ERROR */
export function writeNew(file: string, text: string): Promise<void> {
  return fillNew(file, [Buffer.from(text)], 0o666)
}

/** For this user alone. What fails leaves nothing. @throws AteError IO_ERROR and what `pieces` throws */
export function writeNewFrom(file: string, pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
  return fillNew(file, pieces, 0o600)
}

async function fillNew(
  file: string,
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  mode: number,
): Promise<void> {
  assertNew(file)
  const part = join(dirname(file), `.ate-${randomBytes(8).toString('hex')}.part`)
  try {
    await fill(part, pieces, mode)
    takeName(file)
    renameSync(part, file)
  } catch (cause) {
    rmSync(part, { force: true })
    // What the pieces throw is theirs to tell.
    throw cause instanceof Error && 'syscall' in cause ? failed(file, cause) : cause
  }
}

async function fill(
  part: string,
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  mode: number,
): Promise<void> {
  await using handle = await open(part, 'wx', mode)
  for await (const piece of pieces)
    for (let at = 0; at < piece.length; ) at += (await handle.write(piece, at)).bytesWritten
  await handle.sync()
}

/** Somebody else may have made it meanwhile: a rename would take its place. */
function takeName(file: string): void {
  closeSync(openSync(file, 'wx', 0o600))
}

function failed(file: string, cause: unknown): AteError {
  const { code: reason } = cause as NodeJS.ErrnoException
  const hint =
    reason === 'EEXIST' ? 'a file of this name is there already; choose another' : 'the file cannot be written'
  return new AteError('IO_ERROR', { file, reason }, { cause, hint })
}
