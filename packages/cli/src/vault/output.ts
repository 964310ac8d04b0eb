/** Where secrets go: to a pipe, a terminal, or a new file of mode 0600. A file that others can read is refused. */
import { once } from 'node:events'
import { closeSync, fchmodSync, fstatSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs'
import process from 'node:process'
import { AteError } from '@ate/core'
import type { SecretValue } from '@ate/vault'

const OTHERS = 0o077

/** Writes a secret to `out`, which must be a new file, or to stdout. */
export async function writeSecret(bytes: Uint8Array | string, out: string | undefined): Promise<void> {
  const content = typeof bytes === 'string' ? Buffer.from(bytes) : bytes
  if (out !== undefined) {
    writeNewFile(out, content)
    return
  }
  refuseOpenFile()
  if (!process.stdout.write(content)) await once(process.stdout, 'drain')
}

export interface Outlet {
  write(bytes: Uint8Array | string): Promise<void>
  /** If nothing was written, nothing is left. */
  drop(): void
}

/** Where a secret will go that can be had only once: the file is there before it is taken. */
export function openOutlet(out: string | undefined): Outlet {
  if (out === undefined) {
    refuseOpenFile()
    return { write: (bytes) => writeSecret(bytes, undefined), drop: () => undefined }
  }
  let handle: number | undefined = openNewFile(out)
  const take = (): number | undefined => {
    const taken = handle
    handle = undefined
    return taken
  }
  return {
    async write(bytes) {
      fillFile(take()!, typeof bytes === 'string' ? Buffer.from(bytes) : bytes)
    },
    drop() {
      const unused = take()
      if (unused === undefined) return
      closeSync(unused)
      rmSync(out, { force: true })
    },
  }
}

const EXISTS = 'a file is already there; choose another name'

/** `ate vault export > .env` makes a file that everybody may read, unless the shell's umask says otherwise. */
export function refuseOpenFile(): void {
  if (process.platform === 'win32') return
  let stat: ReturnType<typeof fstatSync>
  try {
    stat = fstatSync(1)
  } catch {
    return
  }
  if (stat.isFile() && (stat.mode & OTHERS) !== 0) {
    const mode = (stat.mode & 0o777).toString(8).padStart(4, '0')
    throw new AteError(
      'INSECURE_FILE',
      { file: 'stdout', mode },
      { hint: 'stdout is a file that others can read; use --out FILE, or umask 077' },
    )
  }
}

/** Mode 0600 whatever the umask; a file that is there is never overwritten. */
export function writeNewFile(file: string, content: Uint8Array): void {
  fillFile(openNewFile(file), content)
}

function openNewFile(file: string): number {
  try {
    return openSync(file, 'wx', 0o600)
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code
    const hint = reason === 'EEXIST' ? EXISTS : 'the file cannot be written'
    throw new AteError('IO_ERROR', { file, reason }, { hint })
  }
}

function fillFile(handle: number, content: Uint8Array): void {
  try {
    if (process.platform !== 'win32') fchmodSync(handle, 0o600)
    for (let at = 0; at < content.length; ) at += writeSync(handle, content, at)
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

/** A value, or a field of it, as it is written out: text as it is, bytes as they are, else JSON. */
export function contentOf(value: SecretValue): Uint8Array | string {
  if (typeof value === 'string' || value instanceof Uint8Array) return value
  return JSON.stringify(value)
}

/** A field by its name, `a.b` for one inside of another. @throws AteError NOT_FOUND */
export function fieldOf(value: SecretValue, path: string, field: string | undefined): SecretValue {
  if (field === undefined) return value
  let found: unknown = value
  for (const name of Object.hasOwn(Object(value), field) ? [field] : field.split('.')) {
    const isInside =
      typeof found === 'object' && found !== null && !(found instanceof Uint8Array) && Object.hasOwn(found, name)
    if (!isInside) throw new AteError('NOT_FOUND', { path, field }, { hint: 'the secret has no such field' })
    found = (found as Record<string, unknown>)[name]
  }
  return found as SecretValue
}
