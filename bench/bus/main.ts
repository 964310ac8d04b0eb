/**
 * `npm run bench -- bus [--runs 3] [--seconds 1.5] [--scale 0.1] [--only TEXT] [--engines ate,nats] [--json FILE]`
 * Us and NATS in turn; the medians of the runs, beside the class of what an answered write survives.
 */
import { fork } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { installPeers } from '../install.ts'
import { quantile } from '../quantile.ts'
import { makeDataFolder, NODE_OPTIONS, withFolder } from '../run.ts'
import { engine as nats } from './nats.ts'
import { engine as ate } from './us.ts'
import type { BusFigures, BusJob } from './workloads.ts'

interface Row {
  readonly metric: string
  readonly unit: string
  readonly workload: string
  readonly figure: string
}

const row = (metric: string, unit: string, workload: string, figure: string): Row => ({
  metric,
  unit,
  workload,
  figure,
})

function publishRows(bytes: string, inFlight: string): Row[] {
  const name = `B2 publish ${bytes} B, ${inFlight} in flight`
  const workload = `publish-${bytes}-${inFlight}`
  return [
    row(name, 'events/s', workload, 'rate'),
    ...['p50', 'p95', 'p99'].map((figure) => row(`${name}, ${figure}`, 'ms', workload, figure)),
    row(`${name}, stored`, 'bytes/event', workload, 'bytes'),
  ]
}

const ROWS: readonly Row[] = [
  row('B1 an event that is not stored, one listener', 'events/s', 'emit', 'rate'),
  ...publishRows('128', '1'),
  ...publishRows('128', '500'),
  ...publishRows('1024', '1'),
  ...publishRows('1024', '500'),
  row('B3 durable consume with its cursor', 'events/s', 'consume', 'rate'),
  row('B3 the same, with an effect in the same commit', 'events/s', 'consume', 'effects'),
  row('B4 cold replay', 'events/s', 'replay', 'rate'),
  row('B4 cold replay, memory grown by', 'MiB', 'replay', 'grown'),
  row('B5 fan-out to 4 listeners', 'deliveries/s', 'fanout', 'rate'),
  ...['p50', 'p95', 'p99'].map((figure) =>
    row(`B6 request and reply, stored, ${figure}`, 'ms', 'request-stored', figure),
  ),
  ...['p50', 'p95', 'p99'].map((figure) =>
    row(`B6 request and reply, not stored, ${figure}`, 'ms', 'request-passing', figure),
  ),
  row('B7 memory for a consumer that stands still', 'MiB', 'slow', 'grown'),
  row('B7 memory for as many events without one', 'MiB', 'slow', 'plain'),
]
/** A request of NATS is never stored. */
const LEFT_OUT: ReadonlySet<string> = new Set(['nats request-stored'])
const EVENTS = 1_000_000
const CHILD = fileURLToPath(new URL('./child.ts', import.meta.url))

const { values } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '1.5' },
    scale: { type: 'string', default: '0.1' },
    only: { type: 'string', default: '' },
    engines: { type: 'string', default: 'ate,nats' },
    json: { type: 'string' },
  },
})
const engines = values.engines.split(',')
const rows = ROWS.filter(({ metric }) => metric.includes(values.only))
const found = new Map<string, BusFigures[]>()
if (engines.includes('nats')) installPeers()
const base = makeDataFolder()
try {
  console.log(`node ${process.version}, ${availableParallelism()} cores (${cpus()[0]?.model}), data in ${base}`)
  for (const workload of new Set(rows.map((one) => one.workload))) await measure(workload)
} finally {
  rmSync(base, { recursive: true, force: true })
}
report()

async function measure(workload: string): Promise<void> {
  for (let run = 0; run < Number(values.runs); run++) {
    for (const engine of engines) {
      const key = `${engine} ${workload}`
      if (LEFT_OUT.has(key)) continue
      const figures = await withFolder(base, key.replace(' ', '-'), (folder) =>
        runChild({
          engine,
          workload,
          folder,
          seconds: Number(values.seconds),
          events: Math.round(EVENTS * Number(values.scale)),
        }),
      )
      if (figures) found.set(key, [...(found.get(key) ?? []), figures])
      else console.log(`${engine} failed in ${workload}`)
    }
  }
}

function runChild(job: BusJob): Promise<BusFigures | undefined> {
  return new Promise((resolve) => {
    const child = fork(CHILD, [JSON.stringify(job)], { execArgv: [...NODE_OPTIONS] })
    let figures: BusFigures | undefined
    child.on('message', (message) => {
      figures = message as BusFigures
    })
    child.on('close', () => resolve(figures))
  })
}

function report(): void {
  const classes = new Map([ate, nats].map(({ name, durability }) => [name, durability]))
  const heads = engines.map((name) => `${name} (${classes.get(name)})`)
  const lines = rows.map(({ metric, unit, workload, figure }) => {
    const cells = engines.map((engine) => {
      const figures = (found.get(`${engine} ${workload}`) ?? []).flatMap((one) => one[figure] ?? [])
      return figures.length > 0 ? quantile(figures, 0.5) : undefined
    })
    return { metric, unit, cells }
  })
  console.log(`\n| row | unit | ${heads.join(' | ')} |\n| --- | --- |${' --- |'.repeat(heads.length)}`)
  for (const { metric, unit, cells } of lines) console.log(`| ${metric} | ${unit} | ${cells.map(shown).join(' | ')} |`)
  console.log('\ndisk: synced before the answer; os: the system has it. Compare equal classes.')
  for (const { name, durability, note } of [ate, nats])
    if (engines.includes(name)) console.log(`${name} (${durability}): ${note}`)
  if (values.json) writeFileSync(values.json, `${JSON.stringify({ engines, lines }, undefined, 2)}\n`)
}

function shown(value: number | undefined): string {
  if (value === undefined) return '-'
  return value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3)
}
