/** Files that secrets are imported from, as trees of values. What a file is, its content says, unless the user does. */
import { AteError } from '@ate/core'
import type { Json, SecretValue } from '@ate/vault'
import { parse as parseDotenv } from 'dotenv'
import { isScalar, parseDocument, visit } from 'yaml'
import { changedNumber, parseJson } from './input.ts'
import { decryptSops, isSops } from './sops.ts'
import type { Format } from './words.ts'

/** Aliases of YAML that are followed: a small file must not unfold into a large one. */
const ALIASES_MAX = 100

type Tree = Readonly<Record<string, Json>>

/** What one file holds: values by path. `from`: the file's name, which may say what it is. */
export async function parseImport(
  text: string,
  format: Format | 'auto',
  from: string,
): Promise<Map<string, SecretValue>> {
  const kind = format === 'auto' ? guess(text, from) : format
  if (kind === 'dotenv') return dotenvValues(text, from)
  const tree = kind === 'json' || kind === 'vault-kv' ? parseJson(text) : parseYaml(text)
  if (!isTree(tree)) throw new AteError('BAD_VALUE', { file: from, what: 'the file holds no object' })
  if (kind === 'vault-kv') return new Map([['', vaultKv(tree, from)]])
  if (kind === 'sops' || isSops(tree)) return valuesOf(await decryptSops(tree, from))
  return valuesOf(tree)
}

function guess(text: string, from: string): Format {
  if (/\.ya?ml$/i.test(from)) return 'yaml'
  const isJson = /^\s*\{/.test(text)
  if (isJson) return isVaultKv(parseJson(text)) ? 'vault-kv' : 'json'
  if (/(^|[./])env(\.|$)|\.env/i.test(from)) return 'dotenv'
  return /^\s*(export\s+)?[A-Za-z_][\w.-]*\s*=/m.test(text) && !/^\s*[\w.-]+\s*:\s/m.test(text) ? 'dotenv' : 'yaml'
}

/** The parser keeps no duplicates: the last of a name counts, as it does when the file is loaded. */
function dotenvValues(text: string, from: string): Map<string, SecretValue> {
  const values = new Map<string, SecretValue>(Object.entries(parseDotenv(text)))
  if (values.size === 0 && text.trim() !== '' && !/^\s*(#.*\s*)+$/.test(text))
    throw new AteError('BAD_VALUE', { file: from, what: 'no line of the form NAME=value' })
  return values
}

/** The parser's messages quote lines, so they go nowhere. */
function parseYaml(text: string): unknown {
  const document = parseDocument(text, { schema: 'core', merge: false, uniqueKeys: true, prettyErrors: false })
  const [error] = document.errors
  if (error) throw new AteError('BAD_VALUE', { what: 'the file is no YAML', code: error.code, offset: error.pos[0] })
  visit(document, {
    // 007, 1.50, 0x1f and 12345678901234567890 are numbers in YAML, and would be 7, 1.5, 31 and 12345678901234567000.
    Scalar(_, { value, source, range }) {
      if (typeof value === 'number' && source !== undefined && String(value) !== source)
        throw changedNumber(range ? { offset: range[0] } : {})
    },
    Pair(_, { key }) {
      if (isScalar(key) && key.value === '<<' && key.type === 'PLAIN')
        throw new AteError('BAD_VALUE', { what: 'the YAML merges with <<, which is not followed' })
    },
  })
  try {
    return document.toJS({ maxAliasCount: ALIASES_MAX, mapAsMap: false })
  } catch {
    throw new AteError('BAD_VALUE', { what: 'the YAML does not unfold' })
  }
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
}

function isVaultKv(value: unknown): boolean {
  return isTree(value) && 'request_id' in value && isTree(value['data'])
}

/** `vault kv get -format=json`: version 2 has the values one level deeper, beside their metadata. */
function vaultKv(tree: Tree, from: string): Tree {
  const { data } = tree
  if (!isTree(data)) throw new AteError('BAD_VALUE', { file: from, what: 'no output of `vault kv get -format=json`' })
  if (data['data'] === null && isTree(data['metadata']))
    throw new AteError('BAD_VALUE', { file: from, what: 'the version that it shows is deleted or destroyed' })
  return isTree(data['data']) && isTree(data['metadata']) ? data['data'] : data
}

/**
 * Objects of objects are folders; an object of plain values is one secret. A plain value beside folders is a secret of its own.
 */
function valuesOf(tree: Tree): Map<string, SecretValue> {
  const values = new Map<string, SecretValue>()
  const add = (path: string, value: SecretValue): void => {
    if (values.has(path)) throw new AteError('BAD_VALUE', { path, what: 'two values of the file have this path' })
    values.set(path, value)
  }
  const walk = (node: Tree, path: string): void => {
    const isLeaf = path !== '' && Object.values(node).every((item) => !isTree(item))
    if (isLeaf) {
      add(path, node)
      return
    }
    for (const [name, item] of Object.entries(node)) {
      const at = path === '' ? name : `${path}/${name}`
      if (isTree(item)) walk(item, at)
      else add(at, item)
    }
  }
  walk(tree, '')
  return values
}
