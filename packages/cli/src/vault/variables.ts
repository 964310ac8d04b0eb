/** The variables that `run` and `export` give: chosen, prefixed, and none that would change what is run. */
import { AteError } from '@ate/core'
import type { SecretValue, Vault } from '@ate/vault'
import { parseReference } from './open.ts'
import { contentOf, fieldOf } from './output.ts'

export interface VariableOptions {
  /** The path below which secrets are taken; all that can be read if left out. */
  readonly path?: string
  readonly only?: readonly string[]
  readonly prefix?: string
}

/** What changes which program runs, or what it loads, is not for secrets to set. */
const STEERING =
  /^(PATH|IFS|ENV|BASH_ENV|SHELLOPTS|BASHOPTS|PS4|CDPATH|PROMPT_COMMAND|LD_.*|DYLD_.*|NODE_OPTIONS|NODE_PATH|NODE_REPL_EXTERNAL_MODULE|PYTHON(STARTUP|PATH|HOME)|PERL5(LIB|OPT|DB)|PERLLIB|RUBY(OPT|LIB)|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|JDK_JAVA_OPTIONS|GIT_(SSH|SSH_COMMAND|EXTERNAL_DIFF|PAGER|EDITOR|ASKPASS)|EDITOR|VISUAL|PAGER|SHELL)$/

export async function variablesFor(
  vault: Vault,
  { path = '', only, prefix = '' }: VariableOptions,
): Promise<Record<string, string>> {
  if (!/^[A-Za-z_]?[A-Za-z0-9_]*$/.test(prefix)) throw new AteError('BAD_ARGUMENT', { option: 'prefix', prefix })
  const all = await vault.env(path)
  const chosen: Record<string, string> = {}
  for (const [name, value] of Object.entries(all)) {
    if (only && !only.includes(name) && !only.includes(prefix + name)) continue
    if (STEERING.test(prefix + name))
      throw new AteError(
        'BAD_ARGUMENT',
        { variable: prefix + name },
        { hint: 'a secret of this name would change what is run; rename it, or give --prefix' },
      )
    chosen[prefix + name] = value
  }
  const missing = (only ?? []).filter((name) => !(name in chosen) && !(prefix + name in chosen))
  if (missing.length > 0)
    throw new AteError('NOT_FOUND', { variables: missing }, { hint: 'no secret makes these variables' })
  return chosen
}

/** `ate://path#field`: the value, or a field of it, as text. */
export async function resolveReference(vault: Vault, reference: string): Promise<string> {
  const { path, field } = parseReference(reference)
  const { value } = await vault.secret<SecretValue>(path).get()
  const content = contentOf(fieldOf(value, path, field))
  return typeof content === 'string' ? content : Buffer.from(content).toString('base64')
}

const REFERENCE = /^ate:\/\/\S/

/** Variables of an environment that are references, resolved. */
export async function resolvedEnvironment(
  vault: Vault,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Record<string, string>> {
  const resolved: Record<string, string> = {}
  for (const [name, value] of Object.entries(environment))
    if (value !== undefined && REFERENCE.test(value)) resolved[name] = await resolveReference(vault, value)
  return resolved
}
