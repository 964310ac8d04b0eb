/** Questions whose answers are waited for: no timer outlives its question, and who is asked in vain is given up. */
import { expect, it } from 'vitest'
import type { Timers } from '../../src/base/environment.ts'
import { AteError } from '../../src/base/errors.ts'
import { SERVER_SILENT_MS } from '../../src/base/limits.ts'
import { SyncAsking } from '../../src/mesh/sync-asking.ts'
import { simTime } from '../../src/testing/sim-time.ts'

/** A question's way out and back, and how many timers run. */
function asking() {
  const time = simTime()
  const running = new Set<object>()
  const timers: Timers = {
    ...time.timers,
    start(ms, run) {
      const timer = {}
      running.add(timer)
      const started = time.timers.start(ms, () => {
        running.delete(timer)
        run()
      })
      return {
        cancel() {
          running.delete(timer)
          started.cancel()
        },
      }
    },
  }
  const sent: number[] = []
  const server = { heard: 0 }
  const syncs = new SyncAsking({ timers, send: (id) => sent.push(id), heard: () => server.heard })
  return { syncs, sent, server, time, running }
}

it('has no timer of a question that was answered, or lost', async () => {
  const { syncs, sent, running } = asking()
  const asked = Array.from({ length: 1000 }, () => syncs.ask())
  expect(running.size).toBe(1000)
  for (const id of sent.slice(0, 600)) syncs.answered(id)
  expect(running.size).toBe(400)
  await Promise.all(asked.slice(0, 600))
  syncs.lost(new AteError('OFFLINE'))
  expect(running.size).toBe(0)
  for (const one of asked.slice(600)) await expect(one).rejects.toMatchObject({ code: 'OFFLINE' })
  // An answer that comes behind that is one to nothing.
  syncs.answered(sent[999]!)
})

it('waits for as long as something comes, and no longer', async () => {
  const { syncs, sent, server, time, running } = asking()
  const asked = syncs.ask()
  const outcome = asked.then(
    () => 'answered',
    (error: AteError) => error.code,
  )
  for (let i = 0; i < 3; i++) {
    server.heard++
    time.advance(SERVER_SILENT_MS)
    expect(running.size).toBe(1)
  }
  const other = syncs.ask()
  time.advance(SERVER_SILENT_MS / 2)
  syncs.answered(sent[1]!)
  await other
  expect(running.size).toBe(1)
  time.advance(SERVER_SILENT_MS / 2)
  expect(await outcome).toBe('OFFLINE')
  expect(running.size).toBe(0)
})
