/** What stands beside a log is a cache: whatever cannot be used is told, and an opening that was aborted is not its fault. */
import { expect, it } from 'vitest'
import { Snapshots } from '../../src/chain/snapshots.ts'
import type { LogEngine, SnapshotStore } from '../../src/log/engine.ts'
import { memoryState } from '../../src/session/memory-state.ts'
import { testPlatform } from '../../src/testing/test-platform.ts'
import { crypto, forger } from './kit.ts'

const MAKERS = { crypto, seed: 1 }

/** Beside a log of one record; `open` is all that is asked of the store. */
function snapshots(open: SnapshotStore['open']): { readonly found: Snapshots; readonly written: () => number } {
  let written = 0
  const store: SnapshotStore = {
    open,
    write: async () => void written++,
  }
  const engine = { snapshot: store, readOnly: false, sizeBytes: () => 0 } as Partial<LogEngine> as LogEngine
  const { environment } = testPlatform(1, { crypto })
  return {
    found: Snapshots.for({ crypto, environment, engine, state: memoryState() })!,
    written: () => written,
  }
}

it('where none stands nothing is wrong, and none is written for a chain that is short', async () => {
  const { found, written } = snapshots(async () => undefined)
  expect(await found.load(MAKERS, undefined)).toBe(undefined)
  expect(found.info).toEqual({ openedFrom: undefined, seq: undefined, problem: undefined })
  await found.keep(forger().replica)
  expect(written()).toBe(0)
})

it('a failure that is none of ours is told as one, and the next is written in its place', async () => {
  const { found, written } = snapshots(() => Promise.reject(new TypeError('not a function')))
  expect(await found.load(MAKERS, undefined)).toBe(undefined)
  expect(found.info.problem).toBe('INTERNAL')
  await found.keep(forger().replica)
  expect(written()).toBe(1)
})

it('an opening that is aborted ends, and says nothing against what stands there', async () => {
  const aborter = new AbortController()
  const { found } = snapshots(async () => {
    aborter.abort()
    throw aborter.signal.reason
  })
  await expect(found.load(MAKERS, aborter.signal)).rejects.toMatchObject({ name: 'AbortError' })
  expect(found.info.problem).toBe(undefined)
})
