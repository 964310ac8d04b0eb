/**
 * From measured medians to rows: which figure of which workload a row shows, and its goal. A goal is a number in the
 * row's unit; some are a multiple of what a peer reached in the same run.
 */
import type { Durability } from './engine.ts'

export interface PeerValue {
  readonly value: number
  readonly durability: Durability
}

export interface Row {
  readonly area: string
  readonly metric: string
  readonly unit: string
  readonly us: number | null
  readonly peers: Record<string, PeerValue>
  readonly goal: number | null
  /** us / goal where more is better, goal / us where less is; 1 or more is met. */
  readonly ratio: number | null
}

/** The median of a figure over the runs, or undefined where the engine has none. */
export type Median = (engine: string, workload: string, figure: string) => number | undefined

export interface RowSpec {
  readonly metric: string
  readonly unit: string
  readonly workload: string
  readonly figure: string
  readonly better: 'more' | 'less'
  readonly peers: readonly string[]
  readonly goal?: number | { readonly times: number; readonly peer: string; readonly plus?: number }
  /** Whose figure the row shows, where it is not the usual one of ours. */
  readonly of?: string
}

const STORES = ['sqlite', 'level', 'lmdb', 'hypercore', 'hypercore+sync']
const KEYED = ['sqlite', 'level', 'lmdb']
const OBJECTS = ['cojson', 'cojson+sqlite']

function creating(size: number, goal: number | undefined): RowSpec[] {
  const name = size === 1 ? '1 event a transaction' : `${size.toLocaleString('en')} events a transaction`
  const row = { workload: `create-${size}`, peers: STORES } as const
  const rate: RowSpec = { ...row, metric: name, unit: 'events/s', figure: 'rate', better: 'more' }
  return [
    goal === undefined ? rate : { ...rate, goal },
    { ...row, metric: `${name}, p50`, unit: 'ms', figure: 'p50', better: 'less' },
    { ...row, metric: `${name}, p99`, unit: 'ms', figure: 'p99', better: 'less' },
  ]
}

export const CORE: readonly RowSpec[] = [
  ...creating(1, undefined),
  ...creating(100, 100_000),
  ...creating(1_000, 200_000),
  {
    metric: '1,000 events a transaction, against hypercore',
    unit: 'events/s',
    workload: 'create-1000',
    figure: 'rate',
    better: 'more',
    peers: ['hypercore', 'hypercore+sync'],
    goal: { times: 1.5, peer: 'hypercore' },
  },
  {
    metric: '500 one-event transactions in flight',
    unit: 'events/s',
    workload: 'flight-500',
    figure: 'rate',
    better: 'more',
    peers: STORES,
    goal: 100_000,
  },
  {
    metric: '1,000 updates a transaction',
    unit: 'events/s',
    workload: 'update-1000',
    figure: 'rate',
    better: 'more',
    peers: [...KEYED, ...OBJECTS],
    goal: 100_000,
  },
  {
    metric: 'one alone, p50',
    unit: 'ms',
    workload: 'alone',
    figure: 'p50',
    better: 'less',
    peers: STORES,
    goal: { times: 2, peer: 'sqlite' },
  },
  { metric: 'one alone, p99', unit: 'ms', workload: 'alone', figure: 'p99', better: 'less', peers: STORES },
  {
    metric: 'creating objects',
    unit: 'objects/s',
    workload: 'create-1000',
    figure: 'rate',
    better: 'more',
    peers: OBJECTS,
    goal: { times: 10, peer: 'cojson' },
  },
  {
    metric: 'cached get',
    unit: 'gets/s',
    workload: 'get',
    figure: 'rate',
    better: 'more',
    peers: [...STORES.slice(0, 4), 'cojson'],
    goal: 2_000_000,
  },
  {
    metric: 'opening a sealed body (peers: first read)',
    unit: 'bodies/s',
    workload: 'cold',
    figure: 'rate',
    better: 'more',
    peers: STORES.slice(0, 4),
    goal: 60_000,
  },
  {
    metric: 'open and verify 1,000,000 entities',
    unit: 's',
    workload: 'open',
    figure: 'seconds',
    better: 'less',
    peers: STORES.slice(0, 4),
    goal: 5,
  },
  {
    metric: 'open 1,000,000 entities, all verified',
    unit: 's',
    workload: 'open-fully',
    figure: 'seconds',
    better: 'less',
    peers: [],
    goal: 5,
  },
  {
    metric: 'open 1,000,000 entities, from the snapshot',
    unit: 's',
    workload: 'open',
    figure: 'openSeconds',
    better: 'less',
    peers: STORES.slice(0, 4),
    goal: 1,
  },
  {
    metric: 'open from the snapshot, longest turn',
    unit: 'ms',
    workload: 'open',
    figure: 'longestTurn',
    better: 'less',
    peers: [],
    goal: 50,
  },
  {
    metric: 'verify 1,000,000 entities written one a commit',
    unit: 's',
    workload: 'ones',
    figure: 'seconds',
    better: 'less',
    peers: [],
    goal: 80,
  },
  {
    metric: 'append rate at 1,000,000 entities, of that at 10,000',
    unit: 'of 1',
    workload: 'grow',
    figure: 'rateKept',
    better: 'more',
    peers: [],
    goal: 0.85,
  },
  {
    metric: 'longest pause while 1,000,000 entities are written',
    unit: 'ms',
    workload: 'grow',
    figure: 'pauseMs',
    better: 'less',
    peers: [],
    goal: 50,
  },
  {
    metric: 'longest pause while 1,000,000 replaced values are compacted',
    unit: 'ms',
    workload: 'compact',
    figure: 'pauseMs',
    better: 'less',
    peers: [],
    goal: 50,
  },
  {
    metric: 'longest transaction of a writer meanwhile',
    unit: 'ms',
    workload: 'compact',
    figure: 'writeMs',
    better: 'less',
    peers: [],
  },
  {
    metric: 'compacting 1,000,000 replaced values',
    unit: 's',
    workload: 'compact',
    figure: 'seconds',
    better: 'less',
    peers: [],
  },
  {
    metric: 'log overhead at 1,000 a transaction',
    unit: 'bytes/event',
    workload: 'dataset',
    figure: 'logOverhead',
    better: 'less',
    peers: [],
    goal: 56,
  },
  {
    metric: 'folder overhead at 1,000 a transaction',
    unit: 'bytes/event',
    workload: 'dataset',
    figure: 'folderOverhead',
    better: 'less',
    peers: STORES.slice(0, 4),
  },
  {
    metric: 'memory (heap and buffers)',
    unit: 'bytes/entity',
    workload: 'open',
    figure: 'heapBytes',
    better: 'less',
    peers: ['cojson'],
    goal: 200,
  },
  {
    metric: 'memory (resident)',
    unit: 'bytes/entity',
    workload: 'open',
    figure: 'residentBytes',
    better: 'less',
    peers: ['cojson'],
  },
]

/** cojson keeps objects in memory and has no data set to open: its memory is measured on objects just created. */
export function workloadFor(spec: RowSpec, engine: string): string {
  return spec.workload === 'open' && engine === 'cojson' ? 'memory' : spec.workload
}

export interface RowSources {
  readonly us: string
  readonly median: Median
  durability(peer: string): Durability
}

export function makeRow(area: string, spec: RowSpec, { us, median, durability }: RowSources, scale: number): Row {
  const value = median(us, spec.workload, spec.figure)
  const peers: Record<string, PeerValue> = {}
  for (const peer of spec.peers) {
    const reached = median(peer, workloadFor(spec, peer), spec.figure)
    if (reached !== undefined) peers[peer] = { value: reached, durability: durability(peer) }
  }
  const goal = goalOf(spec, median, scale)
  const ratio = value === undefined || goal === null ? null : spec.better === 'more' ? value / goal : goal / value
  return { area, metric: scaled(spec.metric, scale), unit: spec.unit, us: value ?? null, peers, goal, ratio }
}

/** A smaller data set has a smaller goal: seconds grow with the entities, the other figures do not. */
function goalOf(spec: RowSpec, median: Median, scale: number): number | null {
  if (spec.goal === undefined) return null
  if (typeof spec.goal === 'number') return spec.unit === 's' ? spec.goal * scale : spec.goal
  const { times, peer, plus = 0 } = spec.goal
  const reached = median(peer, workloadFor(spec, peer), spec.figure)
  return reached === undefined ? null : reached * times + plus
}

function scaled(metric: string, scale: number): string {
  return metric.replace(/(1,000,000|100,000) entities/, (_, count: string) => {
    return `${(Number(count.replaceAll(',', '')) * scale).toLocaleString('en')} entities`
  })
}

/** Columns of text: the name of each peer over its class, one line a row. */
export function formatTable(rows: readonly Row[], peers: readonly string[], classOf: (name: string) => string): string {
  const head = ['metric', 'unit', 'us', 'goal', 'ratio', ...peers]
  const classes = ['', '', classOf('us'), '', '', ...peers.map((peer) => classOf(peer))]
  const lines = rows.map((row) => [
    row.metric,
    row.unit,
    short(row.us),
    short(row.goal),
    row.ratio === null ? '-' : row.ratio.toFixed(2),
    ...peers.map((peer) => short(row.peers[peer]?.value ?? null)),
  ])
  const widths = head.map((_, column) => Math.max(...[head, classes, ...lines].map((line) => line[column]!.length)))
  const format = (line: readonly string[]) =>
    line.map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ')
  return [head, classes, widths.map((width) => '-'.repeat(width)), ...lines].map((line) => format(line)).join('\n')
}

function short(value: number | null): string {
  if (value === null) return '-'
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en')
  return value.toPrecision(3)
}
