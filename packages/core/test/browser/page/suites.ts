/** The contract suites, run in a page. */

import { browserProvider } from '../../../src/browser/crypto-browser.ts'
import { webCryptoProvider } from '../../../src/browser/crypto-web.ts'
import { browserEnvironment } from '../../../src/browser/environment.ts'
import { deleteDatabase } from '../../../src/browser/indexeddb.ts'
import { logDatabases } from '../../../src/browser/indexeddb-logs.ts'
import { databaseName } from '../../../src/browser/indexeddb-schema.ts'
import { databaseState } from '../../../src/browser/indexeddb-state.ts'
import { nobleProvider } from '../../../src/crypto/noble.ts'
import { crc32 } from '../../../src/log/crc32.ts'
import { cryptoSuite } from '../../../src/testing/crypto-suite.ts'
import { ed25519Cases } from '../../../src/testing/ed25519-cases.ts'
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

/** What the platform adds to noble's algorithms: signatures verified ahead, by the same rule, and Argon2 when it is asked for. */
export function platformCrypto(): Promise<Outcome[]> {
  return runTests(({ it, expect }) => {
    it('verifies ahead as it does at once', async () => {
      for (const { name, publicKey, message, signature, accepted } of ed25519Cases()) {
        const verifier = browserProvider.ed25519Verifier(publicKey)
        expect([name, verifier.verify(message, signature)]).toEqual([name, accepted])
        expect([name, await verifier.verifyLater?.(message, signature)]).toEqual([name, accepted])
      }
    })
    it('has Argon2', async () => {
      const input = [new Uint8Array(8), new Uint8Array(16), { memoryKiB: 64, passes: 1, lanes: 1 }, 32] as const
      expect(await browserProvider.argon2id(...input)).toEqual(nobleProvider.argon2id(...input))
    })
  })
}
