import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { busError } from '../../packages/bus/src/errors.ts'
import { AteError, type ErrorMaker } from '../../packages/core/src/base/errors.ts'
import { queueError } from '../../packages/queue/src/errors.ts'
import { ADVICE, errorsDoc, placesOfCodes, readErrorsDoc, rowsOf, TABLES, unadvised } from '../errors-doc.ts'

const root = resolve(import.meta.dirname, '../..')

describe('docs/ERRORS.md (npm run docs:errors makes it)', () => {
  const rows = rowsOf(readErrorsDoc())

  it('lists exactly the codes of the tables, with their advice', () => {
    expect(rows.map(({ code, advice }) => [code, advice])).toEqual([...ADVICE])
  })

  it('names only files that exist', () => {
    const files = new Set(rows.flatMap((row) => row.files))
    expect([...files].filter((file) => !existsSync(join(root, file)))).toEqual([])
  })

  it('is read back as it was made', () => {
    const made = rowsOf(errorsDoc())
    expect(made.map(({ files }) => files)).toEqual([...placesOfCodes().values()])
    expect(made.map(({ code }) => code)).toEqual([...ADVICE.keys()])
  })
})

it('every code is thrown somewhere', () => {
  const unused = [...placesOfCodes()].filter(([, files]) => files.length === 0).map(([code]) => code)
  expect(unused).toEqual([])
})

it('no code stands in two tables', () => {
  expect(ADVICE.size).toBe([...TABLES.values()].reduce((sum, table) => sum + Object.keys(table).length, 0))
})

it('codes of a kit are made with its advice', () => {
  expect(unadvised()).toEqual([])
})

it('the advice of a kit is in the message of its errors', () => {
  for (const [code, make] of [
    ['BAD_TOPIC', busError],
    ['BAD_CRON', queueError],
  ] as const) {
    const error = (make as ErrorMaker<string>)(code, { given: 'x' }, { cause: 'y' })
    expect([error.code, error.message, error.cause]).toEqual([code, `${code}: ${ADVICE.get(code)} (given: x)`, 'y'])
  }
  // Of a kit that this program does not have.
  expect(new AteError('BAD_TOPIC', { given: 'x' }).message).toBe('BAD_TOPIC (given: x)')
})
