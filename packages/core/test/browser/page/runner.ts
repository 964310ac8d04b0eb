/** As much of a test runner as the contract suites ask for, for a page: tests are gathered, then run one after the other. */
import type { SuiteRunner } from '../../../src/testing/log-suite.ts'

export interface Outcome {
  readonly name: string
  /** Undefined if it passed. */
  readonly problem: string | undefined
}

/** The outcome of each test that `declare` declares. */
export async function runTests(declare: (runner: SuiteRunner) => void): Promise<Outcome[]> {
  const tests: { readonly name: string; readonly body: () => Promise<void> }[] = []
  const path: string[] = []
  declare({
    describe(name, body) {
      path.push(name)
      body()
      path.pop()
    },
    it: (name, body) => void tests.push({ name: [...path, name].join(' > '), body }),
    expect: expectThat,
  })
  const outcomes: Outcome[] = []
  for (const { name, body } of tests) {
    try {
      await body()
      outcomes.push({ name, problem: undefined })
    } catch (error) {
      outcomes.push({ name, problem: error instanceof Error ? `${error.message}\n${error.stack}` : String(error) })
    }
  }
  return outcomes
}

function expectThat(actual: unknown): { toBe(expected: unknown): void; toEqual(expected: unknown): void } {
  return {
    toBe(expected) {
      if (!Object.is(actual, expected)) throw new Error(`expected ${shown(expected)}, got ${shown(actual)}`)
    },
    toEqual(expected) {
      if (shown(actual) !== shown(expected)) throw new Error(`expected ${shown(expected)}, got ${shown(actual)}`)
    },
  }
}

/** Plain values, typed arrays and undefined, with the keys of objects in order. */
function shown(value: unknown): string {
  if (value instanceof Uint8Array) return `bytes(${value.join(',')})`
  if (Array.isArray(value)) return `[${value.map(shown).join(', ')}]`
  if (typeof value !== 'object' || value === null)
    return typeof value === 'bigint' ? `${value}n` : String(JSON.stringify(value))
  const fields = Object.entries(value).filter(([, field]) => field !== undefined)
  return `{${fields
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, field]) => `${name}: ${shown(field)}`)
    .join(', ')}}`
}
