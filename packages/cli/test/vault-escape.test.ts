/** Each dialect, against the program that reads it. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { parse as parseDotenv } from 'dotenv'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { exportText } from '../src/vault/escape.ts'
import type { Dialect } from '../src/vault/words.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ate-escape-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const NASTY = [
  "'",
  '"',
  '`',
  '$',
  '\\',
  '\n',
  '\r',
  '!',
  '#',
  '=',
  ' ',
  '\t',
  ';',
  '&',
  '|',
  '>',
  '(',
  '{',
  '*',
  '~',
  '%',
  '\\n',
  '$(id)',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a shell's, not ours
  '${X}',
  "'\\''",
  'ä',
  '€',
  '😀',
  '\u0001',
  '\u007f',
  'a',
]
const value = fc
  .array(
    fc.oneof(
      fc.constantFrom(...NASTY),
      fc.string({ unit: 'binary' }).filter((text) => !/[\0\p{Surrogate}]/u.test(text)),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''))
const values = fc.array(value, { minLength: 150, maxLength: 150 })
const RUNS = { numRuns: Number(process.env['ATE_DRAWN'] ?? 1) }

function variables(list: readonly string[], holds: (value: string) => boolean = () => true): Record<string, string> {
  return Object.fromEntries(list.filter(holds).map((text, i) => [`V${i}`, text]))
}

/** What a dialect can hold: it is refused elsewhere, with the variable's name and without its value. */
function canHold(dialect: Dialect): (text: string) => boolean {
  return (text) => {
    try {
      exportText({ V: text }, dialect)
      return true
    } catch (error) {
      expect((error as { code: string }).code).toBe('BAD_VALUE')
      expect((error as Error).message).toContain('V')
      return false
    }
  }
}

describe('shell', () => {
  it.each(['sh', 'bash', 'dash'])('%s reads what was written', (shell) => {
    fc.assert(
      fc.property(values, (list) => {
        const wanted = variables(list)
        const file = join(folder, `${shell}.sh`)
        writeFileSync(file, exportText(wanted, 'shell'))
        const out = execFileSync(shell, ['-c', `. "$0"; exec env -0`, file], {
          encoding: 'utf8',
          env: { PATH: process.env['PATH'] },
        })
        const read = Object.fromEntries(
          out.split('\0').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
        )
        for (const [name, text] of Object.entries(wanted)) expect([name, read[name]]).toEqual([name, text])
      }),
      RUNS,
    )
  })
})

describe('node', () => {
  it('node --env-file reads what was written, and so does dotenv', () => {
    const holds = canHold('node')
    fc.assert(
      fc.property(values, (list) => {
        const wanted = variables(list, holds)
        expect(Object.keys(wanted).length).toBeGreaterThan(20)
        const file = join(folder, 'node.env')
        writeFileSync(file, exportText(wanted, 'node'))
        const script = 'process.stdout.write(JSON.stringify(process.env))'
        const read = JSON.parse(
          execFileSync(process.execPath, [`--env-file=${file}`, '-e', script], { encoding: 'utf8', env: {} }),
        )
        for (const [name, text] of Object.entries(wanted)) expect([name, read[name]]).toEqual([name, text])
      }),
      RUNS,
    )
  })
})

describe('docker', () => {
  // `docker run --env-file` takes a line as it is: see opts/env.go and kvfile of docker/cli.
  const readDocker = (text: string): Record<string, string> =>
    Object.fromEntries(
      text
        .split('\n')
        .map((line) => line.replace(/\r$/, '').replace(/^\s+/, ''))
        .filter((line) => line !== '' && !line.startsWith('#'))
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    )

  it('reads what was written, and several lines are refused', () => {
    const holds = canHold('docker')
    fc.assert(
      fc.property(values, (list) => {
        const wanted = variables(list, holds)
        expect(readDocker(exportText(wanted, 'docker'))).toEqual(wanted)
      }),
      RUNS,
    )
    expect(holds('a\nb')).toBe(false)
    expect(holds('a\r')).toBe(false)
  })
})

describe('json', () => {
  it('reads what was written', () => {
    fc.assert(
      fc.property(values, (list) => {
        expect(JSON.parse(exportText(variables(list), 'json'))).toEqual(variables(list))
      }),
      RUNS,
    )
  })
})

describe('names and zeros', () => {
  it.each(['1A', 'A B', 'A;id', 'A=', '', 'ä', 'A\n'])('%j is no name', (name) => {
    for (const dialect of ['shell', 'docker', 'node', 'json'] as const)
      expect(() => exportText({ [name]: 'x' }, dialect)).toThrow('BAD_VALUE')
  })

  it('a zero byte is in no environment', () => {
    for (const dialect of ['shell', 'docker', 'node'] as const)
      expect(() => exportText({ A: 'x\0y' }, dialect)).toThrow('BAD_VALUE')
  })

  it('no message holds a value', () => {
    const error = (() => {
      try {
        exportText({ A: 'canary\n' }, 'docker')
      } catch (caught) {
        return caught
      }
      return undefined
    })()
    expect(String(error) + JSON.stringify(error)).not.toContain('canary')
    expect(parseDotenv("A='x'")).toEqual({ A: 'x' })
  })
})
