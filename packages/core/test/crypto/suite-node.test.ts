import { expect, it } from 'vitest'
import { nativeAlgorithms, nodeProvider } from '../../src/node/crypto-node.ts'
import { cryptoSuite } from '../../src/testing/crypto-suite.ts'
import { runner, say, suiteOptions } from './support.ts'

say(`native: ${nativeAlgorithms().join(', ')}`)
cryptoSuite(runner, () => nodeProvider(), suiteOptions())

it('answers about Ed25519 beside the main thread too: the suite has tried that', () => {
  const { publicKey } = nodeProvider().ed25519Signer(new Uint8Array(32))
  expect(nodeProvider().ed25519Verifier(publicKey).verifyLater).toBeTypeOf('function')
})
