import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Mask } from '../src/vault/mask.ts'

async function masked(secrets: readonly string[], text: string, cuts: readonly number[]): Promise<string> {
  const bytes = Buffer.from(text)
  const places = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b)
  const chunks = places.slice(1).map((end, i) => bytes.subarray(places[i], end))
  return (await buffer(Readable.from(chunks).pipe(new Mask(secrets)))).toString()
}

it('takes secrets out wherever the chunks are cut, and changes nothing else', async () => {
  const secret = fc.constantFrom('hunter2', 'aaaa', 'aaab', 'a\nlong second line', 'ünïcödé', 'xx')
  const piece = fc.oneof(secret, fc.constantFrom('a', 'aa', 'aaa', 'b', '\n', 'hunter', ' ', 'xx', 'ü'))
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(secret, { maxLength: 4 }),
      fc.array(piece, { maxLength: 20 }),
      fc.array(fc.nat(200), { maxLength: 8 }),
      async (secrets, pieces, cuts) => {
        const text = pieces.join('')
        const whole = await masked(secrets, text, [])
        expect(await masked(secrets, text, cuts)).toBe(whole)
        for (const one of secrets) if (one.length >= 4 && !'[redacted]'.includes(one)) expect(whole).not.toContain(one)
        if (secrets.every((one) => one.length < 4)) expect(whole).toBe(text)
      },
    ),
    { numRuns: 150 },
  )
})

it('gives on at once what begins no secret', async () => {
  const long = `-----BEGIN${'x'.repeat(100_000)}`
  const mask = new Mask([long, 'hunter2', 'hunting'])
  const given: string[] = []
  mask.on('data', (chunk: Buffer) => given.push(chunk.toString()))
  for (const chunk of ['listening on 8080\n', 'name: hunt', 'er2, ', 'hunthunting -----BEG']) {
    await new Promise((resolve) => mask.write(chunk, resolve))
    given.push('|')
  }
  await new Promise((resolve) => mask.end(resolve))
  expect(given.join('')).toBe('listening on 8080\n|name: |[redacted], |hunt[redacted] |-----BEG')
})

it('masks a secret that ends with a line break where it is printed without', async () => {
  expect(await masked(['hunter2\n'], 'it is hunter2.', [])).toBe('it is [redacted].')
})

it('masks the lines of a key that are printed alone', async () => {
  const pem = '-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\n-----END KEY-----\n'
  expect(await masked([pem], 'line: MIIEvQIBADANBgkqhkiG.', [8])).toBe('line: [redacted].')
})
