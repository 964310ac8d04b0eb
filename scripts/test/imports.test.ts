import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { violations } from '../imports.ts'

const packages = resolve(import.meta.dirname, '../../packages')

function sources(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => name.replaceAll('\\', '/'))
    .sort()
}

describe('imports of packages/core/src go down the layers', () => {
  const folder = join(packages, 'core/src')
  const files = sources(folder)

  it('finds the sources', () => {
    expect(files).toContain('base/errors.ts')
  })

  it.each(files)('%s', (file) => {
    expect(violations(file, readFileSync(join(folder, file), 'utf8'))).toEqual([])
  })
})

it('a package reaches another one by its name only', () => {
  const found: string[] = []
  for (const name of readdirSync(packages)) {
    for (const part of ['src', 'test']) {
      for (const file of sources(join(packages, name, part))) {
        const path = join(packages, name, part, file)
        for (const [, specifier] of readFileSync(path, 'utf8').matchAll(/(?:from|import\() ?'(\.[^']*)'/g)) {
          const target = resolve(path, '..', specifier ?? '')
          // What tests of several packages use is no part of any.
          const isShared = part === 'test' && target.startsWith(join(packages, '../scripts/lib/'))
          if (!isShared && !target.startsWith(join(packages, name, '/'))) found.push(`${path}: ${specifier}`)
        }
      }
    }
  }
  expect(found).toEqual([])
})

describe('the rule itself', () => {
  it.each([
    ['chain/chain.ts', `import { a } from '../log/engine.ts'`],
    ['chain/chain.ts', `import { a } from './fold.ts'`],
    ['log/file.ts', `import type { a } from '../base/errors.ts'`],
    ['data/open.ts', `import { platform } from '#platform'`],
    [
      'node/platform.ts',
      `import { open } from 'node:fs'\nimport { a } from '../data/open.ts'\nDate.now()\nBuffer.from([])`,
    ],
    ['browser/platform.ts', `indexedDB.open('x')\nconst a = Math.random()`],
    [
      'testing/sim.ts',
      `import { a } from '../data/open.ts'\nimport { b } from '../node/disk.ts'\nconst n = performance.now()`,
    ],
    ['index.ts', `export { a } from './data/open.ts'\nexport type { B } from './base/errors.ts'`],
    ['testing.ts', `export { a } from './testing/sim.ts'`],
    ['log/reader.ts', `function read(window: Uint8Array): number { const { location } = at(window); return location }`],
    ['event/head.ts', `const head = { document: 1, window: 2 }\nhead.window\nclass A { location = 3 }`],
  ])('lets %s be: %s', (file, text) => {
    expect(violations(file, text)).toEqual([])
  })

  it.each([
    ['log/file.ts', `import { a } from '../chain/chain.ts'`, 'is not below'],
    ['log/file.ts', `import type { a } from '../trust/state.ts'`, 'is not below'],
    ['log/file.ts', `export { a } from '../trust/state.ts'`, 'is not below'],
    ['base/errors.ts', `const a = await import('../codec/writer.ts')`, 'is not below'],
    ['base/errors.ts', `let a: import('../codec/writer.ts').Writer`, 'is not below'],
    ['sync/state.ts', `import { a } from '../data/open.ts'`, 'is not below'],
    ['data/open.ts', `import { a } from '../index.ts'`, 'entry point'],
    ['index.ts', `export { a } from './testing.ts'`, 'entry point'],
    ['data/open.ts', `import { a } from '../testing/sim.ts'`, 'testing'],
    ['index.ts', `export { a } from './testing/sim.ts'`, 'testing'],
    ['data/open.ts', `import { a } from '../node/disk.ts'`, 'only entry points'],
    ['node/disk.ts', `import { a } from '../browser/disk.ts'`, 'only entry points'],
    ['data/open.ts', `import { a } from '../helpers/a.ts'`, 'in no row'],
    ['data/open.ts', `import { a } from '../../test/a.ts'`, 'outside of src'],
    ['log/file.ts', `import { open } from 'node:fs'`, 'node:fs'],
    ['crypto/keys.ts', `import { platform } from '#platform'`, '#platform'],
    ['view/table.ts', `indexedDB.open('x')`, 'indexedDB'],
    ['view/table.ts', `globalThis.indexedDB.open('x')`, 'indexedDB'],
    ['view/table.ts', `globalThis.performance.now()`, 'performance.now'],
    ['view/table.ts', `const a = document`, 'document'],
    ['view/table.ts', `const a = Buffer.from([])`, 'Buffer'],
    ['view/table.ts', `const a = Date.now()`, 'Date.now'],
    ['view/table.ts', `const a = Math.random`, 'Math.random'],
    ['index.ts', `export const a = 1`, 'only re-exports'],
    ['index.ts', `import './data/open.ts'`, 'only re-exports'],
    ['index.ts', `export * from './data/open.ts'`, 'by hand'],
  ])('refuses in %s: %s', (file, text, what) => {
    const found = violations(file, text)
    expect(found.length).toBeGreaterThan(0)
    expect(found[0]).toContain(what)
  })
})
