import { randomFillSync } from 'node:crypto'
import { expect, it } from 'vitest'
import { derive, openSealed, purposeOf, sealOnce } from '../src/sealing.ts'
import { codeOf } from './kit.ts'

const random = (): Uint8Array => randomFillSync(new Uint8Array(32))
const opening = (...args: Parameters<typeof openSealed>): Promise<string> => codeOf((async () => openSealed(...args))())

it('opens with both halves, for its purpose, and against its commitment only', async () => {
  const [half, other] = [random(), random()]
  const plain = new TextEncoder().encode('canary')
  const key = derive('value', half, other)
  const sealed = sealOnce(key, purposeOf('prod/db', 1), plain)
  // What was sealed is wiped, and so is what sealed it.
  expect([...plain, ...key].every((byte) => byte === 0)).toBe(true)
  const again = (): Uint8Array => derive('value', half, other)
  expect(new TextDecoder().decode(openSealed(again(), purposeOf('prod/db', 1), sealed))).toBe('canary')
  expect(await opening(again(), purposeOf('prod/db', 2), sealed)).toBe('BAD_BODY')
  expect(await opening(again(), purposeOf('prod/other', 1), sealed)).toBe('BAD_BODY')
  expect(await opening(derive('value', other, half), purposeOf('prod/db', 1), sealed)).toBe('BAD_BODY')
  expect(await opening(derive('wrap', half, other), purposeOf('prod/db', 1), sealed)).toBe('BAD_BODY')
  // The key alone would open it: the commitment says that it is the one key there is.
  expect(await opening(again(), purposeOf('prod/db', 1), { ...sealed, commitment: random() })).toBe('BAD_BODY')
  expect(await opening(again(), purposeOf('prod/db', 1), { ...sealed, box: sealed.box.subarray(0, 8) })).toBe(
    'BAD_BODY',
  )
})
