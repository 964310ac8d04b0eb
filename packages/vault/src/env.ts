/** Secrets as variables of an environment. */
import { AteError } from '@ate/core'
import { toBase64 } from './base64.ts'
import type { CallOptions, Context } from './context.ts'
import { listSecrets } from './listing.ts'
import { checkNames } from './option-names.ts'
import { Secret } from './secret.ts'
import type { SecretValue } from './value-bytes.ts'

export interface EnvOptions extends CallOptions {
  /** The versions that were the newest at that time. */
  readonly at?: Date
}

/**
 * `prod/db` with `{ url }` below `prod` is DB_URL; text is the variable itself, bytes are base64, and what is deeper in an object
 * is JSON. What is not live is left out. @throws AteError BAD_ARGUMENT (two secrets make one name, or one makes none)
 */
export async function envOf(
  context: Context,
  prefix: string,
  options: EnvOptions,
): Promise<Readonly<Record<string, string>>> {
  checkNames(options, 'env')
  const call = options.signal ? { signal: options.signal } : {}
  const variables: Record<string, string> = {}
  const from = new Map<string, string>()
  for await (const { path, state, kind } of listSecrets(context, prefix, call)) {
    if (kind !== 'secret' || (state !== 'live' && !options.at)) continue
    const value = await valueAt(context, path, options)
    if (value === undefined) continue
    for (const [name, text] of variablesOf(nameBelow(prefix, path), value)) {
      const other = from.get(name)
      if (other !== undefined)
        throw new AteError('BAD_ARGUMENT', { what: 'two secrets make one variable', name, paths: [other, path] })
      from.set(name, path)
      variables[name] = text
    }
  }
  return variables
}

async function valueAt(context: Context, path: string, { at, signal }: EnvOptions): Promise<SecretValue | undefined> {
  const secret = new Secret<SecretValue>(context, path, undefined)
  try {
    return (await secret.get({ ...(at ? { at } : {}), ...(signal ? { signal } : {}) })).value
  } catch (error) {
    // At that time it was not there, or what was there is gone.
    if (
      at &&
      error instanceof AteError &&
      ['NO_VERSION', 'VERSION_DELETED', 'VERSION_DESTROYED', 'VERSION_EXPIRED'].includes(error.code)
    )
      return undefined
    throw error
  }
}

/** The last segment of a path that is the prefix itself; else what is below it. */
function nameBelow(prefix: string, path: string): string {
  const base = prefix.replace(/\/?(\*\*)?$/, '')
  if (path === base) return path.slice(path.lastIndexOf('/') + 1)
  return base === '' ? path : path.slice(base.length + 1)
}

function variablesOf(name: string, value: SecretValue): readonly (readonly [string, string])[] {
  if (typeof value === 'string') return [[variableName(name), value]]
  if (value instanceof Uint8Array) return [[variableName(name), toBase64(value)]]
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return Object.entries(value).map(([field, item]) => [
      variableName(`${name}_${field}`),
      typeof item === 'string' ? item : JSON.stringify(item),
    ])
  return [[variableName(name), JSON.stringify(value)]]
}

/** @throws AteError BAD_ARGUMENT */
function variableName(text: string): string {
  const name = text
    .toUpperCase()
    .replace(/[^A-Z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '')
  if (!/^[A-Z_]/.test(name))
    throw new AteError('BAD_ARGUMENT', { what: 'this makes no name of a variable', path: text })
  return name
}
