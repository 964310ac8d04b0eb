/** Handles show no secret to whoever prints or serializes them, and noble repeats a seeded run. */
import { inspect } from 'node:util'
import { expect, it } from 'vitest'
import { toHex, utf8 } from '../../src/base/bytes.ts'
import { webCryptoProvider } from '../../src/browser/crypto-web.ts'
import { compositeSigner } from '../../src/crypto/composite.ts'
import { nobleProvider } from '../../src/crypto/noble.ts'
import { openBlockKey, sealBlock } from '../../src/crypto/seal.ts'
import { wrapSecret, wrapUnder } from '../../src/crypto/wrap.ts'
import { xWingEncapsulate, xWingSecret } from '../../src/crypto/x-wing.ts'
import { nodeProvider } from '../../src/node/crypto-node.ts'
import { seeded } from './support.ts'

/** Nothing public has this run of bytes by chance. */
const SECRET = new Uint8Array(64).map((_, i) => 201 + (i % 50))
const info = utf8('place')

it.each([nobleProvider, nodeProvider()])('handles of $name show functions and public keys only', (crypto) => {
  const short = SECRET.subarray(0, 32)
  const block = sealBlock(crypto, seeded(1), { secret: short, info, plaintext: utf8('text') })
  const handles: readonly object[] = [
    crypto.ed25519Signer(short),
    crypto.mlDsa65Signer(short),
    crypto.mlKem768Secret(SECRET),
    crypto.aesKey(short),
    compositeSigner(crypto, SECRET),
    xWingSecret(crypto, short),
    openBlockKey(crypto, { secret: short, info, ...block })!,
  ]
  for (const handle of handles) expectHidden(handle)
})

it('handles of WebCrypto show functions and public keys only', async () => {
  const web = await webCryptoProvider(globalThis.crypto.subtle)
  for (const handle of [await web.ed25519Signer!(SECRET.subarray(0, 32)), await web.aesKey!(SECRET.subarray(0, 32))])
    expectHidden(handle)
})

function expectHidden(handle: object): void {
  for (const [name, value] of Object.entries(handle))
    expect([name, typeof value]).toEqual([name, name === 'publicKey' ? 'object' : 'function'])
  const shown = inspect(handle, { depth: 9, showHidden: true, maxArrayLength: null }) + JSON.stringify(handle)
  const start = [...SECRET.subarray(0, 6)]
  for (const form of [start.join(', '), start.join(','), toHex(SECRET.subarray(0, 6)), '"0":201,"1":202'])
    expect(shown).not.toContain(form)
}

it('the same seed gives the same bytes on noble', () => {
  const [a, b, c] = [1, 1, 2].map((seed) => {
    const random = seeded(seed)
    const { publicKey } = xWingSecret(nobleProvider, SECRET.subarray(0, 32))
    return [
      xWingEncapsulate(nobleProvider, publicKey, random)!.ciphertext,
      nobleProvider.mlDsa65Signer(SECRET.subarray(0, 32)).sign(info, info, random),
      sealBlock(nobleProvider, random, { secret: SECRET.subarray(0, 32), info, plaintext: info }).ciphertext,
      wrapSecret(nobleProvider, random, { publicKey, info, secret: info })!,
      wrapUnder(nobleProvider, random, { key: SECRET.subarray(0, 32), info, secret: info }),
    ].map(toHex)
  })
  expect(a).toEqual(b)
  for (let i = 0; i < a!.length; i++) expect(a![i]).not.toBe(c![i])
})
