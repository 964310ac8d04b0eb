/** What a server tells of itself, read back by a strict parser of the exposition format. */
import { describe, expect, it } from 'vitest'
import { METRIC_SERIES_MAX } from '../../src/base/limits.ts'
import { Metrics } from '../../src/mesh/metrics.ts'
import { serverMetrics, serverPages } from '../../src/mesh/server-metrics.ts'

type Samples = Map<string, number>

/** Strict: each family once, HELP and TYPE first, no series twice, histograms cumulative and complete. */
function parse(text: string): { readonly types: Map<string, string>; readonly samples: Samples } {
  const types = new Map<string, string>()
  const samples: Samples = new Map()
  let family = ''
  expect(text.endsWith('\n')).toBe(true)
  for (const line of text.slice(0, -1).split('\n')) {
    const help = /^# HELP ([a-z_][a-z0-9_]*) ((?:[^\\\n]|\\\\|\\n)+)$/.exec(line)
    const type = /^# TYPE ([a-z_][a-z0-9_]*) (counter|gauge|histogram)$/.exec(line)
    if (help) {
      expect(types.has(help[1]!)).toBe(false)
      family = help[1]!
    } else if (type) {
      expect(type[1]).toBe(family)
      types.set(family, type[2]!)
    } else {
      const sample = /^([a-z_][a-z0-9_]*)(\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+\})? (-?[0-9.e+-]+|NaN|\+Inf)$/.exec(
        line,
      )
      if (!sample) throw new Error(`no sample: ${line}`)
      const [, name, labels = '', value] = sample
      const suffixes = types.get(family) === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']
      expect(suffixes.map((suffix) => family + suffix)).toContain(name)
      expect(samples.has(name! + labels)).toBe(false)
      samples.set(name! + labels, value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value))
    }
  }
  return { types, samples }
}

describe('metrics', () => {
  it('are read back as they were counted', () => {
    const metrics = new Metrics()
    const commits = metrics.counter('ate_commits_total', 'Commits.', ['outcome'])
    const open = metrics.gauge('ate_connections', 'Open.')
    const seconds = metrics.histogram('ate_commit_seconds', 'How long.', [0.1, 1], ['durability'])
    metrics.measured('ate_free_bytes', 'Free.', () => 12)
    commits.with('accepted').add()
    commits.with('accepted').add(2)
    commits.with('void').add()
    open.set(5)
    open.add(-1)
    for (const value of [0.05, 0.1, 0.5, 3]) seconds.with('disk').observe(value)
    const { types, samples } = parse(metrics.text())
    expect([...types]).toEqual([
      ['ate_commits_total', 'counter'],
      ['ate_connections', 'gauge'],
      ['ate_commit_seconds', 'histogram'],
      ['ate_free_bytes', 'gauge'],
    ])
    expect(Object.fromEntries(samples)).toEqual({
      'ate_commits_total{outcome="accepted"}': 3,
      'ate_commits_total{outcome="void"}': 1,
      ate_connections: 4,
      'ate_commit_seconds_bucket{durability="disk",le="0.1"}': 2,
      'ate_commit_seconds_bucket{durability="disk",le="1"}': 3,
      'ate_commit_seconds_bucket{durability="disk",le="+Inf"}': 4,
      'ate_commit_seconds_sum{durability="disk"}': 3.65,
      'ate_commit_seconds_count{durability="disk"}': 4,
      ate_free_bytes: 12,
    })
  })

  it('escape what they are given, and keep no more series than they may', () => {
    const metrics = new Metrics()
    const family = metrics.counter('ate_refused_total', 'A \\ and\na break.', ['reason'])
    family.with('a "quoted" \\ \n text').add()
    for (let i = 0; i < 10 * METRIC_SERIES_MAX; i++) family.with(`reason ${i}`).add()
    const { samples } = parse(metrics.text())
    expect(samples.size).toBe(METRIC_SERIES_MAX + 1)
    expect([...samples.values()].reduce((a, b) => a + b)).toBe(10 * METRIC_SERIES_MAX + 1)
    expect(samples.get('ate_refused_total{reason="other"}')).toBe(9 * METRIC_SERIES_MAX + 1)
  })

  it('refuse what would not be read, or not mean anything', () => {
    const metrics = new Metrics()
    metrics.gauge('ate_a', 'A.')
    const wrong = [
      () => metrics.gauge('ate_a', 'Again.'),
      () => metrics.gauge('Ate-b', 'B.'),
      () => metrics.counter('ate_c', 'No total.'),
      () => metrics.counter('ate_c_total', 'C.').add(-1),
      () => metrics.histogram('ate_d', 'D.', [1, 1]),
      () => metrics.gauge('ate_e', 'E.', ['a']).with(),
      () => metrics.gauge('ate_f', 'F.', ['A']),
    ]
    for (const run of wrong) expect(run).toThrow(/INTERNAL/)
  })
})

describe('a server', () => {
  const facts = {
    version: '1.2.3',
    startedAtMs: 1500,
    bufferedBytes: () => 7,
    freeBytes: () => undefined,
    holdings: { chains: 2, storedBytes: 300 },
  }

  it('names its metrics as the field does', () => {
    const { types, samples } = parse(serverMetrics(facts).all.text())
    for (const [name, type] of types) {
      expect(name).toMatch(/^ate_/)
      expect([name, name.endsWith('_total')]).toEqual([name, type === 'counter'])
      if (type === 'histogram') expect(name).toMatch(/_seconds$/)
    }
    expect(samples.get('ate_start_time_seconds')).toBe(1.5)
    expect(samples.get('ate_free_bytes')).toBeNaN()
    expect([samples.get('ate_chains'), samples.get('ate_stored_bytes')]).toEqual([2, 300])
    expect(samples.get('ate_build_info{version="1.2.3"}')).toBe(1)
  })

  it('shows its health to everybody, and its numbers to whom it may', () => {
    const { all } = serverMetrics(facts)
    const state = { status: 'ok' as 'ok' | 'stopping', version: '1.2.3', uptimeSeconds: 1, connections: 2, chains: 3 }
    const status = (
      showMetrics: 'never' | 'loopback' | 'anyone',
      path: string,
      isLoopback: boolean,
    ): number | undefined =>
      serverPages({ metrics: all, showMetrics, health: () => state })({ path, isLoopback })?.status
    const far = [
      status('never', '/metrics', true),
      status('loopback', '/metrics', false),
      status('anyone', '/metrics', false),
    ]
    expect(far).toEqual([undefined, 403, 200])
    expect([
      status('loopback', '/metrics', true),
      status('never', '/health', false),
      status('anyone', '/', true),
    ]).toEqual([200, 200, undefined])
    state.status = 'stopping'
    expect(status('never', '/health', false)).toBe(503)
    const page = serverPages({ metrics: all, showMetrics: 'never', health: () => state })({
      path: '/health',
      isLoopback: false,
    })
    expect(JSON.parse(page!.text)).toEqual(state)
  })
})
