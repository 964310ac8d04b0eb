/** What the bus decides, and the window of a subscription against a slow, readable twin. */
import { describe, expect, it } from 'vitest'
import {
  dropsOldest,
  endOfRecord,
  indexOfPosition,
  matchesTopic,
  parsePattern,
  parseTopic,
  positionOf,
  retryIn,
  seqOfPosition,
} from '../src/bus-rules.ts'
import { Entry, Window } from '../src/window.ts'
import { randomOf } from './sim-member.ts'

describe('patterns', () => {
  it('match as a regular expression does', () => {
    const random = randomOf(5)
    const tokens = (from: readonly string[], most: number): string[] =>
      Array.from({ length: 1 + random.below(most) }, () => from[random.below(from.length)]!)
    for (let i = 0; i < 4_000; i++) {
      const topic = tokens(['a', 'b', 'ab'], 4)
      const pattern = tokens(['a', 'b', '*'], 4)
      if (random() < 0.3) pattern[pattern.length - 1] = '>'
      const twin = pattern.map((token) => (token === '*' ? '[^.]+' : token === '>' ? '.+' : token)).join('\\.')
      expect(matchesTopic(parsePattern(pattern.join('.')), parseTopic(topic.join('.')))).toBe(
        new RegExp(`^${twin}$`).test(topic.join('.')),
      )
    }
  })

  it('and topics keep to their limits', () => {
    expect(parseTopic(Array(16).fill('a').join('.')).length).toBe(16)
    expect(parseTopic('Grüße.日本')).toEqual(['Grüße', '日本'])
    for (const bad of [Array(17).fill('a').join('.'), 'a'.repeat(65), 'a\u0000b', 'a\nb', ' a', undefined])
      expect(() => parseTopic(bad)).toThrow('BAD_TOPIC')
  })
})

it('positions are ordered as records and their events are', () => {
  expect(seqOfPosition(positionOf(7, 3))).toBe(7)
  expect(indexOfPosition(positionOf(7, 3))).toBe(3)
  expect(positionOf(7, 65_535)).toBe(endOfRecord(7))
  expect(endOfRecord(7) + 1).toBe(positionOf(8, 0))
  expect(seqOfPosition(-1)).toBe(-1)
})

it('an event is tried again after ever longer pauses, a bounded number of times', () => {
  const at = { random: 0.5, now: 0 }
  const waits = [1, 2, 3, 4, 5].map((tries) => retryIn({}, { ...at, tries }))
  expect(waits).toEqual([88, 175, 350, 700, undefined])
  expect(retryIn({ max: 100 }, { ...at, tries: 60, random: 0.999 })).toBeLessThanOrEqual(30_000)
  expect(retryIn({ backoff: '2s' }, { ...at, tries: 3 })).toBe(2000)
  expect(retryIn({ backoff: (tries) => tries * 10 }, { ...at, tries: 3 })).toBe(30)
})

it('retention looks at each of its limits', () => {
  const kept = { events: 3, bytes: 300, oldestAt: 1000 }
  expect(dropsOldest({}, kept, 1e12)).toBe(false)
  expect([dropsOldest({ count: 3 }, kept, 0), dropsOldest({ count: 2 }, kept, 0)]).toEqual([false, true])
  expect([dropsOldest({ bytes: 300 }, kept, 0), dropsOldest({ bytes: 299 }, kept, 0)]).toEqual([false, true])
  expect([dropsOldest({ for: '1s' }, kept, 2000), dropsOldest({ for: '1s' }, kept, 2001)]).toEqual([false, true])
  expect(dropsOldest({ count: 0 }, { ...kept, events: 0 }, 0)).toBe(false)
})

/** Does the same with lists that are searched: what is done, and who may run. */
class SlowWindow {
  readonly entries: { position: number; lane: string | undefined; state: string }[] = []

  mayRun(position: number): boolean {
    const at = this.entries.findIndex((entry) => entry.position === position)
    const { lane, state } = this.entries[at]!
    if (state !== 'waiting') return false
    if (lane === undefined) return true
    return this.entries.slice(0, at).every((other) => other.lane !== lane || ['returned', 'done'].includes(other.state))
  }

  floor(start: number): number {
    let floor = start
    for (const { position, state } of this.entries) {
      if (state !== 'done') break
      floor = position
    }
    return floor
  }
}

describe('the window', () => {
  it('does as its twin does', () => {
    for (let seed = 1; seed <= 80; seed++) compare(seed)
  })

  it('runs what stands behind a failed commit again', () => {
    const window = new Window<string>(0)
    const entries = [1, 2, 3].map((position) => new Entry({ position, lane: 'a', bytes: 1, tries: 0 }, `${position}`))
    for (const entry of entries) window.add(entry)
    for (const entry of entries) {
      expect(window.next()).toBe(entry)
      window.returned(entry)
    }
    const [one, two, three] = entries as [Entry<string>, Entry<string>, Entry<string>]
    window.committed([one])
    window.failed(two)
    expect([two.state, three.state, window.floor]).toEqual(['paused', 'waiting', 1])
    expect(window.next()).toBeUndefined()
    window.again(two)
    expect(window.next()).toBe(two)
    expect(window.next()).toBeUndefined()
    window.returned(two)
    expect(window.next()).toBe(three)
    window.returned(three)
    window.committed(window.committable(10))
    expect([window.floor, window.size, window.bytes, window.running, window.span]).toEqual([3, 0, 0, 0, 0])
  })
})

function compare(seed: number): void {
  const random = randomOf(seed)
  const window = new Window<undefined>(0)
  const slow = new SlowWindow()
  const entries = new Map<number, Entry<undefined>>()
  let position = 0
  const inState = (state: string): Entry<undefined>[] => [...entries.values()].filter((entry) => entry.state === state)
  const one = (state: string): Entry<undefined> | undefined => {
    const found = inState(state)
    return found[random.below(found.length)]
  }
  for (let i = 0; i < 80; i++) {
    const roll = random()
    if (roll < 0.3) {
      position += 1 + random.below(3)
      const lane = [undefined, 'a', 'b'][random.below(3)]
      const entry = new Entry<undefined>({ position, lane, bytes: 10, tries: 0 }, undefined)
      entries.set(position, entry)
      slow.entries.push({ position, lane, state: 'waiting' })
      window.add(entry)
    } else if (roll < 0.35) {
      position++
      window.addDone(position)
      slow.entries.push({ position, lane: undefined, state: 'done' })
    } else if (roll < 0.6) {
      const expected = slow.entries.filter((entry) => slow.mayRun(entry.position)).map((entry) => entry.position)
      const entry = window.next()
      if (entry) expect(expected).toContain(entry.position)
      else expect(expected).toEqual([])
    } else if (roll < 0.75) {
      const entry = one('running')
      if (entry) window.returned(entry)
    } else if (roll < 0.82) {
      const entry = one(random() < 0.7 ? 'running' : 'returned')
      if (entry) window.failed(entry)
    } else if (roll < 0.9) {
      const entry = one('paused')
      if (entry) window.again(entry)
    } else {
      const batch = window.committable(1 + random.below(4))
      const after = window.after(batch)
      window.committed(batch)
      expect(window.floor).toBe(after.floor)
    }
    for (const entry of slow.entries) entry.state = entries.get(entry.position)?.state ?? 'done'
    expect([seed, window.floor]).toEqual([seed, slow.floor(0)])
    const open = slow.entries.filter(({ state }) => state !== 'done')
    expect([window.size, window.bytes]).toEqual([open.length, open.length * 10])
    expect(window.running).toBe(inState('running').length)
    const behind = slow.entries.filter((entry) => entry.state === 'done' && entry.position > window.floor)
    expect(window.after([]).done).toEqual(behind.map((entry) => entry.position))
  }
}
