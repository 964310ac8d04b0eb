/**
 * `npm run bench -- queue [--scale 0.1] [--seconds 2] [--runs 3] [--only TEXT] [--engines a,b] [--json FILE]`
 * Rows Q1 to Q9, each engine in turn, each row in a process and on a server of its own; medians, as a table.
 */
import { fork } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { installPeers } from '../install.ts'
import { quantile } from '../quantile.ts'
import { COMMON_OPTIONS, makeDataFolder, NODE_OPTIONS, withFolder } from '../run.ts'
import type { QueueJob } from './child.ts'
import type { Figures } from './engine.ts'
import { loadQueueEngine, QUEUE_ENGINES, serverOf } from './engines.ts'
import { recovery } from './recovery.ts'
import { missing, startServer } from './servers.ts'
import { WORKLOADS } from './workloads.ts'

const CHILD = fileURLToPath(new URL('./child.ts', import.meta.url))
const CHILD_MS_MAX = 600_000
const ONCE = 'Q8'
const RECOVERY = 'Q9 killed with 100 leases'

const { values } = parseArgs({
  allowPositionals: true,
  options: {
    ...COMMON_OPTIONS,
    seconds: { type: 'string', default: '2' },
    engines: { type: 'string', default: QUEUE_ENGINES.join(',') },
  },
})

installPeers()
const base = makeDataFolder()
try {
  await benchQueue()
} finally {
  rmSync(base, { recursive: true, force: true })
}

async function benchQueue(): Promise<void> {
  console.log(
    `node ${process.version}, ${availableParallelism()} cores (${cpus()[0]?.model}), load ${loadavg()[0]?.toFixed(1)}`,
  )
  const engines = values.engines.split(',').filter(isThere)
  const found: Record<string, Record<string, Figures>> = {}
  for (const row of Object.keys(WORKLOADS).filter((name) => name.includes(values.only))) {
    for (const engine of engines) {
      const figures = await medianOf(engine, row)
      if (!figures) continue
      const { durability } = await loadQueueEngine(engine)
      found[row] = { ...found[row], [engine]: figures }
      console.log(`${row.padEnd(34)}${`${engine} (${durability})`.padEnd(24)}${textOf(figures)}`)
    }
  }
  if (RECOVERY.includes(values.only) && engines.includes('ate')) {
    const figures = await withFolder(base, 'recovery', recovery)
    found[RECOVERY] = { ate: figures }
    console.log(`${RECOVERY.padEnd(34)}${'ate (disk)'.padEnd(24)}${textOf(figures)}`)
  }
  console.log('disk: synced before the answer; os: the system has it; memory: nothing stored. Compare equal classes.')
  for (const name of engines) console.log(`${name}: ${(await loadQueueEngine(name)).note}`)
  if (values.json) writeFileSync(values.json, `${JSON.stringify(found, null, 2)}\n`)
}

function isThere(engine: string): boolean {
  const why = missing(serverOf(engine))
  if (why !== undefined) console.log(`${engine} is left out: ${why}`)
  return why === undefined
}

async function medianOf(engine: string, row: string): Promise<Figures | undefined> {
  const all: Figures[] = []
  const runs = row.startsWith(ONCE) ? 1 : Number(values.runs)
  for (let run = 0; run < runs; run++) {
    const figures = await withFolder(base, `${all.length}`, (folder) => runRow(engine, row, folder))
    if (typeof figures === 'string') {
      console.log(`${engine} failed in ${row}: ${figures}`)
      return undefined
    }
    if (Object.keys(figures).length === 0) return undefined
    all.push(figures)
  }
  const names = Object.keys(all[0] ?? {})
  return Object.fromEntries(
    names.map((name) => [
      name,
      quantile(
        all.map((one) => one[name] ?? Number.NaN),
        0.5,
      ),
    ]),
  )
}

async function runRow(engine: string, row: string, folder: string): Promise<Figures | string> {
  const server = await startServer(serverOf(engine), folder)
  const job: QueueJob = {
    engine,
    row,
    folder,
    port: server.port,
    scale: Number(values.scale),
    seconds: Number(values.seconds),
  }
  try {
    return await runChild(job)
  } finally {
    await server.stop()
  }
}

function runChild(job: QueueJob): Promise<Figures | string> {
  return new Promise((resolve) => {
    const child = fork(CHILD, [JSON.stringify(job)], { execArgv: [...NODE_OPTIONS], silent: true })
    const timer = setTimeout(() => child.kill('SIGKILL'), CHILD_MS_MAX)
    let figures: Figures | undefined
    let errors = ''
    child.on('message', (message) => {
      figures = message as Figures
    })
    child.stdout?.resume()
    child.stderr?.on('data', (data) => {
      errors = (errors + data).slice(-5000)
    })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      const line = errors.split('\n').find((text) => /Error/.test(text))
      resolve(figures ?? line ?? `ended by ${signal ?? code}`)
    })
  })
}

function textOf(figures: Figures): string {
  return Object.entries(figures)
    .filter(([, value]) => !Number.isNaN(value))
    .map(([name, value]) => `${name} ${value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(2)}`)
    .join(', ')
}
