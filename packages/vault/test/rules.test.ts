import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Grant, VersionRecord } from '../src/vault-records.ts'
import {
  accessOf,
  checkPath,
  checkPattern,
  covers,
  matches,
  selects,
  VERSIONS_MAX,
  withVersion,
  zonesOf,
} from '../src/vault-rules.ts'

const refused = (run: () => void): string => {
  try {
    run()
    return 'none'
  } catch (error) {
    return (error as { code: string }).code
  }
}

describe('paths', () => {
  it.each(['a', 'prod/db', 'a/b/c/d', 'Größe/ключ', 'with space/x y', 'a.b-c_d', '~x', '%41', 'a'.repeat(128)])(
    '%s is one',
    (path) => {
      expect(refused(() => checkPath(path))).toBe('none')
      expect(refused(() => checkPattern(path))).toBe('none')
      expect(refused(() => checkPattern(`${path}/**`))).toBe('none')
    },
  )

  it.each([
    '',
    '/',
    '/a',
    'a/',
    'a//b',
    '.',
    '..',
    'a/../b',
    'a/./b',
    'a*',
    'a/*',
    '*',
    '**/a',
    'a?b',
    'a#b',
    'a\\b',
    'a\nb',
    'a\0b',
    ' a',
    'a /b',
    'a\u202eb',
    'a\u200bb',
    'x\ud800',
    'u\u0308',
    'a'.repeat(129),
    `${'a/'.repeat(240)}aa`,
    null,
    undefined,
    7,
    {},
    [],
  ])('%j is none', (path) => {
    expect(refused(() => checkPath(path))).toBe('BAD_PATH')
    expect(refused(() => checkPattern(path))).toBe('BAD_PATTERN')
  })

  it.each(['prod/*', 'prod/**/db', '**/db', '***', 'prod**', '/**', 'prod//**', '../**'])(
    '%s is no pattern',
    (pattern) => {
      expect(refused(() => checkPattern(pattern))).toBe('BAD_PATTERN')
    },
  )
})

const segment = fc.constantFrom('a', 'b', 'ab', 'abc')
const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((list) => list.join('/'))
const pattern = fc.oneof(
  path,
  path.map((one) => `${one}/**`),
  fc.constant('**'),
)

describe('patterns', () => {
  it('name what is below them, and not the prefix itself, nor its neighbours', () => {
    expect(matches('prod/**', 'prod/db')).toBe(true)
    expect(matches('prod/**', 'prod')).toBe(false)
    expect(matches('prod/**', 'production/db')).toBe(false)
    expect(matches('prod', 'prod/db')).toBe(false)
    expect(matches('**', 'prod')).toBe(true)
  })

  it('cover exactly those patterns whose paths they all name', () => {
    fc.assert(
      fc.property(pattern, pattern, path, (outer, inner, one) => {
        if (covers(outer, inner) && matches(inner, one)) expect(matches(outer, one)).toBe(true)
        if (!inner.endsWith('**')) expect(covers(outer, inner)).toBe(matches(outer, inner))
        expect(covers(outer, outer)).toBe(true)
      }),
    )
  })

  it('that hold one path form a row, each inside the next', () => {
    fc.assert(
      fc.property(fc.uniqueArray(pattern, { maxLength: 8 }), path, (patterns, one) => {
        const row = zonesOf(
          patterns.map((text) => ({ pattern: text })),
          one,
        ).map((zone) => zone.pattern)
        expect(row.every((text) => matches(text, one))).toBe(true)
        for (let i = 1; i < row.length; i++) expect(covers(row[i]!, row[i - 1]!)).toBe(true)
      }),
    )
  })

  it('are what a user types', () => {
    fc.assert(
      fc.property(path, path, (prefix, one) => {
        const wanted = one === prefix || one.startsWith(`${prefix}/`)
        for (const text of [prefix, `${prefix}/`, `${prefix}/**`]) expect(selects(text)(one)).toBe(wanted)
      }),
    )
  })
})

describe('rights', () => {
  it('bring the names, end when their time is up, and who grants reads', () => {
    const grants: Grant[] = [
      { role: 'w', can: ['write'] },
      { role: 'g', can: ['grant'] },
      { role: 'old', can: ['read'], until: 5 },
      { role: 'none', can: [] },
    ]
    expect(accessOf(grants, 5)).toEqual({
      list: ['g', 'owners', 'w'],
      read: ['g', 'owners'],
      write: ['owners', 'w'],
      destroy: ['owners'],
      grant: ['g', 'owners'],
    })
    expect(accessOf(grants, 4).read).toEqual(['g', 'old', 'owners'])
  })
})

describe('versions', () => {
  it('at the limit make room by forgetting destroyed ones, or are refused', () => {
    const version = (n: number): VersionRecord => ({ n, value: `${n}`, at: n, by: 'x' })
    const full = {
      path: 'a',
      kind: 'secret' as const,
      versions: Array.from({ length: VERSIONS_MAX }, (_, i) => version(i + 1)),
    }
    const next = version(VERSIONS_MAX + 1)
    expect(refused(() => withVersion(full, next, () => true))).toBe('VERSIONS_FULL')
    const made = withVersion(full, next, ({ n }) => n > 2)
    expect([made.versions.length, made.versions[0]!.n, made.latest]).toEqual([VERSIONS_MAX - 1, 3, VERSIONS_MAX + 1])
  })
})
