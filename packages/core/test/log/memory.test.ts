import { describe, expect, it } from 'vitest'
import { memoryEngine, memoryStore } from '../../src/log/memory.ts'
import { logSuite } from '../../src/testing/log-suite.ts'

describe('the memory engine', () => {
  logSuite({ describe, it, expect }, async () => {
    const store = memoryStore()
    return { open: async (options) => memoryEngine(store, options), dispose: async () => {} }
  })
})
