/** Decisions and tables against models of them. */

import { seededRandom } from '@ate/core/testing'
import { describe, expect, it } from 'vitest'
import { RowHeap, TimeHeap } from '../src/heaps.ts'
import { JobRows, STATE } from '../src/job-rows.ts'
import { JobTable } from '../src/job-table.ts'
import { decodeLeases, encodeLeases, type JobValue, readId, type StoredLimit, writeId } from '../src/queue-records.ts'
import { Rates, retryWait } from '../src/queue-rules.ts'
import { dueTicks, nextTick } from '../src/repeats.ts'
import { sizeOf } from '../src/sizes.ts'
import { codeOf } from './kit.ts'

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
function idOf(random: { below(limit: number): number }): string {
  let id = ''
  for (let i = 0; i < 25; i++) id += ALPHABET[random.below(32)]
  return id + ALPHABET[random.below(8) * 4]
}

describe('ids and leases', () => {
  it('are the same after they were bytes', () => {
    const random = seededRandom(1)
    const words = new Uint32Array(4)
    for (let i = 0; i < 500; i++) {
      const id = idOf(random)
      writeId(id, words, 0)
      expect(readId(words, 0)).toBe(id)
    }
    const leases = Array.from({ length: 50 }, () => ({
      job: idOf(random),
      turn: random.next(),
      fence: random.next() * 1000,
    }))
    expect(decodeLeases(encodeLeases(leases))).toEqual(leases)
    const oneTextOnly = ['u'.repeat(26), `${'0'.repeat(25)}1`, '\u00b0'.repeat(26), '0'.repeat(25), '0'.repeat(27)]
    for (const wrong of oneTextOnly) expect(() => writeId(wrong, words, 0)).toThrow('BAD_ID')
  })
})

describe('rows', () => {
  it('are found and dropped as in a map', () => {
    const random = seededRandom(2)
    const rows = new JobRows()
    const model = new Map<string, number>()
    for (let i = 0; i < 10_000; i++) {
      if (random.oneIn(3) && model.size > 0) {
        const [id, row] = model.entries().next().value!
        rows.drop(row)
        rows.release(row)
        model.delete(id)
        expect(rows.find(id)).toBe(-1)
      } else {
        const id = idOf(random)
        const row = rows.add(id)
        rows.state[row] = STATE.waiting
        model.set(id, row)
      }
    }
    expect(rows.size).toBe(model.size)
    for (const [id, row] of model) expect([rows.find(id), rows.idOf(row)]).toEqual([row, id])
  })
})

describe('heaps', () => {
  it('give what sorting gives', () => {
    const random = seededRandom(3)
    const keys = Array.from({ length: 500 }, () => random.below(500))
    const rows = new RowHeap((a, b) => (keys[a] === keys[b] ? a < b : keys[a]! < keys[b]!))
    const times = new TimeHeap()
    keys.forEach((key, row) => {
      rows.push(row)
      times.push(key, row)
    })
    const order = keys.map((_, row) => row).sort((a, b) => keys[a]! - keys[b]! || a - b)
    expect(order.map(() => rows.pop())).toEqual(order)
    expect(order.map(() => times.pop()!.time)).toEqual(order.map((row) => keys[row]))
    expect([rows.pop(), times.pop()]).toEqual([undefined, undefined])
  })
})

describe('the table', () => {
  it('counts states, and gives each ready job once, as a model says', () => {
    const random = seededRandom(4)
    const table = new JobTable()
    const model = new Map<string, JobValue>()
    const held = new Map<string, number>()
    const ids: string[] = []
    let now = 1000
    for (let i = 0; i < 5000; i++) {
      now += random.below(5)
      table.promote(now)
      const id = ids[random.below(Math.max(1, ids.length))]
      const value = id === undefined ? undefined : model.get(id)
      switch (random.below(6)) {
        case 0: {
          const fresh = idOf(random)
          const added: JobValue = {
            data: 0,
            added: now,
            ...(random.oneIn(3) ? { group: `g${random.below(5)}` } : {}),
            ...(random.oneIn(4) ? { at: now + random.below(200) } : {}),
            ...(random.oneIn(4) ? { priority: random.below(3) } : {}),
          }
          ids.push(fresh)
          model.set(fresh, added)
          table.put(fresh, added, now)
          break
        }
        case 1: {
          const row = table.take('s')?.row
          if (row === undefined) break
          const taken = table.rows.idOf(row)
          const job = model.get(taken)!
          expect([held.has(taken), job.end, (job.at ?? 0) <= now]).toEqual([false, undefined, true])
          if (job.group !== undefined) {
            const busy = [...held.keys()].some((one) => model.get(one)!.group === job.group)
            expect(busy, 'one of a group at a time').toBe(false)
          }
          held.set(taken, row)
          break
        }
        case 2:
        case 3: {
          const [job] = [...held.keys()]
          if (job === undefined) break
          const before = model.get(job)!
          const next: JobValue = random.oneIn(3)
            ? { ...before, turn: (before.turn ?? 0) + 1, at: now + random.below(50), wait: 'retry' }
            : { ...before, end: 'done', ended: now }
          model.set(job, next)
          held.delete(job)
          table.put(job, next, now)
          table.endLease('s', job)
          break
        }
        case 4:
          if (id === undefined || !value || held.has(id) || value.end !== undefined) break
          model.set(id, { ...value, end: 'cancelled', ended: now, turn: (value.turn ?? 0) + 1 })
          table.put(id, model.get(id)!, now)
          break
        default:
          if (id === undefined || value?.end === undefined) break
          model.delete(id)
          ids.splice(ids.indexOf(id), 1)
          table.remove(id)
      }
    }
    table.promote(now)
    const open = [...model.entries()].filter(([id, { end }]) => end === undefined && !held.has(id))
    const scheduled = open.filter(([, { at }]) => at !== undefined && at > now)
    expect(table.counts[STATE.active]).toBe(held.size)
    expect(table.counts[STATE.scheduled]).toBe(scheduled.length)
    expect(table.counts[STATE.waiting]).toBe(open.length - scheduled.length)
    expect(table.retries).toBe(scheduled.filter(([, { wait }]) => wait === 'retry').length)
    // All that is left comes out, each once.
    for (const job of held.keys()) {
      table.put(job, { ...model.get(job)!, end: 'done', ended: now }, now)
      table.endLease('s', job)
    }
    let count = 0
    for (let row = take(); row !== undefined; row = take()) count++
    function take(): number | undefined {
      table.promote(now + 1000)
      const row = table.take('s')?.row
      if (row !== undefined) {
        const id = table.rows.idOf(row)
        table.put(id, { ...model.get(id)!, end: 'done', ended: now }, now)
        table.endLease('s', id)
      }
      return row
    }
    expect(count).toBe(open.length)
  })
})

describe('rates', () => {
  it('let no window have more starts than they allow', () => {
    const random = seededRandom(5)
    const limits = [{ starts: 5, everyMs: 1000, per: 'queue' as const }]
    let stored = new Rates(limits, {}, 0).stored()
    const starts: number[] = []
    for (let now = 0; now < 60_000; now += random.below(60)) {
      const rates = new Rates(limits, stored, now)
      const opens = rates.opensAt('queue', undefined)
      if (opens <= now) {
        rates.start(undefined, now)
        starts.push(now)
      } else expect(opens).toBeGreaterThan(now)
      stored = rates.stored()
    }
    for (const start of starts) {
      expect(starts.filter((other) => other >= start && other < start + 1000).length).toBeLessThanOrEqual(5)
    }
    expect(starts.length).toBeGreaterThan(250)
  })

  it('count each group for itself', () => {
    const rates = new Rates([{ starts: 1, everyMs: 100, per: 'group' }], {}, 0)
    rates.start('a', 0)
    rates.start(undefined, 0)
    expect([rates.opensAt('group', 'a'), rates.opensAt('group', 'b'), rates.opensAt('queue', undefined)]).toEqual([
      100, 0, 0,
    ])
    expect(new Rates([{ starts: 1, everyMs: 100, per: 'group' }], rates.stored(), 50).opensAt('group', 'a')).toBe(100)
    expect(new Rates([{ starts: 1, everyMs: 100, per: 'group' }], rates.stored(), 100).opensAt('group', 'a')).toBe(0)
  })

  it('remember a window in parts: few, and never more starts than the limit', () => {
    const random = seededRandom(9)
    const limits = [{ starts: 3000, everyMs: 100_000, per: 'queue' as const }]
    let stored = new Rates(limits, {}, 0).stored()
    const starts: number[] = []
    for (let now = 0; now < 300_000; now += 1 + random.below(30)) {
      const rates = new Rates(limits, stored, now)
      if (rates.opensAt('queue', undefined) > now) continue
      rates.start(undefined, now)
      starts.push(now)
      stored = rates.stored()
      expect(stored.starts![0]!.length).toBeLessThan(2100)
    }
    for (let i = 3000; i < starts.length; i++) expect(starts[i]! - starts[i - 3000]!).toBeGreaterThanOrEqual(100_000)
    expect(starts.length).toBeGreaterThan(8900)
  })

  it('go on with what was counted by other limits, in whatever order they stood', () => {
    const hour = { starts: 3, everyMs: 3_600_000, per: 'queue' as const }
    const second = { starts: 1, everyMs: 1000, per: 'queue' as const }
    const group = { starts: 2, everyMs: 60_000, per: 'group' as const }
    const active = { active: 5, per: 'queue' as const }
    const before = new Rates([second, group, hour], {}, 0)
    before.start('a', 1000)
    before.start('a', 5000)
    before.start('b', 6000)
    const stored = before.stored()
    const opens = (limits: readonly StoredLimit[], now = 6500): number[] => {
      const rates = new Rates(limits, stored, now)
      return [rates.opensAt('queue', undefined), rates.opensAt('group', 'a'), rates.opensAt('group', 'b')]
    }
    expect(opens([second])).toEqual([7000, 0, 0])
    expect(opens([active, hour, second, group])).toEqual([3_601_000, 61_000, 0])
    // Of another length: of those that stood there the one that tells enough, or the most.
    expect(opens([{ ...second, everyMs: 4000, starts: 2 }])).toEqual([10_000, 0, 0])
    expect(opens([{ ...hour, everyMs: 2 * hour.everyMs }])).toEqual([2 * hour.everyMs + 1000, 0, 0])
    expect(opens([{ ...group, starts: 1 }], 65_500)).toEqual([0, 0, 66_000])
    // As older programs wrote it: by the limits of the options.
    const rates = new Rates([second, group, hour], { starts: stored.starts! }, 6500)
    expect(rates.opensAt('queue', undefined)).toBe(3_601_000)
  })

  it('wait when what they remember of groups is as much as the lane takes', () => {
    const limits = [{ starts: 1, everyMs: 1000, per: 'group' as const }]
    const rates = new Rates(limits, {}, 0)
    let now = 0
    for (; now < 50_000 && rates.opensAt('queue', undefined) === 0; now++) rates.start(`group ${now}`, 1 + now / 100)
    expect(now).toBeGreaterThan(10_000)
    expect(sizeOf(rates.stored()).items).toBeLessThan(65_000)
    expect(rates.opensAt('queue', undefined)).toBe(1001)
    expect(new Rates(limits, rates.stored(), 1001).opensAt('queue', undefined)).toBe(0)
    const long = new Rates(limits, {}, 0)
    for (now = 0; now < 50_000 && long.opensAt('queue', undefined) === 0; now++) long.start(`${now}`.padEnd(400), 1)
    expect(sizeOf(long.stored()).bytes).toBeLessThan(600_000)
  })
})

describe('the wait before a retry', () => {
  it('doubles, with its upper half by chance, up to an hour; or is what a function says', () => {
    const waits = [1, 2, 3, 20, 1000].map((attempt) =>
      [0, 1].map((random) => retryWait({ backoff: 1000 }, attempt, random, 0).ms),
    )
    expect(waits).toEqual([
      [500, 1000],
      [1000, 2000],
      [2000, 4000],
      [1_800_000, 3_600_000],
      [1_800_000, 3_600_000],
    ])
    expect(retryWait({ backoff: (attempt) => `${attempt}s` }, 3, 0.5, 0)).toEqual({ ms: 3000 })
  })
})

describe('ticks', () => {
  const at = (text: string): number => Date.parse(text)
  const common = { data: 0, missed: 'all' as const }

  it('come once on the night when clocks go forward, and once when they go back', () => {
    const daily = { cron: '30 2 * * *', tz: 'Europe/Berlin' }
    const count = (from: string, to: string): number =>
      dueTicks({ ...daily, ...common, next: nextTick(daily, at(from))! }, at(to)).ticks.length
    expect(count('2026-03-28T12:00:00Z', '2026-03-29T12:00:00Z')).toBe(1)
    expect(count('2026-10-24T12:00:00Z', '2026-10-25T12:00:00Z')).toBe(1)
    const hourly = { cron: '0 * * * *', tz: 'Europe/Berlin' }
    const all = dueTicks(
      { ...hourly, ...common, next: nextTick(hourly, at('2026-10-24T22:30:00Z'))! },
      at('2026-10-25T03:30:00Z'),
    )
    expect(new Set(all.ticks).size).toBe(all.ticks.length)
    expect(all.ticks.length).toBe(5)
  })

  it('that were missed are added all, once, or not', () => {
    const from = at('2026-01-01T00:00:30Z')
    const now = at('2026-01-01T00:10:30Z')
    const minute = { cron: '* * * * *' }
    const ticksOf = (missed: 'all' | 'once' | 'skip', until = now): number[] => [
      ...dueTicks({ ...minute, data: 0, missed, next: nextTick(minute, from)! }, until).ticks,
    ]
    expect(ticksOf('all').length).toBe(10)
    expect(ticksOf('once')).toEqual([at('2026-01-01T00:10:00Z')])
    expect(ticksOf('skip')).toEqual([at('2026-01-01T00:10:00Z')])
    const hour = { cron: '0 * * * *', data: 0, next: at('2026-01-01T01:00:00Z') }
    expect(dueTicks({ ...hour, missed: 'skip' }, at('2026-01-01T03:30:00Z')).ticks).toEqual([])
    expect(dueTicks({ ...hour, missed: 'once' }, at('2026-01-01T03:30:00Z')).ticks).toEqual([
      at('2026-01-01T03:00:00Z'),
    ])
    // Thirty years of seconds are not counted through, and end where counting through would.
    const second = { cron: '* * * * * *', tz: 'Europe/Berlin', data: 0, next: at('2026-01-01T01:00:00Z') }
    expect(dueTicks({ ...second, missed: 'once' }, at('2056-01-01T00:00:00.5Z'))).toEqual({
      ticks: [at('2056-01-01T00:00:00Z')],
      next: at('2056-01-01T00:00:01Z'),
    })
    const every = { everyMs: 1000, data: 0, next: 5000 }
    expect(dueTicks({ ...every, missed: 'once' }, 1_000_000_500)).toEqual({
      ticks: [1_000_000_000],
      next: 1_000_001_000,
    })
    expect(dueTicks({ ...every, missed: 'all' }, 8500)).toEqual({ ticks: [5000, 6000, 7000, 8000], next: 9000 })
  })

  it('refuses what is no pattern and no zone', () => {
    for (const bad of [{ cron: 'every day' }, { cron: '61 * * * *' }, { cron: '* * * * *', tz: 'Mars/Olympus' }])
      expect(codeOf(tryOf(() => nextTick(bad, 0)))).toBe('BAD_CRON')
  })
})

function tryOf(run: () => unknown): unknown {
  try {
    return run()
  } catch (error) {
    return error
  }
}
