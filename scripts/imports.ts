/**
 * The rule that keeps packages/core/src readable: a file imports its own folder or a lower row, never sideways, never
 * up, never an entry point. `node:*` stays in node/, DOM in browser/, and clocks and chance outside come in as arguments.
 * `violations` judges one source text; it reads nothing itself.
 */
import { posix } from 'node:path'
import ts from 'typescript'

/** Rows from bottom to top; folders of one row do not import each other. */
const ROWS: readonly (readonly string[])[] = [
  ['base'],
  ['codec'],
  ['crypto'],
  ['event'],
  ['log', 'trust'],
  ['session', 'view'],
  ['chain'],
  ['sync', 'data'],
  ['mesh'],
]
/** May import every row; who imports them is the entry points and, through `#platform`, PLATFORM_USERS. */
const PLATFORMS: readonly string[] = ['node', 'browser']
/** Rows that may reach the platform's face, to offer its defaults: who acts, what opens a chain, what opens sockets. */
const PLATFORM_USERS: readonly string[] = ['testing', 'session', 'data', 'mesh']
const TESTING = 'testing'

const DOM_GLOBALS: ReadonlySet<string> = new Set(
  'window document navigator location localStorage sessionStorage indexedDB IDBKeyRange BroadcastChannel Worker SharedWorker'.split(
    ' ',
  ),
)
const CHANCE: ReadonlySet<string> = new Set([
  'Date.now',
  'Math.random',
  'performance.now',
  'crypto.getRandomValues',
  'crypto.randomUUID',
])

/** What breaks the rule in `text`, which stands at `file` (relative to packages/core/src, with slashes). */
export function violations(file: string, text: string): string[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true)
  const found: string[] = []
  const say = (node: ts.Node, what: string): void => {
    const { line } = source.getLineAndCharacterOfPosition(node.getStart(source))
    found.push(`${file}:${line + 1} ${what}`)
  }
  if (!file.includes('/')) checkEntryPoint(source, say)
  const locals = declaredNames(source)
  const visit = (node: ts.Node): void => {
    const specifier = specifierOf(node)
    if (specifier !== undefined) {
      const problem = importProblem(file, specifier)
      if (problem !== undefined) say(node, problem)
    }
    const problem = globalProblem(file, node, locals)
    if (problem !== undefined) say(node, problem)
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

function checkEntryPoint(source: ts.SourceFile, say: (node: ts.Node, what: string) => void): void {
  for (const statement of source.statements) {
    const reexport = ts.isExportDeclaration(statement) && statement.moduleSpecifier !== undefined
    if (!reexport) say(statement, 'an entry point only re-exports')
    else if (statement.exportClause === undefined) say(statement, 'an entry point lists its names by hand, no export *')
  }
}

/** The module that a node imports: static, re-export, dynamic, or in a type. */
function specifierOf(node: ts.Node): string | undefined {
  let literal: ts.Node | undefined
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) literal = node.moduleSpecifier
  else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
    literal = node.arguments[0]
  else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) literal = node.argument.literal
  return literal !== undefined && ts.isStringLiteralLike(literal) ? literal.text : undefined
}

function importProblem(file: string, specifier: string): string | undefined {
  const from = folderOf(file)
  if (specifier.startsWith('node:')) return from === 'node' ? undefined : `imports ${specifier}, which only node/ may`
  if (specifier === '#platform') {
    return from === undefined || PLATFORM_USERS.includes(from) ? undefined : 'imports #platform, which its row may not'
  }
  if (!specifier.startsWith('.')) return undefined
  const target = posix.join(posix.dirname(file), specifier)
  if (target.startsWith('../')) return `imports ${specifier}, outside of src`
  const to = folderOf(target)
  if (from === to && from !== undefined) return undefined
  if (to === undefined) return `imports the entry point ${target}`
  if (to === TESTING) return file === 'testing.ts' ? undefined : 'imports testing/, which only testing.ts may'
  if (from === undefined || from === TESTING) return undefined
  if (PLATFORMS.includes(to)) return `imports ${to}/, which only entry points may`
  if (PLATFORMS.includes(from)) return undefined
  const [fromRow, toRow] = [rowOf(from), rowOf(to)]
  if (fromRow === undefined || toRow === undefined)
    return `imports ${target}: ${fromRow === undefined ? from : to}/ is in no row`
  return toRow < fromRow ? undefined : `imports ${target}: ${to}/ is not below ${from}/`
}

function globalProblem(file: string, node: ts.Node, locals: ReadonlySet<string>): string | undefined {
  const from = folderOf(file)
  if (ts.isPropertyAccessExpression(node)) {
    const name = `${node.expression.getText()}.${node.name.text}`.replace('globalThis.', '')
    const outside = from !== undefined && (PLATFORMS.includes(from) || from === TESTING)
    if (CHANCE.has(name) && !outside) return `uses ${name}; time and chance come in as arguments`
    const global = node.expression.getText() === 'globalThis' ? node.name.text : ''
    return DOM_GLOBALS.has(global) && from !== 'browser' ? `uses ${global}, which only browser/ may` : undefined
  }
  if (!ts.isIdentifier(node) || locals.has(node.text) || !isFreeName(node)) return undefined
  if (node.text === 'Buffer' && from !== 'node') return 'uses Buffer, which only node/ may'
  return DOM_GLOBALS.has(node.text) && from !== 'browser' ? `uses ${node.text}, which only browser/ may` : undefined
}

/** Names that a file declares: a `window` of bytes is no DOM. One that it uses as a global besides is not noticed. */
function declaredNames(source: ts.SourceFile): ReadonlySet<string> {
  const names = new Set<string>()
  const visit = (node: ts.Node): void => {
    const declares = ts.isVariableDeclaration(node) || ts.isParameter(node) || ts.isBindingElement(node)
    if ((declares || ts.isFunctionDeclaration(node)) && node.name && ts.isIdentifier(node.name))
      names.add(node.name.text)
    ts.forEachChild(node, visit)
  }
  visit(source)
  return names
}

/** True for a name that is looked up: no property, no declaration, no key. */
function isFreeName(node: ts.Identifier): boolean {
  const { parent } = node
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node
  if (ts.isQualifiedName(parent)) return parent.left === node
  if (ts.isShorthandPropertyAssignment(parent)) return true
  return !('name' in parent && parent.name === node) && !('propertyName' in parent && parent.propertyName === node)
}

/** The folder of src that a file stands in; undefined for an entry point. */
function folderOf(file: string): string | undefined {
  const slash = file.indexOf('/')
  return slash < 0 ? undefined : file.slice(0, slash)
}

function rowOf(folder: string): number | undefined {
  const row = ROWS.findIndex((folders) => folders.includes(folder))
  return row < 0 ? undefined : row
}
