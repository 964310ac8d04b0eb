/** The contract suites, run in a page. */

import { webCryptoProvider } from '../../../src/browser/crypto-web.ts'
import { browserEnvironment } from '../../../src/browser/environment.ts'
import { deleteDatabase } from '../../../src/browser/indexeddb.ts'
import { logDatabases } from '../../../src/browser/indexeddb-logs.ts'
import { databaseName } from '../../../src/browser/indexeddb-schema.ts'
import { databaseState } from '../../../src/browser/indexeddb-state.ts'
import { crc32 } from '../../../src/log/crc32.ts'
import { cryptoSuite } from '../../../src/testing/crypto-suite.ts'
import { logSuite } from '../../../src/testing/log-suite.ts'
import { stateSuite } from '../../session/state-suite.ts'
import { type Outcome, runTests } from './runner.ts'

let count = 0

export function logEngine(): Promise<Outcome[]> {
  return runTests((runner) =>
    logSuite(runner, async () => {
      const name = `suite-${count++}`
      const logs = logDatabases(crc32)
      return {
        open: (options = {}) => logs.open(name, { ...options, create: !options.readOnly }),
        dispose: () => deleteDatabase(databaseName(name)),
      }
    }),
  )
}

export function stateStore(): Promise<Outcome[]> {
  return runTests((runner) => stateSuite(runner, () => databaseState(`suite-state-${count++}`)))
}

/** What WebCrypto has here against noble, and against the rule for Ed25519; and what it lacks. */
export async function webCrypto(): Promise<{ readonly outcomes: Outcome[]; readonly said: string[] }> {
  const provider = await webCryptoProvider(globalThis.crypto.subtle)
  const said: string[] = []
  const { random } = browserEnvironment()
  const outcomes = await runTests((runner) =>
    cryptoSuite(runner, () => provider, { random, say: (line) => said.push(line) }),
  )
  return { outcomes, said }
}
