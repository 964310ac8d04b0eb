/**
 * `npm run bench -- cache [--scale 0.1] [--seconds 1] [--runs 3] [--only TEXT] [--engines a,b] [--json FILE]`
 * Rows C1 to C9, each engine in turn, each row in a process of its own; medians, as a table, with the goals.
 */
import { fork } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { installPeers } from '../install.ts'
import { quantile } from '../quantile.ts'
import { missing, startServer } from '../queue/servers.ts'
import { COMMON_OPTIONS, makeDataFolder, NODE_OPTIONS } from '../run.ts'
import type { CacheJob } from './child.ts'
import type { Figures } from './engine.ts'
import { CACHE_ENGINES, loadCacheEngine } from './engines.ts'
import { WORKLOADS } from './workloads.ts'

const CHILD = fileURLToPath(new URL('./child.ts', import.meta.url))
const CHILD_MS_MAX = 300_000
const SEEN = 'C9 seen by another process'

const { values } = parseArgs({
  allowPositionals: true,
  options: {
    ...COMMON_OPTIONS,
    seconds: { type: 'string', default: '1' },
    engines: { type: 'string', default: CACHE_ENGINES.join(',') },
  },
})

let count = 0
installPeers()
const base = makeDataFolder()
try {
  await benchCache()
} finally {
  rmSync(base, { recursive: true, force: true })
}

async function benchCache(): Promise<void> {
  const load = loadavg()[0]?.toFixed(1)
  console.log(`node ${process.version}, ${availableParallelism()} cores (${cpus()[0]?.model}), load ${load}`)
  const why = missing('redis memory')
  if (why !== undefined) console.log(`redis is left out: ${why}`)
  const engines = values.engines.split(',').filter((name) => name !== 'redis' || why === undefined)
  const found: Record<string, Record<string, Figures>> = {}
  const rows = [...Object.keys(WORKLOADS), SEEN].filter((name) => name.includes(values.only))
  for (const row of rows) {
    for (const engine of row === SEEN ? engines.filter((name) => name === 'ate') : engines) {
      const figures = await medianOf(engine, row)
      if (!figures) continue
      found[row] = { ...found[row], [engine]: figures }
      console.log(`${row.padEnd(30)}${engine.padEnd(12)}${textOf(figures)}`)
    }
  }
  printGoals(found)
  for (const name of engines) console.log(`${name}: ${(await loadCacheEngine(name)).note}`)
  if (values.json) writeFileSync(values.json, `${JSON.stringify(found, null, 2)}\n`)
}

function textOf(figures: Figures): string {
  return Object.entries(figures)
    .map(([name, value]) => `${name} ${value < 10 ? value.toFixed(3) : Math.round(value).toLocaleString('en')}`)
    .join(', ')
}

/** What was asked for: each a ratio of two rows of this run. */
function printGoals(found: Readonly<Record<string, Readonly<Record<string, Figures>>>>): void {
  const of = (row: string, engine: string, figure = 'a second'): number => found[row]?.[engine]?.[figure] ?? Number.NaN
  const goals: readonly (readonly [string, number, number])[] = [
    ['get hit against lru-cache, at least', of('C1 get, hit', 'ate') / of('C1 get, hit', 'lru-cache'), 0.5],
    ['with a time, at least', of('C2 get, hit, with a time', 'ate') / of('C2 get, hit, with a time', 'lru-cache'), 0.5],
    ['get hit against Redis, at least', of('C1 get, hit', 'ate') / of('C3 get, hit, 64 in flight', 'redis'), 20],
    [
      'set against Redis pipelined, at least',
      of('C6 set, 256 in flight', 'ate') / of('C6 set, 256 in flight', 'redis'),
      0.5,
    ],
  ]
  for (const [what, ratio, wanted] of goals) {
    if (Number.isFinite(ratio))
      console.log(`${what} ${wanted}: ${ratio.toFixed(2)} ${ratio >= wanted ? 'reached' : 'NOT reached'}`)
  }
  const seenMs = of(SEEN, 'ate', 'p50 ms')
  if (Number.isFinite(seenMs))
    console.log(
      `seen by another process, p50 under 1 ms: ${seenMs.toFixed(2)} ${seenMs < 1 ? 'reached' : 'NOT reached'}`,
    )
}

async function medianOf(engine: string, row: string): Promise<Figures | undefined> {
  const all: Figures[] = []
  for (let run = 0; run < Number(values.runs); run++) {
    const figures = await runRow(engine, row)
    if (typeof figures === 'string') {
      console.log(`${engine} failed in ${row}: ${figures}`)
      return undefined
    }
    if (Object.keys(figures).length === 0) return undefined
    all.push(figures)
  }
  const median = (name: string): number =>
    quantile(
      all.map((one) => one[name] ?? Number.NaN),
      0.5,
    )
  return Object.fromEntries(Object.keys(all[0] ?? {}).map((name) => [name, median(name)]))
}

async function runRow(engine: string, row: string): Promise<Figures | string> {
  const folder = join(base, `${count++}`)
  mkdirSync(folder, { recursive: true })
  const server = engine === 'redis' ? await startServer('redis memory', folder) : undefined
  const job: CacheJob = {
    part: row === SEEN ? 'seen' : 'row',
    engine,
    row,
    folder,
    port: server?.port ?? 0,
    scale: Number(values.scale),
    seconds: Number(values.seconds),
  }
  try {
    return await runChild(job)
  } finally {
    await server?.stop()
  }
}

function runChild(job: CacheJob): Promise<Figures | string> {
  return new Promise((resolve) => {
    const child = fork(CHILD, [JSON.stringify(job)], { execArgv: [...NODE_OPTIONS], silent: true })
    const timer = setTimeout(() => child.kill('SIGKILL'), CHILD_MS_MAX)
    let errors = ''
    let figures: Figures | undefined
    child.stderr?.on('data', (text) => {
      errors += text
    })
    child.on('message', (message) => {
      figures = message as Figures
    })
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve(
        figures ??
          errors
            .trim()
            .split('\n')
            .find((line) => line.includes('Error')) ??
          `it ended with ${code}`,
      )
    })
  })
}
