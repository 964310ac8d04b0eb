import { describe, expect, it } from 'vitest'
import { Sequencer, type SequencerParts } from '../../src/chain/sequencer.ts'

/** Orders nothing but empty submissions: only when it rests matters here. */
function sequencer(): Sequencer {
  const head = { seq: 0, hash: new Uint8Array(32) }
  return new Sequencer({
    engine: { durability: 'disk' },
    replica: { head },
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
})
