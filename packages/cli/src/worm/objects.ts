/** `put`, `get`, `ls`, `stat`. */
import { accessSync, constants, createReadStream, statSync } from 'node:fs'
import process from 'node:process'
import { AteError, type Duration } from '@ate/core'
import type { Json, PutOptions, Stored } from '@ate/worm'
import { assertNew } from '../new-file.ts'
import { print, printable, timeText, toJson } from '../output.ts'
import { refOf, timeOf, usage, type WormOptions, warnOfNoWitnesses, withWorm, writeOut } from './open.ts'

export interface PutCommandOptions extends WormOptions {
  readonly retain?: string
  readonly mode?: string
  readonly hold?: string
  readonly subject?: string
  readonly type?: string
  readonly meta?: string
  readonly key?: string
}

export async function putCommand(name: string, file: string | undefined, options: PutCommandOptions): Promise<void> {
  const put = putOptions(options)
  assertReadable(file)
  await withWorm(options, 'make', async (archive) => {
    const stored = await archive.put(name, bodyOf(file), put)
    await print(options.json ? toJson(stored, 2) : lineOf(stored))
    if (stored.mode === 'compliance') await warnOfNoWitnesses(archive)
  })
}

function putOptions({
  retain,
  mode,
  hold,
  subject,
  type,
  meta,
  key,
}: PutCommandOptions): PutOptions & { tx?: undefined } {
  if (mode !== undefined && mode !== 'governance' && mode !== 'compliance')
    throw usage('--mode is governance or compliance')
  return {
    ...(retain === undefined ? {} : { retain: retainOf(retain) }),
    ...(mode === undefined ? {} : { mode }),
    ...(hold === undefined ? {} : { hold }),
    ...(subject === undefined ? {} : { subject }),
    ...(type === undefined ? {} : { type }),
    ...(meta === undefined ? {} : { meta: metaOf(meta) }),
    ...(key === undefined ? {} : { key }),
  }
}

function retainOf(text: string): Date | Duration {
  const until = timeOf(text)
  if (until instanceof Date && until.getTime() <= Date.now()) throw usage(`--retain ${text} is over already`)
  return until
}

/** Before an archive is made for it. */
function assertReadable(file: string | undefined): void {
  if (file === undefined || file === '-') return
  try {
    accessSync(file, constants.R_OK)
    if (statSync(file).isDirectory()) throw Object.assign(new Error('a folder'), { code: 'EISDIR' })
  } catch (cause) {
    throw unreadable(file, cause)
  }
}

function unreadable(file: string | undefined, cause: unknown): AteError {
  const { code: reason } = cause as NodeJS.ErrnoException
  return new AteError('IO_ERROR', { file, reason }, { cause, hint: 'the file cannot be read' })
}

function metaOf(text: string): Json {
  try {
    return JSON.parse(text) as Json
  } catch {
    throw usage('--meta takes JSON')
  }
}

async function* bodyOf(file: string | undefined): AsyncGenerator<Uint8Array> {
  const source = file === undefined || file === '-' ? process.stdin : createReadStream(file)
  try {
    for await (const piece of source) yield piece as Uint8Array
  } catch (cause) {
    throw unreadable(file, cause)
  }
}

export interface GetCommandOptions extends WormOptions {
  readonly range?: string
  readonly out?: string
}

export async function getCommand(name: string, options: GetCommandOptions): Promise<void> {
  const range = options.range === undefined ? {} : { range: rangeOf(options.range) }
  assertNew(options.out)
  await withWorm(options, 'read', async (archive) => {
    const { body } = await archive.get(refOf(name, options), range)
    await writeOut(body, options.out)
  })
}

function rangeOf(text: string): [bigint, bigint?] {
  const match = /^(\d{1,18})-(\d{1,18})?$/.exec(text)
  if (!match) throw usage('--range is FIRST-LAST, both included, or FIRST-')
  return match[2] === undefined ? [BigInt(match[1]!)] : [BigInt(match[1]!), BigInt(match[2])]
}

export interface ListCommandOptions extends WormOptions {
  readonly due?: boolean
  readonly hold?: string
  readonly subject?: string
}

export async function listCommand(prefix: string | undefined, options: ListCommandOptions): Promise<void> {
  await withWorm(options, 'read', async (archive) => {
    const query = {
      ...(prefix === undefined ? {} : { prefix }),
      ...(options.due ? { expiredBy: new Date() } : {}),
      ...(options.hold === undefined ? {} : { hold: options.hold }),
      ...(options.subject === undefined ? {} : { subject: options.subject }),
    }
    let count = 0
    for await (const stored of archive.list(query)) {
      count++
      await print(options.json ? toJson(stored) : lineOf(stored))
    }
    if (count === 0 && !options.json) process.stderr.write('no records here that this identity may read\n')
  })
}

export async function statCommand(name: string, options: WormOptions): Promise<void> {
  await withWorm(options, 'read', async (archive) => {
    const stored = await archive.stat(refOf(name, options))
    if (options.json) {
      await print(toJson(stored, 2))
      return
    }
    const lines = [
      `name       ${printable(stored.name)}`,
      `version    ${stored.version}`,
      `size       ${stored.size} bytes`,
      `SHA-256    ${stored.digest}`,
      `type       ${stored.type === undefined ? '-' : printable(stored.type)}`,
      `kept       ${keptText(stored)}`,
      `holds      ${stored.holds.length === 0 ? '-' : stored.holds.map(printable).join(', ')}`,
      `subject    ${stored.subject === undefined ? '-' : printable(stored.subject)}`,
      `put        ${timeText(stored.at.getTime())}, in record ${stored.seq}`,
    ]
    await print(lines.join('\n'))
  })
}

/** One line of a list. */
export function lineOf(stored: Stored): string {
  const held = stored.holds.length === 0 ? '' : `  held: ${stored.holds.map(printable).join(', ')}`
  return `${printable(stored.name)}  ${stored.version}  ${stored.size} bytes  ${keptText(stored)}${held}`
}

function keptText({ mode, retainUntil }: Stored): string {
  return retainUntil === undefined ? 'written once' : `${mode} until ${timeText(retainUntil.getTime())}`
}
