import { randomFillSync } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openFileLog } from '../../src/log/file-engine.ts'
import { nodeFileSystem } from '../../src/node/file-system.ts'
import { manualClock } from '../../src/testing/clock.ts'
import { type LogHarness, logSuite } from '../../src/testing/log-suite.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { SimFileSystem } from '../../src/testing/sim-file-system.ts'

function simulated(segmentBytes?: number): LogHarness {
  const fs = new SimFileSystem(1, { folder: 'missing' })
  const random = seededRandom(2)
  const clock = manualClock()
  const size = segmentBytes === undefined ? {} : { segmentBytes }
  return {
    open: (options) => openFileLog({ fs, random, clock, create: !options?.readOnly, ...options, ...size }),
    dispose: async () => {},
  }
}

describe('the file engine on a simulated disk', () => {
  logSuite({ describe, it, expect }, async () => simulated())
})

describe('the file engine with small segments', () => {
  logSuite({ describe, it, expect }, async () => simulated(9000))
})

describe('the file engine on the real disk', () => {
  logSuite({ describe, it, expect }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ate-log-'))
    const clock = { now: () => Date.now(), monotonic: () => performance.now() }
    const random = { fill: (bytes: Uint8Array) => void randomFillSync(bytes) }
    return {
      open: (options) =>
        openFileLog({
          fs: nodeFileSystem(join(folder, 'chain')),
          random,
          clock,
          create: !options?.readOnly,
          ...options,
        }),
      dispose: async () => rmSync(folder, { recursive: true }),
    }
  })
})
