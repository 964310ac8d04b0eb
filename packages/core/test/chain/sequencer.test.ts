import { describe, expect, it, vi } from 'vitest'
import { AteError } from '../../src/base/errors.ts'
import { type Entry, Sequencer, type SequencerParts } from '../../src/chain/sequencer.ts'
import { KIND } from '../../src/event/format.ts'
import { codeOf } from '../data/kit.ts'

/** Orders nothing but empty submissions: only when it rests matters here. */
function sequencer(engine: object = {}): Sequencer {
  const head = { seq: 0, hash: new Uint8Array(32) }
  return new Sequencer({
    engine: { durability: 'disk', durableSeq: () => -1, ...engine },
    replica: { head },
    durability: 'disk',
    clock: { now: () => 0 },
    fingerprint: new Uint8Array(32),
  } as unknown as SequencerParts)
}

describe('the sequencer', () => {
  it.each(Array.from({ length: 12 }, (_, turns) => turns))(
    'answers what comes %i microtasks after its last answer',
    async (turns) => {
      const subject = sequencer()
      await subject.submit([], {})
      for (let i = 0; i < turns; i++) await undefined
      const late = new Promise((resolve) => setTimeout(() => resolve('never'), 5))
      expect(await Promise.race([subject.submit([], {}), late])).toEqual([])
    },
  )

  it('ends with a mistake of ours, told to all who wait, and does not take the process along', async () => {
    const subject = sequencer()
    const told: string[] = []
    subject.failures.add(({ code }) => told.push(code))
    const mistaken: Entry = {
      kind: KIND.sweep,
      payload() {
        throw new TypeError('a mistake')
      },
    }
    const submitted = [[], [mistaken], []].map((entries) => codeOf(subject.submit(entries, {})))
    expect(await Promise.all([...submitted, codeOf(subject.durable()), codeOf(subject.submit([], {}))])).toEqual(
      Array.from({ length: 5 }, () => 'INTERNAL'),
    )
    await subject.settled()
    expect(told).toEqual(['INTERNAL'])
  })

  it('stores nothing on top of what its log did not take, and tells of that once', async () => {
    let appends = 0
    let later: Promise<string> | undefined
    const subject: Sequencer = sequencer({
      durability: 'quorum',
      append() {
        appends++
        // What comes meanwhile is judged while this is being stored.
        later ??= codeOf(subject.submit([], {}))
        subject.sync()
        return Promise.reject(new AteError('DISK_FULL', {}))
      },
    })
    const told: string[] = []
    subject.failures.add(({ code }) => told.push(code))
    subject.sync()
    await vi.waitUntil(() => told.length > 0)
    expect(await later).toBe('DISK_FULL')
    await subject.settled()
    expect([told, appends]).toEqual([['DISK_FULL'], 1])
  })
})
