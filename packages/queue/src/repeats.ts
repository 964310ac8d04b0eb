/** What is added again and again: patterns, the ticks that are due, and what becomes of those that were missed. */
import {
  AteError,
  type Chain,
  type Duration,
  type EntityId,
  errorText,
  isAteError,
  type OptionNames,
  objectOf,
  type Transaction,
} from '@ate/core'
import { Cron } from 'croner'
import { type Adder, checkKey, type Prepared, prepare } from './adding.ts'
import { queueError } from './errors.ts'
import { bad, msOf } from './queue-options.ts'
import { IN, RepeatRecord, type RepeatValue } from './queue-records.ts'
import { failedValue } from './queue-rules.ts'
import type { AddOptions, RepeatWhen } from './queue-types.ts'
import { textBytes } from './sizes.ts'

/** A tick is missed if nobody was there for this long. */
const LATE_MS = 60_000
/** Ticks of one repeat in one transaction; more follow in the next. */
const TICKS_MAX = 100
/** Bytes of a key in the ids of its jobs; what else stands there has 32. */
const TICK_KEY_MAX = 360
/** The shortest interval: ticks are looked for once a second at most. */
const EVERY_MIN_MS = 1000
const MISSED: readonly string[] = ['skip', 'once', 'all']

/** Of both kinds. */
type WhenNames = {
  readonly cron?: string
  readonly tz?: string
  readonly every?: Duration
  readonly missed?: RepeatWhen['missed']
}
const WHEN_NAMES: OptionNames<WhenNames> = { cron: true, tz: true, every: true, missed: true }

/** What is asked for, checked. @throws AteError BAD_CRON | BAD_ARGUMENT */
export function repeatValue(
  when: RepeatWhen,
  data: unknown,
  { priority, group }: Pick<AddOptions, 'priority' | 'group'>,
  now: number,
): RepeatValue {
  const { missed = 'once' } =
    when === undefined ? ({} as RepeatWhen) : objectOf<WhenNames>(when, 'the members of when', WHEN_NAMES)
  if (when === undefined || 'every' in when === 'cron' in when) throw bad('a repeat has cron, or every', typeof when)
  if (!MISSED.includes(missed)) throw new AteError('BAD_ARGUMENT', { what: 'missed is skip, once or all' })
  const common = {
    missed,
    data,
    ...(priority === undefined ? {} : { priority }),
    ...(group === undefined ? {} : { group }),
  }
  if ('every' in when) {
    const everyMs = msOf(when.every, 'every', now)
    if (everyMs < EVERY_MIN_MS) throw new AteError('BAD_ARGUMENT', { what: 'every is at least 1 s', everyMs })
    return { everyMs, ...common, next: now + everyMs }
  }
  const timing = { cron: when.cron, ...(when.tz === undefined ? {} : { tz: when.tz }) }
  const next = nextTick(timing, now)
  if (next === undefined) throw queueError('BAD_CRON', { cron: errorText(when.cron, 60), what: 'it never comes' })
  return { ...timing, ...common, next }
}

/** The first tick behind `after`; undefined if there is none. @throws AteError BAD_CRON */
export function nextTick(when: Pick<RepeatValue, 'cron' | 'tz' | 'everyMs'>, after: number): number | undefined {
  if (when.everyMs !== undefined) return after + when.everyMs
  return ofCron(when, (cron) => cron.nextRun(new Date(after)))?.getTime()
}

/** Without a zone it is UTC, wherever the worker runs. @throws AteError BAD_CRON */
function ofCron<R>({ cron, tz }: Pick<RepeatValue, 'cron' | 'tz'>, ask: (cron: Cron) => R): R {
  try {
    return ask(new Cron(cron!, { timezone: tz ?? 'UTC', paused: true }))
  } catch (cause) {
    throw queueError('BAD_CRON', { cron: errorText(cron, 60), tz }, { cause })
  }
}

/** Ticks that become jobs now, and the first one that is not due yet; undefined if there will be none. */
export function dueTicks(
  repeat: RepeatValue,
  now: number,
  ticksMax: number = TICKS_MAX,
): { readonly ticks: readonly number[]; readonly next: number | undefined } {
  if (repeat.next > now) return { ticks: [], next: repeat.next }
  if (repeat.missed !== 'all') {
    const newest = newestTick(repeat, now)
    const isLate = repeat.missed === 'skip' && newest <= now - LATE_MS
    return { ticks: isLate ? [] : [newest], next: nextTick(repeat, newest) }
  }
  const ticks: number[] = []
  let next: number | undefined = repeat.next
  while (next !== undefined && next <= now && ticks.length < ticksMax) {
    ticks.push(next)
    next = nextTick(repeat, next)
  }
  return { ticks, next }
}

/** Of those that are due. What was missed a million times is not counted through. */
function newestTick(repeat: RepeatValue, now: number): number {
  const { everyMs, next } = repeat
  if (everyMs !== undefined) return next + Math.floor((now - next) / everyMs) * everyMs
  const [tick] = ofCron(repeat, (cron) => cron.previousRuns(1, new Date(now + 1)))
  return Math.max(next, tick?.getTime() ?? next)
}

export class Repeats {
  readonly #chain: Chain
  readonly #node: EntityId
  readonly #adder: Adder
  readonly #prepare: (data: unknown, options: AddOptions) => Prepared

  constructor(parts: {
    readonly chain: Chain
    readonly node: EntityId
    readonly adder: Adder
    readonly prepare: (data: unknown, options: AddOptions) => Prepared
  }) {
    this.#chain = parts.chain
    this.#node = parts.node
    this.#adder = parts.adder
    this.#prepare = parts.prepare
  }

  /** Sets a repeat; one that is there with the same times goes on with its next tick. */
  async set(tx: Transaction, key: string, value: RepeatValue): Promise<void> {
    checkKey(key, 'key')
    const place = { parent: this.#node, in: IN.repeats }
    const there = (await tx.named(RepeatRecord, key, place))?.value
    const isSame = there && there.cron === value.cron && there.tz === value.tz && there.everyMs === value.everyMs
    tx.put(RepeatRecord, key, isSame ? { ...value, next: there.next } : value, place)
  }

  async unset(tx: Transaction, key: string): Promise<void> {
    checkKey(key, 'key')
    const there = await tx.named(RepeatRecord, key, { parent: this.#node, in: IN.repeats })
    if (there) tx.delete(there)
  }

  /** Adds the jobs of what is due. The tick is in the job's id: nobody adds it twice. */
  async fire(id: string, ticksMax: number = TICKS_MAX): Promise<void> {
    try {
      await this.#chain.transact((tx) => this.#stageTicks(tx, id, ticksMax))
    } catch (error) {
      if (!isAteError(error) || error.code !== 'TX_TOO_LARGE' || ticksMax < 2) throw error
      await this.fire(id, Math.floor(ticksMax / 2))
    }
  }

  async #stageTicks(tx: Transaction, id: string, ticksMax: number): Promise<void> {
    const repeat = await tx.get(RepeatRecord, id)
    const { now } = this.#chain
    if (!repeat || repeat.value.next > now) return
    const { ticks, next } = dueTicks(repeat.value, now, ticksMax)
    const { data, priority, group } = repeat.value
    for (const tick of ticks) {
      const options = { id: tickId(repeat, tick), ...without({ priority, group }) }
      await this.#adder.stage(tx, this.#prepareTick(data, options, now))
    }
    const last = ticks.at(-1)
    if (next === undefined) tx.delete(repeat)
    else await tx.update(RepeatRecord, id, (value) => ({ ...value, next, ...(last === undefined ? {} : { last }) }))
  }

  /** Data that does not fit its schema any more makes a job that is dead with what is wrong, as when it is leased. */
  #prepareTick(data: unknown, options: AddOptions, now: number): Prepared {
    try {
      return this.#prepare(data, options)
    } catch (error) {
      const prepared = prepare(data, options.group, options, now)
      return { ...prepared, value: failedValue(prepared.value, { error, now, retryAt: undefined }) }
    }
  }
}

/** With the key of the repeat, if that leaves a name that can be: else with its entity. */
function tickId({ name, id }: { readonly name: string | undefined; readonly id: string }, tick: number): string {
  const time = new Date(tick).toISOString()
  return `repeat:${textBytes(name!) > TICK_KEY_MAX ? id : name}:${time}`
}

function without<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as never
}
