/** Results for who knows an id and has no handle: how a job ended, whenever it is asked for; and waits that have an end. */
import { afterEach, describe, expect, it } from 'vitest'
import { type Queue, queue } from '../src/index.ts'
import { JobRecord } from '../src/queue-records.ts'
import { codeOf, expectCode, openWorld, type World } from './kit.ts'

type Jobs = Queue<string, string, string>

let world: World
afterEach(() => world?.close())

/** Two processes: one works, the other asks. */
async function two(at?: string): Promise<{ readonly works: Jobs; readonly asks: Jobs }> {
  world = await openWorld(1, at)
  const options = { retry: { max: 1 }, keep: { done: '1m', dead: '1m' } } as const
  const [works, asks] = [world.process(), world.process()].map((one) => one.queue<string, string>(options))
  return { works: works!, asks: asks! }
}

function workOn(jobs: Jobs): void {
  jobs.work(({ data }) => {
    if (data === 'bad') throw new Error('no such address')
    return `did ${data}`
  })
}

describe.each([undefined, 'file:/q'])('a result by id, on %s', (at) => {
  it('is waited for, and is there later too; a job that is dead or cancelled says so', async () => {
    const { works, asks } = await two(at)
    for (const id of ['good', 'bad', 'out']) await works.add(id, { id, ...(id === 'out' ? { delay: '1h' } : {}) })
    const { id: unnamed } = await works.add('some')
    const ids = ['good', 'bad', 'out', unnamed]
    const ask = (): Promise<string[]> => Promise.all(ids.map((id) => asks.result(id).catch(codeOf)))
    const before = ask()
    workOn(works)
    await works.cancel('out')
    await world.pass(500)
    const ended = ['did good', 'JOB_FAILED', 'JOB_CANCELLED', 'did some']
    expect(await before).toEqual(ended)
    expect(await ask()).toEqual(ended)
    await expect(asks.result('bad')).rejects.toMatchObject({
      facts: { job: 'bad', error: expect.stringContaining('no such') },
    })
  })

  it('that nobody added, or that is not kept any more, is NOT_FOUND', async () => {
    const { works, asks } = await two(at)
    await expectCode(asks.result('good'), 'NOT_FOUND')
    await works.add('good', { id: 'good' })
    workOn(works)
    await world.pass(500)
    expect(await asks.result('good')).toBe('did good')
    await world.pass(120_000, 5000)
    await expectCode(asks.result('good'), 'NOT_FOUND')
  })
})

it('is asked for where the chain is ordered, before it is said not to be there', async () => {
  world = await openWorld(2)
  const [works, asks] = [world.process(), world.process()]
  await works.queue<string, string>().add('good', { id: 'good' })
  let isNew = false
  const behind = new Proxy(asks.chain, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target)
      if (property === 'refresh') {
        return async () => {
          isNew = true
          return 1
        }
      }
      if (property !== 'named') return value
      return (...args: readonly [{ readonly name: string }]) =>
        args[0].name === JobRecord.name && !isNew ? undefined : (value as (...given: unknown[]) => unknown)(...args)
    },
  })
  workOn(works.queue<string, string>())
  const result = queue<string, string>(behind, 'jobs', {}, asks.environment).result('good')
  await world.pass(500)
  expect(await result).toBe('did good')
})

describe('a wait for a result', () => {
  it('ends with its time, of a handle too, and the job goes on', async () => {
    const { works, asks } = await two()
    const handle = await works.add('good', { id: 'good' })
    const waits = [handle.result({ timeout: '1s' }), asks.result('good', { timeout: '1s' })].map((wait) =>
      wait.catch(codeOf),
    )
    await world.pass(1200)
    expect(await Promise.all(waits)).toEqual(['NO_RESULT', 'NO_RESULT'])
    const again = asks.result('good', { timeout: '1m' })
    workOn(works)
    await world.pass(500)
    expect(await again).toBe('did good')
  })

  it('ends with its signal, whose reason it gives, also beside a time', async () => {
    const { works, asks } = await two()
    const { id } = await works.add('good')
    const stop = new AbortController()
    const waits = [{}, { timeout: '1h' } as const].map((more) =>
      asks.result(id, { signal: stop.signal, ...more }).catch((error) => error),
    )
    await world.pass(300)
    stop.abort('enough')
    expect(await Promise.all(waits)).toEqual(['enough', 'enough'])
    await expect(asks.result(id, { signal: stop.signal })).rejects.toBe('enough')
  })

  it('refuses what is wrong, and ends with the chain', async () => {
    const { works, asks } = await two()
    const { id } = await works.add('good')
    await expectCode(asks.result(1 as never), 'BAD_ARGUMENT')
    await expectCode(asks.result('x'.repeat(2000)), 'BAD_ARGUMENT')
    await expectCode(asks.result(id, { timeout: 'soon' as never }), 'BAD_ARGUMENT')
    await expectCode(asks.result(id, { signal: 1 as never }), 'BAD_ARGUMENT')
    const waits = asks.result(id).catch(codeOf)
    await world.pass(300)
    await world.chain.close()
    expect(await waits).toBe('CHAIN_CLOSED')
  })
})
