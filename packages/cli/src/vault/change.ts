/** `put`, `patch`, `edit`, `rm`, `restore`, `destroy`, `grant`, `revoke`: what changes. */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { AteError, type Duration, durationMs } from '@ate/core'
import type { Can, PutOptions, SecretValue, Version } from '@ate/vault'
import { publicIdOf } from '../acting.ts'
import { dateOf } from '../dates.ts'
import { print, printable, toJson } from '../output.ts'
import { type InputOptions, parseJson, readValue, textOf } from './input.ts'
import { usage, type VaultOptions, withVault } from './open.ts'
import { writeNewFile } from './output.ts'
import { printCouldRead } from './show.ts'

export interface PutCommandOptions extends VaultOptions, InputOptions {
  readonly cas?: number
  readonly expires?: string
  readonly meta?: readonly string[]
}

export async function put(path: string, options: PutCommandOptions): Promise<void> {
  const value = await readValue(path, options)
  await withVault(options, 'make', async (vault) => {
    await printVersion(path, await vault.secret<SecretValue>(path).put(value, putOptions(options)), options)
  })
}

/** Fields of a JSON object are put over those that are there; null takes one away (RFC 7396, one level). */
export async function patch(path: string, options: PutCommandOptions): Promise<void> {
  const change = await readValue(path, { ...options, json: true })
  if (!isObject(change)) throw new AteError('BAD_VALUE', { what: 'a patch is a JSON object' })
  await withVault(options, 'write', async (vault) => {
    const version = await vault.secret<SecretValue>(path).patch((before) => {
      if (!isObject(before))
        throw new AteError('BAD_VALUE', { path, what: 'the secret is no JSON object, so it has no fields' })
      const merged = Object.entries({ ...before, ...change }).filter(([name]) => change[name] !== null)
      return Object.fromEntries(merged)
    }, putOptions(options))
    await printVersion(path, version, options)
  })
}

type JsonObject = Readonly<Record<string, Exclude<SecretValue, Uint8Array>>>

function isObject(value: SecretValue): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
}

function putOptions({ cas, expires, meta }: PutCommandOptions): Omit<PutOptions, 'tx'> {
  const pairs = meta?.map((pair) => {
    const at = pair.indexOf('=')
    if (at < 1) throw usage('--meta takes NAME=VALUE; who may list the secret sees it')
    return [pair.slice(0, at), pair.slice(at + 1)] as const
  })
  return {
    ...(cas === undefined ? {} : { cas }),
    ...(expires === undefined ? {} : { expires: timeOf(expires) }),
    ...(pairs ? { meta: Object.fromEntries(pairs) } : {}),
  }
}

/** A date, or a duration from now. */
export function timeOf(text: string): Date | Duration {
  if (/^\d+(ms|s|m|h|d|y)$/.test(text)) return text as Duration
  const date = dateOf(text)
  if (date) return date
  throw usage(`${JSON.stringify(text)} is no date (2030-01-31, 2030-01-31T12:00Z) and no duration (30d)`)
}

async function printVersion(path: string, version: Version, { json }: VaultOptions): Promise<void> {
  await print(json ? toJson({ path, ...version }, 2) : `${printable(path)}  v${version.n}`)
}

/** Opens the value in $EDITOR, from a file that only this user reads, in memory where there is such a place. */
export async function edit(path: string, options: VaultOptions): Promise<void> {
  const editor = process.env['VISUAL'] || process.env['EDITOR']
  if (!editor) throw usage('set EDITOR to the editor that you use')
  const before = await withVault(options, 'read', async (vault) => {
    const info = await vault.secret(path).info()
    if (!info || info.state === 'destroyed') return { version: info?.latest ?? 0, text: '', isJson: false }
    const { value, version } = await vault.secret<SecretValue>(path).get()
    if (value instanceof Uint8Array)
      throw new AteError('BAD_VALUE', { path }, { hint: 'bytes are not edited; use put --binary --file' })
    const isJson = typeof value !== 'string'
    return { version, text: isJson ? `${JSON.stringify(value, undefined, 2)}\n` : `${value}\n`, isJson }
  })
  const text = await editText(editor, before.text, before.isJson ? 'json' : 'txt')
  if (text === before.text) {
    await print('nothing was changed')
    return
  }
  const value = before.isJson ? parseJson(text) : text.replace(/\r?\n$/, '')
  await withVault(options, 'make', async (vault) => {
    await printVersion(path, await vault.secret<SecretValue>(path).put(value, { cas: before.version }), options)
  })
}

async function editText(editor: string, text: string, ending: string): Promise<string> {
  const memory = '/dev/shm'
  const folder = mkdtempSync(join(existsSync(memory) ? memory : tmpdir(), 'ate-edit-'))
  const file = join(folder, `secret.${ending}`)
  try {
    writeNewFile(file, Buffer.from(text))
    // As git does it: the variable may hold arguments.
    const child = spawn('sh', ['-c', `${editor} "$@"`, editor, file], { stdio: 'inherit' })
    const code = await untilClosed(child)
    if (code !== 0) throw new AteError('IO_ERROR', { editor, code }, { hint: 'the editor failed; nothing was written' })
    return textOf(readFileSync(file))
  } finally {
    wipeFile(file)
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * What would end this process goes to the editor, or is the editor's already, as Ctrl-C on a terminal: this one stays, to wipe
 * what the editor leaves.
 */
async function untilClosed(child: ChildProcess): Promise<number> {
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal)
  const stay = (): void => undefined
  for (const signal of ENDING) process.on(signal, pass)
  for (const signal of KEYS) process.on(signal, stay)
  try {
    return await new Promise<number>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (status) => resolve(status ?? 1))
    })
  } finally {
    for (const signal of ENDING) process.off(signal, pass)
    for (const signal of KEYS) process.off(signal, stay)
  }
}

const ENDING: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGHUP']
const KEYS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT']

/** Zeros over it first. An editor's own copies are the editor's. */
function wipeFile(file: string): void {
  try {
    const { size } = statSync(file)
    const handle = openSync(file, 'r+')
    writeSync(handle, Buffer.alloc(size), 0, size, 0)
    closeSync(handle)
  } catch {
    // It is not there.
  }
}

export type VersionVerb = 'delete' | 'restore'

export async function mark(
  verb: VersionVerb,
  path: string,
  versions: readonly number[],
  options: VaultOptions,
): Promise<void> {
  await withVault(options, 'write', async (vault) => {
    await vault.secret(path)[verb](versions.length > 0 ? versions : undefined)
    const done = verb === 'delete' ? 'deleted; `restore` brings it back' : 'restored'
    await print(options.json ? toJson({ path, versions, [verb]: true }) : `${printable(path)}  ${done}`)
  })
}

/** Never without `--yes`: there is no way back. */
export async function destroy(
  path: string,
  versions: readonly number[],
  options: VaultOptions & { readonly yes?: boolean; readonly all?: boolean },
): Promise<void> {
  if (versions.length === 0 && !options.all) throw usage('name versions, or give --all')
  if (!options.yes) throw usage('there is no way back; give --yes')
  await withVault(options, 'write', async (vault) => {
    const receipt = await vault.secret(path).destroy(options.all ? 'all' : versions)
    if (options.json) {
      await print(toJson(receipt, 2))
      return
    }
    await print(
      `${printable(path)}  destroyed ${receipt.versions.map((n) => `v${n}`).join(', ') || 'nothing: all were gone'}`,
    )
    for (const { version, from, until } of receipt.backups)
      await print(
        `  a backup with keys, or a copy of the folder, from ${from.toISOString()} to ${until.toISOString()} still opens v${version}`,
      )
  })
}

export interface GrantOptions extends VaultOptions {
  readonly member?: string
  readonly until?: string
}

/** `grant ROLE PATTERN RIGHTS`, and `grant ROLE --member ID`. */
export async function grant(
  role: string,
  pattern: string | undefined,
  rights: string | undefined,
  options: GrantOptions,
): Promise<void> {
  if ((pattern === undefined) !== (rights === undefined) || (pattern === undefined && options.member === undefined))
    throw usage('grant ROLE PATTERN RIGHTS, or grant ROLE --member PUBLICID')
  const end = options.until === undefined ? undefined : timeOf(options.until)
  await withVault(options, 'write', async (vault) => {
    const until =
      end === undefined ? {} : { until: end instanceof Date ? end : new Date(Date.now() + durationMs(end, Date.now())) }
    if (pattern !== undefined) await vault.role(role).allow(pattern, rightsOf(rights!), until)
    if (options.member !== undefined) await vault.role(role).add(publicIdOf(options.member), until)
    await print(
      options.json
        ? toJson({ role, pattern, rights })
        : `${printable(role)}  ${pattern === undefined ? 'has one more member' : `${printable(pattern)}: ${rights}`}`,
    )
  })
}

function rightsOf(text: string): Can[] {
  return text === 'none' ? [] : (text.split(',').map((one) => one.trim()) as Can[])
}

export async function revoke(role: string, pattern: string | undefined, options: GrantOptions): Promise<void> {
  if ((pattern === undefined) === (options.member === undefined))
    throw usage('revoke ROLE PATTERN, or revoke ROLE --member PUBLICID')
  await withVault(options, 'write', async (vault) => {
    const { couldRead, waiting } =
      pattern === undefined
        ? await vault.role(role).remove(publicIdOf(options.member!))
        : await vault.role(role).revoke(pattern)
    await printCouldRead(couldRead, waiting, options.json)
  })
}
