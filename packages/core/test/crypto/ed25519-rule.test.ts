/** Why there is a rule: what providers say by default about the crafted cases, and what our handles say. */
import * as nodeCrypto from 'node:crypto'
import { ed25519 } from '@noble/curves/ed25519.js'
import { describe, expect, it } from 'vitest'
import { ed25519Key, ed25519SignatureAllowed } from '../../src/crypto/ed25519-rule.ts'
import { nobleProvider } from '../../src/crypto/noble.ts'
import { nodeProvider } from '../../src/node/crypto-node.ts'
import type { Ed25519Case } from '../../src/testing/ed25519-cases.ts'
import { ed25519Cases, nonCanonicalKeys } from '../../src/testing/ed25519-cases.ts'

const cases = ed25519Cases()

describe('by default', () => {
  it('noble takes what node:crypto refuses', () => {
    const split = cases.filter((one) => byNoble(one) && !byNode(one)).map(({ name }) => name)
    expect(split).toContain('non-canonical R, y = p + 1')
    expect(split).toContain('R with a torsion part')
  })

  it('both take a key with a torsion part, which the rule refuses', () => {
    const torsion = cases.find(({ name }) => name === 'key with a torsion part')!
    expect([byNoble(torsion), byNode(torsion)]).toEqual([true, true])
  })
})

describe('with the rule', () => {
  it('noble and node agree on every case', () => {
    const node = nodeProvider()
    for (const one of cases) {
      const verdicts = [nobleProvider, node].map((provider) =>
        provider.ed25519Verifier(one.publicKey).verify(one.message, one.signature),
      )
      expect([one.name, ...verdicts]).toEqual([one.name, one.accepted, one.accepted])
    }
  })

  it('refuses a key by its encoding, its small order and its torsion part alone', () => {
    for (const key of nonCanonicalKeys()) expect(ed25519Key(key)).toBe(undefined)
    for (const { name, publicKey } of cases)
      if (name.includes('key')) expect([name, ed25519Key(publicKey)]).toEqual([name, undefined])
    expect(ed25519Key(nobleProvider.ed25519Signer(new Uint8Array(32)).publicKey)).not.toBe(undefined)
    expect(ed25519Key(new Uint8Array(31))).toBe(undefined)
  })

  it('bounds S by the order, exactly', () => {
    const L = 2n ** 252n + 27742317777372353535851937790883648493n
    const signature = (s: bigint) =>
      Uint8Array.from({ length: 64 }, (_, i) => (i < 32 ? 2 : Number((s >> BigInt(8 * (i - 32))) & 255n)))
    const verdicts = [0n, L - 1n, L, L + 1n, L - 256n, L + 256n, 2n ** 256n - 1n].map((s) =>
      ed25519SignatureAllowed(signature(s)),
    )
    expect(verdicts).toEqual([true, true, false, false, true, false, false])
  })
})

function byNoble({ publicKey, message, signature }: Ed25519Case): boolean {
  return ed25519.verify(signature, message, publicKey)
}

function byNode({ publicKey, message, signature }: Ed25519Case): boolean {
  const x = Buffer.from(publicKey).toString('base64url')
  const key = nodeCrypto.createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
  return nodeCrypto.verify(null, message, key, signature)
}
