/**
 * Vitest's setup file under scripts/mutate.ts: the switch that instrumented sources ask, and what is done with it. The
 * tests of a file run once with all mutants off, which shows what each test reaches and how long it takes. Then, behind
 * the last one, each mutant of ATE_MUTANTS_TODO is switched on in turn, and the tests that reach it run until one fails.
 * So a file is loaded once for all of its mutants. Messages go to the file ATE_MUTANTS_OUT, one JSON a line.
 */
import { appendFileSync, readFileSync } from 'node:fs'
import process from 'node:process'
import { afterAll, afterEach, beforeEach, type TestContext } from 'vitest'
import { getFn, getHooks } from 'vitest/suite'

type Test = TestContext['task']
type Suite = Test['file']

interface Known {
  readonly test: Test
  readonly ms: number
  /** What it costs on a machine that does nothing else, about: processor time, or a tenth of the clock's if that is more. */
  readonly costMs: number
  readonly reached: ReadonlySet<number>
}

/** Slower than this many times, and by so many ms, is a mutant that hangs. */
const SLOWER = 5
const SLACK_MS = 8000
/** A quick pass takes tests that cost up to this many ms, and of those so many as fit into four times that. */
const quickMs = Number(process.env['ATE_MUTANTS_QUICK_MS'] ?? Number.POSITIVE_INFINITY)

const out = process.env['ATE_MUTANTS_OUT']!
const todo: readonly number[] = JSON.parse(readFileSync(process.env['ATE_MUTANTS_TODO']!, 'utf8'))
/** A mutant that is on from the beginning: the tests run as always. */
const alone = process.env['ATE_MUTANTS_ALONE']
const known: Known[] = []
let active = Number(alone ?? -1)
/** By id: 1 if the test that runs has asked for it. */
const asked = new Uint8Array(65_536)
let deadline = Number.POSITIVE_INFINITY
let begun = 0
let begunCpu = process.cpuUsage()

Object.assign(globalThis, {
  __ateMutant(id: number): boolean {
    if (active < 0) {
      asked[id] = 1
      return false
    }
    if (id !== active) return false
    if (performance.now() > deadline) throw new Error('the mutant hangs')
    return true
  },
})

function say(message: object): void {
  appendFileSync(out, `${JSON.stringify(message)}\n`)
}

say({ pid: process.pid })

beforeEach(() => {
  asked.fill(0)
  begun = performance.now()
  begunCpu = process.cpuUsage()
})

afterEach(({ task }) => {
  const ms = performance.now() - begun
  const { user, system } = process.cpuUsage(begunCpu)
  const costMs = Math.max((user + system) / 1000, ms / 10)
  const reached = new Set<number>()
  for (let id = asked.indexOf(1); id >= 0; id = asked.indexOf(1, id + 1)) reached.add(id)
  known.push({ test: task, ms, costMs, reached })
})

afterAll(async () => {
  if (alone !== undefined) return
  if (known.some(({ test }) => test.result?.state === 'fail')) return
  const all = new Set(known.flatMap((one) => [...one.reached]))
  say({ reached: [...all] })
  for (const id of todo) {
    if (!all.has(id)) continue
    const tests = within(known.filter((one) => one.reached.has(id)).sort((a, b) => a.costMs - b.costMs))
    if (tests.length === 0) continue
    const limitMs = SLOWER * tests.reduce((sum, one) => sum + one.ms, 0) + SLACK_MS
    say({ begin: id, limitMs })
    const found = await catching(id, tests)
    if (found === 'unsure') say({ unsure: id })
    else say({ end: id, ...(found ? { by: found.test.name, says: found.says } : {}) })
  }
  say({ done: true })
}, 24 * 3_600_000)

function within(sorted: readonly Known[]): readonly Known[] {
  let sum = 0
  return sorted.filter(({ costMs }) => {
    sum += costMs
    return costMs <= quickMs && sum <= 4 * quickMs
  })
}

/** Tests that fail here without a mutant: they cannot be run twice, or a mutant left something behind. */
const spoiled = new Set<Test>()
/** Tests that have passed a second time: they are tried without the mutant only after one failed with it. */
const lasting = new Set<Test>()

/** The first test that passes without the mutant and fails with it; 'unsure' if none does and some are spoiled. */
async function catching(
  id: number,
  tests: readonly Known[],
): Promise<{ readonly test: Test; readonly says: string } | 'unsure' | undefined> {
  for (const { test, ms } of tests) {
    const limitMs = SLOWER * ms + SLACK_MS
    if (spoiled.has(test)) continue
    const passes = async (): Promise<boolean> => (await failure(test, -1, limitMs)) === undefined
    const isFirst = !lasting.has(test)
    if (isFirst && !(await passes())) {
      spoiled.add(test)
      continue
    }
    lasting.add(test)
    const says = await failure(test, id, limitMs)
    if (says === undefined) continue
    const lasts = await passes()
    if (!lasts) spoiled.add(test)
    // Else a mutant before this one may have done it.
    if (lasts || isFirst) return { test, says }
  }
  return tests.some(({ test }) => spoiled.has(test)) ? 'unsure' : undefined
}

/** What the test says with that mutant on; undefined if it passes. */
async function failure(test: Test, id: number, limitMs: number): Promise<string | undefined> {
  const suites: Suite[] = []
  for (let suite = test.suite as Suite | undefined; suite; suite = suite.suite as Suite | undefined)
    suites.unshift(suite)
  // The file's own hooks are among them, ours too: those do no harm.
  const hooks = suites.map((suite) => getHooks(suite))
  active = id
  deadline = performance.now() + limitMs
  const run = async (): Promise<void> => {
    for (const { beforeEach: before } of hooks) for (const hook of before) await hook(test.context as never, test.file)
    try {
      await getFn(test)()
    } finally {
      for (const { afterEach: after } of hooks) for (const hook of after) await hook(test.context as never, test.file)
    }
  }
  let timer: NodeJS.Timeout | undefined
  const hangs = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('the mutant hangs')), limitMs)
  })
  const before = known.length
  try {
    await Promise.race([run(), hangs])
    return undefined
  } catch (error) {
    return String((error as Error | undefined)?.message ?? error).slice(0, 300)
  } finally {
    clearTimeout(timer)
    known.length = before
    active = -1
  }
}
