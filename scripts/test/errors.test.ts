import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ADVICE } from '../../packages/core/src/base/errors.ts'
import { codes, errorsDoc, placesOfCodes, readErrorsDoc, rowsOf } from '../errors-doc.ts'

const root = resolve(import.meta.dirname, '../..')

describe('docs/ERRORS.md (npm run docs:errors makes it)', () => {
  const rows = rowsOf(readErrorsDoc())

  it('lists exactly the codes of the table, with their advice', () => {
    expect(rows.map(({ code, advice }) => [code, advice])).toEqual(Object.entries(ADVICE))
  })

  it('names only files that exist', () => {
    const files = new Set(rows.flatMap((row) => row.files))
    expect([...files].filter((file) => !existsSync(join(root, file)))).toEqual([])
  })

  it('is read back as it was made', () => {
    const made = rowsOf(errorsDoc())
    expect(made.map(({ files }) => files)).toEqual([...placesOfCodes().values()])
    expect(made.map(({ code }) => code)).toEqual(codes)
  })
})

it('every code is thrown somewhere', () => {
  const unused = [...placesOfCodes()].filter(([, files]) => files.length === 0).map(([code]) => code)
  expect(unused).toEqual([])
})
