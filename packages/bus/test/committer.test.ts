import { describe, expect, it } from 'vitest'
import { Committer, type CommitterParts, type Work } from '../src/committer.ts'
import { Entry, Window } from '../src/window.ts'

/** A committer over a chain that takes everything: only the order of what happens matters here. */
function committer(committed: (window: Window<Work>, soon: () => void) => void) {
  const window = new Window<Work>(0)
  const context = {
    environment: { turn: async () => undefined },
    chain: { transact: async () => 1 },
    observing: { start: () => 0, tell: () => undefined },
  }
  const parts = {
    context,
    place: { name: 'books' },
    hold: { fence: 1, holder: 'me' },
    window,
    lease: { next: 1, moved: () => undefined },
    isOver: () => false,
    entryFailed: () => expect.unreachable(),
    committed: () => committed(window, () => subject.soon()),
    failed: (error: unknown) => expect.unreachable(String(error)),
  } as unknown as CommitterParts
  const subject = new Committer(parts)
  return { window, soon: () => subject.soon() }
}

function returned(window: Window<Work>, position: number): void {
  const work: Work = {
    place: undefined as never,
    event: undefined,
    delivery: undefined,
    effects: [],
    poison: undefined,
    cancel: undefined,
  }
  window.add(new Entry<Work>({ position, lane: undefined, bytes: 1, tries: 0 }, work))
  window.returned(window.next()!)
}

describe('the committer', () => {
  it.each(Array.from({ length: 12 }, (_, turns) => turns))(
    'commits what returns %i microtasks after the commit before it',
    async (turns) => {
      let count = 0
      const { window, soon } = committer(async (_, again) => {
        if (++count > 1) return
        for (let i = 0; i < turns; i++) await undefined
        returned(window, 2)
        again()
      })
      returned(window, 1)
      soon()
      await new Promise((resolve) => setTimeout(resolve, 5))
      expect(window.floor).toBe(2)
    },
  )
})
