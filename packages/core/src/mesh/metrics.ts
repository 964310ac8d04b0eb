/**
 * Numbers that a server tells of itself: counters, gauges and histograms with fixed buckets, as the text that Prometheus
 * reads (exposition format 0.0.4). Series are made once and then only added to: no text, no lookup for an event.
 */
import { assert } from '../base/errors.ts'
import { METRIC_SERIES_MAX } from '../base/limits.ts'

export interface Counter {
  /** `by` is not negative; 1 if left out. */
  add(by?: number): void
  readonly value: number
}

export interface Gauge {
  set(value: number): void
  add(by: number): void
  readonly value: number
}

export interface Histogram {
  observe(value: number): void
  readonly count: number
  readonly sum: number
}

/** One metric: a series for each combination of values of its labels. */
export interface Family<Series> {
  /** The series of these values, in the order of the labels. Past METRIC_SERIES_MAX, all others are one: `other`. */
  with(...values: readonly string[]): Series
}

type Kind = 'counter' | 'gauge' | 'histogram'

interface Shown {
  readonly name: string
  readonly kind: Kind
  readonly help: string
  lines(): Iterable<string>
}

export class Metrics {
  readonly #families = new Map<string, Shown>()

  counter(name: string, help: string): Counter
  counter(name: string, help: string, labels: readonly string[]): Family<Counter>
  counter(name: string, help: string, labels?: readonly string[]): Counter | Family<Counter> {
    assert(name.endsWith('_total'), 'the name of a counter ends in _total')
    const family = new SeriesFamily(this.#head(name, 'counter', help, labels), counter, valueLine)
    return this.#added(family, labels)
  }

  gauge(name: string, help: string): Gauge
  gauge(name: string, help: string, labels: readonly string[]): Family<Gauge>
  gauge(name: string, help: string, labels?: readonly string[]): Gauge | Family<Gauge> {
    const family = new SeriesFamily(this.#head(name, 'gauge', help, labels), gauge, valueLine)
    return this.#added(family, labels)
  }

  /** A gauge that is asked when somebody reads. */
  measured(name: string, help: string, read: () => number): void {
    const head = this.#head(name, 'gauge', help, undefined)
    this.#families.set(name, { ...head, lines: () => [`${name} ${numberText(read())}`] })
  }

  /** `buckets` are upper bounds, rising. */
  histogram(name: string, help: string, buckets: readonly number[]): Histogram
  histogram(name: string, help: string, buckets: readonly number[], labels: readonly string[]): Family<Histogram>
  histogram(
    name: string,
    help: string,
    buckets: readonly number[],
    labels?: readonly string[],
  ): Histogram | Family<Histogram> {
    assert(buckets.length > 0 && buckets.every((bound, i) => i === 0 || bound > buckets[i - 1]!), 'buckets rise')
    const head = this.#head(name, 'histogram', help, labels)
    return this.#added(new SeriesFamily(head, () => new FixedHistogram(buckets), histogramLines), labels)
  }

  /** Everything, in the order in which it was made. */
  text(): string {
    const lines: string[] = []
    for (const family of this.#families.values()) {
      lines.push(`# HELP ${family.name} ${escapeHelp(family.help)}`, `# TYPE ${family.name} ${family.kind}`)
      lines.push(...family.lines())
    }
    return `${lines.join('\n')}\n`
  }

  #head(name: string, kind: Kind, help: string, labels: readonly string[] | undefined): Head {
    assert(/^[a-z][a-z0-9_]*$/.test(name) && !this.#families.has(name), `a metric has a name of its own: ${name}`)
    for (const label of labels ?? []) assert(/^[a-z][a-z0-9_]*$/.test(label), `no label: ${label}`)
    return { name, kind, help, labels: labels ?? [] }
  }

  #added<Series>(family: SeriesFamily<Series>, labels: readonly string[] | undefined): Series | SeriesFamily<Series> {
    this.#families.set(family.name, family)
    return labels === undefined ? family.with() : family
  }
}

/** The media type of `Metrics.text`. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

interface Head {
  readonly name: string
  readonly kind: Kind
  readonly help: string
  readonly labels: readonly string[]
}

class SeriesFamily<Series> implements Shown, Family<Series> {
  readonly name: string
  readonly kind: Kind
  readonly help: string
  readonly #labels: readonly string[]
  readonly #series = new Map<string, Series>()
  readonly #make: () => Series
  readonly #show: (name: string, labels: string, series: Series) => Iterable<string>

  constructor(
    { name, kind, help, labels }: Head,
    make: () => Series,
    show: (name: string, labels: string, series: Series) => Iterable<string>,
  ) {
    this.name = name
    this.kind = kind
    this.help = help
    this.#labels = labels
    this.#make = make
    this.#show = show
  }

  with(...values: readonly string[]): Series {
    assert(values.length === this.#labels.length, `${this.name} has ${this.#labels.length} labels`)
    const key = labelsText(this.#labels, values)
    const known = this.#series.get(key)
    if (known) return known
    const others = labelsText(
      this.#labels,
      this.#labels.map(() => 'other'),
    )
    // A value that strangers choose must not fill the memory of this server, or of what scrapes it.
    const at = this.#series.size < METRIC_SERIES_MAX ? key : others
    const made = this.#series.get(at) ?? this.#make()
    this.#series.set(at, made)
    return made
  }

  *lines(): Iterable<string> {
    for (const [labels, series] of this.#series) yield* this.#show(this.name, labels, series)
  }
}

function counter(): Counter {
  let value = 0
  return {
    add(by = 1) {
      assert(by >= 0, 'a counter only rises')
      value += by
    },
    get value() {
      return value
    },
  }
}

function gauge(): Gauge {
  let value = 0
  return {
    set(next) {
      value = next
    },
    add(by) {
      value += by
    },
    get value() {
      return value
    },
  }
}

class FixedHistogram implements Histogram {
  readonly buckets: readonly number[]
  readonly counts: number[]
  count = 0
  sum = 0

  constructor(buckets: readonly number[]) {
    this.buckets = buckets
    this.counts = buckets.map(() => 0)
  }

  observe(value: number): void {
    this.count++
    this.sum += value
    for (let i = 0; i < this.buckets.length; i++) {
      if (value > this.buckets[i]!) continue
      this.counts[i]!++
      return
    }
  }
}

function valueLine(name: string, labels: string, { value }: { readonly value: number }): string[] {
  return [`${name}${labels === '' ? '' : `{${labels}}`} ${numberText(value)}`]
}

function histogramLines(name: string, labels: string, { buckets, counts, count, sum }: FixedHistogram): string[] {
  const lines: string[] = []
  const before = labels === '' ? '' : `${labels},`
  const behind = labels === '' ? '' : `{${labels}}`
  let below = 0
  buckets.forEach((bound, i) => {
    below += counts[i]!
    lines.push(`${name}_bucket{${before}le="${numberText(bound)}"} ${below}`)
  })
  lines.push(`${name}_bucket{${before}le="+Inf"} ${count}`)
  lines.push(`${name}_sum${behind} ${numberText(sum)}`, `${name}_count${behind} ${count}`)
  return lines
}

function labelsText(labels: readonly string[], values: readonly string[]): string {
  return labels.map((label, i) => `${label}="${escapeValue(values[i]!)}"`).join(',')
}

function escapeValue(text: string): string {
  // Nearly none needs it, and each connection asks for several.
  if (!/[\\"\n]/.test(text)) return text
  return text.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')
}

function escapeHelp(text: string): string {
  return text.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf'
  return String(value)
}
