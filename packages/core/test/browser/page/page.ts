/** What the tests run in a page: bundled, served, and called by name from test/browser/*.test.ts. */
import * as chains from './chains.ts'
import * as databases from './databases.ts'
import * as suites from './suites.ts'
import * as tabs from './tabs.ts'

export interface Calls {
  readonly suites: typeof suites
  readonly chains: typeof chains
  readonly databases: typeof databases
  readonly tabs: typeof tabs
}

Object.assign(globalThis, { calls: { suites, chains, databases, tabs } satisfies Calls })
