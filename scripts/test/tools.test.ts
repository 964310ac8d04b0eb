/** The parts of the scripts that decide whether something counts as passed, or as installed. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { difference } from '../lib/expected-output.mjs'
import { reasonToInstall } from '../lib/install.mjs'
import { atLeast, root } from '../lib/nodes.mjs'
import { countsOf } from '../lib/vitest-report.mjs'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ate-tools-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('difference', () => {
  const source = 'print()\n\n// Output:\n// head <seq> of <hash>\n// (done)\n'

  it('is none where the lines agree, with anything in place of <...>', () => {
    expect(difference('head 12 of ab(c)\n(done)\n', source)).toBeUndefined()
  })

  it.each([
    ['head 12 of \n(done)\n', 'line 1'],
    ['a head 12 of b\n(done)\n', 'line 1'],
    ['head 12 of b\ndone\n', 'line 2'],
    ['head 12 of b\n', 'line 2 is missing'],
    ['head 12 of b\n(done)\nmore\n', 'line 3'],
    ['', 'line 1'],
  ])('is found in %j', (printed, where) => {
    expect(difference(printed, source)).toContain(where)
  })

  it('asks for the block', () => {
    expect(difference('', 'print()\n')).toContain('no block')
  })
})

describe('reasonToInstall', () => {
  const lock = {
    '': {},
    'packages/a': { version: '1.0.0' },
    'node_modules/a': { resolved: 'packages/a', link: true },
    'node_modules/b': { version: '2.0.0' },
    'node_modules/other-platform': { version: '1.0.0', optional: true },
  }
  const installed = { 'node_modules/b': { version: '2.0.0' } }
  const write = (file: string, packages: object): void =>
    writeFileSync(join(folder, file), JSON.stringify({ packages }))
  const install = (packages: object): void => {
    mkdirSync(join(folder, 'node_modules/a'), { recursive: true })
    write('node_modules/.package-lock.json', packages)
  }

  it('is none if all that is not optional is there in its version', () => {
    write('package-lock.json', lock)
    install(installed)
    expect(reasonToInstall(folder)).toBeUndefined()
  })

  it('sees that nothing is installed, or half of it', () => {
    write('package-lock.json', lock)
    expect(reasonToInstall(folder)).toBe('node_modules is missing')
    mkdirSync(join(folder, 'node_modules/b'), { recursive: true })
    expect(reasonToInstall(folder)).toBe('node_modules is missing')
  })

  it('sees another version, a missing package, an unlinked workspace', () => {
    write('package-lock.json', lock)
    install({ 'node_modules/b': { version: '1.9.0' } })
    expect(reasonToInstall(folder)).toContain('node_modules/b')
    install({})
    expect(reasonToInstall(folder)).toContain('node_modules/b')
    install(installed)
    rmSync(join(folder, 'node_modules/a'), { recursive: true })
    expect(reasonToInstall(folder)).toContain('node_modules/a')
  })
})

describe('countsOf', () => {
  const report = (numbers: object, testResults: object[]): string => {
    const file = join(folder, 'report.json')
    writeFileSync(
      file,
      JSON.stringify({
        numPassedTests: 3,
        numFailedTests: 0,
        numPendingTests: 1,
        numTodoTests: 0,
        ...numbers,
        testResults,
      }),
    )
    return file
  }

  it('counts tests', () => {
    const test = { status: 'failed', fullName: 'adds', failureMessages: ['not 3\nat line 1'] }
    const file = report({ numFailedTests: 1 }, [
      { status: 'failed', name: join(root, 'packages/sum.test.ts'), assertionResults: [test] },
    ])
    const failures = ['packages/sum.test.ts > adds\n  not 3\n  at line 1']
    expect(countsOf(file, 1)).toEqual({ passed: 3, failures, skipped: 1 })
  })

  it('counts a file that did not load', () => {
    const file = { status: 'failed', name: join(root, 'a.test.ts'), message: 'no such module', assertionResults: [] }
    expect(countsOf(report({}, [file]), 1).failures).toEqual(['a.test.ts\n  no such module'])
  })

  it('counts an exit code that no test explains, and a report that is not there', () => {
    expect(countsOf(report({}, []), 1).failures).toHaveLength(1)
    expect(countsOf(report({}, []), 0).failures).toEqual([])
    expect(countsOf(join(folder, 'none.json'), 0).failures).toHaveLength(1)
  })
})

it('atLeast compares versions', () => {
  expect(['v20.19.0', 'v20.20.2', 'v22.0.0', 'v26.10.0'].every((version) => atLeast(version, [20, 19]))).toBe(true)
  expect(['v20.18.9', 'v18.20.0', 'v2.99.0'].some((version) => atLeast(version, [20, 19]))).toBe(false)
})
