/** The rows of `network`, with their goals: see ../rows.ts. */
import type { RowSpec } from '../rows.ts'
import { SERVICE_NAMES } from './services.ts'

/** Not a service: what this disk takes for an append and its sync. */
export const DISK = 'disk'

const ALL = SERVICE_NAMES.filter((name) => name !== 'ate')
const OURS = ['ate-os']

function flying(clients: string, workload: string, goal?: RowSpec['goal']): RowSpec[] {
  const row = { workload, peers: ALL } as const
  const rate = { ...row, metric: `durable commits, ${clients}`, unit: 'commits/s', figure: 'rate' } as const
  return [
    { ...rate, better: 'more', ...(goal === undefined ? {} : { goal }) },
    { ...row, metric: '  p50 of a commit', unit: 'ms', figure: 'p50', better: 'less' },
    { ...row, metric: '  p99 of a commit', unit: 'ms', figure: 'p99', better: 'less' },
    { ...row, metric: '  processor time of the server', unit: 'us/commit', figure: 'serverUs', better: 'less' },
    { ...row, metric: '  processor time of the client', unit: 'us/commit', figure: 'clientUs', better: 'less' },
  ]
}

export const NETWORK: readonly RowSpec[] = [
  ...flying('1 in flight', 'flight-1'),
  ...flying('16 in flight', 'flight-16'),
  ...flying('256 in flight', 'flight-256', { times: 1, peer: 'jetstream' }),
  ...flying('16 clients, 16 in flight each', 'flight-16x16'),
  {
    metric: 'commit to another client, p50',
    unit: 'ms',
    workload: 'reach',
    figure: 'p50',
    better: 'less',
    peers: ALL,
    goal: { times: 1, peer: DISK, plus: 1 },
  },
  {
    metric: 'the same, ours in the class os',
    unit: 'ms',
    workload: 'reach',
    figure: 'p50',
    better: 'less',
    of: 'ate-os',
    peers: [],
    goal: 2,
  },
  { metric: 'commit to another client, p99', unit: 'ms', workload: 'reach', figure: 'p99', better: 'less', peers: ALL },
  { metric: 'one commit alone, p50', unit: 'ms', workload: 'reach', figure: 'ownP50', better: 'less', peers: ALL },
  {
    metric: 'first sync of 100,000 entities, verified',
    unit: 's',
    workload: 'sync',
    figure: 'seconds',
    better: 'less',
    peers: ALL,
    goal: 3,
  },
  {
    metric: '  processor time of the reader',
    unit: 's',
    workload: 'sync',
    figure: 'clientSeconds',
    better: 'less',
    peers: ALL,
  },
  {
    metric: 'server memory of an idle connection, resident',
    unit: 'kB',
    workload: 'idle',
    figure: 'resident',
    better: 'less',
    peers: ALL,
    goal: 60,
  },
  {
    metric: '  heap and buffers',
    unit: 'kB',
    workload: 'idle',
    figure: 'heap',
    better: 'less',
    peers: OURS,
    goal: 60,
  },
  {
    metric: 'server memory of an open chain, resident',
    unit: 'kB',
    workload: 'chains',
    figure: 'resident',
    better: 'less',
    peers: [],
  },
  { metric: '  heap and buffers', unit: 'kB', workload: 'chains', figure: 'heap', better: 'less', peers: [] },
  {
    metric: 'handshakes of clients that come back',
    unit: 'a second',
    workload: 'shake',
    figure: 'rate',
    better: 'more',
    peers: [],
    goal: 500,
  },
  {
    metric: '  processor time of the server, connection included',
    unit: 'ms',
    workload: 'shake',
    figure: 'serverMs',
    better: 'less',
    peers: [],
  },
  {
    metric: '  processor time of the client, connection included',
    unit: 'ms',
    workload: 'shake',
    figure: 'clientMs',
    better: 'less',
    peers: [],
  },
  {
    metric: 'server memory for a reader that stopped, heap and buffers',
    unit: 'MB',
    workload: 'stopped',
    figure: 'heap',
    better: 'less',
    peers: OURS,
    goal: 16,
  },
  { metric: '  resident', unit: 'MB', workload: 'stopped', figure: 'resident', better: 'less', peers: ALL },
]
