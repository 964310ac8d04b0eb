/** What the chain refuses, each reason for itself: attempts whose process believes that they hold their lease. */
import { afterEach, expect, it } from 'vitest'
import { Endings } from '../src/ending.ts'
import { Attempt } from '../src/handling.ts'
import type { Held, Lane } from '../src/lane.ts'
import { rulesOf } from '../src/queue-options.ts'
import { FenceRecord, IN, JobRecord, type JobValue, QueueRecord } from '../src/queue-records.ts'
import { EffectOf, expectCode, openWorld, type World } from './kit.ts'

let world: World
let endings: Endings
afterEach(() => world?.close())

/** A job, a fence, and an attempt at the job of turn 1. */
async function attemptAt(
  value: Partial<JobValue>,
  where: 'a new world' | 'the same world' = 'a new world',
): Promise<{ readonly attempt: Attempt<number>; readonly fence: string }> {
  if (where === 'a new world') {
    world = await openWorld(1)
    const { chain, environment } = world.process()
    endings = new Endings(chain, environment)
  }
  const { chain, environment } = world.process()
  const { job, fence } = await chain.transact((tx) => {
    const parent = tx.create(QueueRecord, {}, { in: IN.queues })
    return {
      job: tx.create(JobRecord, { data: 1, added: 0, turn: 1, ...value }, { parent, in: IN.jobs }),
      fence: tx.create(FenceRecord, {}, { parent, in: IN.fences }),
    }
  })
  const held: Held = {
    job: job.id,
    turn: 1,
    fence: 1,
    session: 's',
    fenceId: fence.id,
    onLost: undefined,
    isOver: false,
    isCompleting: false,
  }
  const lane = { end: () => undefined, lose: () => undefined } as unknown as Lane
  const rules = rulesOf({}, undefined)
  const parts = {
    chain,
    lane,
    endings,
    environment,
    queueKey: 'q',
    rules: () => rules,
    look: () => undefined,
    parseResult: (result: unknown) => result,
  }
  const attempt = new Attempt<number>(parts, held, { job, version: chain.versionOf(job) }, 1)
  attempt.effect((tx) => tx.create(EffectOf, { job: job.id, fence: 1n }))
  return { attempt, fence: fence.id }
}

async function expectNothing(attempt: Attempt<number>, effects = 0): Promise<void> {
  expect(world.chain.children(EffectOf).count()).toBe(effects)
  expect((await world.chain.load(JobRecord, attempt.held.job)).value.result).toBeUndefined()
}

it('commits done and its effects under a fence that stands, at the turn that it is', async () => {
  const { attempt } = await attemptAt({})
  await attempt.complete('yes')
  expect(world.chain.children(EffectOf).count()).toBe(1)
  expect((await world.chain.load(JobRecord, attempt.held.job)).value).toMatchObject({ end: 'done', result: 'yes' })
})

it('refuses everything once the fence is gone', async () => {
  const { attempt, fence } = await attemptAt({})
  await world.chain.transact((tx) => tx.delete(fence))
  await expectCode(
    attempt.step('s', () => 1),
    'LEASE_LOST',
  )
  await expectCode(attempt.complete('no'), 'LEASE_LOST')
  await expectNothing(attempt)
})

it('refuses everything at a later turn', async () => {
  const { attempt } = await attemptAt({ turn: 2 })
  await expectCode(
    attempt.step('s', () => 1),
    'LEASE_LOST',
  )
  await expectCode(attempt.complete('no'), 'LEASE_LOST')
  await expectCode(attempt.fail(new Error('no')), 'LEASE_LOST')
  await expectCode(attempt.release(), 'LEASE_LOST')
  await expectNothing(attempt)
})

it('refuses to end what has ended', async () => {
  const { attempt } = await attemptAt({ end: 'done', ended: 1 })
  await expectCode(attempt.complete('twice'), 'LEASE_LOST')
  await expectNothing(attempt)
})

it('says of a cancelled job that it was cancelled', async () => {
  const { attempt } = await attemptAt({ end: 'cancelled', ended: 1 })
  await expectCode(attempt.complete('no'), 'JOB_CANCELLED')
  await expectNothing(attempt)
})

const CHANGES: readonly (readonly [what: string, change: (value: JobValue) => JobValue, code: string])[] = [
  ['is at a later turn', (value) => ({ ...value, turn: 2 }), 'LEASE_LOST'],
  ['has ended', (value) => ({ ...value, end: 'done', ended: 1 }), 'LEASE_LOST'],
  ['was cancelled', (value) => ({ ...value, end: 'cancelled', ended: 1 }), 'JOB_CANCELLED'],
]

for (const [what, change, code] of CHANGES) {
  it(`refuses what ${what} since it was leased`, async () => {
    const { attempt } = await attemptAt({})
    await world.chain.transact((tx) => tx.update(JobRecord, attempt.held.job, change))
    await expectCode(attempt.complete('no'), code)
    await expectNothing(attempt)
  })
}

it('refuses what is gone since it was leased', async () => {
  const { attempt } = await attemptAt({})
  await world.chain.transact((tx) => tx.delete(attempt.held.job))
  await expectCode(attempt.complete('no'), 'LEASE_LOST')
  expect(world.chain.children(EffectOf).count()).toBe(0)
})

it('ends what has changed since it was leased as it is now', async () => {
  const { attempt } = await attemptAt({})
  await attempt.step('s', () => 7)
  await attempt.fail(new Error('again'))
  const { value } = await world.chain.load(JobRecord, attempt.held.job)
  expect(value).toMatchObject({ steps: [['s', 7]], turn: 2, fails: 1 })
})

it('sees what an effect of an end before it has done to its job, in the same transaction', async () => {
  const { attempt } = await attemptAt({})
  const { attempt: other } = await attemptAt({}, 'the same world')
  attempt.effect((tx) =>
    tx.update(JobRecord, other.held.job, (value) => ({ ...value, end: 'cancelled' as const, ended: 1 })),
  )
  const both = [attempt.complete('yes'), other.complete('no')]
  await expectCode(both[1]!, 'JOB_CANCELLED')
  await both[0]
  await expectNothing(other, 1)
})

it('refuses in one commit when the fence goes while the effects run', async () => {
  const { attempt, fence } = await attemptAt({})
  let runs = 0
  attempt.effect(async () => {
    if (runs++ === 0) await world.chain.transact((tx) => tx.delete(fence))
  })
  await expectCode(attempt.complete('no'), 'LEASE_LOST')
  await expectNothing(attempt)
})
