/**
 * Makes docs/ERRORS.md from the tables of advice in packages/core/src/base/errors.ts and each kit's errors.ts, and from the
 * sources that name each code: `npm run docs:errors`. A test compares the committed text with the tables.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import process from 'node:process'
import { ADVICE as ofBus } from '../packages/bus/src/errors.ts'
import { ADVICE as ofCache } from '../packages/cache/src/errors.ts'
import { ADVICE as ofCore } from '../packages/core/src/base/errors.ts'
import { FINDINGS } from '../packages/core/src/data/findings.ts'
import { ADVICE as ofLedger } from '../packages/ledger/src/errors.ts'
import { ADVICE as ofQueue } from '../packages/queue/src/errors.ts'
import { ADVICE as ofVault } from '../packages/vault/src/errors.ts'

const root = resolve(import.meta.dirname, '..')
const DOC: string = join(root, 'docs/ERRORS.md')

/** Tables, by the file that holds them below packages/. */
export const TABLES: ReadonlyMap<string, Readonly<Record<string, string>>> = new Map<
  string,
  Readonly<Record<string, string>>
>([
  ['core/src/base/errors.ts', ofCore],
  ['bus/src/errors.ts', ofBus],
  ['cache/src/errors.ts', ofCache],
  ['ledger/src/errors.ts', ofLedger],
  ['queue/src/errors.ts', ofQueue],
  ['vault/src/errors.ts', ofVault],
])

/** Every code with its advice, as docs/ERRORS.md has them. */
export const ADVICE: ReadonlyMap<string, string> = new Map(
  [...TABLES.values()].flatMap((table) => Object.entries(table)),
)

/** For each code the sources that hold it as a string literal. */
export function placesOfCodes(): Map<string, string[]> {
  const places = new Map<string, string[]>([...ADVICE.keys()].map((code) => [code, []]))
  for (const file of packageSources()) {
    // A table names every code as a key; there only a throw counts.
    const isTable = TABLES.has(file.slice('packages/'.length))
    const pattern = isTable ? /(?<=AteError\()'[A-Z_]+'/g : /'[A-Z][A-Z_]+'/g
    const literals = new Set(readFileSync(join(root, file), 'utf8').match(pattern))
    for (const [code, files] of places) if (literals.has(`'${code}'`)) files.push(file)
  }
  return places
}

/** Where a code of a kit is given to the class itself, which does not have its advice: `file: code`. */
export function unadvised(): string[] {
  return packageSources().flatMap((file) => {
    const text = readFileSync(join(root, file), 'utf8')
    return [...text.matchAll(/new AteError\(\s*'([A-Z_]+)'(?![\s\S]{0,160}hint)/g)]
      .filter(([, code = '']) => ADVICE.has(code) && !Object.hasOwn(ofCore, code))
      .map(([, code]) => `${file}: ${code}`)
  })
}

function packageSources(): string[] {
  return readdirSync(join(root, 'packages'))
    .map((name) => `packages/${name}/src`)
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map(
        (name) => `${folder}/${name.replaceAll('\\', '/')}`,
      ),
    )
    .filter((file) => file.endsWith('.ts'))
    .sort()
}

export interface ErrorRow {
  readonly code: string
  readonly advice: string
  readonly files: readonly string[]
}

/** The rows of a text that `errorsDoc` made. */
export function rowsOf(markdown: string): ErrorRow[] {
  return [...markdown.matchAll(/^\| `([A-Z_]+)` \| (.*) \| (.*) \|$/gm)].map(
    ([, code = '', advice = '', files = '']) => ({
      code,
      advice: advice.replaceAll('\\|', '|'),
      files: [...files.matchAll(/`([^`]+)`/g)].map(([, file = '']) => `packages/${file}`),
    }),
  )
}

export function readErrorsDoc(): string {
  return existsSync(DOC) ? readFileSync(DOC, 'utf8') : ''
}

export function errorsDoc(): string {
  const places = placesOfCodes()
  const sections = [...TABLES].map(([file, table]) => {
    const kit = file.slice(0, file.indexOf('/'))
    const rows = Object.entries(table).map(([code, advice]) => {
      const where = places.get(code)!.map((place) => `\`${place.replace('packages/', '')}\``)
      return `| \`${code}\` | ${advice.replaceAll('|', '\\|')} | ${where.join(', ')} |`
    })
    const title = kit === 'core' ? '' : `## @ate/${kit}\n\n`
    return `${title}| code | what it means, and what to do | where |\n| --- | --- | --- |\n${rows.join('\n')}\n`
  })
  const findings = Object.entries(FINDINGS).map(
    ([code, [severity, advice]]) => `- \`${code}\`, ${severity}: ${advice}.`,
  )
  return `# Errors

Everything that @ate throws is an \`AteError\` with one of these codes in \`code\` and the particulars in \`facts\`. Codes
are stable: they are part of the interface. Those of one kit, with their texts, come with the kit; the first table has those of \`@ate/core\`
and of more than one kit. This file is made by \`npm run docs:errors\`.

${sections.join('\n')}
## Findings

What \`chain.doctor()\` and \`ate doctor\` may find, the worst first. These are not thrown. Errors and warnings make the report not \`ok\`.

${findings.join('\n')}
`
}

if (process.argv[1] === import.meta.filename) writeFileSync(DOC, errorsDoc())
