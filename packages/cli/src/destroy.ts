/** `ate destroy`: never without the chain's id or `--yes`. */
import process from 'node:process'
import { destroy } from '@ate/core'
import { CommanderError } from 'commander'
import { print, printable, toJson } from './output.ts'
import { storedPlaceOf } from './place.ts'

export interface DestroyCommandOptions {
  readonly id?: string
  readonly yes?: boolean
  readonly json?: boolean
}

export async function destroyCommand(place: string, options: DestroyCommandOptions): Promise<void> {
  const { id, yes, json } = options
  if (id === undefined && !yes) {
    const what = 'give the id of the chain with --id, or --yes for whatever chain stands there; `ate ls` lists ids'
    process.stderr.write(`error: ${what}\n`)
    throw new CommanderError(2, 'ate.unsure', what)
  }
  const { chain } = await destroy(storedPlaceOf(place), id === undefined ? {} : { id })
  await print(json ? toJson({ chain }) : `destroyed ${printable(place)}\nchain      ${chain ?? 'none had begun'}`)
}
