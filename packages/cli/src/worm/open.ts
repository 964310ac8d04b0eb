/** Which archive a command works with, as whom; opened beside its writer where it only reads. */
import { once } from 'node:events'
import process from 'node:process'
import type { ReadableStream as NodeStream } from 'node:stream/web'
import type { Duration } from '@ate/core'
import { type Ref, type Worm, worm } from '@ate/worm'
import { CommanderError } from 'commander'
import { dateOf } from '../dates.ts'
import { writeNewFrom } from '../new-file.ts'
import { openPlace, type PlaceOptions } from '../open-place.ts'
import type { Purpose } from '../place.ts'

export interface WormOptions extends PlaceOptions {
  readonly at?: string
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
  const place = options.at ?? process.env['ATE_WORM'] ?? DEFAULT_PLACE
  const chain = await openPlace(place, options, purpose)
  try {
    return await run(worm(chain, options.name === undefined ? {} : { name: options.name }))
  } finally {
    await chain.close()
  }
}

/** What no way leads back from is said, not refused: it may be meant. */
export async function warnOfNoWitnesses(archive: Worm): Promise<void> {
  if ((await archive.info()).warnings.includes('NO_WITNESSES'))
    process.stderr.write('No witnesses are named: what is put under compliance now can never be disposed of.\n')
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
  const date = dateOf(text)
  if (date) return date
  throw usage(`${JSON.stringify(text)} is no date (2030-01-31, 2030-01-31T12:00Z) and no duration (6y)`)
}

/** To stdout, or to a file that is not there yet. @throws AteError IO_ERROR and those of the stream */
export async function writeOut(stream: ReadableStream<Uint8Array>, out: string | undefined): Promise<void> {
  const pieces = stream as NodeStream<Uint8Array>
  if (out !== undefined) return writeNewFrom(out, pieces)
  for await (const piece of pieces) if (!process.stdout.write(piece)) await once(process.stdout, 'drain')
}
