/**
 * `npm run bench -- profile [workload] [--engine ate] [--seconds 5] [--top 15]`
 * Runs one workload under V8's sampling profiler and prints the functions with the most time of their own.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Job } from './child.ts'
import { CHILD_FILE, makeDataFolder, NODE_OPTIONS } from './run.ts'

interface Profile {
  readonly nodes: readonly ProfileNode[]
  readonly samples: readonly number[]
  /** Microseconds between samples. */
  readonly timeDeltas: readonly number[]
}
interface ProfileNode {
  readonly id: number
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    engine: { type: 'string', default: 'ate' },
    seconds: { type: 'string', default: '5' },
    top: { type: 'string', default: '15' },
    scale: { type: 'string', default: '0.1' },
  },
})

const base = makeDataFolder()
try {
  const folder = join(base, 'data')
  mkdirSync(folder)
  const job: Job = {
    engine: values.engine,
    workload: positionals[0] ?? 'create-1000',
    folder,
    seconds: Number(values.seconds),
    warmSeconds: 0.5,
    entities: 1_000_000 * Number(values.scale),
  }
  // `open` and `open-fully` need a data set: written first, outside of the profile.
  if (job.workload.startsWith('open')) runNode([], { ...job, workload: 'dataset' })
  runNode(['--cpu-prof', '--cpu-prof-interval', '200', '--cpu-prof-dir', base], job)
  printTop(readProfile(base), Number(values.top))
} finally {
  rmSync(base, { recursive: true, force: true })
}

function runNode(options: readonly string[], job: Job): void {
  const { status } = spawnSync(process.execPath, [...NODE_OPTIONS, ...options, CHILD_FILE, JSON.stringify(job)], {
    stdio: 'inherit',
  })
  if (status !== 0) process.exitCode = 1
}

function readProfile(folder: string): Profile {
  const file = readdirSync(folder).find((name) => name.endsWith('.cpuprofile'))
  if (!file) throw new Error('the run left no profile')
  return JSON.parse(readFileSync(join(folder, file), 'utf8')) as Profile
}

function printTop(profile: Profile, count: number): void {
  const names = new Map(profile.nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]))
  const selfUs = new Map<string, number>()
  let totalUs = 0
  profile.samples.forEach((id, i) => {
    const name = names.get(id) ?? '?'
    const us = profile.timeDeltas[i] ?? 0
    // Waiting for the disk is not work: shares are of the busy time.
    if (name === '(idle)') return
    selfUs.set(name, (selfUs.get(name) ?? 0) + us)
    totalUs += us
  })
  const top = [...selfUs].sort((a, b) => b[1] - a[1]).slice(0, count)
  console.log(`   ms    share  function (of ${Math.round(totalUs / 1_000)} ms busy)`)
  for (const [name, us] of top) {
    const share = `${((us / totalUs) * 100).toFixed(1)} %`
    console.log(`${(us / 1_000).toFixed(0).padStart(6)}  ${share.padStart(7)}  ${name}`)
  }
}

function nameOf({ functionName, url, lineNumber }: ProfileNode['callFrame']): string {
  const name = functionName || '(anonymous)'
  if (!url) return name
  const place = url.replace(/^.*\/(packages|bench|node_modules)\//, '$1/')
  return `${name}  ${place}:${lineNumber + 1}`
}
