/**
 * Makes docs/ERRORS.md from the table of advice in packages/core/src/base/errors.ts and from the sources that name each
 * code: `npm run docs:errors`. A test compares the committed text with the table.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import process from 'node:process'
import { ADVICE, type ErrorCode } from '../packages/core/src/base/errors.ts'
import { FINDINGS } from '../packages/core/src/data/findings.ts'

const root = resolve(import.meta.dirname, '..')
const DOC: string = join(root, 'docs/ERRORS.md')
const TABLE = 'packages/core/src/base/errors.ts'

export const codes: readonly ErrorCode[] = Object.keys(ADVICE) as ErrorCode[]

/** For each code the sources that hold it as a string literal. */
export function placesOfCodes(): Map<ErrorCode, string[]> {
  const places = new Map<ErrorCode, string[]>(codes.map((code) => [code, []]))
  for (const file of packageSources()) {
    // The table names every code as a key; there only a throw counts.
    const pattern = file === TABLE ? /(?<=AteError\()'[A-Z_]+'/g : /'[A-Z][A-Z_]+'/g
    const literals = new Set(readFileSync(join(root, file), 'utf8').match(pattern))
    for (const code of codes) if (literals.has(`'${code}'`)) places.get(code)?.push(file)
  }
  return places
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
  const rows = [...placesOfCodes()].map(([code, files]) => {
    const where = files.map((file) => `\`${file.replace('packages/', '')}\``).join(', ')
    return `| \`${code}\` | ${ADVICE[code].replaceAll('|', '\\|')} | ${where} |`
  })
  const findings = Object.entries(FINDINGS).map(
    ([code, [severity, advice]]) => `- \`${code}\`, ${severity}: ${advice}.`,
  )
  return `# Errors

Everything that @ate throws is an \`AteError\` with one of these codes in \`code\` and the particulars in \`facts\`. Codes
are stable: they are part of the interface. This file is made by \`npm run docs:errors\`.

| code | what it means, and what to do | where |
| --- | --- | --- |
${rows.join('\n')}

## Findings

What \`chain.doctor()\` and \`ate doctor\` may find, the worst first. These are not thrown. Errors and warnings make the report not \`ok\`.

${findings.join('\n')}
`
}

if (process.argv[1] === import.meta.filename) writeFileSync(DOC, errorsDoc())
