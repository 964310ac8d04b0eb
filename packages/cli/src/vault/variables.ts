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
const STEERING = new RegExp(
  `^(${[
    'PATH|IFS|ENV|BASH_ENV|BASH_FUNC_.*|SHELLOPTS|BASHOPTS|PS[0-4]|CDPATH|PROMPT_COMMAND|ZDOTDIR|SHELL|HOME|XDG_CONFIG_.*',
    'LD_.*|DYLD_.*|GCONV_PATH|LOCPATH|NLSPATH|TERMINFO(_DIRS)?|OPENSSL_(CONF|MODULES|ENGINES)',
    'EDITOR|VISUAL|PAGER|MANPAGER|BROWSER|LESS(OPEN|CLOSE|EDIT)?|(SSH|SUDO)_ASKPASS|RSYNC_RSH',
    'GIT_(SSH(_COMMAND)?|EXTERNAL_DIFF|PAGER|(SEQUENCE_)?EDITOR|ASKPASS|CONFIG.*|EXEC_PATH|TEMPLATE_DIR|PROXY_COMMAND|DIR)',
    'NODE_(OPTIONS|PATH|REPL_EXTERNAL_MODULE)|NPM_CONFIG_(SCRIPT_SHELL|NODE_OPTIONS|(USER|GLOBAL)CONFIG|PREFIX)|PYTHON.*|PERL5?(LIB|OPT|DB)|RUBY(OPT|LIB)',
    'LUA_(INIT|PATH|CPATH).*|PHPRC|PHP_INI_SCAN_DIR|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|JDK_JAVA_OPTIONS|CLASSPATH',
    'MAKE(FLAGS|FILES)|GOFLAGS|CARGO_(HOME|BUILD_.*|TARGET_.*)|RUSTC(_WRAPPER)?|RUSTUP_HOME|R_PROFILE.*',
  ].join('|')})$`,
  'i',
)

export async function variablesFor(
  vault: Vault,
  { path = '', only, prefix = '' }: VariableOptions,
): Promise<Record<string, string>> {
  if (!/^[A-Za-z_]?[A-Za-z0-9_]*$/.test(prefix)) throw new AteError('BAD_ARGUMENT', { option: 'prefix', prefix })
  const all = await vault.env(path)
  // A slip would start a program without its secrets.
  if (path !== '' && Object.keys(all).length === 0)
    throw new AteError('NOT_FOUND', { path }, { hint: 'there is no secret at or below this path that you can read' })
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
