import { deleteDatabase } from '../../../src/browser/indexeddb.ts'
import { logDatabases } from '../../../src/browser/indexeddb-logs.ts'
import { databaseName } from '../../../src/browser/indexeddb-schema.ts'
import { crc32 } from '../../../src/log/crc32.ts'
import { logSuite } from '../../../src/testing/log-suite.ts'
import { type Outcome, runTests } from './runner.ts'

let count = 0

/** The contract suite of log engines. */
export function logSuites(): Promise<Outcome[]> {
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
