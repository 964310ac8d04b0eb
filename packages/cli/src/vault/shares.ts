/** `split`, `join`, `drill`: shares of an identity, which recover it. Shares go to files of mode 0600, never to a terminal. */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join as joinPath } from 'node:path'
import process from 'node:process'
import { AteError, saveIdentity } from '@ate/core'
import { drill, joinIdentity, splitIdentity } from '@ate/vault'
import { type ActingOptions, actingIdentity } from '../acting.ts'
import { print, toJson } from '../output.ts'
import { newPassphrase } from '../passphrase.ts'
import { writeNewFile } from './output.ts'

export interface SplitOptions extends ActingOptions {
  readonly shares: number
  readonly threshold: number
  readonly out: string
  readonly json?: boolean
}

export async function split(options: SplitOptions): Promise<void> {
  const identity = await actingIdentity(options)
  const shares = await splitIdentity(identity, options)
  mkdirSync(options.out, { recursive: true, mode: 0o700 })
  // Shares of two splits do not go together: none is written where one of another is.
  const left = readdirSync(options.out).find((name) => /^share-\d+\.txt$/.test(name))
  if (left !== undefined)
    throw new AteError(
      'IO_ERROR',
      { file: joinPath(options.out, left), reason: 'EEXIST' },
      { hint: 'there are shares in this folder already; give another one' },
    )
  const files = shares.map((share, i) => {
    const file = joinPath(options.out, `share-${i + 1}.txt`)
    writeNewFile(file, Buffer.from(`${share}\n`))
    return file
  })
  if (options.json) await print(toJson({ fingerprint: identity.fingerprint, threshold: options.threshold, files }, 2))
  else {
    await print(`any ${options.threshold} of these make ${identity.fingerprint} again; give each to somebody else`)
    for (const file of files) await print(`  ${file}`)
  }
}

export interface JoinOptions {
  readonly out: string
  readonly passphraseFile?: string
  readonly json?: boolean
}

export async function join(files: readonly string[], options: JoinOptions): Promise<void> {
  const identity = await joinIdentity(files.map(readShare))
  const passphrase = await newPassphrase(options)
  await saveIdentity(identity, options.out, passphrase === undefined ? {} : { passphrase })
  await print(
    options.json
      ? toJson({ fingerprint: identity.fingerprint, file: options.out })
      : `${identity.fingerprint}  ${options.out}`,
  )
}

/** Makes the identity of each share in turn, and throws it away. Exit code 1 if one does not work. */
export async function drillCommand(
  files: readonly string[],
  options: { readonly fingerprint: string; readonly json?: boolean },
): Promise<void> {
  const report = await drill(files.map(readShare), options.fingerprint)
  const weak = report.weak.map((place) => files[place]!)
  if (options.json) await print(toJson({ ...report, weak }, 2))
  else if (report.ok)
    await print(
      `${files.length} shares make ${report.fingerprint}, ${report.threshold} at a time (${report.tried} tries)`,
    )
  else if (report.fingerprint !== options.fingerprint)
    await print(`these are shares of ${report.fingerprint}, and the fingerprint that was given is of another`)
  else await print(`these shares do not make it: ${weak.join(', ') || 'each does with others, but not all of them do'}`)
  if (!report.ok) process.exitCode = 1
}

function readShare(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new AteError(
      'IO_ERROR',
      { file, reason: (cause as NodeJS.ErrnoException).code },
      { hint: 'the file of the share cannot be read' },
    )
  }
}
