import { webCryptoProvider } from '../../src/browser/crypto-web.ts'
import { cryptoSuite } from '../../src/testing/crypto-suite.ts'
import { runner, suiteOptions } from './support.ts'

const web = await webCryptoProvider(globalThis.crypto.subtle)
cryptoSuite(runner, () => web, suiteOptions())
