/**
 * `npm test`: all tests on the newest Node, those of SECOND_RUN again on the system's Node, then the examples from the
 * sources and from the packed package. With arguments (parts of file names) it runs only the tests that they match.
 * `npm run test:long` adds --long: the full counts, for the files that honour them, one after the other; `-- --write`
 * keeps what came out in docs/test-long.json.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, platform, tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { runExamples } from './lib/examples.mjs'
import { environmentFor, findProgram, newestNode, root, systemNode } from './lib/nodes.mjs'
import { finish, run, secondsSince } from './lib/steps.mjs'
import { countsOf } from './lib/vitest-report.mjs'

/**
 * What runs on the system's Node too: contract suites, vectors, the file engine, and what touches the platform. The
 * chain on top of them is run there by the packed examples: its tests are slow without native post-quantum code. A file
 * opts out with a comment `@newest-node-only: reason`.
 */
const SECOND_RUN = ['crypto', 'codec', 'format', 'log', 'session', 'node'].map((name) => `packages/core/test/${name}/`)
const OPT_OUT = /@newest-node-only: *(.+)/

/** Counts of `npm run test:long`. A file that reads one of these variables belongs to the long run. */
const LONG = {
  ATE_SEEDS: '50000',
  ATE_KILLS: '2000',
  ATE_SHOP_KILLS: '200',
  ATE_RUNS: '10000',
  ATE_STRIDE: '1',
  ATE_DRAWN: '300',
  ATE_FLIP_KIB: '256',
  ATE_FLIP_BITS: '8',
  ATE_SEEDS_NET: '40',
  ATE_LEDGER_SEEDS: '300',
  ATE_CANARIES: '1000',
  ATE_VAULT_SERVED: 'open',
  ATE_CACHE_KEYS: '1000000',
  ATE_BODY_MIB: '5120',
  ATE_QUEUE_RUNS: '2000',
  ATE_QUEUE_WAITING: '1000000',
}
/** Fewer for files in which one of them costs most. */
const LONG_OF_FILE = {
  'packages/core/test/chain/fold-properties.test.ts': { ATE_RUNS: '2000' },
  'packages/core/test/chain/snapshot-state.test.ts': { ATE_RUNS: '2000' },
  'packages/core/test/data/power.test.ts': { ATE_RUNS: '500' },
  'packages/core/test/data/random.test.ts': { ATE_RUNS: '2000' },
  'packages/core/test/data/salvage.test.ts': { ATE_SEEDS: '10000' },
  'packages/core/test/log/record-slabs.test.ts': { ATE_SEEDS: '1000' },
}
const LONG_TEST_TIMEOUT_MS = 6 * 3600_000

/** Programs that single tests need; without one those tests say so and are skipped. */
const PROGRAMS = ['chromium', 'faketime', 'redis-server']

const args = process.argv.slice(2)
const long = args.includes('--long')
const writeSummary = args.includes('--write')
const filters = args.filter((arg) => !arg.startsWith('--'))

const start = performance.now()
const scratch = mkdtempSync(join(tmpdir(), 'ate-test-'))
/** @type {import('./lib/steps.mjs').Counts} */
const total = { passed: 0, failures: [] }
try {
  await main()
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
finish(long ? 'npm run test:long' : 'npm test', total, start)

async function main() {
  const newest = newestNode()
  const system = systemNode()
  const missing = PROGRAMS.filter((name) => findProgram(name) === undefined)
  if (missing.length > 0) console.log(`Not on this machine: ${missing.join(', ')}. Tests that need them are skipped.`)

  if (long) {
    await runLong(newest)
    return
  }
  await runVitest('all tests', newest, filters)
  if (system.version === newest.version) {
    console.log(`\nThe system's Node is ${system.version} too: no second run.`)
  } else {
    const files = secondRun(filters)
    if (files.length > 0) await runVitest('second run', system, files)
  }
  if (filters.length === 0) add(await runExamples({ newest, system, scratch }))
}

/** @param {import('./lib/steps.mjs').Counts} counts */
function add(counts) {
  total.passed += counts.passed
  total.failures.push(...counts.failures)
}

/**
 * @param {string} title
 * @param {{ path: string, version: string }} node
 * @param {string[]} files parts of file names; none means all
 * @param {Record<string, string>} [extra] more environment
 */
async function runVitest(title, node, files, extra = {}) {
  const begin = performance.now()
  console.log(`\n-- ${title} on Node ${node.version}`)
  const report = join(scratch, `${node.version}.json`)
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const options = ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...files]
  const { code } = await run(node.path, [vitest, ...options], { env: environmentFor(node.path, extra) })
  const counts = countsOf(report, code)
  console.log(
    `-- ${title} on Node ${node.version}: ${counts.passed} passed, ${counts.failures.length} failed, ` +
      `${counts.skipped} skipped (${secondsSince(begin)})`,
  )
  add(counts)
  return counts
}

/** @param {string} folder relative to the root, ends in a slash */
function testFiles(folder) {
  const path = join(root, folder)
  if (!existsSync(path)) return []
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => folder + name.replaceAll('\\', '/'))
    .sort()
}

/** @param {string} file */
function textOf(file) {
  return readFileSync(join(root, file), 'utf8')
}

/** @param {string[]} filters */
function secondRun(filters) {
  const files = SECOND_RUN.flatMap(testFiles).filter(
    (file) => filters.length === 0 || filters.some((filter) => file.includes(filter)),
  )
  return files.filter((file) => {
    const reason = OPT_OUT.exec(textOf(file))?.[1]
    if (reason !== undefined) console.log(`Only on the newest Node: ${file} (${reason})`)
    return reason === undefined
  })
}

/** @param {{ path: string, version: string }} newest */
async function runLong(newest) {
  const files = ['packages/', 'scripts/test/']
    .flatMap(testFiles)
    .filter((file) => !file.includes('node_modules/') && Object.keys(LONG).some((name) => textOf(file).includes(name)))
    .filter((file) => filters.length === 0 || filters.some((filter) => file.includes(filter)))
  if (files.length === 0) {
    console.log('No test file honours the long counts.')
    return
  }
  for (const file of files) {
    const counts = countsFor(file)
    const extra = { ...counts, ATE_TEST_TIMEOUT_MS: String(LONG_TEST_TIMEOUT_MS) }
    const begin = performance.now()
    const { passed, failures, skipped } = await runVitest(`long run of ${file}`, newest, [file], extra)
    const honoured = Object.entries(counts).filter(([name]) => textOf(file).includes(name))
    if (writeSummary) {
      keepLong(file, {
        date: new Date().toISOString().slice(0, 10),
        node: newest.version,
        counts: Object.fromEntries(honoured),
        passed,
        failed: failures.length,
        skipped,
        seconds: Math.round((performance.now() - begin) / 1000),
      })
    }
  }
}

/**
 * What the environment says, or what the file's own counts say, or those of all.
 * @param {string} file
 * @returns {Record<string, string>}
 */
function countsFor(file) {
  const counts = { ...LONG, ...LONG_OF_FILE[/** @type {keyof typeof LONG_OF_FILE} */ (file)] }
  return Object.fromEntries(Object.entries(counts).map(([name, value]) => [name, process.env[name] ?? value]))
}

/**
 * A file's last result beside those of the others: a run of hours is kept as far as it came, and may be made in parts.
 * @param {string} file
 * @param {object} result
 */
function keepLong(file, result) {
  const path = join(root, 'docs', 'test-long.json')
  const { files, ...others } = JSON.parse(readFileSync(path, 'utf8'))
  const summary = {
    ...others,
    machine: `${cpus()[0]?.model ?? 'unknown'} x ${cpus().length}, ${platform()}`,
    files: Object.fromEntries(Object.entries({ ...files, [file]: result }).sort(([a], [b]) => (a < b ? -1 : 1))),
  }
  writeFileSync(path, `${JSON.stringify(summary, undefined, 2)}\n`)
}
