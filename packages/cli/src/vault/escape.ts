/**
 * Variables as text of other programs. Each dialect is what its reader really does, and what it cannot hold is refused:
 *
 *   shell    `export NAME='...'`: sh, bash, dash, zsh. Inside of single quotes nothing is special but the quote itself.
 *   docker   NAME=... for `docker run --env-file`: a line each, taken as it is. No line breaks.
 *   node     NAME='...' for `node --env-file`: in the first quotes of ' ` " that the value does not hold. No carriage returns.
 *   json     one object
 */
import { AteError } from '@ate/core'
import { DIALECTS, type Dialect } from './words.ts'

export function dialectOf(text: string): Dialect {
  const found = DIALECTS.find((one) => one === text)
  if (!found) throw new AteError('BAD_ARGUMENT', { option: 'format', words: DIALECTS })
  return found
}

/** @throws AteError BAD_VALUE, with the name of the variable that the dialect cannot hold */
export function exportText(variables: Readonly<Record<string, string>>, dialect: Dialect): string {
  const entries = Object.entries(variables)
  for (const [name, value] of entries) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw refused(name, dialect, 'is no name of a variable')
    if (value.includes('\0') && dialect !== 'json') throw refused(name, dialect, 'holds a zero byte')
  }
  if (dialect === 'json') return `${JSON.stringify(variables, undefined, 2)}\n`
  const line = LINES[dialect]
  return entries.map(([name, value]) => `${line(name, value)}\n`).join('')
}

const LINES: Readonly<Record<Exclude<Dialect, 'json'>, (name: string, value: string) => string>> = {
  shell: (name, value) => `export ${name}='${value.replaceAll("'", "'\\''")}'`,
  docker(name, value) {
    if (/[\r\n]/.test(value)) throw refused(name, 'docker', 'has several lines')
    return `${name}=${value}`
  },
  node(name, value) {
    if (value.includes('\r')) throw refused(name, 'node', 'holds a carriage return')
    const quote = ["'", '`', '"'].find((one) => !value.includes(one))
    // Between double quotes `\n` would become a line break.
    if (quote === undefined || (quote === '"' && value.includes('\\n')))
      throw refused(name, 'node', 'holds all three quotes')
    return `${name}=${quote}${value}${quote}`
  },
}

function refused(variable: string, format: Dialect, what: string): AteError {
  return new AteError(
    'BAD_VALUE',
    { variable, format, what },
    { hint: 'this format cannot hold the variable; choose another, or leave it out with --only' },
  )
}
