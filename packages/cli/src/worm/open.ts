/** Which archive a command works with, as whom; opened beside its writer where it only reads. */
import { createWriteStream } from 'node:fs'
import process from 'node:process'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream as NodeStream } from 'node:stream/web'
import { AteError, type Duration, openChain } from '@ate/core'
import { type Ref, type Worm, worm } from '@ate/worm'
import { CommanderError } from 'commander'
import { type ActingOptions, actingIdentity } from '../acting.ts'
import { OPENED_TO, type Purpose, placeOf } from '../place.ts'

export interface WormOptions extends ActingOptions {
  readonly at?: string
  readonly id?: string
  readonly name?: string
  readonly json?: boolean
  readonly revision?: string
}

const DEFAULT_PLACE = './archive'

/** Runs with the archive open, and closes it. `read` changes nothing and runs beside a process that writes. */
export async function withWorm<R>(
  options: WormOptions,
  purpose: Purpose,
  run: (archive: Worm) => Promise<R>,
): Promise<R> {
  const place = placeOf(options.at ?? process.env['ATE_WORM'] ?? DEFAULT_PLACE)
  const as = await actingIdentity(options)
  const id = options.id === undefined ? {} : { id: options.id }
  const chain = await openChain(place, { as, ...id, ...OPENED_TO[purpose] })
  try {
    return await run(worm(chain, options.name === undefined ? {} : { name: options.name }))
  } finally {
    await chain.close()
  }
}

export function refOf(name: string, { revision }: WormOptions): Ref {
  return revision === undefined ? name : { name, version: revision }
}

/** Wrong arguments: exit code 2. */
export function usage(what: string): CommanderError {
  process.stderr.write(`error: ${what}\n`)
  return new CommanderError(2, 'ate.worm', what)
}

/** A date, or a duration from now. */
export function timeOf(text: string): Date | Duration {
  if (/^\d+(ms|s|m|h|d|y)$/.test(text)) return text as Duration
  const date = new Date(text)
  if (Number.isNaN(date.getTime())) throw usage(`${JSON.stringify(text)} is no date (2030-01-31) and no duration (6y)`)
  return date
}

/** To stdout, or to a file that is not there yet: it may be evidence. @throws AteError IO_ERROR and those of the stream */
export async function writeOut(stream: ReadableStream<Uint8Array>, out: string | undefined): Promise<void> {
  const from = Readable.fromWeb(stream as NodeStream<Uint8Array>)
  if (out === undefined) {
    for await (const chunk of from)
      if (!process.stdout.write(chunk as Uint8Array))
        await new Promise((resolve) => process.stdout.once('drain', resolve))
    return
  }
  try {
    await pipeline(from, createWriteStream(out, { flags: 'wx', mode: 0o600 }))
  } catch (cause) {
    const { code: reason } = cause as NodeJS.ErrnoException
    if (reason !== 'EEXIST' && reason !== 'ENOENT' && reason !== 'EACCES') throw cause
    const hint =
      reason === 'EEXIST' ? 'a file of this name is there already; choose another' : 'the file cannot be written'
    throw new AteError('IO_ERROR', { file: out, reason }, { cause, hint })
  }
}
