/**
 * The exported names of each published package, one line a name, in scripts/api/<package>.txt. `npm run check` fails on
 * a difference, so that a change of the interface is seen in review; `npm run api` writes the new list.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import process from 'node:process'
import ts from 'typescript'
import { root } from './lib/nodes.mjs'
import { publishedPackages, sourceEntries } from './lib/workspaces.mjs'

const base = ts.readConfigFile(join(root, 'tsconfig.base.json'), ts.sys.readFile)
const { options } = ts.parseJsonConfigFileContent(base.config, ts.sys, root)

/** For each entry point a heading, then `type name` or `value name`, sorted by name. */
function namesOf(entries: readonly (readonly [string, string])[]): string {
  const program = ts.createProgram({ rootNames: entries.map(([, file]) => file), options })
  const checker = program.getTypeChecker()
  return entries
    .map(([subpath, file]) => [`# ${subpath}`, ...exportsOf(program, checker, file), ''].join('\n'))
    .join('\n')
}

function exportsOf(program: ts.Program, checker: ts.TypeChecker, file: string): string[] {
  const source = program.getSourceFile(file)
  const module = source && checker.getSymbolAtLocation(source)
  if (module === undefined) throw new Error(`${file} is no module`)
  const names = checker.getExportsOfModule(module).map((symbol): [string, string] => {
    const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
    if (checker.isUnknownSymbol(target))
      throw new Error(`${file}: ${symbol.name} is exported, but there is no such name`)
    return [symbol.name, isTypeOnly(symbol) || !(target.flags & ts.SymbolFlags.Value) ? 'type' : 'value']
  })
  return names.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, kind]) => `${kind} ${name}`)
}

/** `export type { X }` of a class exports the type only. */
function isTypeOnly(symbol: ts.Symbol): boolean {
  const [declaration] = symbol.declarations ?? []
  return declaration !== undefined && ts.isExportSpecifier(declaration) && ts.isTypeOnlyExportDeclaration(declaration)
}

const write = process.argv.includes('--write')
let different = 0
for (const workspace of publishedPackages()) {
  const entries = sourceEntries(workspace)
  if (entries.length === 0) continue
  const file = join(root, 'scripts/api', `${workspace.folder}.txt`)
  const names = namesOf(entries)
  const known = existsSync(file) ? readFileSync(file, 'utf8') : ''
  if (names === known) continue
  if (write) {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, names)
    continue
  }
  different++
  const [now, then] = [new Set(names.split('\n')), new Set(known.split('\n'))]
  console.log(`The exported names of ${workspace.manifest.name} changed; \`npm run api\` writes the new list.`)
  for (const line of now) if (!then.has(line)) console.log(`+ ${line}`)
  for (const line of then) if (!now.has(line)) console.log(`- ${line}`)
}
process.exitCode = different === 0 ? 0 : 1
