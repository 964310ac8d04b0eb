/**
 * `npm run test:mutants -- log trust`: takes the guards of an area out, one at a time, and runs the tests that reach each
 * of them until one fails. A mutant that no test notices is printed; those of scripts/mutants-kept.json, with the
 * reason why they may stay, are only counted. Not part of `npm test`: it takes minutes to an hour an area.
 *
 *     --file=NAME   only the sources whose path contains NAME
 *     --tests=NAME  only the test files whose path contains NAME
 *     --quick       quick tests only: what is left may still fall to a long one; --quick=300 takes those of 300 ms
 *     --kept        tries those too that may stay: is the reason still true?
 *     --fresh       forgets what earlier runs found (mutants of an unchanged source that were caught are not run again)
 *     --write       keeps what was caught in scripts/mutants-caught.json too, from where every checkout takes it up
 */
import { createHash } from 'node:crypto'
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { getPriority, setPriority, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import process from 'node:process'
import { createVitest, type TestSpecification, type Vitest } from 'vitest/node'
import { fromSources } from '../vitest.config.ts'
import { root } from './lib/nodes.mjs'
import { instrument, type Mutant } from './mutants.ts'

interface Area {
  /** Sources, relative to packages/core/src. */
  readonly sources: RegExp
  /** Folders of packages/core/test, the nearest first. */
  readonly tests: readonly string[]
}

/** Attacks and refusals first: what random programs find, they find slowly. */
const CHAIN: readonly string[] = [
  ...['fold-edges', 'signature-answers', 'fold-refusals', 'fold-attacks', 'replica'].map((name) => `chain/${name}`),
  'chain/',
]
const AREAS: Readonly<Record<string, Area>> = {
  log: {
    sources: /^log\//,
    // The quick ones first; what is left meets the long ones.
    tests: [
      ...['frame', 'suite', 'ring', 'manifest', 'faults', 'damage', 'segments', 'compact'].map(
        (name) => `log/file-${name}`,
      ),
      'log/',
      ...['salvage', 'destroy', 'doctor'].map((name) => `data/${name}`),
      'node/file-system',
    ],
  },
  trust: { sources: /^trust\//, tests: ['trust/', ...CHAIN] },
  event: { sources: /^event\//, tests: ['event/genesis', 'event/ra', 'event/run', 'event/', 'format/', ...CHAIN] },
  crypto: { sources: /^crypto\//, tests: ['crypto/', 'session/', 'event/', ...CHAIN] },
  fold: {
    sources: /^chain\/(fold.*|replica|record-hashes|accept-recovery|settle|signature-answers|verify-ahead)\.ts$/,
    tests: CHAIN,
  },
  proof: {
    sources:
      /^(data\/(verify-proof|proof-.*|prove|evidence|compare-head|check-head|head-evidence|evidence-base|persons|recover|append-recovery)|chain\/(snapshot.*|signed-parts|recovered|statements|covering-attestation)|session\/(remembered-heads|known-recoveries))\.ts$/,
    tests: [
      ...['forged-proofs', 'prove', 'evidence'].map((name) => `data/${name}`),
      'chain/snapshot',
      'chain/statements',
      'chain/covering-attestation',
      'session/remembered-heads',
      ...['snapshots', 'persons', 'recover', 'opening', 'verify-place'].map((name) => `data/${name}`),
      ...['forks', 'offline', 'evil-history', 'recover-served'].map((name) => `mesh/${name}`),
    ],
  },
  mesh: {
    sources:
      /^mesh\/(admission|chain-name|client-tickets|cookie|counted-table|frames|handshake-.*|key-messages|messages|outbox-bound|refused|server-pins|server-tickets|session-proof|succession|token-bucket|wire)\.ts$/,
    tests: [
      ...[
        'edges',
        'messages',
        'wire',
        'chain-name',
        'session-proof',
        'server-pins',
        'admission',
        'outbox-bound',
        'serve-options',
      ],
      ...['handshake', 'host-bounds', 'hostile', 'remote', 'evil', 'forks'],
    ].map((name) => `mesh/${name}`),
  },
}
/** Counts of random tests while mutants run: enough to catch, small enough to go on. */
const COUNTS = {
  ATE_DRAWN: '3',
  ATE_SEEDS: '60',
  ATE_KILLS: '2',
  ATE_RUNS: '12',
  ATE_STRIDE: '5',
  ATE_FLIP_KIB: '8',
}

/** Processor time that the tests of a quick pass take at most, each. */
const QUICK_MS = 60
/** How often a test file is begun anew because mutants spoiled its tests. */
const ROUNDS_MAX = 30
/** ms that a file may take with a mutant on from its beginning. */
const ALONE_MS = 300_000
const cache = join(root, 'node_modules/.cache/ate-mutants')
const recordPath = join(root, 'scripts/mutants-caught.json')
/** A copy, so that the tree can be worked on meanwhile. */
const copy = mkdtempSync(join(tmpdir(), 'ate-mutants-'))
const src = join(copy, 'packages/core/src')
const out = join(copy, 'messages.jsonl')
const list = join(copy, 'todo.json')

function copyTree(): void {
  const left: readonly string[] = ['node_modules', '.git', '.turbo', 'dist', 'bench', 'examples']
  cpSync(root, copy, { recursive: true, filter: (path) => !left.includes(basename(path)) })
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
}

interface Site extends Mutant {
  readonly file: string
  readonly id: number
  /** Names the mutant as long as its source does not change. */
  readonly key: string
}

interface Message {
  readonly pid?: number
  readonly reached?: readonly number[]
  readonly begin?: number
  readonly limitMs?: number
  readonly end?: number
  readonly by?: string
  readonly says?: string
  readonly unsure?: number
  readonly done?: boolean
}

interface Caught {
  readonly by: string
  readonly says: string
}

/** All sources of the area with their mutants switched off, by absolute path. */
function plant(area: Area): { readonly sites: readonly Site[]; readonly texts: ReadonlyMap<string, string> } {
  const sites: Site[] = []
  const texts = new Map<string, string>()
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).map((name) => name.replaceAll('\\', '/'))
  for (const file of files.filter((name) => area.sources.test(name)).sort()) {
    const text = readFileSync(join(src, file), 'utf8')
    const { mutants, text: planted } = instrument(file, text, sites.length)
    texts.set(join(src, file), planted)
    for (const [i, mutant] of mutants.entries()) {
      const key = createHash('sha256').update(`${text}\n${file} ${i}`).digest('hex').slice(0, 32)
      sites.push({ ...mutant, file, id: sites.length, key })
    }
  }
  return { sites, texts }
}

async function startVitest(texts: ReadonlyMap<string, string>): Promise<Vitest> {
  const plugin = {
    name: 'mutants',
    enforce: 'pre' as const,
    transform: (_code: string, id: string) => texts.get(id.split('?')[0]!),
  }
  const options = {
    root: copy,
    // Not that of the tree: there the tests of one process share their modules, and here each file needs its own.
    config: false as const,
    include: ['packages/core/test/**/*.test.ts'],
    globalSetup: [join(copy, 'scripts/test/home.ts')],
    watch: false,
    testTimeout: 600_000,
    // Hooks in their order: ours comes before a file takes away what its tests use.
    sequence: { hooks: 'list' as const },
    maxWorkers: 1,
    fileParallelism: false,
    reporters: [{}],
    setupFiles: [join(copy, 'scripts/mutate-setup.ts')],
  }
  return createVitest('test', options, { ...fromSources, plugins: [plugin] })
}

function messages(): readonly Message[] {
  const lines = existsSync(out) ? readFileSync(out, 'utf8').trim().split('\n') : []
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line))
}

/** Ends the worker if one mutant takes much longer than it may: it loops where it is not asked. */
function watch(): () => void {
  let last = 0
  let since = performance.now()
  const timer = setInterval(() => {
    const all = messages()
    if (all.length !== last) since = performance.now()
    last = all.length
    const newest = all.at(-1)
    const pid = all.findLast((message) => message.pid !== undefined)?.pid
    if (newest?.begin !== undefined && pid !== undefined && performance.now() - since > 2 * newest.limitMs!) {
      process.kill(pid, 'SIGKILL')
    }
  }, 2000)
  return () => clearInterval(timer)
}

/** One run of a test file: what it says of the mutants in `todo`. */
async function runOnce(vitest: Vitest, spec: TestSpecification, todo: readonly number[]): Promise<readonly Message[]> {
  rmSync(out, { force: true })
  writeFileSync(list, JSON.stringify(todo))
  const stop = watch()
  try {
    const { testModules } = await vitest.runTestSpecifications([spec])
    const said = messages()
    if (said.some((message) => message.reached)) return said
    const test = testModules.flatMap((module) => [...module.children.allTests('failed')])[0]
    const why = test ? `${test.fullName}: ${test.result().errors?.[0]?.message}` : testModules[0]?.errors()[0]?.message
    throw new Error(`${spec.moduleId} fails without any mutant: ${why}`)
  } finally {
    stop()
  }
}

/** A run of the file with one mutant on from the beginning, for tests that cannot be run twice. */
async function aloneCaught(vitest: Vitest, spec: TestSpecification, id: number): Promise<Caught | undefined> {
  process.env['ATE_MUTANTS_ALONE'] = String(id)
  rmSync(out, { force: true })
  const timer = setTimeout(() => {
    const pid = messages().at(-1)?.pid
    if (pid !== undefined) process.kill(pid, 'SIGKILL')
  }, ALONE_MS)
  try {
    const { testModules, unhandledErrors } = await vitest.runTestSpecifications([spec])
    const [bad] = testModules.filter((module) => !module.ok())
    if (!bad && unhandledErrors.length === 0) return undefined
    const test = bad && [...bad.children.allTests('failed')][0]
    return { by: test?.name ?? 'the whole file', says: String(test?.result().errors?.[0]?.message).slice(0, 300) }
  } finally {
    clearTimeout(timer)
    delete process.env['ATE_MUTANTS_ALONE']
  }
}

/**
 * Runs a test file until each mutant that it reaches had its turn. A mutant that ends the process costs a new one; those
 * for which tests were spoiled by others are tried again in a new one, and at last, but for a quick pass, each alone.
 */
async function tryAll(
  vitest: Vitest,
  spec: TestSpecification,
  todo: readonly number[],
  quick: boolean,
  onResult: (id: number, caught: Caught | undefined) => void,
): Promise<ReadonlySet<number>> {
  let left = todo
  for (let round = 1; ; round++) {
    const said = await runOnce(vitest, spec, left)
    const reached = new Set(said.flatMap((message) => message.reached ?? []))
    const ended = said.filter((message) => message.end !== undefined)
    for (const { end, by, says = '' } of ended) onResult(end!, by === undefined ? undefined : { by, says })
    const unsure = said.flatMap((message) => message.unsure ?? [])
    const fallen = said.at(-1)?.begin
    if (fallen !== undefined) {
      onResult(fallen, { by: 'its process ended', says: '' })
      const over = new Set([fallen, ...ended.map((message) => message.end!)])
      left = left.filter((id) => !over.has(id))
      continue
    }
    if (unsure.length === 0) return reached
    if (round < ROUNDS_MAX && ended.length > 0) {
      left = unsure
      continue
    }
    for (const id of quick ? [] : unsure) onResult(id, await aloneCaught(vitest, spec, id))
    return reached
  }
}

interface Kept {
  readonly file: string
  readonly kind: string
  readonly code: string
  readonly change: string
  readonly why: string
}

const kept: readonly Kept[] = JSON.parse(readFileSync(join(root, 'scripts/mutants-kept.json'), 'utf8'))

function keptEntry(site: Site): Kept | undefined {
  const isIt = (entry: Kept): boolean =>
    entry.file === site.file && entry.kind === site.kind && entry.code === site.code && entry.change === site.change
  return kept.find(isIt)
}

function show({ file, line, kind, code, change }: Site): string {
  return `packages/core/src/${file}:${line} ${kind}: ${code.slice(0, 160)}  ->  ${change.slice(0, 80)}`
}

interface RunOptions {
  readonly part: string
  readonly testPart: string
  readonly fresh: boolean
  /** Whether those are tried that may stay. */
  readonly kept: boolean
  readonly passes: readonly ('quick' | 'all')[]
  readonly quickMs: number
  readonly write: boolean
}

async function run(name: string, area: Area, options: RunOptions): Promise<number> {
  const memory = join(cache, `${name}.jsonl`)
  if (options.fresh) rmSync(memory, { force: true })
  const { sites: every, texts } = plant(area)
  const caught = options.fresh ? new Set<string>() : recorded(every)
  if (existsSync(memory)) {
    for (const line of readFileSync(memory, 'utf8').trim().split('\n').filter(Boolean)) caught.add(JSON.parse(line).key)
  }
  const sites = every.filter((site) => site.file.includes(options.part))
  const tried = options.kept ? sites : sites.filter((site) => keptEntry(site) === undefined)
  const vitest = await startVitest(texts)
  const reached = new Set<number>()
  try {
    const filters = area.tests.map((part) => `packages/core/test/${part}`)
    const tests = join(copy, 'packages/core/test/')
    const rank = (spec: TestSpecification): number =>
      filters.findIndex((part) => spec.moduleId.slice(copy.length + 1).startsWith(part))
    const all = await vitest.globTestSpecifications(filters)
    const wanted = all.filter(({ moduleId }) => moduleId.slice(tests.length).includes(options.testPart))
    const specs = wanted.sort((a, b) => rank(a) - rank(b))
    for (const pass of options.passes) {
      if (pass === 'quick') process.env['ATE_MUTANTS_QUICK_MS'] = String(options.quickMs)
      else delete process.env['ATE_MUTANTS_QUICK_MS']
      for (const spec of specs) {
        const file = spec.moduleId.slice(tests.length)
        const todo = tried.filter((site) => !caught.has(site.key)).map(({ id }) => id)
        const begin = performance.now()
        let count = 0
        const ids = await tryAll(vitest, spec, todo, pass === 'quick', (id, found) => {
          if (!found) return
          const site = every[id]!
          count++
          caught.add(site.key)
          appendFileSync(memory, `${JSON.stringify({ key: site.key, at: show(site), file, ...found })}\n`)
        })
        for (const id of ids) reached.add(id)
        const seconds = ((performance.now() - begin) / 1000).toFixed(0)
        console.log(`${name}, ${pass} tests: ${file} catches ${count} of ${todo.length} in ${seconds} s`)
      }
    }
  } finally {
    await vitest.close()
  }
  if (options.write) record(every, caught)
  return report(name, sites, { caught, reached })
}

/** By source: the sum of its bytes, and its mutants in their order, `1` for each that a test caught. */
type Caughts = Record<string, { readonly source: string; readonly caught: string }>

function readRecord(): Caughts {
  return existsSync(recordPath) ? JSON.parse(readFileSync(recordPath, 'utf8')) : {}
}

function sumOf(file: string): string {
  return createHash('sha256')
    .update(readFileSync(join(src, file)))
    .digest('hex')
    .slice(0, 16)
}

/** Keys of those that were caught when their source was what it is now. */
function recorded(every: readonly Site[]): Set<string> {
  const keys = new Set<string>()
  for (const [file, { source, caught }] of Object.entries(readRecord())) {
    const sites = every.filter((site) => site.file === file)
    if (sites.length !== caught.length || source !== sumOf(file)) continue
    for (const [i, site] of sites.entries()) if (caught[i] === '1') keys.add(site.key)
  }
  return keys
}

function record(every: readonly Site[], caught: ReadonlySet<string>): void {
  const all = readRecord()
  for (const file of new Set(every.map((site) => site.file))) {
    const bits = every.filter((site) => site.file === file).map((site) => (caught.has(site.key) ? '1' : '0'))
    all[file] = { source: sumOf(file), caught: bits.join('') }
  }
  const sorted = Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)))
  writeFileSync(recordPath, `${JSON.stringify(sorted, null, 2)}\n`)
}

function report(
  name: string,
  sites: readonly Site[],
  found: { readonly caught: ReadonlySet<string>; readonly reached: ReadonlySet<number> },
): number {
  let [caught, reasons, unknown] = [0, 0, 0]
  // An entry may name several places of the same text.
  const needed = new Set(sites.filter((site) => !found.caught.has(site.key)).map(keptEntry))
  for (const site of sites) {
    const isCaught = found.caught.has(site.key)
    const entry = keptEntry(site)
    if (isCaught) caught++
    else if (entry === undefined) unknown++
    else reasons++
    if (isCaught && entry && !needed.has(entry)) console.log(`NO LONGER NEEDED in mutants-kept.json: ${show(site)}`)
    const note = found.reached.has(site.id) ? '' : ' (no test reaches it)'
    if (!isCaught && entry === undefined) console.log(`SURVIVES${note} ${show(site)}`)
  }
  console.log(`${name}: ${sites.length} mutants, ${caught} caught, ${reasons} kept for a reason, ${unknown} survive`)
  return unknown
}

const args = process.argv.slice(2)
const names = args.filter((arg) => !arg.startsWith('--'))
const given = (name: string): string => args.find((arg) => arg.startsWith(`--${name}=`))?.split('=')[1] ?? ''
const [part, testPart] = [given('file'), given('tests')]
// Most mutants fall to a test of some milliseconds; only the others are worth the long ones.
const quick = args.find((arg) => arg === '--quick' || arg.startsWith('--quick='))
const quickMs = Number(quick?.split('=')[1] ?? QUICK_MS)
const passes = quick === undefined ? (['quick', 'all'] as const) : (['quick'] as const)
mkdirSync(cache, { recursive: true })
copyTree()
setPriority(Math.max(getPriority(), 5))
Object.assign(process.env, COUNTS, { ATE_MUTANTS_OUT: out, ATE_MUTANTS_TODO: list })
let unknown = 0
try {
  for (const name of names.length > 0 ? names : Object.keys(AREAS)) {
    const area = AREAS[name]
    if (!area) throw new Error(`no area ${name}: there are ${Object.keys(AREAS).join(', ')}`)
    const [fresh, kept, write] = ['--fresh', '--kept', '--write'].map((flag) => args.includes(flag)) as [
      boolean,
      boolean,
      boolean,
    ]
    unknown += await run(name, area, { part, testPart, fresh, kept, passes, quickMs, write })
  }
} finally {
  rmSync(copy, { recursive: true, force: true })
}
process.exitCode = unknown === 0 ? 0 : 1
