/** A server that is started anew with its clock set back dates nothing before what it has dated: two clients would have a proof. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { fromBase64 } from '../../src/base/bytes.ts'
import { AteError } from '../../src/base/errors.ts'
import { DATED_AHEAD_MS_MAX, DATES_KEPT_MS } from '../../src/base/limits.ts'
import type { Chain } from '../../src/data/chain.ts'
import { defineType } from '../../src/data/entity-type.ts'
import { verifyEvidence } from '../../src/data/evidence.ts'
import { evidenceBase } from '../../src/data/evidence-base.ts'
import type { HeadStatement } from '../../src/data/head-statement.ts'
import { replay } from '../../src/data/open-chain.ts'
import { openEngine, parsePlace } from '../../src/data/place.ts'
import { parseAcknowledgement } from '../../src/event/acknowledgement.ts'
import { Dates, dateBytes, dateIn, type KeptDate } from '../../src/mesh/dates.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import { serve } from '../../src/node/serve.ts'
import type { Platform } from '../../src/session/platform.ts'
import { type TestPlatform, testPlatform } from '../../src/testing/test-platform.ts'
import { until } from './kit.ts'
import { machine, someone } from './net-kit.ts'

const Note = defineType<{ text: string }>('note')
const HOUR = 3_600_000

let root = ''
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'ate-dates-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

/** A machine whose clock is so far ahead. */
function machineAt(aheadMs: number): Platform {
  const own = machine()
  const { environment } = own
  const clock = { now: () => environment.clock.now() + aheadMs, monotonic: () => environment.clock.monotonic() }
  return Object.create(own, { environment: { value: { ...environment, clock } } }) as Platform
}

const saidIn = ({ acknowledgement }: HeadStatement) => parseAcknowledgement(fromBase64(acknowledgement)!)

/** What the server says when it has stored one note more. */
async function wordOf(chain: Chain, text: string): Promise<HeadStatement> {
  const { seq } = await chain.transact((tx) => tx.create(Note, { text })).then(() => chain.head)
  const said = () => JSON.parse(chain.headStatement()!) as HeadStatement
  await until(() => saidIn(said()).seq >= seq, 'an acknowledgement')
  return said()
}

describe('two words of a server whose clock was set back while it was down', () => {
  it.each(['closed', 'crashed'] as const)('are no proof that it has gone back: %s', async (how) => {
    const me = someone()
    const data = join(root, how)
    const options = { listen: 'ws://127.0.0.1:0/db', data, metrics: 'never' } as const
    const first = await serve(options, machineAt(HOUR))
    const as = { as: me, serverKey: first.publicKey }
    const a = await openChain(`${first.url}/notes`, { ...as, create: true }, machineAt(HOUR))
    const early = await wordOf(a, 'before')
    await a.close()
    const crashed = readFileSync(join(data, 'acknowledged'))
    await first.close()
    if (how === 'crashed') writeFileSync(join(data, 'acknowledged'), crashed)

    const second = await serve(options, machineAt(0))
    const b = await openChain(`${second.url}/notes`, { ...as, id: a.id }, machineAt(0))
    const late = await wordOf(b, 'after')
    expect(await b.compareHead(JSON.stringify(early))).toBe('same')
    await b.close()
    await second.close()
    expect(saidIn(late).at - saidIn(early).at).toBeGreaterThanOrEqual(0)
    expect(saidIn(late).at - saidIn(early).at).toBeLessThanOrEqual(how === 'closed' ? HOUR / 2 : DATES_KEPT_MS)

    // What somebody makes of both words, who was shown no older log at all.
    const engine = await openEngine(parsePlace(`file:${data}/chains/notes`, {}, machine()), {
      create: false,
      label: undefined,
      known: undefined,
    })
    const replica = await replay(engine, machine(), undefined)
    await engine.close()
    const { format: _, chain: __, ...known } = late
    const { format: ___, chain: ____, ...against } = early
    const evidence = {
      ...evidenceBase(replica, 'rollback', { remembered: saidIn(late), shown: saidIn(early) }),
      ...{ from: saidIn(late).seq, count: 1 },
      known: { kind: 'acknowledgement', ...known },
      against: { kind: 'acknowledgement', ...against },
    }
    expect(verifyEvidence(evidence, { chain: a.id })).toMatchObject({ kind: 'rollback', verdict: 'claim' })
  })
})

/** One kept date, and whether it can be written. */
function store(): KeptDate & { kept: number | undefined; writes: number; fails: boolean; slow?: Promise<void> } {
  return {
    kept: undefined,
    writes: 0,
    fails: false,
    async read() {
      return this.kept
    },
    async keep(bound) {
      await this.slow
      if (this.fails) throw new AteError('IO_ERROR', {})
      this.kept = bound
      this.writes++
    },
  }
}

async function started(platform: TestPlatform, kept: KeptDate, failed?: (error: AteError) => void): Promise<Dates> {
  const dates = new Dates(platform.environment, kept, failed)
  await dates.start()
  return dates
}

const turns = () => new Promise((resume) => setImmediate(resume))

describe('dates', () => {
  const platform = (): { readonly platform: TestPlatform; readonly start: number } => {
    const made = testPlatform(1)
    return { platform: made, start: made.environment.clock.now() }
  }

  test('follow the clock, and stand where it is set back', async () => {
    const { platform: here, start } = platform()
    const dates = await started(here, store())
    here.advance(1000)
    expect(dates.now()).toBe(start + 1000)
    here.setWallClock(start - HOUR)
    expect([dates.now(), dates.begin()]).toEqual([start + 1000, start - HOUR])
  })

  test('of a next start are not before any that were used, also after a crash at any time', async () => {
    const { platform: here, start } = platform()
    const kept = store()
    const dates = await started(here, kept)
    let writes = 0
    for (let minute = 0; minute < 60; minute++) {
      here.advance(60_000)
      await turns()
      const used = dates.now()
      expect(used).toBe(start + (minute + 1) * 60_000)
      expect(kept.kept! - used).toBeGreaterThanOrEqual(0)
      expect(kept.kept! - used).toBeLessThanOrEqual(DATES_KEPT_MS)
      writes = kept.writes
    }
    expect(writes).toBeLessThan(15)
    here.setWallClock(start)
    const next = await started(here, { read: async () => kept.kept, keep: async () => undefined })
    expect(next.now()).toBeGreaterThanOrEqual(dates.now())
  })

  test('of a next start begin at the last that was used, behind a close', async () => {
    const { platform: here, start } = platform()
    const kept = store()
    const dates = await started(here, kept)
    here.advance(1000)
    const used = dates.now()
    await dates.close()
    here.setWallClock(start - HOUR)
    expect((await started(here, kept)).now()).toBe(used)
    // What is asked for behind it is not later than what is kept.
    here.setWallClock(start + HOUR)
    expect(dates.now()).toBe(used)
  })

  test('stand still while no new bound is kept, and say why', async () => {
    const { platform: here, start } = platform()
    const kept = store()
    const told: AteError[] = []
    const dates = await started(here, kept, (error) => told.push(error))
    kept.fails = true
    here.advance(HOUR)
    await turns()
    expect(dates.now()).toBe(start + DATES_KEPT_MS)
    expect([dates.begin(), kept.kept]).toEqual([start + DATES_KEPT_MS, start + DATES_KEPT_MS])
    expect(told.map(({ code }) => code)).toContain('IO_ERROR')
    kept.fails = false
    here.advance(DATES_KEPT_MS)
    await turns()
    expect(dates.now()).toBe(start + HOUR + DATES_KEPT_MS)
  })

  test('that are used while a bound is being kept are not later than the one before', async () => {
    const { platform: here, start } = platform()
    const kept = store()
    const dates = await started(here, kept)
    let go: () => void = () => undefined
    kept.slow = new Promise((resume) => {
      go = resume
    })
    // The clock goes back for the moment in which the next bound is chosen.
    here.advance(DATES_KEPT_MS / 2 - 1)
    here.setWallClock(start - HOUR)
    here.advance(1)
    here.setWallClock(start + DATES_KEPT_MS)
    const used = dates.now()
    go()
    await turns()
    expect(kept.kept).toBeGreaterThanOrEqual(used)
  })

  test('go ahead of the clock by so much, and a clock that was far ahead is forgotten', async () => {
    const { platform: here, start } = platform()
    const kept = store()
    const dates = await started(here, kept)
    here.setWallClock(start + 1000 * HOUR)
    here.advance(DATES_KEPT_MS)
    await turns()
    dates.now()
    here.setWallClock(start)
    expect(dates.now()).toBe(start + DATED_AHEAD_MS_MAX)
    expect((await started(here, kept)).now()).toBe(start + DATED_AHEAD_MS_MAX)
    expect(kept.kept).toBe(start + DATED_AHEAD_MS_MAX + DATES_KEPT_MS)
  })

  test('that are kept are a number, or damage', () => {
    expect(dateIn(dateBytes(1_700_000_000_000), {})).toBe(1_700_000_000_000)
    for (const text of ['', '\n', '12', '1.5\n', '-1\n', ' 12\n', '9999999999999999\n'])
      expect(() => dateIn(new TextEncoder().encode(text), { path: 'x' })).toThrow(
        expect.objectContaining({ code: 'DAMAGED', facts: { path: 'x', what: 'a time' } }),
      )
  })
})
