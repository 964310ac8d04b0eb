/**
 * `npm run bench -- core [--json FILE] [--scale 0.1] [--runs 3] [--seconds 1.5] [--only TEXT] [--engines a,b]`
 * Runs us and the peers in turn (us, peer, us, peer, ...), compares medians, prints a table.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { diskAlone } from './disk.ts'
import type { Engine } from './engine.ts'
import { ENGINE_NAMES, loadEngine, US } from './engines.ts'
import { installPeers } from './install.ts'
import { openRecords, type RecordAnswer } from './records.ts'
import { CORE, formatTable, makeRow, type RowSpec, workloadFor } from './rows.ts'
import { type Answer, makeDataFolder, runChild, withFolder } from './run.ts'

const WARM_SECONDS = 0.7
const ENTITIES = 1_000_000
/** Takes minutes at full scale: once is enough. */
const ONCE: ReadonlySet<string> = new Set(['ones'])
/** Workloads that read what `dataset` wrote. */
const OPENS: readonly string[] = ['open', 'open-fully']

interface Settings {
  readonly runs: number
  readonly seconds: number
  readonly scale: number
  readonly engines: readonly string[]
  readonly specs: readonly RowSpec[]
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'string' },
    scale: { type: 'string', default: '1' },
    runs: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '1.5' },
    only: { type: 'string', default: '' },
    engines: { type: 'string', default: ENGINE_NAMES.join(',') },
  },
})
if (positionals[0] !== 'core') {
  console.error('usage: npm run bench -- core [--json FILE] [--scale 0.1] [--runs 3] [--seconds 1.5] [--only TEXT]')
  console.error(`                              [--engines ${ENGINE_NAMES.join(',')}]`)
  process.exit(2)
}
await benchCore({
  runs: Number(values.runs),
  seconds: Number(values.seconds),
  scale: Number(values.scale),
  engines: values.engines.split(','),
  specs: CORE.filter(({ metric, workload }) => `${workload} ${metric}`.includes(values.only)),
})

async function benchCore(settings: Settings): Promise<void> {
  installPeers()
  const base = makeDataFolder()
  const clean = () => rmSync(base, { recursive: true, force: true })
  process.once('SIGINT', () => {
    clean()
    process.exit(130)
  })
  try {
    await measureAndPrint(settings, base)
  } finally {
    clean()
  }
}

async function measureAndPrint(asked: Settings, base: string): Promise<void> {
  console.log(`node ${process.version}, ${availableParallelism()} cores (${cpus()[0]?.model}), data in ${base}`)
  const disk = await diskAlone(base)
  console.log(`the disk alone, 4 KiB appended and synced: p50 ${disk.p50.toFixed(3)} ms, p99 ${disk.p99.toFixed(3)} ms`)
  const engines = await loadEngines(asked, base)
  const settings = { ...asked, engines: [...engines.keys()] }
  const started = Date.now()
  const { median, record } = openRecords()
  const planned = plannedWorkloads(settings)
  const opens = planned.filter(({ workload }) => OPENS.includes(workload))
  for (const one of planned) await measure({ settings, base, opens, record }, one)
  const sources = { us: US, median, durability: (peer: string) => engines.get(peer)?.durability ?? 'memory' }
  const rows = settings.specs.map((spec) => makeRow('core', spec, sources, settings.scale))
  const peers = settings.engines.filter((name) => name !== US)
  const classOf = (name: string) => engines.get(name === 'us' ? US : name)?.durability ?? ''
  console.log(`\n${formatTable(rows, peers, classOf)}\n`)
  console.log('disk: synced before the answer; os: the system has it; memory: nothing stored. Compare equal classes.')
  for (const engine of engines.values()) console.log(`${engine.name} (${engine.durability}): ${engine.note}`)
  const seconds = Math.round((Date.now() - started) / 1_000)
  console.log(`medians of ${settings.runs} runs of ${settings.seconds} s each; ${seconds} s in all`)
  if (values.json) writeFileSync(values.json, `${JSON.stringify(rows, null, 2)}\n`)
}

/** The engines that open and write here; each of the others is named in one line. */
async function loadEngines(settings: Settings, base: string): Promise<Map<string, Engine>> {
  const engines = new Map<string, Engine>()
  for (const name of settings.engines) {
    const answer = await withFolder(base, `${name}-probe`, (folder) => runJob(settings, name, 'probe', folder))
    if ('figures' in answer) engines.set(name, await loadEngine(name))
    else console.log(`${name} is left out: ${answer.failure}`)
  }
  return engines
}

/** Which engines take part in which workload, in the order of the rows. */
function plannedWorkloads({ specs, engines }: Settings): Planned[] {
  const plan = new Map<string, Set<string>>()
  for (const spec of specs) {
    for (const engine of [US, ...spec.peers]) {
      if (!engines.includes(engine)) continue
      const workload = workloadFor(spec, engine)
      if (!plan.has(workload)) plan.set(workload, new Set())
      plan.get(workload)!.add(engine)
      if (OPENS.includes(workload)) plan.set('dataset', (plan.get('dataset') ?? new Set()).add(engine))
    }
  }
  return [...plan].map(([workload, names]) => ({ workload, engines: engines.filter((name) => names.has(name)) }))
}

interface Planned {
  readonly workload: string
  readonly engines: string[]
}

interface Measuring {
  readonly settings: Settings
  readonly base: string
  readonly opens: readonly Planned[]
  readonly record: RecordAnswer
}

async function measure(measuring: Measuring, { workload, engines }: Planned): Promise<void> {
  const { settings, base, record } = measuring
  if (OPENS.includes(workload)) return
  process.stderr.write(`${workload} `)
  if (workload === 'dataset') await measureDataset(measuring, engines)
  else await measureInTurn(settings, base, workload, engines, record)
  process.stderr.write('\n')
}

async function measureInTurn(
  settings: Settings,
  base: string,
  workload: string,
  engines: string[],
  record: RecordAnswer,
) {
  const runs = ONCE.has(workload) ? 1 : settings.runs
  for (let run = 0; run < runs; run++) {
    for (const engine of engines) {
      record(
        engine,
        workload,
        await withFolder(base, `${engine}-${workload}`, (folder) => runJob(settings, engine, workload, folder)),
      )
      process.stderr.write('.')
    }
  }
}

/** Written once an engine, then opened by a fresh process in each run, engine after engine. */
async function measureDataset({ settings, base, opens, record }: Measuring, engines: string[]): Promise<void> {
  const written: string[] = []
  const folderOf = (engine: string) => join(base, `${engine}-dataset`)
  for (const engine of engines) {
    const answer = await runJob(settings, engine, 'dataset', makeFolder(folderOf(engine)))
    record(engine, 'dataset', answer)
    if ('figures' in answer) written.push(engine)
    process.stderr.write('.')
  }
  for (let run = 0; run < settings.runs; run++) {
    for (const { workload, engines: opening } of opens) {
      for (const engine of written.filter((name) => opening.includes(name))) {
        record(engine, workload, await runJob(settings, engine, workload, folderOf(engine)))
        process.stderr.write('.')
      }
    }
  }
  for (const engine of engines) rmSync(folderOf(engine), { recursive: true, force: true })
}

function runJob(settings: Settings, engine: string, workload: string, folder: string): Promise<Answer> {
  const entities = Math.round(ENTITIES * settings.scale)
  return runChild({ engine, workload, folder, seconds: settings.seconds, warmSeconds: WARM_SECONDS, entities })
}

function makeFolder(folder: string): string {
  mkdirSync(folder, { recursive: true })
  return folder
}
