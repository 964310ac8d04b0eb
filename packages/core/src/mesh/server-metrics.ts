/** What a server counts: its metrics by name, and the page that says whether it is well. */
import { type Counter, type Family, type Gauge, type Histogram, METRICS_TYPE, Metrics } from './metrics.ts'
import type { Page, PageRequest } from './transport.ts'

export interface ServerMetrics {
  readonly all: Metrics
  readonly connections: Gauge
  /** By `outcome`: accepted, or why it was refused. */
  readonly connectionsTotal: Family<Counter>
  readonly pendingHandshakes: Gauge
  /** By `outcome`: ok, or the code of what went wrong. */
  readonly handshakes: Family<Counter>
  readonly handshakeSeconds: Histogram
  readonly openChains: Gauge
  readonly createdChains: Counter
  /** By `outcome`: accepted, or refused. */
  readonly commits: Family<Counter>
  /** From a commit's arrival to its acknowledgement, by `durability`. */
  readonly commitSeconds: Family<Histogram>
  readonly receivedBytes: Counter
  readonly sentBytes: Counter
  /** Readers that were cut off, by `reason`: full or stalled. */
  readonly slowReaders: Family<Counter>
  /** What was refused for a quota or a rate, by `reason`. */
  readonly refused: Family<Counter>
  /** By `outcome`: ok, or the code of what went wrong. */
  readonly compactions: Family<Counter>
  /** Chains that could not be opened, or whose log failed, by `code`. */
  readonly failures: Family<Counter>
}

export interface ServerFacts {
  readonly version: string
  readonly startedAtMs: number
  bufferedBytes(): number
  /** Undefined where the disk does not tell. */
  freeBytes(): number | undefined
  readonly holdings: { readonly chains: number; readonly storedBytes: number }
}

/** Seconds, from a tenth of a millisecond to ten seconds. */
const SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export function serverMetrics(facts: ServerFacts): ServerMetrics {
  const all = new Metrics()
  all.gauge('ate_build_info', 'The version of the server, as a label.', ['version']).with(facts.version).set(1)
  all.measured(
    'ate_start_time_seconds',
    'When the server started, in seconds since 1970.',
    () => facts.startedAtMs / 1000,
  )
  all.measured('ate_buffered_bytes', 'Bytes that wait for readers.', () => facts.bufferedBytes())
  all.measured('ate_free_bytes', 'Bytes that the disk of the chains has left; NaN if it does not tell.', () => {
    return facts.freeBytes() ?? Number.NaN
  })
  all.measured('ate_chains', 'Chains that are here, loaded or not.', () => facts.holdings.chains)
  all.measured('ate_stored_bytes', 'Bytes of their logs.', () => facts.holdings.storedBytes)
  return {
    all,
    connections: all.gauge('ate_connections', 'Open connections.'),
    connectionsTotal: all.counter('ate_connections_total', 'Connections that came in.', ['outcome']),
    pendingHandshakes: all.gauge('ate_pending_handshakes', 'Connections that have not said yet who they are.'),
    handshakes: all.counter('ate_handshakes_total', 'Handshakes that ended.', ['outcome']),
    handshakeSeconds: all.histogram('ate_handshake_duration_seconds', 'How long handshakes took.', SECONDS),
    openChains: all.gauge('ate_open_chains', 'Chains that are loaded.'),
    createdChains: all.counter('ate_created_chains_total', 'Chains that were made here.'),
    commits: all.counter('ate_commits_total', 'Commits that were judged.', ['outcome']),
    commitSeconds: all.histogram(
      'ate_commit_duration_seconds',
      'From the arrival of a commit to its acknowledgement.',
      SECONDS,
      ['durability'],
    ),
    receivedBytes: all.counter('ate_received_bytes_total', 'Bytes of messages that came in.'),
    sentBytes: all.counter('ate_sent_bytes_total', 'Bytes of messages that were sent.'),
    slowReaders: all.counter('ate_slow_readers_total', 'Readers that were cut off.', ['reason']),
    refused: all.counter('ate_refused_total', 'Requests that a quota or a rate refused.', ['reason']),
    compactions: all.counter('ate_compactions_total', 'Compactions that ended.', ['outcome']),
    failures: all.counter('ate_failures_total', 'Chains that could not be opened, or whose log failed.', ['code']),
  }
}

export interface Health {
  /** `stopping`: connect elsewhere. It answers 503. */
  readonly status: 'ok' | 'stopping'
  readonly version: string
  readonly uptimeSeconds: number
  readonly connections: number
  readonly chains: number
}

export interface PagesOptions {
  readonly metrics: Metrics
  /** Numbers say much about the users of a server, so not everybody is told. */
  readonly showMetrics: 'never' | 'loopback' | 'anyone'
  readonly health: () => Health
}

/** /health as JSON for everybody, /metrics for those who may. Other paths are undefined: for `ListenOptions.page`. */
export function serverPages({
  metrics,
  showMetrics,
  health,
}: PagesOptions): (request: PageRequest) => Page | undefined {
  return ({ path, isLoopback }) => {
    if (path === '/health') {
      const state = health()
      const status = state.status === 'ok' ? 200 : 503
      return { status, type: 'application/json', text: `${JSON.stringify(state)}\n` }
    }
    if (path !== '/metrics' || showMetrics === 'never') return undefined
    if (showMetrics === 'loopback' && !isLoopback) return { status: 403, type: 'text/plain', text: 'not from here\n' }
    return { status: 200, type: METRICS_TYPE, text: metrics.text() }
  }
}
