import { nativeAlgorithms, nodeProvider } from '../../src/node/crypto-node.ts'
import { cryptoSuite } from '../../src/testing/crypto-suite.ts'
import { runner, say, suiteOptions } from './support.ts'

say(`native: ${nativeAlgorithms().join(', ')}`)
cryptoSuite(runner, () => nodeProvider(), suiteOptions())
