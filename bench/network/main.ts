/**
 * `npm run bench -- network [--json FILE] [--scale 0.1] [--runs 3] [--seconds 3] [--only TEXT] [--services a,b]`
 * Starts each server in turn (ours, peer, ours, peer, ...), sets clients to work on it, compares medians, prints a table.
 */
import { rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { diskAlone } from '../disk.ts'
import { openRecords } from '../records.ts'
import { formatTable, makeRow, type RowSpec } from '../rows.ts'
import { type Answer, COMMON_OPTIONS, makeDataFolder, withFolder } from '../run.ts'
import { DISK, NETWORK } from './rows.ts'
import type { NetworkService } from './service.ts'
import { loadService, SERVICE_NAMES } from './services.ts'
import { runNetwork } from './workloads.ts'

const US = 'ate'
const WARM_SECONDS = 1
/** Figures that hardly differ from run to run, and take long. */
const ONCE: ReadonlySet<string> = new Set(['sync', 'idle', 'chains', 'stopped'])

const { values } = parseArgs({
  allowPositionals: true,
  options: {
    ...COMMON_OPTIONS,
    seconds: { type: 'string', default: '3' },
    services: { type: 'string', default: SERVICE_NAMES.join(',') },
  },
})
const scale = Number(values.scale)
const seconds = Number(values.seconds)
const specs = NETWORK.filter(({ metric, workload }) => `${workload} ${metric}`.includes(values.only))

const base = makeDataFolder()
const clean = (): void => rmSync(base, { recursive: true, force: true })
process.once('SIGINT', () => {
  clean()
  process.exit(130)
})
try {
  await benchNetwork()
} finally {
  clean()
}

async function benchNetwork(): Promise<void> {
  console.log(`node ${process.version}, ${availableParallelism()} cores (${cpus()[0]?.model}), data in ${base}`)
  const disk = await diskAlone(base)
  console.log(`the disk alone, 4 KiB appended and synced: p50 ${disk.p50.toFixed(3)} ms, p99 ${disk.p99.toFixed(3)} ms`)
  console.log(`load of this machine: ${loadavg()[0]!.toFixed(1)} on ${availableParallelism()} cores`)
  const services = await loadServices(values.services.split(','))
  const { median, record } = openRecords()
  record(DISK, 'reach', { figures: { p50: disk.p50 } })
  const started = Date.now()
  for (const workload of new Set(specs.map((spec) => spec.workload))) {
    const taking = [...services.values()].filter(({ name }) => specs.some((spec) => takesPart(spec, workload, name)))
    process.stderr.write(`${workload} `)
    for (let run = 0; run < (ONCE.has(workload) ? 1 : Number(values.runs)); run++) {
      for (const service of taking) {
        record(service.name, workload, await measure(service, workload))
        process.stderr.write('.')
      }
    }
    process.stderr.write('\n')
  }
  const durability = (name: string) => services.get(name)?.durability ?? 'memory'
  const rows = specs.map((spec) => makeRow('network', spec, { us: spec.of ?? US, median, durability }, scale))
  const peers = [...services.keys()].filter((name) => name !== US)
  console.log(`\n${formatTable(rows, peers, (name) => durability(name === 'us' ? US : name))}\n`)
  console.log('disk: synced before the answer; os: the system has it. Compare equal classes.')
  for (const service of services.values()) console.log(`${service.name} (${service.durability}): ${service.note}`)
  const took = Math.round((Date.now() - started) / 1_000)
  console.log(`medians of ${values.runs} runs of ${seconds} s each; ${took} s in all`)
  if (values.json) writeFileSync(values.json, `${JSON.stringify(rows, null, 2)}\n`)
}

function takesPart(spec: RowSpec, workload: string, name: string): boolean {
  return spec.workload === workload && ((spec.of ?? US) === name || spec.peers.includes(name))
}

async function measure(service: NetworkService, workload: string): Promise<Answer> {
  return withFolder(base, `${service.name}-${workload}`, async (folder) => {
    try {
      const figures = await runNetwork(service, workload, { folder, seconds, warmSeconds: WARM_SECONDS, scale })
      return { figures: figures ?? {} }
    } catch (error) {
      return { failure: error instanceof Error ? error.message : String(error) }
    }
  })
}

/** The services that start here; each of the others is named in one line. */
async function loadServices(names: readonly string[]): Promise<Map<string, NetworkService>> {
  const services = new Map<string, NetworkService>()
  for (const name of names) {
    const service = await loadService(name)
    try {
      await withFolder(base, `${name}-probe`, async (folder) => (await service.start(folder)).stop())
      services.set(name, service)
    } catch (error) {
      console.log(`${name} is left out: ${error instanceof Error ? error.message : error}`)
    }
  }
  return services
}
