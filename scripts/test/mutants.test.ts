import { describe, expect, it } from 'vitest'
import { instrument } from '../mutants.ts'

/** What is found in `text`, as kind and what becomes of it; and the text with mutant `on` switched on. */
function found(text: string): readonly string[] {
  return instrument('x.ts', text, 0).mutants.map(({ kind, code, change }) => `${kind} ${code} -> ${change}`)
}

/** Runs `text`, which defines `f`, with mutant `on` (-1 for none), and gives what `f` gives or throws. */
function run(text: string, on: number, ...args: readonly unknown[]): unknown {
  const { text: planted } = instrument('x.ts', text, 0)
  const body = planted.replaceAll('globalThis.__ateMutant', 'isOn')
  const f = new Function('isOn', `${body}\nreturn f`)((id: number) => id === on) as (...given: unknown[]) => unknown
  try {
    return f(...args)
  } catch (error) {
    return (error as Error).message
  }
}

describe('guards are found', () => {
  it('where an if leaves, and not where it goes on', () => {
    expect(found('function f(a) { if (a) throw new Error("no") }')).toEqual(['guard a -> never'])
    expect(found('function f(a) { if (a) { g(); return } }')).toEqual(['guard a -> never'])
    expect(found('function f(a) { if (a) g() }')).toEqual([])
  })

  it('as operands of a chain, each once, but for what narrows a type', () => {
    const operands = found('function f(a, b, c) { if (a() || b() || c()) throw 0 }').filter((one) =>
      one.startsWith('op'),
    )
    expect(operands).toHaveLength(3)
    expect(
      found('function f(a) { if (a && a.size() > 1) throw 0 }').filter((one) => one.includes('operand a ')),
    ).toEqual([])
    expect(
      found('function f(a) { if (a !== undefined && a.x()) throw 0 }').filter((one) => one.includes('operand a !')),
    ).toEqual([])
  })

  it('as boundaries, but not in the head of a loop', () => {
    expect(found('function f(a, max) { for (let i = 0; i < a; i++) if (i > max) throw 0 }')).toEqual([
      'boundary i > max -> i >= max',
      'guard i > max -> never',
    ])
  })

  it('as answers, choices, and calls that check or sync', () => {
    expect(found('const f = (a, b) => a === b')).toEqual(['answer a === b -> true', 'answer a === b -> false'])
    expect(found('function f(a) { return a() ? undefined : 5 + 1 }')).toEqual([
      'choice a() ? undefined : 5 + 1 -> 5 + 1',
    ])
    expect(found('function f(file) { file.syncNow(); checkAll(); file.other() }')).toEqual([
      'call file.syncNow(); -> left out',
      'call checkAll(); -> left out',
    ])
  })
})

describe('an instrumented text', () => {
  const text = `function f(size, max) {
  // a comment { ( that is no code
  if (size < 0 || size > max) throw new Error('too large')
  else if (size === 7) checkSeven()
  return size !== 3 && max !== 4
  function checkSeven() { throw new Error('seven') }
}`

  it('does the same with all mutants off', () => {
    const f = new Function(`${text}\nreturn f`)() as (size: number, max: number) => unknown
    for (const [size, max] of [
      [-1, 5],
      [6, 5],
      [5, 5],
      [3, 5],
      [2, 4],
      [7, 9],
    ] as const) {
      let want: unknown
      try {
        want = f(size, max)
      } catch (error) {
        want = (error as Error).message
      }
      expect(run(text, -1, size, max)).toBe(want)
    }
  })

  it('leaves out one guard with one on', () => {
    const { mutants } = instrument('x.ts', text, 0)
    const at = (kind: string, code: string): number =>
      mutants.findIndex((mutant) => mutant.kind === kind && mutant.code.startsWith(code))
    expect(run(text, at('guard', 'size < 0'), -1, 5)).toBe(true)
    expect(run(text, at('operand', 'size < 0'), -1, 5)).toBe(true)
    expect(run(text, at('operand', 'size < 0'), 6, 5)).toBe('too large')
    expect(run(text, at('boundary', 'size > max'), 5, 5)).toBe('too large')
    expect(run(text, at('call', 'checkSeven'), 7, 9)).toBe(true)
    expect(run(text, at('answer', 'size !== 3'), 3, 5)).toBe(true)
  })
})
