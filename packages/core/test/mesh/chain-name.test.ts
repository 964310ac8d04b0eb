/** Names of chains: what is refused, and folders that never meet. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CHAIN_FOLDER_BYTES_MAX } from '../../src/base/limits.ts'
import { type ChainName, chainOfFolder, folderOfChain, parseChainName } from '../../src/mesh/chain-name.ts'
import { codeOf } from '../../src/testing/log-suite.ts'

describe('a name', () => {
  it.each([
    ['notes', 'notes'],
    ['team/notes', 'team+notes'],
    ['Team/Notes', '=team+=notes'],
    ['a.b-c_d', 'a.b-c_d'],
    ['a b', 'a~20b'],
    ['caf\u00e9', 'caf~c3~a9'],
    ['a+b=c', 'a~2bb~3dc'],
    ['con', '~63on'],
    ['nul.txt', '~6eul.txt'],
    ['com1/x', 'com1+x'],
    ['end.', 'end~2e'],
    ['100%', '100~25'],
  ])('%j has the folder %j, which says it back', (name, folder) => {
    expect(folderOfChain(parseChainName(name))).toBe(folder)
    expect(chainOfFolder(folder)).toBe(name)
  })

  it.each<[string, unknown]>([
    ['nothing', ''],
    ['no text', 7],
    ['the folder above', '..'],
    ['a path that climbs', 'a/../b'],
    ['this folder', './a'],
    ['a hidden part', 'a/.git'],
    ['a home', '~root/x'],
    ['a tilde inside', 'a~b'],
    ['an empty part', 'a//b'],
    ['a slash in front', '/etc'],
    ['a slash at the end', 'a/'],
    ['a backslash', 'a\\b'],
    ['a control character', 'a\u0000b'],
    ['a line break', 'a\nb'],
    ['text that runs backwards', 'a\u202eb'],
    ['a character of no width', 'a\u200bb'],
    ['half a character', 'a\ud800b'],
    ['another form of the same letters', 'cafe\u0301'],
    ['space around a part', 'a/ b'],
    ['too many parts', 'a/b/c/d/e/f/g/h/i'],
    ['too many characters', 'a'.repeat(241)],
    ['too many bytes for a folder', '\u00e9'.repeat(60)],
    ['a flood', 'a'.repeat(10_000_000)],
  ])('%s is none', async (_, name) => {
    expect(await codeOf(() => parseChainName(name))).toBe('BAD_CHAIN_NAME')
  })

  it('that is refused reaches no terminal as it is', () => {
    expect(() => parseChainName('a\u001b[31m')).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('\u001b') }),
    )
  })
})

describe('folders', () => {
  const names = fc
    .string({
      unit: fc.oneof(
        fc.constantFrom('a', 'A', 'b', '.', '+', '=', '-', ' ', '/', '~', 'é', 'É', 'ß', 'K', '2'),
        fc.string({ unit: 'grapheme', maxLength: 1, minLength: 1 }),
      ),
      minLength: 1,
      maxLength: 12,
    })
    .filter((text) => {
      try {
        parseChainName(text)
        return true
      } catch {
        return false
      }
    }) as fc.Arbitrary<ChainName>

  it('say their names back, in what every disk takes', () => {
    fc.assert(
      fc.property(names, (name) => {
        const folder = folderOfChain(name)
        expect(chainOfFolder(folder)).toBe(name)
        expect(folder).toMatch(/^[a-z0-9._+=~-]+$/)
        expect(folder.length).toBeLessThanOrEqual(CHAIN_FOLDER_BYTES_MAX)
        expect(folder).not.toMatch(/^\.|\.$|^(con|nul|aux|prn)(\.|$)/)
      }),
    )
  })

  it('of two names differ, whatever their case and form', () => {
    fc.assert(
      fc.property(names, names, (a, b) => {
        const same = folderOfChain(a).toLowerCase().normalize('NFD') === folderOfChain(b).toLowerCase().normalize('NFD')
        expect(same).toBe(a === b)
      }),
    )
  })

  it.each([
    'Notes',
    'a~2',
    'a~zz',
    '~61',
    'a~ff',
    '..',
    '.x',
    'a b',
    'LOCK',
    '~7e',
    'con',
    '=',
    '',
    'a~2e~2e+',
    'a~20',
  ])('%j is the folder of no chain', (folder) => {
    expect(chainOfFolder(folder)).toBe(undefined)
  })
})
