/** @newest-node-only: where Node has no post-quantum code of its own, its suite runs noble's */
import { nobleProvider } from '../../src/crypto/noble.ts'
import { cryptoSuite } from '../../src/testing/crypto-suite.ts'
import { runner, suiteOptions } from './support.ts'

cryptoSuite(runner, () => nobleProvider, suiteOptions())
