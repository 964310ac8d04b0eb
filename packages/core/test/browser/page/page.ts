/** What the tests run in a page: bundled, served, and called by name from test/browser/*.test.ts. */
import { logSuites } from './logs.ts'

export const calls = { logSuites }
Object.assign(globalThis, { calls })
